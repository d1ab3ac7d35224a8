//! Files named in messages that came, fetched or not.

use std::path::{Path, PathBuf};

use rusqlite::{Row, params};

use super::columns::{Col, RowExt};
use super::inbox::InboxKey;
use super::{Change, ROWS_MAX, StoreError, View};

/// A file of a message in the inbox, by its place there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileKey {
    /// The message.
    pub inbox: InboxKey,
    /// The file's place in it, from 0.
    pub place: u32,
}

/// A file named in a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFile {
    /// Its name, made safe.
    pub name: String,
    /// Its size, bytes.
    pub size: u64,
    /// The encoded `FileRef`: key and chunks.
    pub reference: Vec<u8>,
}

/// A file of a message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Which.
    pub key: FileKey,
    /// The file.
    pub file: NewFile,
    /// Where it was saved; none if it was not fetched.
    pub path: Option<PathBuf>,
}

fn file(row: &Row<'_>) -> rusqlite::Result<FileRow> {
    let path: Option<Vec<u8>> = row.get("path")?;
    Ok(FileRow {
        key: FileKey { inbox: InboxKey(row.get("inbox")?), place: row.get("place")? },
        file: NewFile {
            name: row.get("name")?,
            size: row.col("size")?,
            reference: row.get("reference")?,
        },
        path: path.map(path_of),
    })
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(unix)]
fn bytes_of(path: &Path) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().to_vec()
}

#[cfg(not(unix))]
fn bytes_of(path: &Path) -> Vec<u8> {
    path.to_string_lossy().into_owned().into_bytes()
}

impl View<'_> {
    /// The files of a message, in its order.
    pub fn files(&self, inbox: InboxKey) -> Result<Vec<FileRow>, StoreError> {
        let sql = "SELECT * FROM files WHERE inbox = ?1 ORDER BY place LIMIT ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![inbox.0, ROWS_MAX], file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Files not fetched yet, the oldest message's first, at most [`ROWS_MAX`].
    pub fn files_to_fetch(&self) -> Result<Vec<FileRow>, StoreError> {
        let sql = "SELECT * FROM files WHERE path IS NULL ORDER BY inbox, place LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([ROWS_MAX], file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many files were not fetched yet.
    pub fn file_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM files WHERE path IS NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.col("n"))?)
    }
}

impl Change<'_> {
    /// Names a file of a message, behind those that are named already.
    pub fn add_file(&self, inbox: InboxKey, new: &NewFile) -> Result<FileKey, StoreError> {
        let sql = "INSERT INTO files (inbox, place, name, size, reference)
                   SELECT ?1, count(*), ?2, ?3, ?4 FROM files WHERE inbox = ?1
                   RETURNING place";
        let values = params![inbox.0, new.name, Col(new.size), new.reference];
        let mut insert = self.connection.prepare_cached(sql)?;
        let place = insert.query_row(values, |row| row.get(0))?;
        Ok(FileKey { inbox, place })
    }

    /// The file is whole at `path`.
    pub fn file_saved(&self, key: FileKey, path: &Path) -> Result<(), StoreError> {
        let sql = "UPDATE files SET path = ?3 WHERE inbox = ?1 AND place = ?2";
        let values = params![key.inbox.0, key.place, bytes_of(path)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
