//! What can be typed: options for all commands, and the commands.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};
use enjambre_sdk::types::ClientConfig;

use crate::output::Failure;
use crate::{account, contact, network, receive, send, status};

/// The longest time-out: a day.
const TIMEOUT_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// Messages between people who have only a random id, through a network that sees neither both ends
/// nor the content.
#[derive(Debug, Parser)]
#[command(
    name = "enjambre",
    version,
    propagate_version = true,
    after_help = "Example:\n  enjambre network join enjambre-network:AQ…\n  enjambre account new --name Ana\n  enjambre contact add enjambre:aea… --name ben\n  enjambre send ben \"Hola, Ben!\"\n  enjambre receive --timeout 30s"
)]
pub(crate) struct Options {
    /// The network's `network.toml`; not needed once a network was joined.
    #[arg(long, global = true, value_name = "FILE", env = "ENJAMBRE_NETWORK")]
    network: Option<PathBuf>,

    /// Where account and messages are kept [default: ~/.local/share/enjambre].
    #[arg(long, global = true, value_name = "DIR", env = "ENJAMBRE_HOME")]
    home: Option<PathBuf>,

    /// Print objects for programs instead of lines for people.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// How long to wait for the network before saying what is missing: 10s, 2m. Files get a second
    /// more for each 125 kB.
    #[arg(long, global = true, value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    pub(crate) deadline: Duration,

    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// The network to be in.
    #[command(subcommand, after_help = "Example:\n  enjambre network join enjambre-network:AQ…")]
    Network(network::Command),
    /// Your own account.
    #[command(subcommand, after_help = "Example:\n  enjambre account new --name Ana")]
    Account(account::Command),
    /// The people you write to.
    #[command(subcommand, after_help = "Example:\n  enjambre contact add enjambre:aea… --name ben")]
    Contact(contact::Command),
    /// Send words, files, or both.
    Send(send::Arguments),
    /// Print what came, and mark it as read.
    Receive(receive::Arguments),
    /// How far a message came; without an id, what this home knows.
    Status(status::Arguments),
}

impl Options {
    /// Where to open the client.
    pub(crate) fn config(&self) -> Result<ClientConfig, Failure> {
        let home = self.home.clone().filter(|home| !home.as_os_str().is_empty());
        let home = home.or_else(default_home).ok_or_else(|| {
            Failure::usage(
                "there is no home directory to keep the account in: name one with --home",
            )
        })?;
        let network = self.network.clone().filter(|network| !network.as_os_str().is_empty());
        Ok(ClientConfig { home, network })
    }
}

fn default_home() -> Option<PathBuf> {
    std::env::home_dir()
        .filter(|home| home.is_absolute())
        .map(|home| home.join(".local/share/enjambre"))
}

/// A number and its unit.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| "write a number and a unit: 30s".to_owned())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number),
        "s" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        "h" => Duration::from_secs(number.saturating_mul(3600)),
        _ => return Err("the unit is one of ms, s, m, h: 30s".to_owned()),
    };
    if duration > TIMEOUT_MAX {
        return Err("a day is the longest time".to_owned());
    }
    Ok(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_an_end() {
        assert_eq!(parse_duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        assert_eq!(parse_duration("24h"), Ok(TIMEOUT_MAX));
        for text in
            ["", "s", "30", "-1s", "1d", "25h", "99999999999999999999s", "18446744073709551615h"]
        {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
