//! The nodes of a simulated network: where they stand, who runs them, who works for the adversary.

use core::net::Ipv4Addr;
use std::collections::BTreeSet;

use enjambre_protocol::id::{FamilyId, NodeId, StoreId};
use enjambre_protocol::swarm::{StorageNode, storage_prefix};

use crate::scenario::Network;
use crate::stream::{Entity, Stream, Streams};

/// Whom a node obeys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allegiance {
    /// The protocol only.
    Honest,
    /// The adversary as well.
    Malicious,
}

/// What is drawn for one node before it does anything.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its address: one /16 and one /24 a subnet.
    pub address: Ipv4Addr,
    /// Its family.
    pub family: Option<FamilyId>,
    /// Its first database.
    pub store: StoreId,
}

impl Profile {
    /// Draws the profile of the node with this index, from the node's own stream.
    pub fn draw(network: &Network, streams: &Streams, index: u32) -> Self {
        let mut stream = streams.stream(Entity::Node(index), "profile");
        let subnet =
            network.subnets.map_or(u64::from(index), |subnets| stream.below(subnets.into()));
        let family = network.families.map(|families| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(1 + stream.below(families.into())).to_le_bytes());
            FamilyId::from_bytes(bytes)
        });
        Self { address: address(subnet), family, store: StoreId::from_bytes(stream.bytes()) }
    }

    /// The node as swarms see it, listed first at height `listed`.
    pub fn storage_node(&self, node: NodeId, listed: u64) -> StorageNode {
        StorageNode {
            node,
            store: self.store,
            prefix: storage_prefix(Some(self.address.into())),
            family: self.family,
            listed,
        }
    }
}

/// An address in subnet number `subnet`: the number is the first half, beyond 2¹⁶ the whole.
fn address(subnet: u64) -> Ipv4Addr {
    let bits = u32::try_from(subnet & 0xffff_ffff).unwrap_or(0);
    Ipv4Addr::from(bits.rotate_left(16) | 1)
}

/// Which of the first `nodes` nodes are malicious: exactly the scenario's share of them, to the
/// nearest whole number, drawn uniformly.
pub fn malicious(network: &Network, streams: &Streams) -> BTreeSet<u32> {
    let nodes = usize::try_from(network.nodes).unwrap_or(usize::MAX);
    let mut stream: Stream = streams.stream(Entity::World, "malicious");
    let chosen = stream.choose(network.malicious.of(nodes), nodes);
    chosen.into_iter().filter_map(|index| u32::try_from(index).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Share;

    #[test]
    fn nodes_without_subnets_share_no_prefix() {
        let network = Network { nodes: 300, malicious: Share::NONE, subnets: None, families: None };
        let streams = Streams::new(1, "test", 0);
        let prefixes: BTreeSet<_> = (0..300)
            .map(|index| Profile::draw(&network, &streams, index).address.octets())
            .map(|[a, b, ..]| (a, b))
            .collect();
        assert_eq!(prefixes.len(), 300);
    }

    #[test]
    fn another_node_changes_no_profile_of_those_before() {
        let network =
            |nodes| Network { nodes, malicious: Share::NONE, subnets: Some(9), families: Some(4) };
        let streams = Streams::new(1, "test", 0);
        let drawn = |network: &Network| {
            let profile = Profile::draw(network, &streams, 7);
            (profile.address, profile.family, profile.store)
        };
        assert_eq!(drawn(&network(10)), drawn(&network(11)));
    }
}
