//! The local store: an encrypted SQLite database behind typed rows.
//!
//! Everything a client must not lose stands here: the account's keys, contacts, what is to be sent
//! as the exact bytes that will be sent, what came, and how far it was read. SQL appears in this
//! module and those below it, nowhere else. Not here: the key's file ([`crate::home`]) and the
//! meaning of the blobs, which their owners encode.
//!
//! # Invariants
//!
//! - *All or nothing*: every change is one transaction, on disk when [`Store::write`] returns.
//! - *Closed*: nothing but ciphertext is ever in the database's files.
//! - *Bounded*: every list that is read has a limit.
//! - *Shared*: several processes may have it open. Whoever changes what he read before reads it
//!   again within the change.

mod columns;
mod contacts;
mod cursors;
mod files;
mod inbox;
mod meta;
mod outbox;
mod parts;
mod schema;
mod unopened;

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use enjambre_protocol::Retry;
use enjambre_protocol::crypto::Secret;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use zeroize::Zeroizing;

pub use contacts::{CONTACTS_MAX, ContactRow, NewContact, StoredIdentity};
pub use cursors::{Cursor, CursorKey};
pub use files::{FileKey, FileRow, FilesFrom, NewFile};
pub use inbox::{InboxKey, InboxRow, NewInboxMessage, OwedReceipt};
pub use meta::MetaKey;
pub use outbox::{
    ConversationPosition, NewOutboxMessage, OutboxKind, OutboxRow, StateRow, Transition,
};
pub use parts::{NewPart, PartKind, PartRow};
pub use schema::FORMAT;
pub use unopened::{UNOPENED_FOR, UNOPENED_MAX, UnopenedRow};

use crate::error::{Error, ErrorKind};
use crate::home::Home;

/// Rows that one list returns at most: a screenful many times over, little memory.
pub const ROWS_MAX: u32 = 1000;

/// How long a statement waits for another process. A change takes milliseconds, one with the chunks
/// of a large file less than a second.
const BUSY: Duration = Duration::from_secs(10);

/// Why the store failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// An empty file where a database was.
    #[error(
        "`enjambre.db` is empty: put back a copy of the home directory, or delete the directory if \
         nothing was ever kept there"
    )]
    Empty,
    /// The key does not open the database, or the file is none.
    #[error("`store.key` does not open `enjambre.db`: put back the two that belong together")]
    WrongKey,
    /// Written by a later version.
    #[error(
        "the database has format {found}, this program knows up to {FORMAT}: update the program"
    )]
    Newer {
        /// The format found.
        found: u32,
    },
    /// Another contact is listed under the name.
    #[error("another contact has this name: choose another with --name")]
    NameTaken,
    /// As many contacts as are kept.
    #[error("{CONTACTS_MAX} contacts are as many as are kept: remove some first")]
    ContactsFull,
    /// A row that breaks its rules.
    #[error("the database holds a damaged {what}: restore a copy of the home directory")]
    Damaged {
        /// What is damaged.
        what: &'static str,
    },
    /// SQLite failed.
    #[error("the database failed: check that the disk has room and can be written")]
    Sqlite(#[source] rusqlite::Error),
}

impl StoreError {
    /// What can be done.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Sqlite(_) => Retry::Later,
            Self::WrongKey
            | Self::Newer { .. }
            | Self::Empty
            | Self::NameTaken
            | Self::ContactsFull
            | Self::Damaged { .. } => Retry::Never,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => Self::WrongKey,
            _ => Self::Sqlite(error),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let kind = match error {
            StoreError::WrongKey => ErrorKind::StoreKey,
            StoreError::Newer { .. } => ErrorKind::StoreNewer,
            StoreError::NameTaken => ErrorKind::NameTaken,
            StoreError::ContactsFull => ErrorKind::TooLarge,
            StoreError::Empty | StoreError::Damaged { .. } | StoreError::Sqlite(_) => {
                ErrorKind::StoreFailed
            }
        };
        Self::new(kind, error.to_string()).with_retry(error.retry()).with_source(error)
    }
}

/// The database of one home.
#[derive(Debug)]
pub struct Store {
    connection: Mutex<Connection>,
    // After the connection, so that the database is closed before the home is given back.
    home: Option<Home>,
}

/// A consistent look at the database.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    connection: &'a Connection,
}

/// A change in the making: what it writes is kept when its closure returns `Ok`, and undone else.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    view: View<'a>,
}

impl<'a> std::ops::Deref for Change<'a> {
    type Target = View<'a>;

    fn deref(&self) -> &View<'a> {
        &self.view
    }
}

impl Store {
    /// Opens the database of a home; from then on other processes may open it too.
    pub fn open_home(mut home: Home) -> Result<Self, StoreError> {
        let mut store = Self::open(&home.database(), home.key())?;
        home.opened();
        store.home = Some(home);
        Ok(store)
    }

    /// The home it belongs to, if it was opened by one.
    pub const fn home(&self) -> Option<&Home> {
        self.home.as_ref()
    }

    /// Opens the database at `path` with a raw key, making it where there is none.
    pub fn open(path: &Path, key: &Secret<32>) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW;
        // The directory may be reached through a link; the file itself may not be one.
        let path = path
            .parent()
            .and_then(|dir| dir.canonicalize().ok())
            .and_then(|dir| path.file_name().map(|name| dir.join(name)))
            .unwrap_or_else(|| path.to_path_buf());
        // Who makes it has it written before others may open it, so none is empty for long.
        if path.metadata().is_ok_and(|found| found.len() == 0) {
            return Err(StoreError::Empty);
        }
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        // SQLCipher would write to standard error what is returned as an error anyway.
        connection.execute_batch("PRAGMA cipher_log_level = NONE;")?;
        connection.execute_batch(&key_pragma(key))?;
        // The first statement that reads: a wrong key shows here.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA temp_store = MEMORY;
             PRAGMA trusted_schema = OFF;",
        )?;
        schema::bring_up(&mut connection)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection: Mutex::new(connection), home: None })
    }

    /// Runs `read` on one state of the database.
    pub fn read<T, E: From<StoreError>>(
        &self,
        read: impl FnOnce(View<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Deferred)
            .map_err(StoreError::from)?;
        read(View { connection: &transaction })
    }

    /// Runs `change` as one transaction: on disk when this returns `Ok`, undone when it does not.
    pub fn write<T, E: From<StoreError>>(
        &self,
        change: impl FnOnce(Change<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut connection = self.connection();
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StoreError::from)?;
        let result = change(Change { view: View { connection: &transaction } })?;
        transaction.commit().map_err(StoreError::from)?;
        Ok(result)
    }

    /// A panic in a change rolled it back, so the connection is as good as before.
    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// SQLCipher takes 64 hex digits as the key itself, without stretching.
fn key_pragma(key: &Secret<32>) -> Zeroizing<String> {
    let mut pragma = Zeroizing::new(String::with_capacity(96));
    pragma.push_str("PRAGMA key = \"x'");
    for byte in key.expose() {
        let _ = write!(pragma, "{byte:02x}"); // Writing to a string cannot fail.
    }
    pragma.push_str("'\";");
    pragma
}

#[cfg(test)]
mod tests;
