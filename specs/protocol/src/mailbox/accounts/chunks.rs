//! Chunks: immutable, without an owner, under the hash of their bytes.

use super::{Kept, Mailboxes, ROW_COST};
use crate::mailbox::layout::{self, ChunkRow};
use crate::mailbox::{ChunkHash, MailboxError, Payload, StorageError, Store, Table};
use crate::time::Timestamp;
use crate::wire;

impl<S: Store> Mailboxes<S> {
    /// Keeps a chunk, or keeps it longer.
    pub fn keep_chunk(
        &mut self,
        now: Timestamp,
        hash: &ChunkHash,
        expiry: Timestamp,
        data: &[u8],
    ) -> Result<Kept, MailboxError> {
        let key = layout::chunk(hash);
        let known = self.chunk_row(hash)?;
        match &known {
            Some(row) if row.expiry >= expiry => {
                return Ok(Kept { expiry: row.expiry, accepted_at: row.accepted_at });
            }
            Some(row) => {
                self.store.remove(Table::Expiry, &layout::expiry(row.expiry, Table::Chunks, &key));
            }
            None => {
                let cost = data.len() as u64 + ROW_COST;
                let total = self.counters.chunks_bytes.saturating_add(cost);
                if total > self.quotas.chunks_bytes || !self.store.has_room() {
                    return Err(MailboxError::Disk);
                }
                self.counters.chunks += 1;
                self.counters.chunks_bytes = total;
            }
        }
        let accepted_at = known.map_or(now, |row| row.accepted_at);
        let row = ChunkRow { expiry, accepted_at, data: data.to_vec().into() };
        self.store.put(Table::Chunks, &key, wire::encode(&row));
        self.store.put(Table::Expiry, &layout::expiry(expiry, Table::Chunks, &key), Vec::new());
        Ok(Kept { expiry, accepted_at })
    }

    /// A chunk that has not expired.
    pub fn chunk(&self, now: Timestamp, hash: &ChunkHash) -> Result<Option<Payload>, StorageError> {
        let row = self.chunk_row(hash)?;
        Ok(row.filter(|row| row.expiry > now).map(|row| row.data))
    }

    pub(super) fn chunk_row(&self, hash: &ChunkHash) -> Result<Option<ChunkRow>, StorageError> {
        match self.store.get(Table::Chunks, &layout::chunk(hash))? {
            Some(bytes) => layout::read(Table::Chunks, &bytes).map(Some),
            None => Ok(None),
        }
    }

    pub(super) fn forget_chunk(&mut self, hash: &ChunkHash, row: &ChunkRow) {
        let cost = row.data.as_bytes().len() as u64 + ROW_COST;
        self.store.remove(Table::Chunks, &layout::chunk(hash));
        self.counters.chunks = self.counters.chunks.saturating_sub(1);
        self.counters.chunks_bytes = self.counters.chunks_bytes.saturating_sub(cost);
    }
}
