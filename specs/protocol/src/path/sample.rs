//! The guard sample: which of its members count, which are in use, and how it grows.
//!
//! The sample is walked in its order. A listed guard is *active* while the active ones before it
//! leave room: at most [`GUARDS_MAX`], at most half of the relays and half of its swarm (but two
//! and one always), so that the other half can be the second layer even in a small network. The
//! rest of the sample is dormant until the network grows. Reachability plays no part in that.

use std::collections::BTreeMap;

use rand_core::CryptoRng;

use super::candidate::{Candidate, Relays};
use super::pick;
use super::state::{GUARDS_MAX, PathState, share_swarm};
use crate::id::SwarmId;
use crate::time::Timestamp;

/// Active guards that `relays` bear.
fn active_max(relays: &Relays) -> usize {
    (relays.all().len() / 2).clamp(2, GUARDS_MAX)
}

/// Active guards that one swarm bears.
fn active_max_in(relays: &Relays, swarm: Option<SwarmId>) -> usize {
    (relays.swarm_size(swarm) / 2).max(1)
}

/// The active guards, in order.
pub(super) fn active<'a>(state: &PathState, relays: &'a Relays) -> Vec<&'a Candidate> {
    let mut active = Vec::new();
    let mut in_swarm: BTreeMap<Option<SwarmId>, usize> = BTreeMap::new();
    for guard in state.guards.iter().filter_map(|member| relays.get(&member.node)) {
        let count = in_swarm.entry(guard.swarm).or_default();
        if active.len() < active_max(relays) && *count < active_max_in(relays, guard.swarm) {
            *count += 1;
            active.push(guard);
        }
    }
    active
}

/// The relays that could be appended to the sample and be active at once. Lazy: a draw rarely needs
/// more than the first. Members of the second layer are among them.
pub(super) fn addable<'a>(
    state: &PathState,
    relays: &'a Relays,
    active: &[&Candidate],
) -> impl Iterator<Item = &'a Candidate> + Clone {
    let has_room = state.guards.len() < GUARDS_MAX && active.len() < active_max(relays);
    let free = move |relay: &&Candidate| {
        let mates = active.iter().filter(|guard| guard.swarm == relay.swarm).count();
        mates < active_max_in(relays, relay.swarm)
            && !state.guards.iter().any(|member| member.node == relay.node)
    };
    let all = if has_room { relays.all() } else { &[] };
    all.iter().filter(free)
}

/// The one or two guards in use among `usable` (in sample order): the first, and the first after
/// it that is in another swarm, or else the second.
pub(super) fn in_use<'a>(usable: &[&'a Candidate]) -> Vec<&'a Candidate> {
    let Some((first, rest)) = usable.split_first() else { return Vec::new() };
    let second = rest.iter().find(|guard| !share_swarm(first, guard)).or_else(|| rest.first());
    [*first].into_iter().chain(second.copied()).collect()
}

/// Draws one of `from` to be a guard: if possible none of the second layer, with a family and a
/// prefix that no active guard has.
pub(super) fn draw<'a>(
    state: &PathState,
    active: &[&Candidate],
    from: &[&'a Candidate],
    rng: &mut impl CryptoRng,
) -> Option<&'a Candidate> {
    let no_middle = |relay: &Candidate| !is_middle(state, relay);
    let own_family = |relay: &Candidate| !active.iter().any(|guard| same_family(guard, relay));
    let own_prefix =
        |relay: &Candidate| !active.iter().any(|guard| guard.prefix.is_shared_with(relay.prefix));
    let wishes: [&dyn Fn(&Candidate) -> bool; 4] = [
        &|relay| no_middle(relay) && own_family(relay) && own_prefix(relay),
        &|relay| no_middle(relay) && own_family(relay),
        &no_middle,
        &|_| true,
    ];
    let pool = wishes.into_iter().find_map(|wish| {
        let pool: Vec<_> = from.iter().copied().filter(|relay| wish(relay)).collect();
        (!pool.is_empty()).then_some(pool)
    })?;
    pick::weighted(rng, &pool, |relay| relay.weight)
}

/// Draws guards until two are active, of two swarms if the directory has them.
pub(super) fn fill(
    state: &mut PathState,
    relays: &Relays,
    now: Timestamp,
    rng: &mut impl CryptoRng,
) {
    // Each round adds an active guard, and two rounds suffice: one may be wanted for a swarm.
    for _ in 0..3 {
        let active = active(state, relays);
        let one_swarm = active.iter().all(|guard| share_swarm(guard, active[0]));
        if active.len() >= 2 && !one_swarm {
            return;
        }
        let addable: Vec<_> = addable(state, relays, &active).collect();
        let elsewhere: Vec<_> = addable
            .iter()
            .copied()
            .filter(|relay| !active.iter().any(|guard| share_swarm(guard, relay)))
            .collect();
        let any_will_do = active.len() < 2 && elsewhere.is_empty();
        let pool = if any_will_do { &addable } else { &elsewhere };
        let Some(guard) = draw(state, &active, pool, rng) else { return };
        state.add_guard(guard.node, now, rng);
    }
}

fn is_middle(state: &PathState, relay: &Candidate) -> bool {
    state.middles.iter().any(|member| member.node == relay.node)
}

/// Whether two relays name the same family.
pub(super) fn same_family(a: &Candidate, b: &Candidate) -> bool {
    a.family.is_some() && a.family == b.family
}
