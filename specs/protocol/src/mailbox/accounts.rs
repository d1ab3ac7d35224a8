//! Mailboxes on a store: tables, indexes, shares, and what a write does to them.
//!
//! Every method either does all it says, staged, or stages nothing and says why not: what a refused
//! write had staged is undone, so that what others staged can be committed. The one who owns it
//! commits. A row is written with its entries in the indexes or not at all, because one commit
//! holds both.

mod changes;
mod chunks;
mod ranges;
mod read;
mod shares;
mod sweep;

use core::cell::Cell;

pub use shares::RANGES_MAX;
use shares::{Charge, Growth, Kind, Usage};
pub use sweep::Swept;

use serde::{Deserialize, Serialize};

use crate::identity::AccountId;
use crate::mailbox::layout::{self, COUNTERS_KEY, Row};
use crate::mailbox::{
    MailboxError, Namespace, NamespaceClass, Payload, RangeMarks, Record, RecordKey, RecordSeq,
    Scope, StorageError, Store, Table,
};
use crate::time::Timestamp;
use crate::wire;

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
    /// Visible, with its data, and indexed by the time `due`.
    Message { seq: RecordSeq, data: Payload, cost: u64, due: Timestamp, view: View },
    /// Without data, and indexed by the time `due`.
    Shadow { cost: u64, due: Timestamp },
}

/// Whether readers see a record that has a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    Seen,
    /// Past its expiry by this member's clock, which alone removes nothing. If it comes to be seen
    /// again, it stands behind the cursors of those who passed it.
    Passed,
}

/// A member's clock, and the time that has certainly come: nothing is removed by the first alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// By which readers judge and records are stamped.
    pub now: Timestamp,
    /// What the directory vouches for, never later than `now`.
    pub certain: Timestamp,
}

impl From<Timestamp> for Clock {
    fn from(now: Timestamp) -> Self {
        Self { now, certain: now }
    }
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
            Place::Message { cost, .. } | Place::Shadow { cost, .. } => cost,
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
    /// Whether ranges may wait for their records; see [`ranges`].
    behind: bool,
    /// The range that had the last slice: the next one is another's, if one waits.
    turn: Vec<u8>,
    /// Counted where rows are only read, too.
    damaged: Cell<u64>,
}

impl<S: Store> Mailboxes<S> {
    /// Opens what is on `store`.
    pub fn open(store: S, quotas: Quotas) -> Result<Self, StorageError> {
        let counters = counters(&store)?;
        Ok(Self {
            store,
            quotas,
            counters,
            committed: counters,
            behind: true,
            turn: Vec::new(),
            damaged: Cell::new(0),
        })
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
        if let Err(error) = self.settle(ranges::SLICE_ROWS) {
            self.store.rollback();
            // A store in doubt is opened anew by its next commit, and by nothing else.
            if self.store.is_staged() {
                let _ = self.store.commit();
                self.committed = counters(&self.store).unwrap_or(self.committed);
            }
            self.rollback();
            return Err(error);
        }
        if self.counters != self.committed {
            let row = wire::encode(&self.counters);
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
        self.behind = true;
    }

    /// Rows that were found damaged and passed over since this was opened.
    pub const fn damaged(&self) -> u64 {
        self.damaged.get()
    }

    fn count_damaged(&self, rows: u64) {
        self.damaged.set(self.damaged.get().saturating_add(rows));
    }

    /// Does `act` whole, or undoes what it staged.
    fn atomically<T, E>(&mut self, act: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        let counters = self.counters;
        self.store.savepoint();
        let result = act(self);
        if result.is_err() {
            self.store.undo();
            self.counters = counters;
        }
        result
    }

    /// Keeps a record, or joins what is said of it to what is known.
    pub fn keep(
        &mut self,
        clock: impl Into<Clock>,
        key: &RecordKey,
        stated: Record,
        data: &[u8],
    ) -> Result<Kept, MailboxError> {
        let clock = clock.into();
        self.atomically(|this| this.try_keep(clock, key, stated, data))
    }

    fn try_keep(
        &mut self,
        clock: Clock,
        key: &RecordKey,
        stated: Record,
        data: &[u8],
    ) -> Result<Kept, MailboxError> {
        let class = key.namespace.class();
        let marks = self.marks(&key.account, key.namespace)?;
        let known = self.known_at(clock, key, &marks)?;
        let incoming = stated.owner_signed_at();
        let record = known.record.clone().merge(stated).under(&marks, class);
        let kept = match (record.expiry(&marks), record.accepted_at(&marks, clock.now)) {
            (Some(expiry), Some(accepted_at)) => Kept { expiry, accepted_at },
            _ => return Err(MailboxError::Deleted),
        };
        let replaced = match class {
            NamespaceClass::Outbox => self.outranked(key, incoming)?,
            NamespaceClass::Inbox | NamespaceClass::Own => None,
        };
        let data = data.to_vec().into();
        let row = wire::encode(&Row { hash: key.hash, due: kept.expiry, record, data });
        if !matches!(known.place, Place::Message { .. }) {
            let replaced = replaced.as_ref().map_or(0, |keyed| keyed.known.cost());
            let growth = Growth {
                adds: Usage::row(row.len() as u64 + ROW_COST),
                frees: Usage::place(replaced).and(Usage::place(known.cost())),
            };
            self.admit(&key.account, class.into(), Kind::Record, growth)?;
        }
        if let Some(old) = replaced {
            self.shrink(clock.certain, &old.key, old.known)?;
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

    fn known(&self, key: &RecordKey) -> Result<Known, StorageError> {
        let by_hash = layout::by_hash(key);
        if let Some(seq) = self.store.get(Table::ByHash, &by_hash)? {
            let damaged = StorageError::Damaged { table: Table::ByHash.name() };
            let seq = seq.try_into().map(u64::from_be_bytes).map_err(|_| damaged.clone())?;
            let seq = RecordSeq::new(seq);
            let place = layout::message(&key.account, key.namespace, seq);
            let bytes = self.store.get(Table::Messages, &place)?.ok_or(damaged)?;
            let cost = bytes.len() as u64 + ROW_COST;
            let Row { record, data, due, .. } = layout::read(Table::Messages, &bytes)?;
            let place = Place::Message { seq, data, cost, due, view: View::Seen };
            return Ok(Known { record, place });
        }
        let Some(bytes) = self.store.get(Table::Tombstones, &by_hash)? else {
            return Ok(Known::default());
        };
        let cost = bytes.len() as u64 + ROW_COST;
        let record: Record = layout::read(Table::Tombstones, &bytes)?;
        let due = record.remembered_until();
        Ok(Known { record, place: Place::Shadow { cost, due } })
    }

    /// What is known of a record at a time. One that a range covers, or that has certainly expired,
    /// leaves its place whether or not it was swept: whatever comes later is a new record.
    fn known_at(
        &mut self,
        clock: Clock,
        key: &RecordKey,
        marks: &RangeMarks,
    ) -> Result<Known, StorageError> {
        let Known { record, mut place } = self.known(key)?;
        let record = record.under(marks, key.namespace.class());
        if let Place::Message { view, .. } = &mut place {
            let expiry = record.expiry(marks);
            if expiry <= Some(clock.certain) {
                return self.shrink(clock.certain, key, Known { record, place });
            }
            *view = if expiry <= Some(clock.now) { View::Passed } else { View::Seen };
        }
        Ok(Known { record, place })
    }

    /// A record leaves its place; what the owner said about it stands longer.
    fn shrink(
        &mut self,
        certain: Timestamp,
        key: &RecordKey,
        known: Known,
    ) -> Result<Known, StorageError> {
        self.forget(key, &known)?;
        let rest = known.record.statements();
        if !rest.is_stated() || rest.remembered_until() <= certain {
            return Ok(Known::default());
        }
        let place = self.write_shadow(key, &rest)?;
        Ok(Known { record: rest, place })
    }

    fn marks_of(&self, account: &AccountId, scope: Scope) -> Result<RangeMarks, StorageError> {
        match self.store.get(Table::Tombstones, &layout::marks(account, scope))? {
            Some(bytes) => layout::read(Table::Tombstones, &bytes),
            None => Ok(RangeMarks::default()),
        }
    }

    /// The range operations that reach the records of a drawer.
    fn marks(&self, account: &AccountId, namespace: Namespace) -> Result<RangeMarks, StorageError> {
        let one = self.marks_of(account, Scope::One(namespace))?;
        Ok(one.merge(self.marks_of(account, Scope::All)?))
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
            Place::Message { seq, view: View::Seen, .. } => Some(seq),
            Place::Message { .. } | Place::Nowhere | Place::Shadow { .. } => None,
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
    fn write_shadow(&mut self, key: &RecordKey, record: &Record) -> Result<Place, StorageError> {
        let place = layout::by_hash(key);
        let bytes = wire::encode(record);
        let cost = bytes.len() as u64 + ROW_COST;
        let due = record.remembered_until();
        self.store.put(Table::Tombstones, &place, bytes);
        let index = layout::expiry(due, Table::Tombstones, &place);
        self.store.put(Table::Expiry, &index, Vec::new());
        self.counters.tombstones += 1;
        self.charge(&key.account, key.namespace.class(), Charge::Comes(cost))?;
        Ok(Place::Shadow { cost, due })
    }

    /// Removes a record's rows and index entries, whichever it has.
    fn forget(&mut self, key: &RecordKey, known: &Known) -> Result<(), StorageError> {
        let class = key.namespace.class();
        let by_hash = layout::by_hash(key);
        match known.place {
            Place::Nowhere => Ok(()),
            Place::Message { seq, cost, due, .. } => {
                let place = layout::message(&key.account, key.namespace, seq);
                self.store.remove(Table::Messages, &place);
                self.store.remove(Table::ByHash, &by_hash);
                self.store.remove(Table::Expiry, &layout::expiry(due, Table::Messages, &place));
                self.counters.messages = self.counters.messages.saturating_sub(1);
                self.charge(&key.account, class, Charge::Goes(cost))
            }
            Place::Shadow { cost, due } => {
                let index = layout::expiry(due, Table::Tombstones, &by_hash);
                self.store.remove(Table::Tombstones, &by_hash);
                self.store.remove(Table::Expiry, &index);
                self.counters.tombstones = self.counters.tombstones.saturating_sub(1);
                self.charge(&key.account, class, Charge::Goes(cost))
            }
        }
    }
}

fn counters(store: &impl Store) -> Result<Counters, StorageError> {
    match store.get(Table::Meta, COUNTERS_KEY)? {
        Some(bytes) => layout::read(Table::Meta, &bytes),
        None => Ok(Counters::default()),
    }
}
