//! A network of four authorities, of which three make a document valid, and its genuine documents.

use core::net::SocketAddr;
use std::collections::BTreeMap;
use std::sync::Arc;

use enjambre_protocol::crypto::{SecretKey, Signature, Signed};
use enjambre_protocol::directory::{
    AuthorityEntry, Certificate, Descriptor, DescriptorParts, Document, Genesis, NodeState, Params,
    PrecommitVote, Report, SignedDocument, ValueId, VerifiedDocument, derive, list_digest,
};
use enjambre_protocol::id::{AuthorityId, Digest, NodeId, StoreId};
use enjambre_protocol::onion::{OnionKeyNumber, OnionPublicKey};
use enjambre_protocol::time::Timestamp;

/// Authorities of the network.
pub const AUTHORITIES: usize = 4;

/// Milliseconds since 1970 at which the clocks of a run start.
pub const BIRTH: u64 = 1_000_000;

/// The keys of the authorities in the genesis' order, and the genesis.
pub fn network() -> (Vec<SecretKey>, Arc<Genesis>) {
    let mut keys: Vec<SecretKey> =
        [1, 2, 3, 4].map(|seed| SecretKey::from_seed(&[seed; 32])).into();
    keys.sort_by_key(SecretKey::public);
    let entries = keys.iter().map(|key| AuthorityEntry {
        id: authority(key),
        addresses: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
    });
    let genesis = Genesis::new(1, entries.collect(), Params::devnet());
    (keys, Arc::new(genesis.expect("four authorities make a network")))
}

/// The id of an authority.
pub fn authority(key: &SecretKey) -> AuthorityId {
    AuthorityId::from_bytes(*key.public().as_bytes())
}

/// What node `number` says of itself.
pub fn descriptor(genesis: &Genesis, number: u8, sequence: u64, state: NodeState) -> Descriptor {
    let key = SecretKey::from_seed(&[0x80 | number; 32]);
    let parts = DescriptorParts {
        node: NodeId::from_bytes(*key.public().as_bytes()),
        sequence,
        state,
        onion_number: OnionKeyNumber::new(1),
        onion_key: OnionPublicKey::from_bytes([number; 32]),
        addresses: vec![SocketAddr::from(([127, number, 0, 1], 4000))],
        store: StoreId::from_bytes([number; 16]),
        family: None,
        capacity: 100,
    };
    Descriptor::sign(&key, &genesis.network(), parts)
}

/// Three documents: twelve nodes, then one goes and one comes, then nothing changes.
#[derive(Debug)]
pub struct Chain {
    /// The genesis.
    pub genesis: Arc<Genesis>,
    /// The documents, each signed by three authorities.
    pub documents: Vec<VerifiedDocument>,
    /// Of each document the final votes of all four, in the genesis' order.
    pub votes: Vec<[Signature; AUTHORITIES]>,
    /// The reports of the last document.
    pub reports: Vec<Signed>,
    /// Descriptors, each as its node signed it.
    pub descriptors: Vec<Signed>,
    known: BTreeMap<Digest, Descriptor>,
    keys: Vec<SecretKey>,
}

impl Chain {
    /// The same chain in every run.
    pub fn new() -> Self {
        let (keys, genesis) = network();
        let (documents, votes) = (Vec::new(), Vec::new());
        let (reports, descriptors) = (Vec::new(), Vec::new());
        let known = BTreeMap::new();
        let mut chain = Self { genesis, documents, votes, reports, descriptors, known, keys };
        let first: Vec<Digest> =
            (1..=12).map(|number| chain.publish(number, 1, NodeState::Active)).collect();
        chain.advance(&first);
        let gone = chain.publish(3, 2, NodeState::Retired);
        let come = chain.publish(13, 1, NodeState::Active);
        chain.advance(&[gone, come]);
        chain.advance(&[]);
        chain
    }

    fn publish(&mut self, number: u8, sequence: u64, state: NodeState) -> Digest {
        let descriptor = descriptor(&self.genesis, number, BIRTH + sequence, state);
        let digest = descriptor.digest();
        self.descriptors.push(descriptor.signed().clone());
        self.known.insert(digest, descriptor);
        digest
    }

    fn advance(&mut self, descriptors: &[Digest]) {
        let network = self.genesis.network();
        let before = self.documents.last().map(|last| (last.document(), last.digest()));
        let height = before.map_or(1, |(document, _)| document.height + 1);
        let mut descriptors = descriptors.to_vec();
        descriptors.sort_unstable();
        let reports = self.keys.iter().map(|key| Report {
            author: authority(key),
            height,
            previous: before.map_or(Document::NO_PREDECESSOR, |(_, digest)| *digest),
            time: Timestamp::from_millis(BIRTH + 2_000 * height),
            share: *authority(key).as_bytes(),
            descriptors: descriptors.clone(),
        });
        let reports: Vec<Report> = reports.collect();
        let document = derive(&self.genesis, before, &reports, &self.known)
            .expect("the reports give a document");
        let signed: Vec<Signed> = reports
            .iter()
            .zip(&self.keys)
            .map(|(report, key)| report.sign(key, &network))
            .collect();
        let (bytes, list) = (document.encode(), list_digest(&signed));
        let digest = Document::digest(&bytes);
        let value = ValueId::new(&network, height, &document.previous, &digest, &list);
        let vote = PrecommitVote { height, round: 0, value };
        let votes: Vec<Signature> = self.keys.iter().map(|key| vote.sign(key, &network)).collect();
        let certificate = Certificate::new(0, list, (0..3).zip(votes.iter().copied()));
        let certified = SignedDocument { document: bytes, certificate };
        self.documents.push(certified.verify(&self.genesis).expect("three of four signed"));
        self.votes.push(votes.try_into().expect("four authorities vote"));
        self.reports = signed;
    }
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}
