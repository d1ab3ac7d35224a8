//! `enjambre receive`: what came.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use enjambre_protocol::Retry;
use enjambre_sdk::types::{
    FilesCome, ReceiveMode, ReceiveOptions, Received, ReceivedFile, ReceivedMessage,
};
use enjambre_sdk::{Client, Error, ErrorKind};

use crate::options::parse_duration;
use crate::output::{Failure, Output, printable, printable_name, time};

/// How to receive.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  enjambre receive --timeout 30s --save downloads\n\nTexts come first, then files, a line each. With --json a message comes as one object with the paths of\nits files, when they are there or cannot be had. A file that cannot be had is tried again by later\ncommands, ever more seldom, and given up after two weeks."
)]
pub(crate) struct Arguments {
    /// Go on printing what comes until the command is stopped; there is no --timeout then.
    #[arg(long, conflicts_with = "timeout")]
    follow: bool,
    /// How long to wait for the first message if none waits: 500ms, 30s, 5m, 1h.
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = parse_duration)]
    timeout: Duration,
    /// Where to put files of contacts; without it they are only named. Those of others are never
    /// fetched: add their sender with `enjambre contact add` and receive again.
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
    let saves = if arguments.save.is_some() { Saves::Yes } else { Saves::No };
    // An object has the paths of its files in it; people read while these are fetched.
    let files = if output.is_json() { FilesCome::WithTheirMessage } else { FilesCome::AfterTexts };
    let options = ReceiveOptions { mode, save: arguments.save, files };
    let mut printed = Ok(());
    let on_received = |received: Received<'_>| {
        // What could not be printed is not read: the next command prints it.
        printed = match received {
            Received::Message(message) => output.print(message, || people(message, saves)),
            Received::File(fetched) => output.print(fetched, || file_line(&fetched.file, saves)),
        };
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let summary = tokio::select! {
        summary = client.receive(options, on_received) => Some(summary?),
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

fn people(message: &ReceivedMessage, saves: Saves) -> String {
    let name = message.name.as_deref().map(printable_name);
    let from = name.unwrap_or_else(|| message.from.to_string());
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
        lines.push('\n');
        lines.push_str(&file_line(file, saves));
    }
    lines
}

/// Whether files are to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Saves {
    No,
    Yes,
}

fn file_line(file: &ReceivedFile, saves: Saves) -> String {
    let place = match (&file.path, &file.reason) {
        (Some(path), _) => format!("saved as `{}`", printable_name(&path.display().to_string())),
        (None, Some(reason)) => format!("not fetched: {}", printable(reason)),
        (None, None) if saves == Saves::Yes => "is fetched when all texts are shown".to_owned(),
        (None, None) => "not fetched, see --save".to_owned(),
    };
    format!("  file {} ({} bytes): {place}", printable_name(&file.name), file.bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_says_where_it_is_or_why_it_is_nowhere() {
        let name = "a\u{2060}.txt".to_owned();
        let mut file = ReceivedFile { name, bytes: 3, path: None, reason: None };
        let line = |file: &ReceivedFile, saves| file_line(file, saves);
        assert!(
            line(&file, Saves::No).ends_with("a\u{fffd}.txt (3 bytes): not fetched, see --save")
        );
        assert!(line(&file, Saves::Yes).ends_with("is fetched when all texts are shown"));
        file.reason = Some("its sender is no contact".to_owned());
        assert!(line(&file, Saves::Yes).ends_with("not fetched: its sender is no contact"));
        file.path = Some(PathBuf::from("saved/a.txt"));
        assert!(line(&file, Saves::Yes).ends_with("saved as `saved/a.txt`"));
    }
}
