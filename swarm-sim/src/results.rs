//! What a run or a sweep wrote, read back: for pages and comparisons.
//!
//! `results.json` says what was run and what was found. Tables whose first columns are `replicate` and `step` are series
//! over time, `curves.csv` has shares of clients over time. Nothing else in a run's folder is looked at, and a file that
//! was changed since it was written is refused: `manifest.json` has the digest of each.

pub(crate) mod csv;
mod swept;
mod tables;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use serde::Deserialize;

use crate::output::atomic::read as read_file;
use crate::output::manifest::{Fault, MANIFEST, RunManifest, plain};
use crate::output::{PAGE, RESULTS};
use crate::stats::Interval;
use crate::sweep::SweepError;

pub use swept::{Swept, SweptFigure, SweptRow};
pub use tables::{CURVES, Curve, CurvePlace, Series};

/// Why a folder cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResultsError {
    /// There is no run in it.
    #[error("{folder} holds no {RESULTS}: give the folder that `run` wrote")]
    NoRun {
        /// The folder.
        folder: String,
    },
    /// It is a file.
    #[error("{file} is a file: give the folder that `run` or `sweep` wrote")]
    File {
        /// The file.
        file: String,
    },
    /// There is a part of a sweep in it.
    #[error(
        "{folder} has shard {} of a sweep: put the shards together with `merge` first",
        plain(.shard)
    )]
    Shard {
        /// The folder.
        folder: String,
        /// The part that it has.
        shard: String,
    },
    /// There is no whole sweep in it.
    #[error(transparent)]
    Sweep(#[from] SweepError),
    /// A file is not as `run` writes it.
    #[error("{file} is not as this version writes it: {}; run the scenario again", plain(.what))]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, and where.
        what: String,
    },
    /// Nothing says what its files were.
    #[error("{folder} holds no {MANIFEST}: run the scenario again, which writes it")]
    NoManifest {
        /// The folder.
        folder: String,
    },
    /// What says what its files were is damaged.
    #[error("{folder} holds a {MANIFEST} that no run wrote, or that is damaged")]
    NotOfARun {
        /// The folder.
        folder: String,
    },
    /// Another version wrote it.
    #[error(
        "{folder} holds results of another version of {MANIFEST}, {found}: run the scenario again into another folder"
    )]
    OtherFormat {
        /// The folder.
        folder: String,
        /// The version there.
        found: u64,
    },
    /// A file is not as it was written.
    #[error(
        "{file} was changed since it was written: expected {}; put the file back, or run the scenario again into another folder",
        plain(.expected)
    )]
    Changed {
        /// The file.
        file: String,
        /// What it should be.
        expected: String,
    },
    /// The system refused.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
}

impl ResultsError {
    /// Whether the caller can correct it by naming another folder.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Read { .. } => false,
            Self::Sweep(error) => error.is_refusal(),
            _ => true,
        }
    }

    /// The kind that scripts read.
    pub const fn kind(&self) -> &'static str {
        if self.is_refusal() { "folder" } else { "read" }
    }
}

/// A setting with its value.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Setting {
    /// Its key in the scenario file.
    pub key: String,
    /// Its value with its unit.
    pub value: String,
}

/// One figure with its interval.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Figure {
    /// Its name.
    pub name: String,
    /// The estimate; nothing if nothing was observed.
    pub value: Option<f64>,
    /// Lower end of the 95 % interval.
    pub ci_low: Option<f64>,
    /// Upper end of the 95 % interval.
    pub ci_high: Option<f64>,
    /// How the interval was made.
    pub interval: String,
    /// Unit of value and interval.
    pub unit: String,
    /// Observations behind it.
    pub samples: u64,
    /// What theory says.
    pub expected: Option<f64>,
    /// Lower end of the interval over replicates, for a share or a median over clients.
    pub replicates_low: Option<f64>,
    /// Upper end of it; like [`Self::ci_high`], nothing where what was watched gives none.
    pub replicates_high: Option<f64>,
    /// What each replicate found, in their order; empty where that does not exist.
    #[serde(default)]
    pub by_replicate: Vec<Option<f64>>,
    /// What it is, in a sentence, where the file says so.
    #[serde(default)]
    pub about: Option<String>,
}

impl Figure {
    /// The wider 95 % interval with the fields that it stands in; nothing where one has no upper end.
    pub fn widest(&self) -> Option<(Interval, &'static str)> {
        let own = ((self.ci_low, self.ci_high), "ci_low, ci_high");
        let over = ((self.replicates_low, self.replicates_high), "replicates_low, replicates_high");
        widest([over, own])
    }
}

/// Ends of an interval, of which both or the upper one may not exist.
type Ends = (Option<f64>, Option<f64>);

/// The wider of the intervals over replicates and of a figure's own, the first one if they are alike: the one over replicates
/// also counts what trials have in common, and the figure's own is not deceived by a few replicates that happen to agree. Nothing
/// where one has no upper end.
fn widest<T>(intervals: [(Ends, T); 2]) -> Option<(Interval, T)> {
    let mut widest: Option<(Interval, T)> = None;
    for ((low, high), of) in intervals {
        let Some(low) = low else { continue };
        let interval = Interval { low, high: high? };
        let width = |interval: Interval| interval.high - interval.low;
        if widest.as_ref().is_none_or(|(there, _)| width(interval) > width(*there)) {
            widest = Some((interval, of));
        }
    }
    widest
}

#[derive(Debug, Deserialize)]
struct File {
    scenario: String,
    engine: String,
    version: String,
    about: String,
    settings: Vec<Setting>,
    leaves_out: Vec<String>,
    seed: u64,
    replicates: u32,
    events: u64,
    digest: String,
    metrics: BTreeMap<String, Figure>,
}

/// A run.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Its folder, as it was given.
    pub folder: String,
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: String,
    /// The program's version.
    pub version: String,
    /// What the scenario is for.
    pub about: String,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// What the engine does not simulate.
    pub leaves_out: Vec<String>,
    /// The seed.
    pub seed: u64,
    /// Replicates.
    pub replicates: u32,
    /// Events in all replicates.
    pub events: u64,
    /// The digest of all events.
    pub digest: String,
    /// The figures.
    pub figures: Vec<Figure>,
    /// Series over time, by file name.
    pub series: Vec<Series>,
    /// Shares of clients over time.
    pub curves: Vec<Curve>,
}

impl Results {
    /// Reads a run's folder.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let held = |name: &str| {
            let file = path.join(name);
            read_file(&file).map_err(|source| cannot_read(&file, source))
        };
        let Some(bytes) = held(RESULTS)? else {
            return Err(ResultsError::NoRun { folder: path.display().to_string() });
        };
        let manifest = manifest(path)?;
        let mut files = BTreeMap::new();
        // A file that was changed is called so, whatever it holds.
        let mut take = |name: &str, bytes: Vec<u8>| {
            let text = String::from_utf8(bytes).ok();
            let text = text.filter(|text| manifest.wrote(name, text.as_bytes()));
            let digest = manifest.files.get(name).map(String::as_str).unwrap_or_default();
            let expected = || format!("the digest {digest}, which {MANIFEST} has");
            let text = text.ok_or_else(|| changed(&path.join(name), &expected()))?;
            files.insert(name.to_owned(), text);
            Ok::<(), ResultsError>(())
        };
        take(RESULTS, bytes)?;
        for name in manifest.files.keys().filter(|name| ![PAGE, RESULTS].contains(&name.as_str())) {
            let gone = || changed(&path.join(name), "the table that the run wrote");
            take(name, held(name)?.ok_or_else(gone)?)?;
        }
        let read = Self::from_files(path, &files)?;
        if read.digest != manifest.digest {
            let expected = format!("the run with digest {}, as {RESULTS} says", read.digest);
            return Err(changed(&path.join(MANIFEST), &expected));
        }
        Ok(read)
    }

    /// Reads what a run wrote, or would write, into a folder.
    pub fn from_files(path: &Path, files: &BTreeMap<String, String>) -> Result<Self, ResultsError> {
        let folder = path.display().to_string();
        let text = files.get(RESULTS);
        let text = text.ok_or_else(|| ResultsError::NoRun { folder: folder.clone() })?;
        let file = path.join(RESULTS);
        let read: File =
            serde_json::from_str(text).map_err(|error| invalid(&file, error.to_string()))?;
        if let Some((name, _)) = read.metrics.iter().find(|(name, figure)| **name != figure.name) {
            return Err(invalid(&file, format!("the metric {name} has another name inside")));
        }
        Ok(Self {
            folder,
            scenario: read.scenario,
            engine: read.engine,
            version: read.version,
            about: read.about,
            settings: read.settings,
            leaves_out: read.leaves_out,
            seed: read.seed,
            replicates: read.replicates,
            events: read.events,
            digest: read.digest,
            figures: tables::in_order(read.metrics.into_values().collect(), files),
            series: tables::series(path, files)?,
            curves: tables::curves(path, files)?,
        })
    }

    /// A figure by its name.
    pub fn figure(&self, name: &str) -> Option<&Figure> {
        self.figures.iter().find(|figure| figure.name == name)
    }
}

fn manifest(folder: &Path) -> Result<RunManifest, ResultsError> {
    let file = folder.join(MANIFEST);
    let read = read_file(&file).map_err(|source| cannot_read(&file, source))?;
    let folder = folder.display().to_string();
    let Some(bytes) = read else { return Err(ResultsError::NoManifest { folder }) };
    match RunManifest::parse(&bytes) {
        Ok(manifest) if manifest.files.contains_key(RESULTS) => Ok(manifest),
        Ok(_) | Err(Fault::NotOfARun) => Err(ResultsError::NotOfARun { folder }),
        Err(Fault::OtherFormat(found)) => Err(ResultsError::OtherFormat { folder, found }),
    }
}

fn changed(file: &Path, expected: &str) -> ResultsError {
    ResultsError::Changed { file: file.display().to_string(), expected: expected.to_owned() }
}

fn cannot_read(file: &Path, source: io::Error) -> ResultsError {
    if let Some(folder) = file.parent().filter(|_| source.kind() == io::ErrorKind::NotADirectory) {
        return ResultsError::File { file: folder.display().to_string() };
    }
    ResultsError::Read { file: file.display().to_string(), source }
}

fn invalid(file: &Path, what: String) -> ResultsError {
    ResultsError::Invalid { file: file.display().to_string(), what }
}
