//! How long it takes until an adversary knows to whom someone writes.
//!
//! Each target writes to its partners, round after round, among other users who write to anyone. What happens in a round
//! is drawn without regard to who looks; an [`Adversary`] is shown what its
//! [`Vantage`](crate::adversary::Vantage) covers of it, and its posterior is held against the truth. A file names one of the built-in
//! adversaries; [`run_against`] takes any.
//!
//! Targets share no rounds: each is watched in a world of its own. No packet is built and no path chosen; rounds are what a
//! batch of a mix is, or whatever span the adversary cannot tell messages of apart.
//!
//! # Invariants
//!
//! - *Vantage only*: an observation is built by `sight` alone, from the vantage that was named before the first round.
//! - *Cut off, not dropped*: a target that leaves, or that is not identified to the end, counts as long as it was watched.

mod measure;
mod round;
mod sight;
mod target;
#[cfg(test)]
mod tests;
mod theory;

use enjambre_protocol::id::Digest;

pub(crate) use theory::Theory;

use crate::adversary::{Adversary, Briefing};
use crate::metric::{Curve, Metric, Table};
use crate::run::{RunConfig, Watched, spread};
use crate::scenario::Disclosure;
use crate::stream::Streams;
use crate::trace::Trace;
use measure::Measures;

/// Why a simulation was given up: a plug-in broke a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DisclosureError {
    /// A posterior over something else than the candidates.
    #[error(
        "the posterior for target {target} has {found} entries: expected one for each of the {candidates} candidates"
    )]
    Candidates {
        /// The target's index.
        target: u32,
        /// Entries of the posterior.
        found: usize,
        /// Candidates.
        candidates: u32,
    },
}

/// A run that was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("replicate {replicate}: {source}")]
pub struct GivenUp {
    /// The first replicate that failed.
    pub replicate: u32,
    /// Why.
    pub source: DisclosureError,
}

/// What runs against an adversary found.
#[derive(Clone, Debug, PartialEq)]
pub struct Disclosed {
    /// The digest of each replicate, in their order: of all observations and of what came of each target.
    pub digests: Vec<Digest>,
    /// Rounds in which a target was watched.
    pub events: u64,
    /// The figures.
    pub metrics: Vec<Metric>,
    /// The targets.
    pub table: Table,
    /// Shares of targets that were identified, over rounds.
    pub curves: Vec<Curve>,
}

impl Disclosed {
    /// A figure by its name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// Makes an adversary for one target.
pub type Factory<'a> = &'a (dyn Fn(&Briefing) -> Box<dyn Adversary> + Sync);

/// Runs a scenario's world against the adversaries that `factory` makes, one for each target, instead of the one that it
/// names. `name` keys the random streams: under one name the same happens, whoever looks.
pub fn run_against(
    disclosure: &Disclosure,
    name: &str,
    config: &RunConfig,
    factory: Factory<'_>,
) -> Result<Disclosed, GivenUp> {
    simulate(disclosure, name, &Watched::new(config, &|| ()), factory, None)
}

/// Runs a scenario against the adversary that it names.
pub(crate) fn run(
    disclosure: &Disclosure,
    name: &str,
    config: &Watched<'_>,
) -> Result<Disclosed, GivenUp> {
    let factory = |briefing: &Briefing| disclosure.adversary.plug_in(briefing);
    simulate(disclosure, name, config, &factory, Some(Theory::of(disclosure)))
}

fn simulate(
    disclosure: &Disclosure,
    name: &str,
    config: &Watched<'_>,
    factory: Factory<'_>,
    theory: Option<Theory<'_>>,
) -> Result<Disclosed, GivenUp> {
    let one = |replicate| {
        let streams = Streams::new(config.seed, name, replicate);
        let (mut trace, mut measures) = (Trace::new(), Measures::default());
        for index in 0..disclosure.targets {
            let adversary = factory(&disclosure.briefing());
            let record = target::watch(disclosure, &streams, index, adversary, &mut trace)?;
            trace.event(&[&index.to_le_bytes(), &record.to_bytes()]);
            measures.targets.push(record);
        }
        Ok((trace.finish(), measures))
    };
    let outcomes =
        spread(config, one).map_err(|(replicate, source)| GivenUp { replicate, source })?;
    let (digests, measures): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let events = measures.iter().flat_map(|m| &m.targets).map(|t| u64::from(t.watched)).sum();
    let (metrics, table, curves) = measure::merge(disclosure, theory, &measures);
    Ok(Disclosed { digests, events, metrics, table, curves })
}
