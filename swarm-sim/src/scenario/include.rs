//! Files that take what they do not say themselves from another: `include = "base.toml"`.
//!
//! The whole is one text, which is what a sweep keeps. Errors name the file and the line in which the key stands.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::error::{Fault, line_of, lines_of};
use super::{BUILT_IN, ScenarioError};

/// Files that include each other at most.
const DEPTH: usize = 8;

/// Bytes of a file at most: a sweep of ten thousand values stays far below.
const SIZE_MAX: u64 = 1 << 20;

/// The key that names the file.
const INCLUDE: &str = "include";

/// A scenario's text with all that it includes.
#[derive(Debug)]
pub(crate) struct Whole {
    /// The text.
    pub(crate) text: String,
    /// The files, each with its own text, the first one first.
    parts: Vec<Part>,
}

#[derive(Debug)]
struct Part {
    file: String,
    text: String,
}

impl Part {
    /// Finds a built-in scenario by its name, else reads a file.
    fn read(name_or_file: &str) -> Result<Self, ScenarioError> {
        let file = name_or_file.to_owned();
        if let Some(built_in) = BUILT_IN.iter().find(|b| b.name == name_or_file) {
            return Ok(Self { file, text: built_in.text.to_owned() });
        }
        let path = Path::new(name_or_file);
        if path.extension().is_none() && !path.exists() {
            return Err(ScenarioError::Unknown { name: file });
        }
        let bytes = match read_bounded(path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(ScenarioError::Read { file, source }),
        };
        String::from_utf8(bytes).map(|text| Self { file: file.clone(), text }).map_err(|error| {
            let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
            let what = "expected a scenario as UTF-8 text, which this line is not".to_owned();
            ScenarioError::Invalid { file, line, key: None, what }
        })
    }

    fn invalid(&self, what: &str) -> ScenarioError {
        let at = line_of(&self.text, INCLUDE).map_or(0, |(start, _)| start);
        ScenarioError::invalid(&self.file, &self.text, at, what)
    }

    fn table(&self) -> Result<Table, ScenarioError> {
        toml::from_str(&self.text).map_err(|e| Fault::from(e).into_error(&self.file, &self.text))
    }

    /// Whether it says something about a key itself, wherever it writes the key's table.
    fn says(&self, key: &str) -> bool {
        let Ok(table) = self.table() else { return false };
        let mut names = key.trim_matches(['[', ']']).split('.');
        let first = names.next().and_then(|name| table.get(name));
        names.fold(first, |value, name| value.and_then(|value| value.get(name))).is_some()
    }

    /// The file that it includes: a built-in scenario, or a path from where it stands itself.
    fn included(&self, name: &str) -> String {
        if BUILT_IN.iter().any(|built_in| built_in.name == name) {
            return name.to_owned();
        }
        let folder = Path::new(&self.file).parent().map_or_else(PathBuf::new, Path::to_owned);
        folder.join(name).display().to_string()
    }
}

/// A file's text; one that is no scenario may have no end.
fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let size = File::open(path)?.take(SIZE_MAX + 1).read_to_end(&mut bytes)?;
    if size as u64 > SIZE_MAX {
        return Err(io::Error::other(format!("it has more than {SIZE_MAX} bytes")));
    }
    Ok(bytes)
}

impl Whole {
    /// Reads a built-in scenario or a file, and what it includes.
    pub(crate) fn read(name_or_file: &str) -> Result<Self, ScenarioError> {
        let part = Part::read(name_or_file)?;
        // Only a file that includes another is written anew: its text is what people and digests see.
        let Ok(mut table) = toml::from_str::<Table>(&part.text) else {
            return Ok(Self { text: part.text.clone(), parts: vec![part] });
        };
        let mut parts = vec![part];
        while let Some(value) = table.remove(INCLUDE) {
            let last = &parts[parts.len() - 1];
            let Value::String(name) = value else {
                return Err(last.invalid("expected the name of a file, such as \"base.toml\""));
            };
            let file = last.included(&name);
            if parts.iter().any(|part| part.file == file) || parts.len() > DEPTH {
                let what = format!("{file} includes itself, or more than {DEPTH} files each other");
                return Err(last.invalid(&what));
            }
            let next = match Part::read(&file) {
                Ok(next) => next,
                Err(error) => return Err(last.invalid(&error.to_string())),
            };
            let mut under = next.table()?;
            lay(&mut under, table);
            table = under;
            parts.push(next);
        }
        let text = match &parts[..] {
            [only] => only.text.clone(),
            _ => toml::to_string(&table).unwrap_or_default(),
        };
        Ok(Self { text, parts })
    }

    /// An error about the whole text as one about the file in which the key stands.
    pub(crate) fn located(&self, error: ScenarioError) -> ScenarioError {
        let ScenarioError::Invalid { key: Some(key), what, line, .. } = &error else {
            return error;
        };
        if self.parts.len() < 2 {
            return error;
        }
        // The first that says it is the one whose word holds.
        let first = self.parts.iter().find(|part| part.says(key));
        let parts = first.map_or(&self.parts[..], core::slice::from_ref);
        // Of several tables of one name, which.
        let earlier = lines_of(&self.text, key).iter().filter(|(_, at)| at < line).count();
        // A table that stands in one line of a file may be many lines of the whole.
        let mut wanted = key.as_str();
        loop {
            for part in parts {
                let lines = lines_of(&part.text, wanted);
                if let Some((_, line)) = lines.get(earlier).or(lines.first()).copied() {
                    let (file, key, what) = (part.file.clone(), Some(key.clone()), what.clone());
                    return ScenarioError::Invalid { file, line, key, what };
                }
            }
            let shorter = wanted.trim_matches(['[', ']']).rsplit_once('.');
            let Some((table, _)) = shorter else { return error };
            wanted = table;
        }
    }
}

/// Lays one table over another: what it says holds, table by table.
fn lay(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => lay(below, above),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}
