//! What is sent of a message, byte for byte, kept before the first try.
//!
//! A retry sends these bytes and no others, so that a message that arrived twice is the same
//! record. Parts are read one at a time: a file's chunks together are many megabytes.

use enjambre_protocol::envelope::MessageId;
use enjambre_protocol::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, params};

use super::columns::{Col, RowExt};
use super::{Change, StoreError, View};

/// What a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartKind {
    /// A chunk of a file, stored under its own digest.
    Chunk,
    /// A sealed message for a mailbox.
    Record,
}

impl ToSql for PartKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Chunk => 0,
            Self::Record => 1,
        }))
    }
}

impl FromSql for PartKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Chunk),
            1 => Ok(Self::Record),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// A part to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPart {
    /// What it is.
    pub kind: PartKind,
    /// The mailbox's namespace; 0 for chunks, which have none.
    pub namespace: i16,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// The exact bytes to store.
    pub bytes: Vec<u8>,
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its place: parts are sent in this order, so that the record comes after its chunks.
    pub part: u32,
    /// What it is.
    pub kind: PartKind,
    /// The mailbox's namespace.
    pub namespace: i16,
    /// When it was sealed.
    pub sealed_at: Timestamp,
    /// The exact bytes to store.
    pub bytes: Vec<u8>,
}

fn part(row: &Row<'_>) -> rusqlite::Result<PartRow> {
    Ok(PartRow {
        part: row.get("part")?,
        kind: row.get("kind")?,
        namespace: row.get("namespace")?,
        sealed_at: row.col("sealed_at")?,
        bytes: row.get("bytes")?,
    })
}

impl View<'_> {
    /// The first part of a message that no majority has stored yet.
    pub fn next_part(&self, message: &MessageId) -> Result<Option<PartRow>, StoreError> {
        let sql = "SELECT * FROM outbox_parts WHERE message = ?1 AND stored_at IS NULL
                   ORDER BY part LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.query_row([Col(*message)], part).optional()?)
    }

    /// The first chunks of a message that no majority has stored yet, at most `limit`.
    pub fn next_chunks(
        &self,
        message: &MessageId,
        limit: usize,
    ) -> Result<Vec<PartRow>, StoreError> {
        let sql = "SELECT * FROM outbox_parts
                   WHERE message = ?1 AND stored_at IS NULL AND kind = ?2
                   ORDER BY part LIMIT ?3";
        let limit = u32::try_from(limit).unwrap_or(u32::MAX);
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![Col(*message), PartKind::Chunk, limit], part)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The sealed record of a message, stored or not.
    pub fn record_part(&self, message: &MessageId) -> Result<Option<PartRow>, StoreError> {
        let sql = "SELECT * FROM outbox_parts WHERE message = ?1 AND kind = ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row(params![Col(*message), PartKind::Record], part).optional()?)
    }

    /// How many parts of a message are left to store.
    pub fn part_count(&self, message: &MessageId) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM outbox_parts
                   WHERE message = ?1 AND stored_at IS NULL";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row([Col(*message)], |row| row.col("n"))?)
    }
}

impl Change<'_> {
    /// Keeps a part behind those that are there and returns its place.
    pub fn add_part(&self, message: &MessageId, new: &NewPart) -> Result<u32, StoreError> {
        let sql = "INSERT INTO outbox_parts (message, part, kind, namespace, sealed_at, bytes)
                   SELECT ?1, coalesce(max(part) + 1, 0), ?2, ?3, ?4, ?5
                   FROM outbox_parts WHERE message = ?1
                   RETURNING part";
        let values = params![Col(*message), new.kind, new.namespace, Col(new.sealed_at), new.bytes];
        Ok(self.connection.prepare_cached(sql)?.query_row(values, |row| row.get(0))?)
    }

    /// A majority has the part. The bytes of a chunk are dropped at once: they are many.
    pub fn part_stored(
        &self,
        message: &MessageId,
        part: u32,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE outbox_parts
                   SET stored_at = ?3, bytes = CASE kind WHEN ?4 THEN x'' ELSE bytes END
                   WHERE message = ?1 AND part = ?2";
        let values = params![Col(*message), part, Col(at), PartKind::Chunk];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Puts a record sealed anew in the place of one whose bundle has passed its age.
    pub fn reseal_part(
        &self,
        message: &MessageId,
        part: u32,
        bytes: &[u8],
        sealed_at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE outbox_parts SET bytes = ?3, sealed_at = ?4, stored_at = NULL
                   WHERE message = ?1 AND part = ?2 AND kind = ?5";
        let values = params![Col(*message), part, bytes, Col(sealed_at), PartKind::Record];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }

    /// Drops all parts of a message: it is stored, or given up.
    pub fn remove_parts(&self, message: &MessageId) -> Result<(), StoreError> {
        let sql = "DELETE FROM outbox_parts WHERE message = ?1";
        self.connection.prepare_cached(sql)?.execute([Col(*message)])?;
        Ok(())
    }
}
