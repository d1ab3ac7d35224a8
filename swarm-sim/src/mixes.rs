//! Mixes: for each message that leaves, what an adversary can tell about which one it is.
//!
//! Messages of distinct senders arrive as a Poisson process. A threshold mix holds a batch and lets all go; a pool mix
//! keeps some of them for later rounds; a Poisson mix, or a cascade of some, delays each by itself. The adversary knows
//! the mix and its settings, sees what [`View`](crate::scenario::View) says, and works out the exact posterior over
//! all arrivals: for the message that leaves, not for users who did not send. Its entropies are taken message by
//! message; nothing is averaged before.
//!
//! Not here: loss, links with latency, senders of several messages, cover, and an adversary that sends or blocks.
//! The closed forms that runs are held against stand in [`theory`](crate::theory).
//!
//! # Invariants
//!
//! - *Never ruled out*: the arrival that a leaving message is has a posterior probability above zero.
//! - *Steady state*: counted are the first messages that arrive after the warm-up, all of them, however late they leave;
//!   arrivals go on until the last of them has left. So neither the empty start nor the end shows.
//! - *Same events*: what the adversary sees changes what she concludes, and nothing that happens.

mod belief;
mod measure;
mod poisson;
mod pool;
#[cfg(test)]
mod tests;
mod theory;

pub(crate) use measure::merge;
pub(crate) use theory::Theory;

use core::time::Duration;

use crate::run::Outcome;
use crate::scenario::{Mix, Mixes};
use crate::stream::{Stream, Streams};
use crate::trace::Trace;
use belief::Belief;
use measure::Measures;

/// Why a simulation was given up: a promise was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MixesError {
    /// The adversary's posterior gives no probability to what was so.
    #[error("the posterior of message {message} rules out that it is itself")]
    RuledOut {
        /// The message, numbered as it arrived.
        message: u64,
    },
}

/// Runs one replicate. Its events are arrivals and departures, of each hop; the digest holds them with what the
/// adversary concludes.
pub(crate) fn run(mixes: &Mixes, streams: &Streams) -> Result<Outcome<Measures>, MixesError> {
    let mut trace = Trace::new();
    let records = match mixes.mix {
        Mix::Threshold { n } => pool::run(mixes, n, 0, streams, &mut trace),
        Mix::Pool { enter, kept } => pool::run(mixes, enter, kept, streams, &mut trace),
        Mix::Poisson { mean_delay, hops, view } => {
            let settings = poisson::Settings { mean_delay, hops, view };
            poisson::run(mixes, settings, streams, &mut trace)?
        }
    };
    let events = trace.events();
    Ok(Outcome { digest: trace.finish(), events, measures: Measures::of(records) })
}

/// A message that left.
#[derive(Clone, Copy, Debug)]
struct Record {
    /// Its number, counted from 0 as messages arrive.
    number: u64,
    /// When it arrived, in nanoseconds.
    arrived: u64,
    /// When it left, in nanoseconds.
    left: u64,
    /// Messages inside as it left, itself counted.
    inside: u64,
    /// What the adversary concludes.
    belief: Belief,
}

/// An exponential time with this mean, in nanoseconds.
fn exponential(mean: f64, stream: &mut Stream) -> Duration {
    let seconds = mean * 1e-9 * -libm::log(stream.unit());
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Takes note of an arrival.
fn note_arrival(trace: &mut Trace, number: u64, at: u64) {
    trace.event(&[&[0], &number.to_le_bytes(), &at.to_le_bytes()]);
}

/// Takes note of a departure, with what the adversary concludes if it counts.
fn note_departure(trace: &mut Trace, number: u64, at: u64, belief: Option<Belief>) {
    let bits = belief
        .map(|belief| [belief.shannon, belief.min_entropy, belief.surprisal].map(f64::to_le_bytes));
    let bits = bits.as_ref().map_or(&[][..], |bits| bits.as_flattened());
    trace.event(&[&[1], &number.to_le_bytes(), &at.to_le_bytes(), bits]);
}
