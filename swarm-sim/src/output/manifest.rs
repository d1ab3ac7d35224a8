//! How a run came about: what `results.json` must not say, as it differs between runs that are the same.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use enjambre_protocol::crypto;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::run::RunReport;

/// The file that says how a folder's files came about.
pub const MANIFEST: &str = "manifest.json";

/// The file that says which files were made from the tables beside it.
pub const PARQUET_RECORD: &str = "parquet.json";

/// Version of the file.
const FORMAT: u32 = 2;

const FILE_LABEL: &str = "enjambre/simulation-file/1";

/// What tells it from the manifest of a sweep.
const KIND: &str = "run";

/// How a run came about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunManifest {
    /// Version of the file.
    pub format: u32,
    /// What it is of: `run`.
    pub kind: String,
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: String,
    /// The seed.
    pub seed: u64,
    /// Replicates.
    pub replicates: u32,
    /// The digest of all events.
    pub digest: String,
    /// The program's version.
    pub swarm_sim: String,
    /// Versions of the crates that choose what happens and draw random numbers.
    pub crates: BTreeMap<String, String>,
    /// The compiler's version.
    pub rust: String,
    /// The source's commit, with `-changed` where files differed from it; `unknown` where it was built outside of a
    /// repository.
    pub revision: String,
    /// Threads.
    pub threads: usize,
    /// When the run began, in UTC.
    pub started: String,
    /// How long it took, in seconds, without the writing of files.
    pub seconds: f64,
    /// Digests of the files that were written beside this one, by name: a file that was changed since is known by it.
    pub files: BTreeMap<String, String>,
}

/// Why a manifest is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// No run wrote it, or it is damaged.
    NotOfARun,
    /// A run of another version of the program wrote it, with this version of the file.
    OtherFormat(u64),
}

/// What `parquet` made in a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParquetRecord {
    /// The Parquet files, by name.
    pub files: BTreeMap<String, Converted>,
}

/// A Parquet file and the table that it was made from, which has its name but for the ending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Converted {
    /// Digest of the file: one that was changed since it was made is known by it.
    pub digest: String,
    /// Digest of the table: a file that was made from another one is known by it.
    pub table: String,
}

impl Converted {
    /// A file with these bytes, made from a table with those.
    pub fn of(file: &[u8], table: &[u8]) -> Self {
        Self { digest: file_digest(file), table: file_digest(table) }
    }

    /// The name of the table of a Parquet file.
    pub fn table_of(name: &str) -> String {
        format!("{}.csv", name.strip_suffix(".parquet").unwrap_or(name))
    }
}

impl ParquetRecord {
    /// Reads what was written; nothing if it is no record, or names files that are not Parquet files beside it.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let record: Self = serde_json::from_slice(bytes).ok()?;
        let is_parquet = |name: &String| name.ends_with(".parquet") && is_name(name);
        record.files.keys().all(is_parquet).then_some(record)
    }

    /// Whether a file is as it was made.
    pub fn wrote(&self, name: &str, bytes: &[u8]) -> bool {
        self.files.get(name).is_some_and(|made| made.digest == file_digest(bytes))
    }

    /// As it stands in the file.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

fn digests<'a>(files: impl Iterator<Item = (&'a str, &'a [u8])>) -> BTreeMap<String, String> {
    files.map(|(name, bytes)| (name.to_owned(), file_digest(bytes))).collect()
}

/// Bytes of a file's name at most, so that the name of its half is one too: systems take 255 bytes, and `.NAME.part` has
/// six more.
const NAME_MAX: usize = 249;

/// Whether a file of that name can stand in the folder itself: what is told of files elsewhere is nobody's to remove.
fn is_name(name: &str) -> bool {
    let is_last = Path::new(name).file_name().is_some_and(|last| last == name);
    is_last && name.len() <= NAME_MAX && !name.contains(char::is_control)
}

/// Text that a terminal takes as text, whatever a file says.
pub(crate) fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

fn are_names(files: &BTreeMap<String, String>) -> bool {
    files.keys().all(|name| is_name(name))
}

fn is_of(files: &BTreeMap<String, String>, name: &str, bytes: &[u8]) -> bool {
    files.get(name).is_some_and(|digest| *digest == file_digest(bytes))
}

/// The digest of a file's bytes.
pub(crate) fn file_digest(bytes: &[u8]) -> String {
    crypto::digest(FILE_LABEL, &[bytes]).to_string()
}

impl RunManifest {
    /// Of a run that began at a time and took so long, on so many threads.
    pub fn of(report: &RunReport, threads: usize, started: SystemTime, took: Duration) -> Self {
        let since = started.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let crates = env!("SWARM_SIM_CRATES").split(',').filter_map(|one| one.split_once(' '));
        Self {
            format: FORMAT,
            kind: KIND.to_owned(),
            scenario: report.scenario.clone(),
            engine: report.engine.to_owned(),
            seed: report.seed,
            replicates: report.replicates,
            digest: report.digest.to_string(),
            swarm_sim: env!("CARGO_PKG_VERSION").to_owned(),
            crates: crates.map(|(name, version)| (name.to_owned(), version.to_owned())).collect(),
            rust: env!("SWARM_SIM_RUST").to_owned(),
            revision: env!("SWARM_SIM_REVISION").to_owned(),
            threads,
            started: utc(since.as_secs()),
            seconds: took.as_secs_f64(),
            files: BTreeMap::new(),
        }
    }

    /// Reads what a run wrote.
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let any: Value = serde_json::from_slice(bytes).map_err(|_| Fault::NotOfARun)?;
        match (any["kind"].as_str(), any["format"].as_u64()) {
            (Some(KIND), Some(format)) if format != u64::from(FORMAT) => {
                Err(Fault::OtherFormat(format))
            }
            (Some(KIND), _) => {
                let manifest: Option<Self> = serde_json::from_value(any).ok();
                manifest.filter(|it| are_names(&it.files)).ok_or(Fault::NotOfARun)
            }
            _ => Err(Fault::NotOfARun),
        }
    }

    /// The same beside these files, by name.
    pub fn beside<'a>(self, files: impl Iterator<Item = (&'a str, &'a [u8])>) -> Self {
        Self { files: digests(files), ..self }
    }

    /// Whether a file is as it was written beside this one.
    pub fn wrote(&self, name: &str, bytes: &[u8]) -> bool {
        is_of(&self.files, name, bytes)
    }

    /// As it stands in the file.
    pub fn to_text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// Seconds since 1970 as RFC 3339 writes them. The date is counted in years that begin in March, so that the day that
/// some years have more is the last.
fn utc(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // From 1 March of year 0; 400 years have 146097 days.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Months from March on have 31, 30, 31, 30, 31 days, and again: 153 in five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    let year = era * 400 + year + next;
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_dates_also_around_leap_days() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), expected);
        }
    }
}
