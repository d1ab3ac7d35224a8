//! Rare events on maps of swarms: how likely an adversary has a majority of one, or a burst takes all of one.
//!
//! A replicate is one map: a network that grew and churned through documents by the protocol's rules or by the deployed
//! network's, or nodes dealt into swarms of a fixed size. Whose nodes are malicious, or gone at once, is drawn uniformly
//! and without regard to the map. So given the map each swarm's members are a uniform draw, and what happens to a share of
//! the swarms, or to a random mailbox, has an exact hypergeometric probability (`chance`): however tiny, it varies with the map
//! only. That *any* swarm is struck is not the sum of these; it is estimated by importance sampling (`union`), with the
//! exact value of the same maps beside it as what theory expects.
//!
//! Not here: adversaries that choose which swarm their nodes join, and messages.
//!
//! # Invariants
//!
//! - *Disjoint*: no node is in two swarms of a map.
//! - *Struck*: every weighted sample has at least one struck swarm.

mod chance;
mod map;
mod measure;
mod theory;
mod union;

pub(crate) use map::Map;
pub(crate) use measure::merge;
pub(crate) use theory::Theory;

use crate::churn::ChurnError;
use crate::run::Outcome;
use crate::scenario::Swarms;
use crate::stream::Streams;
use crate::trace::Trace;
use measure::Measures;

/// Runs one replicate. Its events are documents and weighted samples.
pub(crate) fn run(swarms: &Swarms, streams: &Streams) -> Result<Outcome<Measures>, ChurnError> {
    let mut trace = Trace::new();
    let maps = map::maps(swarms, streams, &mut trace)?;
    let measures = Measures::of(swarms, &maps, streams, &mut trace);
    let events = trace.events() + measures.samples();
    Ok(Outcome { digest: trace.finish(), events, measures })
}
