//! The folder that a run writes into, which may hold results already.
//!
//! # Invariants
//!
//! - *Nothing lost silently*: a file is replaced only by the same bytes, or, where that was asked for, by a run of the same
//!   scenario if a run wrote it and nobody changed it since. A folder with results of another scenario, or with files but
//!   without a run, is never written to.
//! - *Results keep their manifest*: the same run again finds the same bytes and leaves the manifest as it was, though its
//!   own would say another time.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::RESULTS;
use super::manifest::{MANIFEST, RunManifest};
use crate::run::RunConfig;
use crate::scenario::Scenario;

/// What happens to results of the same scenario that stand in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Existing {
    /// They stay, and the run is refused if it would change them.
    Keep,
    /// They are replaced.
    Replace,
}

/// Why a run's results were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder holds another run of the same scenario.
    #[error(
        "{folder} holds results of {scenario} with --seed {seed} --replicates {replicates}: give another --out, or --overwrite"
    )]
    OtherRun {
        /// The folder.
        folder: String,
        /// The scenario there.
        scenario: String,
        /// The seed there.
        seed: u64,
        /// The number of replicates there.
        replicates: u64,
    },
    /// The folder holds another scenario's results.
    #[error("{folder} holds results of another scenario, {scenario}: give another --out")]
    OtherScenario {
        /// The folder.
        folder: String,
        /// The scenario there.
        scenario: String,
    },
    /// The folder holds something else's manifest.
    #[error(
        "{folder} holds a {MANIFEST} that no run wrote, or that is damaged: give another --out"
    )]
    NotOfARun {
        /// The folder.
        folder: String,
    },
    /// The folder holds files, and no run.
    #[error("{folder} holds no run, but {file}: give another --out")]
    Foreign {
        /// The folder.
        folder: String,
        /// One of the files.
        file: String,
    },
    /// A file that the run needs to replace was not written by a run, or not as it stands.
    #[error(
        "{folder} holds a {file} that no run wrote, or that was changed since: move it away, or give another --out"
    )]
    NotWritten {
        /// The folder.
        folder: String,
        /// The file's name.
        file: String,
    },
    /// The folder holds a file of a name that the run needs, with other contents.
    #[error(
        "{folder} holds a {file} that is not of this run, or of other settings: give another --out, or --overwrite"
    )]
    OtherFile {
        /// The folder.
        folder: String,
        /// The file's name.
        file: String,
    },
    /// A page or a plot of that name has other contents.
    #[error("{file} has other contents: give another --out, or --overwrite")]
    OtherPage {
        /// The file.
        file: String,
    },
    /// A file that is no page, plot or table of this program stands where one should be.
    #[error("{file} is nothing that this command wrote: it is not replaced; give another name")]
    OtherKind {
        /// The file.
        file: String,
    },
    /// A file stands where the folder should be.
    #[error("{file} is a file: give a folder with --out")]
    File {
        /// The file.
        file: String,
    },
    /// The system refused.
    #[error("cannot write to {folder}: {source}")]
    Write {
        /// The folder.
        folder: String,
        /// Why.
        source: io::Error,
    },
}

impl FolderError {
    /// Whether the caller can correct it by naming another folder.
    pub const fn is_refusal(&self) -> bool {
        !matches!(self, Self::Write { .. })
    }

    /// The kind that scripts read.
    pub const fn kind(&self) -> &'static str {
        if self.is_refusal() { "folder" } else { "write" }
    }
}

/// The first name in a folder, by order, that no run or sweep that was killed left there; nothing where there is none, or
/// no folder.
pub(crate) fn stranger(folder: &Path) -> io::Result<Option<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_half = name.starts_with('.') && name.ends_with(".part");
        if !is_half {
            names.push(name);
        }
    }
    Ok(names.into_iter().min())
}

/// Text that stands near the beginning of every page and drawing of this program.
pub(crate) const MADE: &str = "swarm-sim";

/// Whether a file is of the kind of what shall replace it: a page or drawing of this program, a table of the same columns,
/// or a Parquet file.
fn is_of_kind(there: &[u8], new: &[u8]) -> bool {
    let starts = |bytes: &[u8]| bytes.get(..bytes.len().min(512)).unwrap_or_default().to_vec();
    let is_made = |bytes: &[u8]| starts(bytes).windows(MADE.len()).any(|w| w == MADE.as_bytes());
    let first_line = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    match (there.first(), new.first()) {
        (None, _) => true,
        (Some(b'<'), Some(b'<')) => is_made(there),
        _ if new.starts_with(PARQUET) => there.starts_with(PARQUET),
        _ => first_line(there) == first_line(new),
    }
}

/// The first bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";

/// Writes files, or none of them if one would replace another file's contents unasked, or a file of another kind. Each appears
/// under its name only when it is whole.
pub fn write_files<T: AsRef<[u8]>>(
    files: &[(PathBuf, T)],
    existing: Existing,
) -> Result<(), FolderError> {
    let failed = |file: &Path, source| {
        let folder = file.display().to_string();
        FolderError::Write { folder, source }
    };
    for (file, text) in files {
        match std::fs::read(file) {
            Ok(there) if existing == Existing::Keep && there != text.as_ref() => {
                return Err(FolderError::OtherPage { file: file.display().to_string() });
            }
            Ok(there) if there != text.as_ref() && !is_of_kind(&there, text.as_ref()) => {
                return Err(FolderError::OtherKind { file: file.display().to_string() });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed(file, error));
            }
            Ok(_) | Err(_) => {}
        }
    }
    write_whole(files.iter().map(|(file, text)| (file.as_path(), text.as_ref())))
        .map_err(|(file, source)| failed(&file, source))
}

/// Writes all files beside where they shall stand, and gives them their names once all are whole: where there is no
/// room for all, none is there, and no part of one.
fn write_whole<'a>(
    files: impl Iterator<Item = (&'a Path, &'a [u8])>,
) -> Result<(), (PathBuf, io::Error)> {
    let mut halves = Vec::new();
    let mut written = Ok(());
    for (file, text) in files {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let half = file.with_file_name(format!(".{name}.part"));
        let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
        let whole = folder.and_then(|()| std::fs::write(&half, text));
        halves.push((half, file));
        if let Err(error) = whole {
            written = Err((file.to_owned(), error));
            break;
        }
    }
    for (half, file) in &halves {
        if written.is_ok() {
            written = std::fs::rename(half, file).map_err(|error| (file.to_path_buf(), error));
        }
        if written.is_err() {
            // One that was not made is not there.
            let _ = std::fs::remove_file(half);
        }
    }
    written
}

/// A folder into which a run may write.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    existing: Existing,
}

impl Folder {
    /// Looks at what a folder holds before the run's time is spent. Nothing is made yet.
    pub fn open(
        path: &Path,
        existing: Existing,
        scenario: &Scenario,
        config: &RunConfig,
    ) -> Result<Self, FolderError> {
        let folder = Self { path: path.to_owned(), existing };
        if path.is_file() {
            return Err(FolderError::File { file: folder.name() });
        }
        let manifest = folder.manifest()?;
        let foreign = |file| FolderError::Foreign { folder: folder.name(), file };
        let Some(text) = folder.read(RESULTS)? else {
            let stranger = if manifest.is_some() { Ok(None) } else { stranger(path) };
            return match stranger.map_err(|source| folder.failed(source))? {
                Some(file) => Err(foreign(file)),
                None => Ok(folder),
            };
        };
        let found = serde_json::from_slice::<Value>(&text).unwrap_or_default();
        let (Some(name), Some(engine), Some(seed), Some(replicates)) = (
            found["scenario"].as_str(),
            found["engine"].as_str(),
            found["seed"].as_u64(),
            found["replicates"].as_u64(),
        ) else {
            return Err(foreign(RESULTS.to_owned()));
        };
        let place = folder.name();
        let name = name.to_owned();
        if (name.as_str(), engine) != (scenario.name.as_str(), scenario.engine.name()) {
            return Err(FolderError::OtherScenario { folder: place, scenario: name });
        }
        let same = (seed, replicates) == (config.seed, config.replicates.into());
        if existing == Existing::Keep && !same {
            return Err(FolderError::OtherRun { folder: place, scenario: name, seed, replicates });
        }
        if existing == Existing::Replace && !same {
            folder.can_replace(manifest.as_ref(), RESULTS)?;
            for name in manifest.iter().flat_map(|manifest| manifest.files.keys()) {
                folder.can_replace(manifest.as_ref(), name)?;
            }
        }
        Ok(folder)
    }

    /// Holds that a file is gone, or as a run wrote it.
    fn can_replace(&self, manifest: Option<&RunManifest>, name: &str) -> Result<(), FolderError> {
        match self.read(name)? {
            Some(bytes) if !manifest.is_some_and(|manifest| manifest.wrote(name, &bytes)) => {
                Err(FolderError::NotWritten { folder: self.name(), file: name.to_owned() })
            }
            _ => Ok(()),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's manifest that stands there, if there is one.
    fn manifest(&self) -> Result<Option<RunManifest>, FolderError> {
        let Some(bytes) = self.read(MANIFEST)? else { return Ok(None) };
        let found = RunManifest::parse(&bytes);
        found.map(Some).ok_or_else(|| FolderError::NotOfARun { folder: self.name() })
    }

    /// Writes all files of a run and its manifest, or none of them if one would replace another file's contents unasked;
    /// those that are made from results after them. Each appears under its name only when it is whole.
    pub fn write(
        &self,
        results: &[(String, String)],
        manifest: &RunManifest,
        made: &[(String, String)],
    ) -> Result<(), FolderError> {
        // Two runs into one folder come one after the other.
        std::fs::create_dir_all(&self.path).map_err(|source| self.failed(source))?;
        let lock = File::open(&self.path).map_err(|source| self.failed(source))?;
        lock.lock().map_err(|source| self.failed(source))?;
        let there = self.manifest()?;
        let named = || results.iter().chain(made);
        let bytes = named().map(|(name, text)| (name.as_str(), text.as_bytes()));
        let manifest = manifest.clone().beside(bytes);
        let other_digest = there.as_ref().is_some_and(|there| there.digest != manifest.digest);
        if self.existing == Existing::Keep && other_digest {
            return Err(self.other_file(MANIFEST));
        }
        for (name, text) in named() {
            let is_same = self.read(name)?.is_none_or(|there| there == text.as_bytes());
            match self.existing {
                _ if is_same => {}
                Existing::Keep => {
                    // What --overwrite would not replace either is called what it is.
                    self.can_replace(there.as_ref(), name)?;
                    return Err(self.other_file(name));
                }
                Existing::Replace => self.can_replace(there.as_ref(), name)?,
            }
        }
        let mut files: Vec<(PathBuf, String)> =
            named().map(|(name, text)| (self.path.join(name), text.clone())).collect();
        let is_new = there.as_ref().is_none_or(|there| there.files != manifest.files);
        if is_new || self.existing == Existing::Replace {
            files.push((self.path.join(MANIFEST), manifest.to_text()));
        }
        write_whole(files.iter().map(|(file, text)| (file.as_path(), text.as_bytes())))
            .map_err(|(_, source)| self.failed(source))?;
        self.remove_left(there.as_ref(), &manifest)
    }

    /// Removes what the run before this one wrote and this one did not: it would pass for this one's.
    fn remove_left(
        &self,
        before: Option<&RunManifest>,
        now: &RunManifest,
    ) -> Result<(), FolderError> {
        let Some(before) = before else { return Ok(()) };
        for name in before.files.keys().filter(|name| !now.files.contains_key(*name)) {
            if self.read(name)?.is_some_and(|bytes| before.wrote(name, &bytes)) {
                let removed = std::fs::remove_file(self.path.join(name));
                removed.map_err(|source| self.failed(source))?;
            }
        }
        Ok(())
    }

    /// A file's bytes, if there is one.
    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, FolderError> {
        match std::fs::read(self.path.join(name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed(source)),
        }
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
