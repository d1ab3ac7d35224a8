//! A store in memory, and one that fails on purpose.

use core::convert::Infallible;
use core::ops::Bound;
use std::collections::BTreeMap;

use crate::id::StoreId;
use crate::mailbox::store::{Overlay, StorageError, Store, Table, Visit};

/// Tables in memory: for the simulator and for tests. Its commit cannot fail.
#[derive(Clone, Debug)]
pub struct MemoryStore {
    id: StoreId,
    rows: BTreeMap<(Table, Vec<u8>), Vec<u8>>,
    bytes: usize,
    staged: Overlay,
    growth: usize,
    growth_before: usize,
}

impl MemoryStore {
    /// An empty store of this name.
    pub const fn new(id: StoreId) -> Self {
        Self {
            id,
            rows: BTreeMap::new(),
            bytes: 0,
            staged: Overlay::new(),
            growth: 0,
            growth_before: 0,
        }
    }

    /// Bytes of all committed keys and values.
    pub const fn committed_bytes(&self) -> usize {
        self.bytes
    }
}

impl Store for MemoryStore {
    fn id(&self) -> StoreId {
        self.id
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        if let Some(row) = self.staged.get(table, key) {
            return Ok(row.map(<[u8]>::to_vec));
        }
        Ok(self.rows.get(&(table, key.to_vec())).cloned())
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
        let range =
            (Bound::Included((table, from.to_vec())), Bound::Excluded((table, to.to_vec())));
        let committed = self.rows.range(range).map(|((_, key), value)| Ok((key, value)));
        let done: Result<(), Infallible> =
            self.staged.merge_scan(table, from, to, committed, visit);
        done.map_err(|never| match never {})
    }

    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.growth += key.len() + value.len();
        self.staged.stage(table, key, Some(value));
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.staged.stage(table, key, None);
    }

    fn is_staged(&self) -> bool {
        !self.staged.is_empty()
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        for (table, key, value) in self.staged.take() {
            let key_bytes = key.len();
            let grown = value.as_ref().map_or(0, |value| key_bytes + value.len());
            let old = match value {
                Some(value) => self.rows.insert((table, key), value),
                None => self.rows.remove(&(table, key)),
            };
            self.bytes += grown;
            self.bytes -= old.map_or(0, |value| key_bytes + value.len());
        }
        self.growth = 0;
        Ok(())
    }

    fn rollback(&mut self) {
        self.staged.clear();
        self.growth = 0;
    }

    fn savepoint(&mut self) {
        self.staged.savepoint();
        self.growth_before = self.growth;
    }

    fn undo(&mut self) {
        self.staged.undo();
        self.growth = self.growth_before;
    }

    fn has_room(&self) -> bool {
        true
    }
}

/// A store that fails when told to: a chosen commit, or every one that would exceed a size. After a
/// failed commit it may have to be opened anew, as a database has, which may fail too.
///
/// [`FaultyStore::crash`] is a loss of power: what was not committed is gone.
#[derive(Clone, Debug)]
pub struct FaultyStore {
    inner: MemoryStore,
    commits: u64,
    written: u64,
    fail_at: Option<u64>,
    capacity: Option<usize>,
    headroom: usize,
    /// Failures to open it anew that are still to come, where it is closed after a failed commit.
    closed: Option<u32>,
    close_for: Option<u32>,
}

impl FaultyStore {
    /// A store without faults, yet.
    pub const fn new(id: StoreId) -> Self {
        let inner = MemoryStore::new(id);
        Self {
            inner,
            commits: 0,
            written: 0,
            fail_at: None,
            capacity: None,
            headroom: 0,
            closed: None,
            close_for: None,
        }
    }

    /// Lets the `k`-th commit from now fail, 1 being the next.
    pub const fn fail_commit(&mut self, k: u64) {
        self.fail_at = Some(self.commits + k);
    }

    /// Closes the store with the next failed commit, and lets this many commits after it fail to open it
    /// anew; the one that does fails too, as in a database whose log has to be read again.
    pub const fn close_when_failed(&mut self, failures: u32) {
        self.close_for = Some(failures);
    }

    fn check_open(&self) -> Result<(), StorageError> {
        match self.closed {
            Some(_) => Err(StorageError::Failed { detail: "closed".into() }),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: StorageError) -> Result<(), StorageError> {
        self.inner.rollback();
        self.closed = self.close_for.take();
        Err(error)
    }

    /// Sets the size of the disk, of which the last `headroom` bytes are kept for what is urgent;
    /// `None` makes it endless.
    pub const fn set_capacity(&mut self, capacity: Option<usize>, headroom: usize) {
        self.capacity = capacity;
        self.headroom = headroom;
    }

    /// Loses power: everything that was not committed is gone.
    pub fn crash(&mut self) {
        self.inner.rollback();
    }

    /// Rows and removals staged so far.
    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Commits so far, failed ones included: syncs of a real disk.
    pub const fn commits(&self) -> u64 {
        self.commits
    }
}

impl Store for FaultyStore {
    fn id(&self) -> StoreId {
        self.inner.id()
    }

    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, StorageError> {
        self.check_open()?;
        self.inner.get(table, key)
    }

    fn scan(
        &self,
        table: Table,
        from: &[u8],
        to: &[u8],
        visit: &mut Visit<'_>,
    ) -> Result<(), StorageError> {
        self.check_open()?;
        self.inner.scan(table, from, to, visit)
    }

    fn put(&mut self, table: Table, key: &[u8], value: Vec<u8>) {
        self.written += 1;
        self.inner.put(table, key, value);
    }

    fn remove(&mut self, table: Table, key: &[u8]) {
        self.written += 1;
        self.inner.remove(table, key);
    }

    fn is_staged(&self) -> bool {
        self.closed.is_some() || self.inner.is_staged()
    }

    fn commit(&mut self) -> Result<(), StorageError> {
        self.commits += 1;
        if let Some(failures) = self.closed {
            self.inner.rollback();
            self.closed = failures.checked_sub(1);
            return Err(StorageError::Failed { detail: "opened anew, or not".into() });
        }
        if self.fail_at == Some(self.commits) {
            self.fail_at = None;
            return self.fail(StorageError::Failed { detail: "injected".into() });
        }
        let size = self.inner.bytes + self.inner.growth;
        if self.capacity.is_some_and(|capacity| size > capacity) {
            return self.fail(StorageError::Full { detail: "injected".into() });
        }
        self.inner.commit()
    }

    fn rollback(&mut self) {
        self.inner.rollback();
    }

    fn savepoint(&mut self) {
        self.inner.savepoint();
    }

    fn undo(&mut self) {
        self.inner.undo();
    }

    fn has_room(&self) -> bool {
        let used = self.inner.bytes + self.inner.growth + self.headroom;
        self.closed.is_none() && self.capacity.is_none_or(|capacity| used < capacity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mailbox::conformance;

    const ID: StoreId = StoreId::from_bytes([1; 16]);

    #[test]
    fn memory_store_conforms() {
        conformance::check(|old: Option<MemoryStore>| {
            let mut store = old.unwrap_or_else(|| MemoryStore::new(ID));
            store.rollback();
            store
        });
    }

    #[test]
    fn faulty_store_without_faults_conforms() {
        conformance::check(|old: Option<FaultyStore>| {
            let mut store = old.unwrap_or_else(|| FaultyStore::new(ID));
            store.crash();
            store
        });
    }

    #[test]
    fn chosen_commit_fails_once_and_keeps_nothing() {
        let mut store = FaultyStore::new(ID);
        store.fail_commit(2);
        store.put(Table::Meta, b"a", vec![1]);
        assert_eq!(store.commit(), Ok(()));
        store.put(Table::Meta, b"b", vec![2]);
        assert!(matches!(store.commit(), Err(StorageError::Failed { .. })));
        assert!(!store.is_staged());
        assert_eq!(store.get(Table::Meta, b"b"), Ok(None));
        store.put(Table::Meta, b"b", vec![3]);
        assert_eq!(store.commit(), Ok(()));
        assert_eq!(store.get(Table::Meta, b"b"), Ok(Some(vec![3])));
    }

    #[test]
    fn full_disk_keeps_what_was_committed_and_recovers_with_room() {
        let mut store = FaultyStore::new(ID);
        store.set_capacity(Some(1000), 100);
        store.put(Table::Meta, b"a", vec![0; 850]);
        assert!(store.has_room());
        assert_eq!(store.commit(), Ok(()));
        assert!(store.has_room());
        store.put(Table::Meta, b"b", vec![0; 200]);
        assert!(!store.has_room());
        assert!(matches!(store.commit(), Err(StorageError::Full { .. })));
        assert_eq!(store.get(Table::Meta, b"a").map(|row| row.map(|r| r.len())), Ok(Some(850)));
        store.set_capacity(None, 0);
        store.put(Table::Meta, b"b", vec![0; 200]);
        assert_eq!(store.commit(), Ok(()));
    }
}
