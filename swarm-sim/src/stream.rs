//! Random streams: one for each entity and purpose, and how numbers are drawn from them.
//!
//! A stream's key is a digest of seed, scenario, replicate, entity and purpose. So two entities
//! never share a stream, and neither threads nor further entities shift anyone's draws. All
//! arithmetic is the same on every platform: whole numbers, IEEE 754 basics, and `libm`.

pub mod fast;

use core::time::Duration;

use enjambre_protocol::crypto;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::scenario::Share;
use crate::special;

const LABEL: &str = "enjambre/simulation-stream/1";

/// Who draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entity {
    /// The network as a whole.
    World,
    /// A node, by its index.
    Node(u32),
    /// A client, by its index.
    Client(u32),
    /// The two ends of a link, in ascending order.
    Pair(u32, u32),
}

impl Entity {
    fn to_bytes(self) -> [u8; 9] {
        let (kind, a, b) = match self {
            Self::World => (0, 0, 0),
            Self::Node(index) => (1, index, 0),
            Self::Client(index) => (2, index, 0),
            Self::Pair(low, high) => (3, low, high),
        };
        let mut bytes = [kind; 9];
        bytes[1..5].copy_from_slice(&a.to_le_bytes());
        bytes[5..].copy_from_slice(&b.to_le_bytes());
        bytes
    }
}

/// Makes the streams of one replicate.
#[derive(Clone, Debug)]
pub struct Streams {
    seed: u64,
    scenario: String,
    replicate: u32,
}

impl Streams {
    /// The streams of a replicate. `scenario` is the scenario's name.
    pub fn new(seed: u64, scenario: &str, replicate: u32) -> Self {
        Self { seed, scenario: scenario.to_owned(), replicate }
    }

    /// The stream of `entity` for `purpose`, from its beginning.
    pub fn stream(&self, entity: Entity, purpose: &'static str) -> Stream {
        let key = crypto::digest(
            LABEL,
            &[
                &self.seed.to_le_bytes(),
                self.scenario.as_bytes(),
                &self.replicate.to_le_bytes(),
                &entity.to_bytes(),
                purpose.as_bytes(),
            ],
        );
        Stream(ChaCha12Rng::from_seed(*key.as_bytes()))
    }
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha12Rng);

impl Stream {
    /// The generator itself, for the protocol's functions.
    pub const fn rng(&mut self) -> &mut ChaCha12Rng {
        &mut self.0
    }

    /// Random bytes.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill_bytes(&mut bytes);
        bytes
    }

    /// Uniform below `bound`, without bias; 0 for a bound of 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 {
            return 0;
        }
        let reject_from = u64::MAX - (u64::MAX % bound + 1) % bound;
        loop {
            let value = self.0.next_u64();
            if value <= reject_from {
                return value % bound;
            }
        }
    }

    /// A uniform index of a list of `len`.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True with probability `share`.
    pub fn chance(&mut self, share: Share) -> bool {
        self.below(Share::WHOLE) < share.parts()
    }

    /// `count` different numbers below `bound`, in random order; all of them if there are fewer.
    pub fn choose(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..bound).collect();
        let count = count.min(bound);
        for at in 0..count {
            let other = at + self.index(bound - at);
            all.swap(at, other);
        }
        all.truncate(count);
        all
    }

    /// Uniform in (0, 1], in steps of 2⁻⁵³.
    pub fn unit(&mut self) -> f64 {
        ((self.0.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Uniform from zero to `most`, both included.
    pub fn up_to(&mut self, most: Duration) -> Duration {
        let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(self.below(nanos.saturating_add(1)))
    }

    /// Exponential with this mean.
    pub fn exponential(&mut self, mean: Duration) -> Duration {
        let times = -libm::log(self.unit());
        scaled(mean, times)
    }

    /// Gamma with this mean and shape; the variance is mean² / shape. Marsaglia and Tsang, "A
    /// simple method for generating gamma variables", 2000.
    pub fn gamma(&mut self, mean: Duration, shape: f64) -> Duration {
        let times = if shape < 1.0 {
            self.gamma_from_one(shape + 1.0) * libm::pow(self.unit(), shape.recip())
        } else {
            self.gamma_from_one(shape)
        };
        scaled(mean, times / shape)
    }

    /// Poisson with this mean, a whole number: products of uniforms up to a mean of 10; above, Hörmann, "The transformed
    /// rejection method for generating Poisson random variables", 1993.
    pub(crate) fn poisson(&mut self, mean: f64) -> f64 {
        if mean <= 10.0 {
            let (end, mut product, mut count) = (libm::exp(-mean), self.unit(), 0.0);
            while product > end {
                product *= self.unit();
                count += 1.0;
            }
            return count;
        }
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.024_83 * b;
        let inverse_alpha = 1.1239 + 1.1328 / (b - 3.4);
        let below = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let (u, v) = (self.unit() - 0.5, self.unit());
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= below {
                return k;
            }
            if k < 0.0 || us <= 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            if libm::log(v * inverse_alpha / (a / (us * us) + b)) <= special::ln_poisson(k, mean) {
                return k;
            }
        }
    }

    /// How many of `trials` succeed, each with probability `share`: many are halved at the median of as many uniforms, which
    /// has a beta distribution (Devroye, Non-Uniform Random Variate Generation, 1986, X.4).
    pub(crate) fn binomial(&mut self, mut trials: u64, mut share: f64) -> u64 {
        let mut successes = 0;
        while trials > 32 {
            let middle = trials / 2 + 1;
            let (below, above) = (middle as f64, (trials + 1 - middle) as f64);
            let (low, high) = (self.gamma_from_one(below), self.gamma_from_one(above));
            if low * (1.0 - share) <= high * share {
                // The median and all below it succeed.
                successes += middle;
                trials -= middle;
                share -= (1.0 - share) * low / high;
            } else {
                trials = middle - 1;
                share *= 1.0 + high / low;
            }
        }
        successes + (0..trials).map(|_| u64::from(self.unit() <= share)).sum::<u64>()
    }

    /// Gamma of scale 1 and a shape of at least 1.
    pub(crate) fn gamma_from_one(&mut self, shape: f64) -> f64 {
        let d = shape - 1.0 / 3.0;
        let c = (9.0 * d).sqrt().recip();
        loop {
            let normal = self.normal();
            let root = 1.0 + c * normal;
            if root <= 0.0 {
                continue;
            }
            let cube = root * root * root;
            let bound = 0.5 * normal * normal + d - d * cube + d * libm::log(cube);
            if libm::log(self.unit()) < bound {
                return d * cube;
            }
        }
    }

    /// Standard normal, by the polar method.
    pub(crate) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * libm::log(square) / square).sqrt();
            }
        }
    }
}

fn scaled(mean: Duration, times: f64) -> Duration {
    Duration::try_from_secs_f64(mean.as_secs_f64() * times).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(entity: Entity, purpose: &'static str) -> Stream {
        Streams::new(1, "test", 0).stream(entity, purpose)
    }

    #[test]
    fn every_part_of_the_key_makes_another_stream() {
        let first =
            |streams: Streams, entity, purpose| streams.stream(entity, purpose).bytes::<16>();
        let base = || Streams::new(1, "test", 0);
        let mut drawn = vec![
            first(base(), Entity::World, "a"),
            first(Streams::new(2, "test", 0), Entity::World, "a"),
            first(Streams::new(1, "other", 0), Entity::World, "a"),
            first(Streams::new(1, "test", 1), Entity::World, "a"),
            first(base(), Entity::Node(0), "a"),
            first(base(), Entity::Client(0), "a"),
            first(base(), Entity::Pair(0, 0), "a"),
            first(base(), Entity::World, "b"),
        ];
        assert_eq!(drawn[0], first(base(), Entity::World, "a"));
        let len = drawn.len();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), len);
    }

    #[test]
    fn below_reaches_every_number_about_equally_often() {
        let mut stream = stream(Entity::World, "below");
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.index(7)] += 1;
        }
        // 10 000 expected, with a standard deviation of 93.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 400), "{counts:?}");
        assert_eq!(stream.below(0), 0);
        assert_eq!(stream.below(1), 0);
    }

    #[test]
    fn choose_gives_different_numbers() {
        let mut stream = stream(Entity::World, "choose");
        let mut chosen = stream.choose(30, 40);
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 30);
        assert!(chosen.iter().all(|number| *number < 40));
        assert_eq!(stream.choose(5, 3).len(), 3);
    }

    /// Mean and variance over `n` draws, in seconds.
    fn moments(n: u32, mut draw: impl FnMut() -> Duration) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let value = draw().as_secs_f64();
            sum += value;
            squares += value * value;
        }
        let mean = sum / f64::from(n);
        (mean, squares / f64::from(n) - mean * mean)
    }

    #[test]
    fn poisson_counts_are_as_frequent_as_they_should_be() {
        for mean in [0.3, 9.9, 10.1, 40.0, 3000.0] {
            let mut stream = stream(Entity::World, "poisson");
            let counts: Vec<f64> = (0..100_000).map(|_| stream.poisson(mean)).collect();
            let found = counts.iter().sum::<f64>() / 1e5;
            let variance = counts.iter().map(|k| (k - found) * (k - found)).sum::<f64>() / 1e5;
            // Five standard errors of the mean; the variance's is about mean · √(2 / 100 000).
            assert!((found - mean).abs() < 5.0 * (mean / 1e5).sqrt(), "{mean}: {found}");
            assert!((variance / mean - 1.0).abs() < 0.03, "{mean}: {variance}");
            for k in [mean.floor(), (mean + mean.sqrt()).floor(), (mean - mean.sqrt()).floor()] {
                let expected = if k < 0.0 { 0.0 } else { libm::exp(special::ln_poisson(k, mean)) };
                let share = counts.iter().filter(|count| **count == k).count() as f64 / 1e5;
                let error = (expected * (1.0 - expected) / 1e5).sqrt();
                assert!(
                    (share - expected).abs() <= 5.0 * error,
                    "{mean}, {k}: {share}, {expected}"
                );
            }
        }
    }

    #[test]
    fn binomial_counts_are_as_frequent_as_they_should_be() {
        for (trials, share) in [(5, 0.3), (33, 0.5), (70, 0.02), (1000, 0.9), (1_000_000_000, 0.25)]
        {
            let mut stream = stream(Entity::World, "binomial");
            let counts: Vec<u64> = (0..100_000).map(|_| stream.binomial(trials, share)).collect();
            let n = trials as f64;
            let found = counts.iter().sum::<u64>() as f64 / 1e5;
            let squares = counts.iter().map(|k| (*k as f64 - found).powi(2)).sum::<f64>() / 1e5;
            let variance = n * share * (1.0 - share);
            // Five standard errors of the mean; the variance's is about √(2 / 100 000) of it, and a few times that for rare ones.
            assert!((found - n * share).abs() < 5.0 * (variance / 1e5).sqrt(), "{trials}: {found}");
            assert!((squares / variance - 1.0).abs() < 0.04, "{trials}: {squares}");
            // Quantiles of the counts, as places to hold both against each other.
            let mut sorted = counts.clone();
            sorted.sort_unstable();
            for k in [sorted[15_000], sorted[50_000], sorted[85_000]] {
                let expected = special::binomial_upper(trials, k, share, 1.0 - share);
                let hits = counts.iter().filter(|count| **count >= k).count();
                let error = (expected * (1.0 - expected) / 1e5).sqrt();
                let found = hits as f64 / 1e5;
                assert!(
                    (found - expected).abs() <= 5.0 * error,
                    "{trials}, {k}: {found}, {expected}"
                );
            }
        }
        let mut stream = stream(Entity::World, "ends");
        for trials in [0, 1, 40, u64::from(u32::MAX)] {
            assert_eq!((stream.binomial(trials, 0.0), stream.binomial(trials, 1.0)), (0, trials));
        }
    }

    #[test]
    fn delays_have_their_mean_and_variance() {
        let mean = Duration::from_secs(2);
        for shape in [0.5, 1.0, 4.0] {
            let mut stream = stream(Entity::World, "gamma");
            let (found, variance) = moments(100_000, || stream.gamma(mean, shape));
            // Standard error of the mean at most 0.009, that of the variance at most 0.1.
            assert!((found - 2.0).abs() < 0.05, "shape {shape}: mean {found}");
            assert!((variance - 4.0 / shape).abs() < 0.5, "shape {shape}: variance {variance}");
        }
        let mut stream = stream(Entity::World, "exponential");
        let (found, variance) = moments(100_000, || stream.exponential(mean));
        assert!((found - 2.0).abs() < 0.05 && (variance - 4.0).abs() < 0.3);
    }
}
