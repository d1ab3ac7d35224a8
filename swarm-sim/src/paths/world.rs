//! The network of one replicate: a directory that stands still, and whom the adversary owns.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use enjambre_protocol::id::{Digest, NodeId};
use enjambre_protocol::path::{Candidate, PathParams, Prefix};
use enjambre_protocol::swarm::{
    Point, Statements, StorageNode, SwarmParams, SwarmState, transition,
};
use enjambre_protocol::time::Timestamp;

use crate::alias::Alias;
use crate::population::{self, Profile};
use crate::scenario::{Network, Owned, Paths, Weights};
use crate::stream::{Entity, Streams};

/// Calendar time when virtual time starts. Any would do.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// The least weight of a node.
const WEIGHT: f64 = 100.0;

/// The greatest: ten thousand times the least, so that leaving a heavy node out costs no more draws than that.
const WEIGHT_MAX: f64 = 1e6;

/// The directory's clock, so many milliseconds after the start.
pub(super) fn calendar(ms: u64) -> Timestamp {
    START.saturating_add(Duration::from_millis(ms))
}

/// Milliseconds from the start to what the directory's clock shows.
pub(super) fn since_start(time: Timestamp) -> u64 {
    u64::try_from(time.saturating_since(START).as_millis()).unwrap_or(u64::MAX)
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) candidates: Vec<Candidate>,
    pub(super) table: Alias,
    /// Of each node: its swarm's number; one more than the last for reserves.
    pub(super) group: Vec<u32>,
    /// The nodes of each group.
    pub(super) members: Vec<Vec<u32>>,
    pub(super) is_malicious: Vec<bool>,
    indices: BTreeMap<NodeId, u32>,
    swarms: SwarmState,
}

impl World {
    pub(super) fn found(paths: &Paths, streams: &Streams) -> Self {
        let network = &paths.network;
        let profiles = (0..network.nodes).map(|index| Profile::draw(network, streams, index));
        let profiles: Vec<Profile> = profiles.collect();
        let storage: Vec<StorageNode> = (0..)
            .zip(&profiles)
            .map(|(index, profile)| {
                let id = streams.stream(Entity::Node(index), "id").bytes();
                profile.storage_node(NodeId::from_bytes(id), 1)
            })
            .collect();
        let beacon = Digest::from_bytes(streams.stream(Entity::World, "beacon").bytes());
        let (none, params) = (SwarmState::default(), SwarmParams::default());
        let swarms = transition(&none, &storage, &Statements::none(), &beacon, START, &params);
        let candidate = |(index, (node, profile)): (u32, (&StorageNode, &Profile))| Candidate {
            node: node.node,
            family: profile.family,
            prefix: Prefix::new(profile.address.into(), &PathParams::default()),
            swarm: swarms.swarm_of(node.node),
            weight: weight(paths.weights, streams, index),
        };
        let candidates: Vec<Candidate> =
            (0..).zip(storage.iter().zip(&profiles)).map(candidate).collect();
        let ring: BTreeSet<_> = candidates.iter().filter_map(|c| c.swarm).collect();
        let numbers: BTreeMap<_, u32> = ring.iter().copied().zip(0..).collect();
        let reserves = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
        let number = |c: &Candidate| c.swarm.and_then(|swarm| numbers.get(&swarm).copied());
        let group: Vec<u32> = candidates.iter().map(|c| number(c).unwrap_or(reserves)).collect();
        let mut members = vec![Vec::new(); numbers.len() + 1];
        for (node, group) in (0..).zip(&group) {
            if let Some(members) = members.get_mut(*group as usize) {
                members.push(node);
            }
        }
        let malicious = malicious(paths, &candidates, streams);
        let weights: Vec<u32> = candidates.iter().map(|c| c.weight).collect();
        Self {
            table: Alias::new(&weights),
            group,
            members,
            is_malicious: (0..network.nodes).map(|node| malicious.contains(&node)).collect(),
            indices: candidates.iter().map(|c| c.node).zip(0..).collect(),
            candidates,
            swarms,
        }
    }

    /// The index of a node.
    pub(super) fn index(&self, node: &NodeId) -> Option<u32> {
        self.indices.get(node).copied()
    }

    pub(super) fn candidate(&self, node: u32) -> Option<&Candidate> {
        self.candidates.get(node as usize)
    }

    pub(super) fn is_malicious(&self, node: u32) -> bool {
        self.is_malicious.get(node as usize).copied().unwrap_or(false)
    }

    /// The number of a node's group.
    pub(super) fn group_of(&self, node: u32) -> u32 {
        self.group.get(node as usize).copied().unwrap_or(u32::MAX)
    }

    pub(super) fn members_of(&self, group: u32) -> &[u32] {
        self.members.get(group as usize).map_or(&[], Vec::as_slice)
    }

    /// Whether a group is a swarm, and not the reserves.
    pub(super) const fn is_swarm(&self, group: u32) -> bool {
        (group as usize) + 1 < self.members.len()
    }

    /// The number of the swarm that keeps a point of the ring.
    pub(super) fn keepers(&self, point: Point) -> Option<u32> {
        let keeper = self.swarms.route(point)?.stable.stable.first()?.node;
        Some(self.group_of(self.index(&keeper)?))
    }

    pub(super) fn weight_of(&self, node: u32) -> u64 {
        self.candidate(node).map_or(1, |candidate| candidate.weight.max(1).into())
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 100 to 10⁶")]
fn weight(weights: Weights, streams: &Streams, index: u32) -> u32 {
    match weights {
        Weights::Equal => WEIGHT as u32,
        Weights::Pareto { shape } => {
            let unit = streams.stream(Entity::Node(index), "weight").unit();
            (WEIGHT * libm::pow(unit, -shape.recip())).min(WEIGHT_MAX) as u32
        }
    }
}

/// Whom the adversary owns: the nearest whole number of nodes, nodes in random order until their weight is the share
/// or more, or all nodes in the nearest whole number of the prefixes that are in use.
fn malicious(paths: &Paths, candidates: &[Candidate], streams: &Streams) -> BTreeSet<u32> {
    let Network { malicious: share, .. } = paths.network;
    let mut stream = streams.stream(Entity::World, "malicious");
    match paths.owned {
        Owned::Nodes => population::malicious(&paths.network, streams),
        Owned::Weight => {
            let total: u128 = candidates.iter().map(|c| u128::from(c.weight)).sum();
            let wanted = total * u128::from(share.parts());
            let mut owned = 0;
            let order = stream.choose(candidates.len(), candidates.len());
            let mut chosen = BTreeSet::new();
            for at in order {
                if owned * u128::from(crate::scenario::Share::WHOLE) >= wanted {
                    break;
                }
                owned += u128::from(candidates[at].weight);
                chosen.extend(u32::try_from(at));
            }
            chosen
        }
        Owned::Prefixes => {
            let used: BTreeSet<Prefix> = candidates.iter().map(|c| c.prefix).collect();
            let used: Vec<Prefix> = used.into_iter().collect();
            let chosen = stream.choose(share.of(used.len()), used.len());
            let chosen: BTreeSet<Prefix> = chosen.into_iter().map(|at| used[at]).collect();
            let nodes = (0..).zip(candidates).filter(|(_, c)| chosen.contains(&c.prefix));
            nodes.map(|(node, _)| node).collect()
        }
    }
}
