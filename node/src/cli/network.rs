//! `network`: make, show or start a network.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use enjambre_protocol::directory::{
    AuthorityEntry, Document, Genesis, NetworkCard, Params, VerifiedDocument, tolerated,
};
use enjambre_protocol::id::{AuthorityId, NodeId};
use serde_json::{Value, json};

use super::{CliError, answer, card, init, start};
use crate::files;

#[derive(Debug, Subcommand)]
pub(crate) enum NetworkCommand {
    /// Start a home network, or go on with the one of a directory.
    Start(start::StartArgs),
    /// Make a network of authorities that exist already.
    #[command(
        after_help = "Example: enjambre-node network create --authority 5f…@192.0.2.1:22100 --out network.toml"
    )]
    Create {
        /// An authority, as KEY@ADDR:PORT; given once for each.
        #[arg(long, required = true)]
        authority: Vec<String>,
        /// The file to write.
        #[arg(long)]
        out: PathBuf,
        /// A parameter, as name=value; may be repeated.
        #[arg(long)]
        param: Vec<String>,
    },
    /// Show the current directory of a network.
    #[command(after_help = "Example: enjambre-node network show --network network.toml --json")]
    Show {
        /// The network's card or file.
        #[arg(long)]
        network: String,
    },
}

pub(crate) fn run(command: NetworkCommand, json: bool) -> Result<(), CliError> {
    match command {
        NetworkCommand::Start(args) => start::start(&args, json),
        NetworkCommand::Create { authority, out, param } => create(&authority, &out, &param, json),
        NetworkCommand::Show { network } => show(&network, json),
    }
}

fn create(
    authorities: &[String],
    out: &Path,
    params: &[String],
    json: bool,
) -> Result<(), CliError> {
    if out.exists() {
        return Err(CliError::failed(
            "exists",
            format!(
                "{} exists already; choose another name, or it would name two networks",
                out.display()
            ),
        ));
    }
    let entries = authorities.iter().map(|text| parse_authority(text)).collect::<Result<_, _>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let created = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let genesis = Genesis::new(created, entries, parse_params(params)?).map_err(CliError::usage)?;
    files::save_network(out, &genesis)?;
    let n = genesis.authorities.len();
    let card = NetworkCard::new(&genesis);
    let text = format!(
        "Network {} with {n} authorities: {} signatures make a document, {} may be down or lie.\n{}{card}",
        genesis.network(),
        genesis.threshold(),
        tolerated(n),
        if n < 4 {
            "Fewer than 4 authorities tolerate none that fails: fine at home, not for the public.\n"
        } else {
            ""
        },
    );
    let value = json!({
        "network": genesis.network(), "authorities": n, "threshold": genesis.threshold(),
        "tolerated": tolerated(n), "card": card.to_string(),
    });
    answer(json, &value, &text);
    Ok(())
}

fn parse_authority(text: &str) -> Result<AuthorityEntry, CliError> {
    let wrong = || CliError::usage(format!("`{text}` is no authority; write KEY@ADDR:PORT"));
    let (id, address) = text.split_once('@').ok_or_else(wrong)?;
    let id: AuthorityId = id.parse().map_err(|_| wrong())?;
    let addresses: Vec<SocketAddr> = address.to_socket_addrs().map_err(|_| wrong())?.collect();
    Ok(AuthorityEntry { id, addresses })
}

/// Sets `name=value` over the defaults; a wrong name or value lists what is allowed.
pub(crate) fn parse_params(params: &[String]) -> Result<Params, CliError> {
    override_params(Params::default(), params)
}

/// The same over other defaults.
pub(crate) fn override_params(base: Params, params: &[String]) -> Result<Params, CliError> {
    let mut value = serde_json::to_value(base).map_err(CliError::usage)?;
    let known: Vec<String> =
        value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default();
    for text in params {
        let allowed = || {
            CliError::usage(format!(
                "`{text}` is no parameter; write one of {}=NUMBER",
                known.join("=NUMBER, ")
            ))
        };
        let (name, number) = text.split_once('=').ok_or_else(allowed)?;
        let number: u64 = number.trim().parse().map_err(|_| allowed())?;
        *value.get_mut(name.trim()).ok_or_else(allowed)? = json!(number);
    }
    serde_json::from_value(value)
        .map_err(|error| CliError::usage(format!("a parameter is out of range: {error}")))
}

fn show(network: &str, json: bool) -> Result<(), CliError> {
    let genesis = init::resolve_network(network)?;
    let document = crate::run::block_on(crate::directory::fetch_latest(&genesis))
        .map_err(|error| CliError::later("network", error))?
        .map_err(|error| CliError::later("network", error))?;
    let value = document_json(&genesis, &document);
    let card = NetworkCard::new(&genesis);
    let shown = document.document();
    let mut text = format!(
        "Network {}\nheight {}, {} of {} signatures needed {}\n{} nodes, {} swarms\n",
        shown.network,
        shown.height,
        document.signed().certificate.signatures.len(),
        genesis.authorities.len(),
        genesis.threshold(),
        shown.nodes.len(),
        shown.swarms.configurations.len(),
    );
    for configuration in &shown.swarms.configurations {
        text.push_str(&format!(
            "  swarm {} config {}: {} members\n",
            configuration.swarm,
            configuration.number,
            configuration.stable.len()
        ));
    }
    text.push_str(&card::lines(&card));
    answer(json, &value, &text);
    Ok(())
}

/// Whether a node answers for what its swarm keeps: it is a stable member.
fn is_stable(document: &Document, node: NodeId) -> bool {
    let mut configurations = document.swarms.configurations.iter();
    configurations
        .any(|configuration| configuration.stable.iter().any(|member| member.node == node))
}

/// The JSON shape of `network show`.
pub(crate) fn document_json(genesis: &Genesis, verified: &VerifiedDocument) -> Value {
    let document = verified.document();
    let nodes: Vec<Value> = document
        .nodes
        .iter()
        .map(|node| {
            let swarm = document.swarms.swarm_of(node.id);
            json!({
                "id": node.id, "address": node.addresses.first(), "swarm": swarm,
                "ready": is_stable(document, node.id), "family": node.family,
            })
        })
        .collect();
    let swarms: Vec<Value> = document
        .swarms
        .configurations
        .iter()
        .map(|configuration| {
            let ids = |members: &[enjambre_protocol::swarm::Member]| -> Vec<_> {
                members.iter().map(|member| member.node).collect()
            };
            json!({
                "id": configuration.swarm, "config": configuration.number,
                "members": ids(&configuration.stable), "target": ids(configuration.planned()),
            })
        })
        .collect();
    json!({
        "network": document.network, "height": document.height,
        "epoch": genesis.params.epoch_ms,
        "signatures": verified.signed().certificate.signatures.len(),
        "threshold": genesis.threshold(), "nodes": nodes, "swarms": swarms,
        "card": NetworkCard::new(genesis).to_string(),
    })
}
