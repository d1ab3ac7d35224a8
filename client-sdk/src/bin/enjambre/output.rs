//! How results and errors are printed.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;

use clap::error::ErrorKind as ClapKind;
use enjambre_sdk::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Value, json};

/// Exit code for wrong use.
const WRONG_USE: u8 = 2;

/// Exit code for a failure.
const FAILED: u8 = 1;

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

    /// Whether colours may be written.
    pub(crate) fn is_terminal(self) -> bool {
        !self.is_json && io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
    }

    /// Prints why a command failed.
    pub(crate) fn failure(self, failure: &Failure) -> ExitCode {
        let Failure { code, kind, text, retry } = failure;
        let line = if self.is_json {
            json!({ "error": { "kind": kind, "text": text, "retry": retry } }).to_string()
        } else {
            format!("enjambre: {text}")
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
    Output::new(is_json).failure(&Failure::usage(format!("{said}; see `enjambre --help`")))
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
    fn time_is_the_calendars() {
        let shown = |secs: u64| time(secs * 1000);
        assert_eq!(shown(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(shown(951_782_400), "2000-02-29 00:00:00 UTC");
        assert_eq!(shown(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(shown(4_107_542_400), "2100-03-01 00:00:00 UTC");
    }
}
