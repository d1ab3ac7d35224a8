//! What went wrong lately: charges that fade, guards that are down, guards that carry too little.
//!
//! All of it fades within minutes, also while it is stored, and none of it decides which rules are
//! kept.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::time::Timestamp;

mod stored;

pub use stored::{PATH_HEALTH_MAX, PathHealth};

/// The whole charge of one failure. Divides into the halves of three edges.
pub(super) const FAILURE: u32 = 24;

/// After how long a charge is half of what it was: a failed node is avoided for some eight minutes.
const HALF_LIFE: Duration = Duration::from_secs(120);

/// The greatest charge: sixteen failures at once, gone in twenty minutes.
const CHARGE_MAX: u32 = 16 * FAILURE;

/// Nodes with a charge, at most. More than a client can fail with in eight minutes.
const CHARGED_MAX: usize = 1024;

/// Charges by node.
#[derive(Clone, Debug, Default)]
pub(super) struct Charges(BTreeMap<NodeId, (u32, Timestamp)>);

impl Charges {
    /// What is left of a node's charges.
    pub(super) fn level(&self, node: &NodeId, now: Timestamp) -> u32 {
        self.0.get(node).map_or(0, |&(charge, since)| faded(charge, since, now))
    }

    pub(super) fn add(&mut self, node: NodeId, charge: u32, now: Timestamp) {
        if self.0.len() >= CHARGED_MAX {
            self.0.retain(|_, &mut (charge, since)| faded(charge, since, now) > 0);
        }
        let level = (self.level(&node, now) + charge).min(CHARGE_MAX);
        if self.0.len() < CHARGED_MAX || self.0.contains_key(&node) {
            self.0.insert(node, (level, now));
        }
    }
}

fn faded(charge: u32, since: Timestamp, now: Timestamp) -> u32 {
    let halvings = now.saturating_since(since).as_millis() / HALF_LIFE.as_millis();
    u32::try_from(halvings).ok().and_then(|by| charge.checked_shr(by)).unwrap_or(0)
}

/// The first wait before an unreachable guard is tried again.
const PROBE_FIRST: Duration = Duration::from_secs(30);

/// The longest wait: a guard that came back is in use again within ten minutes.
const PROBE_LAST: Duration = Duration::from_secs(600);

/// How long an answer from some guard proves that the client itself is connected.
const CONNECTED_FOR: Duration = Duration::from_secs(600);

/// Guards that may be down without that proof before the sample stops growing for it.
const BLIND_MAX: usize = 4;

#[derive(Clone, Copy, Debug)]
struct Down {
    failures: u32,
    probe_at: Timestamp,
}

/// How long a middle counts as unreachable after a guard said so.
const UNREACHED_FOR: Duration = Duration::from_secs(600);

/// Middles counted as unreachable, at most: several second layers.
const UNREACHED_MAX: usize = 64;

/// Which guards do not answer the client, and which middles do not answer guards.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach {
    down: BTreeMap<NodeId, Down>,
    unreached: BTreeMap<NodeId, Timestamp>,
    answered: Option<Timestamp>,
    grew_blindly: Option<Timestamp>,
}

impl Reach {
    pub(super) fn is_down(&self, node: &NodeId) -> bool {
        self.down.contains_key(node)
    }

    /// Reports in a row that a guard did not answer.
    pub(super) fn failures(&self, node: &NodeId) -> u32 {
        self.down.get(node).map_or(0, |down| down.failures)
    }

    pub(super) fn lost(&mut self, node: NodeId, now: Timestamp) {
        let failures = self.failures(&node).saturating_add(1);
        self.down.insert(node, Down { failures, probe_at: now.saturating_add(wait(failures)) });
    }

    /// A guard answered. If none had for long, the client was cut off and the others deserve
    /// another try at once.
    pub(super) fn found(&mut self, node: &NodeId, now: Timestamp) {
        self.down.remove(node);
        if !self.is_connected(now) {
            self.network_changed(now);
        }
        self.answered = Some(now);
    }

    /// The client's own network changed: every guard deserves another try at once.
    pub(super) fn network_changed(&mut self, now: Timestamp) {
        for down in self.down.values_mut() {
            *down = Down { failures: 1, probe_at: now };
        }
    }

    /// Whether some guard answered lately.
    fn is_connected(&self, now: Timestamp) -> bool {
        self.answered.is_some_and(|at| now.saturating_since(at) < CONNECTED_FOR)
    }

    /// Whether another guard may be drawn because others are down. A client that is cut off would
    /// else walk through its whole sample in a minute.
    pub(super) fn may_grow(&mut self, now: Timestamp) -> bool {
        if self.is_connected(now) || self.down.len() < BLIND_MAX {
            return true;
        }
        let due = self.grew_blindly.is_none_or(|at| now.saturating_since(at) >= CONNECTED_FOR);
        if due {
            self.grew_blindly = Some(now);
        }
        due
    }

    /// Those of `wanted` that are due to be tried again: the first `room` of them, so that a client
    /// whose network comes back does not show itself to its whole sample. The others wait a little.
    pub(super) fn due(&mut self, wanted: &[NodeId], room: usize, now: Timestamp) -> Vec<NodeId> {
        let mut due = Vec::new();
        for node in wanted {
            let Some(down) = self.down.get_mut(node).filter(|down| down.probe_at <= now) else {
                continue;
            };
            if due.len() < room {
                down.probe_at = now.saturating_add(wait(down.failures));
                due.push(*node);
            } else {
                down.probe_at = now.saturating_add(PROBE_FIRST);
            }
        }
        due
    }

    /// When the next of `wanted` is due.
    pub(super) fn next_due(&self, wanted: &[NodeId]) -> Option<Timestamp> {
        wanted.iter().filter_map(|node| Some(self.down.get(node)?.probe_at)).min()
    }

    /// Forgets the guards that are none any more.
    pub(super) fn retain(&mut self, is_guard: impl Fn(&NodeId) -> bool) {
        self.down.retain(|node, _| is_guard(node));
    }

    pub(super) fn forget(&mut self, node: &NodeId) {
        self.down.remove(node);
    }

    /// A guard said that it cannot reach this middle.
    pub(super) fn middle_lost(&mut self, node: NodeId, now: Timestamp) {
        self.unreached.retain(|_, since| now.saturating_since(*since) < UNREACHED_FOR);
        if self.unreached.len() < UNREACHED_MAX {
            self.unreached.insert(node, now);
        }
    }

    pub(super) fn middle_found(&mut self, node: &NodeId) {
        self.unreached.remove(node);
    }

    pub(super) fn is_middle_lost(&self, node: &NodeId, now: Timestamp) -> bool {
        self.unreached.get(node).is_some_and(|at| now.saturating_since(*at) < UNREACHED_FOR)
    }
}

fn wait(failures: u32) -> Duration {
    PROBE_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(PROBE_LAST)
}

/// Tries after which a guard's success rate says something.
const RATE_TRIES: u32 = 20;

/// Tries after which old ones count half, so that the rate follows the present.
const RATE_WINDOW: u32 = 200;

/// What a guard carried of what it was given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rate {
    /// Requests that went through the guard, whatever became of them behind it.
    pub carried: u32,
    /// Requests that were lost in silence or at the guard's own edge.
    pub lost: u32,
}

impl Rate {
    /// Whether the guard loses so much that a person should know: under two thirds of at least
    /// 20 tries. An honest guard loses what lies behind it too, but not a third for long.
    pub const fn is_low(self) -> bool {
        let tries = self.carried.saturating_add(self.lost);
        tries >= RATE_TRIES && self.lost > tries / 3
    }

    pub(super) fn count(&mut self, carried: u32, lost: u32) {
        self.carried += carried;
        self.lost += lost;
        if self.carried + self.lost >= RATE_WINDOW {
            self.carried /= 2;
            self.lost /= 2;
        }
    }
}
