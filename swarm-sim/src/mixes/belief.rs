//! The adversary's posterior over which arrival a leaving message is.
//!
//! Each view has a type that is told what the adversary sees, and answers with the exact posterior's entropies. Whoever
//! simulates never weighs, and nothing here knows which message it was, but to say how surprising the truth is.

mod ages;
mod rounds;
mod stayed;

use core::f64::consts::LN_2;

pub(super) use ages::Ages;
pub(super) use rounds::Rounds;
pub(super) use stayed::Stayed;

/// What the adversary concludes about one leaving message, in bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    /// Shannon entropy of the posterior.
    pub(super) shannon: f64,
    /// Min-entropy: −log2 of the likeliest arrival's probability.
    pub(super) min_entropy: f64,
    /// −log2 of the true arrival's probability. Its mean is that of `shannon` if the posterior is right.
    pub(super) surprisal: f64,
}

/// All of so many messages are equally likely.
pub(super) fn uniform(inside: u64) -> Belief {
    let bits = libm::log2(inside as f64);
    Belief { shannon: bits, min_entropy: bits, surprisal: bits }
}

/// An arrival that the leaving message may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// What its posterior probability is proportional to.
    pub(super) weight: f64,
    /// The natural logarithm of the weight.
    ln: f64,
}

/// The entropies of a posterior, where the true arrival's weight has this natural logarithm; `None` if the posterior
/// rules it out.
fn conclude(candidates: impl Iterator<Item = Candidate>, own: f64) -> Option<Belief> {
    let (mut sum, mut logs, mut most) = (0.0, 0.0, f64::NEG_INFINITY);
    for Candidate { weight, ln } in candidates {
        sum += weight;
        logs += weight * ln;
        most = f64::max(most, ln);
    }
    let all = libm::log(sum);
    // Rounding may leave a posterior on one arrival a hair below zero.
    let bits = |nats: f64| nats.max(0.0) / LN_2;
    let belief = Belief {
        shannon: bits(all - logs / sum),
        min_entropy: bits(all - most),
        surprisal: bits(all - own),
    };
    (sum > 0.0 && own.is_finite()).then_some(belief)
}
