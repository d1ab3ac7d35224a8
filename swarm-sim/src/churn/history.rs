//! The nodes of a history, what befalls them, and the swarms that follow.

use std::collections::{BTreeMap, BTreeSet};

use enjambre_protocol::crypto;
use enjambre_protocol::id::{NodeId, StoreId, SwarmId};
use enjambre_protocol::swarm::{
    Configuration, Member, Phase, Progress, Readiness, Statement, Statements, StorageNode,
    SwarmState, read_quorum, transition,
};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;

use super::deployed;
use crate::population::{self, Profile};
use crate::scenario::{Churn, Rules, Steps};
use crate::stream::{Entity, Stream, Streams};

/// The time of the first document. Any would do.
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// How many of what befell the nodes before a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Happened {
    pub(crate) joined: u64,
    pub(crate) left: u64,
    pub(crate) emptied: u64,
}

/// A swarm once nothing is in hand, with those of its members that are active.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) swarm: SwarmId,
    pub(crate) members: Vec<NodeId>,
}

/// A network that has come to some step.
#[derive(Debug)]
pub(crate) struct History<'a> {
    churn: &'a Churn,
    streams: &'a Streams,
    /// Who is struck by what happens.
    fate: Stream,
    /// What the deployed rules draw from.
    draws: Stream,
    nodes: Vec<StorageNode>,
    malicious: BTreeSet<NodeId>,
    /// Nodes that ever were.
    made: u32,
    step: u32,
    state: SwarmState,
    /// The step whose document gave a configuration its number.
    born: BTreeMap<(SwarmId, u32), u32>,
}

impl<'a> History<'a> {
    /// The nodes of the start, before their first document.
    pub(crate) fn new(churn: &'a Churn, streams: &'a Streams) -> Self {
        let mut history = Self {
            churn,
            streams,
            fate: streams.stream(Entity::World, "churn"),
            draws: streams.stream(Entity::World, "deployed"),
            nodes: Vec::new(),
            malicious: BTreeSet::new(),
            made: 0,
            step: 0,
            state: SwarmState::default(),
            born: BTreeMap::new(),
        };
        let malicious = population::malicious(&churn.network, streams);
        for index in 0..churn.network.nodes {
            let node = history.add();
            if malicious.contains(&index) {
                history.malicious.insert(node);
            }
        }
        history
    }

    pub(crate) fn nodes(&self) -> &[StorageNode] {
        &self.nodes
    }

    pub(crate) const fn state(&self) -> &SwarmState {
        &self.state
    }

    pub(crate) fn active(&self) -> BTreeSet<NodeId> {
        self.nodes.iter().map(|node| node.node).collect()
    }

    /// All swarms but those that dissolve, by id.
    pub(crate) fn planned(&self, active: &BTreeSet<NodeId>) -> Vec<Planned> {
        let lasting = self.state.configurations.iter().filter(|c| c.phase != Phase::Dissolving);
        let planned = lasting.map(|configuration| {
            let members = configuration.planned().iter().map(|member| member.node);
            let members = members.filter(|node| active.contains(node)).collect();
            Planned { swarm: configuration.swarm, members }
        });
        planned.collect()
    }

    /// Whether the rules know read quorums, so that a loss shows in a configuration.
    pub(crate) fn has_quorums(&self) -> bool {
        self.churn.rules == Rules::Ours
    }

    /// Documents up to now, with the one that the history starts from.
    pub(crate) const fn step(&self) -> u32 {
        self.step
    }

    pub(crate) fn is_malicious(&self, node: &NodeId) -> bool {
        self.malicious.contains(node)
    }

    pub(crate) fn encoded_state(&self) -> Vec<u8> {
        wire::encode(&self.state)
    }

    fn add(&mut self) -> NodeId {
        let index = self.made;
        self.made += 1;
        let profile = Profile::draw(&self.churn.network, self.streams, index);
        let mut stream = self.streams.stream(Entity::Node(index), "identity");
        let node = NodeId::from_bytes(stream.bytes());
        self.nodes.push(profile.storage_node(node, u64::from(self.step)));
        node
    }

    fn join(&mut self) {
        let index = self.made;
        let node = self.add();
        let mut stream = self.streams.stream(Entity::Node(index), "allegiance");
        if stream.chance(self.churn.network.malicious) {
            self.malicious.insert(node);
        }
    }

    /// Lets happen what the scenario says for one step.
    pub(crate) fn happen(&mut self, steps: &Steps) -> Happened {
        let leave = usize::try_from(steps.leave).unwrap_or(usize::MAX);
        let leave = leave.saturating_add(steps.drop.of(self.nodes.len())).min(self.nodes.len());
        for _ in 0..leave {
            let at = self.fate.index(self.nodes.len());
            let node = self.nodes.swap_remove(at);
            self.malicious.remove(&node.node);
        }
        for _ in 0..steps.join {
            self.join();
        }
        let empty = usize::try_from(steps.empty).unwrap_or(usize::MAX);
        let emptied = self.fate.choose(empty, self.nodes.len());
        for at in &emptied {
            self.nodes[*at].store = StoreId::from_bytes(self.fate.bytes());
        }
        Happened { joined: steps.join.into(), left: leave as u64, emptied: emptied.len() as u64 }
    }

    /// Makes the next document and returns the swarms of the one before.
    pub(crate) fn advance(&mut self) -> SwarmState {
        let statements = self.statements();
        let mut stream = self.streams.stream(Entity::World, "beacon");
        let seed: [u8; 32] = stream.bytes();
        let beacon =
            crypto::digest("enjambre/simulation-beacon/1", &[&seed, &self.step.to_le_bytes()]);
        let now = START.saturating_add(self.churn.epoch.saturating_mul(self.step));
        let params = &self.churn.params;
        let next = match self.churn.rules {
            Rules::Ours => transition(&self.state, &self.nodes, &statements, &beacon, now, params),
            Rules::Deployed => deployed::next(&self.state, &self.nodes, &mut self.draws),
        };
        self.step += 1;
        let born = next.configurations.iter().map(|configuration| {
            let key = (configuration.swarm, configuration.number);
            (key, self.born.get(&key).copied().unwrap_or(self.step))
        });
        self.born = born.collect();
        core::mem::replace(&mut self.state, next)
    }

    /// What members say by now: each adopts a configuration at once, and is ready after the
    /// scenario's number of documents if it can find all that it needs.
    fn statements(&self) -> Statements {
        if self.churn.params.readiness == Readiness::AtOnce {
            return Statements::none();
        }
        let present: BTreeSet<Member> =
            self.nodes.iter().map(|n| Member { node: n.node, store: n.store }).collect();
        let mut all = Vec::new();
        for configuration in &self.state.configurations {
            let key = (configuration.swarm, configuration.number);
            let age = self.born.get(&key).map_or(0, |born| self.step - born + 1);
            let ready = age >= self.churn.ready_after && self.has_sources(configuration, &present);
            let progress = if ready { Progress::Ready } else { Progress::Adopted };
            let members: BTreeSet<&Member> =
                configuration.stable.iter().chain(configuration.planned()).collect();
            let speaking = members.into_iter().filter(|member| present.contains(member));
            all.extend(speaking.map(|member| Statement {
                swarm: configuration.swarm,
                number: configuration.number,
                member: *member,
                progress,
            }));
        }
        all.into_iter().collect()
    }

    /// Whether every swarm that members of this one copy from has a read quorum.
    fn has_sources(&self, configuration: &Configuration, present: &BTreeSet<Member>) -> bool {
        let moved = self.state.hand_overs().into_iter();
        let mut sources: BTreeSet<SwarmId> =
            moved.filter(|moved| moved.to == configuration.swarm).map(|moved| moved.from).collect();
        if !configuration.stable.is_empty() {
            sources.insert(configuration.swarm);
        }
        sources.iter().filter_map(|swarm| self.state.configuration(*swarm)).all(|source| {
            let there = source.stable.iter().filter(|member| present.contains(member)).count();
            there >= read_quorum(source.stable.len())
        })
    }

    /// Whether no number went back, and none stayed where members or phase changed.
    pub(crate) fn numbers_grow(&self, before: &SwarmState) -> bool {
        self.state.configurations.iter().all(|new| {
            let Some(old) = before.configuration(new.swarm) else {
                return new.number > before.retired;
            };
            let same = Configuration { unread_since: old.unread_since, ..new.clone() } == *old;
            new.number > old.number || (new.number == old.number && same)
        })
    }
}
