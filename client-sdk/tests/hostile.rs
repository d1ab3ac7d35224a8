//! A running node, over real links, against clients and a node that keep to no rule.
//!
//! Packets with flipped bits, cut short, of random bytes, or with layers that lead nowhere;
//! directory, mailbox and peer requests that are garbage or forged; streams that are given up
//! half-way. Each gets an error or a reset, no process ends, memory stays where it was, and the
//! node still serves. Heads of unknown kinds are tried where they can be sent, in enjambre-link.
//!
//! `ENJAMBRE_HOSTILE_COUNT` sets the number of requests; `make hostile` asks for 100 000. Every
//! request is a function of its worker and number, which a failure names.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

#[path = "hostile/requests.rs"]
mod requests;
mod support;
#[path = "hostile/worker.rs"]
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use enjambre_link::{Admission, Endpoint, Identity, LinkConfig, LinkError, Pool, PoolConfig};
use enjambre_node::devnet::Process;
use enjambre_node::{directory, files};
use enjambre_protocol::id::{NetworkId, SwarmId};
use enjambre_protocol::identity::KeyPurpose;
use enjambre_protocol::mailbox::{Call, Reply, Request, Response};
use enjambre_protocol::onion::{HopTarget, Item};
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::wire;
use support::Network;
use support::onion::hop_of;
use worker::Worker;

/// Requests without the environment variable: about ten seconds on two cores.
const COUNT: u64 = 20_000;

/// Workers, each with links of its own and one request at a time.
const WORKERS: u64 = 48;

/// What memory may grow by after the first fifth of the requests, KiB: 64 MiB.
const GROWTH_MAX: u64 = 64 << 10;

/// Bytes of an answer that are read.
const REPLY_MAX: usize = 4 << 20;

/// A node as the document lists it.
#[derive(Clone, Debug)]
struct Listed {
    hop: HopTarget,
    addresses: Vec<SocketAddr>,
}

/// What all workers share.
struct Field {
    network: NetworkId,
    /// The node under attack first.
    nodes: Vec<Listed>,
    /// Links under the key of a listed node that turned hostile; all workers share them, for a
    /// node may have few.
    traitor: Pool,
    swarms: Vec<SwarmId>,
    /// Bad mailbox calls that reached the node under attack and were answered there.
    answered: AtomicU64,
}

impl Field {
    /// Which node a worker links to when the one under attack is the destination.
    fn guard(&self, worker: u64) -> usize {
        let others = u64::try_from(self.nodes.len()).unwrap() - 1;
        usize::try_from(1 + worker % others).unwrap()
    }
}

/// What came back.
#[derive(Debug)]
enum Answer {
    /// A reset, or a link that was closed.
    Refused(LinkError),
    /// Bytes and a clean end.
    Bytes(Vec<u8>),
}

type Judged = Result<(), String>;

#[test]
fn node_survives_hostile_requests_answers_each_and_still_serves() {
    let count = std::env::var("ENJAMBRE_HOSTILE_COUNT").map_or(COUNT, |count| {
        count.parse().expect("ENJAMBRE_HOSTILE_COUNT is a number of requests")
    });
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let processes = network.nodes();
    let (traitor, processes) = processes.split_last().unwrap();
    let target = &processes[0];
    let genesis = files::load_network(&network.file()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let field = runtime.block_on(async {
        let newest = directory::fetch_latest(&genesis).await.unwrap();
        let document = newest.document();
        let mut nodes: Vec<Listed> = document
            .nodes
            .iter()
            .filter(|node| node.id.to_string() != traitor.id)
            .map(|node| Listed { hop: hop_of(node), addresses: node.addresses.clone() })
            .collect();
        let at = nodes.iter().position(|node| node.hop.node.to_string() == target.id).unwrap();
        nodes.swap(0, at);
        let key = files::load_key(&traitor.dir.join("identity.key"), KeyPurpose::Node).unwrap();
        let config = LinkConfig::new(Admission::everyone());
        let endpoint = Endpoint::bind(any_address(), Identity::Node(&key), config).unwrap();
        Field {
            network: genesis.network(),
            nodes,
            traitor: Pool::new(endpoint, PoolConfig::default()).unwrap(),
            swarms: document.swarms.stable_ring(),
            answered: AtomicU64::new(0),
        }
    });
    network.devnet(&["kill", &traitor.name]);
    let field = Arc::new(field);
    let attack = |from: u64, to: u64| {
        runtime.block_on(async {
            let done = Arc::new(AtomicU64::new(from));
            let mut workers = tokio::task::JoinSet::new();
            for number in 0..WORKERS {
                let (field, done) = (Arc::clone(&field), Arc::clone(&done));
                workers.spawn(async move {
                    let mut worker = Worker::new(number + from * WORKERS, field);
                    while done.fetch_add(1, Ordering::Relaxed) < to {
                        worker.step().await;
                    }
                });
            }
            while let Some(ended) = workers.join_next().await {
                ended.unwrap();
            }
        });
    };

    attack(0, count / 5);
    let before: Vec<u64> = processes.iter().map(resident).collect();
    attack(count / 5, count);
    // A tenth of the requests are bad mailbox calls over three hops.
    assert!(field.answered.load(Ordering::Relaxed) > count / 20);
    for (process, before) in processes.iter().zip(before) {
        let after = resident(process);
        assert!(after < before + GROWTH_MAX, "{} grew from {before} to {after} KiB", process.name);
    }
    runtime.block_on(async {
        let mut client = Worker::new(u64::MAX, Arc::clone(&field));
        let request = ServiceRequest::Mailbox(Request::One(Box::new(Call::Info)));
        let Ok(Ok(Item::Reply(reply))) = client.by_path(&wire::encode(&request)).await else {
            panic!("the node does not serve any more");
        };
        let reply = wire::decode(&reply, REPLY_MAX);
        let Ok(ServiceReply::Mailbox(Response::One(Ok(Reply::Info(_))))) = reply else {
            panic!("the node serves something else: {reply:?}");
        };
    });
    network.user("ana", &["send", &ben, "Hola"]);
    assert_eq!(network.receive("ben"), ["Hola"]);
    for process in processes {
        assert!(process.is_alive(), "{} ended", process.name);
    }
}

/// Memory that a process has in use, KiB. Fails if it does not run.
fn resident(process: &Process) -> u64 {
    assert!(process.is_alive(), "{} ended", process.name);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn any_address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}
