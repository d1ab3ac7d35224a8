//! Range operations: kept at once, and applied to the records that were here before in slices.
//!
//! A mark counts from the moment that it is staged: reads, stores and single operations judge each
//! record by it. What the marks leave to do is freeing the place of what they cover, and moving what
//! they shorten in the expiry index. That goes in slices, the first with the commit that holds the
//! mark and the others with the sweep, so that no request takes longer because an account is full.
//! What waits is on disk. Scopes that wait take turns, and a range that comes while a scope is being
//! gone through has it gone through once more afterwards: who marks it again and again holds up
//! neither others nor himself.

use core::ops::ControlFlow;

use super::shares::{RANGES_MAX, Share};
use super::{Charge, Growth, Keyed, Kind, Known, Mailboxes, Place, ROW_COST, Usage, read};
use crate::identity::AccountId;
use crate::mailbox::layout::{self, WAITING};
use crate::mailbox::{MailboxError, RangeMarks, Scope, StorageError, Store, Table};
use crate::time::Timestamp;
use crate::wire;

/// Records looked at with one commit.
pub(super) const SLICE_ROWS: usize = 256;

/// Bytes of records looked at in one slice, or one record: about 10 ms of disk.
const SLICE_BYTES: usize = 4 << 20;

/// A scope whose marks wait for its records.
struct Waiting {
    row: Vec<u8>,
    pass: Pass,
}

/// How far a scope was gone through.
struct Pass {
    /// Whether marks came meanwhile, which what was passed has not seen.
    again: bool,
    /// The next record.
    from: Vec<u8>,
}

impl Pass {
    fn begin(account: &AccountId, scope: Scope) -> Self {
        Self { again: false, from: layout::scope_prefix(account, scope) }
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (again, from) = bytes.split_first()?;
        Some(Self { again: *again != 0, from: from.to_vec() })
    }

    fn to_row(&self) -> Vec<u8> {
        let mut bytes = vec![u8::from(self.again)];
        bytes.extend_from_slice(&self.from);
        bytes
    }
}

/// Some records of a scope.
struct Slice {
    found: Vec<Keyed>,
    /// Rows looked at, damaged ones included.
    rows: usize,
    damaged: u64,
    /// Where the next slice begins, if there is one.
    next: Option<Vec<u8>>,
}

impl<S: Store> Mailboxes<S> {
    /// Joins range operations to those that are known.
    pub(super) fn mark(
        &mut self,
        now: Timestamp,
        account: &AccountId,
        scope: Scope,
        stated: RangeMarks,
    ) -> Result<(), MailboxError> {
        let known = self.marks_of(account, scope)?;
        let deletes = stated.deleted_upto().is_some();
        let marks = known.clone().merge(stated);
        if marks == known || marks.remembered_until() <= now {
            return Ok(());
        }
        let old = if known == RangeMarks::default() { 0 } else { cost(&known) };
        let growth = Growth { adds: Usage::row(cost(&marks)), frees: Usage::place(old) };
        if old == 0 && matches!(scope, Scope::One(_)) {
            let all = self.marks_of(account, Scope::All)? != RangeMarks::default();
            let drawers = self.usage(account, Share::Ranges)?.rows.saturating_sub(all.into());
            if drawers >= RANGES_MAX as u64 {
                return Err(MailboxError::Quota);
            }
        }
        let here = deletes && self.holds_any(account, scope)?;
        let kind = if here { Kind::Urgent } else { Kind::Statement };
        self.admit(account, Share::Ranges, kind, growth)?;
        let place = layout::marks(account, scope);
        let index = |marks: &RangeMarks| {
            layout::expiry(marks.remembered_until(), Table::Tombstones, &place)
        };
        self.store.remove(Table::Expiry, &index(&known));
        self.store.put(Table::Expiry, &index(&marks), Vec::new());
        self.store.put(Table::Tombstones, &place, wire::encode(&marks));
        if old > 0 {
            self.charge(account, Share::Ranges, Charge::Goes(old))?;
        }
        self.charge(account, Share::Ranges, Charge::Comes(cost(&marks)))?;
        let row = layout::waiting(account, scope);
        let mut pass = Pass::begin(account, scope);
        if let Some(under_way) =
            self.store.get(Table::Meta, &row)?.and_then(|row| Pass::parse(&row))
            && under_way.from != pass.from
        {
            pass = Pass { again: true, ..under_way };
        }
        self.store.put(Table::Meta, &row, pass.to_row());
        self.behind = true;
        Ok(())
    }

    /// Marks past their time go.
    pub(super) fn forget_marks(
        &mut self,
        account: &AccountId,
        scope: Scope,
        marks: &RangeMarks,
    ) -> Result<(), StorageError> {
        self.store.remove(Table::Tombstones, &layout::marks(account, scope));
        self.charge(account, Share::Ranges, Charge::Goes(cost(marks)))
    }

    /// Whether ranges may wait for their records.
    pub const fn is_behind(&self) -> bool {
        self.behind
    }

    /// Applies ranges to records that were here before them, up to `limit` rows. Gives the rows.
    pub(super) fn settle(&mut self, limit: usize) -> Result<usize, StorageError> {
        let (mut rows, mut room) = (0, SLICE_BYTES);
        while self.behind && rows < limit && room > 0 {
            let Some(Waiting { row, pass }) = self.next_waiting()? else {
                self.behind = false;
                break;
            };
            self.turn.clone_from(&row);
            let Some((account, scope)) = layout::parse_waiting(&row) else {
                self.count_damaged(1);
                self.store.remove(Table::Meta, &row);
                continue;
            };
            let end = layout::after(&layout::scope_prefix(&account, scope));
            let most = SLICE_ROWS.min(limit - rows);
            let Slice { found, rows: looked, damaged, next } =
                self.slice(&pass.from, &end, most, &mut room)?;
            rows += looked;
            self.count_damaged(damaged);
            for keyed in found {
                self.apply_marks(keyed)?;
            }
            let next = match next {
                Some(from) => Some(Pass { from, ..pass }),
                None => pass.again.then(|| Pass::begin(&account, scope)),
            };
            match next {
                Some(pass) => self.store.put(Table::Meta, &row, pass.to_row()),
                None => self.store.remove(Table::Meta, &row),
            }
        }
        Ok(rows)
    }

    /// The scope after the one that had its turn last.
    fn next_waiting(&self) -> Result<Option<Waiting>, StorageError> {
        let mut after = self.turn.clone();
        after.push(0);
        for from in [after.as_slice().max(WAITING), WAITING] {
            let mut next = None;
            self.store.scan(Table::Meta, from, &layout::after(WAITING), &mut |key, row| {
                // One that says nothing is gone through from its beginning.
                let pass = Pass::parse(row).or_else(|| {
                    layout::parse_waiting(key).map(|(account, scope)| Pass::begin(&account, scope))
                });
                let pass = pass.unwrap_or(Pass { again: false, from: Vec::new() });
                next = Some(Waiting { row: key.to_vec(), pass });
                ControlFlow::Break(())
            })?;
            if next.is_some() {
                return Ok(next);
            }
        }
        Ok(None)
    }

    /// Records between two message keys, up to `limit` rows and about `room` bytes.
    fn slice(
        &self,
        from: &[u8],
        to: &[u8],
        limit: usize,
        room: &mut usize,
    ) -> Result<Slice, StorageError> {
        let mut slice = Slice { found: Vec::new(), rows: 0, damaged: 0, next: None };
        self.store.scan(Table::Messages, from, to, &mut |key, value| {
            if slice.rows >= limit || *room == 0 {
                slice.next = Some(key.to_vec());
                return ControlFlow::Break(());
            }
            slice.rows += 1;
            *room = room.saturating_sub(value.len());
            match read::keyed(key, value) {
                Ok(keyed) => slice.found.push(keyed),
                Err(_) => slice.damaged += 1,
            }
            ControlFlow::Continue(())
        })?;
        Ok(slice)
    }

    fn apply_marks(&mut self, keyed: Keyed) -> Result<(), StorageError> {
        let done = self.atomically(|this| this.try_apply_marks(keyed));
        self.pass_over_damage(done)
    }

    fn try_apply_marks(&mut self, keyed: Keyed) -> Result<(), StorageError> {
        let Keyed { key, known } = keyed;
        let marks = self.marks(&key.account, key.namespace)?;
        let record = known.record.clone().under(&marks, key.namespace.class());
        let Place::Message { data, due, .. } = &known.place else { return Ok(()) };
        match record.expiry(&marks) {
            // A tombstone still stands against stores that the range does not reach.
            None => self.shrink(Timestamp::EPOCH, &key, Known { record, ..known }).map(|_| ()),
            Some(expiry) if record == known.record && expiry == *due => Ok(()),
            Some(due) => {
                let row = layout::Row { hash: key.hash, due, record, data: data.clone() };
                self.write_message(&key, &known, wire::encode(&row), due)
            }
        }
    }

    /// A damaged row is counted and concerns nobody else.
    pub(super) fn pass_over_damage(
        &mut self,
        done: Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        if matches!(done, Err(StorageError::Damaged { .. })) {
            self.count_damaged(1);
            return Ok(());
        }
        done
    }

    /// Whether a scope holds any record, covered or not.
    fn holds_any(&self, account: &AccountId, scope: Scope) -> Result<bool, StorageError> {
        let prefix = layout::scope_prefix(account, scope);
        let mut any = false;
        self.store.scan(Table::Messages, &prefix, &layout::after(&prefix), &mut |_, _| {
            any = true;
            ControlFlow::Break(())
        })?;
        Ok(any)
    }
}

fn cost(marks: &RangeMarks) -> u64 {
    wire::encode(marks).len() as u64 + ROW_COST
}
