//! What went wrong lately, as it is kept between short starts of a client.
//!
//! A client that runs for one command would otherwise pay for the same dead nodes each time. What
//! is kept fades as it does in a machine that runs on, and is forgotten within minutes.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use super::{
    CHARGE_MAX, CHARGED_MAX, Charges, Down, PROBE_LAST, Reach, UNREACHED_FOR, UNREACHED_MAX, faded,
};
use crate::id::NodeId;
use crate::path::GUARDS_MAX;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

/// Bytes of a stored [`PathHealth`], at most: 46 for each of some 1 100 nodes, rounded up.
pub const PATH_HEALTH_MAX: usize = 64 << 10;

/// How long after its probe was due a guard still counts as down when a client starts. Later it is
/// tried like any other.
const DOWN_FOR: Duration = PROBE_LAST;

/// Charges and unreachable nodes of a [`crate::path::PathMachine`]: who failed lately. Whoever
/// holds it knows the client's guards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathHealth {
    charged: Vec<Charged>,
    down: Vec<StoredDown>,
    unreached: Vec<Unreached>,
    answered: Option<Timestamp>,
    grew_blindly: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Charged {
    node: NodeId,
    charge: u32,
    since: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct StoredDown {
    node: NodeId,
    failures: u32,
    probe_at: Timestamp,
}

impl StoredDown {
    fn counts(&self, now: Timestamp) -> bool {
        let soon = now.saturating_add(PROBE_LAST);
        self.failures > 0 && self.probe_at <= soon && now.saturating_since(self.probe_at) < DOWN_FOR
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Unreached {
    node: NodeId,
    since: Timestamp,
}

impl PathHealth {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads what [`Self::encode`] wrote. What the bytes say is put into bounds when a machine
    /// takes it up.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes, PATH_HEALTH_MAX)
    }

    /// Whether a guard counts as down for a client that starts at `now`.
    pub fn is_down(&self, guard: &NodeId, now: Timestamp) -> bool {
        self.down.iter().any(|down| down.node == *guard && down.counts(now))
    }

    /// What of it still counts at `now`.
    pub(in crate::path) fn of(charges: &Charges, reach: &Reach, now: Timestamp) -> Self {
        let charged =
            charges.0.iter().map(|(node, &(charge, since))| Charged { node: *node, charge, since });
        let down = reach.down.iter().map(|(node, down)| StoredDown {
            node: *node,
            failures: down.failures,
            probe_at: down.probe_at,
        });
        let unreached =
            reach.unreached.iter().map(|(node, since)| Unreached { node: *node, since: *since });
        Self {
            charged: charged.filter(|kept| faded(kept.charge, kept.since, now) > 0).collect(),
            down: down.take(GUARDS_MAX).collect(),
            unreached: unreached
                .filter(|kept| now.saturating_since(kept.since) < UNREACHED_FOR)
                .collect(),
            answered: reach.answered,
            grew_blindly: reach.grew_blindly,
        }
    }

    /// What a machine that starts at `now` takes up: nothing of the future, nothing beyond what
    /// one could have kept.
    pub(in crate::path) fn restore(self, now: Timestamp) -> (Charges, Reach) {
        let (mut charges, mut reach) = (Charges::default(), Reach::default());
        for Charged { node, charge, since } in self.charged.into_iter().take(CHARGED_MAX) {
            let charge = charge.min(CHARGE_MAX);
            if since <= now && faded(charge, since, now) > 0 {
                charges.0.insert(node, (charge, since));
            }
        }
        for down in self.down.into_iter().take(GUARDS_MAX).filter(|down| down.counts(now)) {
            let StoredDown { node, failures, probe_at } = down;
            reach.down.insert(node, Down { failures, probe_at });
        }
        for Unreached { node, since } in self.unreached.into_iter().take(UNREACHED_MAX) {
            if since <= now && now.saturating_since(since) < UNREACHED_FOR {
                reach.unreached.insert(node, since);
            }
        }
        reach.answered = self.answered.filter(|at| *at <= now);
        reach.grew_blindly = self.grew_blindly.filter(|at| *at <= now);
        (charges, reach)
    }
}
