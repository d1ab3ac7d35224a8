//! Files that appear under their names only when all of them are whole.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use super::folder::{Existing, FolderError};

/// Text that stands near the beginning of every page and drawing of this program.
pub(crate) const MADE: &str = "swarm-sim";

/// The first bytes of a Parquet file.
const PARQUET: &[u8] = b"PAR1";

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

/// Where a file is written before it gets its name: `.NAME.part`. A file of such a name has one too: `.NAME.new.part`.
pub(crate) fn half_of(file: &Path) -> PathBuf {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let of_half = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(".part"));
    file.with_file_name(match of_half {
        Some(of) => format!(".{of}.new.part"),
        None => format!(".{name}.part"),
    })
}

/// The bytes of a file, if there is one.
pub(crate) fn read(file: &Path) -> io::Result<Option<Vec<u8>>> {
    match std::fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Removes a file, if there is one.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes a folder, and keeps other writers out of it until the guard is dropped: they wait.
pub(crate) fn locked(folder: &Path) -> io::Result<File> {
    std::fs::create_dir_all(folder)?;
    let file = File::open(folder)?;
    file.lock()?;
    Ok(file)
}

/// Folders that no other command writes to.
#[derive(Debug)]
pub struct Locked {
    _folders: Vec<File>,
}

impl Locked {
    /// Takes the folders in which these files stand or shall stand; waits for whoever has them. A folder that is yet to be
    /// made holds nothing that anyone writes to.
    pub fn around<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Self, FolderError> {
        let mut places = BTreeSet::new();
        for file in files {
            let folder = match file.parent() {
                Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
                Some(parent) => parent,
                None => continue,
            };
            if folder.is_dir() {
                places.insert(folder.canonicalize().map_err(|source| failed(folder, source))?);
            }
        }
        // All take them in one order, so that none waits for another that waits for it.
        let take = |place: &PathBuf| locked(place).map_err(|source| failed(place, source));
        Ok(Self { _folders: places.iter().map(take).collect::<Result<_, _>>()? })
    }
}

fn failed(file: &Path, source: io::Error) -> FolderError {
    FolderError::Write { folder: file.display().to_string(), source }
}

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

/// Writes files, or none of them if one would replace another file's contents unasked, or a file of another kind. Each appears
/// under its name only when it is whole.
pub fn write_files<T: AsRef<[u8]>>(
    files: &[(PathBuf, T)],
    existing: Existing,
    _: &Locked,
) -> Result<(), FolderError> {
    for (file, text) in files {
        match read(file).map_err(|source| failed(file, source))? {
            Some(there) if existing == Existing::Keep && there != text.as_ref() => {
                return Err(FolderError::OtherPage { file: file.display().to_string() });
            }
            Some(there) if there != text.as_ref() && !is_of_kind(&there, text.as_ref()) => {
                return Err(FolderError::OtherKind { file: file.display().to_string() });
            }
            Some(_) | None => {}
        }
    }
    let files = files.iter().map(|(file, text)| (file.clone(), text.as_ref()));
    let named = Halves::write(files).and_then(|mut halves| halves.name_all());
    named.map_err(|(file, source)| failed(&file, source))
}

/// Files that are whole and do not have their names yet. Those that never get them are removed.
#[derive(Debug, Default)]
pub(crate) struct Halves(Vec<PathBuf>);

impl Halves {
    /// Writes all files beside where they shall stand: where there is no room for all, no part of one is left.
    pub(crate) fn write<'a>(
        files: impl Iterator<Item = (PathBuf, &'a [u8])>,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let mut halves = Self::default();
        for (file, text) in files {
            let folder = file.parent().map_or(Ok(()), std::fs::create_dir_all);
            halves.0.push(file.clone());
            let written = folder.and_then(|()| std::fs::write(half_of(&file), text));
            written.map_err(|error| (file, error))?;
        }
        Ok(halves)
    }

    /// Leaves those without names where they are.
    pub(crate) fn leave(&mut self) {
        self.0.clear();
    }

    /// Gives all of them their names, in order.
    pub(crate) fn name_all(&mut self) -> Result<(), (PathBuf, io::Error)> {
        while !self.0.is_empty() {
            self.name_next()?;
        }
        Ok(())
    }

    /// Gives the first of them its name, if there is one.
    pub(crate) fn name_next(&mut self) -> Result<(), (PathBuf, io::Error)> {
        let Some(file) = self.0.first() else { return Ok(()) };
        std::fs::rename(half_of(file), file).map_err(|error| (file.clone(), error))?;
        self.0.remove(0);
        Ok(())
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        for file in &self.0 {
            // One that was not made is not there.
            let _ = remove(&half_of(file));
        }
    }
}
