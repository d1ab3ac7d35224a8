//! What is counted at each step, and what becomes of it over all replicates.

use std::collections::{BTreeMap, BTreeSet};

use enjambre_protocol::id::{NodeId, SwarmId};
use enjambre_protocol::swarm::{Member, Phase, SwarmState, arc_of, majority};

use super::history::{Happened, History, Planned};
use crate::metric::{Metric, Share, Table};
use crate::stats::{self, hypergeometric_tail};

/// Points of the ring.
pub(crate) const RING: f64 = 18_446_744_073_709_551_616.0;

const COLUMNS: &[&str] = &[
    "replicate",
    "step",
    "nodes",
    "joined",
    "left",
    "emptied",
    "swarms",
    "size_min",
    "size_max",
    "reserves",
    "moved",
    "formed",
    "dissolved",
    "changes_in_hand",
    "losses",
    "captured",
    "exposed",
    "vanished",
];

/// The column of the losses, which may be unknown.
const LOSSES: usize = 14;

/// Sums and extremes over the steps of one replicate.
#[derive(Debug, Default)]
pub(crate) struct Measures {
    rows: Vec<Row>,
    /// Sum over steps of the expected number of captured swarms.
    captured_expected: f64,
    /// Sum over steps of the expected share of swarms with a malicious member.
    exposed_expected: f64,
    /// Sum over steps of the largest arc as a multiple of the mean one.
    load_peak: f64,
    /// Sum over steps of the share of the ring that is changing its owner.
    handed_over: f64,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    step: u64,
    nodes: u64,
    happened: Happened,
    swarms: u64,
    size_min: u64,
    size_max: u64,
    placed: u64,
    reserves: u64,
    moved: u64,
    formed: u64,
    dissolved: u64,
    in_hand: u64,
    /// Unknown to rules without read quorums.
    losses: Option<u64>,
    captured: u64,
    exposed: u64,
    vanished: u64,
}

impl Measures {
    /// Takes note of the step that `history` has come to.
    pub(crate) fn step(&mut self, history: &History<'_>, before: &SwarmState, happened: Happened) {
        let state = history.state();
        let active = history.active();
        let malicious = active.iter().filter(|node| history.is_malicious(node)).count() as u64;
        let (mut sizes, mut captured, mut exposed) = (Vec::new(), 0, 0);
        let mut exposed_expected = 0.0;
        for Planned { members, .. } in history.planned(&active) {
            let hostile = members.iter().filter(|node| history.is_malicious(node)).count();
            let needed = majority(members.len());
            captured += u64::from(hostile >= needed);
            let (nodes, size) = (active.len() as u64, members.len() as u64);
            self.captured_expected += hypergeometric_tail(nodes, malicious, size, needed as u64);
            exposed += u64::from(hostile > 0);
            exposed_expected += hypergeometric_tail(nodes, malicious, size, 1);
            sizes.push(size);
        }
        self.exposed_expected += exposed_expected / sizes.len().max(1) as f64;
        let (old, new) = (before.target_ring(), state.target_ring());
        let without = |a: &[SwarmId], b: &[SwarmId]| {
            a.iter().filter(|swarm| !b.contains(swarm)).count() as u64
        };
        let arcs = new.iter().filter_map(|swarm| arc_of(*swarm, &new));
        let largest = arcs.map(|arc| arc.points() as f64).fold(0.0, f64::max);
        self.load_peak += largest / RING * new.len() as f64;
        self.handed_over +=
            state.hand_overs().iter().map(|moved| moved.arc.points() as f64 / RING).sum::<f64>();
        let losses = state.configurations.iter().filter(|c| {
            let lost = c.loss_possible == Some(c.number);
            lost && before.configuration(c.swarm).is_none_or(|old| old.number != c.number)
        });
        let placed = sizes.iter().sum();
        self.rows.push(Row {
            step: history.step().into(),
            nodes: active.len() as u64,
            happened,
            swarms: sizes.len() as u64,
            size_min: sizes.iter().min().copied().unwrap_or(0),
            size_max: sizes.iter().max().copied().unwrap_or(0),
            placed,
            reserves: active.len() as u64 - placed,
            moved: moved(before, state, &active),
            formed: without(&new, &old),
            dissolved: without(&old, &new),
            in_hand: state.configurations.iter().filter(|c| c.target.is_some()).count() as u64,
            losses: history.has_quorums().then(|| losses.count() as u64),
            captured,
            exposed,
            vanished: vanished(before, history),
        });
    }

    fn mean_of(&self, value: impl Fn(&Row) -> u64) -> f64 {
        self.per_step(self.rows.iter().map(value).sum::<u64>() as f64)
    }

    fn per_step(&self, sum: f64) -> f64 {
        if self.rows.is_empty() { 0.0 } else { sum / self.rows.len() as f64 }
    }

    fn cells(row: &Row, replicate: u64) -> Vec<Option<u64>> {
        let Happened { joined, left, emptied } = row.happened;
        let mut cells = [
            replicate,
            row.step,
            row.nodes,
            joined,
            left,
            emptied,
            row.swarms,
            row.size_min,
            row.size_max,
            row.reserves,
            row.moved,
            row.formed,
            row.dissolved,
            row.in_hand,
            0,
            row.captured,
            row.exposed,
            row.vanished,
        ]
        .map(Some)
        .to_vec();
        cells[LOSSES] = row.losses;
        cells
    }
}

/// How many swarms of the document before have none of the members left that held what was stored there, with the
/// stores they had.
fn vanished(before: &SwarmState, history: &History<'_>) -> u64 {
    let there: BTreeSet<_> = history.nodes().iter().map(|node| (node.node, node.store)).collect();
    let holders = before.configurations.iter().filter(|c| c.phase == Phase::Owner);
    let mut holders = holders.map(|c| &c.stable).filter(|stable| !stable.is_empty());
    let gone = |stable: &&Vec<Member>| stable.iter().all(|m| !there.contains(&(m.node, m.store)));
    holders.by_ref().filter(gone).count() as u64
}

/// How many nodes that are still active changed their swarm, or lost it.
fn moved(before: &SwarmState, after: &SwarmState, active: &BTreeSet<NodeId>) -> u64 {
    let (old, new) = (places(before), places(after));
    let moves = |(node, swarm): &(&NodeId, &SwarmId)| {
        active.contains(*node) && new.get(*node) != Some(*swarm)
    };
    old.iter().filter(moves).count() as u64
}

/// Which swarm each node is planned for.
fn places(state: &SwarmState) -> BTreeMap<NodeId, SwarmId> {
    let planned = state.configurations.iter().filter(|c| c.phase != Phase::Dissolving);
    planned.flat_map(|c| c.planned().iter().map(|member| (member.node, c.swarm))).collect()
}

/// The figures of a run, from its replicates in their order.
pub(crate) fn merge(replicates: &[Measures]) -> (Vec<Metric>, Table) {
    let rows = || replicates.iter().flat_map(|measures| &measures.rows);
    let sum = |value: fn(&Row) -> u64| rows().map(value).sum::<u64>();
    let means = |value: fn(&Row) -> u64| -> Vec<f64> {
        replicates.iter().map(|measures| measures.mean_of(value)).collect()
    };
    let per_step = |value: fn(&Measures) -> f64| -> Vec<f64> {
        replicates.iter().map(|measures| measures.per_step(value(measures))).collect()
    };
    let shares = |hit: fn(&Row) -> bool| -> Vec<Share> {
        let share = |measures: &Measures| {
            let hits = measures.rows.iter().filter(|row| hit(row)).count() as u64;
            Share { hits, of: measures.rows.len() as u64 }
        };
        replicates.iter().map(share).collect()
    };
    let smallest = rows().map(|row| row.size_min).min().unwrap_or(0);
    let largest = rows().map(|row| row.size_max).max().unwrap_or(0);
    let mean_size: Vec<f64> = replicates
        .iter()
        .filter_map(|measures| {
            let swarms: u64 = measures.rows.iter().map(|row| row.swarms).sum();
            let placed: u64 = measures.rows.iter().map(|row| row.placed).sum();
            (swarms > 0).then(|| placed as f64 / swarms as f64)
        })
        .collect();
    let expected = stats::mean(&per_step(|m| m.captured_expected)).unwrap_or(0.0);
    let exposed = stats::mean(&per_step(|m| m.exposed_expected)).unwrap_or(0.0);
    let share_exposed = |m: &Measures| {
        m.rows.iter().map(|row| row.exposed as f64 / row.swarms.max(1) as f64).sum::<f64>()
    };
    let mut metrics = vec![
        Metric::count("steps", "documents", rows().count() as u64),
        Metric::mean("nodes_mean", "nodes", &means(|row| row.nodes)),
        Metric::mean("swarms_mean", "swarms", &means(|row| row.swarms)),
        Metric::count("size_min", "members", smallest),
        Metric::mean("size_mean", "members", &mean_size),
        Metric::count("size_max", "members", largest),
        Metric::mean("reserves_mean", "nodes", &means(|row| row.reserves)),
        Metric::count("reserves_max", "nodes", rows().map(|r| r.reserves).max().unwrap_or(0)),
        Metric::mean("moved_per_step", "nodes", &means(|row| row.moved)),
        Metric::count("moved_max", "nodes", rows().map(|row| row.moved).max().unwrap_or(0)),
        Metric::count("swarms_formed", "swarms", sum(|row| row.formed)),
        Metric::count("swarms_dissolved", "swarms", sum(|row| row.dissolved)),
        Metric::mean("changes_in_hand_mean", "swarms", &means(|row| row.in_hand)),
        Metric::mean("ring_in_hand_over", "share", &per_step(|m| m.handed_over)),
        Metric::mean("load_peak", "times the mean", &per_step(|m| m.load_peak)),
        Metric::mean("swarms_captured_mean", "swarms", &means(|row| row.captured))
            .with_expected(expected),
        Metric::share("any_swarm_captured", &shares(|row| row.captured > 0)),
        Metric::mean("swarms_exposed_share", "share", &per_step(share_exposed))
            .with_expected(exposed),
        Metric::count("swarms_vanished", "swarms", sum(|row| row.vanished)),
    ];
    let losses: Option<u64> = rows().map(|row| row.losses).sum();
    if let Some(losses) = losses {
        metrics.push(Metric::count("losses_possible", "swarms", losses));
    }
    let rows = replicates.iter().zip(0..).flat_map(|(measures, replicate)| {
        measures.rows.iter().map(move |row| Measures::cells(row, replicate))
    });
    (metrics, Table { name: "steps", columns: COLUMNS, rows: rows.collect() })
}
