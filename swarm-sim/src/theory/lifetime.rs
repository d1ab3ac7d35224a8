//! Samples of the time until a store has lost all copies, at a cost that does not grow with that time.
//!
//! The chain of live copies moves by one at a time, so what it does between two levels is known from how often it
//! crosses each: given the crossings above a level, those below it are a negative binomial number, and the time spent there
//! a gamma variable. One sample takes a few draws for each copy, however long the store lives.
//!
//! A loss in less than the mean time is drawn from the chain whose paths are as likely as in truth times e^(−sT), T being
//! their time and s chosen so that the mean of T is the time asked for. That is again a chain of the same form, and the weight
//! is e^(sT) times the transform E[e^(−sT)], or 0 where T is longer than the time asked for: exponential tilting, Siegmund 1976.

use super::chain::Copies;
use super::forms;
use super::params::Args;
use super::rare::NEVER;
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

/// What the chain does with a number of live copies.
#[derive(Clone, Copy, Debug)]
struct Level {
    /// Steps up for one step down, in the mean.
    odds: f64,
    /// Steps in a unit of time.
    rate: f64,
}

/// The chain from all copies live to none, its paths weighted by e^(−sT).
#[derive(Clone, Debug)]
struct Tilted {
    /// From one live copy to all.
    levels: Vec<Level>,
    slope: f64,
    /// Logarithm of E[e^(−sT)].
    ln_transform: f64,
}

impl Tilted {
    /// Let ρ(k) be E[e^(−st)] over the time t from k live copies to k − 1. From the first step,
    /// ρ(k) = down(k) / (down(k) + up(k) (1 − ρ(k + 1)) + s), and 1 − ρ(k) is the rest of that sum over the whole: all terms
    /// are positive. Weighted so, steps up and down are as up(k) ρ(k + 1) to down(k) / ρ(k), at a rate of down(k) + up(k) + s.
    fn new(copies: Copies, slope: f64) -> Self {
        let (mut pass, mut rest, mut ln_transform) = (1.0, 0.0, 0.0);
        let mut levels: Vec<Level> = (1..=copies.size)
            .rev()
            .map(|live| {
                let (down, up) = (copies.down(live), copies.up(live));
                let late = up * rest + slope;
                let level = Level { odds: up * pass / (down + late), rate: down + up + slope };
                (pass, rest) = (down / (down + late), late / (down + late));
                ln_transform -= libm::log1p(late / down);
                level
            })
            .collect();
        levels.reverse();
        Self { levels, slope, ln_transform }
    }

    /// The mean time to the loss.
    fn mean(&self) -> f64 {
        let (mut down, mut time) = (1.0, 0.0);
        for level in &self.levels {
            // Endlessly many steps, as numbers go, are none where there are none.
            let up = if level.odds > 0.0 { down * level.odds } else { 0.0 };
            time += (down + up) / level.rate;
            down = 1.0 + up;
        }
        time
    }

    /// The chain whose mean time to the loss is `time`, or the true one where its mean is not above `time`.
    fn within(copies: Copies, time: f64) -> Self {
        let is_late = |slope| Self::new(copies, slope).mean() > time;
        if !is_late(0.0) {
            return Self::new(copies, 0.0);
        }
        let mut most = f64::from(copies.size) / time;
        while most.is_finite() && is_late(most) {
            most *= 2.0;
        }
        let (mut low, mut high) = (0.0, most.min(f64::MAX));
        // A slope that is some way off makes weights vary some more; it does not bias them.
        for _ in 0..60 {
            let middle = low + (high - low) / 2.0;
            if is_late(middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self::new(copies, high)
    }

    /// The time of one chain to the loss.
    ///
    /// From the bottom: the step from one copy to none is taken once, so steps from k up are a negative binomial number given
    /// the steps from k down, and as many more steps come down from k + 1.
    fn time(&self, stream: &mut Stream) -> f64 {
        let (mut down, mut time) = (1.0, 0.0);
        for level in &self.levels {
            let up = before(down, level.odds, stream);
            time += sum_of_times(down + up, stream) / level.rate;
            down = 1.0 + up;
        }
        time
    }

    /// How much likelier than here a path of so long a time is in truth, as a logarithm.
    fn ln_weight(&self, time: f64) -> f64 {
        self.slope * time + self.ln_transform
    }
}

/// The time of one chain to the loss of all copies.
pub(super) fn mttdl(args: &Args, stream: &mut Stream) -> f64 {
    forms::copies(args).map_or(0.0, |copies| Tilted::new(copies, 0.0).time(stream))
}

/// A loss within some time; the mean of weights is its probability (importance sampling, unbiased).
#[derive(Clone, Debug)]
pub(super) struct Loss {
    chain: Tilted,
    time: f64,
}

impl Loss {
    /// Nothing where copies never fail or there is no time.
    pub(super) fn of(args: &Args) -> Option<Self> {
        let (copies, time) = (forms::copies(args).ok()?, args.real("time"));
        (time > 0.0 && copies.fail > 0.0)
            .then(|| Self { chain: Tilted::within(copies, time), time })
    }

    /// Draws once; the logarithm of the weight.
    pub(super) fn ln_weight(&self, stream: &mut Stream) -> f64 {
        let time = self.chain.time(stream);
        if time <= self.time { self.chain.ln_weight(time) } else { NEVER }
    }

    /// That of the largest weight: of a loss at the very end.
    pub(super) fn ln_most(&self) -> f64 {
        self.chain.ln_weight(self.time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COPIES: Copies = Copies { size: 4, fail: 1.0, repair: 0.7, parallel: true };

    /// E[e^(−st)] from each number of live copies to none, by elimination in (down + up + s) h(k) = down h(k − 1) + up h(k + 1).
    fn transforms(copies: Copies, slope: f64) -> Vec<f64> {
        let size = copies.size as usize;
        let mut rows: Vec<Vec<f64>> = (1..=copies.size)
            .map(|live| {
                let (down, up, at) = (copies.down(live), copies.up(live), live as usize - 1);
                let mut row = vec![0.0; size + 1];
                row[at] = down + up + slope;
                if at > 0 {
                    row[at - 1] = -down;
                } else {
                    row[size] = down;
                }
                if at + 1 < size {
                    row[at + 1] = -up;
                }
                row
            })
            .collect();
        for at in 0..size {
            let pivot = rows[at].clone();
            for (other, row) in rows.iter_mut().enumerate() {
                if other != at {
                    let share = row[at] / pivot[at];
                    row.iter_mut().zip(&pivot).for_each(|(entry, of)| *entry -= share * of);
                }
            }
        }
        rows.iter().enumerate().map(|(at, row)| row[size] / row[at]).collect()
    }

    #[test]
    fn tilted_chain_is_that_of_transforms() {
        for slope in [0.0, 0.3, 20.0] {
            let tilted = Tilted::new(COPIES, slope);
            let mut h = transforms(COPIES, slope);
            assert!((tilted.ln_transform - h[3].ln()).abs() < 1e-12, "{slope}");
            h.insert(0, 1.0);
            for (live, copies) in (1..4_usize).zip(1..) {
                let (down, up) = (COPIES.down(copies), COPIES.up(copies));
                let level = tilted.levels[live - 1];
                let odds = up * h[live + 1] / (down * h[live - 1]);
                assert!((level.odds / odds - 1.0).abs() < 1e-12, "{slope}, {live}");
                assert_eq!(level.rate, down + up + slope);
            }
            assert_eq!(tilted.levels[3].odds, 0.0);
        }
    }

    #[test]
    fn mean_time_of_tilted_chain_is_the_transforms_slope() {
        assert!((Tilted::new(COPIES, 0.0).mean() / COPIES.mean_time() - 1.0).abs() < 1e-12);
        let at = |slope| Tilted::new(COPIES, slope).ln_transform;
        let mean = Tilted::new(COPIES, 2.0).mean();
        assert!((mean - (at(1.999) - at(2.001)) / 0.002).abs() < 1e-6, "{mean}");
    }

    #[test]
    fn chain_is_tilted_until_its_mean_is_the_time_asked_for() {
        for time in [1e-9, 0.01, 1.0] {
            let mean = Tilted::within(COPIES, time).mean();
            assert!((mean / time - 1.0).abs() < 1e-9, "{time}: {mean}");
        }
        let true_mean = COPIES.mean_time();
        assert_eq!(Tilted::within(COPIES, 1.0001 * true_mean).slope, 0.0);
        assert!(Tilted::within(COPIES, 0.9999 * true_mean).slope > 0.0);
        // A mean time that no number holds.
        let lasting = Copies { size: 100, fail: 1e-9, repair: 1.0, parallel: true };
        assert_eq!(Tilted::new(lasting, 0.0).mean(), f64::INFINITY);
        let mean = Tilted::within(lasting, 1000.0).mean();
        assert!((mean / 1000.0 - 1.0).abs() < 1e-9, "{mean}");
    }

    #[test]
    fn loss_at_the_end_weighs_most_and_a_later_one_nothing() {
        let mut stream = crate::stream::Streams::new(1, "weights", 0)
            .stream(crate::stream::Entity::World, "weights");
        let loss = Loss { chain: Tilted::within(COPIES, 0.1), time: 0.1 };
        let weights: Vec<f64> = (0..1000).map(|_| loss.ln_weight(&mut stream)).collect();
        let most = weights.iter().fold(NEVER, |most: f64, weight| most.max(*weight));
        assert!(most <= loss.ln_most() && most > loss.ln_most() - 0.1);
        assert!(weights.iter().filter(|weight| **weight == NEVER).count() > 300);
    }
}
