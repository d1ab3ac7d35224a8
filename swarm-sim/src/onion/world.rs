//! What all parties know: the directory of one moment.

use std::collections::BTreeMap;

use enjambre_protocol::crypto::{self, SecretKey};
use enjambre_protocol::id::{Digest, NetworkId, NodeId};
use enjambre_protocol::onion::{HopTarget, Keyring, OnionKeyNumber, OnionSecretKey};
use enjambre_protocol::path::{Candidate, PathParams, Prefix};
use enjambre_protocol::swarm::{
    Point, Statements, StorageNode, SwarmParams, SwarmState, transition,
};
use enjambre_protocol::time::{Instant, Timestamp};

use crate::population::{self, Allegiance, Profile};
use crate::scenario::Network;
use crate::stream::{Entity, Streams};

/// Calendar time when virtual time starts. Any would do.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// Every node's weight: none is drawn more often than another.
const WEIGHT: u32 = 100;

/// The directory's clock at a moment of virtual time.
pub(super) fn calendar(now: Instant) -> Timestamp {
    START.saturating_add(now.saturating_since(Instant::START))
}

/// The moment of virtual time at which the directory's clock shows `time`.
pub(super) fn moment(time: Timestamp) -> Instant {
    Instant::START.saturating_add(time.saturating_since(START))
}

/// A node as the directory lists it, and what the observer knows of it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) target: HopTarget,
    pub(super) candidate: Candidate,
    pub(super) allegiance: Allegiance,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) network: NetworkId,
    pub(super) nodes: Vec<Listed>,
    pub(super) candidates: Vec<Candidate>,
    indices: BTreeMap<NodeId, u32>,
    swarms: SwarmState,
}

/// What is made once for a whole network: the directory, and the nodes' secrets in their order.
#[derive(Debug)]
pub(super) struct Founded {
    pub(super) world: World,
    pub(super) keyrings: Vec<Keyring>,
}

struct Born {
    storage: StorageNode,
    profile: Profile,
    keyring: Keyring,
}

fn born(network: &Network, streams: &Streams, index: u32) -> Born {
    let profile = Profile::draw(network, streams, index);
    let mut keys = streams.stream(Entity::Node(index), "keys");
    let identity = SecretKey::generate(keys.rng());
    let number = OnionKeyNumber::new(1);
    let [current, next] = [(); 2].map(|()| OnionSecretKey::generate(keys.rng()));
    let node = NodeId::from_bytes(*identity.public().as_bytes());
    Born {
        storage: profile.storage_node(node, 1),
        profile,
        keyring: Keyring::new(number, current, next),
    }
}

impl World {
    /// Makes the nodes, their keys and their swarms.
    pub(super) fn found(network: &Network, streams: &Streams) -> Founded {
        let mut source = streams.stream(Entity::World, "network");
        let id = NetworkId::from_bytes(source.bytes());
        let beacon = Digest::from_bytes(source.bytes());
        let all: Vec<Born> = (0..network.nodes).map(|i| born(network, streams, i)).collect();
        let storage: Vec<StorageNode> = all.iter().map(|born| born.storage.clone()).collect();
        let (none, params) = (SwarmState::default(), SwarmParams::default());
        let swarms = transition(&none, &storage, &Statements::none(), &beacon, START, &params);
        let malicious = population::malicious(network, streams);

        let list = |(index, born): (u32, &Born)| {
            let node = born.storage.node;
            let hostile = malicious.contains(&index);
            Listed {
                target: HopTarget {
                    node,
                    key_number: born.keyring.number(),
                    key: born.keyring.current(),
                },
                candidate: Candidate {
                    node,
                    family: born.profile.family,
                    prefix: Prefix::new(born.profile.address.into(), &PathParams::default()),
                    swarm: swarms.swarm_of(node),
                    weight: WEIGHT,
                },
                allegiance: if hostile { Allegiance::Malicious } else { Allegiance::Honest },
            }
        };
        let nodes: Vec<Listed> = (0..).zip(&all).map(list).collect();
        let candidates = nodes.iter().map(|listed| listed.candidate).collect();
        let indices = (0..).zip(&nodes).map(|(index, listed)| (listed.target.node, index));
        let indices = indices.collect();
        let world = Self { network: id, nodes, candidates, indices, swarms };
        Founded { world, keyrings: all.into_iter().map(|born| born.keyring).collect() }
    }

    /// The index of a node.
    pub(super) fn index(&self, node: &NodeId) -> Option<u32> {
        self.indices.get(node).copied()
    }

    pub(super) fn listed(&self, node: &NodeId) -> Option<&Listed> {
        self.nodes.get(usize::try_from(self.index(node)?).ok()?)
    }

    pub(super) fn is_malicious(&self, node: &NodeId) -> bool {
        self.listed(node).is_some_and(|listed| listed.allegiance == Allegiance::Malicious)
    }

    /// The nodes that keep a point of the ring.
    pub(super) fn keepers(&self, point: Point) -> Vec<&Candidate> {
        let members = self.swarms.route(point).map(|route| &route.stable.stable);
        let nodes = members.into_iter().flatten().map(|member| &member.node);
        nodes.filter_map(|node| self.listed(node)).map(|listed| &listed.candidate).collect()
    }
}

/// What a destination answers to a request: a digest of it, then zeros up to the wanted length.
pub(super) fn answer(request: &[u8], len: usize) -> Vec<u8> {
    let mut reply = crypto::digest("enjambre/simulation-answer/1", &[request]).as_bytes().to_vec();
    reply.resize(len.max(super::REPLY_MIN), 0);
    reply
}
