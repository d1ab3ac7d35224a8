//! What a transition is told: nodes, statements, time, parameters.

use core::net::IpAddr;
use core::time::Duration;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::state::Member;
use crate::crypto;
use crate::id::{FamilyId, NodeId, StoreId, SwarmId};

const PREFIX_LABEL: &str = "enjambre/storage-prefix/1";

/// A storage node that is active now: listed, not evicted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageNode {
    /// The node.
    pub node: NodeId,
    /// Its database. Another one than before means that the node lost what it kept.
    pub store: StoreId,
    /// The network it is in: the first three bytes of an IPv4 address, or of a digest of an IPv6
    /// /48. Used only to compare for equality.
    pub prefix: [u8; 3],
    /// Who runs it, if it says so.
    pub family: Option<FamilyId>,
    /// The height of the first document that listed it. Of several that wait, the one listed first
    /// is placed first.
    pub listed: u64,
}

/// What [`StorageNode::prefix`] is for an address: the /24 of an IPv4 address, mapped ones
/// included, three bytes of a digest of the /48 of an IPv6 address, zeros for none.
pub fn storage_prefix(address: Option<IpAddr>) -> [u8; 3] {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V4(address)) => {
            let [a, b, c, _] = address.octets();
            [a, b, c]
        }
        Some(IpAddr::V6(address)) => {
            let digest = crypto::digest(PREFIX_LABEL, &[&address.octets()[..6]]);
            let [a, b, c, ..] = *digest.as_bytes();
            [a, b, c]
        }
        None => [0; 3],
    }
}

/// How far a member has come with a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Progress {
    /// It acts by this configuration and refuses lower ones.
    Adopted,
    /// It has, besides, reconciled its whole range with a read quorum of the stable members of
    /// each owner, all of which had adopted their configuration by then.
    Ready,
}

/// What a member says about one configuration. It is repeated in every report while that
/// configuration is the newest, so a transition needs no memory of earlier statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Statement {
    /// The swarm.
    pub swarm: SwarmId,
    /// The configuration's number.
    pub number: u32,
    /// Who says it, with the store it is true of.
    pub member: Member,
    /// What it says.
    pub progress: Progress,
}

/// The statements of one list of reports. Signatures were checked before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statements(BTreeSet<Statement>);

impl Statements {
    /// No statements: enough for [`Readiness::AtOnce`].
    pub const fn none() -> Self {
        Self(BTreeSet::new())
    }

    /// Whether the member has come at least this far with that configuration. Who is ready has
    /// adopted.
    pub fn reached(&self, swarm: SwarmId, number: u32, member: Member, progress: Progress) -> bool {
        let says = |progress| self.0.contains(&Statement { swarm, number, member, progress });
        says(Progress::Ready) || (progress == Progress::Adopted && says(Progress::Adopted))
    }
}

impl FromIterator<Statement> for Statements {
    fn from_iter<I: IntoIterator<Item = Statement>>(statements: I) -> Self {
        Self(statements.into_iter().collect())
    }
}

/// When a target becomes stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// In the document that names it: joiners count as ready at once.
    AtOnce,
    /// When a read quorum of stable has adopted it and a majority of target has stated that it is
    /// ready.
    Stated,
}

/// Parameters of a network that concern its swarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmParams {
    /// When a target becomes stable.
    pub readiness: Readiness,
    /// Random swaps of members between swarms for each node that joins one.
    pub cuckoo_k: u8,
    /// How long a change may take before another target replaces it.
    pub ready_within: Duration,
    /// How long a swarm may be without a read quorum before it goes on with its survivors.
    pub lost_after: Duration,
}

impl Default for SwarmParams {
    /// A public network: joiners at once, no swaps, an hour, a day.
    fn default() -> Self {
        Self {
            readiness: Readiness::AtOnce,
            cuckoo_k: 0,
            ready_within: Duration::from_secs(60 * 60),
            lost_after: Duration::from_secs(24 * 60 * 60),
        }
    }
}
