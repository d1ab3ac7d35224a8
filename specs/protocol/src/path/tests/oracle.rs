//! The rules once more, from the text of the chapter and by trying every triple.

use std::collections::BTreeMap;

use crate::id::NodeId;
use crate::path::{Candidate, Destination, PathState, Rule};

/// Strongest first.
const RULES: [Rule; 4] = [
    Rule::GuardOutsideDestinationSwarm,
    Rule::DistinctFamilies,
    Rule::MiddleAndExitOutsideDestinationSwarm,
    Rule::DistinctPrefixes,
];

/// The rules that three hops break, strongest first. `None` unless the nodes are four.
pub(super) fn broken(hops: [&Candidate; 3], destination: &Destination) -> Option<Vec<Rule>> {
    let four = [hops[0], hops[1], hops[2]].map(Destination::from);
    let four = [four[0], four[1], four[2], *destination];
    let mut pairs = (0..4).flat_map(|i| (0..i).map(move |j| (i, j)));
    if pairs.clone().any(|(i, j)| four[i].node == four[j].node) {
        return None;
    }
    let in_swarm = |hop: usize| four[hop].swarm.is_some() && four[hop].swarm == four[3].swarm;
    let breaks = |rule: &Rule| match rule {
        Rule::GuardOutsideDestinationSwarm => in_swarm(0),
        Rule::MiddleAndExitOutsideDestinationSwarm => in_swarm(1) || in_swarm(2),
        Rule::DistinctFamilies => {
            pairs.clone().any(|(i, j)| four[i].family.is_some() && four[i].family == four[j].family)
        }
        _ => pairs.any(|(i, j)| four[i].prefix.is_shared_with(four[j].prefix)),
    };
    let mut breaks = breaks;
    Some(RULES.into_iter().filter(|rule| breaks(rule)).collect())
}

/// Guards and middles that a draw may use, given what is persisted.
#[derive(Debug)]
pub(super) struct Sets<'a> {
    pub(super) guards: Vec<&'a Candidate>,
    pub(super) middles: Vec<&'a Candidate>,
}

/// The guards of the sample that are active: listed, and not beyond half of the relays, half of
/// the swarm and 20, where two and one are always allowed.
pub(super) fn active<'a>(state: &PathState, relays: &'a [Candidate]) -> Vec<&'a Candidate> {
    let mut active: Vec<&Candidate> = Vec::new();
    for member in state.guards() {
        if let Some(guard) = relays.iter().find(|relay| relay.node == member.node)
            && has_room(&active, guard, relays)
        {
            active.push(guard);
        }
    }
    active
}

fn has_room(active: &[&Candidate], guard: &Candidate, relays: &[Candidate]) -> bool {
    let mut sizes: BTreeMap<_, usize> = BTreeMap::new();
    for relay in relays {
        *sizes.entry(relay.swarm).or_default() += 1;
    }
    let mates = active.iter().filter(|other| other.swarm == guard.swarm).count();
    active.len() < (relays.len() / 2).clamp(2, 20) && mates < (sizes[&guard.swarm] / 2).max(1)
}

pub(super) fn sets<'a>(state: &PathState, relays: &'a [Candidate]) -> Sets<'a> {
    let active = active(state, relays);
    let is_active = |node: &NodeId| active.iter().any(|guard| guard.node == *node);
    let is_middle = |node: &NodeId| state.middles().iter().any(|m| m.node == *node);
    let layer: Vec<_> =
        relays.iter().filter(|relay| is_middle(&relay.node) && !is_active(&relay.node)).collect();
    let layer_grows = layer.len() < 8;
    let in_sample = |node: &NodeId| state.guards().iter().any(|m| m.node == *node);
    let joins_sample = |relay: &&Candidate| {
        state.guards().len() < 20 && !in_sample(&relay.node) && has_room(&active, relay, relays)
    };
    let middles = if layer_grows {
        relays.iter().filter(|relay| !is_active(&relay.node)).collect()
    } else {
        layer
    };
    let guards = active.iter().copied().chain(relays.iter().filter(joins_sample)).collect();
    Sets { guards, middles }
}

/// What the best of all triples breaks; `None` if there is none.
pub(super) fn least_relaxed(
    state: &PathState,
    relays: &[Candidate],
    destination: &Destination,
) -> Option<Vec<Rule>> {
    let sets = sets(state, relays);
    let mut best: Option<(u8, Vec<Rule>)> = None;
    for guard in &sets.guards {
        for middle in &sets.middles {
            for exit in relays {
                let Some(broken) = broken([guard, middle, exit], destination) else { continue };
                // The strongest rule weighs more than all weaker ones together.
                let weight = |rule: &Rule| 8 >> RULES.iter().position(|r| r == rule).unwrap();
                let cost = broken.iter().map(weight).sum();
                if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                    best = Some((cost, broken));
                }
            }
        }
    }
    best.map(|(_, broken)| broken)
}
