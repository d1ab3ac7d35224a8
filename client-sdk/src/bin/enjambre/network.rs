//! `enjambre network`: which network this home is in.

use clap::Subcommand;
use enjambre_sdk::Client;

use crate::output::{Failure, Output};

/// What to do with the network.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Join a network by its card or its network.toml; once is enough.
    #[command(after_help = "Example:\n  enjambre network join enjambre-network:AQ…")]
    Join {
        /// A network card, which begins with `enjambre-network:`, or the path of a network.toml.
        #[arg(value_name = "CARD|FILE")]
        card_or_file: String,
    },
}

pub(crate) async fn run(client: &Client, command: Command, output: Output) -> Result<(), Failure> {
    let Command::Join { card_or_file } = command;
    let info = client.join(&card_or_file).await?;
    output.print(&info, || {
        let (k, n) = (info.threshold, info.authority_count);
        format!("Joined network {}: {k} of {n} authorities sign its directory.", info.network)
    })
}
