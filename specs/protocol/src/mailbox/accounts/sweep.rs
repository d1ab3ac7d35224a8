//! The sweep: what is past its time goes, found by the expiry index.

use core::ops::ControlFlow;
use core::time::Duration;

use super::{Keyed, Known, Mailboxes, Place, ROW_COST, read};
use crate::identity::AccountId;
use crate::mailbox::layout;
use crate::mailbox::{ChunkHash, RangeMarks, Record, Scope, StorageError, Store, Table};
use crate::time::Timestamp;
use crate::wire;

/// How long a row is left that damage elsewhere keeps from being removed.
const AGAIN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// What a sweep left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Rows handled: records under a new range, and index entries.
    pub rows: usize,
    /// Whether rows that are due remain, beyond the limit.
    pub more: bool,
}

impl<S: Store> Mailboxes<S> {
    /// Removes rows whose minute has passed, and goes on with ranges that wait for their records: up to
    /// `limit` rows in all, of which ranges have half at most. A damaged row loses its entry in the index,
    /// is counted and stays; one that is kept by damage elsewhere is tried again a day later.
    pub fn sweep(&mut self, now: Timestamp, limit: usize) -> Result<Swept, StorageError> {
        let settled = self.settle(limit / 2)?;
        let limit = limit - settled;
        let end = now.minute().saturating_add(1).to_be_bytes();
        let mut due = Vec::new();
        self.store.scan(Table::Expiry, &[], &end, &mut |key, _| {
            due.push(key.to_vec());
            if due.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let more = due.len() > limit || self.behind;
        due.truncate(limit);
        for index in &due {
            let swept = self.atomically(|this| {
                this.store.remove(Table::Expiry, index);
                match layout::parse_expiry(index) {
                    Some((table, key)) => this.sweep_row(now, table, key),
                    None => Ok(()),
                }
            });
            if let Err(StorageError::Damaged { table }) = &swept {
                self.store.remove(Table::Expiry, index);
                if let Some((own, key)) = layout::parse_expiry(index)
                    && own.name() != *table
                {
                    let again = now.saturating_add(AGAIN_AFTER);
                    self.store.put(Table::Expiry, &layout::expiry(again, own, key), Vec::new());
                }
            }
            self.pass_over_damage(swept)?;
        }
        Ok(Swept { rows: settled + due.len(), more })
    }

    fn sweep_row(&mut self, now: Timestamp, table: Table, key: &[u8]) -> Result<(), StorageError> {
        match table {
            Table::Messages => self.sweep_message(now, key),
            Table::Tombstones => self.sweep_shadow(now, key),
            Table::Revocations => self.sweep_word(now, key),
            _ => match key.try_into() {
                Ok(hash) => self.sweep_chunk(now, &ChunkHash::from_bytes(hash)),
                Err(_) => Ok(()),
            },
        }
    }

    fn sweep_message(&mut self, now: Timestamp, key: &[u8]) -> Result<(), StorageError> {
        let Some(bytes) = self.store.get(Table::Messages, key)? else { return Ok(()) };
        let Keyed { key, known } = read::keyed(key, &bytes)?;
        let marks = self.marks(&key.account, key.namespace)?;
        let record = known.record.clone().under(&marks, key.namespace.class());
        match (record.expiry(&marks), &known.place) {
            // The entry was of an earlier state: the row is written under its time in force.
            (Some(due), Place::Message { data, .. }) if due > now => {
                let row = layout::Row { hash: key.hash, due, record, data: data.clone() };
                self.write_message(&key, &known, wire::encode(&row), due)
            }
            // What the owner said about it stands longer than the record.
            _ => self.shrink(now, &key, Known { record, ..known }).map(|_| ()),
        }
    }

    fn sweep_shadow(&mut self, now: Timestamp, key: &[u8]) -> Result<(), StorageError> {
        let Some(bytes) = self.store.get(Table::Tombstones, key)? else { return Ok(()) };
        let Some(name) = layout::parse_shadow(key) else {
            let marks: RangeMarks = layout::read(Table::Tombstones, &bytes)?;
            let (account, scope) = parse_marks(key)?;
            if marks.remembered_until() <= now {
                self.forget_marks(&account, scope, &marks)?;
            }
            return Ok(());
        };
        let record: Record = layout::read(Table::Tombstones, &bytes)?;
        if record.remembered_until() > now {
            return Ok(());
        }
        let (cost, due) = (bytes.len() as u64 + ROW_COST, record.remembered_until());
        self.forget(&name, &Known { record, place: Place::Shadow { cost, due } })
    }

    fn sweep_chunk(&mut self, now: Timestamp, hash: &ChunkHash) -> Result<(), StorageError> {
        match self.chunk_row(hash)? {
            Some(row) if row.expiry <= now => self.forget_chunk(hash, &row),
            _ => {}
        }
        Ok(())
    }
}

fn parse_marks(key: &[u8]) -> Result<(AccountId, Scope), StorageError> {
    layout::parse_marks(key).ok_or(StorageError::Damaged { table: Table::Tombstones.name() })
}
