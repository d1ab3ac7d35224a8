//! Configurations: who keeps which part of the ring, and who will.

use serde::{Deserialize, Serialize};

use super::input::StorageNode;
use super::invariants;
use super::quorum::{majority_of, read_satisfied};
use super::ring::{Arc, HandOver, Point, arc_of, hand_overs, owner};
use crate::id::{NodeId, StoreId, SwarmId};
use crate::time::Timestamp;

/// A node with the database it had when it was named: with another one it is another member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// Its database.
    pub store: StoreId,
}

/// The change in hand: who will be stable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Stable without leavers, with joiners; sorted.
    pub members: Vec<Member>,
    /// The time of the document that gave the configuration its number.
    pub since: Timestamp,
}

/// On which side of a change of the ring a swarm stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// On the ring before and after.
    Owner,
    /// Only after: it takes part in writes to its arc, the owners before it answer reads.
    Forming,
    /// Only before: it answers reads of its arc until the owners after it are ready.
    Dissolving,
}

/// What the members of one swarm act by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The swarm, which is its place on the ring.
    pub swarm: SwarmId,
    /// Grows with every change of members, phase or neighbours; a member refuses lower ones. An id
    /// that is used again goes on above the numbers of the swarm that had it.
    pub number: u32,
    /// Where it stands in a change of the ring.
    pub phase: Phase,
    /// Who holds what was acknowledged; sorted. Dead, evicted and emptied members stay in it, and
    /// count in its size, until a change is committed. Empty only in [`Phase::Forming`], and in
    /// [`Phase::Dissolving`] after the loss of all.
    pub stable: Vec<Member>,
    /// The change in hand. Always there in [`Phase::Forming`], never in [`Phase::Dissolving`].
    pub target: Option<Target>,
    /// Since when fewer than a read quorum of stable are active, if so.
    pub unread_since: Option<Timestamp>,
    /// The number under which it last went on without a read quorum: writes acknowledged before
    /// may be lost.
    pub loss_possible: Option<u32>,
}

impl Configuration {
    /// The members it has once nothing is in hand.
    pub fn planned(&self) -> &[Member] {
        self.target.as_ref().map_or(&self.stable, |target| &target.members)
    }

    /// The lists of which a write needs a majority each: stable where there is one, target where
    /// there is one.
    pub(super) fn lists(&self) -> impl Iterator<Item = &[Member]> {
        let stable = (self.phase != Phase::Forming).then_some(&*self.stable);
        stable.into_iter().chain(self.target.as_ref().map(|target| &*target.members))
    }
}

/// The swarms of one document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SwarmState {
    /// All configurations, sorted by swarm.
    pub configurations: Vec<Configuration>,
    /// The highest number of a swarm that is gone; new swarms start above it.
    pub retired: u32,
}

impl SwarmState {
    /// The configuration of a swarm.
    pub fn configuration(&self, swarm: SwarmId) -> Option<&Configuration> {
        let at = self.configurations.binary_search_by_key(&swarm, |c| c.swarm).ok()?;
        self.configurations.get(at)
    }

    /// The ring that reads follow: all but forming swarms, sorted.
    pub fn stable_ring(&self) -> Vec<SwarmId> {
        self.ring_without(Phase::Forming)
    }

    /// The ring once nothing is in hand: all but dissolving swarms, sorted.
    pub fn target_ring(&self) -> Vec<SwarmId> {
        self.ring_without(Phase::Dissolving)
    }

    fn ring_without(&self, phase: Phase) -> Vec<SwarmId> {
        self.configurations.iter().filter(|c| c.phase != phase).map(|c| c.swarm).collect()
    }

    /// Who keeps a point, now and once nothing is in hand. `None` before the first swarm.
    pub fn route(&self, point: Point) -> Option<Route<'_>> {
        let stable = self.configuration(owner(point, &self.stable_ring())?)?;
        let target = self.configuration(owner(point, &self.target_ring())?)?;
        Some(Route { stable, target })
    }

    /// The stretches whose owner changes with what is in hand.
    pub fn hand_overs(&self) -> Vec<HandOver> {
        hand_overs(&self.stable_ring(), &self.target_ring())
    }

    /// What the members of a swarm keep: its arc of the stable ring, of the target ring, or both.
    /// A member is ready when it has reconciled all of them.
    pub fn arcs(&self, swarm: SwarmId) -> Vec<Arc> {
        let mut arcs: Vec<Arc> = arc_of(swarm, &self.stable_ring()).into_iter().collect();
        arcs.extend(arc_of(swarm, &self.target_ring()));
        arcs.dedup();
        arcs
    }

    /// Whether lists, order and phases are as this module makes them. A document that was decoded
    /// is checked by this before anything else reads it.
    pub fn is_well_formed(&self) -> bool {
        invariants::check_form(self).is_ok()
    }

    /// The swarm that a node is planned to be in.
    pub fn swarm_of(&self, node: NodeId) -> Option<SwarmId> {
        self.configurations
            .iter()
            .filter(|c| c.phase != Phase::Dissolving)
            .find(|c| c.planned().iter().any(|member| member.node == node))
            .map(|c| c.swarm)
    }

    /// The nodes of `nodes` that are planned for no swarm; they relay only.
    pub fn reserves(&self, nodes: &[StorageNode]) -> Vec<NodeId> {
        let mut planned: Vec<NodeId> = self
            .configurations
            .iter()
            .filter(|c| c.phase != Phase::Dissolving)
            .flat_map(|c| c.planned().iter().map(|member| member.node))
            .collect();
        planned.sort_unstable();
        let free = |node: &NodeId| planned.binary_search(node).is_err();
        nodes.iter().map(|n| n.node).filter(free).collect()
    }
}

/// Who keeps one point: the same configuration twice unless the point changes its owner.
#[derive(Clone, Copy, Debug)]
pub struct Route<'a> {
    /// The owner that answers reads.
    pub stable: &'a Configuration,
    /// The owner once nothing is in hand.
    pub target: &'a Configuration,
}

impl<'a> Route<'a> {
    /// The lists of which a write needs a majority each: one to four.
    pub fn write_lists(self) -> impl Iterator<Item = &'a [Member]> {
        let moves = self.stable.swarm != self.target.swarm;
        self.stable.lists().chain(moves.then(|| self.target.lists()).into_iter().flatten())
    }

    /// Whether the members that acknowledged a write to the point make it durable.
    pub fn write_satisfied(self, acks: &[Member]) -> bool {
        self.write_lists().all(|list| majority_of(list, acks))
    }

    /// Whether the members that answered a read of the point hold every acknowledged write.
    pub fn read_satisfied(self, answers: &[Member]) -> bool {
        read_satisfied(answers, self.stable)
    }
}
