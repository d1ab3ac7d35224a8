//! The difference between two states, for those who have the older one.

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
        let replaced = |swarm: SwarmId| {
            diff.removed.contains(&swarm) || diff.changed.iter().any(|c| c.swarm == swarm)
        };
        let mut configurations: Vec<Configuration> =
            self.configurations.iter().filter(|c| !replaced(c.swarm)).cloned().collect();
        configurations.extend(diff.changed);
        configurations.sort_by_key(|c| c.swarm);
        Self { configurations, retired: diff.retired }
    }
}
