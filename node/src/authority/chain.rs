//! What an authority knows and contributes: descriptors that wait, reports, candidate documents.
//!
//! No transport and no voting: given the same inputs, every authority computes the same document
//! by [`enjambre_protocol::directory::derive()`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use enjambre_protocol::crypto::{SecretKey, Signed};
use enjambre_protocol::directory::{
    DeriveError, Descriptor, DescriptorError, Document, Genesis, Report, ReportError, ValueId,
    VerifiedDocument, derive, list_digest,
};
use enjambre_protocol::id::{AuthorityId, Digest, NetworkId, NodeId};
use enjambre_protocol::limits::NODES_MAX;
use enjambre_protocol::time::Timestamp;

/// Why a list of reports is no proposal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CandidateError {
    /// A report does not verify.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// The reports give no document.
    #[error(transparent)]
    Derive(#[from] DeriveError),
}

/// A document that could be decided, with what the vote is about.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub(crate) height: u64,
    pub(crate) document: Vec<u8>,
    pub(crate) list: Digest,
    pub(crate) value: ValueId,
}

/// An authority's knowledge besides the chain itself.
#[derive(Debug)]
pub(crate) struct Chain {
    genesis: Arc<Genesis>,
    network: NetworkId,
    key: SecretKey,
    id: AuthorityId,
    /// The newest descriptor of each node, whether the document has it yet or not.
    descriptors: Mutex<BTreeMap<NodeId, Descriptor>>,
}

impl Chain {
    pub(crate) fn new(genesis: Arc<Genesis>, key: SecretKey) -> Self {
        let id = AuthorityId::from_bytes(*key.public().as_bytes());
        let network = genesis.network();
        Self { genesis, network, key, id, descriptors: Mutex::default() }
    }

    pub(crate) const fn id(&self) -> &AuthorityId {
        &self.id
    }

    pub(crate) const fn network(&self) -> &NetworkId {
        &self.network
    }

    pub(crate) const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Takes a node's descriptor if it is newer than what is known of that node.
    pub(crate) fn accept(&self, signed: Signed) -> Result<(), DescriptorError> {
        let descriptor = Descriptor::verify(signed, &self.network)?;
        let node = descriptor.parts().node;
        let mut descriptors = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        let room = descriptors.len() < NODES_MAX;
        match descriptors.get_mut(&node) {
            Some(known) if known.parts().sequence >= descriptor.parts().sequence => {}
            Some(known) => *known = descriptor,
            None if room => {
                descriptors.insert(node, descriptor);
            }
            None => tracing::warn!("a node is not listed: the network is full"),
        }
        Ok(())
    }

    /// This authority's report for the height after `previous`, and its signed bytes.
    pub(crate) fn report(
        &self,
        previous: Option<&VerifiedDocument>,
        now: Timestamp,
        share: [u8; 32],
    ) -> Signed {
        let descriptors = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
        let news = descriptors.values().filter(|descriptor| {
            let parts = descriptor.parts();
            let known = previous.and_then(|previous| previous.document().node(&parts.node));
            known.is_none_or(|known| known.sequence < parts.sequence)
        });
        let mut news: Vec<Digest> = news.map(Descriptor::digest).collect();
        drop(descriptors);
        news.sort_unstable();
        let report = Report {
            author: self.id,
            height: previous.map_or(1, |previous| previous.document().height.saturating_add(1)),
            previous: previous.map_or(Document::NO_PREDECESSOR, |previous| *previous.digest()),
            time: now,
            share,
            descriptors: news,
        };
        report.sign(&self.key, &self.network)
    }

    /// The document that a list of reports gives after `previous`.
    pub(crate) fn candidate(
        &self,
        previous: Option<&VerifiedDocument>,
        list: &[Signed],
    ) -> Result<Candidate, CandidateError> {
        let reports = list
            .iter()
            .map(|signed| Report::verify(signed, &self.genesis))
            .collect::<Result<Vec<_>, _>>()?;
        let descriptors: BTreeMap<Digest, Descriptor> = {
            let known = self.descriptors.lock().unwrap_or_else(PoisonError::into_inner);
            known.values().map(|known| (known.digest(), known.clone())).collect()
        };
        let before = previous.map(|previous| (previous.document(), previous.digest()));
        let document = derive(&self.genesis, before, &reports, &descriptors)?;
        let bytes = document.encode();
        let list = list_digest(list);
        let value = ValueId::new(
            &self.network,
            document.height,
            &document.previous,
            &Document::digest(&bytes),
            &list,
        );
        Ok(Candidate { height: document.height, document: bytes, list, value })
    }
}
