//! A view of all departures, but not of whose they were.

use std::collections::VecDeque;

use super::{Belief, Candidate, conclude};

/// Probabilities below e^−40 are forgotten.
const FORGET: f64 = -40.0;

#[derive(Clone, Copy, Debug)]
struct Seen {
    /// `Stayed::passed` when it arrived.
    passed: f64,
    /// The probability that it is still inside.
    stays: f64,
}

/// All arrivals, with the probability that each is still inside one mix with exponential delays.
///
/// The density of every way to match arrivals with later departures is e^−(all time inside), which is the same for all
/// of them. So, whatever happened before or will happen, a departure is any of the n messages inside with probability
/// 1/n; an arrival of which it is uncertain whether it is inside stays there with a probability that each departure
/// multiplies by 1 − 1/n.
#[derive(Debug, Default)]
pub(in crate::mixes) struct Stayed {
    seen: VecDeque<Seen>,
    /// The number of the oldest arrival in `seen`.
    oldest: u64,
    /// Arrivals less departures.
    inside: u64,
    /// Σ ln(1 − 1/n) over departures since the mix was last empty.
    passed: f64,
}

impl Stayed {
    /// The next arrival.
    pub(in crate::mixes) fn arrive(&mut self) {
        self.inside += 1;
        self.seen.push_back(Seen { passed: self.passed, stays: 1.0 });
    }

    /// All arrivals that may be inside.
    pub(in crate::mixes) fn candidates(&self) -> impl Iterator<Item = Candidate> {
        let of = |seen: &Seen| Candidate { weight: seen.stays, ln: self.passed - seen.passed };
        self.seen.iter().map(of)
    }

    /// What is concluded about a message that leaves and in truth was that arrival, counted from 0; `None` if the
    /// posterior rules that out.
    pub(in crate::mixes) fn belief(&mut self, number: u64) -> Option<Belief> {
        let place = usize::try_from(number.checked_sub(self.oldest)?).ok()?;
        let own = self.passed - self.seen.get(place)?.passed;
        let belief = conclude(self.candidates(), own);
        self.depart();
        belief
    }

    fn depart(&mut self) {
        let share = 1.0 - (self.inside as f64).recip();
        self.inside -= 1;
        if self.inside == 0 {
            self.oldest += self.seen.len() as u64;
            self.seen.clear();
            self.passed = 0.0;
            return;
        }
        self.passed += libm::log(share);
        while self.seen.front().is_some_and(|oldest| self.passed - oldest.passed < FORGET) {
            self.seen.pop_front();
            self.oldest += 1;
        }
        for seen in &mut self.seen {
            seen.stays *= share;
        }
    }
}
