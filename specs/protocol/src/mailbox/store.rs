//! What a mailbox needs of a disk: ordered tables and one explicit commit.
//!
//! The trait is narrow and synchronous. Writes are staged and visible to reads at once; nothing is
//! on disk, and nothing may be acknowledged, before [`Store::commit`] returns, and one commit
//! serves everything that was staged before it. How records, indexes and tombstones are laid out
//! in the tables is decided above it, in [`crate::mailbox::Mailboxes`], once for all
//! implementations: in memory ([`super::MemoryStore`]), with injected faults
//! ([`super::FaultyStore`]) and on RocksDB (the node). All pass [`super::conformance`]. Specified
//! in 06 mailbox, section 9.

use core::ops::{Bound, ControlFlow};
use std::collections::BTreeMap;

use crate::id::StoreId;

/// The tables, each an ordered map from bytes to bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// account 33 ‖ namespace 2 ‖ sequence 8 → record and data.
    Messages,
    /// account 33 ‖ namespace 2 ‖ hash 32 → sequence 8.
    ByHash,
    /// minute 4 ‖ table 1 ‖ key in that table → nothing.
    Expiry,
    /// account 33 ‖ namespace 2 ‖ hash 32 → record without data; account 33 ‖ scope 3 → marks.
    Tombstones,
    /// account 33 ‖ token 36 → the owner's latest word on it.
    Revocations,
    /// hash 32 → chunk.
    Chunks,
    /// Counters, usage of accounts.
    Meta,
}

impl Table {
    /// Every table.
    pub const ALL: [Self; 7] = [
        Self::Messages,
        Self::ByHash,
        Self::Expiry,
        Self::Tombstones,
        Self::Revocations,
        Self::Chunks,
        Self::Meta,
    ];

    /// The name, as a database knows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::ByHash => "by-hash",
            Self::Expiry => "expiry",
            Self::Tombstones => "tombstones",
            Self::Revocations => "revocations",
            Self::Chunks => "chunks",
            Self::Meta => "meta",
        }
    }
}

/// Why a store did not do what it was asked. Nothing that was staged is kept after a failed
/// commit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// No room on the disk. What was committed before is safe; the store works again when there
    /// is room.
    #[error("the disk is full: {detail}")]
    Full {
        /// What the disk or the database said.
        detail: String,
    },
    /// The disk or the database failed.
    #[error("the store failed: {detail}")]
    Failed {
        /// What it said.
        detail: String,
    },
    /// A row that this program cannot have written.
    #[error("a row of table {table} is damaged")]
    Damaged {
        /// The table.
        table: &'static str,
    },
}

/// What [`Store::scan`] calls for each row: key and value, in ascending order of keys.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Ordered tables with staged writes and one commit.
pub trait Store {
    /// Names this database; drawn when it was made or restored.
    fn id(&self) -> StoreId;

    /// The value under `key`, staged writes included.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError>;

    /// Visits the rows with `from <= key < to` in ascending order, staged writes included, until
    /// the visitor breaks.
    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError>;

    /// Stages a row.
    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>);

    /// Stages the removal of a row.
    fn remove(&mut self, table: Table, key: &[u8]);

    /// Whether anything is staged.
    fn is_staged(&self) -> bool;

    /// Writes all that is staged, as one, and returns when it would survive a loss of power. After
    /// an error nothing of it is kept, neither staged nor on disk.
    fn commit(&mut self) -> Result<(), StorageError>;

    /// Drops what is staged.
    fn rollback(&mut self);

    /// What is staged from here on can be undone, until the next savepoint, commit or rollback.
    fn savepoint(&mut self);

    /// Drops what was staged since the savepoint.
    fn undo(&mut self);

    /// Whether the disk has room for what is not urgent. While it has none, records are refused
    /// and deletes still work, on the room that is kept for them.
    fn has_room(&self) -> bool;
}

type Key = (Table, Vec<u8>);

/// Staged writes over committed rows: the half of [`Store`] that every implementation shares.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    rows: BTreeMap<Key, Option<Vec<u8>>>,
    /// What the rows staged since the savepoint replaced, oldest first.
    replaced: Vec<Replaced>,
}

#[derive(Clone, Debug)]
struct Replaced {
    key: Key,
    staged: Option<Option<Vec<u8>>>,
}

impl Overlay {
    /// Nothing staged.
    pub const fn new() -> Self {
        Self { rows: BTreeMap::new(), replaced: Vec::new() }
    }

    /// Stages a row, or with `None` the removal of one.
    pub fn stage(&mut self, table: Table, key: &[u8], value: Option<Vec<u8>>) {
        let key = (table, key.to_vec());
        let staged = self.rows.insert(key.clone(), value);
        self.replaced.push(Replaced { key, staged });
    }

    /// What is staged from here on can be undone.
    pub fn savepoint(&mut self) {
        self.replaced.clear();
    }

    /// Drops what was staged since the savepoint.
    pub fn undo(&mut self) {
        for Replaced { key, staged } in self.replaced.drain(..).rev() {
            match staged {
                Some(value) => self.rows.insert(key, value),
                None => self.rows.remove(&key),
            };
        }
    }

    /// What is staged for a key: `None` nothing, `Some(None)` its removal.
    pub fn get(&self, table: Table, key: &[u8]) -> Option<Option<&[u8]>> {
        let row = self.rows.get(&(table, key.to_vec()))?;
        Some(row.as_deref())
    }

    /// Whether nothing is staged.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes everything, in ascending order of table and key.
    pub fn take(&mut self) -> impl Iterator<Item = (Table, Vec<u8>, Option<Vec<u8>>)> + use<> {
        self.replaced.clear();
        core::mem::take(&mut self.rows).into_iter().map(|((table, key), value)| (table, key, value))
    }

    /// Everything staged, in ascending order of table and key.
    pub fn iter(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.rows.iter().map(|((table, key), value)| (*table, key.as_slice(), value.as_deref()))
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        self.rows.clear();
        self.replaced.clear();
    }

    /// Visits staged rows merged with `committed`, which must ascend and lie in the range.
    pub fn merge_scan<K, V, E>(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        committed: impl Iterator<Item = Result<(K, V), E>>,
        visit: &mut Visit<'_>,
    ) -> Result<(), E>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        if from >= to {
            return Ok(());
        }
        let range =
            (Bound::Included((table, from.to_vec())), Bound::Excluded((table, to.to_vec())));
        let mut staged = self.rows.range(range).peekable();
        for row in committed {
            let (key, value) = row?;
            let (key, value) = (key.as_ref(), value.as_ref());
            let mut replaced = false;
            while let Some(((_, staged_key), staged_value)) =
                staged.next_if(|((_, staged_key), _)| staged_key.as_slice() <= key)
            {
                replaced |= staged_key == key;
                if let Some(value) = staged_value
                    && visit(staged_key, value).is_break()
                {
                    return Ok(());
                }
            }
            if !replaced && visit(key, value).is_break() {
                return Ok(());
            }
        }
        for ((_, key), value) in staged {
            if let Some(value) = value
                && visit(key, value).is_break()
            {
                break;
            }
        }
        Ok(())
    }
}
