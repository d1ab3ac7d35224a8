//! The sweep: what is past its time goes, found by the expiry index.

use core::ops::ControlFlow;

use super::{Keyed, Known, Mailboxes, Place, ROW_COST, read};
use crate::identity::AccountId;
use crate::mailbox::layout;
use crate::mailbox::{ChunkHash, RangeMarks, Record, Scope, StorageError, Store, Table};
use crate::time::Timestamp;
use crate::wire;

/// What a sweep left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Rows handled: records under a new range, and index entries.
    pub rows: usize,
    /// Whether rows that are due remain, beyond the limit.
    pub more: bool,
}

impl<S: Store> Mailboxes<S> {
    /// Removes up to `limit` rows whose minute has passed, and goes on with ranges that wait for
    /// their records. A damaged row loses its entry in the index, is counted and stays; the others
    /// go on.
    pub fn sweep(&mut self, now: Timestamp, limit: usize) -> Result<Swept, StorageError> {
        let settled = self.settle(limit)?;
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
                match index.get(4..).and_then(<[u8]>::split_first) {
                    Some((&tag, key)) => this.sweep_row(now, tag, key),
                    None => Ok(()),
                }
            });
            if matches!(swept, Err(StorageError::Damaged { .. })) {
                self.store.remove(Table::Expiry, index);
            }
            self.pass_over_damage(swept)?;
        }
        Ok(Swept { rows: settled + due.len(), more })
    }

    fn sweep_row(&mut self, now: Timestamp, tag: u8, key: &[u8]) -> Result<(), StorageError> {
        if tag == layout::expiry_tag(Table::Messages) {
            self.sweep_message(now, key)
        } else if tag == layout::expiry_tag(Table::Tombstones) {
            self.sweep_shadow(now, key)
        } else if tag == layout::expiry_tag(Table::Revocations) {
            self.sweep_word(now, key)
        } else if let Ok(hash) = key.try_into() {
            self.sweep_chunk(now, &ChunkHash::from_bytes(hash))
        } else {
            Ok(())
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
