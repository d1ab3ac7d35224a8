//! Drawing three hops: first what the directory and the persisted sets allow, then what works.
//!
//! Which rules are kept is decided before anyone asks who is reachable. Within them, nodes that
//! failed lately are avoided; where all that is allowed has failed, the least charged serves.

use rand_core::CryptoRng;

use super::board::Board;
use super::candidate::{Candidate, Destination, Relays};
use super::health::{Charges, FAILURE, Reach};
use super::rule::{Hop, Rule};
use super::state::PathState;
use super::{PathError, layer, pick, sample};
use crate::id::NodeId;
use crate::time::Timestamp;

/// What a draw reads and changes.
pub(super) struct Selector<'a> {
    pub(super) now: Timestamp,
    pub(super) relays: &'a Relays,
    pub(super) state: &'a mut PathState,
    pub(super) charges: &'a Charges,
    pub(super) reach: &'a mut Reach,
}

/// What the caller asks for beyond the rules.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Wish<'a> {
    /// The guard that must be used.
    pub(super) guard: Option<NodeId>,
    /// Nodes to avoid like failed ones: in this place wholly, in another half as much.
    pub(super) avoid: &'a [(Hop, NodeId)],
    /// Hops to keep if they keep the rules.
    pub(super) keep: Option<[NodeId; 3]>,
}

/// Three hops and the rules they could not keep.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    pub(super) hops: [NodeId; 3],
    pub(super) relaxed: Vec<Rule>,
    /// Whether the kept hops serve.
    pub(super) kept: bool,
}

impl<'a> Selector<'a> {
    pub(super) fn select(
        &mut self,
        destination: &Destination,
        wish: Wish<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Selected, PathError> {
        let relays = self.relays;
        let others = relays.all().iter().filter(|relay| relay.node != destination.node).count();
        if others < 3 {
            return Err(PathError::TooFewNodes { found: others + 1 });
        }
        let active = sample::active(self.state, relays);
        let fixed = match wish.guard {
            Some(node) => Some(relays.get(&node).ok_or(PathError::GuardGone)?),
            None => None,
        };
        let board = self.board(destination, &active, fixed).ok_or(PathError::GuardsExhausted)?;

        let relaxed = board.rules.dropped();
        if let Some(hops) = wish.keep.filter(|hops| self.still_serve(&board, &active, hops)) {
            return Ok(Selected { hops, relaxed, kept: true });
        }
        let guard = match fixed {
            Some(guard) => Some(guard),
            None => self.guard(&board, &active, rng),
        }
        .ok_or(PathError::GuardsExhausted)?;
        let middle =
            self.middle(&board, guard, wish.avoid, rng).ok_or(PathError::GuardsExhausted)?;
        let exit = self
            .exit(&board, [guard, middle], wish.avoid, rng)
            .ok_or(PathError::GuardsExhausted)?;
        Ok(Selected { hops: [guard.node, middle.node, exit.node], relaxed, kept: false })
    }

    /// The strongest rules that the directory and the persisted sets can keep.
    fn board<'b>(
        &self,
        destination: &'b Destination,
        active: &[&'a Candidate],
        fixed: Option<&'a Candidate>,
    ) -> Option<Board<'b>>
    where
        'a: 'b,
    {
        let addable = sample::addable(self.state, self.relays, active);
        let free = active.iter().copied().chain(addable).filter(|_| fixed.is_none());
        let members = layer::listed(self.state, self.relays, active);
        let joinable = layer::joinable(self.state, self.relays, active);
        let guards = fixed.into_iter().chain(free);
        let middles = members.into_iter().chain(joinable);
        Board::strongest(destination, &guards, &middles, self.relays.all())
    }

    /// Whether hops drawn earlier can still be used, and keep the rules for this destination.
    fn still_serve(&self, board: &Board<'_>, active: &[&Candidate], hops: &[NodeId; 3]) -> bool {
        let is_guard = |node: &NodeId| active.iter().any(|guard| guard.node == *node);
        // One whose life is over, or that became a guard (also a dormant one), has left the layer.
        let is_middle = |node: &NodeId| self.state.middles.iter().any(|of| of.node == *node);
        let [guard, middle, _] = hops;
        let mut listed = hops.iter().filter_map(|node| self.relays.get(node));
        let (Some(first), Some(second), Some(third)) =
            (listed.next(), listed.next(), listed.next())
        else {
            return false;
        };
        is_guard(guard)
            && is_middle(middle)
            && !is_guard(middle)
            && !self.reach.is_down(guard)
            && board.allows([first, second, third])
    }

    /// A guard in use, else the next reachable one in the sample, else a new one, else one that
    /// did not answer lately.
    fn guard(
        &mut self,
        board: &Board<'_>,
        active: &[&'a Candidate],
        rng: &mut impl CryptoRng,
    ) -> Option<&'a Candidate> {
        let allowed = |guard: &&&'a Candidate| board.allows_guard(guard);
        let up: Vec<_> =
            active.iter().copied().filter(|guard| !self.reach.is_down(&guard.node)).collect();
        let in_use: Vec<_> = sample::in_use(&up).iter().filter(allowed).copied().collect();
        if let Some(guard) =
            pick::uniform(rng, &least(&in_use, |guard| self.charges.level(&guard.node, self.now)))
        {
            return Some(guard);
        }
        if let Some(next) = up.iter().find(allowed) {
            return Some(next);
        }
        let down: Vec<_> = active.iter().filter(allowed).copied().collect();
        let addable = sample::addable(self.state, self.relays, active);
        let new: Vec<_> = addable.filter(|guard| board.allows_guard(guard)).collect();
        if !new.is_empty() && (down.is_empty() || self.reach.may_grow(self.now)) {
            let new = sample::draw(self.state, active, &new, rng)?;
            self.state.add_guard(new.node, self.now, rng);
            let active = sample::active(self.state, self.relays);
            layer::fill(self.state, self.relays, &active, self.now, rng);
            return Some(new);
        }
        down.into_iter().min_by_key(|guard| self.reach.failures(&guard.node))
    }

    /// The member of the second layer with the least charged way on, or a new member where none
    /// is allowed or guards reached none of those that are.
    fn middle(
        &mut self,
        board: &Board<'_>,
        guard: &Candidate,
        avoid: &[(Hop, NodeId)],
        rng: &mut impl CryptoRng,
    ) -> Option<&'a Candidate> {
        let relays = self.relays;
        let active = sample::active(self.state, relays);
        let members = layer::listed(self.state, relays, &active);
        let allowed = |middle: &&&Candidate| board.allows_middle(guard, middle);
        let serving: Vec<_> = members.iter().filter(allowed).copied().collect();
        if serving.iter().all(|middle| self.reach.is_middle_lost(&middle.node, self.now)) {
            let joinable = layer::joinable(self.state, relays, &active);
            let new: Vec<_> =
                joinable.filter(|middle| board.allows_middle(guard, middle)).collect();
            let mut new = least(&new, |middle| self.charges.level(&middle.node, self.now));
            if !serving.is_empty() {
                new.retain(|middle| self.charges.level(&middle.node, self.now) == 0);
            }
            if let Some(new) = layer::draw(&members, &active, &new, rng) {
                self.state.add_middle(new.node, self.now, rng);
                return Some(new);
            }
        }
        let cost = |middle: &Candidate| {
            let exits = relays.all().iter();
            let exits = exits.filter(|exit| board.allows_exit(guard, middle, exit));
            self.level(Hop::Middle, middle, avoid)
                + lowest(exits.map(|exit| self.level(Hop::Exit, exit, avoid)))
        };
        pick::uniform(rng, &least(&serving, cost))
    }

    /// One of the least charged exits, by weight.
    fn exit(
        &self,
        board: &Board<'_>,
        [guard, middle]: [&Candidate; 2],
        avoid: &[(Hop, NodeId)],
        rng: &mut impl CryptoRng,
    ) -> Option<&'a Candidate> {
        let exits = self.relays.all().iter();
        let allowed: Vec<_> = exits.filter(|exit| board.allows_exit(guard, middle, exit)).collect();
        let least = least(&allowed, |exit| self.level(Hop::Exit, exit, avoid));
        pick::weighted(rng, &least, |exit| exit.weight)
    }

    fn level(&self, hop: Hop, relay: &Candidate, avoid: &[(Hop, NodeId)]) -> u32 {
        let avoided = avoid.iter().filter(|(_, node)| *node == relay.node);
        let avoided = avoided.map(|(place, _)| if *place == hop { FAILURE } else { FAILURE / 2 });
        self.charges.level(&relay.node, self.now) + avoided.sum::<u32>()
    }
}

/// The items of least cost.
fn least<T: Copy>(items: &[T], cost: impl Fn(T) -> u32) -> Vec<T> {
    let costs: Vec<_> = items.iter().map(|item| cost(*item)).collect();
    let Some(least) = costs.iter().min() else { return Vec::new() };
    let cheapest = items.iter().zip(&costs).filter(|(_, cost)| *cost == least);
    cheapest.map(|(item, _)| *item).collect()
}

/// The lowest of `levels`, without looking further once one is 0.
fn lowest(levels: impl Iterator<Item = u32>) -> u32 {
    let mut lowest = u32::MAX / 2;
    for level in levels {
        lowest = lowest.min(level);
        if lowest == 0 {
            break;
        }
    }
    lowest
}
