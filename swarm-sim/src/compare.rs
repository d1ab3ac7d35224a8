//! Two runs beside each other: by how much each figure differs, and whether the runs can tell.
//!
//! Runs of one scenario name and one seed drew from the same random streams: replicate by replicate they are pairs, and
//! the interval is Student's over the differences of pairs. Else it is one over the replicates of both with Welch's error. A figure
//! without values of each replicate, such as a quantile, gets the interval of Zou and Donner (2008) from the two
//! intervals, as if they were independent. A figure that has none of these, such as a count, is shown and not judged.
//!
//! Each interval is a 95 % one on its own: of twenty figures that are equal, one is expected to lie beside zero. The
//! verdicts are therefore Holm's over all judged figures: with probability 95 % at least, none of those that are equal is
//! said to differ.

mod holm;
mod show;

use serde::Serialize;

use crate::results::{Figure, Results};
use crate::special::{normal_outside, normal_two_sided, student_outside, student_two_sided};
use crate::stats::{self, Interval};

pub use holm::{FAMILY_WISE, holm};
pub use show::{to_json, to_text};

/// Why two runs cannot be compared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompareError {
    /// They measure different things.
    #[error(
        "{a} is a run of the engine {of_a}, {b} of {of_b}: their figures mean different things"
    )]
    Engines {
        /// One folder.
        a: String,
        /// Its engine.
        of_a: String,
        /// The other folder.
        b: String,
        /// Its engine.
        of_b: String,
    },
    /// A figure has two units.
    #[error("{name} is in {of_a} in {a} and in {of_b} in {b}: one of them is of another version")]
    Units {
        /// The figure.
        name: String,
        /// One folder.
        a: String,
        /// Its unit.
        of_a: String,
        /// The other folder.
        b: String,
        /// Its unit.
        of_b: String,
    },
    /// No figure has an interval.
    #[error(
        "no figure of {a} and {b} has an interval in both: run them with --replicates 2 or more"
    )]
    NoInterval {
        /// One folder.
        a: String,
        /// The other folder.
        b: String,
    },
}

/// How the interval of a difference was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Student's, over differences of replicates with the same random streams.
    Paired,
    /// Over the replicates of both, as of independent samples.
    Welch,
    /// From the two intervals.
    FromIntervals,
    /// There is none.
    None,
}

/// A figure of both runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Of the first run.
    pub a: Option<f64>,
    /// Of the second.
    pub b: Option<f64>,
    /// The second's minus the first's: over replicates where the interval is.
    pub difference: Option<f64>,
    /// Lower end of its 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of it.
    pub ci_high: Option<f64>,
    /// How the interval was made.
    pub interval: How,
    /// Probability of a difference at least as large where there is none; nothing without an interval.
    pub p: Option<f64>,
    /// Whether it differs by Holm's procedure over all judged figures; nothing without an interval.
    pub differs: Option<bool>,
}

/// Two runs, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The first folder.
    pub a: String,
    /// The second.
    pub b: String,
    /// Settings that differ, as `key: a, b`.
    pub settings: Vec<String>,
    /// The figures of both.
    pub figures: Vec<Difference>,
    /// Names of figures that one of them lacks.
    pub only_in_one: Vec<String>,
    /// Figures that differ.
    pub differ: Vec<String>,
}

/// Compares two runs.
pub fn compare(a: &Results, b: &Results) -> Result<Comparison, CompareError> {
    let folders = || (a.folder.clone(), b.folder.clone());
    if a.engine != b.engine {
        let ((a_folder, b_folder), of_a, of_b) = (folders(), a.engine.clone(), b.engine.clone());
        return Err(CompareError::Engines { a: a_folder, of_a, b: b_folder, of_b });
    }
    let is_paired = (a.seed, &a.scenario) == (b.seed, &b.scenario);
    let mut figures = Vec::new();
    let mut only_in_one: Vec<String> = Vec::new();
    for figure in &a.figures {
        let Some(other) = b.figure(&figure.name) else {
            only_in_one.push(figure.name.clone());
            continue;
        };
        if figure.unit != other.unit {
            let (a, b) = folders();
            let (name, of_a, of_b) = (figure.name.clone(), figure.unit.clone(), other.unit.clone());
            return Err(CompareError::Units { name, a, of_a, b, of_b });
        }
        figures.push(difference(figure, other, is_paired));
    }
    let lacking = b.figures.iter().filter(|figure| a.figure(&figure.name).is_none());
    only_in_one.extend(lacking.map(|figure| figure.name.clone()));
    if figures.iter().all(|figure| figure.p.is_none()) {
        let (a, b) = folders();
        return Err(CompareError::NoInterval { a, b });
    }
    judge(&mut figures);
    let differ = figures.iter().filter(|figure| figure.differs == Some(true));
    let differ = differ.map(|figure| figure.name.clone()).collect();
    Ok(Comparison {
        a: a.folder.clone(),
        b: b.folder.clone(),
        settings: settings(a, b),
        figures,
        only_in_one,
        differ,
    })
}

/// Says of each figure that has a probability whether it differs.
fn judge(figures: &mut [Difference]) {
    let found: Vec<f64> = figures.iter().filter_map(|figure| figure.p).collect();
    let judged = figures.iter_mut().filter(|figure| figure.p.is_some());
    for (figure, differs) in judged.zip(holm(&found)) {
        figure.differs = Some(differs);
    }
}

/// What differs in what was run.
fn settings(a: &Results, b: &Results) -> Vec<String> {
    let of = |run: &Results| {
        let own = [
            ("scenario", run.scenario.clone()),
            ("seed", run.seed.to_string()),
            ("replicates", run.replicates.to_string()),
            ("version", run.version.clone()),
        ];
        let own = own.map(|(key, value)| (key.to_owned(), value)).into_iter();
        let set = run.settings.iter().map(|s| (s.key.clone(), s.value.clone()));
        own.chain(set).collect::<Vec<_>>()
    };
    let (of_a, of_b) = (of(a), of(b));
    let mut found = Vec::new();
    let lacks = |all: &[(String, String)], mark: &(String, String)| !all.contains(mark);
    found.extend(
        of_a.iter().filter(|m| lacks(&of_b, m)).map(|(k, v)| format!("{}: {k} {v}", a.folder)),
    );
    found.extend(
        of_b.iter().filter(|m| lacks(&of_a, m)).map(|(k, v)| format!("{}: {k} {v}", b.folder)),
    );
    found
}

/// A difference with its interval.
#[derive(Clone, Copy, Debug)]
struct Found {
    difference: f64,
    interval: Interval,
    how: How,
    p: f64,
}

fn difference(a: &Figure, b: &Figure, is_paired: bool) -> Difference {
    let found = over_replicates(a, b, is_paired).or_else(|| from_intervals(a, b));
    let plain = a.value.zip(b.value).map(|(a, b)| b - a);
    Difference {
        name: a.name.clone(),
        unit: a.unit.clone(),
        a: a.value,
        b: b.value,
        difference: found.map_or(plain, |found| Some(found.difference)),
        ci_low: found.map(|found| found.interval.low),
        ci_high: found.map(|found| found.interval.high),
        interval: found.map_or(How::None, |found| found.how),
        p: found.map(|found| found.p),
        differs: None,
    }
}

/// How often half of an interval goes into a difference; nothing for a difference of zero, though it be sure.
fn halves(difference: f64, half: f64) -> f64 {
    if difference == 0.0 { 0.0 } else { difference.abs() / half }
}

fn over_replicates(a: &Figure, b: &Figure, is_paired: bool) -> Option<Found> {
    let (difference, half, degrees, how) = if is_paired {
        let pairs = a.by_replicate.iter().zip(&b.by_replicate);
        let pairs: Vec<f64> = pairs.filter_map(|(a, b)| Some((*b)? - (*a)?)).collect();
        let (mean, interval) = (stats::mean(&pairs)?, stats::student(&pairs)?);
        (mean, interval.high - mean, degrees(pairs.len())?, How::Paired)
    } else {
        let values = |figure: &Figure| figure.by_replicate.iter().copied().flatten().collect();
        let (a, b): (Vec<f64>, Vec<f64>) = (values(a), values(b));
        let (middle, half) = welch(&a, &b)?;
        (middle, half, degrees(a.len().min(b.len()))?, How::Welch)
    };
    let t = halves(difference, half) * student_two_sided(degrees, 0.95);
    let interval = Interval { low: difference - half, high: difference + half };
    Some(Found { difference, interval, how, p: student_outside(degrees, t) })
}

/// Degrees of freedom of so many values.
fn degrees(values: usize) -> Option<u32> {
    let degrees = values.checked_sub(1).filter(|degrees| *degrees > 0)?;
    Some(u32::try_from(degrees).unwrap_or(u32::MAX))
}

/// The difference of two means and half of its interval: Welch's error (1947) with the degrees of freedom of the smaller
/// run, which are never more than Welch's own.
fn welch(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    let smaller = degrees(a.len().min(b.len()))?;
    // The squared standard error of a mean.
    let error = |values: &[f64], mean: f64| {
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        squares / (values.len() - 1) as f64 / values.len() as f64
    };
    let (of_a, of_b) = (stats::mean(a)?, stats::mean(b)?);
    let all = error(a, of_a) + error(b, of_b);
    let times = student_two_sided(smaller, 0.95);
    Some((of_b - of_a, times * all.sqrt()))
}

/// The interval of a difference of independent estimates (Zou and Donner 2008). Its probability is a normal's that has
/// the half of the interval that lies towards zero.
fn from_intervals(a: &Figure, b: &Figure) -> Option<Found> {
    let ((of_a, _), (of_b, _)) = (a.widest()?, b.widest()?);
    let (a, b) = (a.value?, b.value?);
    let difference = b - a;
    let low = difference - libm::hypot(b - of_b.low, of_a.high - a);
    let high = difference + libm::hypot(of_b.high - b, a - of_a.low);
    let half = if difference > 0.0 { difference - low } else { high - difference };
    let z = halves(difference, half) * normal_two_sided(0.95, 0.05);
    let interval = Interval { low, high };
    Some(Found { difference, interval, how: How::FromIntervals, p: normal_outside(z) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Entity, Stream, Streams};

    fn figure(by_replicate: &[f64]) -> Figure {
        Figure {
            name: "x".to_owned(),
            value: stats::mean(by_replicate),
            ci_low: None,
            ci_high: None,
            interval: "none".to_owned(),
            unit: "ms".to_owned(),
            samples: 3,
            expected: None,
            replicates_low: None,
            replicates_high: None,
            by_replicate: by_replicate.iter().copied().map(Some).collect(),
            about: None,
        }
    }

    fn near(found: &Difference, middle: f64, half: f64) -> bool {
        let close = |value: Option<f64>, to: f64| value.is_some_and(|v| (v - to).abs() < 1e-3);
        close(found.difference, middle)
            && close(found.ci_low, middle - half)
            && close(found.ci_high, middle + half)
    }

    #[test]
    fn pairs_show_a_difference_that_the_spread_between_replicates_hides() {
        let (a, b) = (figure(&[1.0, 5.0, 9.0]), figure(&[2.0, 7.0, 12.0]));
        // Differences 1, 2, 3: deviation 1, t of 2 degrees 4.3027, over the root of 3.
        let paired = difference(&a, &b, true);
        assert!(paired.interval == How::Paired && near(&paired, 2.0, 2.4841), "{paired:?}");
        // t = 2√3 of 2 degrees: 1 - t / √(t² + 2).
        assert!(paired.p.is_some_and(|p| (p - 0.074_180).abs() < 1e-6), "{paired:?}");
        // Variances 16 and 25 over 3 each: error 3.6968 times 4.3027.
        let apart = difference(&a, &b, false);
        assert!(apart.interval == How::Welch && near(&apart, 2.0, 15.9060), "{apart:?}");
        let same = difference(&a, &figure(&[2.0, 6.0, 10.0]), true);
        assert!(same.p == Some(0.0) && near(&same, 1.0, 0.0), "{same:?}");
        let equal = difference(&a, &a, true);
        assert!(equal.p == Some(1.0) && near(&equal, 0.0, 0.0), "{equal:?}");
    }

    #[test]
    fn quantiles_are_judged_by_their_intervals_and_counts_not_at_all() {
        let quantile = |value: f64, low: f64, high: f64| Figure {
            value: Some(value),
            ci_low: Some(low),
            ci_high: Some(high),
            ..figure(&[])
        };
        // From 10 - hypot(4, 3) to 10 + hypot(12, 5).
        let found = difference(&quantile(10.0, 5.0, 13.0), &quantile(20.0, 16.0, 32.0), true);
        assert_eq!((found.ci_low, found.ci_high), (Some(5.0), Some(23.0)));
        // Twice the half of 5 towards zero: 3.92 standard deviations.
        assert!(found.p.is_some_and(|p| (p - 8.86e-5).abs() < 1e-6), "{found:?}");
        let count = |value| Figure { value: Some(value), ..figure(&[]) };
        let counts = difference(&count(1.0), &count(4.0), true);
        assert_eq!((counts.difference, counts.p), (Some(3.0), None));
    }

    /// A figure of eight replicates, each normal about a mean.
    fn drawn(stream: &mut Stream, mean: f64) -> Figure {
        let values: Vec<f64> = (0..8).map(|_| mean + stream.normal()).collect();
        figure(&values)
    }

    /// In how many of 1000 families of twenty equal figures at least one is said to differ.
    fn families_with_a_difference(is_paired: bool) -> u32 {
        let wrong = |family: &u32| {
            let mut stream = Streams::new(11, "families", *family).stream(Entity::World, "figures");
            let one = |_| {
                let (a, b) = (drawn(&mut stream, 3.0), drawn(&mut stream, 3.0));
                difference(&a, &b, is_paired)
            };
            let mut figures: Vec<Difference> = (0..20).map(one).collect();
            judge(&mut figures);
            figures.iter().any(|figure| figure.differs == Some(true))
        };
        u32::try_from((0..1000).filter(wrong).count()).unwrap()
    }

    #[test]
    fn one_of_twenty_equal_figures_seems_different_in_one_family_of_twenty() {
        // Twenty independent equal figures: 1 - (1 - 0.05 / 20)^20 = 4.9 % of families by pairs. Five standard errors of 5 %
        // over 1000 families are 5 √(0.05 · 0.95 / 1000) = 3.4 %: 16 to 84.
        let paired = families_with_a_difference(true);
        assert!((15..=84).contains(&paired), "{paired} of 1000");
        // Welch's degrees are the smaller run's here, so that the rate is lower.
        let apart = families_with_a_difference(false);
        assert!((1..=84).contains(&apart), "{apart} of 1000");
    }

    #[test]
    fn real_difference_is_found_among_equal_figures() {
        for family in 0..200 {
            let mut stream = Streams::new(12, "families", family).stream(Entity::World, "figures");
            let one = |at: u32| {
                // Six standard deviations: about twelve standard errors of the mean of eight differences.
                let mean = if at == 7 { 6.0 } else { 0.0 };
                let (a, b) = (drawn(&mut stream, 0.0), drawn(&mut stream, mean));
                difference(&a, &b, true)
            };
            let mut figures: Vec<Difference> = (0..20).map(one).collect();
            judge(&mut figures);
            assert_eq!(figures[7].differs, Some(true), "{family}: {:?}", figures[7]);
        }
    }
}
