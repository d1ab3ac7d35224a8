//! The next document: a pure function of the one before and of the decided reports.

use core::time::Duration;
use std::collections::BTreeMap;

use crate::crypto;
use crate::directory::{Descriptor, Document, Genesis, NodeEntry, NodeState, Params, Report};
use crate::id::{AuthorityId, Digest, NodeId};
use crate::limits::NODES_MAX;
use crate::swarm::{self, Readiness, StorageNode, SwarmParams, SwarmState};
use crate::time::Timestamp;

const BEACON_LABEL: &str = "enjambre/beacon/1";

/// How many times the median a node's weight may be.
const WEIGHT_CAP: u64 = 4;

/// Why a list of reports gives no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeriveError {
    /// A report is for another height or another predecessor.
    #[error("the report of {author} is for another document")]
    Misplaced {
        /// Whose report.
        author: AuthorityId,
    },
    /// Fewer reports than the threshold once doubled ones are void.
    #[error("{valid} reports where {needed} are needed")]
    TooFew {
        /// Reports that count.
        valid: usize,
        /// The threshold.
        needed: usize,
    },
    /// A descriptor that enough reports name is not at hand.
    #[error("descriptor {digest} is not at hand")]
    MissingDescriptor {
        /// Its digest.
        digest: Digest,
    },
}

/// Computes the document after `previous` (with its digest; `None` for the first one) from the
/// verified `reports` of the decided list. `descriptors` holds those the reports name, verified.
///
/// # Errors
///
/// See [`DeriveError`]; the same input gives the same result everywhere.
pub fn derive(
    genesis: &Genesis,
    previous: Option<(&Document, &Digest)>,
    reports: &[Report],
    descriptors: &BTreeMap<Digest, Descriptor>,
) -> Result<Document, DeriveError> {
    let (height, before) = place(previous);
    let reports = counted(genesis, reports, height, &before)?;
    let time = median_time(reports.values().map(|report| report.time));
    let time = previous.map_or(time, |(document, _)| time.max(document.time));
    let beacon = beacon(&before, reports.values());
    let mut accepted = accepted(genesis, reports.values().copied(), descriptors)?;
    accepted.retain(|_, descriptor| genesis.params.is_fresh(descriptor.parts().made(), time));
    let old = previous.map(|(document, _)| document.nodes.as_slice()).unwrap_or_default();
    let nodes = next_nodes(old, &accepted, height);
    let storage: Vec<StorageNode> = nodes.iter().map(storage_node).collect();
    let empty = SwarmState::default();
    let swarms = swarm::transition(
        previous.map_or(&empty, |(document, _)| &document.swarms),
        &storage,
        &swarm::Statements::default(),
        &beacon,
        time,
        &swarm_params(&genesis.params),
    );
    Ok(Document {
        network: genesis.network(),
        height,
        previous: before,
        time,
        beacon,
        nodes,
        swarms,
    })
}

/// The reports that count, by author: two of one author void both.
fn counted<'a>(
    genesis: &Genesis,
    reports: &'a [Report],
    height: u64,
    before: &Digest,
) -> Result<BTreeMap<AuthorityId, &'a Report>, DeriveError> {
    let mut by_author: BTreeMap<AuthorityId, Vec<&Report>> = BTreeMap::new();
    for report in reports {
        if report.height != height || report.previous != *before {
            return Err(DeriveError::Misplaced { author: report.author });
        }
        by_author.entry(report.author).or_default().push(report);
    }
    let counted: BTreeMap<_, _> = by_author
        .into_iter()
        .filter_map(|(author, reports)| match reports.as_slice() {
            [one] => Some((author, *one)),
            _ => None,
        })
        .collect();
    let needed = genesis.threshold();
    if counted.len() < needed {
        return Err(DeriveError::TooFew { valid: counted.len(), needed });
    }
    Ok(counted)
}

/// The lower median: a liar moves it at most to a time that an honest clock shows.
fn median_time(times: impl Iterator<Item = Timestamp>) -> Timestamp {
    let mut times: Vec<Timestamp> = times.collect();
    times.sort_unstable();
    let middle = times.len().saturating_sub(1) / 2;
    times.get(middle).copied().unwrap_or(Timestamp::EPOCH)
}

fn beacon<'a>(before: &Digest, reports: impl Iterator<Item = &'a &'a Report>) -> Digest {
    let shares: Vec<[u8; 32]> = reports.map(|report| report.share).collect();
    let mut parts: Vec<&[u8]> = vec![before.as_bytes()];
    parts.extend(shares.iter().map(|share| share.as_slice()));
    crypto::digest(BEACON_LABEL, &parts)
}

/// The descriptors that [`derive()`] needs at hand for a list: those that more than f of the
/// reports that count name.
pub(super) fn needed(
    genesis: &Genesis,
    previous: Option<(&Document, &Digest)>,
    reports: &[Report],
) -> Result<Vec<Digest>, DeriveError> {
    let (height, before) = place(previous);
    let reports = counted(genesis, reports, height, &before)?;
    Ok(often_named(genesis, reports.values().copied()))
}

/// Height and predecessor of the document after `previous`.
fn place(previous: Option<(&Document, &Digest)>) -> (u64, Digest) {
    match previous {
        Some((document, digest)) => (document.height.saturating_add(1), *digest),
        None => (1, Document::NO_PREDECESSOR),
    }
}

/// What more than f reports name, ascending: at least one of them is an honest author's.
pub(super) fn often_named<'r>(
    genesis: &Genesis,
    reports: impl Iterator<Item = &'r Report>,
) -> Vec<Digest> {
    let mut named: BTreeMap<Digest, usize> = BTreeMap::new();
    for digest in reports.flat_map(|report| &report.descriptors) {
        *named.entry(*digest).or_default() += 1;
    }
    let often = named.into_iter().filter(|(_, count)| *count > genesis.faulty());
    often.map(|(digest, _)| digest).collect()
}

/// The newest descriptor of each node that more than f reports name.
fn accepted<'a, 'r>(
    genesis: &Genesis,
    reports: impl Iterator<Item = &'r Report>,
    descriptors: &'a BTreeMap<Digest, Descriptor>,
) -> Result<BTreeMap<NodeId, &'a Descriptor>, DeriveError> {
    let mut newest: BTreeMap<NodeId, &Descriptor> = BTreeMap::new();
    for digest in often_named(genesis, reports) {
        let descriptor =
            descriptors.get(&digest).ok_or(DeriveError::MissingDescriptor { digest })?;
        let parts = descriptor.parts();
        // Digests ascend, so of two with one sequence number the smaller digest stays.
        let newer =
            newest.get(&parts.node).is_none_or(|known| parts.sequence > known.parts().sequence);
        if newer {
            newest.insert(parts.node, descriptor);
        }
    }
    Ok(newest)
}

fn next_nodes(
    old: &[NodeEntry],
    accepted: &BTreeMap<NodeId, &Descriptor>,
    height: u64,
) -> Vec<NodeEntry> {
    let mut nodes: BTreeMap<NodeId, NodeEntry> =
        old.iter().map(|node| (node.id, node.clone())).collect();
    for (id, descriptor) in accepted {
        let parts = descriptor.parts();
        let known = nodes.get(id);
        if known.is_some_and(|known| known.sequence >= parts.sequence) {
            continue;
        }
        if parts.state == NodeState::Retired {
            nodes.remove(id);
            continue;
        }
        let listed = known.map_or(height, |known| known.listed);
        if known.is_none() && nodes.len() >= NODES_MAX {
            continue;
        }
        nodes.insert(
            *id,
            NodeEntry {
                id: *id,
                onion_number: parts.onion_number,
                onion_key: parts.onion_key,
                addresses: parts.addresses.clone(),
                store: parts.store,
                family: parts.family.map(|(family, _)| family),
                capacity: parts.capacity,
                weight: parts.capacity,
                listed,
                sequence: parts.sequence,
            },
        );
    }
    cap_weights(nodes.into_values().collect())
}

/// No node takes more than [`WEIGHT_CAP`] times what the median node declares.
fn cap_weights(mut nodes: Vec<NodeEntry>) -> Vec<NodeEntry> {
    let mut declared: Vec<u32> = nodes.iter().map(|node| node.capacity).collect();
    declared.sort_unstable();
    let median = declared.get(declared.len().saturating_sub(1) / 2).copied().unwrap_or(0);
    let cap = u32::try_from(WEIGHT_CAP * u64::from(median)).unwrap_or(u32::MAX).max(1);
    for node in &mut nodes {
        node.weight = node.capacity.clamp(1, cap);
    }
    nodes
}

/// A joiner counts as ready at once: what members state about readiness is not yet reported.
fn swarm_params(params: &Params) -> SwarmParams {
    SwarmParams {
        readiness: Readiness::AtOnce,
        cuckoo_k: params.cuckoo_k,
        ready_within: Duration::from_millis(params.ready_within_ms),
        lost_after: Duration::from_millis(params.lost_after_ms),
    }
}

fn storage_node(node: &NodeEntry) -> StorageNode {
    StorageNode {
        node: node.id,
        store: node.store,
        prefix: swarm::storage_prefix(node.addresses.first().map(|address| address.ip())),
        family: node.family,
        listed: node.listed,
    }
}
