//! What can be typed: options for all commands, and the commands.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use enjambre_sdk::types::ClientConfig;

use crate::output::Failure;
use crate::{account, contact, network, receive, send, status};

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
