//! A chain of signed documents for tests: one authority, six nodes from the first height on.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::{
    AuthorityEntry, Certificate, Descriptor, DescriptorParts, Document, Genesis, NodeState, Params,
    PrecommitVote, Report, SignedDocument, ValueId, VerifiedDocument, derive, list_digest,
};
use enjambre_protocol::id::{AuthorityId, Digest, NodeId, StoreId};
use enjambre_protocol::onion::{OnionKeyNumber, OnionPublicKey};
use enjambre_protocol::time::Timestamp;

const NODES: u8 = 6;

pub(crate) struct Chain {
    pub(crate) genesis: Genesis,
    key: SecretKey,
    descriptors: BTreeMap<Digest, Descriptor>,
    newest: Option<VerifiedDocument>,
}

impl Chain {
    pub(crate) fn new(params: Params) -> Self {
        let key = SecretKey::from_seed(&[1; 32]);
        let authority = AuthorityEntry {
            id: AuthorityId::from_bytes(*key.public().as_bytes()),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 1))],
        };
        let genesis = Genesis::new(1, vec![authority], params).unwrap();
        Self { descriptors: BTreeMap::new(), genesis, key, newest: None }
    }

    /// What the nodes say of themselves at `time`.
    fn publish(&mut self, time: Timestamp) {
        let network = self.genesis.network();
        let descriptors = (1..=NODES).map(|number| {
            let key = SecretKey::from_seed(&[100 + number; 32]);
            let parts = DescriptorParts {
                node: NodeId::from_bytes(*key.public().as_bytes()),
                sequence: time.as_millis(),
                state: NodeState::Active,
                onion_number: OnionKeyNumber::new(1),
                onion_key: OnionPublicKey::from_bytes([number; 32]),
                addresses: vec![SocketAddr::from(([127, number, 0, 1], 4000))],
                store: StoreId::from_bytes([number; 16]),
                family: None,
                capacity: 100,
            };
            let descriptor = Descriptor::sign(&key, &network, parts);
            (descriptor.digest(), descriptor)
        });
        self.descriptors = descriptors.collect();
    }

    /// The next document.
    pub(crate) fn next(&mut self, time: Timestamp) -> VerifiedDocument {
        if self.newest.is_none() {
            self.publish(time);
        }
        let network = self.genesis.network();
        let previous = self.newest.as_ref();
        let report = Report {
            author: self.genesis.authorities[0].id,
            height: previous.map_or(1, |previous| previous.document().height + 1),
            previous: previous.map_or(Document::NO_PREDECESSOR, |previous| *previous.digest()),
            time,
            share: [7; 32],
            descriptors: previous
                .map_or_else(|| self.descriptors.keys().copied().collect(), |_| Vec::new()),
        };
        let before = previous.map(|previous| (previous.document(), previous.digest()));
        let list = list_digest(&[report.sign(&self.key, &network)]);
        let document = derive(&self.genesis, before, &[report], &self.descriptors).unwrap();
        let bytes = document.encode();
        let (height, digest) = (document.height, Document::digest(&bytes));
        let value = ValueId::new(&network, height, &document.previous, &digest, &list);
        let vote = PrecommitVote { height, round: 0, value };
        let certificate = Certificate::new(0, list, [(0, vote.sign(&self.key, &network))]);
        let signed = SignedDocument { document: bytes, certificate };
        let verified = signed.verify(&self.genesis).unwrap();
        self.newest = Some(verified.clone());
        verified
    }
}
