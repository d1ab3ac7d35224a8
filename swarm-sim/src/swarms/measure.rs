//! What is found on one map, and the figures over all.

use super::chance::Event;
use super::map::{Group, Grown, Map};
use super::theory::Theory;
use super::union::{Found, Union};
use crate::metric::{Metric, Table};
use crate::scenario::Swarms;
use crate::stats::{self, Interval};
use crate::stream::{Entity, Streams};
use crate::trace::Trace;

const COLUMNS: &[&str] =
    &["replicate", "members", "swarms", "ring_billionths", "nodes", "nodes_outside_swarms"];

/// One map with what is known of it.
#[derive(Debug)]
pub(crate) struct Measures {
    map: Map,
    halfway: Option<Map>,
    captured: Any,
    lost: Any,
}

/// The probability that any swarm is struck: sampled, and exact.
#[derive(Debug)]
struct Any {
    found: Found,
    exact: f64,
}

impl Any {
    fn of(
        map: &Map,
        event: Event,
        marked: u64,
        samples: u32,
        streams: &Streams,
        purpose: &'static str,
    ) -> Self {
        let mut stream = streams.stream(Entity::World, purpose);
        let found = Union::new(map, event, marked).draw(samples, &mut stream);
        Self { found, exact: event.any(map, marked) }
    }
}

impl Measures {
    pub(super) fn of(swarms: &Swarms, maps: &Grown, streams: &Streams, trace: &mut Trace) -> Self {
        let (bad, gone) = (swarms.adversary.of(swarms.nodes), swarms.burst.of(swarms.nodes));
        let any = |event, marked, purpose| {
            Any::of(&maps.last, event, marked, swarms.samples, streams, purpose)
        };
        let captured = any(Event::Majority, bad, "captured");
        let lost = any(Event::All, gone, "lost");
        for Any { found, .. } in [&captured, &lost] {
            let counts = found.struck.iter().flat_map(|count| count.to_le_bytes());
            trace.event(&[&found.sum.to_bits().to_le_bytes(), &counts.collect::<Vec<u8>>()]);
        }
        Self { map: maps.last.clone(), halfway: maps.halfway.clone(), captured, lost }
    }

    /// Weighted samples.
    pub(super) fn samples(&self) -> u64 {
        self.captured.found.samples() + self.lost.found.samples()
    }

    fn rows(&self, replicate: u64) -> Vec<Vec<Option<u64>>> {
        let outside = self.map.nodes - self.map.placed();
        let row = |group: &Group| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 1e9")]
            let ring = (group.ring * 1e9).round() as u64;
            let cells = [replicate, group.size, group.swarms, ring, self.map.nodes, outside];
            cells.map(Some).to_vec()
        };
        self.map.groups.iter().map(row).collect()
    }
}

/// Rounding that the ends of an interval leave room for, where its values hardly vary.
const ROUNDING: f64 = 1e-12;

/// The mean over maps of a probability.
fn chance(name: &'static str, maps: &[f64]) -> Metric {
    let ends = |ends: Interval| Interval {
        low: (ends.low * (1.0 - ROUNDING)).max(0.0),
        high: ends.high * (1.0 + ROUNDING),
    };
    Metric::mean(name, "probability", maps).with_ends(ends).at_most_certain()
}

/// The mean over maps of the weighted estimate, beside the exact one of the same maps.
///
/// If the choice of the struck swarm counted in none of the samples, nothing varies but the maps; how often it counts is
/// then only known to be below 1 − 0.025^(1/samples), by which the lower end makes up.
fn any(name: &'static str, maps: &[&Any]) -> Metric {
    let each = |of: fn(&Any) -> f64| maps.iter().map(|any| of(any)).collect::<Vec<f64>>();
    let estimates = each(|any| any.found.estimate());
    let samples: u64 = maps.iter().map(|any| any.found.samples()).sum();
    let unseen = samples > 0 && maps.iter().all(|any| any.found.several() == 0);
    let least = if unseen { libm::pow(0.025, (samples as f64).recip()) } else { 1.0 };
    let value = stats::mean(&estimates).unwrap_or(0.0);
    let metric = chance(name, &estimates);
    let metric = metric.with_ends(|ends| Interval { low: ends.low.min(value * least), ..ends });
    metric.with_expected_if(stats::mean(&each(|any| any.exact)).map(|exact| exact.min(1.0)))
}

/// The figures of a run, from its maps in their order.
pub(crate) fn merge(swarms: &Swarms, replicates: &[Measures]) -> (Vec<Metric>, Table) {
    let bad = swarms.adversary.of(swarms.nodes);
    let gone = swarms.burst.of(swarms.nodes);
    let maps = || replicates.iter().map(|measures| &measures.map);
    let each = |of: &dyn Fn(&Map) -> f64| maps().map(of).collect::<Vec<f64>>();
    let sizes = || maps().flat_map(|map| &map.groups).map(|group| group.size);
    let copies = each(&Map::copies);
    // Beside the copy of the member that a client sends to, each other member gets one and acknowledges it.
    let sent: Vec<f64> = copies.iter().map(|copies| 2.0 * (copies - 1.0)).collect();
    let theory = Theory::of(swarms);
    let expected = |of: fn(&Theory) -> f64| theory.as_ref().map(of);
    let captured: Vec<&Any> = replicates.iter().map(|measures| &measures.captured).collect();
    let lost: Vec<&Any> = replicates.iter().map(|measures| &measures.lost).collect();
    let mut metrics = vec![
        Metric::mean("swarms_mean", "swarms", &each(&|map| map.swarms() as f64)),
        Metric::count("size_min", "members", sizes().min().unwrap_or(0)),
        Metric::mean("size_mean", "members", &each(&Map::mean_size)),
        Metric::count("size_max", "members", sizes().max().unwrap_or(0)),
        Metric::mean("nodes_in_no_swarm", "nodes", &each(&|map| (map.nodes - map.placed()) as f64)),
        Metric::mean("copies_of_a_message", "copies", &copies),
        Metric::mean("messages_of_a_store", "messages", &sent),
        chance("swarms_captured_share", &each(&|map| Event::Majority.share(map, bad)))
            .with_expected_if(expected(|theory| theory.captured)),
        chance("mailbox_captured", &each(&|map| Event::Majority.mailbox(map, bad)))
            .with_expected_if(expected(|theory| theory.captured)),
        Metric::mean(
            "swarms_captured_mean",
            "swarms",
            &each(&|map| Event::Majority.swarms(map, bad)),
        ),
        any("any_swarm_captured", &captured),
        chance("swarms_exposed_share", &each(&|map| Event::One.share(map, bad)))
            .with_expected_if(expected(|theory| theory.exposed)),
        chance("mailbox_exposed", &each(&|map| Event::One.mailbox(map, bad)))
            .with_expected_if(expected(|theory| theory.exposed)),
        chance("burst_swarms_lost_share", &each(&|map| Event::All.share(map, gone)))
            .with_expected_if(expected(|theory| theory.lost)),
        chance("burst_mailbox_lost", &each(&|map| Event::All.mailbox(map, gone)))
            .with_expected_if(expected(|theory| theory.lost)),
        any("burst_any_swarm_lost", &lost),
        chance(
            "burst_mailbox_below_majority",
            &each(&|map| Event::NoMajorityLeft.mailbox(map, gone)),
        )
        .with_expected_if(expected(|theory| theory.below_majority)),
    ];
    let halfway = replicates.iter().filter_map(|measures| measures.halfway.as_ref());
    let halfway: Vec<f64> = halfway.map(|map| Event::Majority.mailbox(map, bad)).collect();
    if !halfway.is_empty() {
        metrics.push(chance("mailbox_captured_halfway", &halfway));
    }
    let rows = replicates.iter().zip(0..).flat_map(|(measures, at)| measures.rows(at));
    (metrics, Table { name: "sizes", columns: COLUMNS, rows: rows.collect() })
}
