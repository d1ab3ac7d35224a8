//! From a list of reports to the document and value that a vote is about.

use std::collections::BTreeMap;

use super::pool::DescriptorPool;
use crate::crypto::Signed;
use crate::directory::derive::needed;
use crate::directory::{Document, Genesis, Report, ValueId, VerifiedDocument, derive, list_digest};
use crate::id::{Digest, NetworkId};
use crate::limits::{AGREEMENT_MAX, DIRECTORY_MAX};

/// Bytes of a proposal beside its reports: head, certificate, lengths.
const FRAME: usize = 8192;

/// Bytes of a signed report's list entry beside the names in it.
const REPORT_FRAME: usize = 256;

/// Bytes that each of n signed reports may have, so that any list of them fits a message.
pub(super) const fn report_share(authorities: usize) -> usize {
    (AGREEMENT_MAX - FRAME) / authorities
}

/// Descriptors that a report may name, so that it stays within its share.
pub(super) const fn names_max(authorities: usize) -> usize {
    (report_share(authorities) - REPORT_FRAME) / Digest::LEN
}

/// A list of reports with the document it gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) list: Vec<Signed>,
    pub(super) list_digest: Digest,
    pub(super) document: Vec<u8>,
    pub(super) value: ValueId,
}

impl Candidate {
    /// Of a document that was derived from the list, now or before a restart.
    pub(super) fn new(
        network: &NetworkId,
        height: u64,
        previous: &Digest,
        list: Vec<Signed>,
        document: Vec<u8>,
    ) -> Self {
        let list_digest = list_digest(&list);
        let digest = Document::digest(&document);
        let value = ValueId::new(network, height, previous, &digest, &list_digest);
        Self { list, list_digest, document, value }
    }
}

/// What a list of reports is worth.
#[derive(Debug)]
pub(super) enum Evaluation {
    /// It gives a document.
    Valid(Candidate),
    /// It never will.
    Invalid,
    /// These descriptors are needed first; with the authors that name each, bit i for place i.
    Missing(BTreeMap<Digest, u32>),
}

/// Evaluates a list after `previous`. Depends on the arguments only: all authorities come to the
/// same result once they have the descriptors.
pub(super) fn evaluate(
    genesis: &Genesis,
    previous: Option<&VerifiedDocument>,
    list: &[Signed],
    pool: &DescriptorPool,
) -> Evaluation {
    let count = genesis.authorities.len();
    // Two of one author are proof; more say nothing new.
    if list.len() > 2 * count || list.iter().any(|signed| signed.bytes.len() > report_share(count))
    {
        return Evaluation::Invalid;
    }
    let reports: Result<Vec<Report>, _> =
        list.iter().map(|signed| Report::verify(signed, genesis)).collect();
    let Ok(reports) = reports else { return Evaluation::Invalid };
    let before = previous.map(|previous| (previous.document(), previous.digest()));
    let Ok(needed) = needed(genesis, before, &reports) else { return Evaluation::Invalid };
    let missing: BTreeMap<Digest, u32> = needed
        .iter()
        .filter(|digest| pool.get(digest).is_none())
        .map(|digest| (*digest, namers(genesis, &reports, digest)))
        .collect();
    if !missing.is_empty() {
        return Evaluation::Missing(missing);
    }
    let descriptors = needed
        .into_iter()
        .filter_map(|digest| Some((digest, pool.get(&digest)?.clone())))
        .collect();
    let Ok(document) = derive(genesis, before, &reports, &descriptors) else {
        return Evaluation::Invalid;
    };
    let bytes = document.encode();
    if bytes.len() > DIRECTORY_MAX {
        return Evaluation::Invalid;
    }
    let (height, previous) = (document.height, document.previous);
    let network = genesis.network();
    Evaluation::Valid(Candidate::new(&network, height, &previous, list.to_vec(), bytes))
}

/// The authors that name a descriptor, as bits.
pub(super) fn namers<'r>(
    genesis: &Genesis,
    reports: impl IntoIterator<Item = &'r Report>,
    digest: &Digest,
) -> u32 {
    reports
        .into_iter()
        .filter(|report| report.descriptors.binary_search(digest).is_ok())
        .filter_map(|report| genesis.index(&report.author))
        .fold(0, |bits, place| bits | 1 << place)
}
