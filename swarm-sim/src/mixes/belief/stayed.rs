//! A view of all departures, but not of whose they were.

use std::collections::VecDeque;

use super::{Belief, Candidate, conclude};

/// Probabilities below e^−40 are forgotten.
const FORGET: f64 = -40.0;

/// Weights are scaled anew when their scale falls below this: far from where floating point ends.
const SCALE_MIN: f64 = 1e-100;

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// `Stayed::passed` when it arrived.
    passed: f64,
    /// The probability that it is still inside, over `Stayed::scale`.
    weight: f64,
}

/// All arrivals, with the probability that each is still inside one mix with exponential delays.
///
/// The density of every way to match arrivals with later departures is e^−(all time inside), which is the same for all
/// of them. So, whatever happened before or will happen, a departure is any of the n messages inside with probability
/// 1/n; an arrival of which it is uncertain whether it is inside stays there with a probability that each departure
/// multiplies by 1 − 1/n.
#[derive(Debug)]
pub(in crate::mixes) struct Stayed {
    seen: VecDeque<Seen>,
    /// The number of the oldest arrival in `seen`.
    oldest: u64,
    /// Arrivals less departures.
    inside: u64,
    /// Σ ln(1 − 1/n) over departures since the mix was last empty.
    passed: f64,
    scale: f64,
}

impl Stayed {
    /// An empty mix.
    pub(in crate::mixes) const fn new() -> Self {
        Self { seen: VecDeque::new(), oldest: 0, inside: 0, passed: 0.0, scale: 1.0 }
    }

    /// The next arrival.
    pub(in crate::mixes) fn arrive(&mut self) {
        self.inside += 1;
        self.seen.push_back(Seen { passed: self.passed, weight: self.scale.recip() });
    }

    /// All arrivals that may be inside.
    pub(in crate::mixes) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        let of = |seen: &Seen| Candidate {
            weight: seen.weight * self.scale,
            ln: self.passed - seen.passed,
        };
        self.seen.iter().map(of)
    }

    /// What is concluded about a message that leaves next and in truth was that arrival, counted from 0; `None` if the
    /// posterior rules that out.
    pub(in crate::mixes) fn belief(&self, number: u64) -> Option<Belief> {
        let place = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        let own = self.passed - self.seen.get(place)?.passed;
        conclude(self.candidates(), own)
    }

    /// A departure.
    pub(in crate::mixes) fn depart(&mut self) {
        let stays = 1.0 - (self.inside as f64).recip();
        self.inside = self.inside.saturating_sub(1);
        if self.inside == 0 {
            self.oldest += self.seen.len() as u64;
            self.seen.clear();
            (self.passed, self.scale) = (0.0, 1.0);
            return;
        }
        self.passed += libm::log(stays);
        self.scale *= stays;
        while self.seen.front().is_some_and(|oldest| self.passed - oldest.passed < FORGET) {
            self.seen.pop_front();
            self.oldest += 1;
        }
        if self.scale < SCALE_MIN {
            let scale = self.scale;
            self.seen.iter_mut().for_each(|seen| seen.weight *= scale);
            self.scale = 1.0;
        }
    }
}
