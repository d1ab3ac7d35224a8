//! Running a scenario: replicates on threads, merged in their order.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use enjambre_protocol::id::Digest;

use crate::churn::{self, ChurnError};
use crate::disclosure::{self, Disclosed, DisclosureError};
use crate::explain::{Explanation, explain};
use crate::metric::{Curve, Metric, Table};
use crate::mixes::{self, MixesError};
use crate::onion::{self, OnionSimError};
use crate::paths::{self, PathsError};
use crate::scenario::{Engine, Scenario};
use crate::stream::Streams;
use crate::swarms;
use crate::trace::run_digest;

/// How a scenario is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunConfig {
    /// The seed of all random streams.
    pub seed: u64,
    /// Replicates.
    pub replicates: u32,
    /// Threads that replicates are spread over. It does not show in the results.
    pub threads: NonZeroUsize,
}

/// What a run found.
#[derive(Clone, Debug, PartialEq)]
pub struct RunReport {
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: &'static str,
    /// Its settings, and what it leaves out.
    pub explanation: Explanation,
    /// The seed.
    pub seed: u64,
    /// Replicates.
    pub replicates: u32,
    /// The digest of all events of all replicates.
    pub digest: Digest,
    /// Events in all replicates.
    pub events: u64,
    /// The figures.
    pub metrics: Vec<Metric>,
    /// Single events.
    pub table: Table,
    /// Shares of clients over time, where the engine has some.
    pub curves: Vec<Curve>,
}

impl RunReport {
    /// A figure by its name.
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }
}

/// A run that found the protocol's code, or the simulator's, to break a promise.
#[derive(Debug, thiserror::Error)]
#[error("{scenario} with seed {seed} failed in replicate {replicate}: {source}")]
pub struct RunError {
    /// The scenario's name.
    pub scenario: String,
    /// The seed.
    pub seed: u64,
    /// The first replicate that failed.
    pub replicate: u32,
    /// What happened.
    pub source: EngineError,
}

/// An engine's error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Of the churn engine, and of the histories that make maps of swarms.
    #[error(transparent)]
    Churn(#[from] ChurnError),
    /// Of the onion engine.
    #[error(transparent)]
    Onion(#[from] OnionSimError),
    /// Of the paths engine.
    #[error(transparent)]
    Paths(#[from] PathsError),
    /// Of the disclosure engine.
    #[error(transparent)]
    Disclosure(#[from] DisclosureError),
    /// Of the mixes engine.
    #[error(transparent)]
    Mixes(#[from] MixesError),
}

/// Runs a scenario.
pub fn run(scenario: &Scenario, config: &RunConfig) -> Result<RunReport, RunError> {
    run_watched(scenario, config, &|| ())
}

/// The same, where someone is told of each replicate that is done.
pub fn run_watched(
    scenario: &Scenario,
    config: &RunConfig,
    done: &(dyn Fn() + Sync),
) -> Result<RunReport, RunError> {
    let config = &Watched::new(config, done);
    let streams = |replicate| Streams::new(config.seed, &scenario.name, replicate);
    let failed = |(replicate, source)| RunError {
        scenario: scenario.name.clone(),
        seed: config.seed,
        replicate,
        source,
    };
    let Found { digests, events, metrics, table, curves } = match &scenario.engine {
        Engine::Churn(spec) => {
            let one = |replicate| churn::run(spec, &streams(replicate));
            gather(config, one, |all| without_curves(churn::merge(all))).map_err(failed)?
        }
        Engine::Onion(spec) => {
            let one = |replicate| onion::run(spec, &streams(replicate));
            let merge = |all: &[_]| without_curves(onion::merge(spec, &streams(0), all));
            gather(config, one, merge).map_err(failed)?
        }
        Engine::Paths(spec) => {
            let one = |replicate| paths::run(spec, &streams(replicate));
            gather(config, one, |all| paths::merge(spec, all)).map_err(failed)?
        }
        Engine::Swarms(spec) => {
            let one = |replicate| swarms::run(spec, &streams(replicate));
            gather(config, one, |all| without_curves(swarms::merge(spec, all))).map_err(failed)?
        }
        Engine::Mixes(spec) => {
            let one = |replicate| mixes::run(spec, &streams(replicate));
            gather(config, one, |all| without_curves(mixes::merge(spec, all))).map_err(failed)?
        }
        Engine::Disclosure(spec) => {
            let found = disclosure::run(spec, &scenario.name, config);
            let found = found.map_err(|error| failed((error.replicate, error.source.into())))?;
            let Disclosed { digests, events, metrics, table, curves } = found;
            Found { digests, events, metrics, table, curves }
        }
    };
    Ok(RunReport {
        scenario: scenario.name.clone(),
        engine: scenario.engine.name(),
        explanation: explain(scenario),
        seed: config.seed,
        replicates: config.replicates,
        digest: run_digest(&digests),
        events,
        metrics,
        table,
        curves,
    })
}

/// What one replicate gives, with what its engine measured.
#[derive(Debug)]
pub(crate) struct Outcome<M> {
    pub(crate) digest: Digest,
    pub(crate) events: u64,
    pub(crate) measures: M,
}

/// What all replicates give.
struct Found {
    digests: Vec<Digest>,
    events: u64,
    metrics: Vec<Metric>,
    table: Table,
    curves: Vec<Curve>,
}

fn without_curves((metrics, table): (Vec<Metric>, Table)) -> (Vec<Metric>, Table, Vec<Curve>) {
    (metrics, table, Vec::new())
}

/// Runs all replicates of an engine and merges what they measured, in their order.
fn gather<M: Send, E: Send + Into<EngineError>>(
    config: &Watched<'_>,
    one: impl Fn(u32) -> Result<Outcome<M>, E> + Sync,
    merge: impl FnOnce(&[M]) -> (Vec<Metric>, Table, Vec<Curve>),
) -> Result<Found, (u32, EngineError)> {
    let outcomes = spread(config, one).map_err(|(at, error)| (at, error.into()))?;
    let digests = outcomes.iter().map(|outcome| outcome.digest).collect();
    let events = outcomes.iter().map(|outcome| outcome.events).sum();
    let measures: Vec<M> = outcomes.into_iter().map(|outcome| outcome.measures).collect();
    let (metrics, table, curves) = merge(&measures);
    Ok(Found { digests, events, metrics, table, curves })
}

/// How a scenario is run, and who is told of each replicate that is done.
#[derive(Clone, Copy)]
pub(crate) struct Watched<'a> {
    pub(crate) seed: u64,
    replicates: u32,
    threads: NonZeroUsize,
    done: &'a (dyn Fn() + Sync),
}

impl<'a> Watched<'a> {
    pub(crate) const fn new(config: &RunConfig, done: &'a (dyn Fn() + Sync)) -> Self {
        let RunConfig { seed, replicates, threads } = *config;
        Self { seed, replicates, threads, done }
    }
}

/// Where a thread leaves what came of one replicate.
struct Slot<T, E> {
    replicate: u32,
    outcome: Mutex<Option<Result<T, E>>>,
}

/// Runs all replicates and gives their outcomes in their order, or the first failure by that order.
pub(crate) fn spread<T: Send, E: Send>(
    config: &Watched<'_>,
    one: impl Fn(u32) -> Result<T, E> + Sync,
) -> Result<Vec<T>, (u32, E)> {
    let empty = |replicate| Slot { replicate, outcome: Mutex::new(None) };
    let slots: Vec<Slot<T, E>> = (0..config.replicates).map(empty).collect();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..config.threads.get().min(slots.len()) {
            scope.spawn(|| {
                while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = one(slot.replicate);
                    *slot.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                    (config.done)();
                }
            });
        }
    });
    let outcomes = slots.into_iter().filter_map(|Slot { replicate, outcome }| {
        let outcome = outcome.into_inner().unwrap_or_else(PoisonError::into_inner)?;
        Some(outcome.map_err(|error| (replicate, error)))
    });
    outcomes.collect()
}
