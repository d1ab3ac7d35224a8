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

use std::num::NonZeroUsize;

use clap::Args;
use swarm_sim::compare::CompareError;
use swarm_sim::output::folder::FolderError;
use swarm_sim::results::ResultsError;
use swarm_sim::run::{RunConfig, RunError};
use swarm_sim::scenario::{Scenario, ScenarioError};
use swarm_sim::sweep::SweepError;
use swarm_sim::theory::TheoryError;

use report::ReportError;

#[derive(Debug, Args)]
pub(crate) struct Which {
    /// A built-in scenario's name, or a scenario file.
    #[arg(value_name = "NAME|FILE")]
    pub(crate) scenario: String,
    /// Seed of all random streams.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    pub(crate) seed: u64,
    /// Replicates, instead of the scenario's number.
    #[arg(long, allow_negative_numbers = true, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) replicates: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

impl Which {
    pub(crate) fn config(&self, scenario: &Scenario, threads: NonZeroUsize) -> RunConfig {
        let replicates = self.replicates.unwrap_or(scenario.replicates);
        RunConfig { seed: self.seed, replicates, threads }
    }
}

/// A number of threads.
pub(crate) fn threads(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_| "expected a whole number from 1".to_owned())
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
    #[error("{count} figures differ: {names}")]
    Figures { count: usize, names: String, table: String },
    #[error(transparent)]
    Theory(#[from] TheoryError),
    #[error("{count} closed forms fail their check: {names}")]
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
            Self::Scenario(_) | Self::Theory(_) | Self::Compare(_) => 2,
            Self::Report(_) | Self::New { .. } => 2,
            Self::Folder(error) if error.is_refusal() => 2,
            #[cfg(feature = "parquet")]
            Self::Parquet(error) if error.is_refusal() => 2,
            Self::Sweep(error) if error.is_refusal() => 2,
            Self::Results(error) if error.is_refusal() => 2,
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
