//! How a client chooses the nodes its packets go through: guard, middle, exit.
//!
//! The guard knows the client and the exit knows which node is asked, so what matters over time is
//! how many nodes ever stand at each place, and that they belong to different people. A client
//! therefore keeps few guards for months, reaches them only through a small second layer kept for
//! weeks, draws exits afresh, and holds the four nodes of a path apart by swarm, family and
//! address. [`PathMachine`] does that; it is told what happened and draws [`Path`]s.
//!
//! Not here: building packets for the hops (`onion`), opening links to a guard, choosing the
//! destination among the members of a swarm, and storing [`PathState`]. Specified in 05 paths.
//!
//! # Invariants
//!
//! - *Four nodes*: guard, middle, exit and destination of every path are distinct.
//! - *Named*: a rule is broken only if anchor and persisted sets together leave no path that keeps
//!   it beside the stronger rules, and then it is named. Who is reachable plays no part.
//! - *Few guards*: at most [`GUARDS_MAX`] at a time, none given up for not answering.
//! - *Isolation*: hops drawn for one [`IsolationKey`] are never handed out for another.
//! - *Pure*: the machine is a function of what it is told, the times and the random numbers.

use core::fmt;

use crate::crypto;
use crate::id::{Digest, NodeId};
use crate::retry::Retry;
use crate::time::Timestamp;

mod anchor;
mod board;
mod candidate;
mod health;
mod layer;
mod machine;
mod pick;
mod rule;
mod sample;
mod select;
mod state;
mod status;
mod subscription;
#[cfg(test)]
mod tests;

pub use anchor::{Anchor, AnchorMachine, AnchorParams};
pub use candidate::{Candidate, Destination, PathParams, Prefix};
pub use health::{PATH_HEALTH_MAX, PathHealth, Rate};
pub use machine::PathMachine;
pub use rule::{Hop, Rule};
pub use state::{GUARDS_MAX, MIDDLES_MAX, MISSING_FOR, Member, PATH_STATE_MAX, PathState, Retired};
pub use status::{GuardStatus, GuardUse, PathEvent, PathStatus};
pub use subscription::{RESETS_MAX, Reopen, ReopenAt};

/// What one path may be used for: nothing with another key shares it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IsolationKey(Digest);

impl IsolationKey {
    /// The key for one of the client's own identities, the mailbox or peer it deals with, and what
    /// for (`send`, `retrieve`, `subscribe` …).
    pub fn new(own: &[u8], with: &[u8], purpose: &str) -> Self {
        let parts = [own, with, purpose.as_bytes()];
        Self(crypto::digest("enjambre/path-isolation/1", &parts))
    }
}

impl fmt::Debug for IsolationKey {
    /// Not shown: it is a digest of account ids, which a reader of logs could try out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IsolationKey(..)")
    }
}

/// A drawn path. The number is the draw's: two paths of a machine with the same number have the
/// same hops, drawn once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Number of the draw, within one machine.
    pub number: u64,
    /// What it may be used for.
    pub key: IsolationKey,
    /// Guard, middle, exit.
    pub hops: [NodeId; 3],
    /// The node that is asked.
    pub destination: NodeId,
    /// Rules that could not be kept, strongest first.
    pub relaxed: Vec<Rule>,
    /// When the hops were drawn.
    pub drawn: Timestamp,
}

impl Path {
    /// The first hop: the only node the client speaks to.
    pub const fn guard(&self) -> NodeId {
        self.hops[0]
    }

    /// The second hop.
    pub const fn middle(&self) -> NodeId {
        self.hops[1]
    }

    /// The third hop.
    pub const fn exit(&self) -> NodeId {
        self.hops[2]
    }

    /// The node at a place.
    pub const fn node(&self, hop: Hop) -> NodeId {
        match hop {
            Hop::Guard => self.hops[0],
            Hop::Middle => self.hops[1],
            Hop::Exit => self.hops[2],
            Hop::Destination => self.destination,
        }
    }
}

/// Where a path failed, as far as the client can know.
///
/// A sealed error proves who speaks, so only a hop itself can name the edge behind it. It may lie;
/// that is why an edge charges both its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A hop said that it could not reach the next.
    Edge(FailedEdge),
    /// A hop said that it will not serve: it is busy, or knows neither key nor time of the packet.
    Hop(FailedHop),
    /// Nobody said anything: no answer in time, a frame that does not open, an end without `last`.
    Silent,
}

/// An edge of a path behind the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedEdge {
    /// Named by the guard.
    GuardToMiddle,
    /// Named by the middle.
    MiddleToExit,
    /// Named by the exit.
    ExitToDestination,
}

impl FailedEdge {
    /// The edge that `speaker` can name; the destination has none behind it.
    pub const fn named_by(speaker: Hop) -> Option<Self> {
        match speaker {
            Hop::Guard => Some(Self::GuardToMiddle),
            Hop::Middle => Some(Self::MiddleToExit),
            Hop::Exit => Some(Self::ExitToDestination),
            Hop::Destination => None,
        }
    }

    /// Its two ends.
    pub const fn ends(self) -> [Hop; 2] {
        match self {
            Self::GuardToMiddle => [Hop::Guard, Hop::Middle],
            Self::MiddleToExit => [Hop::Middle, Hop::Exit],
            Self::ExitToDestination => [Hop::Exit, Hop::Destination],
        }
    }
}

/// A hop that refused, in a sealed error of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailedHop(pub Hop);

/// Why there is no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A path has four different nodes.
    #[error("a path needs 4 nodes and the network has {found}")]
    TooFewNodes {
        /// Nodes in the adopted directory, and the destination.
        found: usize,
    },
    /// The sample is full of guards that the directory does not list.
    #[error("none of the {GUARDS_MAX} guards is listed, and no other may be chosen yet")]
    GuardsExhausted,
    /// The guard of the path to be hedged is no longer listed.
    #[error("the guard of the first try is no longer listed")]
    GuardGone,
}

impl PathError {
    /// What the caller can do.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::TooFewNodes { .. } | Self::GuardsExhausted | Self::GuardGone => Retry::Later,
        }
    }
}
