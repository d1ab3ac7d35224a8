//! The nodes that are active now, by index, and the numbers drawn for them.
//!
//! Indices come from this list only and are valid for one transition.

use super::input::StorageNode;
use super::state::Member;
use crate::crypto;
use crate::id::{Digest, NodeId};

const DRAW_LABEL: &str = "enjambre/swarm-draw/1";

/// Three numbers that nobody could choose: from the beacon, a node and a counter.
pub(super) fn draws(label: &'static str, beacon: &Digest, node: NodeId, counter: u8) -> [u64; 3] {
    let digest = crypto::digest(label, &[beacon.as_bytes(), node.as_bytes(), &[counter]]);
    let word = |at: usize| {
        digest.as_bytes()[8 * at..8 * at + 8].iter().rev().fold(0, |n, &b| (n << 8) | u64::from(b))
    };
    [word(0), word(1), word(2)]
}

/// The element that a drawn number picks.
pub(super) fn pick<T: Copy>(from: &[T], draw: u64) -> Option<T> {
    let len = u64::try_from(from.len()).ok()?;
    from.get(usize::try_from(draw.checked_rem(len)?).ok()?).copied()
}

/// The storage nodes that are active now, sorted, each once, with its drawn number.
pub(super) struct Active {
    nodes: Vec<(StorageNode, u64)>,
    beacon: Digest,
}

impl Active {
    pub(super) fn new(nodes: &[StorageNode], beacon: &Digest) -> Self {
        let mut nodes: Vec<(StorageNode, u64)> = nodes
            .iter()
            .map(|node| (node.clone(), draws(DRAW_LABEL, beacon, node.node, 0)[0]))
            .collect();
        // By store too: of one node listed twice the same entry stays, in whatever order they came.
        nodes.sort_by_key(|(node, _)| (node.node, node.store, node.listed));
        nodes.dedup_by_key(|(node, _)| node.node);
        Self { nodes, beacon: *beacon }
    }

    pub(super) const fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn index(&self, node: NodeId) -> Option<usize> {
        self.nodes.binary_search_by_key(&node, |(active, _)| active.node).ok()
    }

    /// The member that an active node is now.
    pub(super) fn member(&self, index: usize) -> Member {
        let node = &self.nodes[index].0;
        Member { node: node.node, store: node.store }
    }

    /// The number drawn for an active node.
    pub(super) fn draw(&self, index: usize) -> u64 {
        self.nodes[index].1
    }

    /// The height that listed an active node.
    pub(super) fn listed(&self, index: usize) -> u64 {
        self.nodes[index].0.listed
    }

    pub(super) const fn beacon(&self) -> &Digest {
        &self.beacon
    }

    /// Whether the member is active with the store it was named with.
    pub(super) fn holds(&self, member: &Member) -> bool {
        self.index(member.node).is_some_and(|index| self.member(index) == *member)
    }

    /// How many of the members are active with the store they were named with.
    pub(super) fn present(&self, members: &[Member]) -> usize {
        members.iter().filter(|member| self.holds(member)).count()
    }

    /// The nodes of a list that are active, whatever their store.
    pub(super) fn indices(&self, members: &[Member]) -> Vec<usize> {
        members.iter().filter_map(|member| self.index(member.node)).collect()
    }

    /// How many networks and families a node would share with the members.
    pub(super) fn conflicts(&self, index: usize, members: &[usize]) -> usize {
        let own = &self.nodes[index].0;
        let shared = |other: &usize| {
            let other = &self.nodes[*other].0;
            usize::from(other.prefix == own.prefix)
                + usize::from(own.family.is_some() && other.family == own.family)
        };
        members.iter().map(shared).sum()
    }
}
