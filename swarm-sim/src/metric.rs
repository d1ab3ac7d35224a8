//! What a run found, with intervals, and rows of single events.

use serde::Serialize;

use crate::stats::{self, Interval};

/// How an interval was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Wilson's score interval over single trials, as if they were independent.
    Wilson,
    /// Student's interval over the means of replicates.
    Replicates,
    /// Order statistics of the pooled sample.
    OrderStatistics,
    /// None: a count, an extreme, or too few replicates.
    None,
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
    /// Upper end of the 95 % interval.
    pub ci_high: Option<f64>,
    /// How the interval was made.
    pub interval: Method,
    /// Unit of value and interval.
    pub unit: &'static str,
    /// Observations behind it.
    pub samples: u64,
    /// What theory says, where it has a closed form for it.
    pub expected: Option<f64>,
    /// A share's interval over replicates, which holds where single trials are correlated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicates_low: Option<f64>,
    /// See [`Self::replicates_low`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicates_high: Option<f64>,
}

impl Metric {
    fn new(name: &'static str, unit: &'static str, samples: u64, value: Option<f64>) -> Self {
        Self {
            name,
            value,
            ci_low: None,
            ci_high: None,
            interval: Method::None,
            unit,
            samples,
            expected: None,
            replicates_low: None,
            replicates_high: None,
        }
    }

    fn with_interval(mut self, method: Method, interval: Option<Interval>) -> Self {
        if let Some(Interval { low, high }) = interval {
            (self.ci_low, self.ci_high, self.interval) = (Some(low), Some(high), method);
        }
        self
    }

    /// Adds what theory says.
    #[must_use]
    pub(crate) const fn with_expected(mut self, expected: f64) -> Self {
        self.expected = Some(expected);
        self
    }

    /// A sum over all replicates, or an extreme of them.
    pub(crate) fn count(name: &'static str, unit: &'static str, count: u64) -> Self {
        Self::new(name, unit, count, Some(count as f64))
    }

    /// The share of trials that are hits, from (hits, trials) of each replicate.
    pub(crate) fn share(name: &'static str, replicates: &[Share]) -> Self {
        let hits = replicates.iter().map(|share| share.hits).sum();
        let of: u64 = replicates.iter().map(|share| share.of).sum();
        let value = (of > 0).then(|| hits as f64 / of as f64);
        let means = replicates.iter().filter(|share| share.of > 0);
        let means: Vec<f64> = means.map(|share| share.hits as f64 / share.of as f64).collect();
        let over = stats::student(&means);
        Self {
            replicates_low: over.map(|interval| interval.low),
            replicates_high: over.map(|interval| interval.high),
            ..Self::new(name, "share", of, value)
                .with_interval(Method::Wilson, stats::wilson(hits, of))
        }
    }

    /// The mean over replicates of each one's own mean.
    pub(crate) fn mean(name: &'static str, unit: &'static str, replicates: &[f64]) -> Self {
        Self::new(name, unit, replicates.len() as u64, stats::mean(replicates))
            .with_interval(Method::Replicates, stats::student(replicates))
    }

    /// A quantile in milliseconds of ascending nanoseconds.
    pub(crate) fn quantile(name: &'static str, sorted_nanos: &[u64], percent: u32) -> Self {
        let found = stats::quantile(sorted_nanos, percent);
        let ms = |nanos: f64| nanos / 1e6;
        let interval = found.and_then(|q| q.interval);
        let interval = interval.map(|i| Interval { low: ms(i.low), high: ms(i.high) });
        Self::new(name, "ms", sorted_nanos.len() as u64, found.map(|q| ms(q.value)))
            .with_interval(Method::OrderStatistics, interval)
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
