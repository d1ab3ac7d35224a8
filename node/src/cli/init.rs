//! `init`: make a node's directory.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Args;
use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::Genesis;
use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::KeyPurpose;
use serde_json::json;

use super::{CliError, answer};
use crate::config::{ByteSize, CONFIG_FILE, DEFAULT_PORT, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::family::FamilyConsent;
use crate::files;

/// The least disk to offer, bytes: below it there is no room for a few messages of full size.
const STORAGE_MIN: u64 = 1_000_000;

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
    /// The key of the family of nodes that this one belongs to; made by `key family`. It is only
    /// read.
    #[arg(long, value_name = "KEYFILE")]
    family: Option<PathBuf>,
    /// Address of metrics, health and status.
    #[arg(long, default_value_t = SocketAddr::from(([127, 0, 0, 1], DEFAULT_PORT)))]
    http: SocketAddr,
}

pub(crate) fn init(args: InitArgs, json: bool) -> Result<(), CliError> {
    let storage: ByteSize = args.storage.parse().map_err(CliError::usage)?;
    let unspecified = |address: &SocketAddr| address.ip().is_unspecified();
    if args.advertise.iter().any(|address| unspecified(address) || address.port() == 0) {
        return Err(CliError::usage("--advertise needs an address and port that others can reach"));
    }
    if args.listen.port() == 0 {
        return Err(CliError::usage(
            "--listen needs a port: others are told where the node listens",
        ));
    }
    if storage.bytes() < STORAGE_MIN {
        return Err(CliError::usage("--storage needs at least 1MB"));
    }
    if args.advertise.is_empty() && unspecified(&args.listen) {
        return Err(CliError::usage(
            "others must be told an address: give --advertise ADDR:PORT, or --listen on one address",
        ));
    }
    let genesis = resolve_network(&args.network)?;
    let mut config = NodeConfig::new(args.listen, args.http, storage);
    config.advertise = args.advertise;
    let family = args.family.map(|path| files::load_key(&path, KeyPurpose::Family));
    let family = family.transpose().map_err(CliError::named_file)?;
    let id = make_directory(&args.dir, &genesis, config, family.as_ref())?;
    let exposed = !args.http.ip().is_loopback();
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
    mut config: NodeConfig,
    family: Option<&SecretKey>,
) -> Result<String, CliError> {
    let key = prepare(dir, KeyPurpose::Node)?;
    let node = NodeId::from_bytes(*key.public().as_bytes());
    config.family = family.map(|family| FamilyConsent::sign(family, &genesis.network(), &node));
    files::save_network(&dir.join(NETWORK_FILE), genesis)?;
    files::write_atomic(&dir.join(CONFIG_FILE), config.to_toml().as_bytes())?;
    Ok(key.public().to_string())
}

/// Makes a directory with a key. One that was imported before is taken up, as long as nothing else
/// is there.
pub(crate) fn prepare(dir: &Path, purpose: KeyPurpose) -> Result<SecretKey, CliError> {
    files::check_writable(dir)?;
    let path = dir.join(KEY_FILE);
    if dir.join(CONFIG_FILE).exists() {
        let text =
            format!("{} is set up already; run it, or choose another directory", dir.display());
        return Err(CliError::failed("exists", text));
    }
    if path.exists() {
        return Ok(files::load_key(&path, purpose)?);
    }
    Ok(files::create_key(&path, purpose)?)
}

/// Reads a network file, or fetches what a card names and checks it.
pub(crate) fn resolve_network(text: &str) -> Result<Genesis, CliError> {
    if text.starts_with("enjambre-network:") {
        let card = text.parse().map_err(CliError::usage)?;
        return crate::run::block_on(enjambre_link::fetch_genesis(&card))
            .map_err(|error| CliError::later("network", error))?
            .map_err(|error| CliError::later("network", error));
    }
    files::load_network(Path::new(text)).map_err(CliError::named_file)
}
