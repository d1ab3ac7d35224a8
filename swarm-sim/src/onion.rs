//! Requests over onion paths in virtual time: how many arrive, how fast, and who could see.
//!
//! Nodes have real keys and stand in swarms that the protocol's own swarm map formed. Each client
//! draws its paths with a [`PathMachine`](enjambre_protocol::path::PathMachine), builds real
//! packets, and tries again with another path when one fails; each node peels its layer, keeps its
//! replay set and covers the frames of the reply. Links delay and lose messages, nodes go down and
//! come back; a node that comes back has its keys and its replay set, and no open streams.
//!
//! The directory stands still. Links are made at once; a sender learns after `give_up` that the
//! other side is not there. A relay waits for the next node as long as the client waits for it,
//! less a quarter for each hop. An answer travels as one message. Nodes take no time to work and
//! refuse nothing for want of room. Malicious nodes do what honest ones do, and look.
//!
//! # Invariants
//!
//! - *One size*: every packet on every link is as long as its class, every frame as the reply's.
//! - *Sealed*: the request stands in no packet on any link.
//! - *Four nodes*: guard, middle, exit and destination are distinct.
//! - *Once*: no replay set finds a packet of an honest client to be a replay.
//! - *Whole*: what a client takes for the answer is the destination's answer to that request.

mod client;
mod engine;
mod measure;
mod message;
mod node;
mod world;

pub(crate) use measure::merge;

use enjambre_protocol::onion::{BuildError, PeelError};

use crate::run::Outcome;
use crate::scenario::Onion;
use crate::stream::Streams;
use engine::Simulation;
use measure::Measures;

/// Bytes at the front of a request that are looked for on links; random, so never there by chance.
pub const MARKER_LEN: usize = 16;

/// Bytes at the front of a reply: the digest of the request that it answers.
pub const REPLY_MIN: usize = 32;

/// Why a simulation was given up: a promise was broken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnionSimError {
    /// A client could not build a packet for a path that it drew.
    #[error("no packet could be built: {0}")]
    Build(#[from] BuildError),
    /// A node could not peel a packet that a client built.
    #[error("node {node} cannot peel its layer: {source}")]
    Peel {
        /// The node's index.
        node: u32,
        /// Why.
        source: PeelError,
    },
    /// A packet or frame of another length than its class.
    #[error("a message of {len} bytes where {expected} are the only length")]
    OneSize {
        /// Its length.
        len: usize,
        /// The class's.
        expected: usize,
    },
    /// The request stood in a packet.
    #[error("a request of client {client} stood in clear on a link")]
    Sealed {
        /// The client's index.
        client: u32,
    },
    /// A path with a node twice.
    #[error("a path of client {client} has a node twice")]
    FourNodes {
        /// The client's index.
        client: u32,
    },
    /// A fresh packet was taken for a replay.
    #[error("node {node} took a fresh packet for a replay")]
    Once {
        /// The node's index.
        node: u32,
    },
    /// An answer that is not the destination's.
    #[error("client {client} was given a wrong answer")]
    Whole {
        /// The client's index.
        client: u32,
    },
    /// A path with a node that the directory does not list.
    #[error("a packet is for a node that does not exist")]
    NoSuchNode,
}

/// Runs one replicate.
pub(crate) fn run(onion: &Onion, streams: &Streams) -> Result<Outcome<Measures>, OnionSimError> {
    Simulation::new(onion, streams).run()
}
