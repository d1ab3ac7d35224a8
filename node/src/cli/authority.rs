//! `authority`: make and run a directory authority.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Subcommand;
use enjambre_protocol::identity::KeyPurpose;
use serde_json::json;

use super::{CliError, answer, init_log};
use crate::config::{ByteSize, CONFIG_FILE, DEFAULT_PORT, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::files;

#[derive(Debug, Subcommand)]
pub(crate) enum AuthorityCommand {
    /// Draw an authority's key, to be named in `network create`.
    #[command(
        after_help = "Example: enjambre-node authority init --dir /var/lib/enjambre-authority"
    )]
    Init {
        /// The directory to make.
        #[arg(long)]
        dir: PathBuf,
        /// UDP address to listen on.
        #[arg(long, default_value_t = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)))]
        listen: SocketAddr,
        /// Address of metrics, health and status.
        #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)))]
        http: SocketAddr,
    },
    /// Run the authority of a directory until SIGTERM or SIGINT.
    #[command(
        after_help = "Example: enjambre-node authority run --dir /var/lib/enjambre-authority"
    )]
    Run {
        /// The directory; it needs the network file too.
        #[arg(long)]
        dir: PathBuf,
        /// The network file, copied into the directory at the first run.
        #[arg(long)]
        network: Option<PathBuf>,
    },
}

pub(crate) fn run(command: AuthorityCommand, json: bool) -> Result<(), CliError> {
    match command {
        AuthorityCommand::Init { dir, listen, http } => {
            crate::devnet::check_writable(&dir)?;
            let key = files::create_key(&dir.join(KEY_FILE), KeyPurpose::Authority)?;
            let config = NodeConfig::new(listen, http, ByteSize::from_bytes(0));
            files::write_atomic(&dir.join(CONFIG_FILE), config.to_toml().as_bytes())?;
            let id = key.public().to_string();
            let text = format!(
                "Authority {id}. Name it in: enjambre-node network create --authority {id}@ADDR:PORT …"
            );
            answer(json, &json!({"id": id, "dir": dir}), &text);
            Ok(())
        }
        AuthorityCommand::Run { dir, network } => {
            if let Some(path) = network {
                let genesis = files::load_network(&path)?;
                files::save_network(&dir.join(NETWORK_FILE), &genesis)?;
            }
            init_log();
            crate::run::run_authority(&dir).map_err(|error| CliError::failed("authority", error))
        }
    }
}
