//! Whole paths over months: how soon, and how often, an adversary sees a client.
//!
//! Each client keeps guards and, if there is one, a second layer, whose lives end and who are replaced; it sends one
//! request after the other to the swarms of its contacts. The protocol's
//! [`PathMachine`](enjambre_protocol::path::PathMachine) chooses, or a sampler that chooses alike, is a hundred times
//! faster, and has settings for what the machine has fixed. The adversary owns nodes, weight or address prefixes, and
//! looks.
//!
//! Nodes may come and go; whoever is in the directory answers. No packet is built: that is the onion engine's.
//!
//! # Invariants
//!
//! - *Four nodes*: guard, middle, exit and destination of every request are distinct.
//! - *Always a path*: while all nodes are there, no request is left without one.

mod churn;
mod client;
mod deployed;
mod machine;
mod measure;
mod sampler;
#[cfg(test)]
mod tests;
mod world;

pub(crate) use measure::{Theory, merge};

use crate::run::Outcome;
use crate::scenario::{Paths, Selection};
use crate::stream::Streams;
use crate::trace::Trace;
use client::{Broken, Change, Chooser, Client, Record};
use deployed::Deployed;
use machine::Machine;
use measure::Measures;
use sampler::Sampler;
use world::World;

/// Why a simulation was given up: a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathsError {
    /// A path with a node twice.
    #[error("a path of client {client} has a node twice")]
    FourNodes {
        /// The client's index.
        client: u32,
    },
    /// A request without a path.
    #[error("a request of client {client} found no path")]
    NoPath {
        /// The client's index.
        client: u32,
    },
}

/// Runs one replicate. Its events are the requests; the digest holds each client's, folded.
pub(crate) fn run(paths: &Paths, streams: &Streams) -> Result<Outcome<Measures>, PathsError> {
    let clients = match paths.selection {
        Selection::Machine => watch::<Machine>(paths, streams),
        Selection::Sampler(_) => watch::<Sampler>(paths, streams),
        Selection::Deployed { .. } => watch::<Deployed>(paths, streams),
    }?;
    let (mut trace, mut events) = (Trace::new(), 0);
    for (client, record) in (0u32..).zip(&clients) {
        events += record.requests;
        trace.event(&[&client.to_le_bytes(), &record.fold.to_le_bytes(), &record.to_bytes()]);
    }
    Ok(Outcome { digest: trace.finish(), events, measures: Measures { clients } })
}

/// Lets all clients live, from one look at the directory to the next.
fn watch<C: Chooser>(paths: &Paths, streams: &Streams) -> Result<Vec<Record>, PathsError> {
    let mut world = World::found(paths, streams);
    let clients = (0..paths.clients).map(|index| Client::<C>::new(paths, streams, index));
    let mut clients: Vec<_> = clients.collect();
    let (mut from, mut change) = (0, Change::None);
    while from <= paths.span {
        let until = paths.churn.map_or(paths.span + 1, |churn| from + churn.document);
        for (client, life) in (0..).zip(&mut clients) {
            life.live(paths, &world, from, until, change).map_err(|broken| match broken {
                Broken::NoPath => PathsError::NoPath { client },
                Broken::NotFour => PathsError::FourNodes { client },
            })?;
        }
        from = until;
        change = world.advance(from);
    }
    Ok(clients.iter().map(Client::record).collect())
}
