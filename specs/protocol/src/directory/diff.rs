//! The difference between two documents, for those who have the older one.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::directory::{
    Certificate, Document, Genesis, NodeEntry, SignedDocument, VerifiedDocument, VerifyError,
};
use crate::id::{Digest, NodeId};
use crate::swarm::{SwarmDiff, SwarmState};
use crate::time::Timestamp;

/// Why a difference gives no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DiffError {
    /// It starts from another document than the one at hand.
    #[error("the difference starts from another document")]
    Base,
    /// The result is not a signed document.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

/// What changed from one document to a later one. Applying it gives the later document's exact
/// bytes, which its certificate then vouches for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentDiff {
    /// The digest of the document it starts from.
    pub base: Digest,
    height: u64,
    previous: Digest,
    time: Timestamp,
    beacon: Digest,
    removed: Vec<NodeId>,
    changed: Vec<NodeEntry>,
    swarms: SwarmDiff,
    certificate: Certificate,
}

impl DocumentDiff {
    /// The difference from `from` to `to`.
    pub fn between(from: &VerifiedDocument, to: &VerifiedDocument) -> Self {
        let (old, new) = (from.document(), to.document());
        let kept: BTreeSet<NodeId> = new.nodes.iter().map(|node| node.id).collect();
        let removed = old.nodes.iter().map(|node| node.id).filter(|id| !kept.contains(id));
        let changed = new.nodes.iter().filter(|node| old.node(&node.id) != Some(*node));
        Self {
            base: *from.digest(),
            height: new.height,
            previous: new.previous,
            time: new.time,
            beacon: new.beacon,
            removed: removed.collect(),
            changed: changed.cloned().collect(),
            swarms: SwarmState::diff(&old.swarms, &new.swarms),
            certificate: to.signed().certificate.clone(),
        }
    }

    #[cfg(test)]
    pub(super) const fn forge_beacon(&mut self, beacon: Digest) {
        self.beacon = beacon;
    }

    /// Applies the difference and checks the result like any signed document.
    pub fn apply(
        self,
        base: &VerifiedDocument,
        genesis: &Genesis,
    ) -> Result<VerifiedDocument, DiffError> {
        if self.base != *base.digest() {
            return Err(DiffError::Base);
        }
        let old = base.document();
        let mut nodes: BTreeMap<NodeId, NodeEntry> =
            old.nodes.iter().map(|node| (node.id, node.clone())).collect();
        for id in &self.removed {
            nodes.remove(id);
        }
        nodes.extend(self.changed.into_iter().map(|node| (node.id, node)));
        let document = Document {
            network: old.network,
            height: self.height,
            previous: self.previous,
            time: self.time,
            beacon: self.beacon,
            nodes: nodes.into_values().collect(),
            swarms: old.swarms.apply(self.swarms),
        };
        let signed = SignedDocument { document: document.encode(), certificate: self.certificate };
        Ok(signed.verify(genesis)?)
    }
}
