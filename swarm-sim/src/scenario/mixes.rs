//! The mixes engine's settings, its file, and how one becomes the other.

use core::time::Duration;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::error::Fault;
use super::file::{EngineName, MANY};
use super::value::{Count, Delay, Period, Positive};

/// Arrivals of a replicate at most, warm-up included: few enough that a mistyped number ends.
const ARRIVALS_MAX: f64 = 1e8;

/// Arrivals per mean delay at most: the work for one message grows with them.
const RHO: (f64, f64) = (0.001, 1_000.0);

/// The shortest mean time between arrivals and the shortest mean delay, in nanoseconds: time is in whole ones.
const TIME_MIN: f64 = 1_000.0;

/// The longest run in virtual time, in nanoseconds: a hundred years, as the clock ends after 584.
const SPAN_MAX: f64 = 100.0 * 365.0 * 86_400e9;

const MILLISECOND: Duration = Duration::from_millis(1);

/// The longest mean delay.
const DELAY_MAX: Duration = Duration::from_secs(86_400);

/// Hops of a cascade at most.
const HOPS: u32 = 20;

/// Messages of a batch, or kept in a pool, at most.
const BATCH: u32 = 10_000;

/// Settings of the mixes engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixes {
    /// The mix, and what the adversary sees of it.
    pub mix: Mix,
    /// How often messages arrive.
    pub arrivals: Arrivals,
    /// Messages of a replicate that count: the first that arrive after the warm-up. Threshold and pool mixes take whole
    /// batches, so there may be a batch more.
    pub messages: u32,
    /// Messages that arrive before this time do not count.
    pub warm_up: Duration,
}

/// A mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mix {
    /// Holds messages until there are so many, then lets all go.
    Threshold {
        /// Messages of a batch.
        n: u32,
    },
    /// Each time that so many have entered, lets as many of those inside go, drawn uniformly.
    Pool {
        /// Messages that enter, and leave, in a round.
        enter: u32,
        /// Messages that stay.
        kept: u32,
    },
    /// Delays each message by itself, exponentially.
    Poisson {
        /// Mean delay of one hop.
        mean_delay: Duration,
        /// Mixes that a message goes through, one after the other.
        hops: u32,
        /// What the adversary sees.
        view: View,
    },
}

/// What the adversary sees of a Poisson mix, or of the ends of a cascade, besides the times of all arrivals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// The times of all departures, and which messages are inside: earlier departures are in no doubt. This is the view
    /// `departures` of the closed form `poisson-mix-entropy`.
    Departures,
    /// The times of all departures, but not which message left at any of them.
    Times,
    /// The time of one departure only. This is the view `departure` of the closed form.
    Departure,
}

/// How often messages arrive: a Poisson process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// So many in the mean delay of a Poisson mix's hop.
    Rho(f64),
    /// So many a second.
    PerSecond(f64),
}

impl Mixes {
    /// Mean time between two arrivals, in nanoseconds.
    pub(crate) fn gap(&self) -> f64 {
        gap(self.mix, self.arrivals)
    }

    /// Arrivals in the mean delay of a hop, for a Poisson mix.
    pub(crate) fn rho(&self) -> Option<f64> {
        match (self.mix, self.arrivals) {
            (Mix::Poisson { .. }, Arrivals::Rho(rho)) => Some(rho),
            (Mix::Poisson { mean_delay, .. }, Arrivals::PerSecond(rate)) => {
                Some(rate * mean_delay.as_secs_f64())
            }
            _ => None,
        }
    }
}

fn gap(mix: Mix, arrivals: Arrivals) -> f64 {
    match (mix, arrivals) {
        (Mix::Poisson { mean_delay, .. }, Arrivals::Rho(rho)) => nanos(mean_delay) / rho,
        (_, Arrivals::Rho(rate) | Arrivals::PerSecond(rate)) => 1e9 / rate,
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// The warm-up unless set: until a share below e^−40 of what the adversary weighs is missing. A Poisson mix's weights
/// fall as the tail of an Erlang variable, and P(Erlang(h) > 40 + 6h) < e^−40; a pool's fall by kept / (in + kept) in a
/// round; a threshold mix remembers nothing.
pub(crate) fn default_warm_up(mix: Mix, gap: f64) -> Duration {
    match mix {
        Mix::Threshold { .. } | Mix::Pool { kept: 0, .. } => Duration::ZERO,
        Mix::Pool { enter, kept } => {
            let rounds = 40.0 / libm::log1p(f64::from(enter) / f64::from(kept));
            let time = (rounds + 1.0) * f64::from(enter) * gap;
            let time = Duration::try_from_secs_f64(time / 1e9).unwrap_or(Duration::MAX);
            // Up to whole milliseconds, as it is shown.
            Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)) + MILLISECOND
        }
        Mix::Poisson { mean_delay, hops, .. } => mean_delay * memory(hops),
    }
}

/// Mean delays after which an arrival into a cascade no longer has weight: more than a share 1 − e^−40 of all messages
/// are through it by then.
pub(crate) const fn memory(hops: u32) -> u32 {
    40 + 6 * hops
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MixesFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    pub(super) name: Spanned<String>,
    pub(super) about: String,
    pub(super) replicates: Count<1, 10_000>,
    messages: Spanned<Count<1, MANY>>,
    warm_up: Option<Spanned<Delay>>,
    mix: MixFile,
    arrivals: Spanned<ArrivalsFile>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Threshold,
    Pool,
    Poisson,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ViewName {
    Departures,
    Times,
    Departure,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MixFile {
    kind: Spanned<KindName>,
    n: Option<Spanned<Count<1, BATCH>>>,
    #[serde(rename = "in")]
    enter: Option<Spanned<Count<1, BATCH>>>,
    kept: Option<Spanned<Count<0, BATCH>>>,
    mean_delay: Option<Spanned<Period>>,
    hops: Option<Spanned<Count<1, HOPS>>>,
    view: Option<Spanned<ViewName>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ArrivalsFile {
    rho: Option<Spanned<Positive>>,
    per_second: Option<Spanned<Positive>>,
}

pub(super) fn mixes(file: &MixesFile) -> Result<Mixes, Fault> {
    let mix = mix(&file.mix)?;
    let (arrivals, at) = arrivals(&file.arrivals, mix)?;
    let gap = gap(mix, arrivals);
    if gap < TIME_MIN {
        return Err(Fault::new(at, "expected at most a million arrivals a second"));
    }
    let messages = file.messages.get_ref().0;
    let warm_up = match &file.warm_up {
        Some(warm_up) => warm_up.get_ref().0,
        None => default_warm_up(mix, gap),
    };
    let blamed = file.warm_up.as_ref().filter(|_| nanos(warm_up) > gap * f64::from(messages));
    let blamed = blamed.map_or_else(|| file.messages.span(), Spanned::span);
    let span = nanos(warm_up) + gap * f64::from(messages);
    if span / gap > ARRIVALS_MAX || span > SPAN_MAX {
        let what = "expected at most 100 million arrivals and a hundred years, warm-up included";
        return Err(Fault::new(blamed, what));
    }
    Ok(Mixes { mix, arrivals, messages, warm_up })
}

/// Keys that are set, by name, with their places.
fn set(file: &MixFile) -> [(&'static str, Option<Range<usize>>); 6] {
    [
        ("n", file.n.as_ref().map(Spanned::span)),
        ("in", file.enter.as_ref().map(Spanned::span)),
        ("kept", file.kept.as_ref().map(Spanned::span)),
        ("mean_delay", file.mean_delay.as_ref().map(Spanned::span)),
        ("hops", file.hops.as_ref().map(Spanned::span)),
        ("view", file.view.as_ref().map(Spanned::span)),
    ]
}

fn mix(file: &MixFile) -> Result<Mix, Fault> {
    let (kind, keys): (_, &[&str]) = match file.kind.get_ref() {
        KindName::Threshold => ("threshold", &["n"]),
        KindName::Pool => ("pool", &["in", "kept"]),
        KindName::Poisson => ("Poisson", &["mean_delay", "hops", "view"]),
    };
    for (key, at) in set(file) {
        if let Some(at) = at
            && !keys.contains(&key)
        {
            let what = format!("a {kind} mix has no {key}, but {}", keys.join(", "));
            return Err(Fault::new(at, what));
        }
    }
    let needs = |key: &str| Fault::new(file.kind.span(), format!("a {kind} mix needs {key}"));
    match file.kind.get_ref() {
        KindName::Threshold => {
            let n = file.n.as_ref().ok_or_else(|| needs("n"))?;
            Ok(Mix::Threshold { n: n.get_ref().0 })
        }
        KindName::Pool => {
            let enter = file.enter.as_ref().ok_or_else(|| needs("in"))?;
            let kept = file.kept.as_ref().ok_or_else(|| needs("kept"))?;
            Ok(Mix::Pool { enter: enter.get_ref().0, kept: kept.get_ref().0 })
        }
        KindName::Poisson => {
            let mean_delay = file.mean_delay.as_ref().ok_or_else(|| needs("mean_delay"))?;
            poisson(file, mean_delay)
        }
    }
}

fn poisson(file: &MixFile, mean_delay: &Spanned<Period>) -> Result<Mix, Fault> {
    let delay = mean_delay.get_ref().0;
    if nanos(delay) < TIME_MIN || delay > DELAY_MAX {
        return Err(Fault::new(
            mean_delay.span(),
            "expected a mean delay from \"1 us\" to \"1 d\"",
        ));
    }
    let view = match file.view.as_ref().map(Spanned::get_ref) {
        Some(ViewName::Departure) => View::Departure,
        Some(ViewName::Times) => View::Times,
        Some(ViewName::Departures) | None => View::Departures,
    };
    let hops = file.hops.as_ref().map_or(1, |hops| hops.get_ref().0);
    if let Some(set) = &file.hops
        && hops > 1
        && view != View::Departure
    {
        let at = file.view.as_ref().map_or_else(|| set.span(), Spanned::span);
        let what = "more than one hop needs view = \"departure\": who sees all departures of a cascade has no simple exact posterior";
        return Err(Fault::new(at, what));
    }
    Ok(Mix::Poisson { mean_delay: delay, hops, view })
}

/// The rate of arrivals, and where it stands.
fn arrivals(table: &Spanned<ArrivalsFile>, mix: Mix) -> Result<(Arrivals, Range<usize>), Fault> {
    let is_poisson = matches!(mix, Mix::Poisson { .. });
    match (&table.get_ref().rho, &table.get_ref().per_second) {
        (Some(rho), None) if is_poisson => {
            let value = rho.get_ref().0;
            if !(RHO.0..=RHO.1).contains(&value) {
                let what = format!("expected from {} to {} per mean delay", RHO.0, RHO.1);
                return Err(Fault::new(rho.span(), what));
            }
            Ok((Arrivals::Rho(value), rho.span()))
        }
        (Some(rho), None) => {
            let what =
                "only a Poisson mix has a mean delay to count arrivals by: expected per_second";
            Err(Fault::new(rho.span(), what))
        }
        (None, Some(rate)) => {
            let arrivals = Arrivals::PerSecond(rate.get_ref().0);
            if let Mix::Poisson { mean_delay, .. } = mix {
                let rho = rate.get_ref().0 * mean_delay.as_secs_f64();
                if !(RHO.0..=RHO.1).contains(&rho) {
                    let what = format!("expected from {} to {} per mean delay", RHO.0, RHO.1);
                    return Err(Fault::new(rate.span(), what));
                }
            }
            Ok((arrivals, rate.span()))
        }
        (Some(_), Some(rate)) => {
            Err(Fault::new(rate.span(), "rho says it already: leave one of them out"))
        }
        (None, None) if is_poisson => Err(Fault::new(table.span(), "expected rho or per_second")),
        (None, None) => Err(Fault::new(table.span(), "expected per_second")),
    }
}
