//! The difference between two states, for those who have the older one.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::state::{Configuration, SwarmState};
use crate::id::SwarmId;

/// What changed from one state to a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmDiff {
    removed: Vec<SwarmId>,
    changed: Vec<Configuration>,
    retired: u32,
}

impl SwarmState {
    /// The difference from `from` to `to`.
    pub fn diff(from: &Self, to: &Self) -> SwarmDiff {
        let gone = |swarm: &SwarmId| to.configuration(*swarm).is_none();
        let removed = from.configurations.iter().map(|c| c.swarm).filter(gone).collect();
        let other = |c: &&Configuration| from.configuration(c.swarm) != Some(*c);
        let changed = to.configurations.iter().filter(other).cloned().collect();
        SwarmDiff { removed, changed, retired: to.retired }
    }

    /// This state after a difference. From the state that the difference starts from it gives
    /// exactly the later one; from another one, something that its digest will not match.
    #[must_use]
    pub fn apply(&self, diff: SwarmDiff) -> Self {
        // A set: what a stranger sends may name very many.
        let named = diff.removed.iter().copied().chain(diff.changed.iter().map(|c| c.swarm));
        let replaced: BTreeSet<SwarmId> = named.collect();
        let kept = self.configurations.iter().filter(|c| !replaced.contains(&c.swarm));
        let mut configurations: Vec<Configuration> = kept.cloned().collect();
        configurations.extend(diff.changed);
        configurations.sort_by_key(|c| c.swarm);
        Self { configurations, retired: diff.retired }
    }
}
