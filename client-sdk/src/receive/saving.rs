//! Files that came, written under a free name: whole or not at all, and once.
//!
//! A file is written under a name that nobody takes for it, is synced, and moved to its own by a
//! rename that replaces nothing. Where it will be moved is written down between the two: after the
//! death of the process at any moment the next call knows whether it is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use enjambre_protocol::crypto::digest;
use enjambre_protocol::id::to_hex;

use crate::error::{Error, ErrorKind};
use crate::store::{FileRow, Store, StoreError};

/// Bytes of a numbered file's name without its number: 255, less ` (999).`.
const NAME_MAX: usize = 248;

/// Bytes of what counts as an extension: a longer one would leave no room for a number.
const EXTENSION_MAX: usize = 32;

/// Names that are tried for one file.
const NAMES_MAX: usize = 1000;

const DRAFT_LABEL: &str = "enjambre/file-draft/1";

/// Where a file is that was moved to its place by a process that died before it had said so.
pub(super) fn found(row: &FileRow) -> Option<PathBuf> {
    let path = row.plan.as_ref()?;
    let draft = path.parent()?.join(draft_name(row));
    let is_whole = fs::symlink_metadata(path)
        .is_ok_and(|found| found.is_file() && found.len() == row.file.size);
    if is_whole && is_same(&draft, path) {
        let _ = fs::remove_file(&draft); // The second name of the file is of no use.
    }
    (is_whole && fs::symlink_metadata(&draft).is_err()).then(|| path.clone())
}

/// Why a file was not saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    /// It cannot be written where it was to go.
    #[error(transparent)]
    Unwritable(Error),
    /// The home's own store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes a file below `dir`: never over another, with a number if the name is taken.
pub(super) fn save(
    store: &Store,
    row: &FileRow,
    dir: &Path,
    content: &[u8],
) -> Result<PathBuf, SaveError> {
    let unwritable = |error: io::Error| {
        let text =
            format!("`{}` cannot be written ({error}): choose another --save", dir.display());
        SaveError::Unwritable(Error::new(ErrorKind::File, text).with_source(error))
    };
    if let Some(before) = row.plan.as_ref().and_then(|plan| plan.parent()) {
        // Of a try that did not end, maybe in another folder. Without its draft the plan says nothing.
        store.write(|change| change.forget_plan(row.key))?;
        let _ = fs::remove_file(before.join(draft_name(row)));
    }
    fs::create_dir_all(dir).map_err(unwritable)?;
    let full = std::path::absolute(dir).map_err(unwritable)?;
    let draft = full.join(draft_name(row));
    let put = || {
        // A plan without a draft means that the file was moved: the draft is there to stay first.
        write_draft(&draft, content).and_then(|()| sync_dir(&full)).map_err(unwritable)?;
        for name in names(&row.file.name) {
            let path = full.join(&name);
            if fs::symlink_metadata(&path).is_ok() {
                continue;
            }
            store.write(|change| change.plan_file(row.key, &path))?;
            match move_in(&draft, &path) {
                Ok(()) => {
                    if let Err(error) = sync_dir(&full) {
                        tracing::warn!(%error, "a file is saved, maybe not for good");
                    }
                    let path = dir.join(name);
                    store.write(|change| change.file_saved(row.key, &path))?;
                    return Ok(path);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unwritable(error)),
            }
        }
        let text = format!(
            "`{}` holds a thousand files called `{}`: choose another --save",
            dir.display(),
            row.file.name
        );
        Err(SaveError::Unwritable(Error::new(ErrorKind::File, text)))
    };
    let saved = put();
    if let Err(SaveError::Unwritable(_)) = saved {
        // The error that is told came first.
        let _ = fs::remove_file(&draft);
    }
    saved
}

/// The name of a file that is not whole: the same for every try, hidden, and nobody else's.
fn draft_name(row: &FileRow) -> String {
    let digest = digest(DRAFT_LABEL, &[&row.file.reference]);
    format!(".enjambre-{}.part", to_hex(&digest.as_bytes()[..8]))
}

/// The name, then the same with numbers.
fn names(name: &str) -> impl Iterator<Item = String> {
    let ended = name.rsplit_once('.').filter(|(_, extension)| extension.len() <= EXTENSION_MAX);
    let (stem, extension) = ended.map_or((name, None), |(s, e)| (s, Some(e)));
    // Room for the number within what file systems take.
    let stem_end = stem.floor_char_boundary(NAME_MAX.saturating_sub(extension.map_or(0, str::len)));
    let short = &stem[..stem_end];
    (0..NAMES_MAX).map(move |number| match (number, extension) {
        (0, _) => name.to_owned(),
        (number, Some(extension)) => format!("{short} ({number}).{extension}"),
        (number, None) => format!("{short} ({number})"),
    })
}

/// Writes a file anew and has it on disk.
fn write_draft(path: &Path, content: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// Moves a file to a name that is free; `AlreadyExists` if it is not.
fn move_in(draft: &Path, path: &Path) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        match renameat_with(CWD, draft, CWD, path, RenameFlags::NOREPLACE) {
            // A file system without such a rename.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
            moved => return moved.map_err(io::Error::from),
        }
    }
    // A second name is never one that is there.
    fs::hard_link(draft, path)?;
    fs::remove_file(draft)
}

/// Whether two names are of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        let file = |path| fs::symlink_metadata(path).map(|found| (found.dev(), found.ino())).ok();
        file(one).is_some_and(|one| Some(one) == file(other))
    }
    #[cfg(not(unix))]
    {
        let _ = (one, other);
        false
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(dir)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = dir;
    Ok(())
}

#[cfg(test)]
mod tests;
