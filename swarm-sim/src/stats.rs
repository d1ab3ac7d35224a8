//! Estimates with intervals, and the closed forms that runs are held against.
//!
//! All intervals are two-sided and hold 95 %. What one run yields is often correlated (the
//! requests of a client share its guards); then the interval over replicates is the honest one.

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
    if of == 0 {
        return None;
    }
    let (n, share) = (of as f64, hits as f64 / of as f64);
    let square = Z * Z;
    let middle = (share + square / (2.0 * n)) / (1.0 + square / n);
    let half = Z * (share * (1.0 - share) / n + square / (4.0 * n * n)).sqrt() / (1.0 + square / n);
    let low = if hits == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if hits == of { 1.0 } else { (middle + half).min(1.0) };
    Some(Interval { low, high })
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
    let half = t_quantile(degrees) * error;
    Some(Interval { low: mean - half, high: mean + half })
}

/// The 0.975 quantile of Student's t: a table to 10 degrees of freedom, then the expansion of
/// Cornish and Fisher, which is right to 0.001 there.
fn t_quantile(degrees: usize) -> f64 {
    const TABLE: [f64; 10] =
        [12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281];
    if let Some(value) = degrees.checked_sub(1).and_then(|at| TABLE.get(at)) {
        return *value;
    }
    let (n, z3) = (degrees as f64, Z * Z * Z);
    let z5 = z3 * Z * Z;
    Z + (z3 + Z) / (4.0 * n) + (5.0 * z5 + 16.0 * z3 + 3.0 * Z) / (96.0 * n * n)
}

/// A quantile of a sample, with the interval that order statistics give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The sample's own quantile.
    pub value: f64,
    /// `None` where the sample is too small to bound the quantile on both sides.
    pub interval: Option<Interval>,
}

/// The quantile at `percent` of ascending `sorted` values: the smallest that at least that share
/// does not exceed. `None` without values.
pub fn quantile(sorted: &[u64], percent: u32) -> Option<Quantile> {
    let share = f64::from(percent) / 100.0;
    let n = sorted.len() as f64;
    // Ranks count from 1; how many values lie below the quantile is binomial.
    let at_rank = |rank: f64| {
        (0..sorted.len()).zip(sorted).find(|(at, _)| (*at + 1) as f64 >= rank).map(|(_, v)| *v)
    };
    let rank = |at: u64| if at == 0 { None } else { at_rank(at as f64) };
    let value = rank((sorted.len() as u64 * u64::from(percent)).div_ceil(100).max(1))? as f64;
    let spread = Z * (n * share * (1.0 - share)).sqrt();
    let (low, high) = ((n * share - spread).floor(), (n * share + spread).ceil() + 1.0);
    let interval = (low >= 1.0 && high <= n).then(|| {
        let end = |rank| at_rank(rank).map_or(value, |value| value as f64);
        Interval { low: end(low), high: end(high) }
    });
    Some(Quantile { value, interval })
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
    let most = size.min(malicious);
    let total = ln_choose(nodes, size);
    let term = |hits: u64| {
        let honest = nodes.saturating_sub(malicious);
        if size - hits > honest {
            return 0.0;
        }
        libm::exp(ln_choose(malicious, hits) + ln_choose(honest, size - hits) - total)
    };
    (at_least..=most).map(term).sum::<f64>().min(1.0)
}

fn ln_choose(n: u64, k: u64) -> f64 {
    let ln_factorial = |n: u64| libm::lgamma(n as f64 + 1.0);
    ln_factorial(n) - ln_factorial(k) - ln_factorial(n.saturating_sub(k))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!((t_quantile(20) - 2.0860).abs() < 1e-3 && (t_quantile(100) - 1.9840).abs() < 1e-3);
    }

    #[test]
    fn quantiles_are_values_of_the_sample_within_their_interval() {
        let sorted: Vec<u64> = (1..=1000).collect();
        let of = |percent| quantile(&sorted, percent);
        assert_eq!(of(50).map(|q| q.value), Some(500.0));
        assert_eq!(of(99).map(|q| q.value), Some(990.0));
        // 500 ± 1.96 × 15.8, rounded outwards.
        assert_eq!(of(50).and_then(|q| q.interval), Some(Interval { low: 469.0, high: 532.0 }));
        assert_eq!(quantile(&[], 50), None);
        assert_eq!(quantile(&[7], 99), Some(Quantile { value: 7.0, interval: None }));
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
