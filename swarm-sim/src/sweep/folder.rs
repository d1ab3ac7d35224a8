//! What a sweep leaves in its folder, and how one that was killed goes on.
//!
//! `manifest.json` says what the folder is of; it stands there from the start, with `"digest": null` until all points
//! are done. `points/` has one file for each point that is done, which appears under its name when it is whole. At the
//! end `sweep.csv` gathers them, `scenario.toml` is the scenario's text, and a whole sweep gets a page. Nothing depends
//! on the clock.

use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use enjambre_protocol::crypto;
use enjambre_protocol::id::Digest;
use serde::{Deserialize, Serialize};

use super::{Point, Shard, Sweep, SweepConfig, SweepError};
use crate::output;
use crate::run::RunReport;
use crate::trace::run_digest;

/// The file that says what a folder is of.
pub const MANIFEST: &str = "manifest.json";

/// The file with all rows.
pub const TABLE: &str = "sweep.csv";

/// The scenario's text.
pub const SCENARIO: &str = "scenario.toml";

const POINTS: &str = "points";

/// Version of the files in the folder.
const FORMAT: u32 = 1;

const SCENARIO_LABEL: &str = "enjambre/simulation-sweep-scenario/1";

/// What a folder is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the folder's files.
    pub format: u32,
    /// The program's version.
    pub swarm_sim: String,
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: String,
    /// Digest of the scenario's text.
    pub scenario_digest: String,
    /// The seed.
    pub seed: u64,
    /// Replicates of each point.
    pub replicates: u32,
    /// The swept keys.
    pub axes: Vec<String>,
    /// Points of the whole sweep.
    pub points: usize,
    /// The part of them that is here, as `number/of`.
    pub shard: String,
    /// The digest over the digests of the points that are here, in their order; none while some are missing.
    pub digest: Option<String>,
}

impl Manifest {
    /// What a sweep's folder will say.
    pub(super) fn of(sweep: &Sweep, config: &SweepConfig) -> Self {
        Self {
            format: FORMAT,
            swarm_sim: env!("CARGO_PKG_VERSION").to_owned(),
            scenario: sweep.base.name.clone(),
            engine: sweep.base.engine.name().to_owned(),
            scenario_digest: crypto::digest(SCENARIO_LABEL, &[sweep.text.as_bytes()]).to_string(),
            seed: config.seed,
            replicates: config.replicates,
            axes: sweep.axes.iter().map(|axis| axis.key.clone()).collect(),
            points: sweep.points.len(),
            shard: config.shard.to_string(),
            digest: None,
        }
    }

    /// What differs from another sweep, in the words of the command line.
    pub(super) fn difference(&self, other: &Self) -> Option<String> {
        let pairs = [
            ("scenario", &self.scenario, &other.scenario),
            ("text of the scenario", &self.scenario_digest, &other.scenario_digest),
            ("--seed", &self.seed.to_string(), &other.seed.to_string()),
            ("--replicates", &self.replicates.to_string(), &other.replicates.to_string()),
            ("version of swarm-sim", &self.swarm_sim, &other.swarm_sim),
            ("format", &self.format.to_string(), &other.format.to_string()),
        ];
        let differs = pairs.into_iter().find(|(_, a, b)| a != b);
        differs.map(|(what, a, b)| format!("another {what}: {a}, not {b}"))
    }
}

/// A point that is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Done {
    point: u32,
    values: Vec<String>,
    digest: Digest,
    events: u64,
    /// Rows of the table, without what comes before the metric.
    rows: Vec<String>,
}

/// A sweep's folder.
#[derive(Clone, Debug)]
pub struct SweepFolder {
    path: PathBuf,
}

impl SweepFolder {
    /// The folder at a path. Nothing is read or made yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, SweepError> {
        let path = self.path.join(name);
        match std::fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SweepError::Io { path: path.display().to_string(), source }),
        }
    }

    /// Writes a file that appears under its name when it is whole.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), SweepError> {
        let path = self.path.join(name);
        let half = path.with_extension("part");
        let written = std::fs::write(&half, bytes).and_then(|()| std::fs::rename(&half, &path));
        if written.is_err() {
            // What there was no room for is no help to anyone.
            let _ = std::fs::remove_file(&half);
        }
        written.map_err(|source| SweepError::Io { path: path.display().to_string(), source })
    }

    /// Writes the page about the sweep, which belongs to the folder as the table does.
    pub fn write_page(&self, html: &str) -> Result<(), SweepError> {
        self.write(output::PAGE, html.as_bytes())
    }

    pub(super) fn refused(&self, what: impl Into<String>) -> SweepError {
        SweepError::Folder { folder: self.path.display().to_string(), what: what.into() }
    }

    fn damaged(&self, name: &str) -> SweepError {
        let path = self.path.join(name).display().to_string();
        SweepError::Damaged { path }
    }

    /// Whether both are one place.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let place = |folder: &Self| std::fs::canonicalize(&folder.path).ok();
        self.path == other.path || (place(self).is_some() && place(self) == place(other))
    }

    /// Keeps others from writing to the folder, which is made, until the guard is dropped.
    pub(super) fn locked(&self) -> Result<File, SweepError> {
        let failed = |source| SweepError::Io { path: self.path.display().to_string(), source };
        if self.path.is_file() {
            return Err(self.refused("is a file, not a folder"));
        }
        std::fs::create_dir_all(&self.path).map_err(failed)?;
        let folder = File::open(&self.path).map_err(failed)?;
        match folder.try_lock() {
            Ok(()) => Ok(folder),
            Err(TryLockError::WouldBlock) => {
                Err(self.refused("is being written to by another sweep"))
            }
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// The manifest there, if there is one.
    pub fn manifest(&self) -> Result<Option<Manifest>, SweepError> {
        let Some(bytes) = self.read(MANIFEST)? else { return Ok(None) };
        let read = serde_json::from_slice(&bytes);
        read.map(Some).map_err(|_| self.refused("holds a manifest.json that no sweep wrote"))
    }

    /// Takes up a folder that is empty, or of the same sweep and shard.
    pub(super) fn begin(&self, sweep: &Sweep, config: &SweepConfig) -> Result<(), SweepError> {
        let manifest = Manifest::of(sweep, config);
        if let Some(there) = self.manifest()? {
            if let Some(difference) = there.difference(&manifest) {
                return Err(self.refused(format!("is of {difference}")));
            }
            if there.shard != manifest.shard {
                let (a, b) = (there.shard, manifest.shard);
                return Err(self.refused(format!("is of another shard: {a}, not {b}")));
            }
            return Ok(());
        }
        let points = self.path.join(POINTS);
        let is_empty = match std::fs::read_dir(&self.path) {
            Ok(mut entries) => entries.next().is_none(),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        if !is_empty {
            return Err(self.refused("holds files that no sweep wrote"));
        }
        std::fs::create_dir_all(&points)
            .map_err(|source| SweepError::Io { path: points.display().to_string(), source })?;
        self.write_manifest(&manifest)
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), SweepError> {
        let text = serde_json::to_string_pretty(manifest).unwrap_or_default();
        self.write(MANIFEST, (text + "\n").as_bytes())
    }

    fn name_of(point: u32) -> String {
        format!("{POINTS}/{point:05}.json")
    }

    /// What is on disk of a point.
    pub(super) fn done(&self, point: &Point) -> Result<Option<Done>, SweepError> {
        let name = Self::name_of(point.number);
        let Some(bytes) = self.read(&name)? else { return Ok(None) };
        let done: Option<Done> = serde_json::from_slice(&bytes).ok();
        let same = |done: &Done| done.point == point.number && done.values == point.values;
        let done = done.filter(same);
        done.map(Some).ok_or_else(|| self.damaged(&name))
    }

    /// Whether a point is done.
    pub(super) fn has(&self, point: &Point) -> Result<bool, SweepError> {
        Ok(self.done(point)?.is_some())
    }

    /// Keeps what a point gave.
    pub(super) fn keep(&self, point: &Point, report: &RunReport) -> Result<(), SweepError> {
        self.put(&Done {
            point: point.number,
            values: point.values.clone(),
            digest: report.digest,
            events: report.events,
            rows: report.metrics.iter().map(output::metric_row).collect(),
        })
    }

    pub(super) fn put(&self, done: &Done) -> Result<(), SweepError> {
        let text = serde_json::to_string_pretty(done).unwrap_or_default();
        self.write(&Self::name_of(done.point), (text + "\n").as_bytes())
    }

    /// Gathers the points, all of which are there.
    pub(super) fn complete(
        &self,
        sweep: &Sweep,
        config: &SweepConfig,
    ) -> Result<Manifest, SweepError> {
        let mut table = String::from("point,");
        for axis in &sweep.axes {
            table.push_str(&cell(&axis.key));
            table.push(',');
        }
        table.push_str(output::METRIC_COLUMNS);
        table.push('\n');
        let mut digests = Vec::new();
        for point in sweep.points.iter().filter(|point| config.shard.has(point.number)) {
            let name = Self::name_of(point.number);
            let gone = || self.refused(format!("lost its {name} while the sweep ran"));
            let done = self.done(point)?.ok_or_else(gone)?;
            let values: Vec<String> = done.values.iter().map(|value| cell(value)).collect();
            for row in &done.rows {
                table.push_str(&format!("{},{},{row}\n", point.number, values.join(",")));
            }
            digests.push(done.digest);
        }
        self.write(TABLE, table.as_bytes())?;
        self.write(SCENARIO, sweep.text.as_bytes())?;
        let digest = Some(run_digest(&digests).to_string());
        let manifest = Manifest { digest, ..Manifest::of(sweep, config) };
        self.write_manifest(&manifest)?;
        Ok(manifest)
    }

    /// The scenario and the shard of a folder that is complete.
    pub(crate) fn finished(&self) -> Result<(Manifest, Sweep, Shard), SweepError> {
        let unfinished =
            |what: &str| SweepError::Merge { what: format!("{} {what}", self.path.display()) };
        let manifest = self.manifest()?.ok_or_else(|| unfinished("holds no sweep"))?;
        if manifest.digest.is_none() {
            return Err(unfinished(
                "is of a sweep that was stopped: run it again, it goes on where it was",
            ));
        }
        let text = self.read(SCENARIO)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| unfinished("has no scenario.toml"))?;
        let sweep = Sweep::parse(&self.path.join(SCENARIO).display().to_string(), &text)?;
        let shard = Shard::parse(&manifest.shard).map_err(|what| SweepError::Merge { what })?;
        Ok((manifest, sweep, shard))
    }
}

/// A cell of a CSV file, in quotes where it needs them.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
