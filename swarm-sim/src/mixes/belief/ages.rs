//! A view of one departure.

use std::collections::VecDeque;

use super::{Belief, Candidate, conclude};
use crate::scenario::memory;

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: u64,
    /// e^−age at the time that ages are reckoned at.
    fade: f64,
}

/// All arrivals, and the posterior of one departure, whose time is all that is seen of departures.
///
/// A delay through h hops, in mean delays of one, has the density a^(h−1) e^−a / (h−1)!, which is the weight of an
/// arrival of age a. Arrivals older than [`memory`] weigh less than e^−40 of all together, and are forgotten.
#[derive(Debug)]
pub(in crate::mixes) struct Ages {
    hops: u32,
    mean: f64,
    memory: f64,
    seen: VecDeque<Seen>,
    reckoned: u64,
}

impl Ages {
    /// For so many hops with this mean delay each, in nanoseconds.
    pub(in crate::mixes) fn new(hops: u32, mean: f64) -> Self {
        let memory = f64::from(memory(hops));
        Self { hops, mean, memory, seen: VecDeque::new(), reckoned: 0 }
    }

    /// From `earlier` to `later`, in mean delays.
    fn age(&self, earlier: u64, later: u64) -> f64 {
        later.saturating_sub(earlier) as f64 / self.mean
    }

    /// An arrival.
    pub(in crate::mixes) fn arrive(&mut self, now: u64) {
        self.reckon(now);
        self.seen.push_back(Seen { at: now, fade: 1.0 });
    }

    /// Moves on to `now`, and forgets what is too old.
    fn reckon(&mut self, now: u64) {
        let fade = libm::exp(-self.age(self.reckoned, now));
        self.reckoned = now;
        while let Some(oldest) = self.seen.front() {
            if self.age(oldest.at, now) <= self.memory {
                break;
            }
            self.seen.pop_front();
        }
        for seen in &mut self.seen {
            seen.fade *= fade;
        }
    }

    fn ln(&self, age: f64) -> f64 {
        if self.hops == 1 { -age } else { f64::from(self.hops - 1) * libm::log(age) - age }
    }

    /// All arrivals that count, at the time that was reckoned to last.
    pub(in crate::mixes) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        self.seen.iter().filter_map(|seen| {
            let age = self.age(seen.at, self.reckoned);
            let power = (1..self.hops).fold(1.0, |power, _| power * age);
            let weight = seen.fade * power;
            (weight > 0.0).then(|| Candidate { weight, ln: self.ln(age) })
        })
    }

    /// What is concluded about a message that leaves now and in truth arrived at `arrived`; `None` if the posterior
    /// rules that out.
    pub(in crate::mixes) fn belief(&mut self, now: u64, arrived: u64) -> Option<Belief> {
        self.reckon(now);
        conclude(self.candidates(), self.ln(self.age(arrived, now)))
    }
}
