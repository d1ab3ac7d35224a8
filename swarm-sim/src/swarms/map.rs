//! Maps of swarms, reduced to what chances depend on: how many swarms of each size, and how much of the ring they own.

use std::collections::BTreeMap;

use enjambre_protocol::id::SwarmId;
use enjambre_protocol::swarm::arc_of;

use crate::churn::{self, ChurnError, History, Planned, RING};
use crate::scenario::{Churn, Maps, Swarms};
use crate::stream::Streams;
use crate::trace::Trace;

/// The swarms of one size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Group {
    /// Members of each.
    pub(crate) size: u64,
    /// How many there are.
    pub(crate) swarms: u64,
    /// Their share of the ring, and so of mailboxes.
    pub(crate) ring: f64,
}

/// A map of swarms.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Map {
    /// All nodes, those in no swarm too.
    pub(crate) nodes: u64,
    /// By size, ascending; no size twice.
    pub(crate) groups: Vec<Group>,
}

impl Map {
    pub(crate) fn swarms(&self) -> u64 {
        self.groups.iter().map(|group| group.swarms).sum()
    }

    /// Nodes that are in a swarm.
    pub(crate) fn placed(&self) -> u64 {
        self.groups.iter().map(|group| group.swarms * group.size).sum()
    }

    /// The sizes that swarms have.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        self.groups.iter().map(|group| group.size).collect()
    }

    pub(crate) fn mean_size(&self) -> f64 {
        self.placed() as f64 / self.swarms().max(1) as f64
    }

    /// Copies of a message to a random account.
    pub(crate) fn copies(&self) -> f64 {
        self.groups.iter().map(|group| group.ring * group.size as f64).sum()
    }

    /// Nodes dealt into as many swarms of `size` as there can be; what is left goes one each to the first, round and round.
    /// Each swarm owns as much of the ring as any other.
    pub(crate) fn fixed(nodes: u32, size: u32) -> Self {
        let (nodes, size) = (u64::from(nodes), u64::from(size));
        let swarms = nodes / size;
        let (each, larger) = (nodes / swarms, nodes % swarms);
        let ring = |count: u64| count as f64 / swarms as f64;
        let groups = [
            Group { size: each, swarms: swarms - larger, ring: ring(swarms - larger) },
            Group { size: each + 1, swarms: larger, ring: ring(larger) },
        ];
        Self { nodes, groups: groups.into_iter().filter(|group| group.swarms > 0).collect() }
    }

    /// The map of a history's document.
    fn of(history: &History<'_>) -> Self {
        let (active, ring) = (history.active(), history.state().target_ring());
        let share =
            |swarm: SwarmId| arc_of(swarm, &ring).map_or(0.0, |arc| arc.points() as f64 / RING);
        let mut by_size: BTreeMap<u64, (u64, f64)> = BTreeMap::new();
        for Planned { swarm, members } in history.planned(&active) {
            let (swarms, ring) = by_size.entry(members.len() as u64).or_default();
            *swarms += 1;
            *ring += share(swarm);
        }
        let groups = by_size.into_iter().map(|(size, (swarms, ring))| Group { size, swarms, ring });
        Self { nodes: active.len() as u64, groups: groups.collect() }
    }

    /// For the digest.
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.nodes.to_le_bytes().to_vec();
        for group in &self.groups {
            bytes.extend(group.size.to_le_bytes());
            bytes.extend(group.swarms.to_le_bytes());
            bytes.extend(group.ring.to_bits().to_le_bytes());
        }
        bytes
    }
}

/// The map of one replicate.
#[derive(Debug)]
pub(crate) struct Grown {
    /// At the end.
    pub(crate) last: Map,
    /// After half of the documents in which as many nodes come as go, where there are some.
    pub(crate) halfway: Option<Map>,
}

/// Makes the map.
pub(crate) fn maps(
    swarms: &Swarms,
    streams: &Streams,
    trace: &mut Trace,
) -> Result<Grown, ChurnError> {
    let maps = match &swarms.maps {
        Maps::Fixed { size } => Grown { last: Map::fixed(swarms.nodes, *size), halfway: None },
        Maps::Grown(churn) => grown(churn, streams, trace)?,
    };
    trace.event(&[&maps.last.to_bytes()]);
    Ok(maps)
}

fn grown(churn: &Churn, streams: &Streams, trace: &mut Trace) -> Result<Grown, ChurnError> {
    let mut history = History::new(churn, streams);
    let mut halfway = None;
    // The first document is where the history starts; it moves nobody.
    history.advance();
    for steps in &churn.steps {
        for document in 1..=steps.times {
            history.happen(steps);
            churn::document(churn, &mut history, trace)?;
            if steps.leave > 0 && document == steps.times.div_ceil(2) {
                halfway = Some(Map::of(&history));
            }
        }
    }
    Ok(Grown { last: Map::of(&history), halfway })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(map: &Map) -> Vec<(u64, u64)> {
        map.groups.iter().map(|group| (group.size, group.swarms)).collect()
    }

    #[test]
    fn what_is_left_of_dealt_nodes_is_spread_over_the_swarms() {
        assert_eq!(groups(&Map::fixed(21, 7)), [(7, 3)]);
        assert_eq!(groups(&Map::fixed(23, 7)), [(7, 1), (8, 2)]);
        // Two swarms of 9 of 19 nodes, and of 7 of them with 5 left: 3 + 2.
        assert_eq!(groups(&Map::fixed(19, 9)), [(9, 1), (10, 1)]);
        assert_eq!(groups(&Map::fixed(19, 7)), [(9, 1), (10, 1)]);
        assert_eq!(groups(&Map::fixed(9, 9)), [(9, 1)]);
        for size in 1..=15 {
            let map = Map::fixed(300, size);
            let ring: f64 = map.groups.iter().map(|group| group.ring).sum();
            assert_eq!((map.placed(), map.swarms()), (300, u64::from(300 / size)));
            assert!((ring - 1.0).abs() < 1e-12);
        }
    }
}
