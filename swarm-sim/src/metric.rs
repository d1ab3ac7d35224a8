//! What a run found, with intervals, and rows of single events.

mod about;
mod over_time;

use serde::Serialize;

pub use about::{about, about_curve};
pub(crate) use over_time::Times;
pub use over_time::{Curve, Place};

use crate::stats::bootstrap::{bootstrap, quantiles_of_drawn};
use crate::stats::clustered::clustered;
use crate::stats::{self, Interval};
use crate::stream::Stream;

/// Resamples of a bootstrap.
const RESAMPLES: usize = 1000;

/// How an interval was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Wilson's score interval for as many independent trials as the units that are independent make up for.
    Wilson,
    /// Student's interval over the means of replicates.
    Replicates,
    /// Order statistics of the pooled sample.
    OrderStatistics,
    /// Resamples of the units that are independent.
    Bootstrap,
    /// The Kaplan-Meier estimate's band.
    KaplanMeier,
    /// None: a count, an extreme, too few replicates, or no event.
    None,
}

impl Method {
    /// As it stands in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Wilson => "wilson",
            Self::Replicates => "replicates",
            Self::OrderStatistics => "order-statistics",
            Self::Bootstrap => "bootstrap",
            Self::KaplanMeier => "kaplan-meier",
            Self::None => "none",
        }
    }
}

/// What an interval takes as independent of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Clients, each with all its requests.
    Client,
    /// Replicates, each with all that happened in it.
    Replicate,
    /// Nothing: there is no interval.
    None,
}

impl Unit {
    /// As it stands in files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Replicate => "replicate",
            Self::None => "none",
        }
    }
}

/// One figure of a run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Metric {
    /// Its name, stable.
    pub name: &'static str,
    /// The estimate; nothing if nothing was observed.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval; nothing beside a lower one if it lies beyond what was watched, or
    /// if too little was.
    pub ci_high: Option<f64>,
    /// How the interval was made.
    pub interval: Method,
    /// What the interval takes as independent.
    pub independent: Unit,
    /// Unit of value and interval.
    pub unit: &'static str,
    /// Observations behind it.
    pub samples: u64,
    /// What theory says, where it has a closed form for it.
    pub expected: Option<f64>,
    /// Lower end of the interval over replicates of a share or a median, beside the one over clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicates_low: Option<f64>,
    /// See [`Self::replicates_low`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicates_high: Option<f64>,
    /// What each replicate found, in their order, where the figure is a share or a mean over them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_replicate: Vec<Option<f64>>,
}

impl Metric {
    fn new(name: &'static str, unit: &'static str, samples: u64, value: Option<f64>) -> Self {
        Self {
            name,
            value,
            ci_low: None,
            ci_high: None,
            interval: Method::None,
            independent: Unit::None,
            unit,
            samples,
            expected: None,
            replicates_low: None,
            replicates_high: None,
            by_replicate: Vec::new(),
        }
    }

    fn with_interval(mut self, method: Method, of: Unit, interval: Option<Interval>) -> Self {
        if let Some(Interval { low, high }) = interval {
            (self.ci_low, self.ci_high) = (Some(low), Some(high));
            (self.interval, self.independent) = (method, of);
        }
        self
    }

    /// As [`Self::with_interval`]; an interval whose upper end is beyond what was watched has none.
    fn with_open_interval(
        mut self,
        method: Method,
        of: Unit,
        low: Option<f64>,
        high: Option<f64>,
    ) -> Self {
        if low.is_some() {
            (self.ci_low, self.ci_high) = (low, high);
            (self.interval, self.independent) = (method, of);
        }
        self
    }

    /// Moves the interval's ends by what else is known of the figure.
    #[must_use]
    pub(crate) fn with_ends(mut self, moved: impl Fn(Interval) -> Interval) -> Self {
        if let Some(Interval { low, high }) = self.interval().map(moved) {
            (self.ci_low, self.ci_high) = (Some(low), Some(high));
        }
        self
    }

    /// Neither value nor interval beyond certainty, where an estimate or rounding went beyond it.
    #[must_use]
    pub(crate) fn at_most_certain(mut self) -> Self {
        for end in [&mut self.value, &mut self.ci_low, &mut self.ci_high] {
            *end = end.map(|end| end.min(1.0));
        }
        self
    }

    /// Adds what theory says.
    #[must_use]
    pub(crate) const fn with_expected(mut self, expected: f64) -> Self {
        self.expected = Some(expected);
        self
    }

    /// Adds what theory says, where it says something.
    #[must_use]
    pub(crate) const fn with_expected_if(mut self, expected: Option<f64>) -> Self {
        self.expected = expected;
        self
    }

    /// A sum over all replicates, or an extreme of them.
    pub(crate) fn count(name: &'static str, unit: &'static str, count: u64) -> Self {
        Self::new(name, unit, count, Some(count as f64))
    }

    /// An extreme of some values, and of how many.
    pub(crate) fn extreme(
        name: &'static str,
        unit: &'static str,
        of: &[f64],
        extreme: Option<f64>,
    ) -> Self {
        Self::new(name, unit, of.len() as u64, extreme)
    }

    /// The share of trials that are hits, from those of each replicate, with replicates as the independent units.
    pub(crate) fn share(name: &'static str, replicates: &[Share]) -> Self {
        let own = |share: &Share| (share.of > 0).then(|| share.hits as f64 / share.of as f64);
        let by_replicate = replicates.iter().map(own).collect();
        Self { by_replicate, ..Self::share_of(name, replicates, Unit::Replicate) }
    }

    /// The share of trials that are hits, from those of each client of each replicate, with clients as the independent
    /// units; beside it the interval over replicates, which also counts what clients of one network share.
    pub(crate) fn share_over_clients(name: &'static str, replicates: &[Vec<Share>]) -> Self {
        let of_replicate = |clients: &Vec<Share>| {
            let share = clients
                .iter()
                .copied()
                .reduce(|a, b| Share { hits: a.hits + b.hits, of: a.of + b.of });
            share.filter(|share| share.of > 0).map(|share| share.hits as f64 / share.of as f64)
        };
        let by_replicate: Vec<Option<f64>> = replicates.iter().map(of_replicate).collect();
        let means: Vec<f64> = by_replicate.iter().copied().flatten().collect();
        let over = student_of_trials(&means);
        Self {
            replicates_low: over.map(|interval| interval.low),
            replicates_high: over.map(|interval| interval.high),
            by_replicate,
            ..Self::share_of(name, &replicates.concat(), Unit::Client)
        }
    }

    fn share_of(name: &'static str, groups: &[Share], unit: Unit) -> Self {
        let hits: u64 = groups.iter().map(|share| share.hits).sum();
        let of: u64 = groups.iter().map(|share| share.of).sum();
        let value = (of > 0).then(|| hits as f64 / of as f64);
        Self::new(name, "share", of, value).with_interval(Method::Wilson, unit, clustered(groups))
    }

    /// The mean over replicates of each one's own mean.
    pub(crate) fn mean(name: &'static str, unit: &'static str, replicates: &[f64]) -> Self {
        let by_replicate = replicates.iter().copied().map(Some).collect();
        let mean = Self::new(name, unit, replicates.len() as u64, stats::mean(replicates));
        let over = match unit {
            "share" | "probability" => student_of_shares(replicates),
            _ => stats::student(replicates),
        };
        Self { by_replicate, ..mean.with_interval(Method::Replicates, Unit::Replicate, over) }
    }

    /// The mean over replicates of each one's own quantile, or other figure that is not a mean. What happened in one
    /// replicate may be correlated; the interval takes replicates as independent, and nothing else. It is about what a
    /// replicate as long as these finds, which tends to the quantile of the whole population as replicates grow.
    pub(crate) fn quantile_over_replicates(
        name: &'static str,
        unit: &'static str,
        replicates: &[f64],
    ) -> Self {
        Self::mean(name, unit, replicates)
    }

    /// The least of all that was observed, from the least of each replicate: an extreme, which has no interval.
    pub(crate) fn least(
        name: &'static str,
        unit: &'static str,
        samples: u64,
        replicates: &[f64],
    ) -> Self {
        Self::new(name, unit, samples, replicates.iter().copied().reduce(f64::min))
    }

    /// Quantiles in milliseconds of ascending values, each of a client, with clients as the independent units.
    pub(crate) fn quantiles_over_clients<const N: usize>(
        names: [&'static str; N],
        percents: [u32; N],
        sorted: &[(f64, usize)],
        clients: usize,
        stream: &mut Stream,
    ) -> [Self; N] {
        let of = |drawn: &[u32]| quantiles_of_drawn(sorted, drawn, percents);
        let values = of(&vec![1; clients]);
        let intervals = bootstrap(clients, RESAMPLES, stream, of);
        core::array::from_fn(|at| {
            let value = Some(values[at]).filter(|value| value.is_finite());
            let interval = intervals.map(|all| all[at]).filter(|_| value.is_some());
            // No resample has a value beyond the largest, which may well be below the quantile where there are so few.
            let needed = stats::quantile_needs(f64::from(percents[at]) / 100.0);
            let has_end = sorted.len() as f64 >= needed;
            Self::new(names[at], "ms", sorted.len() as u64, value).with_open_interval(
                Method::Bootstrap,
                Unit::Client,
                interval.map(|interval| interval.low),
                interval.filter(|_| has_end).map(|interval| interval.high),
            )
        })
    }

    /// A quantile of ascending values, each of one of the units that are independent.
    pub(crate) fn quantile_of(
        name: &'static str,
        unit: &'static str,
        of: Unit,
        sorted: &[f64],
        percent: u32,
    ) -> Self {
        let found = stats::quantile(sorted, f64::from(percent) / 100.0);
        let interval = found.and_then(|q| Some(Interval { low: q.low?, high: q.high? }));
        let value = found.map(|q| q.value);
        Self::new(name, unit, sorted.len() as u64, value).with_interval(
            Method::OrderStatistics,
            of,
            interval,
        )
    }

    /// The interval over replicates, where there is one.
    pub fn over_replicates(&self) -> Option<Interval> {
        Some(Interval { low: self.replicates_low?, high: self.replicates_high? })
    }

    /// The interval, where there is one.
    pub fn interval(&self) -> Option<Interval> {
        Some(Interval { low: self.ci_low?, high: self.ci_high? })
    }
}

/// Student's interval of a share, which no share leaves: it lies in 0…1, but for an estimate that itself lies beyond.
/// There is none where no replicate had a hit, or all had nothing else: its width would be zero.
fn student_of_shares(replicates: &[f64]) -> Option<Interval> {
    let mean = stats::mean(replicates)?;
    let most = mean.max(1.0);
    let Interval { low, high } = stats::student(replicates)
        .filter(|_| mean != 0.0 && replicates.iter().any(|v| *v != 1.0))?;
    Some(Interval { low: low.max(0.0), high: high.min(most) })
}

/// The same for shares of trials, which may be the same in all replicates by chance: they have no interval then.
fn student_of_trials(replicates: &[f64]) -> Option<Interval> {
    let differ = replicates.windows(2).any(|pair| pair[0] != pair[1]);
    student_of_shares(replicates).filter(|_| differ)
}

/// Hits among trials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Trials with the outcome that is counted.
    pub hits: u64,
    /// All trials.
    pub of: u64,
}

/// Single events, as rows of numbers; an empty cell is a value that does not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// What it holds, as a file name without ending.
    pub name: &'static str,
    /// Names of the columns, units in the name.
    pub columns: &'static [&'static str],
    /// The rows.
    pub rows: Vec<Vec<Option<u64>>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_a_share_stays_between_nothing_and_all() {
        let ends = |metric: &Metric| metric.interval().map(|i| (i.low, i.high));
        let rare = Metric::mean("x", "share", &[0.0, 0.0, 0.1]);
        assert!(ends(&rare).is_some_and(|(low, high)| low == 0.0 && high > 0.1), "{rare:?}");
        let common = Metric::mean("x", "probability", &[0.9, 1.0, 1.0]);
        assert!(ends(&common).is_some_and(|(low, high)| low < 0.9 && high == 1.0), "{common:?}");
        assert_eq!(Metric::mean("x", "share", &[0.0; 3]).interval(), None);
        assert_eq!(Metric::mean("x", "share", &[1.0; 3]).interval(), None);
        let time = Metric::mean("x", "d", &[0.0, 0.0, 0.1]);
        assert!(ends(&time).is_some_and(|(low, _)| low < 0.0), "{time:?}");
        let clients = |hits| vec![Share { hits, of: 100 }; 3];
        let over = Metric::share_over_clients("x", &[clients(0), clients(0), clients(1)]);
        assert_eq!(over.over_replicates().map(|i| i.low), Some(0.0));
        // Alike by chance.
        let over = Metric::share_over_clients("x", &[clients(50), clients(50)]);
        assert!(over.interval().is_some() && over.over_replicates().is_none());
    }
}
