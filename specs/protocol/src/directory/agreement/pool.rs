//! The descriptors at hand: the newest of each node, and older ones while a height needs them.

use std::collections::{BTreeMap, BTreeSet};

use crate::directory::{Descriptor, Document, NodeState};
use crate::id::{Digest, NodeId};
use crate::limits::NODES_MAX;

/// What became of a descriptor that a node sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is the node's newest and will be in the next report.
    Newest,
    /// One at least as new is known.
    Known,
    /// The network has as many nodes as it can.
    Full,
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

    /// Takes what a node says of itself if it is newer than what is known.
    pub(super) fn admit(&mut self, descriptor: Descriptor) -> Admission {
        let (node, sequence) = (descriptor.parts().node, descriptor.parts().sequence);
        if let Some(known) = self.newest.get(&node).copied() {
            let newer = self.held.get(&known).is_none_or(|known| known.parts().sequence < sequence);
            if !newer {
                return Admission::Known;
            }
            if !self.pinned.contains(&known) {
                self.held.remove(&known);
            }
        } else if self.newest.len() >= NODES_MAX {
            return Admission::Full;
        }
        let digest = descriptor.digest();
        self.newest.insert(node, digest);
        self.held.insert(digest, descriptor);
        Admission::Newest
    }

    /// Takes a descriptor that a report needs, newest or not.
    pub(super) fn hold(&mut self, digest: Digest, descriptor: Descriptor) {
        self.pinned.insert(digest);
        if self.admit(descriptor.clone()) != Admission::Newest {
            self.held.insert(digest, descriptor);
        }
    }

    /// The names of what is newer than the document, ascending, at most `limit`; they stay at hand
    /// until the height is over. All authorities leave out the same when there are more.
    pub(super) fn pin_news(&mut self, document: Option<&Document>, limit: usize) -> Vec<Digest> {
        let news = self.newest.iter().filter(|(node, digest)| {
            let Some(parts) = self.held.get(digest).map(Descriptor::parts) else { return false };
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

    /// A height is over: only the newest of each node is kept.
    pub(super) fn settle(&mut self) {
        self.pinned.clear();
        let newest: BTreeSet<Digest> = self.newest.values().copied().collect();
        self.held.retain(|digest, _| newest.contains(digest));
    }
}
