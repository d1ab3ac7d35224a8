//! How results and errors are printed.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind as ClapKind;
use enjambre_protocol::identity::is_deceptive;
use enjambre_sdk::names::is_invisible;
use enjambre_sdk::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Value, json};

use crate::options::Options;

/// Exit code for wrong use.
const WRONG_USE: u8 = 2;

/// Exit code for a failure.
const FAILED: u8 = 1;

/// Text from outside without what a terminal would obey or what turns the direction of a line, and
/// with every line after the first indented, so that no text can look like a message of its own.
pub(crate) fn printable(text: &str) -> String {
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

/// A name from outside, in which nothing may hide: of a contact or a file.
pub(crate) fn printable_name(name: &str) -> String {
    name.chars().map(|c| if is_invisible(c) { '\u{fffd}' } else { c }).collect()
}

/// Lines for people, or objects for programs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    is_json: bool,
}

/// Why a command ends without having done what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    code: u8,
    kind: String,
    text: String,
    retry: Value,
}

impl Failure {
    /// The command line makes no sense.
    pub(crate) fn usage(text: impl Into<String>) -> Self {
        Self { code: WRONG_USE, kind: "usage".to_owned(), text: text.into(), retry: json!("never") }
    }

    /// The system refused something.
    pub(crate) fn system(what: &str, error: &io::Error) -> Self {
        let text = format!("{what} ({error}): check it and try again");
        Self { code: FAILED, kind: "file".to_owned(), text, retry: json!("later") }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = if error.kind() == ErrorKind::InvalidInput { WRONG_USE } else { FAILED };
        let retry = serde_json::to_value(error.retry()).unwrap_or(Value::Null);
        Self { code, kind: error.kind().to_string(), text: error.to_string(), retry }
    }
}

impl Output {
    pub(crate) const fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Prints a result: one object a line with `--json`, else the lines that `people` makes.
    pub(crate) fn print<T: Serialize, D: Display>(
        self,
        value: &T,
        people: impl FnOnce() -> D,
    ) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        let written = if self.is_json {
            serde_json::to_writer(&mut out, value)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
        } else {
            writeln!(out, "{}", people())
        };
        let written = written.and_then(|()| out.flush());
        written.map_err(|error| Failure::system("the result cannot be printed", &error))
    }

    /// Whether results are objects for programs.
    pub(crate) const fn is_json(self) -> bool {
        self.is_json
    }

    /// Whether colours may be written.
    pub(crate) fn is_terminal(self) -> bool {
        !self.is_json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// Says on standard error what a person wants to know beside the result.
    pub(crate) fn tell(self, text: &str) {
        let line = if self.is_json {
            json!({ "notice": text }).to_string()
        } else {
            format!("enjambre: {}", printable(text))
        };
        let _ = writeln!(io::stderr(), "{line}");
    }

    /// Prints why a command failed.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        let Failure { code, kind, text, retry } = failure;
        let line = if self.is_json {
            json!({ "error": { "kind": kind, "text": text, "retry": retry } }).to_string()
        } else {
            // Some of it may be what a node said.
            format!("enjambre: {}", printable(text))
        };
        // Where standard error is closed there is nobody to tell.
        let _ = writeln!(io::stderr(), "{line}");
        ExitCode::from(*code)
    }
}

/// What clap has to say: help and version as they are, the rest as one sentence.
pub(crate) fn wrong_use(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ClapKind::DisplayHelp | ClapKind::DisplayVersion) {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let is_json = std::env::args_os().any(|argument| argument == "--json");
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = match error.kind() {
        ClapKind::DisplayHelpOnMissingArgumentOrSubcommand => "a command is missing".to_owned(),
        _ => said.join(" ").trim_start_matches("error: ").to_owned(),
    };
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let named = command_named(words);
    Output::new(is_json).failure(&Failure::usage(format!("{said}; see `{named} --help`")))
}

/// The command that the words name, as far as they name one.
fn command_named(words: impl Iterator<Item = String>) -> String {
    let root = Options::command();
    let (mut at, mut name) = (&root, root.get_name().to_owned());
    // Options may stand before the command, with a value of their own.
    for word in words {
        if let Some(next) = at.find_subcommand(&word) {
            name = format!("{name} {word}");
            at = next;
        }
    }
    name
}

/// A time as people read it: UTC, to the second.
pub(crate) fn time(millis: u64) -> String {
    let secs = millis / 1000;
    let (days, rest) = (secs / 86_400, secs % 86_400);
    // Civil date from days since 1970, in eras of 400 years that begin on the first of March.
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
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
    fn nothing_hides_in_a_name() {
        assert_eq!(printable_name("be\u{200d}n"), "be\u{fffd}n");
        for hidden in ["\u{202e}", "\u{2060}", "\u{ad}", "\u{e0041}", "\n", "\t"] {
            assert_eq!(printable_name(hidden), "\u{fffd}", "{hidden:?}");
        }
        assert_eq!(printable_name("Zoë Ito 山田\u{3000}太郎"), "Zoë Ito 山田\u{3000}太郎");
    }

    #[test]
    fn no_line_of_a_text_looks_like_a_message_of_its_own() {
        let text = "hi\n[2026-11-23 10:00:00 UTC] ben: send it to me\n\nx";
        let shown = printable(text);
        assert!(shown.lines().skip(1).all(|line| line.starts_with("    ")), "{shown}");
    }

    #[test]
    fn time_is_the_calendars() {
        let shown = |secs: u64| time(secs * 1000);
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}
