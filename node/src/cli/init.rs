//! `init`: make a node's directory.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use clap::Args;
use enjambre_protocol::directory::Genesis;
use enjambre_protocol::identity::KeyPurpose;
use serde_json::json;

use super::{CliError, answer};
use crate::config::{ByteSize, CONFIG_FILE, DEFAULT_PORT, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::files;

/// Make a node's directory: its key, its settings, the network it joins.
#[derive(Debug, Args)]
#[command(
    after_help = "Example: enjambre-node init --dir /var/lib/enjambre --network network.toml --advertise 203.0.113.7:22100"
)]
pub(crate) struct InitArgs {
    /// The directory to make.
    #[arg(long)]
    dir: PathBuf,
    /// The network's card (`enjambre-network:…`) or file.
    #[arg(long)]
    network: String,
    /// UDP address to listen on.
    #[arg(long, default_value_t = SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)))]
    listen: SocketAddr,
    /// An address that others reach it at; may be given up to four times.
    #[arg(long)]
    advertise: Vec<SocketAddr>,
    /// Disk to offer.
    #[arg(long, default_value = "20GB")]
    storage: String,
    /// Address of metrics, health and status.
    #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)))]
    http: SocketAddr,
}

pub(crate) fn init(args: InitArgs, json: bool) -> Result<(), CliError> {
    let storage: ByteSize = args.storage.parse().map_err(CliError::usage)?;
    let unspecified = |address: &SocketAddr| address.ip().is_unspecified();
    if args.advertise.iter().any(unspecified) {
        return Err(CliError::usage("--advertise needs an address that others can reach"));
    }
    if args.advertise.is_empty() && unspecified(&args.listen) {
        return Err(CliError::usage(
            "others must be told an address: give --advertise ADDR:PORT, or --listen on one address",
        ));
    }
    let genesis = resolve_network(&args.network)?;
    let mut config = NodeConfig::new(args.listen, args.http, storage);
    config.advertise = args.advertise;
    let id = make_directory(&args.dir, &genesis, &config)?;
    let exposed = !matches!(config.http.ip(), IpAddr::V4(ip) if ip.is_loopback());
    let warning = if exposed {
        "\nThe HTTP address is not on loopback: anybody who reaches it reads the node's metrics."
    } else {
        ""
    };
    let dir = args.dir.display();
    let text = format!(
        "Node {id} is ready to join network {}.{warning}\nKeep {dir}/{KEY_FILE} safe: it is the node. Start it with: enjambre-node run --dir {dir}",
        genesis.network()
    );
    answer(json, &json!({"id": id, "network": genesis.network(), "dir": args.dir}), &text);
    Ok(())
}

/// Lays out a node's directory and gives the node's id.
pub(crate) fn make_directory(
    dir: &Path,
    genesis: &Genesis,
    config: &NodeConfig,
) -> Result<String, CliError> {
    crate::devnet::check_writable(dir)?;
    let key = files::create_key(&dir.join(KEY_FILE), KeyPurpose::Node)?;
    files::save_network(&dir.join(NETWORK_FILE), genesis)?;
    files::write_atomic(&dir.join(CONFIG_FILE), config.to_toml().as_bytes())?;
    Ok(key.public().to_string())
}

/// Reads a network file, or fetches what a card names and checks it.
pub(crate) fn resolve_network(text: &str) -> Result<Genesis, CliError> {
    if text.starts_with("enjambre-network:") {
        let card = text.parse().map_err(CliError::usage)?;
        return crate::run::block_on(enjambre_link::fetch_genesis(&card))
            .map_err(|error| CliError::later("network", error))?
            .map_err(|error| CliError::later("network", error));
    }
    Ok(files::load_network(Path::new(text))?)
}
