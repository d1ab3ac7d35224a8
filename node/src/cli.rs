//! The `enjambre-node` command: what its words mean and how it answers.
//!
//! Errors go to standard error as one sentence that says what to do; exit code 2 for wrong use, 1
//! for a failure, 130 for a question answered by Ctrl-C, 0 for done. `--json` makes answers and errors
//! one JSON object a line.

mod authority;
mod card;
mod devnet;
mod init;
mod key;
mod network;
mod passphrase;
mod start;
mod status;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde_json::json;

/// The service node and the directory authority of an Enjambre network.
#[derive(Debug, Parser)]
#[command(
    name = "enjambre-node",
    version,
    after_help = "Example: enjambre-node devnet up --dir /tmp/net"
)]
struct Cli {
    /// Answer in JSON, one object a line.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a node's directory: its key, its settings, the network it joins.
    Init(init::InitArgs),
    /// Run the node of a directory until SIGTERM or SIGINT.
    #[command(after_help = "Example: enjambre-node run --dir /var/lib/enjambre")]
    Run {
        /// The node's directory, made by `init`.
        #[arg(long)]
        dir: PathBuf,
    },
    /// What a running node says of itself.
    #[command(after_help = "Example: enjambre-node status --dir /var/lib/enjambre --json")]
    Status {
        /// The node's directory.
        #[arg(long)]
        dir: PathBuf,
    },
    /// Take an identity to safety and back; make a family key.
    #[command(
        subcommand,
        after_help = "Example: enjambre-node key export --dir /var/lib/enjambre node-key.txt"
    )]
    Key(key::KeyCommand),
    /// Start, make or show a network.
    #[command(
        subcommand,
        after_help = "Example: enjambre-node network show --network network.toml"
    )]
    Network(network::NetworkCommand),
    /// Run a directory authority.
    #[command(
        subcommand,
        after_help = "Example: enjambre-node authority init --dir /var/lib/enjambre-authority"
    )]
    Authority(authority::AuthorityCommand),
    /// A private network of real processes on this machine.
    #[command(subcommand, after_help = "Example: enjambre-node devnet up --dir /tmp/net")]
    Devnet(devnet::DevnetCommand),
}

/// Characters of an error that are printed: a screen's lines, however long a name somebody gave.
const SENTENCE_MAX: usize = 600;

/// A failure as the person at the terminal meets it.
#[derive(Debug)]
pub(crate) struct CliError {
    kind: &'static str,
    text: String,
    retry: &'static str,
    code: u8,
}

#[expect(clippy::needless_pass_by_value, reason = "errors are handed over by `map_err`")]
impl CliError {
    /// The words on the command line are wrong: exit code 2.
    pub(crate) fn usage(text: impl ToString) -> Self {
        Self { kind: "usage", text: text.to_string(), retry: "never", code: 2 }
    }

    /// What was asked failed: exit code 1.
    pub(crate) fn failed(kind: &'static str, text: impl ToString) -> Self {
        Self { kind, text: text.to_string(), retry: "never", code: 1 }
    }

    /// What was asked may succeed later: exit code 1.
    pub(crate) fn later(kind: &'static str, text: impl ToString) -> Self {
        Self { kind, text: text.to_string(), retry: "later", code: 1 }
    }

    /// The person at the terminal gave it up: exit code 130, as if a signal had ended the process.
    pub(crate) fn interrupted() -> Self {
        let text = "interrupted, and nothing was changed";
        Self { kind: "interrupted", text: text.to_owned(), retry: "never", code: 130 }
    }

    /// A process could not start or go on.
    pub(crate) fn process(what: &'static str, error: &anyhow::Error) -> Self {
        let kind = if error.is::<crate::files::FileError>() {
            "file"
        } else if error.is::<crate::config::ConfigError>() {
            "config"
        } else if error.is::<crate::store::OpenError>() {
            "database"
        } else if error.is::<crate::sockets::ListenError>() {
            "port"
        } else {
            what
        };
        Self::failed(kind, with_causes(error))
    }

    /// A file that was named on the command line is not what it should be: exit code 2.
    pub(crate) fn named_file(error: crate::files::FileError) -> Self {
        use crate::files::FileError as E;
        let code = if matches!(error, E::Missing { .. } | E::Content { .. }) { 2 } else { 1 };
        Self { code, ..error.into() }
    }

    fn report(&self, json: bool) -> ExitCode {
        let text = sentence(&self.text);
        if json {
            let error = json!({"kind": self.kind, "text": text, "retry": self.retry});
            eprintln!("{}", json!({ "error": error }));
        } else {
            eprintln!("enjambre-node: {text}");
        }
        ExitCode::from(self.code)
    }
}

/// An error and its causes, each said once: many sentences name their cause themselves.
fn with_causes(error: &anyhow::Error) -> String {
    let mut said = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !said.contains(&cause) {
            let joint = if said.is_empty() { "" } else { ": " };
            said = format!("{said}{joint}{cause}");
        }
    }
    said
}

/// One sentence is one line that hides nothing and controls no terminal, whatever a library said or a
/// user wrote.
fn sentence(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    let mut shown: String = words.chars().take(SENTENCE_MAX).map(shown).collect();
    if words.chars().nth(SENTENCE_MAX).is_some() {
        shown.push('…');
    }
    shown
}

impl From<crate::files::FileError> for CliError {
    fn from(error: crate::files::FileError) -> Self {
        Self::failed("file", error)
    }
}

impl From<crate::config::ConfigError> for CliError {
    fn from(error: crate::config::ConfigError) -> Self {
        Self::failed("config", error)
    }
}

impl From<crate::devnet::DevnetError> for CliError {
    fn from(error: crate::devnet::DevnetError) -> Self {
        use crate::devnet::DevnetError as E;
        let kind = match error {
            E::File(_) => "file",
            E::Exists { .. } => "exists",
            E::Missing { .. } => "missing",
            E::Unknown { .. } => "unknown-name",
            E::NotRunning { .. } | E::Running { .. } => "state",
            E::Other { .. } => "other",
            E::Busy { .. } => return Self::later("busy", error),
            E::Size | E::Genesis(_) => return Self::usage(error),
            _ => "devnet",
        };
        Self::failed(kind, error)
    }
}

/// Reads the command line, does what it says, and gives the exit code.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let json = cli.json;
    match dispatch(cli.command, json) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(json),
    }
}

/// Help and version are answers; everything else clap says is wrong use.
fn refuse(error: &clap::Error) -> ExitCode {
    use clap::error::ErrorKind as K;
    if matches!(error.kind(), K::DisplayHelp | K::DisplayVersion) {
        // A closed pipe is no failure of ours.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let json = std::env::args_os().any(|word| word == "--json");
    let text = error.render().to_string();
    let said: Vec<&str> = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .filter(|line| !line.is_empty())
        .collect();
    let said = match error.kind() {
        K::DisplayHelpOnMissingArgumentOrSubcommand | K::MissingSubcommand => {
            "a command is missing".to_owned()
        }
        _ => said.join(" ").trim_start_matches("error: ").to_owned(),
    };
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    CliError::usage(format!("{said}; see `{} --help`", command_named(words))).report(json)
}

/// The command that the words name, as far as they name one.
fn command_named(words: impl Iterator<Item = String>) -> String {
    let root = Cli::command();
    let (mut at, mut name) = (&root, root.get_name().to_owned());
    // What stands before the last word of a command takes no value.
    for word in words.filter(|word| !word.starts_with('-')) {
        let Some(next) = at.find_subcommand(&word) else { break };
        name = format!("{name} {word}");
        at = next;
    }
    name
}

fn dispatch(command: Command, json: bool) -> Result<(), CliError> {
    match command {
        Command::Init(args) => init::init(args, json),
        Command::Run { dir } => {
            init_log();
            crate::run::run_node(&dir).map_err(|error| CliError::process("node", &error))
        }
        Command::Status { dir } => status::status(&dir, json),
        Command::Key(command) => key::run(command, json),
        Command::Network(command) => network::run(command, json),
        Command::Authority(command) => authority::run(command, json),
        Command::Devnet(command) => devnet::run(command, json),
    }
}

/// Logs go to standard error; `RUST_LOG` sets what is logged, `info` unless set.
pub(crate) fn init_log() {
    init_log_from("info");
}

/// The same with another level unless set.
pub(crate) fn init_log_from(level: &str) {
    use tracing_subscriber::EnvFilter;
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(level));
    // A line that cannot be written is lost. The report of that would go to standard error, and end
    // the thread where that is on the same full disk.
    let log = tracing_subscriber::fmt().log_internal_errors(false);
    let log = log.with_writer(std::io::stderr);
    // A second call, in a test, keeps the first subscriber.
    let _ = log.with_env_filter(filter).with_ansi(false).try_init();
}

/// Says on standard error what a person who waits wants to know.
pub(crate) fn tell(json: bool, event: &str, text: &str) {
    use std::io::Write;
    let mut err = std::io::stderr().lock();
    // A closed pipe is no failure of ours.
    let _ = if json {
        writeln!(err, "{}", json!({"event": event, "text": sentence(text)}))
    } else {
        writeln!(err, "enjambre-node: {}", sentence(text))
    };
}

/// Prints one line of JSON, or `text` for people.
pub(crate) fn answer(json: bool, value: &serde_json::Value, text: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    // A closed pipe is no failure of ours.
    let _ = if json { writeln!(out, "{value}") } else { writeln!(out, "{text}") };
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn cause_is_said_once() {
        use anyhow::Context;
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        let named = crate::files::FileError::Io { path: "f".into(), source: missing() };
        let error = Err::<(), _>(named).context("node-01").unwrap_err();
        let said = with_causes(&error);
        assert!(said.starts_with("node-01: f cannot be used"), "{said}");
        assert_eq!(said.matches(&missing().to_string()).count(), 1, "{said}");
        let unnamed = Err::<(), _>(missing()).context("node-01").unwrap_err();
        assert_eq!(with_causes(&unnamed), format!("node-01: {}", missing()));
    }

    #[test]
    fn command_is_named_as_far_as_the_words_go() {
        let named = |words: &str| command_named(words.split_whitespace().map(str::to_owned));
        assert_eq!(named(""), "enjambre-node");
        assert_eq!(named("fly"), "enjambre-node");
        assert_eq!(named("--json devnet up --dir status"), "enjambre-node devnet up");
        assert_eq!(named("key export f"), "enjambre-node key export");
    }

    #[test]
    fn sentence_is_one_line_without_control_characters_and_ends() {
        assert_eq!(sentence("no file \u{1b}[31mred\n\tat all"), "no file \u{fffd}[31mred at all");
        let long = sentence(&"é".repeat(10_000));
        assert_eq!(long.chars().count(), SENTENCE_MAX + 1);
        assert!(long.ends_with('…'));
    }
}
