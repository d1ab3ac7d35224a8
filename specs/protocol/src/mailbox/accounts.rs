//! Mailboxes on a store: tables, indexes, shares, and what a write does to them.
//!
//! Every method either does all it says, staged, or stages nothing and says why not. The one who
//! owns it commits. A row is written with its entries in the indexes or not at all, because one
//! commit holds both.

mod changes;
mod chunks;
mod read;
mod sweep;

pub use sweep::Swept;

use serde::{Deserialize, Serialize};

use crate::identity::AccountId;
use crate::mailbox::layout::{self, COUNTERS_KEY, Row};
use crate::mailbox::{
    MailboxError, NamespaceClass, Payload, RangeMarks, Record, RecordKey, RecordSeq, Scope,
    StorageError, Store, Table,
};
use crate::time::Timestamp;

/// What an index entry and its key cost, bytes, counted with each row.
const ROW_COST: u64 = 200;

/// The share of one account in namespaces of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// Bytes, rows with their indexes.
    pub bytes: u64,
    /// Rows, tombstones included.
    pub rows: u64,
}

/// What accounts and the node may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quotas {
    /// Of one account in its inboxes. 64 MiB, 20 000 rows unless set.
    pub inbox: Quota,
    /// Of one account in its outboxes. 4 MiB, 64 rows unless set.
    pub outbox: Quota,
    /// Of one account in its own namespaces. 64 MiB, 20 000 rows unless set.
    pub own: Quota,
    /// Of the node, all messages. 16 GiB unless set.
    pub messages_bytes: u64,
    /// Of the node, all chunks. 4 GiB unless set.
    pub chunks_bytes: u64,
}

impl Default for Quotas {
    fn default() -> Self {
        let drawer = Quota { bytes: 64 << 20, rows: 20_000 };
        Self {
            inbox: drawer,
            outbox: Quota { bytes: 4 << 20, rows: 64 },
            own: drawer,
            messages_bytes: 16 << 30,
            chunks_bytes: 4 << 30,
        }
    }
}

impl Quotas {
    const fn of(&self, class: NamespaceClass) -> Quota {
        match class {
            NamespaceClass::Inbox => self.inbox,
            NamespaceClass::Outbox => self.outbox,
            NamespaceClass::Own => self.own,
        }
    }
}

/// What is stored, in numbers that name nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Records with data.
    pub messages: u64,
    /// Their rows with tombstones and indexes, bytes.
    pub messages_bytes: u64,
    /// Records without data: tombstones and early operations.
    pub tombstones: u64,
    /// Chunks.
    pub chunks: u64,
    /// Their rows, bytes.
    pub chunks_bytes: u64,
    /// The last sequence number given.
    last: RecordSeq,
}

/// What one account uses in one class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Usage {
    bytes: u64,
    rows: u64,
}

/// What a member knows of a record, and where it keeps it.
#[derive(Debug, Default)]
struct Known {
    record: Record,
    place: Place,
}

#[derive(Debug, Default)]
enum Place {
    #[default]
    Nowhere,
    /// Visible, with its data.
    Message { seq: RecordSeq, data: Payload, cost: u64 },
    /// Without data.
    Shadow { cost: u64 },
}

/// A record with its name.
#[derive(Debug)]
struct Keyed {
    key: RecordKey,
    known: Known,
}

impl Known {
    const fn cost(&self) -> u64 {
        match self.place {
            Place::Nowhere => 0,
            Place::Message { cost, .. } | Place::Shadow { cost } => cost,
        }
    }
}

/// A record after a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kept {
    /// When it goes.
    pub expiry: Timestamp,
    /// When it was last accepted.
    pub accepted_at: Timestamp,
}

/// All mailboxes of a member, on a store.
#[derive(Debug)]
pub struct Mailboxes<S> {
    store: S,
    quotas: Quotas,
    counters: Counters,
    committed: Counters,
}

impl<S: Store> Mailboxes<S> {
    /// Opens what is on `store`.
    pub fn open(store: S, quotas: Quotas) -> Result<Self, StorageError> {
        let counters = counters(&store)?;
        Ok(Self { store, quotas, counters, committed: counters })
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// The store, for what only its own kind can do.
    pub const fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }

    /// The store, given back.
    pub fn into_store(self) -> S {
        self.store
    }

    /// What is stored, staged writes included.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Writes all that is staged. After an error nothing of it is kept.
    pub fn commit(&mut self) -> Result<(), StorageError> {
        if !self.store.is_staged() {
            return Ok(());
        }
        if self.counters != self.committed {
            let row = crate::wire::encode(&self.counters);
            self.store.put(Table::Meta, COUNTERS_KEY, row);
        }
        match self.store.commit() {
            Ok(()) => {
                self.committed = self.counters;
                Ok(())
            }
            Err(error) => {
                // What a failed write left behind is for the store to say.
                self.committed = counters(&self.store).unwrap_or(self.committed);
                self.rollback();
                Err(error)
            }
        }
    }

    /// Drops what is staged.
    pub fn rollback(&mut self) {
        self.store.rollback();
        self.counters = self.committed;
    }

    /// Keeps a record, or joins what is said of it to what is known.
    pub fn keep(
        &mut self,
        now: Timestamp,
        key: &RecordKey,
        stated: Record,
        data: &[u8],
    ) -> Result<Kept, MailboxError> {
        let known = self.known(key)?;
        let marks = self.marks(key)?;
        let incoming = stated.owner_signed_at();
        let is_new = !matches!(known.place, Place::Message { .. });
        let record = known.record.clone().merge(stated).shortened(&marks);
        let class = key.namespace.class();
        let kept = match (record.expiry(), record.accepted_at()) {
            (Some(expiry), Some(accepted_at)) if expiry > now => Kept { expiry, accepted_at },
            _ => return Err(MailboxError::Deleted),
        };
        if record.is_deleted() || record.is_covered(&marks, class) {
            return Err(MailboxError::Deleted);
        }
        let data = data.to_vec().into();
        let row = crate::wire::encode(&Row { hash: key.hash, record, data });
        let replaced = match class {
            NamespaceClass::Outbox => self.outranked(key, incoming)?,
            NamespaceClass::Inbox | NamespaceClass::Own => None,
        };
        if is_new {
            let freed = replaced.as_ref().map_or(0, |keyed| keyed.known.cost());
            self.admit(key, row.len() as u64 + ROW_COST, freed)?;
        }
        if let Some(old) = replaced {
            self.forget(&old.key, &old.known)?;
        }
        self.write_message(key, &known, row, kept.expiry)?;
        Ok(kept)
    }

    /// What stands in the outbox that `key` is for, if `key` replaces it.
    fn outranked(
        &self,
        key: &RecordKey,
        signed_at: Option<Timestamp>,
    ) -> Result<Option<Keyed>, MailboxError> {
        let Some(current) = self.first_of(&key.account, key.namespace)? else { return Ok(None) };
        if current.key.hash == key.hash {
            return Ok(None); // The same value again: joined, not replaced.
        }
        let newest = current.known.record.owner_signed_at();
        if (newest, current.key.hash) > (signed_at, key.hash) {
            return Err(MailboxError::Superseded { newest: newest.unwrap_or_default() });
        }
        Ok(Some(current))
    }

    /// Whether a new row fits the account's share, the node's, and the disk.
    fn admit(&self, key: &RecordKey, cost: u64, freed: u64) -> Result<(), MailboxError> {
        if !self.store.has_room() {
            return Err(MailboxError::Disk);
        }
        let class = key.namespace.class();
        let quota = self.quotas.of(class);
        let usage = self.usage(&key.account, class)?;
        let bytes = usage.bytes.saturating_sub(freed).saturating_add(cost);
        if bytes > quota.bytes || usage.rows >= quota.rows {
            return Err(MailboxError::Quota);
        }
        let total = self.counters.messages_bytes.saturating_add(cost);
        if total > self.quotas.messages_bytes {
            return Err(MailboxError::Disk);
        }
        Ok(())
    }

    fn known(&self, key: &RecordKey) -> Result<Known, StorageError> {
        let by_hash = layout::by_hash(key);
        if let Some(seq) = self.store.get(Table::ByHash, &by_hash)? {
            let damaged = StorageError::Damaged { table: Table::ByHash.name() };
            let seq = seq.try_into().map(u64::from_be_bytes).map_err(|_| damaged.clone())?;
            let seq = RecordSeq::new(seq);
            let place = layout::message(&key.account, key.namespace, seq);
            let bytes = self.store.get(Table::Messages, &place)?.ok_or(damaged)?;
            let cost = bytes.len() as u64 + ROW_COST;
            let Row { record, data, .. } = layout::read(Table::Messages, &bytes)?;
            return Ok(Known { record, place: Place::Message { seq, data, cost } });
        }
        let Some(bytes) = self.store.get(Table::Tombstones, &by_hash)? else {
            return Ok(Known::default());
        };
        let cost = bytes.len() as u64 + ROW_COST;
        let record = layout::read(Table::Tombstones, &bytes)?;
        Ok(Known { record, place: Place::Shadow { cost } })
    }

    fn marks_of(&self, account: &AccountId, scope: Scope) -> Result<RangeMarks, StorageError> {
        match self.store.get(Table::Tombstones, &layout::marks(account, scope))? {
            Some(bytes) => layout::read(Table::Tombstones, &bytes),
            None => Ok(RangeMarks::default()),
        }
    }

    /// The range operations that reach a record.
    fn marks(&self, key: &RecordKey) -> Result<RangeMarks, StorageError> {
        let one = self.marks_of(&key.account, Scope::One(key.namespace))?;
        Ok(one.merge(self.marks_of(&key.account, Scope::All)?))
    }

    /// Writes a visible record in the place it has, or a new one.
    fn write_message(
        &mut self,
        key: &RecordKey,
        known: &Known,
        row: Vec<u8>,
        expiry: Timestamp,
    ) -> Result<(), StorageError> {
        let old = match known.place {
            Place::Message { seq, .. } => Some(seq),
            Place::Nowhere | Place::Shadow { .. } => None,
        };
        self.forget(key, known)?;
        let seq = old.unwrap_or_else(|| {
            self.counters.last = self.counters.last.next();
            self.counters.last
        });
        let place = layout::message(&key.account, key.namespace, seq);
        let cost = row.len() as u64 + ROW_COST;
        self.store.put(Table::Messages, &place, row);
        let seq_bytes = seq.number().to_be_bytes().to_vec();
        self.store.put(Table::ByHash, &layout::by_hash(key), seq_bytes);
        self.store.put(Table::Expiry, &layout::expiry(expiry, Table::Messages, &place), Vec::new());
        self.counters.messages += 1;
        self.charge(&key.account, key.namespace.class(), Charge::Comes(cost))
    }

    /// Writes what is known of a record that has no data.
    fn write_shadow(&mut self, key: &RecordKey, record: &Record) -> Result<(), StorageError> {
        let place = layout::by_hash(key);
        let bytes = crate::wire::encode(record);
        let cost = bytes.len() as u64 + ROW_COST;
        let until = record.remembered_until();
        self.store.put(Table::Tombstones, &place, bytes);
        let index = layout::expiry(until, Table::Tombstones, &place);
        self.store.put(Table::Expiry, &index, Vec::new());
        self.counters.tombstones += 1;
        self.charge(&key.account, key.namespace.class(), Charge::Comes(cost))
    }

    /// Removes a record's rows and index entries, whichever it has.
    fn forget(&mut self, key: &RecordKey, known: &Known) -> Result<(), StorageError> {
        let class = key.namespace.class();
        let by_hash = layout::by_hash(key);
        match known.place {
            Place::Nowhere => Ok(()),
            Place::Message { seq, cost, .. } => {
                let place = layout::message(&key.account, key.namespace, seq);
                let expiry = known.record.expiry().unwrap_or_default();
                self.store.remove(Table::Messages, &place);
                self.store.remove(Table::ByHash, &by_hash);
                self.store.remove(Table::Expiry, &layout::expiry(expiry, Table::Messages, &place));
                self.counters.messages = self.counters.messages.saturating_sub(1);
                self.charge(&key.account, class, Charge::Goes(cost))
            }
            Place::Shadow { cost } => {
                let until = known.record.remembered_until();
                let index = layout::expiry(until, Table::Tombstones, &by_hash);
                self.store.remove(Table::Tombstones, &by_hash);
                self.store.remove(Table::Expiry, &index);
                self.counters.tombstones = self.counters.tombstones.saturating_sub(1);
                self.charge(&key.account, class, Charge::Goes(cost))
            }
        }
    }

    fn usage(&self, account: &AccountId, class: NamespaceClass) -> Result<Usage, StorageError> {
        match self.store.get(Table::Meta, &layout::usage(account, class))? {
            Some(bytes) => layout::read(Table::Meta, &bytes),
            None => Ok(Usage::default()),
        }
    }

    /// Counts a row that comes or goes.
    fn charge(
        &mut self,
        account: &AccountId,
        class: NamespaceClass,
        row: Charge,
    ) -> Result<(), StorageError> {
        let mut usage = self.usage(account, class)?;
        let total = &mut self.counters.messages_bytes;
        match row {
            Charge::Comes(cost) => {
                usage.bytes = usage.bytes.saturating_add(cost);
                usage.rows = usage.rows.saturating_add(1);
                *total = total.saturating_add(cost);
            }
            Charge::Goes(cost) => {
                usage.bytes = usage.bytes.saturating_sub(cost);
                usage.rows = usage.rows.saturating_sub(1);
                *total = total.saturating_sub(cost);
            }
        }
        let key = layout::usage(account, class);
        if usage == Usage::default() {
            self.store.remove(Table::Meta, &key);
        } else {
            self.store.put(Table::Meta, &key, crate::wire::encode(&usage));
        }
        Ok(())
    }
}

fn counters(store: &impl Store) -> Result<Counters, StorageError> {
    match store.get(Table::Meta, COUNTERS_KEY)? {
        Some(bytes) => layout::read(Table::Meta, &bytes),
        None => Ok(Counters::default()),
    }
}

/// A row that comes or goes, with its cost in bytes.
#[derive(Clone, Copy, Debug)]
enum Charge {
    Comes(u64),
    Goes(u64),
}
