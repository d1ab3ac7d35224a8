//! What closed forms say about a mix.

use core::f64::consts::LN_2;

use crate::scenario::{Mix, Mixes, View, default_warm_up};
use crate::special;
use crate::theory::Query;

/// Means over leaving messages, and quantiles of the delay, where there is a closed form.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theory {
    /// Bits.
    pub(crate) shannon: Option<f64>,
    /// Bits.
    pub(crate) min_entropy: Option<f64>,
    /// Whether both are the same for all messages.
    pub(crate) is_same_for_all: bool,
    /// Milliseconds.
    pub(crate) delay_mean: Option<f64>,
    /// Milliseconds.
    pub(crate) delay_p50: Option<f64>,
    /// Milliseconds.
    pub(crate) delay_p99: Option<f64>,
}

/// Messages of a replicate beyond a quantile from which its mean over replicates is taken for that of all messages; with
/// fewer it is another number.
const BEYOND: f64 = 20.0;

/// The value of a closed form, if these are possible parameters.
fn closed(name: &str, words: &[String]) -> Option<f64> {
    Query::parse(name, words).ok().and_then(|query| query.values().first().copied())
}

impl Theory {
    /// What holds in steady state; nothing but the delay where the warm-up is shorter than what the adversary remembers.
    pub(crate) fn of(mixes: &Mixes) -> Self {
        let steady = Self::in_steady_state(mixes);
        let quantile = |of_all: Option<f64>, beyond: f64| {
            of_all.filter(|_| f64::from(mixes.messages) * beyond >= BEYOND)
        };
        let (p50, p99) = (quantile(steady.delay_p50, 0.5), quantile(steady.delay_p99, 0.01));
        let steady = Self { delay_p50: p50, delay_p99: p99, ..steady };
        if mixes.warm_up >= default_warm_up(mixes.mix, mixes.gap()) {
            return steady;
        }
        let delay_mean = steady.delay_mean.filter(|_| !matches!(mixes.mix, Mix::Pool { .. }));
        Self { shannon: None, min_entropy: None, delay_mean, ..steady }
    }

    fn in_steady_state(mixes: &Mixes) -> Self {
        let gap = mixes.gap() / 1e6;
        match mixes.mix {
            Mix::Threshold { n } => {
                let bits = closed("threshold-mix-entropy", &[format!("n={n}")]);
                Self::batches(bits, bits, (f64::from(n) - 1.0) / 2.0 * gap)
            }
            Mix::Pool { enter, kept } => {
                let words = [format!("in={enter}"), format!("kept={kept}")];
                let shannon = closed("pool-mix-entropy", &words);
                let all = format!("n={}", enter + kept);
                let min_entropy = closed("threshold-mix-entropy", &[all]);
                let delay = ((f64::from(enter) - 1.0) / 2.0 + f64::from(kept)) * gap;
                Self::batches(shannon, min_entropy, delay)
            }
            Mix::Poisson { mean_delay, hops, view } => {
                let mean = mean_delay.as_secs_f64() * 1e3;
                let rho = mixes.rho().unwrap_or(0.0);
                let (shannon, min_entropy) = poisson(rho, hops, view);
                let delay = |quantile: &str| {
                    let words = [format!("hops={hops}"), format!("quantile={quantile}")];
                    closed("erlang-delay", &words).map(|delays| delays * mean)
                };
                Self {
                    shannon,
                    min_entropy,
                    is_same_for_all: false,
                    delay_mean: Some(f64::from(hops) * mean),
                    delay_p50: delay("0.5"),
                    delay_p99: delay("0.99"),
                }
            }
        }
    }

    const fn batches(shannon: Option<f64>, min_entropy: Option<f64>, delay_mean: f64) -> Self {
        Self {
            shannon,
            min_entropy,
            is_same_for_all: true,
            delay_mean: Some(delay_mean),
            delay_p50: None,
            delay_p99: None,
        }
    }

    /// What every single message's Shannon entropy is, where it is the same for all.
    pub(crate) fn shannon_of_each(&self) -> Option<f64> {
        self.shannon.filter(|_| self.is_same_for_all)
    }

    /// What every single message's min-entropy is, where it is the same for all.
    pub(crate) fn min_entropy_of_each(&self) -> Option<f64> {
        self.min_entropy.filter(|_| self.is_same_for_all)
    }
}

/// Mean Shannon and min-entropy of one Poisson mix; of a cascade there is no closed form.
///
/// For who sees all departures and knows who is inside, every message inside is equally likely, so both are the same.
///
/// Who sees one departure weighs an arrival of age a by e^−a. With S the sum of weights, H = ln S + Σ a e^−a / S nats and
/// H∞ = ln S + the age of the latest arrival. The age of a posterior draw is that of the leaving message, exponential of
/// mean 1; the latest arrival is the first, looking back, of that message and a Poisson stream of rate ρ, so its mean age
/// is 1 / (1 + ρ). Hence E H∞ = E H − 1 + 1 / (1 + ρ) = E H − ρ / (1 + ρ).
fn poisson(rho: f64, hops: u32, view: View) -> (Option<f64>, Option<f64>) {
    let of =
        |view: &str| closed("poisson-mix-entropy", &[format!("rho={rho}"), format!("view={view}")]);
    match view {
        View::Departures => (of("departures"), of("departures")),
        View::Times => (Some(times_entropy(rho)), None),
        View::Departure if hops == 1 => {
            let shannon = of("departure");
            (shannon, shannon.map(|bits| bits - rho / (1.0 + rho) / LN_2))
        }
        View::Departure => (None, None),
    }
}

/// E[(1 + K) log2(1 + K) − K log2 K], K Poisson with mean ρ: mean entropy for who sees all departures, but not whose.
///
/// A right posterior's mean entropy is the mean of −log2 of what it gives to the truth. That is 1/n at the departure,
/// n = 1 + K with the K others inside, times 1 − 1/n for each departure while the message was inside. The others are in
/// their steady state whenever it is there, as it comes and goes without regard to them: K Poisson of mean ρ. They leave
/// at rate K for a mean time of 1, and each costs log2((1 + K) / K). The sum is cut where what is left is below 1e-16.
fn times_entropy(rho: f64) -> f64 {
    let weighed = |n: f64| if n > 0.0 { n * libm::log2(n) } else { 0.0 };
    let end = rho + 12.0 * rho.sqrt() + 40.0;
    let (mut sum, mut k) = (0.0, 0u64);
    while (k as f64) < end {
        let others = k as f64;
        sum += special::poisson(k, rho) * (weighed(others + 1.0) - weighed(others));
        k += 1;
    }
    sum
}
