//! How far each member of a swarm was read, and which records were seen.
//!
//! A cursor belongs to one database of one member. Records are also remembered by hash, so that what
//! is read from a second member is not taken twice.

use enjambre_protocol::id::{Digest, NodeId, StoreId};
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use super::columns::{Col, RowExt};
use super::{Change, StoreError, View};

/// What a cursor is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CursorKey {
    /// The mailbox.
    pub account: AccountId,
    /// The namespace in it.
    pub namespace: i16,
    /// The member that was read.
    pub member: NodeId,
}

/// How far a member was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The member's database; another one means reading from its start.
    pub store: StoreId,
    /// The last sequence number read in it.
    pub sequence: u64,
}

impl View<'_> {
    /// How far a member was read.
    pub fn cursor(&self, key: &CursorKey) -> Result<Option<Cursor>, StoreError> {
        let sql = "SELECT store, sequence FROM cursors
                   WHERE account = ?1 AND namespace = ?2 AND member = ?3";
        let values = params![Col(key.account), key.namespace, Col(key.member)];
        let cursor = self.connection.prepare_cached(sql)?.query_row(values, |row| {
            Ok(Cursor { store: row.col("store")?, sequence: row.col("sequence")? })
        });
        Ok(cursor.optional()?)
    }

    /// Whether a record was seen and is remembered.
    pub fn is_seen(&self, hash: &Digest) -> Result<bool, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT 1 FROM seen WHERE hash = ?1")?;
        Ok(query.exists([Col(*hash)])?)
    }
}

impl Change<'_> {
    /// Moves a cursor: forwards in one database, or to any place of another.
    pub fn set_cursor(&self, key: &CursorKey, cursor: &Cursor) -> Result<(), StoreError> {
        let sql = "INSERT INTO cursors (account, namespace, member, store, sequence)
                   VALUES (?1, ?2, ?3, ?4, ?5)
                   ON CONFLICT (account, namespace, member) DO UPDATE SET
                       sequence = CASE WHEN store = excluded.store
                           THEN max(sequence, excluded.sequence) ELSE excluded.sequence END,
                       store = excluded.store";
        self.connection.prepare_cached(sql)?.execute(params![
            Col(key.account),
            key.namespace,
            Col(key.member),
            Col(cursor.store),
            Col(cursor.sequence),
        ])?;
        Ok(())
    }

    /// Remembers a record until it expires; returns whether it is new. The later expiry stays.
    pub fn see(&self, hash: &Digest, expires: Timestamp) -> Result<bool, StoreError> {
        let is_new = !self.is_seen(hash)?;
        let sql = "INSERT INTO seen (hash, expires) VALUES (?1, ?2)
                   ON CONFLICT (hash) DO UPDATE SET expires = max(expires, excluded.expires)";
        self.connection.prepare_cached(sql)?.execute(params![Col(*hash), Col(expires)])?;
        Ok(is_new)
    }

    /// Forgets records that no member holds any more; returns how many.
    pub fn forget_seen(&self, now: Timestamp) -> Result<usize, StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM seen WHERE expires <= ?1")?;
        Ok(sql.execute([Col(now)])?)
    }
}
