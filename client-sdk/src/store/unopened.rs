//! Records that came and do not open yet, kept to be tried again.
//!
//! The mailbox is read on behind them, so what is not kept here is lost. Only what time can mend
//! belongs here, such as an age judged by a clock that is wrong.

use std::time::Duration;

use enjambre_protocol::id::Digest;
use enjambre_protocol::time::Timestamp;
use rusqlite::params;

use super::columns::{Col, RowExt};
use super::{Change, StoreError, View};

/// Records kept at most, the newest: with records of 76 800 bytes 20 MB.
pub const UNOPENED_MAX: u32 = 256;

/// How long a record is kept by the clock it came by: twice what it can wait in a mailbox.
pub const UNOPENED_FOR: Duration = Duration::from_secs(28 * 24 * 60 * 60);

/// A record that does not open yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnopenedRow {
    /// Its hash.
    pub hash: Digest,
    /// The record.
    pub bytes: Vec<u8>,
}

impl View<'_> {
    /// All records that are kept, as they came.
    pub fn unopened(&self) -> Result<Vec<UnopenedRow>, StoreError> {
        let sql = "SELECT hash, bytes FROM unopened ORDER BY seq LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([UNOPENED_MAX], |row| {
            Ok(UnopenedRow { hash: row.col("hash")?, bytes: row.get("bytes")? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many records are kept.
    pub fn unopened_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM unopened";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.col("n"))?)
    }
}

impl Change<'_> {
    /// Keeps a record. Beyond [`UNOPENED_MAX`] the oldest gives way.
    pub fn keep_unopened(
        &self,
        hash: &Digest,
        bytes: &[u8],
        came: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO unopened (hash, came, bytes) VALUES (?1, ?2, ?3)
                   ON CONFLICT (hash) DO NOTHING";
        let values = params![Col(*hash), Col(came), bytes];
        self.connection.prepare_cached(sql)?.execute(values)?;
        let sql = "DELETE FROM unopened WHERE seq <= (
                       SELECT seq FROM unopened ORDER BY seq DESC LIMIT 1 OFFSET ?1)";
        self.connection.prepare_cached(sql)?.execute([UNOPENED_MAX])?;
        Ok(())
    }

    /// Drops a record: it opened, or never will. Whether it was there.
    pub fn remove_unopened(&self, hash: &Digest) -> Result<bool, StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM unopened WHERE hash = ?1")?;
        Ok(sql.execute([Col(*hash)])? > 0)
    }

    /// Drops what has been kept for [`UNOPENED_FOR`].
    pub fn forget_unopened(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM unopened WHERE came < ?1")?;
        sql.execute([Col(now.saturating_sub(UNOPENED_FOR))])?;
        Ok(())
    }
}
