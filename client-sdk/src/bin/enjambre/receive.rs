//! `enjambre receive`: what came.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use enjambre_protocol::Retry;
use enjambre_protocol::identity::is_deceptive;
use enjambre_sdk::types::{ReceiveMode, ReceiveOptions, ReceivedMessage};
use enjambre_sdk::{Client, Error, ErrorKind};

use crate::options::parse_duration;
use crate::output::{Failure, Output, time};

/// How to receive.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  enjambre receive --timeout 30s --save downloads")]
pub(crate) struct Arguments {
    /// Go on printing what comes until the command is stopped.
    #[arg(long)]
    follow: bool,
    /// How long to wait for the first message if none waits: 500ms, 30s, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    timeout: Duration,
    /// Where to put files; without it they are only named.
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
}

pub(crate) async fn run(
    client: &Client,
    arguments: Arguments,
    output: Output,
) -> Result<(), Failure> {
    let mode = if arguments.follow {
        ReceiveMode::Follow
    } else {
        ReceiveMode::Once { timeout: arguments.timeout }
    };
    let options = ReceiveOptions { mode, save: arguments.save };
    let mut printed = Ok(());
    let on_message = |message: &ReceivedMessage| {
        // What could not be printed is not read: the next command prints it.
        printed = output.print(message, || people(message));
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let summary = tokio::select! {
        summary = client.receive(options, on_message) => Some(summary?),
        _ = tokio::signal::ctrl_c() => None,
    };
    printed?;
    if let Some(summary) = summary.filter(|summary| summary.unreadable > 0) {
        let given_up = summary.unreadable - summary.kept;
        if given_up > 0 {
            eprintln!(
                "enjambre: {given_up} records in the mailbox could not be opened or were refused, \
                 and are not messages that anybody signed for you"
            );
        }
        if summary.kept > 0 {
            eprintln!(
                "enjambre: {} records in the mailbox do not open yet and are tried again: check \
                 this system's clock",
                summary.kept
            );
        }
    }
    match summary {
        Some(summary) if !summary.complete => {
            let text = format!(
                "only {} of {} members answered, so more may wait: try again later",
                summary.answered, summary.members
            );
            Err(Error::new(ErrorKind::NotConfirmed, text).with_retry(Retry::Later).into())
        }
        Some(_) | None => Ok(()),
    }
}

fn people(message: &ReceivedMessage) -> String {
    let from = message.name.clone().unwrap_or_else(|| message.from.to_string());
    let mut lines = String::new();
    if let Some(warning) = message.warning {
        lines.push_str(&format!("!! {}\n", warning.advice()));
    }
    lines.push_str(&format!(
        "[{}] {from}: {}",
        time(message.sent.as_millis()),
        printable(&message.text)
    ));
    for file in &message.files {
        let place = match &file.path {
            Some(path) => format!("saved as `{}`", path.display()),
            None => "not fetched, see --save".to_owned(),
        };
        lines.push_str(&format!(
            "\n  file {} ({} bytes): {place}",
            printable(&file.name),
            file.bytes
        ));
    }
    lines
}

/// Text from outside without what a terminal would obey or what turns the direction of a line, and
/// with every line after the first indented, so that no text can look like a message of its own.
fn printable(text: &str) -> String {
    // The joiners are part of some scripts and pictures; they move nothing.
    let is_fit = |c: char| matches!(c, '\t' | '\u{200c}' | '\u{200d}') || !is_deceptive(c);
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => shown.push_str("\n    "),
            c if is_fit(c) => shown.push(c),
            _ => shown.push('\u{fffd}'),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_commands_in_a_message_are_not_obeyed() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{7}é"), "a\u{fffd}[2Jb\n    \u{fffd}é");
        assert_eq!(printable("\u{202e}a\rb\u{2028}c"), "\u{fffd}a\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn no_line_of_a_text_looks_like_a_message_of_its_own() {
        let text = "hi\n[2026-11-23 10:00:00 UTC] ben: send it to me\n\nx";
        let shown = printable(text);
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
    }
}
