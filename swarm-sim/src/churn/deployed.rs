//! How the deployed network groups its nodes into swarms, for comparison with the protocol's own rules.
//!
//! Written after a description of its chain's code: assignment, filling of starving swarms, new swarms and dissolution, in
//! this order, with the same constants. Random draws come from the simulator's streams instead of a block's hash. Where
//! the description leaves room: the pool from which a starving swarm is filled is made anew for each node taken, and
//! nodes of a dissolved swarm are placed without looking for a new swarm in between. A change counts at once, and
//! nodes that are down are not told from those that left.

use std::collections::{BTreeMap, BTreeSet};

use enjambre_protocol::id::{NodeId, SwarmId};
use enjambre_protocol::swarm::{Configuration, Member, Phase, StorageNode, SwarmState};

use crate::stream::Stream;

/// Below it a swarm starves.
const MIN: usize = 5;
/// Members of a new swarm.
const NEW: usize = 7;
/// Members beyond the least that stay with each swarm when a new one is drawn from them.
const MARGIN: usize = 2;
/// Nodes join one of the swarms up to this percentile of size.
const FILL_PERCENTILE: usize = 25;
/// Starving swarms take from swarms above about this percentile of size.
const STEAL_PERCENTILE: usize = 75;
/// The largest id of a swarm.
const ID_MAX: u64 = u64::MAX - 1;

type Swarms = BTreeMap<u64, Vec<NodeId>>;

/// The swarms of the next document: those of the last one if no node came or left.
pub(super) fn next(before: &SwarmState, nodes: &[StorageNode], stream: &mut Stream) -> SwarmState {
    let active: BTreeMap<NodeId, Member> =
        nodes.iter().map(|n| (n.node, Member { node: n.node, store: n.store })).collect();
    let mut swarms: Swarms = before
        .configurations
        .iter()
        .map(|c| (c.swarm.position(), c.stable.iter().map(|member| member.node).collect()))
        .collect();
    let assigned: BTreeSet<NodeId> = swarms.values().flatten().copied().collect();
    let same = nodes.len() == assigned.len() && active.keys().all(|node| assigned.contains(node));
    if !same {
        let fresh = nodes.iter().map(|n| n.node).filter(|node| !assigned.contains(node));
        let fresh: Vec<NodeId> = fresh.collect();
        swarms.values_mut().for_each(|members| members.retain(|node| active.contains_key(node)));
        regroup(&mut swarms, &fresh, stream);
    }
    let configurations = swarms.into_iter().filter_map(|(position, members)| {
        Some(Configuration {
            swarm: SwarmId::new(position)?,
            number: 0,
            phase: Phase::Owner,
            stable: members.iter().filter_map(|node| active.get(node).copied()).collect(),
            target: None,
            unread_since: None,
            loss_possible: None,
        })
    });
    SwarmState { configurations: configurations.collect(), retired: 0 }
}

/// Whether every node is in one swarm, and no swarm starves beside another.
pub(super) fn holds(state: &SwarmState, nodes: &[StorageNode]) -> bool {
    let placed = state.configurations.iter().flat_map(|c| &c.stable).map(|member| member.node);
    let mut placed: Vec<NodeId> = placed.collect();
    let mut active: Vec<NodeId> = nodes.iter().map(|node| node.node).collect();
    placed.sort_unstable();
    active.sort_unstable();
    let one = state.configurations.len() == 1;
    placed == active && (one || state.configurations.iter().all(|c| c.stable.len() >= MIN))
}

fn regroup(swarms: &mut Swarms, fresh: &[NodeId], stream: &mut Stream) {
    if swarms.is_empty() {
        swarms.insert(0, Vec::new());
    }
    for node in fresh {
        assign(swarms, *node, FILL_PERCENTILE, stream);
        form(swarms, stream);
    }
    fill_starving(swarms, stream);
    form(swarms, stream);
    dissolve(swarms, stream);
}

/// Ids of all swarms, the smallest first, of equal ones the lowest id.
fn by_size(swarms: &Swarms) -> Vec<(usize, u64)> {
    let mut sizes: Vec<_> = swarms.iter().map(|(id, members)| (members.len(), *id)).collect();
    sizes.sort_unstable();
    sizes
}

/// Puts a node into one of the swarms up to a percentile of size, all of the size there included.
fn assign(swarms: &mut Swarms, node: NodeId, percentile: usize, stream: &mut Stream) {
    let sizes = by_size(swarms);
    let at = percentile * (sizes.len() - 1) / 100;
    let small = sizes.iter().take_while(|(size, _)| *size <= sizes[at].0).count();
    if let Some(members) = swarms.get_mut(&sizes[stream.index(small)].1) {
        members.push(node);
    }
}

/// Takes a uniformly random node out of the swarms with more than `above` members.
fn take(swarms: &mut Swarms, above: usize, stream: &mut Stream) -> Option<NodeId> {
    let pool: usize = swarms.values().map(Vec::len).filter(|size| *size > above).sum();
    let mut at = stream.index(pool);
    for members in swarms.values_mut().filter(|members| members.len() > above) {
        if at < members.len() {
            return Some(members.remove(at));
        }
        at -= members.len();
    }
    None
}

/// Fills starving swarms from large ones, the smallest first, until the large ones cannot fill the next.
fn fill_starving(swarms: &mut Swarms, stream: &mut Stream) {
    let starving = by_size(swarms).into_iter().filter(|(size, _)| *size < MIN);
    for (size, id) in starving.collect::<Vec<_>>() {
        for deficit in (1..=MIN - size).rev() {
            let sizes = by_size(swarms);
            let high = sizes[STEAL_PERCENTILE * (sizes.len() - 1) / 100].0;
            let above = MIN.max(high.saturating_sub(1));
            let large = sizes.iter().filter(|(size, _)| *size > above);
            let excess: usize = large.map(|(size, _)| size - MIN).sum();
            if excess < deficit {
                return;
            }
            let taken = take(swarms, above, stream);
            if let Some((members, node)) = swarms.get_mut(&id).zip(taken) {
                members.push(node);
            }
        }
    }
}

/// Draws new swarms from the members beyond the least while there are enough of them.
fn form(swarms: &mut Swarms, stream: &mut Stream) {
    while swarms.values().all(|members| members.len() >= MIN) {
        let excess: usize = swarms.values().map(|members| members.len() - MIN).sum();
        if excess < NEW + MARGIN * swarms.len() {
            return;
        }
        let members = (0..NEW).filter_map(|_| take(swarms, MIN, stream)).collect();
        swarms.insert(new_id(swarms), members);
    }
}

/// The middle of the largest gap between neighbouring ids, the first of equal ones.
fn new_id(swarms: &Swarms) -> u64 {
    let ids: Vec<u64> = swarms.keys().copied().collect();
    let (Some(first), Some(last)) = (ids.first(), ids.last()) else { return 0 };
    let (mut from, mut widest) = (*last, 0);
    for pair in ids.windows(2) {
        if pair[1] - pair[0] > widest {
            (from, widest) = (pair[0], pair[1] - pair[0]);
        }
    }
    let around = ID_MAX - last + first + 1;
    if around > widest {
        (from, widest) = (*last, around);
    }
    let (half, room) = (widest / 2, ID_MAX - from);
    if half <= room { from + half } else { half - room - 1 }
}

/// Dissolves starving swarms while there are others, the lowest id first.
fn dissolve(swarms: &mut Swarms, stream: &mut Stream) {
    while swarms.len() > 1 {
        let starving = swarms.iter().find(|(_, members)| members.len() < MIN);
        let Some(id) = starving.map(|(id, _)| *id) else { return };
        for node in swarms.remove(&id).unwrap_or_default() {
            assign(swarms, node, 0, stream);
        }
    }
}

#[cfg(test)]
mod tests {
    use enjambre_protocol::id::StoreId;

    use super::*;
    use crate::stream::{Entity, Streams};

    fn stream() -> Stream {
        Streams::new(1, "deployed", 0).stream(Entity::World, "test")
    }

    fn node(index: u64) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        NodeId::from_bytes(bytes)
    }

    /// Swarms of these sizes, of nodes numbered from 0.
    fn of_sizes(sizes: &[usize]) -> Swarms {
        let mut nodes = (0..).map(node);
        let ids = (0..).map(|index| index * 1000);
        ids.zip(sizes).map(|(id, size)| (id, nodes.by_ref().take(*size).collect())).collect()
    }

    fn sizes(swarms: &Swarms) -> Vec<usize> {
        by_size(swarms).into_iter().map(|(size, _)| size).collect()
    }

    #[test]
    fn growing_network_has_a_swarm_for_every_seven_nodes() {
        let (mut swarms, mut stream) = (Swarms::new(), stream());
        // The S-th swarm forms when n − 5 (S − 1) ≥ 7 + 2 (S − 1), that is n ≥ 7 S.
        for n in 1..=200 {
            regroup(&mut swarms, &[node(n)], &mut stream);
            let expected = usize::try_from(n / 7).unwrap_or(0).max(1);
            assert_eq!((swarms.len(), sizes(&swarms).iter().sum::<usize>() as u64), (expected, n));
        }
    }

    #[test]
    fn new_swarm_stands_in_the_middle_of_the_largest_gap() {
        let with = |ids: &[u64]| new_id(&ids.iter().map(|id| (*id, Vec::new())).collect());
        // MAX_ID − 0 + 0 + 1 = 2⁶⁴ − 1, halved downwards.
        assert_eq!(with(&[0]), (1 << 63) - 1);
        assert_eq!(with(&[10, 1 << 63, ID_MAX - 10]), (1 << 62) + 5);
        // From the last to the first, over the end: a gap of 2⁶³ + 1.
        assert_eq!(with(&[2, 1 << 63]), (1 << 63) + (1 << 62));
        // Half of 2⁶³ + 11 reaches beyond the largest id: 10 are left to it, and 0 comes next.
        assert_eq!(with(&[1 << 63, ID_MAX - 10]), (1 << 62) - 6);
    }

    #[test]
    fn starving_swarm_is_filled_from_large_ones_only() {
        let mut swarms = of_sizes(&[4, 6, 8, 8, 8]);
        fill_starving(&mut swarms, &mut stream());
        assert_eq!(sizes(&swarms), [5, 6, 7, 8, 8]);
    }

    #[test]
    fn no_node_is_taken_where_that_cannot_fill_the_swarm() {
        // 2 or 3 are missing, and the one that is large enough has 1 too many. The members of the starving swarm then go to
        // whichever is smallest.
        for (before, after) in [([3, 5, 6], [7, 7]), ([2, 5, 6], [6, 7])] {
            let mut swarms = of_sizes(&before);
            fill_starving(&mut swarms, &mut stream());
            assert_eq!(sizes(&swarms), before);
            dissolve(&mut swarms, &mut stream());
            assert_eq!(sizes(&swarms), after);
        }
    }

    #[test]
    fn last_swarm_is_never_dissolved() {
        let mut swarms = of_sizes(&[4, 4]);
        dissolve(&mut swarms, &mut stream());
        assert_eq!(sizes(&swarms), [8]);
        swarms.values_mut().for_each(Vec::clear);
        dissolve(&mut swarms, &mut stream());
        assert_eq!(sizes(&swarms), [0]);
    }

    /// How many of 900 trials end with each count, by what is counted.
    fn of_900<K: Ord>(mut trial: impl FnMut(&mut Stream) -> K) -> BTreeMap<K, u32> {
        let (mut stream, mut found) = (stream(), BTreeMap::new());
        for _ in 0..900 {
            *found.entry(trial(&mut stream)).or_default() += 1;
        }
        found
    }

    #[test]
    fn newcomer_joins_any_swarm_as_small_as_the_second_of_five() {
        let found = of_900(|stream| {
            let mut swarms = of_sizes(&[9, 6, 5, 8, 6]);
            regroup(&mut swarms, &[node(99)], stream);
            swarms.iter().find(|(_, members)| members.contains(&node(99))).map(|(id, _)| *id)
        });
        // Each of three 300 times, with a standard deviation of 14.1.
        assert!(found.keys().eq([Some(1000), Some(2000), Some(4000)].iter()), "{found:?}");
        assert!(found.values().all(|count| count.abs_diff(300) <= 70), "{found:?}");
    }

    #[test]
    fn node_is_taken_out_of_all_in_large_swarms_equally_often() {
        let found = of_900(|stream| take(&mut of_sizes(&[6, 5, 4]), MIN - 1, stream));
        // Each of eleven 81.8 times, with a standard deviation below 8.7.
        assert!(found.keys().eq((0..11).map(|at| Some(node(at))).collect::<Vec<_>>().iter()));
        assert!(found.values().all(|count| (39..=125).contains(count)), "{found:?}");
    }

    #[test]
    fn the_smallest_is_filled_first_and_with_the_last_that_can_be_spared() {
        let filled = |before: &[usize]| {
            let mut swarms = of_sizes(before);
            fill_starving(&mut swarms, &mut stream());
            swarms.into_values().map(|members| members.len()).collect::<Vec<_>>()
        };
        assert_eq!(filled(&[4, 6]), [5, 5]);
        // Two can be spared, and the smaller one needs both.
        assert_eq!(filled(&[4, 3, 7]), [4, 5, 5]);
    }

    #[test]
    fn swarm_is_filled_before_new_ones_form_and_none_forms_beside_one_that_starves() {
        let mut swarms = of_sizes(&[4, 30]);
        form(&mut swarms, &mut stream());
        assert_eq!(sizes(&swarms), [4, 30]);
        // With S swarms 34 − 5 S are beyond the least: enough for another while S is below 4.
        regroup(&mut swarms, &[], &mut stream());
        assert_eq!((swarms.len(), swarms.contains_key(&0)), (4, true));
        let mut swarms = of_sizes(&[4, 8, 8, 8]);
        regroup(&mut swarms, &[], &mut stream());
        assert_eq!(sizes(&swarms), [5, 7, 8, 8]);
    }

    #[test]
    fn lowest_starving_swarm_is_dissolved_into_the_smallest_of_the_others() {
        let mut swarms = of_sizes(&[4, 3, 7]);
        dissolve(&mut swarms, &mut stream());
        assert!(swarms.keys().eq(&[1000, 2000]) && sizes(&swarms) == [7, 7]);
        let found = of_900(|stream| {
            let mut swarms = of_sizes(&[4, 5, 6, 7, 8, 9]);
            dissolve(&mut swarms, stream);
            sizes(&swarms)
        });
        assert!(found.keys().eq(&[vec![7, 7, 8, 8, 9]]), "{found:?}");
    }

    #[test]
    fn swarms_stay_as_they_are_while_nobody_comes_or_goes() {
        let storage = |index| StorageNode {
            node: node(index),
            store: StoreId::from_bytes([0; 16]),
            prefix: [0; 3],
            family: None,
            listed: 0,
        };
        let mut nodes: Vec<StorageNode> = (0..8).map(storage).collect();
        let member = |n: &StorageNode| Member { node: n.node, store: n.store };
        let of = |position, members: &[StorageNode]| Configuration {
            swarm: SwarmId::new(position).unwrap(),
            number: 0,
            phase: Phase::Owner,
            stable: members.iter().map(member).collect(),
            target: None,
            unread_since: None,
            loss_possible: None,
        };
        // Both starve, which the next change alone would mend.
        let configurations = [of(0, &nodes[..4]), of(1000, &nodes[4..])].into_iter().collect();
        let state = SwarmState { configurations, retired: 0 };
        assert_eq!(next(&state, &nodes, &mut stream()), state);
        nodes[7].node = node(8);
        let changed = next(&state, &nodes, &mut stream());
        assert!(changed.configurations.len() == 1 && holds(&changed, &nodes));
    }
}
