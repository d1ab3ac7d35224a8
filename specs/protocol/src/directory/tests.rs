//! The chain from descriptors to verified documents, and every way it must refuse.
#![allow(clippy::unwrap_used)]

mod vectors;

use core::net::SocketAddr;
use std::collections::BTreeMap;

use super::*;
use crate::crypto::{SecretKey, Signature, Signed};
use crate::id::{AuthorityId, Digest, NodeId, StoreId};
use crate::onion::{OnionKeyNumber, OnionPublicKey};
use crate::time::Timestamp;

fn key(kind: u8, number: u8) -> SecretKey {
    let mut seed = [kind; 32];
    seed[0] = number;
    SecretKey::from_seed(&seed)
}

struct World {
    genesis: Genesis,
    authorities: Vec<SecretKey>,
    descriptors: BTreeMap<Digest, Descriptor>,
    chain: Vec<VerifiedDocument>,
}

impl World {
    fn new(authorities: u8) -> Self {
        let mut keys: Vec<SecretKey> = (1..=authorities).map(|i| key(1, i)).collect();
        keys.sort_by_key(SecretKey::public);
        let entry = |key: &SecretKey| AuthorityEntry {
            id: AuthorityId::from_bytes(*key.public().as_bytes()),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
        };
        let genesis = Genesis::new(1, keys.iter().map(entry).collect(), Params::devnet()).unwrap();
        Self { genesis, authorities: keys, descriptors: BTreeMap::new(), chain: Vec::new() }
    }

    fn descriptor(&mut self, number: u8, sequence: u64, state: NodeState) -> Digest {
        self.declared(number, sequence, state, 100)
    }

    fn declared(&mut self, number: u8, sequence: u64, state: NodeState, capacity: u32) -> Digest {
        let key = key(2, number);
        let parts = DescriptorParts {
            node: NodeId::from_bytes(*key.public().as_bytes()),
            sequence,
            state,
            onion_number: OnionKeyNumber::new(1),
            onion_key: OnionPublicKey::from_bytes([number; 32]),
            addresses: vec![SocketAddr::from(([127, number, 0, 1], 4000))],
            store: StoreId::from_bytes([number; 16]),
            family: None,
            capacity,
        };
        let descriptor = Descriptor::sign(&key, &self.genesis.network(), parts);
        let digest = descriptor.digest();
        self.descriptors.insert(digest, descriptor);
        digest
    }

    fn report(&self, author: usize, time: u64, descriptors: &[Digest]) -> Report {
        let newest = self.chain.last();
        let mut descriptors = descriptors.to_vec();
        descriptors.sort_unstable();
        Report {
            author: AuthorityId::from_bytes(*self.authorities[author].public().as_bytes()),
            height: newest.map_or(1, |newest| newest.document().height + 1),
            previous: newest.map_or(Document::NO_PREDECESSOR, |newest| *newest.digest()),
            time: Timestamp::from_millis(time),
            share: [u8::try_from(author).unwrap(); 32],
            descriptors,
        }
    }

    fn derive(&self, reports: &[Report]) -> Result<Document, DeriveError> {
        let previous = self.chain.last().map(|newest| (newest.document(), newest.digest()));
        derive(&self.genesis, previous, reports, &self.descriptors)
    }

    /// Signs what the reports give, by the first `signers` authorities.
    fn certify(&self, reports: &[Report], signers: usize) -> SignedDocument {
        let document = self.derive(reports).unwrap();
        let network = self.genesis.network();
        let signed: Vec<Signed> = reports
            .iter()
            .map(|report| {
                let by = self.genesis.index(&report.author).unwrap();
                report.sign(&self.authorities[usize::from(by)], &network)
            })
            .collect();
        for (signed, report) in signed.iter().zip(reports) {
            assert_eq!(Report::verify(signed, &self.genesis).as_ref(), Ok(report));
        }
        let bytes = document.encode();
        let list = list_digest(&signed);
        let value = ValueId::new(
            &network,
            document.height,
            &document.previous,
            &Document::digest(&bytes),
            &list,
        );
        let vote = PrecommitVote { height: document.height, round: 0, value };
        let signatures = (0..signers)
            .map(|i| (u8::try_from(i).unwrap(), vote.sign(&self.authorities[i], &network)));
        SignedDocument { document: bytes, certificate: Certificate::new(0, list, signatures) }
    }

    fn advance(&mut self, time: u64, descriptors: &[Digest]) {
        let n = self.authorities.len();
        let reports: Vec<Report> = (0..n).map(|i| self.report(i, time, descriptors)).collect();
        let signed = self.certify(&reports, self.genesis.threshold());
        self.chain.push(signed.verify(&self.genesis).unwrap());
    }
}

fn world_of_twelve(authorities: u8) -> World {
    let mut world = World::new(authorities);
    let all: Vec<Digest> = (1..=12).map(|i| world.descriptor(i, 1000, NodeState::Active)).collect();
    world.advance(5000, &all);
    world
}

#[test]
fn twelve_nodes_make_two_swarms_and_every_node_is_listed() {
    for authorities in [1, 4] {
        let world = world_of_twelve(authorities);
        let document = world.chain[0].document();
        assert_eq!((document.height, document.nodes.len()), (1, 12));
        assert_eq!(document.swarms.configurations.len(), 2);
        assert!(document.nodes.iter().all(|node| document.swarms.swarm_of(node.id).is_some()));
        assert!(document.nodes.iter().all(|node| node.listed == 1 && node.weight == 100));
    }
}

#[test]
fn retired_node_leaves_and_older_descriptor_changes_nothing() {
    let mut world = world_of_twelve(4);
    let gone = world.descriptor(3, 2000, NodeState::Retired);
    let old = world.descriptor(4, 999, NodeState::Retired);
    world.advance(7000, &[gone, old]);
    let document = world.chain[1].document();
    assert_eq!((document.height, document.nodes.len()), (2, 11));
    assert_eq!(document.previous, *world.chain[0].digest());
}

#[test]
fn a_descriptor_needs_more_than_f_reports() {
    let mut world = world_of_twelve(4);
    let news = world.descriptor(13, 1000, NodeState::Active);
    let count = |named: usize| {
        let names = [news];
        let reports: Vec<Report> = (0..4)
            .map(|i| world.report(i, 9000, if i < named { &names[..] } else { &[] }))
            .collect();
        world.derive(&reports).unwrap().nodes.len()
    };
    assert_eq!((count(1), count(2)), (12, 13));
}

#[test]
fn descriptor_made_long_before_or_after_a_document_does_not_count() {
    let mut world = world_of_twelve(1);
    // Three epochs of 2 s and two minutes.
    let (time, window) = (500_000, 126_000);
    for (sequence, counts) in [
        (time - window - 1, false),
        (time - window, true),
        (time + window, true),
        (time + window + 1, false),
    ] {
        let news = world.descriptor(13, sequence, NodeState::Active);
        let nodes = world.derive(&[world.report(0, time, &[news])]).unwrap().nodes;
        assert_eq!(nodes.len(), if counts { 13 } else { 12 }, "{sequence}");
    }
    // So who has kept the descriptor of a node that has left does not bring it back.
    let gone = world.descriptor(2, 400_000, NodeState::Retired);
    world.advance(400_000, &[gone]);
    let kept = world.chain[0].document().nodes.len();
    assert_eq!((kept, world.chain[1].document().nodes.len()), (12, 11));
    let again = world.descriptor(2, 1000, NodeState::Active);
    world.advance(402_000, &[again]);
    assert_eq!(world.chain[2].document().nodes.len(), 11);
}

#[test]
fn weight_follows_the_declared_capacity_when_the_median_rises() {
    let mut world = world_of_twelve(1);
    let strong = world.declared(1, 6000, NodeState::Active, 1_000);
    world.advance(7000, &[strong]);
    let weight = |world: &World| {
        let nodes = &world.chain.last().unwrap().document().nodes;
        nodes.iter().map(|node| node.weight).max().unwrap()
    };
    assert_eq!(weight(&world), 400);
    let others: Vec<Digest> =
        (2..=12).map(|number| world.declared(number, 8000, NodeState::Active, 200)).collect();
    world.advance(9000, &others);
    assert_eq!(weight(&world), 800);
}

#[test]
fn two_reports_of_one_author_void_both() {
    let world = world_of_twelve(4);
    let mut reports: Vec<Report> = (0..4).map(|i| world.report(i, 9000, &[])).collect();
    reports.push(world.report(3, 9001, &[]));
    assert_eq!(world.derive(&reports).unwrap().time, Timestamp::from_millis(9000));
    reports.push(world.report(2, 9001, &[]));
    assert_eq!(world.derive(&reports), Err(DeriveError::TooFew { valid: 2, needed: 3 }));
}

#[test]
fn the_document_does_not_depend_on_the_order_of_the_list() {
    let mut world = world_of_twelve(4);
    let news = world.descriptor(13, 1000, NodeState::Active);
    let mut reports: Vec<Report> =
        (0..4).map(|i| world.report(i, 9000 + u64::try_from(i).unwrap(), &[news])).collect();
    let forward = world.derive(&reports).unwrap();
    reports.reverse();
    assert_eq!(world.derive(&reports).unwrap(), forward);
    // Lower median of 9000 … 9003.
    assert_eq!(forward.time, Timestamp::from_millis(9001));
}

#[test]
fn time_never_goes_back_and_misplaced_reports_are_refused() {
    let world = world_of_twelve(1);
    let early = world.report(0, 1, &[]);
    assert_eq!(world.derive(&[early]).unwrap().time, Timestamp::from_millis(5000));
    let mut other = world.report(0, 9000, &[]);
    other.height = 7;
    assert!(matches!(world.derive(&[other]), Err(DeriveError::Misplaced { .. })));
}

#[test]
fn fewer_than_k_signatures_or_one_twice_is_refused() {
    let world = world_of_twelve(4);
    let reports: Vec<Report> = (0..4).map(|i| world.report(i, 9000, &[])).collect();
    let two = world.certify(&reports, 2);
    let error = VerifyError::Signatures { found: 2, needed: 3 };
    assert_eq!(two.clone().verify(&world.genesis), Err(error));
    let mut doubled = two.clone();
    doubled.certificate.signatures.push(two.certificate.signatures[1]);
    assert_eq!(doubled.verify(&world.genesis), Err(VerifyError::Order));
    assert!(world.certify(&reports, 3).verify(&world.genesis).is_ok());
}

#[test]
fn any_changed_byte_of_document_or_certificate_is_noticed() {
    let world = world_of_twelve(1);
    let signed = world.chain[0].signed();
    for place in 0..signed.document.len() {
        let mut changed = signed.clone();
        changed.document[place] ^= 1;
        assert!(changed.verify(&world.genesis).is_err(), "byte {place}");
    }
    let mut round = signed.clone();
    round.certificate.round = 1;
    assert!(round.verify(&world.genesis).is_err());
    let mut list = signed.clone();
    list.certificate.list = Digest::from_bytes([9; 32]);
    assert!(list.verify(&world.genesis).is_err());
}

#[test]
fn any_signature_that_does_not_hold_spoils_a_certificate() {
    let world = world_of_twelve(4);
    let reports: Vec<Report> = (0..4).map(|i| world.report(i, 9000, &[])).collect();
    // One more than needed, so that three would do without the bad one.
    let whole = world.certify(&reports, 4);
    assert!(whole.clone().verify(&world.genesis).is_ok());
    for place in 0..4usize {
        for bit in [0, 100, 511] {
            let mut forged = whole.clone();
            let entry = &mut forged.certificate.signatures[place];
            let mut bytes = *entry.signature.as_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            entry.signature = Signature::from_bytes(bytes);
            let authority = entry.authority;
            let refused = forged.verify(&world.genesis);
            assert_eq!(refused, Err(VerifyError::Signature { authority }), "{place}, {bit}");
        }
    }
    let mut unordered = whole.clone();
    unordered.certificate.signatures.swap(1, 2);
    assert_eq!(unordered.verify(&world.genesis), Err(VerifyError::Order));
    let mut stranger = whole;
    let signature = stranger.certificate.signatures[0].signature;
    stranger.certificate.signatures.push(CertificateEntry { authority: 4, signature });
    let refused = stranger.verify(&world.genesis);
    assert_eq!(refused, Err(VerifyError::Signature { authority: 4 }));
}

#[test]
fn document_of_another_network_is_refused() {
    let world = world_of_twelve(1);
    let other = Genesis::new(2, world.genesis.authorities.clone(), Params::devnet()).unwrap();
    let refused = world.chain[0].signed().clone().verify(&other);
    assert!(matches!(refused, Err(VerifyError::Network { .. })));
}

#[test]
fn document_of_an_older_version_is_refused_by_its_version() {
    let world = world_of_twelve(1);
    let mut old = world.chain[0].signed().clone();
    assert_eq!(old.document[0], 2);
    old.document[0] = 1;
    let refused = old.verify(&world.genesis).unwrap_err();
    assert_eq!(refused, VerifyError::Document(DocumentError::Version { found: 1 }));
    assert!(refused.to_string().contains("version 1, and this program reads version 2"));
}

#[test]
fn difference_gives_the_exact_later_document_and_only_from_its_base() {
    let mut world = world_of_twelve(4);
    let news = world.descriptor(13, 1000, NodeState::Active);
    let gone = world.descriptor(2, 2000, NodeState::Retired);
    world.advance(7000, &[news, gone]);
    world.advance(9000, &[]);
    let diff = DocumentDiff::between(&world.chain[0], &world.chain[2]);
    let bytes = crate::wire::encode(&diff);
    assert!(bytes.len() < world.chain[2].signed().document.len());
    let applied = diff.clone().apply(&world.chain[0], &world.genesis).unwrap();
    assert_eq!(applied, world.chain[2]);
    assert_eq!(diff.clone().apply(&world.chain[1], &world.genesis), Err(DiffError::Base));
    // A forged change is caught by the certificate.
    let mut forged = DocumentDiff::between(&world.chain[0], &world.chain[2]);
    forged.forge_beacon(Digest::from_bytes([9; 32]));
    let refused = forged.apply(&world.chain[0], &world.genesis);
    assert!(matches!(refused, Err(DiffError::Verify(VerifyError::Signature { .. }))));
}

#[test]
fn descriptor_with_a_foreign_signature_or_no_address_is_refused() {
    let mut world = World::new(1);
    let network = world.genesis.network();
    let digest = world.descriptor(1, 1, NodeState::Active);
    let good = world.descriptors[&digest].clone();
    assert_eq!(Descriptor::verify(good.signed().clone(), &network), Ok(good.clone()));
    let mut parts = good.parts().clone();
    parts.addresses.clear();
    let bare = Descriptor::sign(&key(2, 1), &network, parts);
    let refused = Descriptor::verify(bare.signed().clone(), &network);
    assert_eq!(refused, Err(DescriptorError::Addresses));
    let stolen = Descriptor::sign(&key(2, 9), &network, good.parts().clone());
    let refused = Descriptor::verify(stolen.signed().clone(), &network);
    assert!(matches!(refused, Err(DescriptorError::Signature(_))));
}
