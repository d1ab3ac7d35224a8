//! What a sweep leaves in its folder, and how one that was killed goes on.
//!
//! `manifest.json` says what the folder is of; it stands there from the start, with `"digest": null` until all points
//! are done. `points/` has one file for each point that is done, which appears under its name when it is whole. At the
//! end `sweep.csv` gathers them, `scenario.toml` is the scenario's text, and a whole sweep gets a page. Nothing depends
//! on the clock.

use std::fs::{File, TryLockError};
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use enjambre_protocol::crypto;
use enjambre_protocol::id::Digest;
use serde::{Deserialize, Serialize};

use super::{Point, Shard, Sweep, SweepConfig, SweepError};
use crate::output;
use crate::output::SCENARIO;
use crate::output::atomic::{half_of, stranger, write_half};
use crate::output::manifest::plain;
use crate::run::RunReport;
use crate::trace::run_digest;

/// The file that says what a folder is of.
pub const MANIFEST: &str = "manifest.json";

/// The file with all rows.
pub const TABLE: &str = "sweep.csv";

const POINTS: &str = "points";

/// Version of the files in the folder.
const FORMAT: u32 = 2;

const SCENARIO_LABEL: &str = "enjambre/simulation-sweep-scenario/1";
const POINT_LABEL: &str = "enjambre/simulation-sweep-point/1";

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
            scenario_digest: scenario_digest(&sweep.text),
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
        differs.map(|(what, a, b)| format!("another {what}: {}, not {}", plain(a), plain(b)))
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
    /// Over all else here, and what the sweep is of.
    contents: Digest,
}

impl Done {
    fn sealed(mut self, of: &Manifest) -> Self {
        self.contents = self.seal(of);
        self
    }

    fn seal(&self, of: &Manifest) -> Digest {
        let numbers = [u64::from(self.point), self.events, of.seed, of.replicates.into()];
        let numbers = numbers.map(u64::to_le_bytes).concat();
        let words = (&of.swarm_sim, &of.scenario_digest, &self.values, &self.rows);
        let words = serde_json::to_vec(&words).unwrap_or_default();
        crypto::digest(POINT_LABEL, &[&numbers, self.digest.as_bytes(), &words])
    }
}

/// A folder that is complete.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) manifest: Manifest,
    pub(crate) sweep: Sweep,
    pub(crate) shard: Shard,
    done: Vec<Done>,
}

impl Finished {
    /// What its table should say.
    pub(crate) fn table(&self) -> String {
        table(&self.sweep, &self.done)
    }

    /// What its table of runs should say.
    pub(crate) fn runs(&self) -> String {
        runs(&self.sweep, &self.manifest, &self.done)
    }
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
        let half = half_of(&path);
        let written = write_half(&half, bytes).and_then(|()| std::fs::rename(&half, &path));
        if written.is_err() {
            // What there was no room for is no help to anyone.
            let _ = std::fs::remove_file(&half);
        }
        written.map_err(|source| SweepError::Io { path: path.display().to_string(), source })
    }

    /// Writes a file that is made from all points, in place of no other.
    fn write_new(&self, name: &str, bytes: &[u8]) -> Result<(), SweepError> {
        match self.read(name)? {
            Some(there) if there == bytes => Ok(()),
            Some(_) => Err(self.refused(format!("holds a {name} that is not of this sweep"))),
            None => self.write(name, bytes),
        }
    }

    /// Writes the page about the sweep, which belongs to the folder as the table does.
    pub fn write_page(&self, html: &str) -> Result<(), SweepError> {
        self.write_new(output::PAGE, html.as_bytes())
    }

    pub(super) fn refused(&self, what: impl Into<String>) -> SweepError {
        SweepError::Folder { folder: self.path.display().to_string(), what: what.into() }
    }

    fn damaged(&self, name: &str) -> SweepError {
        let path = self.path.join(name).display().to_string();
        SweepError::Damaged { path }
    }

    /// Whether both are one place. Both are there.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let place = |folder: &Self| std::fs::canonicalize(&folder.path).ok();
        place(self) == place(other)
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
                let (a, b) = (plain(&there.shard), manifest.shard);
                return Err(self.refused(format!("is of another shard: {a}, not {b}")));
            }
            return self.make_points();
        }
        let failed = |source| SweepError::Io { path: self.path.display().to_string(), source };
        if let Some(file) = stranger(&self.path).map_err(failed)? {
            return Err(self.refused(format!("holds no sweep, but {file}")));
        }
        self.write_manifest(&manifest)?;
        self.make_points()
    }

    fn make_points(&self) -> Result<(), SweepError> {
        let points = self.path.join(POINTS);
        std::fs::create_dir_all(&points)
            .map_err(|source| SweepError::Io { path: points.display().to_string(), source })
    }

    fn write_manifest(&self, manifest: &Manifest) -> Result<(), SweepError> {
        let text = serde_json::to_string_pretty(manifest).unwrap_or_default();
        self.write(MANIFEST, (text + "\n").as_bytes())
    }

    /// The name of a point's file.
    pub(super) fn name_of(point: u32) -> String {
        format!("{POINTS}/{point:05}.json")
    }

    /// What is on disk of a point of this sweep.
    pub(super) fn done(&self, point: &Point, of: &Manifest) -> Result<Option<Done>, SweepError> {
        let name = Self::name_of(point.number);
        let Some(bytes) = self.read(&name)? else { return Ok(None) };
        let done: Option<Done> = serde_json::from_slice(&bytes).ok();
        let same = |done: &Done| done.point == point.number && done.values == point.values;
        let done = done.filter(|done| same(done) && done.contents == done.seal(of));
        done.map(Some).ok_or_else(|| self.damaged(&name))
    }

    /// Keeps what a point gave.
    pub(super) fn keep(
        &self,
        point: &Point,
        report: &RunReport,
        of: &Manifest,
    ) -> Result<(), SweepError> {
        let done = Done {
            point: point.number,
            values: point.values.clone(),
            digest: report.digest,
            events: report.events,
            rows: report.metrics.iter().map(output::metric_row).collect(),
            contents: report.digest,
        };
        self.put(&done.sealed(of))
    }

    pub(super) fn put(&self, done: &Done) -> Result<(), SweepError> {
        let text = serde_json::to_string_pretty(done).unwrap_or_default();
        self.write(&Self::name_of(done.point), (text + "\n").as_bytes())
    }

    /// All points of a shard.
    fn points(&self, sweep: &Sweep, shard: Shard, of: &Manifest) -> Result<Vec<Done>, SweepError> {
        let mine = sweep.points.iter().filter(|point| shard.has(point.number));
        let read = |point: &Point| {
            let gone = || self.refused(format!("lost its {}", Self::name_of(point.number)));
            self.done(point, of)?.ok_or_else(gone)
        };
        mine.map(read).collect()
    }

    /// Gathers the points, all of which are there.
    pub(super) fn complete(
        &self,
        sweep: &Sweep,
        config: &SweepConfig,
    ) -> Result<Manifest, SweepError> {
        let manifest = Manifest::of(sweep, config);
        let done = self.points(sweep, config.shard, &manifest)?;
        self.write_new(output::RUNS, runs(sweep, &manifest, &done).as_bytes())?;
        self.write_new(TABLE, table(sweep, &done).as_bytes())?;
        self.write_new(SCENARIO, sweep.text.as_bytes())?;
        let manifest = Manifest { digest: Some(digest_of(&done)), ..manifest };
        self.write_manifest(&manifest)?;
        Ok(manifest)
    }

    /// A folder that is complete, and as the sweep left it but for what is made from the points.
    pub(crate) fn finished(&self) -> Result<Finished, SweepError> {
        let unfinished =
            |what: &str| SweepError::Merge { what: format!("{} {what}", self.path.display()) };
        let manifest = self.manifest()?.ok_or_else(|| unfinished("holds no sweep"))?;
        if manifest.format != FORMAT {
            let what = format!("is of format {}, not {FORMAT}: sweep again", manifest.format);
            return Err(unfinished(&what));
        }
        if manifest.digest.is_none() {
            return Err(unfinished(
                "is of a sweep that was stopped: run it again, it goes on where it was",
            ));
        }
        let text = self.read(SCENARIO)?.and_then(|bytes| String::from_utf8(bytes).ok());
        let text = text.ok_or_else(|| unfinished("has no scenario.toml"))?;
        let text_digest = scenario_digest(&text);
        if text_digest != manifest.scenario_digest {
            let expected = format!("the text with digest {}", plain(&manifest.scenario_digest));
            return Err(self.changed(SCENARIO, expected));
        }
        let sweep = Sweep::parse(&self.path.join(SCENARIO).display().to_string(), &text)?;
        let shard = Shard::parse(&manifest.shard)
            .map_err(|what| SweepError::Merge { what: plain(&what) })?;
        let done = self.points(&sweep, shard, &manifest)?;
        let threads = NonZeroUsize::MIN;
        let Manifest { seed, replicates, .. } = manifest;
        let expected = Manifest {
            swarm_sim: manifest.swarm_sim.clone(),
            digest: Some(digest_of(&done)),
            ..Manifest::of(&sweep, &SweepConfig { seed, replicates, threads, shard })
        };
        if expected != manifest {
            let digest = expected.digest.unwrap_or_default();
            let expected = format!("what {SCENARIO} says, and the digest {digest} of all points");
            return Err(self.changed(MANIFEST, expected));
        }
        Ok(Finished { manifest, sweep, shard, done })
    }

    fn changed(&self, name: &str, expected: String) -> SweepError {
        SweepError::Changed { file: self.path.join(name).display().to_string(), expected }
    }
}

fn scenario_digest(text: &str) -> String {
    crypto::digest(SCENARIO_LABEL, &[text.as_bytes()]).to_string()
}

/// The digest over those of the points.
fn digest_of(done: &[Done]) -> String {
    run_digest(&done.iter().map(|done| done.digest).collect::<Vec<_>>()).to_string()
}

/// The table of runs, a point a line.
fn runs(sweep: &Sweep, of: &Manifest, done: &[Done]) -> String {
    let keys = sweep.axes.iter().map(|axis| cell(&axis.column()) + ",");
    let mut table = format!("point,{}{}\n", keys.collect::<String>(), output::RUN_COLUMNS);
    let Manifest { scenario, engine, swarm_sim, seed, replicates, .. } = of;
    for Done { point, values, events, digest, .. } in done {
        let values: String = values.iter().map(|value| cell(value) + ",").collect();
        let run = format!("{scenario},{engine},{swarm_sim},{seed},{replicates},{events},{digest}");
        table.push_str(&format!("{point},{values}{run}\n"));
    }
    table
}

/// The table of all rows.
fn table(sweep: &Sweep, done: &[Done]) -> String {
    let keys = sweep.axes.iter().map(|axis| cell(&axis.column()) + ",");
    let mut table = format!("point,{}{}\n", keys.collect::<String>(), output::METRIC_COLUMNS);
    for done in done {
        let values: Vec<String> = done.values.iter().map(|value| cell(value)).collect();
        for row in &done.rows {
            table.push_str(&format!("{},{},{row}\n", done.point, values.join(",")));
        }
    }
    table
}

/// A cell of a CSV file, in quotes where it needs them.
fn cell(text: &str) -> String {
    if text.contains([',', '"', '\n']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
