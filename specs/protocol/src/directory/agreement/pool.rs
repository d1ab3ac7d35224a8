//! The descriptors at hand: the newest of each node, and older ones while a height needs them.

use std::collections::{BTreeMap, BTreeSet};

use crate::directory::{Descriptor, Document, NodeState, Params};
use crate::id::{Digest, NodeId};
use crate::limits::NODES_MAX;
use crate::time::Timestamp;

/// What became of a descriptor that a node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the node's newest and will be in the next report.
    Newest,
    /// One at least as new is known.
    Known,
    /// The network has as many nodes as it can.
    Full,
    /// It was made too long ago, or in the future.
    Stale,
}

#[derive(Debug, Default)]
pub(super) struct DescriptorPool {
    /// The newest of each node, whether the document has it yet or not.
    newest: BTreeMap<NodeId, Digest>,
    held: BTreeMap<Digest, Descriptor>,
    /// Named in our report of this height: others may ask for them.
    pinned: BTreeSet<Digest>,
}

impl DescriptorPool {
    pub(super) fn get(&self, digest: &Digest) -> Option<&Descriptor> {
        self.held.get(digest)
    }

    /// Takes what a node says of itself if it is newer than what is known, and if the node has a
    /// place: those that the document lists keep theirs.
    pub(super) fn admit(
        &mut self,
        document: Option<&Document>,
        descriptor: Descriptor,
    ) -> Admission {
        let (node, sequence) = (descriptor.parts().node, descriptor.parts().sequence);
        if let Some(known) = self.newest.get(&node).copied() {
            let newer = self.held.get(&known).is_none_or(|known| known.parts().sequence < sequence);
            if !newer {
                return Admission::Known;
            }
            if !self.pinned.contains(&known) {
                self.held.remove(&known);
            }
        } else if !self.has_place(document, &node) {
            return Admission::Full;
        }
        let digest = descriptor.digest();
        self.newest.insert(node, digest);
        self.held.insert(digest, descriptor);
        Admission::Newest
    }

    /// Whether a node of which nothing is held is listed, or would fit in beside those listed and
    /// those that wait.
    fn has_place(&self, document: Option<&Document>, node: &NodeId) -> bool {
        let listed = |node: &NodeId| document.is_some_and(|known| known.node(node).is_some());
        if listed(node) {
            return true;
        }
        let places = NODES_MAX.saturating_sub(document.map_or(0, |known| known.nodes.len()));
        // Seldom so many that they must be told from the listed ones.
        self.newest.len() < places
            || self.newest.keys().filter(|waits| !listed(waits)).count() < places
    }

    /// Takes a descriptor that a report needs, newest or not.
    pub(super) fn hold(
        &mut self,
        document: Option<&Document>,
        digest: Digest,
        descriptor: Descriptor,
    ) {
        self.pinned.insert(digest);
        if self.admit(document, descriptor.clone()) != Admission::Newest {
            self.held.insert(digest, descriptor);
        }
    }

    /// The names of what is newer than the document and counts at `time`, ascending, at most
    /// `limit`; they stay at hand until the height is over. All authorities leave out the same when
    /// there are more.
    pub(super) fn pin_news(
        &mut self,
        document: Option<&Document>,
        params: &Params,
        time: Timestamp,
        limit: usize,
    ) -> Vec<Digest> {
        let news = self.newest.iter().filter(|(node, digest)| {
            let Some(parts) = self.held.get(digest).map(Descriptor::parts) else { return false };
            if !params.is_fresh(parts.made(), time) {
                return false;
            }
            match document.and_then(|document| document.node(node)) {
                Some(listed) => listed.sequence < parts.sequence,
                None => parts.state == NodeState::Active,
            }
        });
        let mut news: Vec<Digest> = news.map(|(_, digest)| *digest).collect();
        news.sort_unstable();
        news.truncate(limit);
        self.pinned.extend(&news);
        news
    }

    /// A height is over: only the newest of each node is kept, and of these what still counts at
    /// `time`, so that nodes which fell silent hold no places.
    pub(super) fn settle(&mut self, params: &Params, time: Timestamp) {
        self.pinned.clear();
        let held = &self.held;
        self.newest.retain(|_, digest| {
            held.get(digest).is_some_and(|held| params.is_fresh(held.parts().made(), time))
        });
        let newest: BTreeSet<Digest> = self.newest.values().copied().collect();
        self.held.retain(|digest, _| newest.contains(digest));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use core::net::SocketAddr;

    use super::*;
    use crate::crypto::SecretKey;
    use crate::directory::{DescriptorParts, NodeEntry};
    use crate::id::{NetworkId, StoreId};
    use crate::onion::{OnionKeyNumber, OnionPublicKey};
    use crate::swarm::SwarmState;

    fn descriptor(number: u8, made: Timestamp) -> Descriptor {
        let key = SecretKey::from_seed(&[number; 32]);
        let parts = DescriptorParts {
            node: NodeId::from_bytes(*key.public().as_bytes()),
            sequence: made.as_millis(),
            state: NodeState::Active,
            onion_number: OnionKeyNumber::new(1),
            onion_key: OnionPublicKey::from_bytes([number; 32]),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
            store: StoreId::from_bytes([number; 16]),
            family: None,
            capacity: 100,
        };
        Descriptor::sign(&key, &NetworkId::from_bytes([1; 32]), parts)
    }

    #[test]
    fn nodes_that_fell_silent_hold_no_places_and_are_not_named() {
        let (params, mut pool) = (Params::devnet(), DescriptorPool::default());
        let then = Timestamp::from_secs(1_000);
        let now = then.saturating_add(params.descriptor_window());
        assert_eq!(pool.admit(None, descriptor(1, then)), Admission::Newest);
        assert_eq!(pool.admit(None, descriptor(2, now)), Admission::Newest);
        assert_eq!(pool.pin_news(None, &params, now, 9).len(), 2);
        let later = now.saturating_add(params.epoch());
        assert_eq!(pool.pin_news(None, &params, later, 9), [descriptor(2, now).digest()]);
        pool.settle(&params, later);
        assert_eq!((pool.newest.len(), pool.held.len()), (1, 1));
    }

    /// A document that lists these nodes and as many others as fill it but for `free` places.
    fn document(listed: &[Descriptor], free: usize) -> Document {
        let entry = |id| NodeEntry {
            id,
            onion_number: OnionKeyNumber::new(1),
            onion_key: OnionPublicKey::from_bytes([1; 32]),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
            store: StoreId::from_bytes([1; 16]),
            family: None,
            capacity: 100,
            weight: 100,
            listed: 1,
            sequence: 0,
        };
        let others = (listed.len()..NODES_MAX - free).map(|number| {
            let mut id = [0; 32];
            id[..8].copy_from_slice(&(number as u64).to_be_bytes());
            NodeId::from_bytes(id)
        });
        let listed = listed.iter().map(|descriptor| descriptor.parts().node);
        let mut nodes: Vec<NodeEntry> = others.chain(listed).map(entry).collect();
        nodes.sort_by_key(|node| node.id);
        Document {
            network: NetworkId::from_bytes([1; 32]),
            height: 1,
            previous: Document::NO_PREDECESSOR,
            time: Timestamp::from_secs(1_000),
            beacon: Digest::from_bytes([0; 32]),
            nodes,
            swarms: SwarmState::default(),
        }
    }

    #[test]
    fn full_document_takes_no_new_node_and_goes_on_with_those_it_lists() {
        let now = Timestamp::from_secs(1_000);
        let [known, other, first, second] = [1, 2, 3, 4].map(|number| descriptor(number, now));
        let document = document(&[known.clone(), other.clone()], 1);
        let mut pool = DescriptorPool::default();
        let mut admit = |descriptor| pool.admit(Some(&document), descriptor);
        // What listed nodes say takes no place from who waits for the last one.
        assert_eq!(admit(known), Admission::Newest);
        assert_eq!(admit(first), Admission::Newest);
        assert_eq!(admit(second), Admission::Full);
        assert_eq!(admit(other), Admission::Newest);
        assert_eq!(admit(descriptor(3, Timestamp::from_secs(1_001))), Admission::Newest);
        assert_eq!(pool.newest.len(), 3);
    }
}
