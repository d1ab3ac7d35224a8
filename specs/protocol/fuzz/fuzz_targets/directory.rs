//! Signed documents, differences, reports and descriptors with damage, and bytes that nobody made.
//!
//! Oracle: only the documents of one chain were signed by three of the four authorities. So what
//! is accepted has the bytes of one of them, and three of its votes as they were cast. A genuine
//! one is accepted exactly if a walk over its certificate that only compares bytes counts three.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use enjambre_protocol::crypto::Signed;
use enjambre_protocol::directory::{
    Certificate, CertificateEntry, Descriptor, DirectoryReply, DirectoryRequest, DocumentDiff,
    Genesis, NetworkFile, Report, SignedDocument,
};
use enjambre_protocol::limits::DIRECTORY_MAX;
use enjambre_protocol::wire;
use enjambre_protocol_fuzz::directory::{AUTHORITIES, Chain};
use enjambre_protocol_fuzz::edit::edit;
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;

static CHAIN: LazyLock<Chain> = LazyLock::new(Chain::new);

fuzz_target!(|data: &[u8]| {
    let Some((&[what, which], rest)) = data.split_first_chunk::<2>() else { return };
    let chain = &*CHAIN;
    let place = usize::from(which) % chain.documents.len();
    match what % 8 {
        0 => raw(rest),
        1 => document(&damaged(chain.documents[place].signed(), rest)),
        2 => certificate(place, rest),
        3 => {
            let base = usize::from(which >> 4) % chain.documents.len();
            let between = DocumentDiff::between(&chain.documents[base], &chain.documents[place]);
            difference(&damaged(&between, rest), base);
        }
        4 => report(&damaged(&chain.reports[usize::from(which) % AUTHORITIES], rest)),
        5 => descriptor(&damaged(
            &chain.descriptors[usize::from(which) % chain.descriptors.len()],
            rest,
        )),
        6 => genesis(&damaged(&*chain.genesis, rest)),
        _ => talk(place, rest),
    }
});

fn damaged(value: &impl Serialize, edits: &[u8]) -> Vec<u8> {
    let mut bytes = wire::encode(value);
    edit(&mut bytes, edits);
    bytes
}

/// What bytes decode to, which must be what its own encoding decodes to.
fn read<T>(bytes: &[u8]) -> Option<T>
where
    T: Serialize + DeserializeOwned + PartialEq + core::fmt::Debug,
{
    let value: T = wire::decode(bytes, DIRECTORY_MAX).ok()?;
    assert_eq!(wire::decode::<T>(&wire::encode(&value), DIRECTORY_MAX).as_ref(), Ok(&value));
    Some(value)
}

/// Bytes from the fuzzer alone, as everything that a link may carry.
fn raw(bytes: &[u8]) {
    document(bytes);
    (0..CHAIN.documents.len()).for_each(|base| difference(bytes, base));
    report(bytes);
    descriptor(bytes);
    genesis(bytes);
    read::<DirectoryRequest>(bytes);
    read::<DirectoryReply>(bytes);
}

fn document(bytes: &[u8]) {
    let Some(signed) = read::<SignedDocument>(bytes) else { return };
    let expected = is_genuine(&signed);
    match signed.clone().verify(&CHAIN.genesis) {
        Ok(verified) => {
            assert!(expected, "accepted with {:?}", signed.certificate);
            assert_eq!(*verified.signed(), signed, "it is passed on as it came");
        }
        Err(error) => assert!(!expected, "refused: {error}"),
    }
}

/// Whether it is a document of the chain with at least three of its votes.
fn is_genuine(signed: &SignedDocument) -> bool {
    let mut chain = CHAIN.documents.iter().zip(&CHAIN.votes);
    let Some((of, votes)) = chain.find(|(of, _)| of.signed().document == signed.document) else {
        return false;
    };
    let (made, found) = (&of.signed().certificate, &signed.certificate);
    if (made.round, made.list) != (found.round, found.list) {
        return false;
    }
    // The chapter's order: ascending. What is not, does not count.
    let mut counted = BTreeSet::new();
    let mut highest = None;
    // Signatures beyond the largest number of authorities are not looked at.
    for CertificateEntry { authority, signature } in found.signatures.iter().take(31) {
        if highest.is_none_or(|highest| *authority > highest) {
            highest = Some(*authority);
            if votes.get(usize::from(*authority)) == Some(signature) {
                counted.insert(*authority);
            }
        }
    }
    counted.len() >= 3
}

/// A genuine document with a certificate put together from its votes, an entry a byte.
fn certificate(place: usize, choices: &[u8]) {
    let (of, votes) = (&CHAIN.documents[place], &CHAIN.votes[place]);
    let signatures = choices.iter().take(40).map(|choice| CertificateEntry {
        authority: choice & 7,
        signature: votes[usize::from(choice >> 3) % AUTHORITIES],
    });
    let Certificate { round, list, .. } = of.signed().certificate;
    let certificate = Certificate { round, list, signatures: signatures.collect() };
    let signed = SignedDocument { document: of.signed().document.clone(), certificate };
    document(&wire::encode(&signed));
}

fn difference(bytes: &[u8], base: usize) {
    let Some(difference) = read::<DocumentDiff>(bytes) else { return };
    let named = difference.base;
    let base = &CHAIN.documents[base];
    let applied = difference.apply(base, &CHAIN.genesis);
    if let Ok(applied) = applied {
        assert_eq!(named, *base.digest());
        assert!(is_genuine(applied.signed()), "accepted with {:?}", applied.signed().certificate);
    }
}

fn report(bytes: &[u8]) {
    let Some(signed) = read::<Signed>(bytes) else { return };
    let genuine = CHAIN.reports.contains(&signed);
    let verified = Report::verify(&signed, &CHAIN.genesis);
    assert_eq!(verified.is_ok(), genuine, "{verified:?}");
}

fn descriptor(bytes: &[u8]) {
    let Some(signed) = read::<Signed>(bytes) else { return };
    let genuine = CHAIN.descriptors.contains(&signed);
    let verified = Descriptor::verify(signed, &CHAIN.genesis.network());
    assert_eq!(verified.is_ok(), genuine, "{verified:?}");
}

/// A genesis that keeps the network id differs in addresses at most.
fn genesis(bytes: &[u8]) {
    let Some(genesis) = read::<Genesis>(bytes) else { return };
    let network = CHAIN.genesis.network();
    let ids = |genesis: &Genesis| genesis.authorities.iter().map(|of| of.id).collect::<Vec<_>>();
    if let Ok(genesis) = (NetworkFile { network, genesis }).into_genesis() {
        assert_eq!(ids(&genesis), ids(&CHAIN.genesis));
        assert_eq!(
            (genesis.created_ms, &genesis.params),
            (CHAIN.genesis.created_ms, &CHAIN.genesis.params)
        );
    }
}

/// Genuine answers with damage; what they carry is checked like the rest.
fn talk(place: usize, edits: &[u8]) {
    let base = &CHAIN.documents[0];
    let replies = [
        DirectoryReply::Document(CHAIN.documents[place].signed().clone()),
        DirectoryReply::Diff(DocumentDiff::between(base, &CHAIN.documents[place])),
        DirectoryReply::Genesis((*CHAIN.genesis).clone()),
    ];
    for reply in replies {
        match read::<DirectoryReply>(&damaged(&reply, edits)) {
            Some(DirectoryReply::Document(signed)) => document(&wire::encode(&signed)),
            Some(DirectoryReply::Diff(found)) => difference(&wire::encode(&found), 0),
            Some(DirectoryReply::Genesis(found)) => genesis(&wire::encode(&found)),
            _ => {}
        }
    }
}
