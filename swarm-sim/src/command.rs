//! What each action does; and how one ends without its result.

pub(crate) mod compare;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod progress;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scenarios;
pub(crate) mod sweep;
pub(crate) mod theory;

use core::ops::RangeInclusive;
use std::num::NonZeroUsize;

use clap::Args;
use swarm_sim::compare::CompareError;
use swarm_sim::output::counted;
use swarm_sim::output::folder::FolderError;
use swarm_sim::results::ResultsError;
use swarm_sim::run::{RunConfig, RunError};
use swarm_sim::scenario::{Scenario, ScenarioError};
use swarm_sim::sweep::SweepError;
use swarm_sim::theory::{SAMPLES_MAX, TheoryError};

use report::ReportError;

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A built-in scenario's name, or a scenario file.
    #[arg(value_name = "NAME|FILE")]
    pub(crate) scenario: String,
    /// Seed of all random streams.
    #[arg(long, default_value_t = 1, allow_hyphen_values = true, value_parser = seed)]
    pub(crate) seed: u64,
    /// Replicates, instead of the scenario's number.
    #[arg(long, allow_hyphen_values = true, value_parser = replicates)]
    pub(crate) replicates: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Which {
    pub(crate) fn config(
        &self,
        scenario: &Scenario,
        threads: NonZeroUsize,
    ) -> Result<RunConfig, ScenarioError> {
        let replicates = self.replicates.unwrap_or(scenario.replicates);
        scenario.ends_with(replicates)?;
        Ok(RunConfig { seed: self.seed, replicates, threads })
    }
}

/// Threads at most: more than any machine has cores, and few enough that every system starts them.
const THREADS_MAX: u64 = 1024;

/// Replicates at most, as in a scenario.
const REPLICATES_MAX: u64 = 10_000;

/// A whole number within a range.
fn whole<T: TryFrom<u64>>(text: &str, range: RangeInclusive<u64>) -> Result<T, String> {
    let found = text.parse().ok().filter(|number| range.contains(number));
    let (least, most) = (range.start(), range.end());
    let wrong = || format!("expected a whole number from {least} to {most}");
    found.and_then(|number| T::try_from(number).ok()).ok_or_else(wrong)
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    Ok(NonZeroUsize::new(whole(text, 1..=THREADS_MAX)?).unwrap_or(NonZeroUsize::MIN))
}

/// A seed.
pub(crate) fn seed(text: &str) -> Result<u64, String> {
    whole(text, 0..=u64::MAX)
}

/// A number of replicates.
pub(crate) fn replicates(text: &str) -> Result<u32, String> {
    whole(text, 1..=REPLICATES_MAX)
}

/// A number of samples.
pub(crate) fn samples(text: &str) -> Result<u64, String> {
    whole(text, 2..=SAMPLES_MAX)
}

fn differ(count: usize) -> String {
    let verb = if count == 1 { "differs" } else { "differ" };
    format!("{} {verb}", counted(count as u64, "figure"))
}

fn fail(count: usize) -> String {
    let verb = if count == 1 { "fails its" } else { "fail their" };
    format!("{} {verb} check", counted(count as u64, "closed form"))
}

pub(crate) fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CommandError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Report(#[from] ReportError),
    #[cfg(feature = "parquet")]
    #[error(transparent)]
    Parquet(#[from] swarm_sim::parquet::ParquetError),
    #[error("{what}")]
    New { what: String },
    #[error("{}: {names}", differ(*.count))]
    Figures { count: usize, names: String, table: String },
    #[error(transparent)]
    Theory(#[from] TheoryError),
    #[error("{}: {names}", fail(*.count))]
    Selfcheck { count: usize, names: String, table: String },
    #[error("digests differ: {digests}")]
    Differ { digests: String },
}

impl CommandError {
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Scenario(_) => "scenario",
            Self::Run(_) => "invariant",
            Self::Folder(error) => error.kind(),
            Self::Sweep(error) => sweep_kind(error),
            Self::Results(error) => error.kind(),
            #[cfg(feature = "parquet")]
            Self::Parquet(error) => error.kind(),
            Self::Compare(_) => "comparison",
            Self::Report(_) | Self::New { .. } => "usage",
            Self::Figures { .. } => "difference",
            Self::Differ { .. } => "determinism",
            Self::Theory(_) => "parameter",
            Self::Selfcheck { .. } => "selfcheck",
        }
    }

    /// 2 for what the caller can correct, 1 for a failure.
    pub(crate) const fn exit_code(&self) -> u8 {
        match self {
            // Results are asked for by name: another folder may be read.
            Self::Scenario(_) | Self::Theory(_) | Self::Compare(_) | Self::Results(_) => 2,
            Self::Report(_) | Self::New { .. } => 2,
            Self::Folder(error) if error.is_refusal() => 2,
            #[cfg(feature = "parquet")]
            Self::Parquet(error) if error.is_refusal() => 2,
            Self::Sweep(error) if error.is_refusal() => 2,
            _ => 1,
        }
    }
}

/// The kind that scripts read.
const fn sweep_kind(error: &SweepError) -> &'static str {
    match error {
        SweepError::Scenario(_) | SweepError::NoGrid { .. } => "scenario",
        SweepError::Run { .. } => "invariant",
        SweepError::Io { .. } => "write",
        _ => "folder",
    }
}
