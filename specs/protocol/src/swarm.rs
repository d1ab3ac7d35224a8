//! Swarms: which nodes keep which part of the ring, and how that changes.
//!
//! An account id maps to a [`Point`] of a 64-bit ring; the nearest swarm owns it. A swarm is a
//! handful of storage nodes under a [`Configuration`]. [`transition`] computes the swarms of the
//! next directory document from those of the one before, the nodes that are active now, what the
//! members have stated, and the beacon. It is run unchanged by authorities, model checks and the
//! simulator.
//!
//! Not here: how members replicate and reconcile ([`crate::mailbox`]), and who counts as active
//! ([`crate::directory`]). Specified in 03 swarms.
//!
//! # Invariants
//!
//! - *Pure*: the result is a function of the arguments, whatever the order of the node list.
//! - *Sizes*: with ten nodes or more every swarm is planned with 5, 6 or 7 members.
//! - *Durable*: what a majority of every concerned list holds is found by any read quorum of the
//!   stable members of its owner, through every change, unless the configuration says that a loss
//!   is possible.
//! - *Still*: a node that stays active is moved only to keep the sizes.

mod active;
mod commit;
mod diff;
mod input;
pub mod invariants;
mod plan;
mod quorum;
mod ring;
mod sizes;
mod state;
mod transition;

pub use diff::SwarmDiff;
pub use input::{
    Progress, Readiness, Statement, Statements, StorageNode, SwarmParams, storage_prefix,
};
pub use quorum::{majority, read_quorum, read_satisfied, write_satisfied};
pub use ring::{Arc, HandOver, Point, arc_of, hand_overs, owner, point};
pub use sizes::{SWARM_MAX, SWARM_MIN, dissolves_below, forms_at};
pub use state::{Configuration, Member, Phase, Route, SwarmState, Target};
pub use transition::transition;

#[cfg(test)]
mod tests;
