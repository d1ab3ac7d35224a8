//! `authority`: make and run a directory authority.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use enjambre_protocol::id::AuthorityId;
use enjambre_protocol::identity::KeyPurpose;
use serde_json::json;

use super::init::prepare;
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
            let key = prepare(&dir, KeyPurpose::Authority)?;
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
                take_network(&dir, &path)?;
            }
            init_log();
            crate::run::run_authority(&dir).map_err(|error| CliError::process("authority", &error))
        }
    }
}

/// Copies the network file into an authority's directory, if it is the one of its network.
fn take_network(dir: &Path, path: &Path) -> Result<(), CliError> {
    let genesis = files::load_network(path).map_err(CliError::named_file)?;
    let key = files::load_key(&dir.join(KEY_FILE), KeyPurpose::Authority)?;
    if genesis.index(&AuthorityId::from_bytes(*key.public().as_bytes())).is_none() {
        let text = format!(
            "{} does not name this authority, {}; make the network with its key, or name the \
             file of its network",
            path.display(),
            key.public()
        );
        return Err(CliError::failed("wrong-network", text));
    }
    let kept = dir.join(NETWORK_FILE);
    if kept.exists() && files::load_network(&kept)?.network() != genesis.network() {
        let text = format!(
            "{} is an authority of another network; leave --network out, or choose another \
             directory",
            dir.display()
        );
        return Err(CliError::failed("wrong-network", text));
    }
    Ok(files::save_network(&kept, &genesis)?)
}
