//! The network of one replicate: its directory, and whom the adversary owns.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use enjambre_protocol::crypto;
use enjambre_protocol::id::{Digest, NodeId, SwarmId};
use enjambre_protocol::path::{Candidate, PathParams, Prefix};
use enjambre_protocol::swarm::{
    Point, Statements, StorageNode, SwarmParams, SwarmState, owner, transition,
};
use enjambre_protocol::time::Timestamp;

use super::churn::Place;
use super::client::Change;
use crate::alias::Alias;
use crate::population::{self, Profile};
use crate::scenario::{AdversaryChurn, Network, Owned, Paths, Weights};
use crate::stream::fast::Fast;
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

/// Draws from the table before all nodes are looked at: few nodes may be allowed, or none.
const DRAWS: u32 = 64;

/// The group of a node that is not listed.
const UNLISTED: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct World<'a> {
    paths: &'a Paths,
    streams: &'a Streams,
    /// Who is listed, as the path machine reads it.
    pub(super) listed: Vec<Candidate>,
    /// The places of those.
    pub(super) listed_places: Vec<u32>,
    /// Draws by weight among all places, listed or not.
    pub(super) table: Alias,
    /// Of each place: its swarm's number, one more than the last for reserves, [`UNLISTED`].
    group: Vec<u32>,
    /// The places of each group that are listed.
    members: Vec<Vec<u32>>,
    pub(super) is_malicious: Vec<bool>,
    places: Vec<Place>,
    /// Of each place, the node that has it, listed or not.
    pub(super) candidates: Vec<Candidate>,
    storage: Vec<StorageNode>,
    indices: BTreeMap<NodeId, u32>,
    swarms: SwarmState,
    /// All swarms in order, and the number of each.
    ring: Vec<SwarmId>,
    numbers: BTreeMap<SwarmId, u32>,
    documents: u32,
}

impl<'a> World<'a> {
    pub(super) fn found(paths: &'a Paths, streams: &'a Streams) -> Self {
        let network = &paths.network;
        let mut world = Self {
            paths,
            streams,
            listed: Vec::new(),
            listed_places: Vec::new(),
            table: Alias::new(&[]),
            group: Vec::new(),
            members: Vec::new(),
            is_malicious: Vec::new(),
            places: Vec::new(),
            candidates: Vec::new(),
            storage: Vec::new(),
            indices: BTreeMap::new(),
            swarms: SwarmState::default(),
            ring: Vec::new(),
            numbers: BTreeMap::new(),
            documents: 0,
        };
        for number in 0..network.nodes {
            let (storage, candidate) = world.node(number);
            world.storage.push(storage);
            world.candidates.push(candidate);
        }
        let malicious = malicious(paths, &world.candidates, streams);
        for index in 0..network.nodes {
            let is_malicious = malicious.contains(&index);
            let stays = paths
                .churn
                .is_none_or(|churn| is_malicious && churn.adversary == AdversaryChurn::Stays);
            let churn = paths.churn.as_ref().filter(|_| !stays);
            world.places.push(Place::new(index, churn, streams));
            world.is_malicious.push(is_malicious);
        }
        world.regroup(0);
        world.list();
        world
    }

    /// The node with this number: as swarms see it, and as clients do but for its swarm.
    fn node(&self, number: u32) -> (StorageNode, Candidate) {
        let (paths, streams) = (self.paths, self.streams);
        let profile = Profile::draw(&paths.network, streams, number);
        let id = streams.stream(Entity::Node(number), "id").bytes();
        let storage = profile.storage_node(NodeId::from_bytes(id), 1 + u64::from(self.documents));
        let candidate = Candidate {
            node: storage.node,
            family: profile.family,
            prefix: Prefix::new(profile.address.into(), &PathParams::default()),
            swarm: None,
            weight: weight(paths.weights, streams, number),
        };
        (storage, candidate)
    }

    /// Lets time pass until a look at the directory, and says what changed in it.
    pub(super) fn advance(&mut self, to: u64) -> Change {
        let Some(churn) = &self.paths.churn else { return Change::None };
        self.documents += 1;
        let nodes = self.paths.network.nodes;
        let (mut replaced, mut any) = (false, false);
        for at in 0..self.places.len() {
            let change = self.places[at].advance(churn, nodes, self.streams, to);
            if change.replaced {
                (self.storage[at], self.candidates[at]) = self.node(self.places[at].number(nodes));
            }
            replaced |= change.replaced;
            any |= change.any;
        }
        if replaced {
            self.regroup(to);
        }
        if any {
            self.list();
        }
        match (replaced, any) {
            (true, _) => Change::Swarms,
            (false, true) => Change::Listed,
            (false, false) => Change::None,
        }
    }

    /// Computes the swarms after nodes have left and come.
    fn regroup(&mut self, now: u64) {
        let mut stream = self.streams.stream(Entity::World, "beacon");
        let seed: [u8; 32] = stream.bytes();
        // The first document's is the seed itself.
        let beacon = match self.documents {
            0 => Digest::from_bytes(seed),
            at => crypto::digest("enjambre/simulation-beacon/1", &[&seed, &at.to_le_bytes()]),
        };
        let params = SwarmParams::default();
        let statements = Statements::none();
        let (now, before) = (calendar(now), &self.swarms);
        self.swarms = transition(before, &self.storage, &statements, &beacon, now, &params);
        for candidate in &mut self.candidates {
            candidate.swarm = self.swarms.swarm_of(candidate.node);
        }
        self.ring = self.swarms.stable_ring();
        let used: BTreeSet<_> = self.candidates.iter().filter_map(|c| c.swarm).collect();
        self.numbers = used.into_iter().zip(0..).collect();
        let weights: Vec<u32> = self.candidates.iter().map(|c| c.weight).collect();
        self.table = Alias::new(&weights);
        self.indices = self.candidates.iter().map(|c| c.node).zip(0..).collect();
    }

    /// Lists who is up.
    fn list(&mut self) {
        let reserves = u32::try_from(self.numbers.len()).unwrap_or(UNLISTED);
        self.members = vec![Vec::new(); self.numbers.len() + 1];
        self.group.clear();
        self.listed.clear();
        self.listed_places.clear();
        for (index, (place, candidate)) in (0..).zip(self.places.iter().zip(&self.candidates)) {
            let number = candidate.swarm.and_then(|swarm| self.numbers.get(&swarm).copied());
            let group = number.unwrap_or(reserves);
            self.group.push(if place.is_up() { group } else { UNLISTED });
            if !place.is_up() {
                continue;
            }
            self.listed.push(*candidate);
            self.listed_places.push(index);
            if let Some(members) = self.members.get_mut(group as usize) {
                members.push(index);
            }
        }
    }

    /// The number of the node that has a place, of all that ever were.
    pub(super) fn number(&self, place: u32) -> u32 {
        let nodes = self.paths.network.nodes;
        self.places.get(place as usize).map_or(place, |place| place.number(nodes))
    }

    /// Whether a place's node is in the directory.
    #[inline]
    pub(super) fn is_listed(&self, place: u32) -> bool {
        self.group_of(place) != UNLISTED
    }

    /// The place of a node that is there.
    pub(super) fn index(&self, node: &NodeId) -> Option<u32> {
        self.indices.get(node).copied()
    }

    pub(super) fn candidate(&self, node: u32) -> Option<&Candidate> {
        self.candidates.get(node as usize)
    }

    pub(super) fn is_malicious(&self, node: u32) -> bool {
        self.is_malicious.get(node as usize).copied().unwrap_or(false)
    }

    /// The number of a node's group; no group's while it is not listed.
    #[inline]
    pub(super) fn group_of(&self, node: u32) -> u32 {
        self.group.get(node as usize).copied().unwrap_or(UNLISTED)
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
        self.numbers.get(&owner(point, &self.ring)?).copied()
    }

    /// Draws a listed node by weight, of those that are allowed by node and group; none if there is none.
    #[inline]
    pub(super) fn draw(&self, fast: &mut Fast, allowed: impl Fn(u32, u32) -> bool) -> Option<u32> {
        for _ in 0..DRAWS {
            let node = self.table.draw(fast);
            let group = self.group_of(node);
            if group != UNLISTED && allowed(node, group) {
                return Some(node);
            }
        }
        let groups = (0..).zip(&self.group);
        let listed = groups.filter(|(_, group)| **group != UNLISTED);
        let allowed = listed.filter(|(node, group)| allowed(*node, **group));
        self.pick(fast, &allowed.map(|(node, _)| node).collect::<Vec<u32>>())
    }

    /// One of these nodes, by weight.
    #[cold]
    pub(super) fn pick(&self, fast: &mut Fast, nodes: &[u32]) -> Option<u32> {
        let mut left = fast.below(nodes.iter().map(|node| self.weight_of(*node)).sum());
        for node in nodes {
            let own = self.weight_of(*node);
            if left < own {
                return Some(*node);
            }
            left -= own;
        }
        None
    }

    fn weight_of(&self, node: u32) -> u64 {
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
