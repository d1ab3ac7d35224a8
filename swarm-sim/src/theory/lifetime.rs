//! Samples of the time until a store has lost all copies, at a cost that does not grow with that time.
//!
//! The chain of live copies moves by one at a time, so what it does between two levels is known from how often it
//! crosses each: given the crossings above a level, those below it are a negative binomial number, and the time spent there
//! a gamma variable. One sample takes a few draws for each copy, however long the store lives.

use super::chain::Copies;
use super::forms;
use super::params::Args;
use super::sample::{chance, honest_picks};
use crate::stream::Stream;

/// Sum of `count` independent exponential times of mean 1; nothing for none, endless for endlessly many.
fn sum_of_times(count: f64, stream: &mut Stream) -> f64 {
    if count >= 1.0 && count.is_finite() { stream.gamma_from_one(count) } else { count }
}

/// Trials of odds `odds` : 1 that come out the first way before `others` come out the second.
fn before(others: f64, odds: f64, stream: &mut Stream) -> f64 {
    if others <= 0.0 || odds <= 0.0 {
        return 0.0;
    }
    let mean = sum_of_times(others, stream) * odds;
    if mean.is_finite() { stream.poisson(mean) } else { f64::INFINITY }
}

/// The time of one chain to the loss of all copies.
///
/// From the bottom: the step from one copy to none is taken once, so steps from k up are a negative binomial number given
/// the steps from k down, and as many more steps come down from k + 1.
pub(super) fn mttdl(args: &Args, stream: &mut Stream) -> f64 {
    let Ok(copies) = forms::copies(args) else { return 0.0 };
    let (mut down, mut time) = (1.0, 0.0);
    for live in 1..=copies.size {
        let (fall, rise) = (copies.down(live), copies.up(live));
        let up = before(down, rise / fall, stream);
        time += sum_of_times(down + up, stream) / (fall + rise);
        down = 1.0 + up;
    }
    time
}

/// The excursions of a chain from all copies live to all live again, or to none.
#[derive(Debug)]
struct Cycle {
    copies: Copies,
    /// Probability that an excursion ends in the loss.
    loss: f64,
    /// For each number of live copies below all: the probability that the next step is down, given that the excursion ends
    /// in the loss.
    falls: Vec<f64>,
    /// The odds of down to up there, given that it does not.
    odds: Vec<f64>,
}

impl Cycle {
    /// Conditions the chain on either end (Doob's transform). With r(k) = down(k) / up(k), both chances of an end are sums of
    /// products of r; q and v below are ratios of their terms, so that nothing is subtracted or overflows.
    fn new(copies: Copies) -> Self {
        let levels = copies.size as usize;
        let (mut falls, mut odds) = (vec![1.0; levels], vec![0.0; levels]);
        let mut loss = 1.0;
        let ratio = |live| copies.down(live) / copies.up(live);
        let mut q = 1.0;
        for live in (1..copies.size).rev() {
            let (down, up, r) = (copies.down(live), copies.up(live), ratio(live));
            if up <= 0.0 {
                continue;
            }
            falls[live as usize] = (up * q + down) / (up + down);
            loss *= 1.0 / (1.0 + q / r);
            q = q / (q + r);
        }
        let (mut v, mut rest) = (1.0, 0.0);
        for live in 1..copies.size {
            let (down, up, r) = (copies.down(live), copies.up(live), ratio(live));
            if up <= 0.0 {
                continue;
            }
            odds[live as usize] = down * rest / (up + down * v);
            rest = 1.0 / (1.0 + r * v);
            v = 1.0 / (1.0 + 1.0 / (r * v));
        }
        Self { copies, loss, falls, odds }
    }

    /// The time that `count` excursions take which end with all copies live, those with all live included.
    fn returns(&self, count: f64, stream: &mut Stream) -> f64 {
        let mut time = sum_of_times(count, stream) / self.copies.down(self.copies.size);
        let mut entries = count;
        for live in (1..self.copies.size).rev() {
            if entries <= 0.0 {
                break;
            }
            let down = before(entries, self.odds[live as usize], stream);
            if !down.is_finite() {
                return f64::INFINITY;
            }
            let rate = self.copies.down(live) + self.copies.up(live);
            time += sum_of_times(entries + down, stream) / rate;
            entries = down;
        }
        time
    }

    /// The probability of one excursion's jumps to come within `left`, each drawn so that it does: the weight of an excursion
    /// that ends in the loss.
    fn last(&self, mut left: f64, stream: &mut Stream) -> f64 {
        let (mut weight, mut live) = (1.0, self.copies.size);
        while live > 0 && weight > 0.0 {
            let rate = self.copies.down(live) + self.copies.up(live);
            let within = -libm::expm1(-rate * left);
            weight *= within;
            left = (left + libm::log1p(-stream.unit() * within) / rate).max(0.0);
            let falls = self.falls.get(live as usize).is_none_or(|falls| chance(*falls, stream));
            live = if falls { live - 1 } else { live + 1 };
        }
        weight
    }
}

/// A chain over some time; the mean of weights is the probability of its end (importance sampling, unbiased).
///
/// Excursions that end with all copies live are a geometric number N before the one that ends in the loss. N is drawn with
/// a mean of no more than the excursions that `time` has room for, so that a rare loss is seen in every sample; the weight
/// is the ratio of both probabilities of N. The last excursion's jumps are forced to come in time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loss {
    copies: Copies,
    time: f64,
}

impl Loss {
    pub(super) fn of(args: &Args) -> Self {
        let nothing = Copies { size: 1, fail: 0.0, repair: 0.0, parallel: true };
        let copies = forms::copies(args).unwrap_or(nothing);
        Self { copies, time: args.real("time") }
    }

    /// Excursions that the time has room for, in the mean.
    fn room(&self) -> f64 {
        self.copies.down(self.copies.size) * self.time
    }

    /// The probability with which an excursion is drawn to end in the loss.
    fn drawn(&self, cycle: &Cycle) -> f64 {
        cycle.loss.max((1.0 + self.room()).recip())
    }

    /// How much likelier in truth so many returns and a loss are than when they are drawn.
    fn ratio(&self, cycle: &Cycle, returns: f64) -> f64 {
        let drawn = self.drawn(cycle);
        if drawn <= cycle.loss {
            return 1.0;
        }
        let each = libm::log1p(-cycle.loss) - libm::log1p(-drawn);
        cycle.loss / drawn * libm::exp(returns * each)
    }

    pub(super) fn weight(&self, stream: &mut Stream) -> f64 {
        if self.room() <= 0.0 {
            return 0.0;
        }
        let cycle = Cycle::new(self.copies);
        let returns = honest_picks(self.drawn(&cycle), stream);
        let left = self.time - cycle.returns(returns, stream);
        if left.is_nan() || left <= 0.0 {
            return 0.0;
        }
        self.ratio(&cycle, returns) * cycle.last(left, stream)
    }

    /// About the largest weight: as many returns as there is room for, and then the shortest way down with all the time left.
    pub(super) fn most(&self) -> f64 {
        if self.room() <= 0.0 {
            return 0.0;
        }
        let cycle = Cycle::new(self.copies);
        let within = |live| {
            let rate = self.copies.down(live) + self.copies.up(live);
            -libm::expm1(-rate * self.time)
        };
        let descent: f64 = (1..=self.copies.size).map(within).product();
        self.ratio(&cycle, self.room().floor()) * descent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excursions_end_as_often_as_steps_say() {
        let copies = Copies { size: 4, fail: 1.0, repair: 0.7, parallel: true };
        // From 3 live copies: solved by hand as h(k) = (γ_k + … + γ_3) / (γ_0 + … + γ_3), γ_k the product of
        // down/up up to k: γ = 1, 1/2.1, 2/1.4 · 1/2.1, 3/0.7 · 2/1.4 · 1/2.1.
        let gamma = [1.0, 1.0 / 2.1, 2.0 / 1.4 / 2.1, 3.0 / 0.7 * 2.0 / 1.4 / 2.1];
        let expected = gamma[3] / gamma.iter().sum::<f64>();
        let found = Cycle::new(copies);
        assert!((found.loss / expected - 1.0).abs() < 1e-12, "{} is not {expected}", found.loss);
        // A conditioned chain's step down from 2: h(1) / h(2) · 2 / (2 + 1.4).
        let down = (gamma[1] + gamma[2] + gamma[3]) / (gamma[2] + gamma[3]) * 2.0 / 3.4;
        assert!((found.falls[2] / down - 1.0).abs() < 1e-12);
        // And given the return: the odds are 2 (1 − h(1)) / (1.4 (1 − h(3))).
        let odds = 2.0 * gamma[0] / (1.4 * (gamma[0] + gamma[1] + gamma[2]));
        assert!((found.odds[2] / odds - 1.0).abs() < 1e-12);
        assert_eq!(found.odds[1], 0.0);
    }

    #[test]
    fn chain_without_repair_never_returns() {
        for copies in [
            Copies { size: 3, fail: 2.0, repair: 0.0, parallel: false },
            Copies { size: 1, fail: 2.0, repair: 5.0, parallel: true },
        ] {
            let cycle = Cycle::new(copies);
            assert_eq!((cycle.loss, cycle.falls.iter().all(|falls| *falls == 1.0)), (1.0, true));
        }
    }
}
