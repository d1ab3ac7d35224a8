//! Properties of transitions over long random histories.
#![allow(clippy::unwrap_used)]

mod durability;
mod rules;
mod vectors;

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use super::*;
use crate::crypto;
use crate::id::{Digest, FamilyId, NodeId, StoreId, SwarmId};
use crate::time::Timestamp;

const AT_ONCE: SwarmParams = SwarmParams {
    readiness: Readiness::AtOnce,
    cuckoo_k: 0,
    ready_within: Duration::from_secs(50),
    lost_after: Duration::from_secs(300),
};
const STATED: SwarmParams = SwarmParams { readiness: Readiness::Stated, ..AT_ONCE };

fn beacon(height: u64) -> Digest {
    crypto::digest("enjambre/test-beacon/1", &[&height.to_le_bytes()])
}

/// A number below `bound`.
fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    usize::try_from(rng.next_u64() % u64::try_from(bound.max(1)).unwrap()).unwrap()
}

/// The active nodes of a history and what comes out of it. One step is ten seconds.
struct History {
    rng: ChaCha8Rng,
    params: SwarmParams,
    nodes: Vec<StorageNode>,
    state: SwarmState,
    height: u64,
    /// All nodes that ever were, with their stores: some come back.
    gone: Vec<StorageNode>,
}

impl History {
    fn new(seed: u64, params: SwarmParams) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            params,
            nodes: Vec::new(),
            state: SwarmState::default(),
            height: 0,
            gone: Vec::new(),
        }
    }

    fn join(&mut self) {
        let again = below(&mut self.rng, 4) == 0 && !self.gone.is_empty();
        let node = if again {
            let at = below(&mut self.rng, self.gone.len());
            self.gone.swap_remove(at)
        } else {
            let (mut node, mut store) = ([0; 32], [0; 16]);
            self.rng.fill_bytes(&mut node);
            self.rng.fill_bytes(&mut store);
            let family = below(&mut self.rng, 100);
            StorageNode {
                node: NodeId::from_bytes(node),
                store: StoreId::from_bytes(store),
                prefix: [10, 0, u8::try_from(below(&mut self.rng, 200)).unwrap()],
                family: (family < 30)
                    .then(|| FamilyId::from_bytes([u8::try_from(family).unwrap(); 32])),
                listed: self.height,
            }
        };
        self.nodes.push(node);
    }

    fn leave(&mut self) {
        if !self.nodes.is_empty() {
            let at = below(&mut self.rng, self.nodes.len());
            let node = self.nodes.swap_remove(at);
            self.gone.push(node);
        }
    }

    fn empty_one(&mut self) {
        if !self.nodes.is_empty() {
            let at = below(&mut self.rng, self.nodes.len());
            let mut store = [0; 16];
            self.rng.fill_bytes(&mut store);
            self.nodes[at].store = StoreId::from_bytes(store);
        }
    }

    fn time(&self) -> Timestamp {
        Timestamp::from_secs(1000 + 10 * self.height)
    }

    /// Computes the next state and checks all that must hold of it. Returns the one before.
    fn step(&mut self, statements: &Statements) -> SwarmState {
        self.height += 1;
        let (beacon, time) = (beacon(self.height), self.time());
        let before = self.state.clone();
        let next = transition(&before, &self.nodes, statements, &beacon, time, &self.params);
        if let Err(violation) = invariants::check(&next, &self.nodes, &self.params) {
            panic!("height {}, {} nodes: {violation}", self.height, self.nodes.len());
        }
        if self.height.is_multiple_of(16) {
            let mut shuffled = self.nodes.clone();
            shuffled.reverse();
            let again = transition(&before, &shuffled, statements, &beacon, time, &self.params);
            assert_eq!(next, again, "height {}: the order of the nodes matters", self.height);
        }
        self.check_numbers(&before, &next);
        self.state = next;
        before
    }

    /// Numbers only grow, and nothing that members act by changes under the same number.
    fn check_numbers(&self, before: &SwarmState, next: &SwarmState) {
        for new in &next.configurations {
            let Some(old) = before.configuration(new.swarm) else {
                assert!(new.number > before.retired, "height {}: a number again", self.height);
                continue;
            };
            assert!(new.number == old.number || new.number == old.number + 1);
            if new.number == old.number {
                let same = Configuration { unread_since: old.unread_since, ..new.clone() };
                assert_eq!(&same, old, "height {}: a change without a number", self.height);
            }
        }
    }
}

/// Which swarm each node is planned for.
fn places(state: &SwarmState) -> BTreeMap<NodeId, SwarmId> {
    let planned = state.configurations.iter().filter(|c| c.phase != Phase::Dissolving);
    planned.flat_map(|c| c.planned().iter().map(|m| (m.node, c.swarm))).collect()
}

/// How many nodes that are active before and after changed their swarm or lost it.
fn moves(before: &SwarmState, after: &SwarmState, nodes: &[StorageNode]) -> usize {
    let (old, new) = (places(before), places(after));
    let active: BTreeSet<NodeId> = nodes.iter().map(|n| n.node).collect();
    old.iter().filter(|(node, swarm)| active.contains(node) && new.get(node) != Some(swarm)).count()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Join,
    Leave,
    Empty,
    JoinMany,
    DropHalf,
}

impl History {
    /// Something happens; joins and leaves take turns so that the number of nodes runs from 0 to
    /// 500 and back.
    fn happen(&mut self) -> Event {
        let grows = (self.height / 600).is_multiple_of(2);
        let dice = below(&mut self.rng, 400);
        let event = match dice {
            0 => Event::DropHalf,
            1..=4 => Event::JoinMany,
            5..=30 => Event::Empty,
            _ if dice.is_multiple_of(3) == grows => Event::Leave,
            _ => Event::Join,
        };
        let event = if self.nodes.len() >= 500 { Event::Leave } else { event };
        match event {
            Event::Join => self.join(),
            Event::Leave => self.leave(),
            Event::Empty => self.empty_one(),
            Event::JoinMany => {
                for _ in 0..=below(&mut self.rng, 30) {
                    self.join();
                }
            }
            Event::DropHalf => {
                for _ in 0..self.nodes.len() / 2 {
                    self.leave();
                }
            }
        }
        event
    }
}

#[test]
fn sizes_hold_and_moves_are_bounded_over_ten_thousand_steps() {
    let mut history = History::new(1, AT_ONCE);
    let (mut most, mut largest) = (0, 0);
    for _ in 0..10_000 {
        let event = history.happen();
        let before = history.step(&Statements::none());
        largest = largest.max(history.nodes.len());
        let moved = moves(&before, &history.state, &history.nodes);
        match event {
            // A new swarm of five takes four nodes beside the joiner; a dissolved one has four
            // left; a gap takes one.
            Event::Join | Event::Leave => assert!(moved <= 4, "{event:?} moved {moved}"),
            Event::Empty => assert_eq!(moved, 0, "an emptied node moved"),
            Event::JoinMany | Event::DropHalf => {}
        }
        let same_swarms = before.target_ring() == history.state.target_ring();
        if event == Event::Join && same_swarms {
            assert_eq!(moved, 0, "a join without a new swarm moved {moved}");
        }
        most = most.max(moved);
    }
    assert!(most > 4 && largest > 300, "the history was too calm: {most} moves, {largest} nodes");
}

#[test]
fn swaps_keep_the_sizes() {
    let mut history = History::new(5, SwarmParams { cuckoo_k: 2, ..AT_ONCE });
    let mut swapped = 0;
    for _ in 0..1500 {
        let event = history.happen();
        let before = history.step(&Statements::none());
        if event == Event::Join && before.target_ring() == history.state.target_ring() {
            let moved = moves(&before, &history.state, &history.nodes);
            // Two swaps move four nodes.
            assert!(moved <= 4, "a join moved {moved}");
            swapped += moved;
        }
    }
    assert!(swapped > 100, "only {swapped} nodes swapped");
}

#[test]
fn same_seed_gives_the_same_history() {
    let run = |seed| {
        let mut history = History::new(seed, AT_ONCE);
        for _ in 0..300 {
            history.happen();
            history.step(&Statements::none());
        }
        history.state
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}
