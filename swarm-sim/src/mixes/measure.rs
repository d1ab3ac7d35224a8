//! What an adversary concluded in one replicate, and the figures over all.

use super::{Record, Theory};
use crate::metric::{Metric, Table};
use crate::scenario::Mixes;
use crate::stats;

/// Messages of a replicate that are shown one by one, at most: evenly spaced by arrival.
const ROWS: usize = 200;

const COLUMNS: &[&str] = &[
    "replicate",
    "message",
    "arrived_ns",
    "left_ns",
    "inside",
    "shannon_microbits",
    "min_entropy_microbits",
    "surprisal_microbits",
];

/// How a value spreads over the messages of a replicate.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    mean: f64,
    least: f64,
    p5: f64,
    p50: f64,
    p99: f64,
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Self {
        let mean = stats::mean(&values).unwrap_or(0.0);
        values.sort_by(f64::total_cmp);
        // The smallest value that at least that share does not exceed.
        let at = |percent: usize| {
            let rank = (values.len() * percent).div_ceil(100).max(1);
            values.get(rank - 1).copied().unwrap_or(0.0)
        };
        Self { mean, least: at(0), p5: at(5), p50: at(50), p99: at(99) }
    }
}

/// Messages of one replicate.
#[derive(Debug)]
pub(crate) struct Measures {
    messages: u64,
    shannon: Spread,
    min_entropy: Spread,
    surprisal: Spread,
    /// Milliseconds.
    delay: Spread,
    rows: Vec<Record>,
}

impl Measures {
    pub(super) fn of(mut records: Vec<Record>) -> Self {
        records.sort_unstable_by_key(|record| record.number);
        let spread = |value: fn(&Record) -> f64| Spread::of(records.iter().map(value).collect());
        Self {
            messages: records.len() as u64,
            shannon: spread(|record| record.belief.shannon),
            min_entropy: spread(|record| record.belief.min_entropy),
            surprisal: spread(|record| record.belief.surprisal),
            delay: spread(|record| (record.left - record.arrived) as f64 / 1e6),
            rows: records.iter().step_by(records.len().div_ceil(ROWS).max(1)).copied().collect(),
        }
    }
}

/// Millionths of a bit, to the nearest.
fn microbits(bits: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ bits < 1e4")]
    let whole = (bits * 1e6).round() as u64;
    whole
}

impl Record {
    fn cells(&self, replicate: u64) -> Vec<Option<u64>> {
        let belief = &self.belief;
        let bits = [belief.shannon, belief.min_entropy, belief.surprisal].map(microbits);
        let mut cells = vec![replicate, self.number, self.arrived, self.left, self.inside];
        cells.extend(bits);
        cells.into_iter().map(Some).collect()
    }
}

/// Names of the figures of one entropy: mean, least, 5 % and 50 %.
type Names = [&'static str; 4];

const SHANNON: Names = ["shannon_mean", "shannon_least", "shannon_p5", "shannon_p50"];
const MIN_ENTROPY: Names =
    ["min_entropy_mean", "min_entropy_least", "min_entropy_p5", "min_entropy_p50"];

/// The figures of a run, from its replicates in their order.
pub(crate) fn merge(mixes: &Mixes, replicates: &[Measures]) -> (Vec<Metric>, Table) {
    let theory = Theory::of(mixes);
    let messages = replicates.iter().map(|measures| measures.messages).sum();
    let each = |value: fn(&Measures) -> f64| -> Vec<f64> { replicates.iter().map(value).collect() };
    let entropy = |[mean, least, p5, p50]: Names,
                   of: fn(&Measures) -> Spread,
                   (expected, of_each): (Option<f64>, Option<f64>)| {
        let each = |value: fn(Spread) -> f64| -> Vec<f64> {
            replicates.iter().map(|measures| value(of(measures))).collect()
        };
        let quantile = |name, value| {
            Metric::quantile_over_replicates(name, "bits", &each(value)).with_expected_if(of_each)
        };
        [
            Metric::mean(mean, "bits", &each(|of| of.mean)).with_expected_if(expected),
            Metric::least(least, "bits", messages, &each(|of| of.least)).with_expected_if(of_each),
            quantile(p5, |of| of.p5),
            quantile(p50, |of| of.p50),
        ]
    };
    let mut metrics = vec![Metric::count("messages", "messages", messages)];
    let shannon = (theory.shannon, theory.shannon_of_each());
    metrics.extend(entropy(SHANNON, |measures| measures.shannon, shannon));
    let min_entropy = (theory.min_entropy, theory.min_entropy_of_each());
    metrics.extend(entropy(MIN_ENTROPY, |measures| measures.min_entropy, min_entropy));
    metrics.extend([
        Metric::mean("surprisal_mean", "bits", &each(|m| m.surprisal.mean))
            .with_expected_if(theory.shannon),
        Metric::mean("delay_mean", "ms", &each(|m| m.delay.mean))
            .with_expected_if(theory.delay_mean),
        Metric::quantile_over_replicates("delay_p50", "ms", &each(|m| m.delay.p50))
            .with_expected_if(theory.delay_p50),
        Metric::quantile_over_replicates("delay_p99", "ms", &each(|m| m.delay.p99))
            .with_expected_if(theory.delay_p99),
    ]);
    let rows = (0..).zip(replicates).flat_map(|(replicate, measures)| {
        measures.rows.iter().map(move |record| record.cells(replicate))
    });
    (metrics, Table { name: "messages", columns: COLUMNS, rows: rows.collect() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mixes::belief::Belief;

    #[test]
    fn quantile_is_the_least_value_that_as_many_do_not_exceed() {
        let backwards = (1..=200).rev().map(f64::from).collect();
        let Spread { mean, least, p5, p50, p99 } = Spread::of(backwards);
        assert_eq!([mean, least, p5, p50, p99], [100.5, 1.0, 10.0, 100.0, 198.0]);
        // 5 % of 30 are 1.5, 99 % are 29.7.
        let Spread { p5, p50, p99, .. } = Spread::of((1..=30).map(f64::from).collect());
        assert_eq!([p5, p50, p99], [2.0, 15.0, 30.0]);
    }

    fn record(number: u64) -> Record {
        let belief = Belief { shannon: 1.234_567_8, min_entropy: 0.5, surprisal: 2.25 };
        Record { number, arrived: 1000, left: 4000, inside: 9, belief }
    }

    #[test]
    fn messages_are_shown_in_order_in_columns_of_their_names_and_no_more_than_allowed() {
        let measures = Measures::of((0..401).rev().map(record).collect());
        let numbers: Vec<u64> = measures.rows.iter().map(|row| row.number).collect();
        // Every third of 401: every second would be one too many.
        assert_eq!(numbers, (0..401).step_by(3).collect::<Vec<u64>>());
        let row: Vec<_> = COLUMNS.iter().copied().zip(record(5).cells(3)).collect();
        let expected = [
            ("replicate", 3),
            ("message", 5),
            ("arrived_ns", 1000),
            ("left_ns", 4000),
            ("inside", 9),
            ("shannon_microbits", 1_234_568),
            ("min_entropy_microbits", 500_000),
            ("surprisal_microbits", 2_250_000),
        ];
        assert_eq!(row, expected.map(|(name, cell)| (name, Some(cell))));
    }
}
