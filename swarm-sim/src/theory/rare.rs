//! Importance sampling of probabilities that are too small to be hit by chance.
//!
//! A swarm, quorum, path or set of copies is drawn member after member, each marked (malicious, gone, up) with a tilted probability
//! that makes the event common, whoever was drawn before. The weight is the probability of these members by the true
//! law over that by the tilted one, and 0 where the event does not happen; its mean is the probability sought, whatever the tilt.
//! Members can be exchanged under both laws, so the weight depends on the number of marked ones only, and is largest where
//! the event just happens: Siegmund, "Importance sampling in the Monte Carlo study of sequential tests", 1976; Asmussen, Glynn,
//! Stochastic Simulation, 2007.

use super::forms;
use super::params::Args;
use super::sample::chance;
use crate::stats;
use crate::stream::Stream;

/// Below this closed form's value samples are weighted: ten thousand others would be expected to hit it less than once.
pub(super) const RARE: f64 = 1e-4;

/// Members of which enough have to be marked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members {
    law: Law,
    size: u64,
    at_least: u64,
}

/// How members are marked in truth.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// They are different nodes, of which some are marked.
    Urn { nodes: u64, marked: u64 },
    /// Each alone, with this probability; `rest` is one minus it.
    Alone { marked: f64, rest: f64 },
}

/// A sum of samples' weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) samples: u64,
    pub(super) mean: f64,
    /// Sum of squared differences from the mean.
    pub(super) squares: f64,
}

impl Members {
    /// The probability with which members are marked when they are drawn: that of the least event, but never certain, so that
    /// an interval can come from the samples.
    fn tilt(&self) -> f64 {
        (self.at_least as f64).min(self.size as f64 - 0.5) / self.size as f64
    }

    /// The weight of members of which this says, one after the other, whether they are marked.
    fn weight_of(&self, mut is_marked: impl FnMut() -> bool) -> f64 {
        let tilt = self.tilt();
        let (ln_tilt, ln_rest) = (libm::log(tilt), libm::log1p(-tilt));
        let (mut law, mut hits, mut ln) = (self.law, 0, 0.0);
        for left in (0..self.size).rev() {
            let is_hit = is_marked();
            hits += u64::from(is_hit);
            if hits + left < self.at_least {
                return 0.0;
            }
            let share = law.draw(is_hit);
            if share <= 0.0 {
                return 0.0;
            }
            ln += libm::log(share) - if is_hit { ln_tilt } else { ln_rest };
        }
        libm::exp(ln)
    }

    /// Draws members; their weight.
    pub(super) fn weight(&self, stream: &mut Stream) -> f64 {
        let tilt = self.tilt();
        self.weight_of(|| chance(tilt, stream))
    }

    /// The largest weight: no more members marked than needed, and those first.
    fn most(&self) -> f64 {
        let mut left = self.at_least;
        self.weight_of(|| {
            let is_hit = left > 0;
            left = left.saturating_sub(1);
            is_hit
        })
    }

    /// The 95 % interval: Student's, its lower end as if one more sample had missed the event, its upper end as if one more
    /// had the largest weight. With many samples that is nothing; few, which may all have missed or weigh the same, are
    /// kept from feigning certainty.
    pub(super) fn interval(&self, weights: &Weights) -> (f64, f64) {
        let with = |value: f64| {
            let (n, off) = (weights.samples as f64, value - weights.mean);
            let squares = weights.squares + off * off * n / (n + 1.0);
            (weights.mean + off / (n + 1.0), stats::student_half(squares, weights.samples + 1))
        };
        let ((low, below), (high, above)) = (with(0.0), with(self.most()));
        ((low - below).max(0.0), high + above)
    }
}

impl Law {
    /// The probability that the next member is of this kind; it is then drawn.
    fn draw(&mut self, is_marked: bool) -> f64 {
        match self {
            Self::Urn { nodes, marked } => {
                let of_kind = if is_marked { *marked } else { *nodes - *marked };
                if of_kind == 0 {
                    return 0.0;
                }
                let share = of_kind as f64 / *nodes as f64;
                *nodes -= 1;
                *marked -= u64::from(is_marked);
                share
            }
            Self::Alone { marked, rest } => {
                if is_marked {
                    *marked
                } else {
                    *rest
                }
            }
        }
    }
}

fn urn(args: &Args, marked: u64, size: u64, at_least: u64) -> Members {
    Members { law: Law::Urn { nodes: args.count("nodes"), marked }, size, at_least }
}

pub(super) fn path_all_hops(args: &Args) -> Members {
    let hops = args.count("hops");
    urn(args, args.count("malicious"), hops, hops)
}

pub(super) fn path_both_ends(args: &Args) -> Members {
    // Whichever two of the hops: they are drawn like the first two.
    urn(args, args.count("malicious"), 2, 2)
}

pub(super) fn capture(args: &Args) -> Members {
    urn(args, args.count("malicious"), args.count("size"), args.count("at_least"))
}

pub(super) fn burst_loss(args: &Args) -> Members {
    let size = args.count("size");
    urn(args, forms::lost(args), size, size)
}

pub(super) fn swarm_availability(args: &Args) -> Members {
    let up = args.decimal("availability");
    let law = Law::Alone { marked: up.value(), rest: up.complement() };
    Members { law, size: args.count("size"), at_least: args.count("at_least") }
}

pub(super) fn loss_without_repair(args: &Args) -> Members {
    let (size, lives) = (args.count("size"), args.real("time") / args.real("mean_life"));
    let law = Law::Alone { marked: -libm::expm1(-lives), rest: libm::exp(-lives) };
    Members { law, size, at_least: size }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::hypergeometric;

    #[test]
    fn weights_times_their_frequency_sum_to_the_law() {
        // 4 or more of 6 drawn from 20 with 5 marked: each number of marks x is drawn by a binomial law with tilt 4 / 6.
        let members = Members { law: Law::Urn { nodes: 20, marked: 5 }, size: 6, at_least: 4 };
        for (hits, ways) in [(3, 20.0), (4, 15.0), (5, 6.0), (6, 1.0)] {
            let mut left = hits;
            let weight = members.weight_of(|| {
                let is_hit = left > 0;
                left -= i32::from(is_hit);
                is_hit
            });
            let (hit, miss) = (2.0f64 / 3.0, 1.0f64 / 3.0);
            let drawn = ways * hit.powi(hits) * miss.powi(6 - hits);
            let hits = u64::try_from(hits).unwrap();
            let exact = if hits < 4 { 0.0 } else { hypergeometric(20, 5, 6, hits) };
            assert!((weight * drawn - exact).abs() <= 1e-13 * exact, "{hits}: {weight}");
        }
    }

    #[test]
    fn interval_is_never_a_point() {
        let members = Members { law: Law::Urn { nodes: 2000, marked: 20 }, size: 7, at_least: 7 };
        let exact = crate::special::hypergeometric_upper(2000, 20, 7, 7);
        let of = |samples: u64, hits: u64, each: f64| {
            let (n, hits) = (samples as f64, hits as f64);
            let (mean, squares) = (each * hits / n, each * each * hits * (n - hits) / n);
            members.interval(&Weights { samples, mean, squares })
        };
        // Every hit weighs the same: the probability over that of drawing it, (6.5 / 7)^7.
        let each = members.most();
        assert!((each * libm::pow(6.5 / 7.0, 7.0) / exact - 1.0).abs() < 1e-12);
        for (samples, hits) in [(2, 0), (2, 2), (4, 4), (50, 30)] {
            let (low, high) = of(samples, hits, each);
            assert!(low < exact && exact < high, "{samples} {hits}: {low} {high} {exact}");
        }
    }
}
