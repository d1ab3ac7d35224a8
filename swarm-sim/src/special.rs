//! Probabilities and quantiles of the standard distributions, right to about 1e-12 relative in
//! both tails.
//!
//! Single probabilities follow Loader, "Fast and accurate computation of binomial probabilities",
//! 2000: no difference of large logarithms is ever taken. Tails are sums of positive terms that start
//! at the largest one and stop where a geometric bound of the rest is below 1e-17 of the sum; no tail is one minus
//! another. All logarithms and powers are `libm`'s, which are the same on every platform.

use core::f64::consts::{LN_2, PI, SQRT_2};

/// The part of a tail that may be cut off, relative to the tail.
const CUT: f64 = 1e-17;

/// ln n! − ((n + ½) ln n − n + ½ ln 2π), the error of Stirling's formula.
fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        let mut factorial = 1.0;
        let mut factor = 2.0;
        while factor <= n {
            factorial *= factor;
            factor += 1.0;
        }
        return libm::log(factorial) - (n + 0.5) * libm::log(n) + n - 0.5 * libm::log(2.0 * PI);
    }
    let square = n * n;
    // The series of 1/12n − 1/360n³ + …; the next term is below 1e-15 from 16 on.
    let inner = 1.0 / 1680.0 - (1.0 / 1188.0 - 691.0 / 360_360.0 / square) / square;
    (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - inner / square) / square) / square) / n
}

/// x ln(x / mean) + mean − x, without cancellation near x = mean.
fn deviance(x: f64, mean: f64) -> f64 {
    let difference = x - mean;
    if difference.abs() < 0.1 * (x + mean) {
        let v = difference / (x + mean);
        let mut sum = difference * v;
        let mut power = 2.0 * x * v;
        for odd in (3..).step_by(2) {
            power *= v * v;
            let next = sum + power / f64::from(odd);
            if next == sum {
                break;
            }
            sum = next;
        }
        return sum;
    }
    x * (libm::log(x) - libm::log(mean)) - difference
}

/// Probability of `k` hits in `n` trials of probability `p`; `q` is 1 − p.
pub fn binomial(n: u64, k: u64, p: f64, q: f64) -> f64 {
    if k > n {
        return 0.0;
    }
    let (trials, hits, misses) = (n as f64, k as f64, (n - k) as f64);
    if p <= 0.0 {
        return if k == 0 { 1.0 } else { 0.0 };
    }
    if q <= 0.0 {
        return if k == n { 1.0 } else { 0.0 };
    }
    // The logarithm of the smaller of both, as ln(1 − small) else.
    let ln =
        |share: f64, rest: f64| if share < 0.5 { libm::log(share) } else { libm::log1p(-rest) };
    if k == 0 {
        return libm::exp(trials * ln(q, p));
    }
    if k == n {
        return libm::exp(trials * ln(p, q));
    }
    let exponent = stirling_error(trials)
        - stirling_error(hits)
        - stirling_error(misses)
        - deviance(hits, trials * p)
        - deviance(misses, trials * q);
    libm::exp(exponent) * (trials / (2.0 * PI * hits * misses)).sqrt()
}

/// Probability of `k` events where `mean` are expected.
pub fn poisson(k: u64, mean: f64) -> f64 {
    if k == 0 {
        return libm::exp(-mean);
    }
    if mean <= 0.0 {
        return 0.0;
    }
    let count = k as f64;
    libm::exp(-stirling_error(count) - deviance(count, mean)) / (2.0 * PI * count).sqrt()
}

/// Logarithm of the probability of `k` events, a whole number, where `mean` above 0 are expected.
pub fn ln_poisson(k: f64, mean: f64) -> f64 {
    if k <= 0.0 {
        return -mean;
    }
    -stirling_error(k) - deviance(k, mean) - 0.5 * libm::log(2.0 * PI * k)
}

/// Sums terms upwards from `from` to `to` and downwards from it to `down_to`, given the term at
/// `from` and the ratios term(k + 1) / term(k). `from` must not lie below the largest term, or be
/// `down_to` itself.
fn both_ways(first: f64, from: u64, down_to: u64, to: u64, ratio: impl Fn(u64) -> f64) -> f64 {
    let mut sum = first;
    let mut term = first;
    for k in from..to {
        let step = ratio(k);
        term *= step;
        sum += term;
        // Ratios fall with k, so the rest is below a geometric series.
        if step < 1.0 && term * step <= CUT * (1.0 - step) * sum {
            break;
        }
    }
    term = first;
    for k in (down_to..from).rev() {
        let step = ratio(k).recip();
        term *= step;
        sum += term;
        if step < 1.0 && term * step <= CUT * (1.0 - step) * sum {
            break;
        }
    }
    sum.min(1.0)
}

#[expect(clippy::cast_possible_truncation, reason = "a mode lies between 0 and a count")]
#[expect(clippy::cast_sign_loss, reason = "a mode is not negative")]
const fn whole(value: f64) -> u64 {
    value as u64
}

/// Probability of at least `k` hits in `n` trials of probability `p`; `q` is 1 − p.
pub fn binomial_upper(n: u64, k: u64, p: f64, q: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if k > n || p <= 0.0 {
        return 0.0;
    }
    if q <= 0.0 {
        return 1.0;
    }
    let from = whole((n as f64 + 1.0) * p).clamp(k, n);
    let ratio = |at: u64| (n - at) as f64 / (at + 1) as f64 * (p / q);
    both_ways(binomial(n, from, p, q), from, k, n, ratio)
}

/// Probability of at least `k` events where `mean` are expected.
pub fn poisson_upper(k: u64, mean: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    let from = whole(mean).max(k);
    both_ways(poisson(from, mean), from, k, u64::MAX, |at| mean / (at + 1) as f64)
}

/// Probability of at most `k` events where `mean` are expected.
pub fn poisson_lower(k: u64, mean: f64) -> f64 {
    let from = whole(mean).min(k);
    both_ways(poisson(from, mean), from, 0, k, |at| mean / (at + 1) as f64)
}

/// Probability that `hits` of `size` different nodes drawn from `nodes` are among `marked` ones.
pub fn hypergeometric(nodes: u64, marked: u64, size: u64, hits: u64) -> f64 {
    let rest = nodes - marked;
    if hits > size || hits > marked || size - hits > rest {
        return 0.0;
    }
    let p = size as f64 / nodes as f64;
    let q = (nodes - size) as f64 / nodes as f64;
    if size == nodes {
        return 1.0;
    }
    binomial(marked, hits, p, q) * binomial(rest, size - hits, p, q) / binomial(nodes, size, p, q)
}

/// Probability that at least `at_least` of `size` different nodes drawn from `nodes` are among
/// `marked` ones; neither `marked` nor `size` may exceed `nodes`.
pub fn hypergeometric_upper(nodes: u64, marked: u64, size: u64, at_least: u64) -> f64 {
    let least = (size + marked).saturating_sub(nodes);
    let most = size.min(marked);
    if at_least <= least {
        return 1.0;
    }
    if at_least > most {
        return 0.0;
    }
    let mode = (u128::from(size) + 1) * (u128::from(marked) + 1) / (u128::from(nodes) + 2);
    let from = u64::try_from(mode).unwrap_or(u64::MAX).clamp(at_least, most);
    let ratio = |at: u64| {
        (marked - at) as f64 / (at + 1) as f64
            * ((size - at) as f64 / (nodes + at + 1 - marked - size) as f64)
    };
    both_ways(hypergeometric(nodes, marked, size, from), from, at_least, most, ratio)
}

/// The point between `low` and `high` at which a monotone `above` turns true, to the last bit that
/// halving can tell.
pub fn bisect(mut low: f64, mut high: f64, above: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || middle >= high {
            break;
        }
        if above(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// z such that a standard normal lies within ±z with probability `level`; `rest` is 1 − level.
pub fn normal_two_sided(level: f64, rest: f64) -> f64 {
    let x = if level < 0.5 {
        bisect(0.0, 1.0, |x| libm::erf(x) >= level)
    } else {
        bisect(0.0, 28.0, |x| libm::erfc(x) <= rest)
    };
    x * SQRT_2
}

/// The probability that Student's t of `degrees` lies within ±√degrees tan(angle): the finite sums of Abramowitz and
/// Stegun 26.7.3 and 26.7.4.
fn student_inside(degrees: u32, angle: f64) -> f64 {
    let (sin, cos) = (libm::sin(angle), libm::cos(angle));
    let odd = degrees % 2 == 1;
    let (mut term, mut sum) = if odd { (cos, 0.0) } else { (1.0, 0.0) };
    let mut at = if odd { 1 } else { 0 };
    while at + 2 <= degrees {
        sum += term;
        term *= f64::from(at + 1) / f64::from(at + 2) * cos * cos;
        at += 2;
    }
    if odd { 2.0 / PI * (angle + sin * sum) } else { sin * sum }
}

/// Probability that Student's t of `degrees` lies beyond ±`t`, to within 1e-13. It takes time in proportion to the degrees.
pub fn student_outside(degrees: u32, t: f64) -> f64 {
    let angle = libm::atan(t.abs() / f64::from(degrees).sqrt());
    (1.0 - student_inside(degrees, angle)).max(0.0)
}

/// Probability that a standard normal lies beyond ±`z`.
pub fn normal_outside(z: f64) -> f64 {
    libm::erfc(z.abs() / SQRT_2)
}

/// t such that Student's t of `degrees` lies within ±t with probability `level`.
///
/// Up to 1000 degrees by finite sums; beyond, the expansion of
/// Cornish and Fisher, which is right to 1e-8 there.
pub fn student_two_sided(degrees: u32, level: f64) -> f64 {
    let n = f64::from(degrees);
    if degrees > 1000 {
        let z = normal_two_sided(level, 1.0 - level);
        let (z3, z5) = (z * z * z, z * z * z * z * z);
        return z + (z3 + z) / (4.0 * n) + (5.0 * z5 + 16.0 * z3 + 3.0 * z) / (96.0 * n * n);
    }
    let angle = bisect(0.0, PI / 2.0, |angle| student_inside(degrees, angle) >= level);
    n.sqrt() * libm::tan(angle)
}

/// ∫₀ᵗ (1 − e^−u) / u du, the entire exponential integral: its series up to 2, else ln t + γ + E₁(t) with
/// the continued fraction of E₁.
pub fn entire_exponential_integral(t: f64) -> f64 {
    const EULER: f64 = 0.577_215_664_901_532_9;
    if t <= 2.0 {
        let (mut power, mut sum) = (t, t);
        for k in 2..60 {
            let k = f64::from(k);
            power *= -t / k;
            sum += power / k;
        }
        return sum;
    }
    let mut fraction = 0.0;
    if t < 50.0 {
        for k in (1..=120).rev() {
            let k = f64::from(k);
            fraction = k * k / (t + 2.0 * k + 1.0 - fraction);
        }
        fraction = libm::exp(-t) / (t + 1.0 - fraction);
    }
    libm::log(t) + EULER + fraction
}

/// Base-2 logarithm of 1 + x.
pub fn log2_1p(x: f64) -> f64 {
    libm::log1p(x) / LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probability_outside_undoes_the_quantile() {
        for degrees in [1, 2, 3, 7, 30, 100, 1000] {
            for level in [0.5, 0.9, 0.95, 0.999, 0.999_999] {
                let found = student_outside(degrees, student_two_sided(degrees, level));
                assert!((found - (1.0 - level)).abs() < 1e-12, "{degrees} {level}: {found}");
            }
            assert_eq!((student_outside(degrees, 0.0), student_outside(degrees, -0.0)), (1.0, 1.0));
            assert!(student_outside(degrees, f64::INFINITY) < 1e-12);
        }
        // A Cauchy variable lies beyond ±1 as often as not; of two degrees, 1 − t / √(t² + 2).
        assert!((student_outside(1, -1.0) - 0.5).abs() < 1e-14);
        assert!((student_outside(2, 2.0) - (1.0 - 2.0 / 6f64.sqrt())).abs() < 1e-14);
        assert!((normal_outside(-normal_two_sided(0.95, 0.05)) - 0.05).abs() < 1e-14);
    }
}
