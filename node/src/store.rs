//! The mailboxes' store on RocksDB.
//!
//! One column family a table of [`Table`], so that each is tuned for how it is used. Writes are
//! staged in memory and go to the database as one batch, synced, at [`Store::commit`]; the layout
//! of rows is the protocol crate's business. Specified in 06 mailbox, section 9.
//!
//! Rows past their time are removed by the machine's sweep, which also keeps the indexes and
//! counters in step; compaction here drops what was removed, within a day, so that the disk really
//! shrinks, and removes nothing on its own account.
//!
//! # When a write fails
//!
//! Whether a failed batch reached the log is not known, and the database refuses further writes.
//! The store goes on answering reads, and as soon as there is room it opens the database anew,
//! which settles what is in it. The commit that did so reports an error too, so that whoever keeps
//! counters reads them again. What was acknowledged before is not touched by any of this.

mod open;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use enjambre_protocol::id::StoreId;
use enjambre_protocol::mailbox::{Overlay, StorageError, Store, Table, Visit};
use rocksdb::{ColumnFamily, DB, Direction, IteratorMode, ReadOptions, WriteBatch, WriteOptions};

pub use open::OpenError;

/// Free space below which records are refused while deletes still work, unless set: 256 MB, several
/// times what the log and the memory tables may still write.
pub const HEADROOM: u64 = 256_000_000;

/// Whether a commit waits until it is on disk. The feature `unsynced` is for tests only.
const SYNCED: bool = !cfg!(feature = "unsynced");

/// Account and namespace: the prefix by which drawers are found.
const DRAWER: usize = 35;

/// A store on RocksDB.
#[derive(Debug)]
pub struct RocksStore {
    id: StoreId,
    path: PathBuf,
    /// `None` only between a failed write and the next success in opening it.
    db: Option<DB>,
    staged: Overlay,
    headroom: u64,
    /// A write failed, and what is in the log is not known.
    in_doubt: bool,
}

impl RocksStore {
    /// Opens the database in this directory, or makes one.
    ///
    /// # Errors
    ///
    /// When another process has it, when a newer version wrote it, or when the disk fails.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with_headroom(path, HEADROOM)
    }

    /// Like [`Self::open`], keeping this many bytes of the disk for what is urgent.
    ///
    /// # Errors
    ///
    /// See [`Self::open`].
    pub fn open_with_headroom(path: &Path, headroom: u64) -> Result<Self, OpenError> {
        std::fs::create_dir_all(path)
            .map_err(|source| OpenError::Directory { path: path.to_owned(), source })?;
        if !SYNCED {
            tracing::warn!("this build does not sync what it stores: it is for tests only");
        }
        let db = open::database(path)?;
        let id = open::identify(&db)?;
        Ok(Self {
            id,
            path: path.to_owned(),
            db: Some(db),
            staged: Overlay::new(),
            headroom,
            in_doubt: false,
        })
    }

    fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.path)
    }

    fn db(&self) -> Result<&DB, StorageError> {
        let detail = "the database is closed after an error";
        self.db.as_ref().ok_or_else(|| StorageError::Failed { detail: detail.into() })
    }

    /// Opens the database anew after a failed write, if there is room to.
    fn settle(&mut self) -> Result<(), StorageError> {
        if self.free_bytes().is_some_and(|free| free < self.headroom / 4) {
            let detail = "no room to open the database after a failed write";
            return Err(StorageError::Full { detail: detail.into() });
        }
        self.db = None; // Gives up the lock.
        let db = open::database(&self.path).map_err(|error| error.into_storage())?;
        self.db = Some(db);
        self.in_doubt = false;
        Ok(())
    }

    fn write(&mut self) -> Result<(), StorageError> {
        let db = self.db()?;
        let mut batch = WriteBatch::default();
        for (table, key, value) in self.staged.iter() {
            let family = family(db, table)?;
            match value {
                Some(value) => batch.put_cf(family, key, value),
                None => batch.delete_cf(family, key),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(SYNCED);
        db.write_opt(batch, &options).map_err(storage_error)
    }
}

impl Store for RocksStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(row) = self.staged.get(table, key) {
            return Ok(row.map(<[u8]>::to_vec));
        }
        let db = self.db()?;
        db.get_cf(family(db, table)?, key).map_err(storage_error)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        if from >= to {
            return Ok(());
        }
        let db = self.db()?;
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(to);
        if table == Table::Messages && within_drawer(from, to) {
            options.set_prefix_same_as_start(true);
        } else {
            options.set_total_order_seek(true);
        }
        let mode = IteratorMode::From(from, Direction::Forward);
        let rows = db.iterator_cf_opt(family(db, table)?, options, mode);
        self.staged.merge_scan(table, from, to, rows, visit).map_err(storage_error)
    }

    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.staged.stage(table, key, Some(value));
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.staged.stage(table, key, None);
    }

    /// True also while a failed write is unsettled, so that a commit comes and settles it.
    fn is_staged(&self) -> bool {
        self.in_doubt || !self.staged.is_empty()
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        if self.in_doubt {
            self.staged.clear();
            self.settle()?;
            let detail = "the database was opened anew after a failed write; try again";
            return Err(StorageError::Failed { detail: detail.into() });
        }
        if self.staged.is_empty() {
            return Ok(());
        }
        let written = self.write();
        self.staged.clear();
        if let Err(error) = &written {
            tracing::error!(%error, "the store could not write");
            self.in_doubt = true;
        }
        written
    }

    fn rollback(&mut self) {
        self.staged.clear();
    }

    fn savepoint(&mut self) {
        self.staged.savepoint();
    }

    fn undo(&mut self) {
        self.staged.undo();
    }

    fn has_room(&self) -> bool {
        !self.in_doubt && self.free_bytes().is_none_or(|free| free >= self.headroom)
    }
}

/// Bytes that may still be written on the disk of a file or directory, or `None` if it does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

fn family(db: &DB, table: Table) -> Result<&ColumnFamily, StorageError> {
    let detail = "a table is missing";
    db.cf_handle(table.name()).ok_or_else(|| StorageError::Failed { detail: detail.into() })
}

/// Whether a scan stays in one drawer, so that the prefix filter can say that it is empty.
fn within_drawer(from: &[u8], to: &[u8]) -> bool {
    let Some(prefix) = from.get(..DRAWER) else { return false };
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return to <= end.as_slice();
        }
    }
    false
}

/// Tells a full disk from a broken one.
fn storage_error(error: rocksdb::Error) -> StorageError {
    let detail = error.into_string();
    if detail.contains("No space left on device") || detail.contains("Disk quota exceeded") {
        StorageError::Full { detail }
    } else {
        StorageError::Failed { detail }
    }
}
