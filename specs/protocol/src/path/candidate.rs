//! What a path draw knows of each node: who runs it, where it stands, how much it can carry.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::id::{FamilyId, NodeId, SwarmId};
use crate::limits;

/// How much of an address makes two nodes neighbours: parameters of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathParams {
    /// Leading bits of an IPv4 address that make a prefix; 0 switches the rule off, more than 32
    /// count as 32.
    pub ipv4_prefix: u8,
    /// Leading bits of an IPv6 address that make a prefix; 0 switches the rule off, more than 128
    /// count as 128.
    pub ipv6_prefix: u8,
}

impl Default for PathParams {
    /// /16 and /32: what one provider is commonly allotted.
    fn default() -> Self {
        Self { ipv4_prefix: 16, ipv6_prefix: 32 }
    }
}

/// The leading bits of a node's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Prefix {
    bits: u128,
    len: u8,
    version: IpVersion,
}

/// The protocol of an address; prefixes of different protocols are never the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum IpVersion {
    V4,
    V6,
}

impl Prefix {
    /// The prefix of `address`. An IPv4 address written as IPv6 (`::ffff:a.b.c.d`) is IPv4.
    pub fn new(address: IpAddr, params: &PathParams) -> Self {
        let (version, value, width, len) = match address.to_canonical() {
            IpAddr::V4(v4) => (IpVersion::V4, u128::from(v4.to_bits()), 32, params.ipv4_prefix),
            IpAddr::V6(v6) => (IpVersion::V6, v6.to_bits(), 128, params.ipv6_prefix),
        };
        let len = len.min(width);
        let bits = value.checked_shr(u32::from(width - len)).unwrap_or(0);
        Self { bits, len, version }
    }

    /// Whether two nodes stand too near each other. Prefixes of length 0 never do.
    pub fn is_shared_with(self, other: Self) -> bool {
        self.len > 0 && self == other
    }
}

/// A relay as the anchor directory lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node.
    pub node: NodeId,
    /// Its operator's family, if it names one.
    pub family: Option<FamilyId>,
    /// Where its address lies.
    pub prefix: Prefix,
    /// The swarm it is a member of; `None` for a reserve.
    pub swarm: Option<SwarmId>,
    /// How often it is drawn against others; 0 counts as 1.
    pub weight: u32,
}

/// The node a path ends at. It need not be in the anchor directory: swarm members come from the
/// newest one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The node.
    pub node: NodeId,
    /// The swarm it is asked as a member of.
    pub swarm: Option<SwarmId>,
    /// Its operator's family, if it names one.
    pub family: Option<FamilyId>,
    /// Where its address lies.
    pub prefix: Prefix,
}

impl From<&Candidate> for Destination {
    fn from(of: &Candidate) -> Self {
        Self { node: of.node, swarm: of.swarm, family: of.family, prefix: of.prefix }
    }
}

/// The relays of the adopted anchor, by id.
#[derive(Clone, Debug, Default)]
pub(super) struct Relays {
    /// Sorted by node id, without doubles.
    all: Vec<Candidate>,
    sizes: BTreeMap<Option<SwarmId>, usize>,
}

impl Relays {
    /// Takes over a list. Of two entries for one node the first counts; beyond the network's
    /// greatest size the highest ids are left out.
    pub(super) fn new(candidates: &[Candidate]) -> Self {
        let mut all = candidates.to_vec();
        all.sort_by_key(|candidate| candidate.node);
        all.dedup_by_key(|candidate| candidate.node);
        all.truncate(limits::NODES_MAX);
        let mut sizes = BTreeMap::new();
        for candidate in &all {
            *sizes.entry(candidate.swarm).or_default() += 1;
        }
        Self { all, sizes }
    }

    pub(super) fn all(&self) -> &[Candidate] {
        &self.all
    }

    pub(super) fn get(&self, node: &NodeId) -> Option<&Candidate> {
        let at = self.all.binary_search_by_key(node, |candidate| candidate.node).ok()?;
        self.all.get(at)
    }

    /// Relays in `swarm`; those without one count as a group of their own.
    pub(super) fn swarm_size(&self, swarm: Option<SwarmId>) -> usize {
        self.sizes.get(&swarm).copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str, params: &PathParams) -> Prefix {
        Prefix::new(text.parse().unwrap_or(IpAddr::from([0; 4])), params)
    }

    #[test]
    fn prefixes_are_shared_exactly_within_their_length() {
        let params = PathParams::default();
        let shared = |a, b| prefix(a, &params).is_shared_with(prefix(b, &params));
        assert!(shared("10.1.2.3", "10.1.255.9"));
        assert!(!shared("10.1.2.3", "10.2.2.3"));
        assert!(shared("2001:db8:1::1", "2001:db8:ffff::2"));
        assert!(!shared("2001:db8::1", "2001:db9::1"));
        assert!(shared("::ffff:10.1.2.3", "10.1.9.9"));
        assert!(!shared("0.0.0.0", "::"));
    }

    #[test]
    fn length_zero_switches_the_rule_off_and_excess_is_cut() {
        let off = PathParams { ipv4_prefix: 0, ipv6_prefix: 0 };
        assert!(!prefix("10.0.0.1", &off).is_shared_with(prefix("10.0.0.1", &off)));
        assert!(!prefix("::1", &off).is_shared_with(prefix("::1", &off)));
        let all = PathParams { ipv4_prefix: 255, ipv6_prefix: 255 };
        assert!(prefix("10.0.0.1", &all).is_shared_with(prefix("10.0.0.1", &all)));
        assert!(!prefix("10.0.0.1", &all).is_shared_with(prefix("10.0.0.2", &all)));
        assert!(!prefix("::1", &all).is_shared_with(prefix("::2", &all)));
    }
}
