//! One scenario at every point of a grid, spread over threads and machines.
//!
//! The table `[sweep]` of a scenario file gives keys of the file with the values that each takes; every combination is a
//! point: the file with these values, run with random streams of its own. What a point gives depends on its values, the
//! seed and the number of replicates alone, so adding points shifts no other's, and shards that ran on different
//! machines merge into the bytes of one machine's run. A point that is done is on disk; a run that was killed goes on
//! where it was.
//!
//! # Invariants
//!
//! - *Same bytes*: folder and digest are functions of scenario, seed and replicates, not of threads, shards or restarts.
//! - *Nothing mixed*: a folder takes points of one scenario text, seed, number of replicates and program version. Each
//!   point's file has a digest of all these and of what it says, and what was changed since is refused.

pub mod folder;
mod grid;
mod merge;

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use grid::POINTS_MAX;
pub use grid::{Axis, Point, Sweep};
pub use merge::merge;

use crate::run::{RunConfig, RunError, run};
use crate::scenario::ScenarioError;
use folder::{Manifest, SweepFolder};

/// A part of a sweep's points: every `of`-th, from the `number`-th on, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub number: u32,
    /// Of how many.
    pub of: u32,
}

impl Shard {
    /// All points.
    pub const WHOLE: Self = Self { number: 1, of: 1 };

    /// Reads "3/16".
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "expected a shard K/N such as 3/16, N from 1 to {POINTS_MAX} and K from 1 to N, found {text}"
            )
        };
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (number.parse().map_err(|_| wrong())?, of.parse().map_err(|_| wrong())?);
        if (1..=of).contains(&number) && of <= POINTS_MAX {
            Ok(Self { number, of })
        } else {
            Err(wrong())
        }
    }

    /// Whether a point, counted from 0, is in it.
    pub const fn has(self, point: u32) -> bool {
        point % self.of == self.number - 1
    }
}

impl core::fmt::Display for Shard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

/// How a sweep is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SweepConfig {
    /// The seed of all random streams.
    pub seed: u64,
    /// Replicates of each point.
    pub replicates: u32,
    /// Threads that points are spread over. It does not show in the results.
    pub threads: NonZeroUsize,
    /// The part that is run.
    pub shard: Shard,
}

/// Why there is no sweep, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SweepError {
    /// The scenario, or one of its points, cannot be.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The scenario has no grid.
    #[error("{file} has no [sweep]: add one, or use `run`; for example [sweep] with {example}")]
    NoGrid {
        /// The file.
        file: String,
        /// A line to add.
        example: &'static str,
    },
    /// A shard without points.
    #[error(
        "shard {shard} has none of the points: there are {points}, so use {points} or fewer shards"
    )]
    Empty {
        /// The shard.
        shard: Shard,
        /// Points of the sweep.
        points: usize,
    },
    /// A point's run broke a promise.
    #[error("point {point}: {source}")]
    Run {
        /// The point, counted from 0.
        point: u32,
        /// What happened.
        source: RunError,
    },
    /// The folder holds something else.
    #[error("{folder} {what}: give another --out")]
    Folder {
        /// The folder.
        folder: String,
        /// What it holds.
        what: String,
    },
    /// A point's file is not as a sweep of this scenario leaves it.
    #[error(
        "{path} is damaged, was changed, or is of another sweep: delete it, and the command that swept does that point again; or give another --out"
    )]
    Damaged {
        /// The file.
        path: String,
    },
    /// A file of a sweep that is done is not as it was written.
    #[error(
        "{file} was changed since it was written: expected {expected}; put the file back, or sweep again with another --out"
    )]
    Changed {
        /// The file.
        file: String,
        /// What it should be.
        expected: String,
    },
    /// The shards do not make a whole.
    #[error("{what}")]
    Merge {
        /// What is missing or differs.
        what: String,
    },
    /// The system refused.
    #[error("cannot use {path}: {source}")]
    Io {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl SweepError {
    /// Whether the caller can correct it.
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Run { .. } | Self::Io { .. })
    }
}

/// Runs the points of a shard that are not in the folder yet, and completes the folder. `progress` is told how many
/// points are done, of how many, also once before the first.
pub fn sweep(
    sweep: &Sweep,
    config: &SweepConfig,
    folder: &SweepFolder,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Manifest, SweepError> {
    let mine = sweep.points.iter().filter(|point| config.shard.has(point.number));
    let mine: Vec<&Point> = mine.collect();
    if mine.is_empty() {
        return Err(SweepError::Empty { shard: config.shard, points: sweep.points.len() });
    }
    let _lock = folder.locked()?;
    folder.begin(sweep, config)?;
    let manifest = Manifest::of(sweep, config);
    let mut left = Vec::new();
    for point in &mine {
        if folder.done(point, &manifest)?.is_none() {
            left.push(*point);
        }
    }
    let done = AtomicUsize::new(mine.len() - left.len());
    progress(done.load(Ordering::Relaxed), mine.len());
    let workers = config.threads.get().min(left.len()).max(1);
    let inner = NonZeroUsize::new(config.threads.get() / workers).unwrap_or(NonZeroUsize::MIN);
    let one = |point: &Point| {
        let config = RunConfig { seed: config.seed, replicates: config.replicates, threads: inner };
        let report = run(&point.scenario, &config)
            .map_err(|source| SweepError::Run { point: point.number, source })?;
        folder.keep(point, &report, &manifest)
    };
    let (next, stop, failed) = (AtomicUsize::new(0), AtomicBool::new(false), Mutex::new(None));
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed)
                    && let Some(point) = left.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    match one(point) {
                        Ok(()) => progress(done.fetch_add(1, Ordering::Relaxed) + 1, mine.len()),
                        Err(error) => {
                            stop.store(true, Ordering::Relaxed);
                            failed
                                .lock()
                                .unwrap_or_else(PoisonError::into_inner)
                                .get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => folder.complete(sweep, config),
    }
}
