//! The second layer: the few nodes that serve as middles, so that a guard is seen by few.
//!
//! It is made of two members in each of two swarms, none of them an active guard. It grows beyond
//! these four, up to [`MIDDLES_MAX`], only when a path needs it: because no member keeps the rules
//! for a destination, or because guards could reach none of those that do.

use rand_core::CryptoRng;

use super::candidate::{Candidate, Relays};
use super::pick;
use super::sample::same_family;
use super::state::{MIDDLES_MAX, PathState, share_swarm};
use crate::time::Timestamp;

/// Members of the untroubled layer: two in each of two swarms.
const BASE: usize = 4;

/// The members that are listed and no active guards, oldest first.
pub(super) fn listed<'a>(
    state: &PathState,
    relays: &'a Relays,
    active: &[&Candidate],
) -> Vec<&'a Candidate> {
    let free = |relay: &&Candidate| !active.iter().any(|guard| guard.node == relay.node);
    state.middles.iter().filter_map(|member| relays.get(&member.node)).filter(free).collect()
}

/// The relays that could join the layer; none while it is full. Lazy: a draw rarely needs more than
/// the first.
pub(super) fn joinable<'a>(
    state: &PathState,
    relays: &'a Relays,
    active: &[&Candidate],
) -> impl Iterator<Item = &'a Candidate> + Clone {
    let free = move |relay: &&Candidate| {
        !active.iter().any(|guard| guard.node == relay.node)
            && !state.middles.iter().any(|member| member.node == relay.node)
    };
    let is_full = listed(state, relays, active).len() >= MIDDLES_MAX;
    let all = if is_full { &[] } else { relays.all() };
    all.iter().filter(free)
}

/// Draws one of `from` to join: if possible with a family and a prefix that neither an active
/// guard nor a member has.
pub(super) fn draw<'a>(
    members: &[&Candidate],
    active: &[&Candidate],
    from: &[&'a Candidate],
    rng: &mut impl CryptoRng,
) -> Option<&'a Candidate> {
    let own = |relay: &Candidate| {
        !members
            .iter()
            .chain(active)
            .any(|other| same_family(other, relay) || other.prefix.is_shared_with(relay.prefix))
    };
    let apart: Vec<_> = from.iter().copied().filter(|relay| own(relay)).collect();
    let pool = if apart.is_empty() { from } else { &apart };
    pick::weighted(rng, pool, |relay| relay.weight)
}

/// Draws members until the layer has its two pairs, or no relay is left that could make one.
pub(super) fn fill(
    state: &mut PathState,
    relays: &Relays,
    active: &[&Candidate],
    now: Timestamp,
    rng: &mut impl CryptoRng,
) {
    loop {
        let members = listed(state, relays, active);
        if members.len() >= BASE {
            return;
        }
        let joinable: Vec<_> = joinable(state, relays, active).collect();
        let partners = |one: &Candidate| -> Vec<&Candidate> {
            joinable.iter().copied().filter(|relay| same_swarm(one, relay)).collect()
        };
        // The oldest member without a partner, if its swarm has one left to give.
        let single = members.iter().find_map(|one| {
            let paired = members.iter().any(|m| m.node != one.node && same_swarm(one, m));
            let partners = partners(one);
            (!paired && !partners.is_empty()).then_some(partners)
        });
        let first_of_pair = || -> Vec<&Candidate> {
            joinable
                .iter()
                .copied()
                .filter(|relay| !members.iter().any(|member| same_swarm(member, relay)))
                .collect()
        };
        let pool = single.unwrap_or_else(first_of_pair);
        let Some(member) = draw(&members, active, &pool, rng) else { return };
        state.add_middle(member.node, now, rng);
    }
}

/// Whether two relays stand in one group for the layer; reserves are a group like a swarm.
fn same_swarm(a: &Candidate, b: &Candidate) -> bool {
    share_swarm(a, b) || (a.swarm.is_none() && b.swarm.is_none())
}
