//! Commits: when a target becomes stable, and what happens when it cannot.

use std::collections::{BTreeMap, BTreeSet};

use super::active::Active;
use super::input::{Progress, Statements, SwarmParams};
use super::quorum::{majority, read_quorum};
use super::state::{Configuration, Phase, SwarmState};
use crate::id::SwarmId;
use crate::time::Timestamp;

/// The parts of the ring that change independently: from one owner to the next, with the forming
/// and dissolving swarms between them, as indices. Both ends are owners; of a single one, the same.
pub(super) fn segments(configurations: &[Configuration]) -> Vec<Vec<usize>> {
    let len = configurations.len();
    let owner = |at: &usize| configurations[*at].phase == Phase::Owner;
    let mut segments = Vec::new();
    for start in (0..len).filter(owner) {
        let mut segment = vec![start];
        for step in 1..=len {
            let at = (start + step) % len;
            segment.push(at);
            if owner(&at) {
                break;
            }
        }
        segments.push(segment);
    }
    segments
}

/// What a transition commits, judged by the statements about the configurations before it.
pub(super) struct Judge<'a> {
    pub(super) active: &'a Active,
    pub(super) statements: &'a Statements,
    pub(super) params: &'a SwarmParams,
    pub(super) now: Timestamp,
}

impl Judge<'_> {
    /// Whether a read quorum of stable has adopted the configuration. So has one without stable
    /// members.
    fn adopted(&self, configuration: &Configuration) -> bool {
        let stable = &configuration.stable;
        let count =
            stable.iter().filter(|m| self.says(configuration, m, Progress::Adopted)).count();
        count >= read_quorum(stable.len())
    }

    /// Whether a majority of the members that are to be stable is ready. A swarm that dissolves
    /// has nothing to become ready for.
    fn ready(&self, configuration: &Configuration) -> bool {
        let planned = configuration.planned();
        let ready = |m: &&_| self.says(configuration, m, Progress::Ready);
        configuration.phase == Phase::Dissolving
            || planned.iter().filter(ready).count() >= majority(planned.len())
    }

    fn says(
        &self,
        configuration: &Configuration,
        member: &super::Member,
        progress: Progress,
    ) -> bool {
        self.active.holds(member)
            && self.statements.reached(configuration.swarm, configuration.number, *member, progress)
    }

    /// Commits every change of members and every segment of the ring that is ready.
    pub(super) fn commit(&self, state: &mut SwarmState) {
        let done: Vec<bool> =
            state.configurations.iter().map(|c| self.adopted(c) && self.ready(c)).collect();
        let mut whole = BTreeSet::new();
        for segment in segments(&state.configurations) {
            if segment.iter().all(|&at| done[at]) {
                whole.extend(segment);
            }
        }
        for (at, configuration) in state.configurations.iter_mut().enumerate() {
            if configuration.phase == Phase::Owner && done[at] || whole.contains(&at) {
                settle(configuration);
            }
        }
        let mut at = 0..;
        state.configurations.retain(|c| {
            let at = at.next();
            c.phase != Phase::Dissolving || !at.is_some_and(|at| whole.contains(&at))
        });
    }

    /// Lets swarms that were without a read quorum for too long go on with what survives: stable
    /// members that are there, and target members that were ready. Returns which.
    pub(super) fn recover(&self, state: &mut SwarmState) -> BTreeSet<SwarmId> {
        let mut lost = BTreeSet::new();
        for configuration in &mut state.configurations {
            let long = configuration
                .unread_since
                .is_some_and(|since| self.now.saturating_since(since) >= self.params.lost_after);
            let stable = &configuration.stable;
            if !long || self.active.present(stable) >= read_quorum(stable.len()) {
                continue;
            }
            let target = configuration.target.iter().flat_map(|target| &target.members);
            let ready = target.filter(|m| self.says(configuration, m, Progress::Ready));
            let kept = stable.iter().filter(|m| self.active.holds(m));
            let survivors: BTreeSet<_> = kept.chain(ready).copied().collect();
            if survivors.is_empty() && self.active.len() == 0 {
                continue;
            }
            configuration.stable = survivors.into_iter().collect();
            let stable = &configuration.stable;
            configuration.target = configuration.target.take().filter(|t| t.members != *stable);
            configuration.unread_since = None;
            lost.insert(configuration.swarm);
        }
        lost
    }

    /// The swarms whose change is left its time. That of an owner without survivors is committed
    /// in this step.
    pub(super) fn held(&self, state: &SwarmState) -> Vec<SwarmId> {
        let orphan = |c: &Configuration| c.phase == Phase::Owner && c.stable.is_empty();
        let in_time = |c: &&Configuration| c.target.is_some() && !self.overdue(c) && !orphan(c);
        state.configurations.iter().filter(in_time).map(|c| c.swarm).collect()
    }

    fn overdue(&self, configuration: &Configuration) -> bool {
        configuration.target.as_ref().is_some_and(|target| {
            self.now.saturating_since(target.since) >= self.params.ready_within
        })
    }

    /// The joiners of overdue changes that did not become ready although they could have: those
    /// whom they reconcile with had adopted the change.
    pub(super) fn failed(&self, state: &SwarmState) -> BTreeMap<usize, SwarmId> {
        let mut waiting_for_others = BTreeSet::new();
        for segment in segments(&state.configurations) {
            let sources = segment.iter().map(|&at| &state.configurations[at]);
            if segment.len() > 2 && !sources.clone().all(|c| self.adopted(c)) {
                waiting_for_others.extend(sources.map(|c| c.swarm));
            }
        }
        let mut failed = BTreeMap::new();
        for configuration in state.configurations.iter().filter(|c| self.overdue(c)) {
            if !self.adopted(configuration) || waiting_for_others.contains(&configuration.swarm) {
                continue;
            }
            for member in configuration.planned() {
                let joins = !configuration.stable.contains(member);
                if joins && !self.says(configuration, member, Progress::Ready) {
                    let index = self.active.index(member.node);
                    failed.extend(index.map(|index| (index, configuration.swarm)));
                }
            }
        }
        failed
    }
}

/// Makes the target stable, if there is one.
fn settle(configuration: &mut Configuration) {
    if let Some(target) = configuration.target.take() {
        configuration.stable = target.members;
        configuration.unread_since = None;
    }
    if configuration.phase == Phase::Forming {
        configuration.phase = Phase::Owner;
    }
}

/// Commits everything, ready or not. Returns the swarms that had no read quorum of stable left.
pub(super) fn commit_all(state: &mut SwarmState, active: &Active) -> BTreeSet<SwarmId> {
    let mut lost = BTreeSet::new();
    for configuration in &mut state.configurations {
        let stable = &configuration.stable;
        let changes = configuration.target.is_some() || configuration.phase == Phase::Dissolving;
        if changes && active.present(stable) < read_quorum(stable.len()) {
            lost.insert(configuration.swarm);
        }
        settle(configuration);
    }
    state.configurations.retain(|c| c.phase != Phase::Dissolving);
    lost
}

/// Makes the target stable where nobody is stable: nothing is left to be ready for.
pub(super) fn commit_orphans(state: &mut SwarmState) {
    for configuration in &mut state.configurations {
        if configuration.phase == Phase::Owner && configuration.stable.is_empty() {
            settle(configuration);
        }
    }
}
