//! A view of one departure.

use std::collections::VecDeque;

use super::{Belief, Candidate, conclude};
use crate::scenario::memory;

/// Mean delays for which weights are kept as they are: e^100 is far from what floating point ends at.
const RECKON_AFTER: f64 = 100.0;

#[derive(Clone, Copy, Debug)]
struct Seen {
    at: u64,
    /// e^−age at the time that ages are reckoned at: above 1 for a later arrival.
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
        self.move_on(now);
        let fade = libm::exp(self.age(self.reckoned, now));
        self.seen.push_back(Seen { at: now, fade });
    }

    /// Forgets what is too old, and reckons ages anew once in a while.
    fn move_on(&mut self, now: u64) {
        while let Some(oldest) = self.seen.front() {
            if self.age(oldest.at, now) <= self.memory {
                break;
            }
            self.seen.pop_front();
        }
        let since = self.age(self.reckoned, now);
        if since > RECKON_AFTER {
            let fade = libm::exp(-since);
            self.seen.iter_mut().for_each(|seen| seen.fade *= fade);
            self.reckoned = now;
        }
    }

    fn ln(&self, age: f64) -> f64 {
        if self.hops == 1 { -age } else { f64::from(self.hops - 1) * libm::log(age) - age }
    }

    /// All arrivals that count.
    pub(in crate::mixes) fn candidates(&self, now: u64) -> impl Iterator<Item = Candidate> {
        let fade = libm::exp(-self.age(self.reckoned, now));
        self.seen.iter().filter_map(move |seen| {
            let age = self.age(seen.at, now);
            let power = (1..self.hops).fold(1.0, |power, _| power * age);
            let weight = seen.fade * fade * power;
            (weight > 0.0).then(|| Candidate { weight, ln: self.ln(age) })
        })
    }

    /// What is concluded about a message that leaves now and in truth arrived at `arrived`; `None` if the posterior
    /// rules that out.
    pub(in crate::mixes) fn belief(&mut self, now: u64, arrived: u64) -> Option<Belief> {
        self.move_on(now);
        conclude(self.candidates(now), self.ln(self.age(arrived, now)))
    }
}
