//! Estimates with intervals, and the closed forms that runs are held against.
//!
//! All intervals are two-sided and hold 95 %. What one run yields is often correlated (the
//! requests of a client share its guards); then the interval over replicates is the honest one.

pub mod bootstrap;
pub mod clustered;
pub mod survival;

use crate::special::{binomial_upper, bisect, student_two_sided};

/// Φ⁻¹(0.975).
const Z: f64 = 1.959_963_984_540_054;

/// An interval that holds the true value in 95 % of cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Interval {
    /// Whether a value lies in it.
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// The Wilson score interval of `hits` of `of` independent trials (Wilson 1927); `None` without
/// trials.
pub fn wilson(hits: u64, of: u64) -> Option<Interval> {
    let (low, high) = wilson_at(hits, of, Z);
    (of > 0).then_some(Interval { low, high })
}

/// The mean of values; `None` without any.
pub fn mean(values: &[f64]) -> Option<f64> {
    if values.is_empty() { None } else { Some(values.iter().sum::<f64>() / values.len() as f64) }
}

/// Student's interval for the mean of independent values; `None` for fewer than two.
pub fn student(values: &[f64]) -> Option<Interval> {
    let mean = mean(values)?;
    let degrees = values.len().checked_sub(1).filter(|degrees| *degrees > 0)?;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let error = (squares / degrees as f64 / values.len() as f64).sqrt();
    let half = student_two_sided(u32::try_from(degrees).unwrap_or(u32::MAX), 0.95) * error;
    Some(Interval { low: mean - half, high: mean + half })
}

/// Half of Student's 95 % interval for a mean of `samples` values whose squared differences from it sum to
/// `squares`; infinite for fewer than two.
pub fn student_half(squares: f64, samples: u64) -> f64 {
    let degrees = samples.saturating_sub(1);
    if degrees == 0 {
        return f64::INFINITY;
    }
    let error = (squares.max(0.0) / degrees as f64 / samples as f64).sqrt();
    student_two_sided(u32::try_from(degrees).unwrap_or(u32::MAX), 0.95) * error
}

/// The ends of the Wilson score interval at `z` standard deviations.
pub fn wilson_at(hits: u64, of: u64, z: f64) -> (f64, f64) {
    wilson_of(hits as f64 / of as f64, of as f64, z)
}

/// The same for a share of `n` trials, which need not be whole. The lower end comes from the product of both, so that
/// it keeps its digits when it is small.
fn wilson_of(share: f64, n: f64, z: f64) -> (f64, f64) {
    let square = z * z;
    let upper = (share * n + square / 2.0 + z * (share * n * (1.0 - share) + square / 4.0).sqrt())
        / (n + square);
    let high = if share >= 1.0 { 1.0 } else { upper.min(1.0) };
    let low = if share <= 0.0 { 0.0 } else { share * share * n / (n + square) / upper };
    (low, high)
}

/// The ends of the Clopper-Pearson interval with probability `tail` on each side.
pub fn clopper_pearson_at(hits: u64, of: u64, tail: f64) -> (f64, f64) {
    // In ln p, so that small ends keep their digits as well.
    let end = |above: &dyn Fn(f64, f64) -> bool| {
        let ln = bisect(-800.0, 0.0, |ln| above(libm::exp(ln), -libm::expm1(ln)));
        libm::exp(ln)
    };
    let low = if hits == 0 { 0.0 } else { end(&|p, q| binomial_upper(of, hits, p, q) >= tail) };
    let high =
        if hits == of { 1.0 } else { end(&|p, q| binomial_upper(of, of - hits, q, p) <= tail) };
    (low, high)
}

/// A quantile of a sample, with the 95 % interval that order statistics give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The smallest value that at least that share of the sample does not exceed.
    pub value: f64,
    /// Lower end; `None` where the sample is too small to bound the quantile from below.
    pub low: Option<f64>,
    /// Upper end; `None` where the sample is too small to bound the quantile from above.
    pub high: Option<f64>,
}

/// The quantile at `share` of ascending values; `None` without values.
///
/// The interval's ranks are those outside of which the number of values below the quantile, which is binomial, falls
/// with probability 2.5 % each: exact for independent values, whatever their distribution.
pub fn quantile(sorted: &[f64], share: f64) -> Option<Quantile> {
    let n = sorted.len() as u64;
    let at = |rank: u64| sorted.get(usize::try_from(rank.checked_sub(1)?).ok()?).copied();
    let first = |from: u64, holds: &dyn Fn(u64) -> bool| {
        let (mut low, mut high) = (from, n + 1);
        while low < high {
            let middle = low + (high - low) / 2;
            if holds(middle) { high = middle } else { low = middle + 1 }
        }
        low
    };
    let at_most = |k: u64| binomial_upper(n, n - k.min(n), 1.0 - share, share);
    // The least k with P(at most k) above 2.5 % is itself the lower rank.
    let low = first(0, &|k| at_most(k) > 0.025);
    let high = first(1, &|k| binomial_upper(n, k, share, 1.0 - share) <= 0.025);
    let middle = first(1, &|k| k as f64 >= share * n as f64).min(n);
    Some(Quantile { value: at(middle)?, low: at(low), high: at(high) })
}

/// The values that a quantile's interval needs to have an upper end: the chance that none of them is above the quantile is
/// then 2.5 % at most.
pub fn quantile_needs(share: f64) -> f64 {
    (libm::log(0.025) / libm::log(share)).ceil()
}

/// Probability that two given different nodes are both malicious, when `malicious` of `nodes` are,
/// drawn uniformly without replacement: c (c − 1) / (n (n − 1)).
pub fn both_malicious(nodes: u64, malicious: u64) -> f64 {
    if nodes < 2 || malicious == 0 {
        return 0.0;
    }
    let (n, c) = (nodes as f64, malicious as f64);
    c / n * ((c - 1.0) / (n - 1.0))
}

/// Probability that the first of three given different nodes is malicious and at least one of the
/// two others is: P(first and second) + P(first and third) − P(all three).
pub fn first_and_another_malicious(nodes: u64, malicious: u64) -> f64 {
    if nodes < 3 || malicious < 2 {
        return 0.0;
    }
    let pair = both_malicious(nodes, malicious);
    let third = (malicious - 2) as f64 / (nodes - 2) as f64;
    pair * (2.0 - third)
}

/// Probability that at least `at_least` of `size` different nodes drawn uniformly are malicious:
/// the upper tail of the hypergeometric distribution.
pub fn hypergeometric_tail(nodes: u64, malicious: u64, size: u64, at_least: u64) -> f64 {
    let (malicious, size) = (malicious.min(nodes), size.min(nodes));
    crate::special::hypergeometric_upper(nodes, malicious, size, at_least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clopper_pearson_interval_has_known_values() {
        // Tables: 0 of 10 up to 0.30850; 5 of 10 from 0.18709 to 0.81291; 1 of 100 from 0.000253 to 0.054459.
        let (low, high) = clopper_pearson_at(0, 10, 0.025);
        assert!(low == 0.0 && near(high, 0.30850));
        let (low, high) = clopper_pearson_at(5, 10, 0.025);
        assert!(near(low, 0.18709) && near(high, 0.81291));
        let (low, high) = clopper_pearson_at(1, 100, 0.025);
        assert!((low - 0.000_253_146).abs() < 1e-8 && near(high, 0.05446));
        assert_eq!(clopper_pearson_at(10, 10, 0.025).1, 1.0);
    }

    #[test]
    fn exact_interval_holds_the_share_and_mirrors_itself() {
        for of in [1, 2, 7, 40, 1000] {
            for hits in 0..=of {
                let share = hits as f64 / of as f64;
                for ends in [clopper_pearson_at, |hits, of, _| wilson_at(hits, of, Z)] {
                    let ((low, high), (low2, high2)) =
                        (ends(hits, of, 0.025), ends(of - hits, of, 0.025));
                    assert!(
                        0.0 <= low && low <= share && share <= high && high <= 1.0,
                        "{hits} of {of}"
                    );
                    assert!(
                        (low + high2 - 1.0).abs() < 1e-12 && (high + low2 - 1.0).abs() < 1e-12,
                        "{hits} of {of}"
                    );
                }
            }
        }
    }

    #[test]
    fn order_statistics_bound_the_median_as_tables_say() {
        // Tables of the sign test: n = 10 ranks 2 and 9 (97.9 %), n = 20 ranks 6 and 15 (95.9 %).
        for (n, low, high) in [(10, 2.0, 9.0), (20, 6.0, 15.0)] {
            let sorted: Vec<f64> = (1..=n).map(f64::from).collect();
            let ends = quantile(&sorted, 0.5).map(|found| (found.low, found.high));
            assert_eq!(ends, Some((Some(low), Some(high))), "{n}");
        }
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-4
    }

    #[test]
    fn wilson_interval_has_known_values() {
        // 10 of 100, as tables give it: 0.0552 to 0.1744.
        let interval = wilson(10, 100);
        assert!(interval.is_some_and(|i| near(i.low, 0.05523) && near(i.high, 0.17437)));
        assert_eq!(wilson(0, 0), None);
        assert_eq!(wilson(0, 10).map(|i| i.low), Some(0.0));
        assert_eq!(wilson(10, 10).map(|i| i.high), Some(1.0));
    }

    #[test]
    fn student_interval_has_known_values() {
        // Mean 3, standard error sqrt(2.5 / 5) = 0.7071, t(4) = 2.7764.
        let interval = student(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert!(interval.is_some_and(|i| near(i.low, 1.03678) && near(i.high, 4.96322)));
        assert_eq!(student(&[1.0]), None);
        // Tables: t(20) = 2.0860, t(100) = 1.9840.
        assert!(
            near(student_two_sided(1, 0.95), 12.70620) && near(student_two_sided(4, 0.95), 2.77645)
        );
        assert!(
            near(student_two_sided(20, 0.95), 2.08596)
                && near(student_two_sided(100, 0.95), 1.98397)
        );
        assert!((student_two_sided(1000, 0.95) - student_two_sided(1001, 0.95)).abs() < 1e-5);
    }

    #[test]
    fn as_many_values_as_a_quantile_needs_bound_it_and_one_less_do_not() {
        for share in [0.05, 0.5, 0.9, 0.999] {
            let n = (1..10_000u32).find(|n| f64::from(*n) >= quantile_needs(share)).unwrap();
            let high = |n: u32| {
                let values: Vec<f64> = (0..n).map(f64::from).collect();
                quantile(&values, share).and_then(|found| found.high)
            };
            assert!(high(n).is_some() && high(n - 1).is_none(), "{share}: {n}");
        }
    }

    #[test]
    fn quantiles_are_values_of_the_sample_within_their_interval() {
        let sorted: Vec<f64> = (1..=1000).map(f64::from).collect();
        let of = |share| quantile(&sorted, share);
        // Binomial tails: P(at most 468 of 1000 halves) = 2.31 %, at most 469 2.68 %; of 1000 at 0.99, P(at most 982) =
        // 1.38 %, at most 983 2.64 %; P(at least 997) = 1.01 %, at least 996 2.87 %. A normal tail would say 998.
        assert_eq!(of(0.5), Some(Quantile { value: 500.0, low: Some(469.0), high: Some(532.0) }));
        assert_eq!(of(0.99), Some(Quantile { value: 990.0, low: Some(983.0), high: Some(997.0) }));
        assert_eq!(quantile(&[], 0.5), None);
        // One value lies above the 99th percentile in 1 % of samples only, so it bounds it from below.
        assert_eq!(quantile(&[7.0], 0.99).map(|q| (q.low, q.high)), Some((Some(7.0), None)));
        assert_eq!(quantile(&[7.0], 0.5).map(|q| (q.low, q.high)), Some((None, None)));
    }

    #[test]
    fn tail_agrees_with_counting() {
        // 2 of 5 malicious, 3 drawn: 1 of 10 ways holds none, 6 hold one, 3 hold both.
        assert!(near(hypergeometric_tail(5, 2, 3, 1), 0.9));
        assert!(near(hypergeometric_tail(5, 2, 3, 2), 0.3));
        assert!(near(hypergeometric_tail(5, 2, 3, 0), 1.0));
        assert!(near(hypergeometric_tail(5, 2, 3, 3), 0.0));
        assert!(near(hypergeometric_tail(50, 10, 2, 2), both_malicious(50, 10)));
    }

    #[test]
    fn both_ends_agree_with_counting() {
        // Ordered triples of 5 nodes of which 2 are malicious: 60; the first malicious in 24; of
        // those the other two both honest in 2 × 3 × 2 = 12.
        assert!(near(first_and_another_malicious(5, 2), 12.0 / 60.0));
        assert!(near(both_malicious(5, 2), 2.0 / 20.0));
        assert!(near(first_and_another_malicious(5, 1), 0.0));
    }
}
