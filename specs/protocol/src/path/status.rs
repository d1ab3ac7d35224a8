//! What a machine tells its driver, and what it shows to people.

use super::health::Rate;
use super::state::Retired;
use crate::id::NodeId;
use crate::time::Timestamp;

/// What the machine has to say.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathEvent {
    /// A guard was given up for good.
    GuardRetired {
        /// The guard.
        node: NodeId,
        /// Why.
        why: Retired,
    },
    /// A guard loses much of what it is given; said once until it is well again.
    GuardLowSuccess {
        /// The guard.
        node: NodeId,
        /// What it carried and lost.
        rate: Rate,
    },
    /// Try to reach this guard, and say what came of it: it would be in use if it answered.
    ProbeGuard {
        /// The guard.
        node: NodeId,
    },
    /// Persist [`super::PathMachine::state`] before the next packet is sent.
    StateChanged,
}

/// What a member of the sample is at present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuardUse {
    /// One of the two that paths start at.
    InUse,
    /// Waits behind those in use.
    Waiting,
    /// Did not answer; probed.
    Unreachable,
    /// Listed, but the network is too small for so many guards.
    Dormant,
    /// Not in the directory at present.
    Unlisted,
}

/// One guard, for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardStatus {
    /// The guard.
    pub node: NodeId,
    /// What it is at present.
    pub guard_use: GuardUse,
    /// When it was chosen.
    pub first_seen: Timestamp,
    /// When its life ends.
    pub expires: Timestamp,
    /// What it carried and lost since the client started.
    pub rate: Rate,
}

/// The machine's insides, for showing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathStatus {
    /// The sample, in its order.
    pub guards: Vec<GuardStatus>,
    /// The second layer as listed, oldest first.
    pub middles: Vec<NodeId>,
    /// Relays in the adopted anchor.
    pub relays: usize,
}
