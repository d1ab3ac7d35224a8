//! Why there is no scenario to run.

use core::ops::Range;

use super::BUILT_IN;

/// Why a scenario was not loaded. All of them are for the caller to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScenarioError {
    /// Neither a built-in name nor a file.
    #[error("no scenario is called {name}: give a file, or one of {}", names())]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It would not end with as many replicates as were asked for.
    #[error("{scenario}, --replicates: {what}")]
    Replicates {
        /// The scenario.
        scenario: String,
        /// What is wrong.
        what: String,
    },
    /// The file says something that cannot be.
    #[error("{file}, line {line}{}: {what}", in_key(.key.as_deref()))]
    Invalid {
        /// The file.
        file: String,
        /// The line, counted from 1.
        line: usize,
        /// The key on that line, if one stands there.
        key: Option<String>,
        /// What is wrong.
        what: String,
    },
}

impl ScenarioError {
    /// What is wrong at a place of a file's text.
    pub(crate) fn invalid(file: &str, text: &str, at: usize, what: &str) -> Self {
        Fault::new(at..at, what).into_error(file, text)
    }

    /// The key that is to blame, if one is.
    pub(crate) fn key(&self) -> Option<&str> {
        if let Self::Invalid { key, .. } = self { key.as_deref() } else { None }
    }

    /// What is wrong, without where.
    pub(crate) fn what(&self) -> String {
        if let Self::Invalid { what, .. } = self { what.clone() } else { self.to_string() }
    }
}

fn names() -> String {
    BUILT_IN.iter().map(|built_in| built_in.name).collect::<Vec<_>>().join(", ")
}

fn in_key(key: Option<&str>) -> String {
    key.map(|key| format!(", {key}")).unwrap_or_default()
}

/// What is wrong, and where in the text.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: Option<Range<usize>>,
    pub(super) what: String,
}

impl Fault {
    pub(super) fn new(at: Range<usize>, what: impl Into<String>) -> Self {
        Self { at: Some(at), what: what.into() }
    }

    pub(super) fn into_error(self, file: &str, text: &str) -> ScenarioError {
        let start = self.at.map_or(0, |at| at.start).min(text.len());
        let before = text.get(..start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let what = plain(&self.what.lines().collect::<Vec<_>>().join(" "));
        let key = key_at(text, start).map(|key| plain(&key));
        ScenarioError::Invalid { file: file.to_owned(), line, key, what }
    }
}

/// Text that a terminal takes as text, whatever a file says.
fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

impl From<toml::de::Error> for Fault {
    fn from(error: toml::de::Error) -> Self {
        Self { at: error.span(), what: error.message().to_owned() }
    }
}

/// Where the line of a key starts, and its number from 1. A table is found by its header, with or without brackets.
pub(super) fn line_of(text: &str, key: &str) -> Option<(usize, usize)> {
    lines_of(text, key).first().copied()
}

/// The same for all places of a key that may stand in several tables of one name.
pub(super) fn lines_of(text: &str, key: &str) -> Vec<(usize, usize)> {
    let bare = key.trim_matches(['[', ']']);
    let (mut start, mut all) = (0, Vec::new());
    for (line, content) in (1..).zip(text.split_inclusive('\n')) {
        let found = key_at(text, start);
        let found = found.as_deref().map(|found| found.trim_matches(['[', ']']).trim());
        if found == Some(bare) && !content.trim_start().starts_with('#') {
            all.push((start, line));
        }
        start += content.len();
    }
    all
}

/// The key whose value starts at `start`, with the table it stands in.
fn key_at(text: &str, start: usize) -> Option<String> {
    let line_start = text.get(..start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..)?.lines().next()?;
    if line.trim_start().starts_with('[') {
        return Some(line.split('#').next().unwrap_or(line).trim().to_owned());
    }
    let (key, _) = line.split_once('=')?;
    let mut tables = text.get(..line_start)?.lines().rev().filter(|line| line.starts_with('['));
    let table = tables.next().map(|line| line.split(']').next().unwrap_or(line));
    let table = table.map(|line| line.trim_start_matches('[').trim());
    let key = key.trim();
    Some(table.map_or_else(|| key.to_owned(), |table| format!("{table}.{key}")))
}
