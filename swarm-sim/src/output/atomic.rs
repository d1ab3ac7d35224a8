//! Files that appear under their names only when all of them are whole.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::folder::{Existing, FolderError};

/// Text that stands near the beginning of every page and drawing of this program.
pub(crate) const MADE: &str = "swarm-sim";

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

/// Writes a half. What stands under its name is taken away, so that no link is followed.
pub(crate) fn write_half(half: &Path, bytes: &[u8]) -> io::Result<()> {
    remove(half)?;
    File::create_new(half)?.write_all(bytes)
}

/// How often a folder may be taken away between being made and being taken: each time, a command that had it was refused.
const TRIES: u32 = 100;

/// Folders that no other command writes to until this is dropped. Those that were made for it and are empty then go.
#[derive(Debug, Default)]
pub struct Locked {
    made: BTreeSet<PathBuf>,
    folders: Vec<File>,
}

impl Locked {
    /// Takes the folders in which these files stand or shall stand; waits for whoever has them.
    pub fn around<'a>(files: impl Iterator<Item = &'a Path>) -> Result<Self, FolderError> {
        let of = |file: &'a Path| match file.parent() {
            Some(parent) if parent.as_os_str().is_empty() => Some(Path::new(".")),
            parent => parent,
        };
        Self::of(files.filter_map(of))
    }

    /// Takes folders, which are made where they are not there; waits for whoever has them.
    pub fn of<'a>(folders: impl Iterator<Item = &'a Path>) -> Result<Self, FolderError> {
        let folders: BTreeSet<&Path> = folders.collect();
        let mut locked = Self::default();
        let mut tries = 0..TRIES;
        loop {
            match locked.take(&folders) {
                Ok(()) => return Ok(locked),
                Err((_, error))
                    if error.kind() == io::ErrorKind::NotFound && tries.next().is_some() => {}
                Err((folder, error)) => return Err(failed(&folder, error)),
            }
        }
    }

    /// Takes folders, or none of them: one that is not there any more once it is taken is not found.
    fn take(&mut self, folders: &BTreeSet<&Path>) -> Result<(), (PathBuf, io::Error)> {
        self.folders.clear();
        let mut places = BTreeSet::new();
        for folder in folders {
            let of_folder = |error| (folder.to_path_buf(), error);
            let is_missing = |at: &&Path| !at.as_os_str().is_empty() && !at.exists();
            let missing: Vec<&Path> = folder.ancestors().take_while(is_missing).collect();
            for at in missing.into_iter().rev() {
                match std::fs::create_dir(at) {
                    Ok(()) => {
                        self.made.insert(at.to_owned());
                    }
                    // Another made it, who takes it away again.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                    Err(error) => return Err(of_folder(error)),
                }
            }
            if !std::fs::metadata(folder).map_err(of_folder)?.is_dir() {
                return Err(of_folder(io::ErrorKind::NotADirectory.into()));
            }
            places.insert(folder.canonicalize().map_err(of_folder)?);
        }
        // All take them in one order, so that none waits for another that waits for it.
        for place in places {
            let file = File::open(&place).and_then(|file| file.lock().map(|()| file));
            let found = file.and_then(|file| match is_at(&file, &place)? {
                true => Ok(file),
                false => Err(io::ErrorKind::NotFound.into()),
            });
            self.folders.push(found.map_err(|error| (place, error))?);
        }
        Ok(())
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // A folder comes before those in it, which go first.
        for folder in self.made.iter().rev() {
            let is_ours = self.folders.iter().any(|own| is_at(own, folder).unwrap_or(false));
            let free = File::open(folder).ok().filter(|at| is_ours || at.try_lock().is_ok());
            if free.is_some() {
                // One that is not empty stays.
                let _ = std::fs::remove_dir(folder);
            }
        }
    }
}

/// Whether a folder that was opened is the one that stands there.
fn is_at(folder: &File, place: &Path) -> io::Result<bool> {
    let (own, there) = (folder.metadata()?, std::fs::metadata(place)?);
    Ok((own.dev(), own.ino()) == (there.dev(), there.ino()))
}

fn failed(file: &Path, source: io::Error) -> FolderError {
    FolderError::Write { folder: file.display().to_string(), source }
}

/// Whether a file is of the kind of what shall replace it: a page or drawing with the name of this program near its
/// beginning, a table of the same columns, or an empty file.
fn is_of_kind(there: &[u8], new: &[u8]) -> bool {
    let starts = |bytes: &[u8]| bytes.get(..bytes.len().min(512)).unwrap_or_default().to_vec();
    let is_made = |bytes: &[u8]| starts(bytes).windows(MADE.len()).any(|w| w == MADE.as_bytes());
    let first_line = |bytes: &[u8]| bytes.split(|byte| *byte == b'\n').next().map(<[u8]>::to_vec);
    match (there.first(), new.first()) {
        (None, _) => true,
        (Some(b'<'), Some(b'<')) => is_made(there),
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
            let written = folder.and_then(|()| write_half(&half_of(&file), text));
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
