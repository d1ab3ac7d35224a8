//! The folder that a run writes into, which may hold results already.
//!
//! # Invariants
//!
//! - *Nothing lost silently*: a file is replaced only by the same bytes, or, where that was asked for, by a run of the same
//!   scenario if a run wrote it and nobody changed it since. A folder with results of another scenario, or with files but
//!   without a run, is never written to.
//! - *Results keep their manifest*: the same run again finds the same bytes and leaves the manifest as it was, though its
//!   own would say another time.
//! - *Killed anywhere, known again*: the manifest gets its name after all that it tells of, and stands whole as
//!   `.manifest.json.part`, the witness, before the first file gets a name. It is written under a third name, and takes the
//!   place of an older witness when all files are whole and nothing that only the older one tells of is left. Whatever a
//!   run that was killed left is told by manifest or witness, and the same run again completes it, however often.

mod error;

use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::atomic::{self, Halves, Locked, half_of, stranger};
use super::manifest::{
    Converted, Fault, MANIFEST, PARQUET_RECORD, ParquetRecord, RunManifest, file_digest,
};
use super::{RESULTS, SCENARIO};
use crate::explain::{Setting, explain};
use crate::run::RunConfig;
use crate::scenario::Scenario;

pub use error::FolderError;

/// What happens to results of the same scenario that stand in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and the run is refused if it would change them.
    Keep,
    /// They are replaced.
    Replace,
}

/// What tells which files a run wrote.
#[derive(Debug, Default)]
struct Witnesses {
    /// The manifest of the run that came to its end.
    whole: Option<RunManifest>,
    /// That of a run that was killed before it gave it its name.
    half: Option<RunManifest>,
    /// Whether a file of that run has its name.
    half_stands: bool,
    /// Of files that were made from the tables.
    parquet: ParquetRecord,
}

impl Witnesses {
    fn runs(&self) -> impl Iterator<Item = &RunManifest> {
        self.whole.iter().chain(&self.half)
    }

    fn wrote(&self, name: &str, bytes: &[u8]) -> bool {
        self.runs().any(|manifest| manifest.wrote(name, bytes)) || self.parquet.wrote(name, bytes)
    }

    /// Names of all files that runs wrote, or that were made from their tables.
    fn names(&self) -> impl Iterator<Item = &String> {
        let is_of_run = |name: &&String| {
            self.runs().any(|manifest| manifest.files.contains_key(&Converted::table_of(name)))
        };
        let made = self.parquet.files.keys().filter(is_of_run);
        self.runs().flat_map(|manifest| manifest.files.keys()).chain(made)
    }
}

/// A folder into which a run may write.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    existing: Existing,
    scenario: Scenario,
    text: String,
    config: RunConfig,
}

impl Folder {
    /// Looks at what a folder holds before the run's time is spent. Nothing is made yet.
    pub fn open(
        path: &Path,
        existing: Existing,
        (scenario, text): (&Scenario, &str),
        config: &RunConfig,
    ) -> Result<Self, FolderError> {
        let (path, scenario, text) = (path.to_owned(), scenario.clone(), text.to_owned());
        let folder = Self { path, existing, scenario, text, config: *config };
        if folder.path.is_file() {
            return Err(FolderError::File { file: folder.name() });
        }
        folder.can_take(&folder.witnesses()?)?;
        Ok(folder)
    }

    /// Holds that the folder holds nothing but a run that may stay or be replaced.
    fn can_take(&self, there: &Witnesses) -> Result<(), FolderError> {
        let foreign = |file| FolderError::Foreign { folder: self.name(), file };
        let is_of = |name: &str, engine: &str| {
            if (name, engine) == (self.scenario.name.as_str(), self.scenario.engine.name()) {
                return Ok(());
            }
            Err(FolderError::OtherScenario { folder: self.name(), scenario: name.to_owned() })
        };
        let runs = || there.whole.iter().chain(there.half.iter().filter(|_| there.half_stands));
        for manifest in runs() {
            is_of(&manifest.scenario, &manifest.engine)?;
        }
        let Some(results) = self.read(RESULTS)? else {
            if runs().next().is_some() {
                return Ok(());
            }
            let stranger = stranger(&self.path).map_err(|source| self.failed(source))?;
            return stranger.map_or(Ok(()), |file| Err(foreign(file)));
        };
        let found = serde_json::from_slice::<Value>(&results).unwrap_or_default();
        let (Some(name), Some(engine), Some(seed), Some(replicates)) = (
            found["scenario"].as_str(),
            found["engine"].as_str(),
            found["seed"].as_u64(),
            found["replicates"].as_u64(),
        ) else {
            return Err(foreign(RESULTS.to_owned()));
        };
        is_of(name, engine)?;
        let differs = if (seed, replicates) == (self.config.seed, self.config.replicates.into()) {
            self.differs(&found)?
        } else {
            Some(format!("--seed {seed} --replicates {replicates}"))
        };
        let Some(with) = differs else { return Ok(()) };
        if self.existing == Existing::Keep {
            let (folder, scenario) = (self.name(), name.to_owned());
            return Err(FolderError::OtherRun { folder, scenario, with });
        }
        self.can_replace(there, RESULTS)?;
        for name in there.names() {
            self.can_replace(there, name)?;
        }
        Ok(())
    }

    /// What results have that another scenario of that name gave.
    fn differs(&self, found: &Value) -> Result<Option<String>, FolderError> {
        let there = found["settings"].as_array().map(Vec::as_slice).unwrap_or_default();
        let here = explain(&self.scenario).settings;
        for Setting { key, .. } in &here {
            // A key may stand there more than once.
            let of_key = here.iter().filter(|setting| setting.key == *key);
            let value = of_key.map(|setting| setting.value.as_str()).collect::<Vec<_>>().join("; ");
            let of_key = there.iter().filter(|setting| setting["key"] == *key);
            let other = of_key.filter_map(|setting| setting["value"].as_str());
            let other = other.collect::<Vec<_>>().join("; ");
            if !there.is_empty() && other != value {
                return Ok(Some(format!("{key} = {other}, not {value}")));
            }
        }
        let other = self.read(SCENARIO)?.filter(|there| there != self.text.as_bytes());
        Ok(other.map(|_| format!("another text in {SCENARIO}")))
    }

    /// Holds that a file is gone, or as a run wrote it.
    fn can_replace(&self, witnesses: &Witnesses, name: &str) -> Result<(), FolderError> {
        match self.read(name)? {
            Some(bytes) if !witnesses.wrote(name, &bytes) => {
                Err(FolderError::NotWritten { folder: self.name(), file: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn witnesses(&self) -> Result<Witnesses, FolderError> {
        let whole = match self.read(MANIFEST)?.map(|bytes| RunManifest::parse(&bytes)) {
            None => None,
            Some(Ok(manifest)) => Some(manifest),
            Some(Err(Fault::OtherFormat(found))) => {
                return Err(FolderError::OtherFormat { folder: self.name(), found });
            }
            Some(Err(Fault::NotOfARun)) => {
                return Err(FolderError::NotOfARun { folder: self.name() });
            }
        };
        // One that is not whole tells of nothing: no file had its name yet.
        let half = self.read_at(&half_of(&self.path.join(MANIFEST))).unwrap_or_default();
        let half = half.and_then(|bytes| RunManifest::parse(&bytes).ok());
        let mut half_stands = false;
        if let Some(half) = &half {
            for name in half.files.keys() {
                half_stands |= self.read(name)?.is_some_and(|bytes| half.wrote(name, &bytes));
            }
        }
        let parquet = self.read(PARQUET_RECORD)?;
        let parquet = parquet.and_then(|bytes| ParquetRecord::parse(&bytes)).unwrap_or_default();
        Ok(Witnesses { whole, half, half_stands, parquet })
    }

    /// Writes all files of a run and its manifest, or none of them if one would replace another file's contents unasked;
    /// those that are made from results after them. Each appears under its name only when all are whole.
    pub fn write(
        &self,
        results: &[(String, String)],
        manifest: &RunManifest,
        made: &[(String, String)],
    ) -> Result<(), FolderError> {
        // Two runs into one folder come one after the other.
        let _lock = Locked::of([self.path.as_path()].into_iter())?;
        let there = self.witnesses()?;
        // What came since it was opened counts as what was there.
        self.can_take(&there)?;
        let named = || results.iter().chain(made);
        let bytes = named().map(|(name, text)| (name.as_str(), text.as_bytes()));
        let manifest = manifest.clone().beside(bytes);
        let other_digest =
            there.whole.as_ref().is_some_and(|there| there.digest != manifest.digest);
        if self.existing == Existing::Keep && other_digest {
            return Err(self.other_file(MANIFEST));
        }
        for (name, text) in named() {
            if self.read(name)?.is_none_or(|there| there == text.as_bytes()) {
                continue;
            }
            // What --overwrite would not replace either is called what it is.
            self.can_replace(&there, name)?;
            if self.existing == Existing::Keep {
                return Err(self.other_file(name));
            }
        }
        for (name, made) in &there.parquet.files {
            if self.is_stale(name, made, &there, &manifest)? {
                self.can_replace(&there, name)?;
            }
        }
        self.remove_halves(&there)?;
        let witness = half_of(&self.path.join(MANIFEST));
        let is_new = there.whole.as_ref().is_none_or(|there| there.files != manifest.files);
        let tells = is_new || self.existing == Existing::Replace;
        let mut files = Vec::new();
        if tells {
            files.push((witness.clone(), manifest.to_text()));
        }
        files.extend(named().map(|(name, text)| (self.path.join(name), text.clone())));
        let files = files.iter().map(|(file, text)| (file.clone(), text.as_bytes()));
        let failed = |(_, source)| self.failed(source);
        let mut halves = Halves::write(files).map_err(failed)?;
        self.remove_strays(&there, &manifest)?;
        if tells {
            halves.name_next().map_err(failed)?;
        }
        let named = halves
            .name_all()
            .map_err(failed)
            .and_then(|()| self.remove_left(&there, &manifest))
            .and_then(|()| {
                if !tells {
                    return self.remove_at(&witness);
                }
                let whole = self.path.join(MANIFEST);
                std::fs::rename(&witness, whole).map_err(|source| self.failed(source))
            });
        if named.is_err() {
            // The witness tells whose the files are that have their names.
            halves.leave();
        }
        named
    }

    /// Removes the halves of runs that were killed. The manifest of one that was killed before a file got its name is
    /// the last of its halves: it tells of the others.
    fn remove_halves(&self, there: &Witnesses) -> Result<(), FolderError> {
        let next = half_of(&half_of(&self.path.join(MANIFEST)));
        let unnamed = self.read_at(&next).unwrap_or_default();
        let unnamed = unnamed.and_then(|bytes| RunManifest::parse(&bytes).ok());
        let of_runs = there.half.iter().chain(&unnamed).flat_map(|of| of.files.keys());
        let others = there.parquet.files.keys().map(String::as_str).chain([PARQUET_RECORD]);
        for name in of_runs.map(String::as_str).chain(others) {
            self.remove_at(&half_of(&self.path.join(name)))?;
        }
        self.remove_at(&next)
    }

    /// Removes files of a run that was killed which this one will not write: the witness that tells whose they are makes
    /// room for this one's next.
    fn remove_strays(&self, there: &Witnesses, now: &RunManifest) -> Result<(), FolderError> {
        let Some(half) = &there.half else { return Ok(()) };
        for name in half.files.keys() {
            let Some(bytes) = self.read(name)? else { continue };
            let is_whole = there.whole.as_ref().is_some_and(|whole| whole.wrote(name, &bytes));
            if half.wrote(name, &bytes) && !is_whole && !now.wrote(name, &bytes) {
                self.remove_at(&self.path.join(name))?;
            }
        }
        Ok(())
    }

    /// Removes what the run before this one wrote and this one did not, and what was made from tables that are no longer
    /// there: it would pass for this one's. What tells of those goes last.
    fn remove_left(&self, there: &Witnesses, now: &RunManifest) -> Result<(), FolderError> {
        let mut stay = there.parquet.clone();
        for (name, made) in &there.parquet.files {
            if self.is_stale(name, made, there, now)? {
                self.can_replace(there, name)?;
                self.remove_at(&self.path.join(name))?;
                stay.files.remove(name);
            }
        }
        for name in there.whole.iter().flat_map(|before| before.files.keys()) {
            let is_left = |bytes: Vec<u8>| there.wrote(name, &bytes);
            if !now.files.contains_key(name) && self.read(name)?.is_some_and(is_left) {
                self.remove_at(&self.path.join(name))?;
            }
        }
        let record = self.path.join(PARQUET_RECORD);
        if stay == there.parquet {
            return Ok(());
        }
        if stay.files.is_empty() {
            return self.remove_at(&record);
        }
        let text = stay.to_text();
        let halves = Halves::write([(record, text.as_bytes())].into_iter());
        let named = halves.and_then(|mut halves| halves.name_all());
        named.map_err(|(_, source)| self.failed(source))
    }

    /// Whether a Parquet file is of a table that is not there, or is another, once a run is done. A table that no run
    /// wrote stays as it is.
    fn is_stale(
        &self,
        name: &str,
        made: &Converted,
        there: &Witnesses,
        now: &RunManifest,
    ) -> Result<bool, FolderError> {
        let table = Converted::table_of(name);
        if let Some(digest) = now.files.get(&table) {
            return Ok(*digest != made.table);
        }
        let stays = |bytes: &Vec<u8>| {
            file_digest(bytes) == made.table && there.runs().all(|run| !run.wrote(&table, bytes))
        };
        Ok(!self.read(&table)?.as_ref().is_some_and(stays))
    }

    /// A file's bytes, if there is one.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        self.read_at(&self.path.join(name))
    }

    fn read_at(&self, file: &Path) -> Result<Option<Vec<u8>>, FolderError> {
        atomic::read(file).map_err(|source| match source.kind() {
            // The folder can be none.
            io::ErrorKind::NotADirectory => self.failed(source),
            _ => FolderError::Read { file: file.display().to_string(), source },
        })
    }

    fn remove_at(&self, file: &Path) -> Result<(), FolderError> {
        atomic::remove(file).map_err(|source| self.failed(source))
    }

    fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// The error of a system that refused.
    pub fn failed(&self, source: io::Error) -> FolderError {
        FolderError::Write { folder: self.name(), source }
    }

    fn other_file(&self, file: &str) -> FolderError {
        FolderError::OtherFile { folder: self.name(), file: file.to_owned() }
    }
}
