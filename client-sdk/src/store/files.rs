//! Files named in messages that came, fetched or not.

use std::path::{Path, PathBuf};

use enjambre_protocol::time::Timestamp;
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

/// Whose files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilesFrom {
    /// Those of contacts, which are fetched.
    Contacts,
    /// Those of others, which are not.
    Strangers,
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
    /// Where it was about to be moved to, when this was last tried.
    pub plan: Option<PathBuf>,
    /// Tries that failed.
    pub tries: u32,
    /// Why the last one did.
    pub reason: Option<String>,
    /// When the next may be made.
    pub next_try: Option<Timestamp>,
    /// Whether there is none.
    pub is_ended: bool,
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
        plan: row.get::<_, Option<Vec<u8>>>("plan")?.map(path_of),
        tries: row.get("tries")?,
        reason: row.get("reason")?,
        next_try: row.maybe("next_try")?,
        is_ended: row.get("ended")?,
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

    /// Files that may be fetched now, the oldest message's first, at most [`ROWS_MAX`]: those of
    /// contacts only. What strangers send is fetched for nobody who has not taken them up.
    pub fn files_due(&self, now: Timestamp) -> Result<Vec<FileRow>, StoreError> {
        let sql = "SELECT files.* FROM files JOIN inbox ON inbox.seq = files.inbox
                   JOIN contacts ON contacts.id = inbox.sender
                   WHERE path IS NULL AND ended = 0 AND coalesce(next_try, 0) <= ?1
                   ORDER BY files.inbox, place LIMIT ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![Col(now), ROWS_MAX], file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Files of messages that were shown of which it was not shown what became of them since, at
    /// most [`ROWS_MAX`].
    pub fn files_unshown(&self) -> Result<Vec<FileRow>, StoreError> {
        let sql = "SELECT files.* FROM files JOIN inbox ON inbox.seq = files.inbox
                   WHERE shown = 0 AND read IS NOT NULL ORDER BY files.inbox, place LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([ROWS_MAX], file)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The parts of a file that were fetched before, with their places.
    pub fn file_parts(&self, key: FileKey) -> Result<Vec<(usize, Vec<u8>)>, StoreError> {
        let sql = "SELECT part, bytes FROM file_parts WHERE inbox = ?1 AND place = ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![key.inbox.0, key.place], |row| {
            let part: u32 = row.get("part")?;
            Ok((usize::try_from(part).unwrap_or(usize::MAX), row.get("bytes")?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many files were not fetched yet, and are not given up.
    pub fn file_count(&self, from: FilesFrom) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM files JOIN inbox ON inbox.seq = files.inbox
                   WHERE path IS NULL AND ended = 0
                   AND EXISTS (SELECT 1 FROM contacts WHERE id = inbox.sender) = ?1";
        let is_contact = from == FilesFrom::Contacts;
        Ok(self.connection.prepare_cached(sql)?.query_row([is_contact], |row| row.col("n"))?)
    }

    /// How often each file was tried in vain, in their order.
    #[cfg(test)]
    pub(crate) fn file_tries(&self) -> Result<Vec<u32>, StoreError> {
        let sql = "SELECT tries FROM files ORDER BY inbox, place";
        let mut query = self.connection.prepare_cached(sql)?;
        let tries = query.query_map([], |row| row.get(0))?;
        Ok(tries.collect::<Result<_, _>>()?)
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

    /// The file will be moved to `path`, which has to be absolute.
    pub fn plan_file(&self, key: FileKey, path: &Path) -> Result<(), StoreError> {
        let sql = "UPDATE files SET plan = ?3 WHERE inbox = ?1 AND place = ?2";
        let values = params![key.inbox.0, key.place, bytes_of(path)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// The file was not put where it was planned: what comes to lie there is another.
    pub fn forget_plan(&self, key: FileKey) -> Result<(), StoreError> {
        let sql = "UPDATE files SET plan = NULL WHERE inbox = ?1 AND place = ?2";
        self.connection.prepare_cached(sql)?.execute(params![key.inbox.0, key.place])?;
        Ok(())
    }

    /// A try to fetch the file failed; without a next one it was the last.
    pub fn file_failed(
        &self,
        key: FileKey,
        reason: &str,
        next_try: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE files
                   SET tries = tries + 1, reason = ?3, next_try = ?4, ended = ?4 IS NULL, plan = NULL,
                       shown = 0
                   WHERE inbox = ?1 AND place = ?2";
        let values = params![key.inbox.0, key.place, reason, next_try.map(Col)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        if next_try.is_none() {
            self.forget_parts(key)?;
        }
        Ok(())
    }

    /// The file was not put where it was to go, for a reason on this machine: that is no failure to
    /// fetch it.
    pub fn file_unwritten(
        &self,
        key: FileKey,
        reason: &str,
        next_try: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE files SET reason = ?3, next_try = ?4, plan = NULL, shown = 0
                   WHERE inbox = ?1 AND place = ?2";
        let values = params![key.inbox.0, key.place, reason, Col(next_try)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// A part of a file came, of which others may not.
    pub fn keep_file_part(
        &self,
        key: FileKey,
        part: usize,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO file_parts (inbox, place, part, bytes)
                   VALUES (?1, ?2, ?3, ?4)";
        let part = u32::try_from(part).unwrap_or(u32::MAX);
        let values = params![key.inbox.0, key.place, part, bytes];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    fn forget_parts(&self, key: FileKey) -> Result<(), StoreError> {
        let sql = "DELETE FROM file_parts WHERE inbox = ?1 AND place = ?2";
        self.connection.prepare_cached(sql)?.execute(params![key.inbox.0, key.place])?;
        Ok(())
    }

    /// It was shown what became of the file so far.
    pub fn file_shown(&self, key: FileKey) -> Result<(), StoreError> {
        let sql = "UPDATE files SET shown = 1 WHERE inbox = ?1 AND place = ?2";
        self.connection.prepare_cached(sql)?.execute(params![key.inbox.0, key.place])?;
        Ok(())
    }

    /// The file is whole at `path`.
    pub fn file_saved(&self, key: FileKey, path: &Path) -> Result<(), StoreError> {
        let sql = "UPDATE files SET path = ?3, plan = NULL, reason = NULL, shown = 0
                   WHERE inbox = ?1 AND place = ?2";
        let values = params![key.inbox.0, key.place, bytes_of(path)];
        self.connection.prepare_cached(sql)?.execute(values)?;
        self.forget_parts(key)
    }
}
