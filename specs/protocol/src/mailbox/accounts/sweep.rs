//! The sweep: what is past its time goes, found by the expiry index.

use core::ops::ControlFlow;

use super::{Known, Mailboxes, Place, ROW_COST};
use crate::mailbox::layout::{self, Row};
use crate::mailbox::{ChunkHash, RangeMarks, Record, RecordKey, StorageError, Store, Table};
use crate::time::Timestamp;

/// What a sweep left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Swept {
    /// Index entries handled.
    pub rows: usize,
    /// Whether entries that are due remain, beyond the limit.
    pub more: bool,
}

impl<S: Store> Mailboxes<S> {
    /// Removes up to `limit` rows whose minute has passed.
    pub fn sweep(&mut self, now: Timestamp, limit: usize) -> Result<Swept, StorageError> {
        let end = now.minute().saturating_add(1).to_be_bytes();
        let mut due = Vec::new();
        self.store.scan(Table::Expiry, &[], &end, &mut |key, _| {
            due.push(key.to_vec());
            if due.len() > limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        let more = due.len() > limit;
        due.truncate(limit);
        for index in &due {
            self.store.remove(Table::Expiry, index);
            if let Some((&tag, key)) = index.get(4..).and_then(<[u8]>::split_first) {
                self.sweep_row(now, tag, key)?;
            }
        }
        Ok(Swept { rows: due.len(), more })
    }

    fn sweep_row(&mut self, now: Timestamp, tag: u8, key: &[u8]) -> Result<(), StorageError> {
        if tag == layout::expiry_tag(Table::Messages) {
            self.sweep_message(now, key)
        } else if tag == layout::expiry_tag(Table::Tombstones) {
            self.sweep_shadow(now, key)
        } else if let Ok(hash) = key.try_into() {
            self.sweep_chunk(now, &ChunkHash::from_bytes(hash))
        } else {
            Ok(())
        }
    }

    fn sweep_message(&mut self, now: Timestamp, key: &[u8]) -> Result<(), StorageError> {
        let Some(bytes) = self.store.get(Table::Messages, key)? else { return Ok(()) };
        let place = layout::parse_message(key)?;
        let Row { hash, record, data } = layout::read(Table::Messages, &bytes)?;
        if record.expiry() > Some(now) {
            return Ok(());
        }
        let key = RecordKey { account: place.account, namespace: place.namespace, hash };
        let cost = bytes.len() as u64 + ROW_COST;
        let known = Known { record, place: Place::Message { seq: place.seq, data, cost } };
        self.forget(&key, &known)?;
        // What the owner said about it stands longer than the record.
        if known.record.is_stated() && known.record.remembered_until() > now {
            self.write_shadow(&key, &known.record)?;
        }
        Ok(())
    }

    fn sweep_shadow(&mut self, now: Timestamp, key: &[u8]) -> Result<(), StorageError> {
        let Some(bytes) = self.store.get(Table::Tombstones, key)? else { return Ok(()) };
        let Some(name) = layout::parse_shadow(key) else {
            let marks: RangeMarks = layout::read(Table::Tombstones, &bytes)?;
            if marks.remembered_until() <= now {
                self.store.remove(Table::Tombstones, key);
            }
            return Ok(());
        };
        let record: Record = layout::read(Table::Tombstones, &bytes)?;
        if record.remembered_until() > now {
            return Ok(());
        }
        let cost = bytes.len() as u64 + ROW_COST;
        self.forget(&name, &Known { record, place: Place::Shadow { cost } })
    }

    fn sweep_chunk(&mut self, now: Timestamp, hash: &ChunkHash) -> Result<(), StorageError> {
        match self.chunk_row(hash)? {
            Some(row) if row.expiry <= now => self.forget_chunk(hash, &row),
            _ => {}
        }
        Ok(())
    }
}
