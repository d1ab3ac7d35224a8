//! What came of the targets of all replicates: figures, table and curves.

use super::Theory;
use super::target::{Identified, Record};
use crate::metric::{Curve, Metric, Share, Table, Times, Unit};
use crate::scenario::Disclosure;
use crate::stats::survival::Observed;

/// Points of a curve at most.
const POINTS: u32 = 120;

const COLUMNS: &[&str] = &[
    "replicate",
    "target",
    "rounds",
    "messages",
    "dummies",
    "identified_rounds",
    "identified_messages",
    "others_above",
    "others_beside",
    "candidates_left",
    "shannon_millibits",
    "min_entropy_millibits",
    "partners_millionths",
    "declared_matches",
    "declared_matches_right",
];

/// Rounds at which the curve is told as metrics.
const ROUNDS: [(u32, &str); 6] = [
    (10, "identified_by_round_10"),
    (30, "identified_by_round_30"),
    (100, "identified_by_round_100"),
    (300, "identified_by_round_300"),
    (1000, "identified_by_round_1000"),
    (3000, "identified_by_round_3000"),
];

/// Targets of one replicate.
#[derive(Debug, Default)]
pub(super) struct Measures {
    pub(super) targets: Vec<Record>,
}

/// A value from 0 in whole parts of `of` a unit.
fn parts(value: f64, of: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 2³²")]
    let parts = (value * of).round().clamp(0.0, 4_294_967_295.0) as u64;
    parts
}

impl Record {
    fn cells(&self, replicate: u64, target: u64) -> Vec<Option<u64>> {
        let end = &self.end;
        vec![
            Some(replicate),
            Some(target),
            Some(self.watched.into()),
            Some(self.messages.into()),
            Some(self.dummies.into()),
            self.identified.map(|at| at.rounds.into()),
            self.identified.map(|at| at.messages.into()),
            Some(end.above.into()),
            Some(end.beside.into()),
            Some(end.candidates.into()),
            Some(parts(end.shannon, 1e3)),
            Some(parts(end.min, 1e3)),
            Some(parts(end.partners, 1e6)),
            Some(self.matches.declared),
            Some(self.matches.right),
        ]
    }

    /// For the digest.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let cells = self.cells(0, 0);
        cells.iter().flat_map(|cell| cell.unwrap_or(u64::MAX).to_le_bytes()).collect()
    }

    /// How much there was until it was identified, or until it was no longer watched.
    fn observed(&self, of: fn(Identified) -> u32, all: u32) -> Observed {
        let event = self.identified.is_some();
        Observed { time: f64::from(self.identified.map_or(all, of)), event }
    }

    fn rounds(&self) -> Observed {
        self.observed(|at| at.rounds, self.watched)
    }

    fn messages(&self) -> Observed {
        self.observed(|at| at.messages, self.messages)
    }
}

/// The figures of a run, from its replicates in their order.
pub(super) fn merge(
    disclosure: &Disclosure,
    theory: Option<Theory<'_>>,
    replicates: &[Measures],
) -> (Vec<Metric>, Table, Vec<Curve>) {
    let all = || replicates.iter().flat_map(|measures| &measures.targets);
    let sum = |of: fn(&Record) -> u32| all().map(|target| u64::from(of(target))).sum();
    let silent = all().filter(|target| target.messages == 0).count() as u64;
    let mut metrics = vec![
        Metric::count("targets", "targets", all().count() as u64),
        Metric::count("targets_silent", "targets", silent),
        Metric::count("rounds", "rounds", sum(|target| target.watched)),
        Metric::count("messages", "messages", sum(|target| target.messages)),
        Metric::count("dummies", "messages", sum(|target| target.dummies)),
    ];
    let curves = times(disclosure, theory, replicates, &mut metrics);
    metrics.extend(ends(theory, replicates));
    let rows = (0..).zip(replicates).flat_map(|(replicate, measures)| {
        let targets = (0..).zip(&measures.targets);
        targets.map(move |(at, target)| target.cells(replicate, at))
    });
    let table = Table { name: "targets", columns: COLUMNS, rows: rows.collect() };
    (metrics, table, curves)
}

/// When targets were identified, in rounds and in messages.
fn times(
    disclosure: &Disclosure,
    theory: Option<Theory<'_>>,
    replicates: &[Measures],
    metrics: &mut Vec<Metric>,
) -> Vec<Curve> {
    let times = |observed: fn(&Record) -> Observed| {
        let of = |m: &Measures| m.targets.iter().map(observed).collect::<Vec<Observed>>();
        Times::of(&replicates.iter().map(of).collect::<Vec<_>>())
    };
    let (rounds, by_messages) = (times(Record::rounds), times(Record::messages));
    let end = disclosure.rounds;
    let told = ROUNDS.into_iter().filter(|(round, _)| *round < end);
    for (round, name) in told.chain([(end, "identified_by_end")]) {
        let expected = theory.and_then(|theory| theory.identified_by(round));
        let by = rounds.by(name, round.into());
        let expected = expected.filter(|_| by.value.is_some());
        metrics.push(by.with_expected_if(expected));
    }
    metrics.push(rounds.median("rounds_to_identified_p50", "rounds"));
    metrics.push(by_messages.median("messages_to_identified_p50", "messages"));
    let places = |end: u32| {
        let steps = end.clamp(1, POINTS);
        (0..=steps).map(move |at| f64::from(end) * f64::from(at) / f64::from(steps))
    };
    let most = replicates.iter().flat_map(|m| &m.targets).map(|target| target.messages).max();
    let most = most.unwrap_or(0);
    vec![
        rounds.curve("identified_by_rounds", "rounds", places(end)),
        by_messages.curve("identified_by_messages", "messages", places(most)),
    ]
}

/// What the adversary believed at the end. Targets that had no message to send are not counted.
fn ends(theory: Option<Theory<'_>>, replicates: &[Measures]) -> Vec<Metric> {
    let senders = |m: &Measures| -> Vec<Record> {
        m.targets.iter().filter(|target| target.messages > 0).copied().collect()
    };
    let senders: Vec<Vec<Record>> = replicates.iter().map(senders).collect();
    let mean = |name, unit, of: fn(&Record) -> f64| {
        let own =
            |records: &Vec<Record>| records.iter().map(of).sum::<f64>() / records.len() as f64;
        let means = senders.iter().filter(|records| !records.is_empty()).map(own);
        Metric::mean(name, unit, &means.collect::<Vec<f64>>())
    };
    let sorted = |of: fn(&Record) -> f64| {
        let mut values: Vec<f64> = senders.iter().flatten().map(of).collect();
        values.sort_by(f64::total_cmp);
        values
    };
    let share = |name, of: fn(&Record) -> Share| {
        let each = senders.iter().map(|records| records.iter().map(of).collect());
        Metric::share_over_clients(name, &each.collect::<Vec<_>>())
    };
    let quantile = |name, unit, values: &[f64], percent| {
        Metric::quantile_of(name, unit, Unit::Client, values, percent)
    };
    let first = |t: &Record| Share { hits: u64::from(t.end.is_first()), of: 1 };
    let right = |t: &Record| Share { hits: t.matches.right, of: t.matches.declared };
    let ranks = sorted(|target| target.end.rank());
    let shannon = sorted(|target| target.end.shannon);
    let min = sorted(|target| target.end.min);
    let mut metrics = vec![
        share("partners_ranked_first", first),
        quantile("partner_rank_p50", "rank", &ranks, 50),
        quantile("partner_rank_p95", "rank", &ranks, 95),
        mean("partners_probability_mean", "probability", |target| target.end.partners),
        mean("candidates_left_mean", "candidates", |target| target.end.candidates.into())
            .with_expected_if(theory.and_then(Theory::candidates_left)),
        mean("posterior_shannon_mean", "bits", |target| target.end.shannon),
        Metric::extreme("posterior_shannon_min", "bits", &shannon, shannon.first().copied()),
        quantile("posterior_shannon_p5", "bits", &shannon, 5),
        quantile("posterior_shannon_p50", "bits", &shannon, 50),
        mean("posterior_min_entropy_mean", "bits", |target| target.end.min),
        Metric::extreme("posterior_min_entropy_min", "bits", &min, min.first().copied()),
        quantile("posterior_min_entropy_p5", "bits", &min, 5),
        quantile("posterior_min_entropy_p50", "bits", &min, 50),
    ];
    if senders.iter().flatten().any(|target| target.matches.declared > 0) {
        let expected = theory.and_then(Theory::declared_right);
        metrics.push(share("declared_matches_right", right).with_expected_if(expected));
    }
    metrics
}
