//! One step: the swarms of the next document.

use std::collections::{BTreeMap, BTreeSet};

use super::active::Active;
use super::commit::{Judge, commit_all, commit_orphans, segments};
use super::input::{Readiness, Statements, StorageNode, SwarmParams};
use super::plan::{Hold, Plan};
use super::quorum::read_quorum;
use super::ring::hand_overs;
use super::state::{Configuration, Phase, SwarmState, Target};
use crate::id::{Digest, SwarmId};
use crate::time::Timestamp;

/// Computes the swarms of the next document.
///
/// `nodes` are the storage nodes that are active now, in any order; `statements` those of the
/// reports that make the document; `beacon` and `now` are the document's. `previous` is the state
/// of the document before, or the default before the first.
pub fn transition(
    previous: &SwarmState,
    nodes: &[StorageNode],
    statements: &Statements,
    beacon: &Digest,
    now: Timestamp,
    params: &SwarmParams,
) -> SwarmState {
    let active = Active::new(nodes, beacon);
    let mut state = previous.clone();
    let mut lost = BTreeSet::new();
    let (mut held, mut failed) = (Vec::new(), BTreeMap::new());
    if params.readiness == Readiness::Stated {
        let judge = Judge { active: &active, statements, params, now };
        failed = judge.failed(&state);
        judge.commit(&mut state);
        // A node that joined with a commit has not failed it.
        failed.retain(|_, swarm| state.configuration(*swarm).is_some_and(|c| c.target.is_some()));
        lost = judge.recover(&mut state);
        held = judge.held(&state);
    }
    let mut plan = Plan::new(&state.configurations, &active, &held, failed);
    plan.settle(params.cuckoo_k);
    follow(&plan, &mut state, now);
    commit_orphans(&mut state);
    if params.readiness == Readiness::AtOnce || previous.configurations.is_empty() {
        lost.extend(commit_all(&mut state, &active));
    }
    let moved = hand_overs(&previous.stable_ring(), &state.target_ring());
    let heirs: Vec<SwarmId> =
        moved.iter().filter(|moved| lost.contains(&moved.from)).map(|moved| moved.to).collect();
    lost.extend(heirs);
    number(previous, &mut state, &lost, now);
    note_presence(&mut state, &active, now);
    state
}

/// Brings the configurations in line with the plan.
fn follow(plan: &Plan<'_>, state: &mut SwarmState, now: Timestamp) {
    let stays = |swarm: SwarmId| plan.swarms.binary_search_by_key(&swarm, |p| p.swarm).is_ok();
    // A forming swarm that is not planned any more holds nothing.
    state.configurations.retain(|c| c.phase != Phase::Forming || stays(c.swarm));
    for configuration in state.configurations.iter_mut().filter(|c| !stays(c.swarm)) {
        configuration.phase = Phase::Dissolving;
        configuration.target = None;
    }
    for planned in &plan.swarms {
        let found = state.configurations.binary_search_by_key(&planned.swarm, |c| c.swarm);
        let at = found.unwrap_or_else(|at| {
            state.configurations.insert(at, Configuration::forming(planned.swarm));
            at
        });
        let configuration = &mut state.configurations[at];
        let target = configuration.target.as_ref().map(|target| &*target.members);
        let members = match target {
            Some(target) if planned.hold == Hold::Held => target.to_vec(),
            Some(_) | None => plan.desired(planned),
        };
        if members.is_empty() || target == Some(&members) && configuration.stable != members {
            continue;
        }
        let changes = configuration.stable != members;
        configuration.target = changes.then_some(Target { members, since: now });
    }
}

impl Configuration {
    /// A swarm that nobody is a member of yet; its number is given at the end of the step.
    const fn forming(swarm: SwarmId) -> Self {
        Self {
            swarm,
            number: 0,
            phase: Phase::Forming,
            stable: Vec::new(),
            target: None,
            unread_since: None,
            loss_possible: None,
        }
    }
}

/// Who stands with a swarm between the owners on either side of it, and in which phase.
fn neighbourhoods(state: &SwarmState) -> BTreeMap<SwarmId, Vec<(SwarmId, Phase)>> {
    let mut all: BTreeMap<SwarmId, Vec<(SwarmId, Phase)>> = BTreeMap::new();
    for segment in segments(&state.configurations) {
        let members: Vec<&Configuration> =
            segment.iter().map(|&at| &state.configurations[at]).collect();
        for member in &members {
            let beside = all.entry(member.swarm).or_default();
            beside.extend(members.iter().map(|c| (c.swarm, c.phase)));
        }
    }
    all
}

/// Gives the next number to every configuration whose members, phase or neighbours changed, and
/// to those that go on without a read quorum.
fn number(previous: &SwarmState, state: &mut SwarmState, lost: &BTreeSet<SwarmId>, now: Timestamp) {
    let gone = |c: &&Configuration| state.configuration(c.swarm).is_none();
    let retired = previous.configurations.iter().filter(gone).map(|c| c.number).max();
    state.retired = previous.retired.max(retired.unwrap_or(0));
    let (before, after) = (neighbourhoods(previous), neighbourhoods(state));
    for configuration in &mut state.configurations {
        let swarm = configuration.swarm;
        let old = previous.configuration(swarm);
        let same = old.is_some_and(|old| {
            old.phase == configuration.phase
                && old.stable == configuration.stable
                && members(old) == members(configuration)
                && before.get(&swarm) == after.get(&swarm)
        });
        if same && !lost.contains(&swarm) {
            continue;
        }
        let base = old.map_or(state.retired, |old| old.number);
        configuration.number = base.saturating_add(1);
        if let Some(target) = &mut configuration.target {
            target.since = now;
        }
        if lost.contains(&swarm) {
            configuration.loss_possible = Some(configuration.number);
        }
    }
}

fn members(configuration: &Configuration) -> Option<&[super::Member]> {
    configuration.target.as_ref().map(|target| &*target.members)
}

/// Notes since when a swarm has been without a read quorum of stable.
fn note_presence(state: &mut SwarmState, active: &Active, now: Timestamp) {
    for configuration in &mut state.configurations {
        let stable = &configuration.stable;
        let unread = active.present(stable) < read_quorum(stable.len());
        let since = configuration.unread_since.unwrap_or(now);
        configuration.unread_since = unread.then_some(since);
    }
}
