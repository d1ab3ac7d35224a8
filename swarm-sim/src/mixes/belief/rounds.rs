//! Rounds of a pool.

use super::Belief;

/// The posterior of a pool's flush, over all messages that ever entered.
///
/// Of N = in + kept inside, each leaves with the same chance, and each stays with the chance q = kept / N. So a message
/// that leaves is a given one that entered j rounds before with probability q^j / N. The `kept` messages that the pool
/// starts with count as if they had entered with the first round.
#[derive(Clone, Copy, Debug)]
pub(in crate::mixes) struct Rounds {
    /// log2 N.
    all: f64,
    /// −log2 q; 0 where nothing is kept, as nothing is then older.
    back: f64,
    stay: f64,
    /// Rounds so far.
    round: u64,
    /// q^round: the share of the posterior that is on what the pool started with.
    start: f64,
    /// Σ −p log2 p over all that entered in a round.
    entered: f64,
}

impl Rounds {
    /// Before the first round.
    pub(in crate::mixes) fn new(enter: u32, kept: u32) -> Self {
        let inside = f64::from(enter) + f64::from(kept);
        let stay = f64::from(kept) / inside;
        let back = if kept == 0 { 0.0 } else { -libm::log2(stay) };
        Self { all: libm::log2(inside), back, stay, round: 0, start: 1.0, entered: 0.0 }
    }

    /// Another round: all that entered before is one older, so the oldest class is new.
    pub(in crate::mixes) fn advance(&mut self) {
        let class = self.start * (1.0 - self.stay);
        self.entered += class * self.bits(self.round);
        self.start *= self.stay;
        self.round += 1;
    }

    /// −log2 of the probability of a given message that entered `rounds` before.
    fn bits(&self, rounds: u64) -> f64 {
        self.all + rounds as f64 * self.back
    }

    /// What is concluded about a message that leaves in the present round and in truth entered in that of number
    /// `entered`, counted from 1; 0 is what the pool started with.
    pub(in crate::mixes) fn belief(&self, entered: u64) -> Belief {
        let oldest = self.bits(self.round.saturating_sub(1));
        Belief {
            shannon: self.entered + self.start * oldest,
            min_entropy: self.all,
            surprisal: self.bits(self.round.saturating_sub(entered.max(1))),
        }
    }
}
