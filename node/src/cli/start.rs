//! `network start`: a home network in one process, which others join.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use clap::Args;
use enjambre_protocol::directory::NetworkCard;
use serde_json::json;

use super::{CliError, answer, card, devnet::parse_duration, init_log_from};
use crate::config::{ByteSize, DEFAULT_PORT, NETWORK_FILE};
use crate::home::{HOME_EPOCH, Home, HomeConfig, HomeError, home_params};

/// Nodes of a new home network: the fewest that make a path.
const NODES: usize = 4;

/// An address of the documentation: asked for the way to it, nothing is sent.
const ELSEWHERE: (Ipv4Addr, u16) = (Ipv4Addr::new(192, 0, 2, 1), 9);

/// Start a home network, or go on with the one of a directory.
#[derive(Args, Debug)]
#[command(
    after_help = "Example: enjambre-node network start --dir /var/lib/enjambre-home --listen 192.168.1.5:22100"
)]
pub(crate) struct StartArgs {
    /// Where everything is written; the same directory goes on with the same network.
    #[arg(long)]
    dir: PathBuf,
    /// UDP address of the authority; the nodes take the ports after it. This machine's own address
    /// unless set.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// The IP address that others reach this machine at, if it is another one; same ports.
    #[arg(long)]
    advertise: Option<IpAddr>,
    /// Nodes in this process: 4 unless set. More than before adds some.
    #[arg(long)]
    nodes: Option<usize>,
    /// Disk to offer, for each node.
    #[arg(long, default_value = "5GB")]
    storage: String,
    /// Least time between two documents of a new network, such as 10s.
    #[arg(long)]
    epoch: Option<String>,
}

impl From<HomeError> for CliError {
    fn from(error: HomeError) -> Self {
        match error {
            HomeError::File(error) => error.into(),
            HomeError::Config(error) => error.into(),
            HomeError::Nodes | HomeError::Ports { .. } | HomeError::Genesis(_) => {
                Self::usage(error)
            }
        }
    }
}

pub(crate) fn start(args: &StartArgs, json: bool) -> Result<(), CliError> {
    let storage: ByteSize = args.storage.parse().map_err(CliError::usage)?;
    let home =
        if Home::is_there(&args.dir) { go_on(args, storage)? } else { create(args, storage)? };
    announce(&home, args, json);
    init_log_from("warn");
    crate::run::run_home(home, move |height| {
        let text = format!("The network is ready at height {height}. Interrupt to stop it.");
        answer(json, &json!({"event": "ready", "height": height}), &text);
    })
    .map_err(|error| CliError::process("network", &error))
}

fn create(args: &StartArgs, storage: ByteSize) -> Result<Home, CliError> {
    let listen = match (args.listen, args.advertise) {
        (Some(listen), _) => listen,
        (None, Some(_)) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, DEFAULT_PORT)),
        (None, None) => SocketAddr::new(own_address()?, DEFAULT_PORT),
    };
    let told = args.advertise.unwrap_or(listen.ip());
    if told.is_unspecified() {
        return Err(CliError::usage(
            "others must be told an address: give --advertise ADDR, or --listen on one address",
        ));
    }
    let epoch = args.epoch.as_deref().map_or(Ok(HOME_EPOCH), parse_duration)?;
    let config = HomeConfig {
        listen,
        advertise: args.advertise,
        nodes: args.nodes.unwrap_or(NODES),
        params: home_params(epoch),
        storage,
    };
    Ok(Home::create(&args.dir, &config)?)
}

fn go_on(args: &StartArgs, storage: ByteSize) -> Result<Home, CliError> {
    let mut home = Home::open(&args.dir)?;
    let is_other = args.listen.is_some_and(|listen| listen != home.listen());
    if is_other || args.advertise.is_some() || args.epoch.is_some() {
        let text = format!(
            "{} holds a network at {} already: leave out --listen, --advertise and --epoch, or \
             choose another directory",
            args.dir.display(),
            home.listen()
        );
        return Err(CliError::usage(text));
    }
    if let Some(nodes) = args.nodes {
        home.grow(nodes, storage)?;
    }
    Ok(home)
}

/// The address of this machine on the way to others.
fn own_address() -> Result<IpAddr, CliError> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
    let address = socket.and_then(|socket| {
        socket.connect(ELSEWHERE)?;
        socket.local_addr()
    });
    let none =
        |_| CliError::usage("this machine has no address of its own: give --listen ADDR:PORT");
    Ok(address.map_err(none)?.ip())
}

fn announce(home: &Home, args: &StartArgs, json: bool) {
    let card = NetworkCard::new(home.genesis());
    let (network, count) = (home.genesis().network(), home.node_count());
    let first = home.genesis().authorities.iter().find_map(|entry| entry.addresses.first());
    let value = json!({
        "event": "started", "network": network, "card": card.to_string(), "address": first,
        "nodes": count, "dir": args.dir, "network_file": args.dir.join(NETWORK_FILE),
    });
    let at = first.map(ToString::to_string).unwrap_or_default();
    let text = format!(
        "Network {network} at {at}: an authority, and {count} nodes on the ports after it.\n{}\n\
         Others run a node with:  enjambre-node init --network CARD --dir DIR\n\
         and write messages with: enjambre network join CARD\n\
         Until nodes of others join, this machine sees every hop: who writes to whom is no secret \
         from it.",
        card::lines(&card)
    );
    answer(json, &value, &text);
}
