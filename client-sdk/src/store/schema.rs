//! The tables, and how a database is brought to the present format.

use rusqlite::{Connection, TransactionBehavior};

use super::StoreError;

/// The format this program writes. A database of a later one is refused.
pub const FORMAT: u32 = 4;

/// What each format adds to the one before: entry 0 makes format 1.
const STEPS: [&str; FORMAT as usize] = [FORMAT_1, FORMAT_2, FORMAT_3, FORMAT_4];

const FORMAT_1: &str = "
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE contacts (
    id BLOB PRIMARY KEY,
    name TEXT UNIQUE COLLATE NOCASE,
    first_list BLOB,
    pin BLOB,
    identity BLOB,
    identity_fetched INTEGER,
    added INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Where the next message of this device to a contact stands in their conversation.
CREATE TABLE conversations (
    contact BLOB PRIMARY KEY,
    id BLOB NOT NULL,
    next_counter INTEGER NOT NULL,
    previous BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE outbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    recipient BLOB NOT NULL,
    kind INTEGER NOT NULL,
    content BLOB NOT NULL,
    conversation BLOB NOT NULL,
    counter INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    state INTEGER NOT NULL,
    reason TEXT,
    copies INTEGER NOT NULL DEFAULT 0,
    members INTEGER NOT NULL DEFAULT 0,
    swarm BLOB,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_try INTEGER
) STRICT;
CREATE INDEX outbox_due ON outbox (next_try) WHERE next_try IS NOT NULL;

CREATE TABLE outbox_history (
    message BLOB NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    step INTEGER NOT NULL,
    state INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (message, step)
) STRICT, WITHOUT ROWID;

-- What is sent of a message, byte for byte: chunks of its files, then its record.
CREATE TABLE outbox_parts (
    message BLOB NOT NULL REFERENCES outbox (id) ON DELETE CASCADE,
    part INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    namespace INTEGER NOT NULL,
    sealed_at INTEGER NOT NULL,
    stored_at INTEGER,
    bytes BLOB NOT NULL,
    PRIMARY KEY (message, part)
) STRICT;

CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    sender BLOB NOT NULL,
    message BLOB NOT NULL,
    conversation BLOB NOT NULL,
    counter INTEGER NOT NULL,
    text TEXT NOT NULL,
    sent INTEGER NOT NULL,
    received INTEGER NOT NULL,
    read INTEGER,
    told INTEGER NOT NULL DEFAULT 0,
    hash BLOB NOT NULL,
    UNIQUE (sender, message)
) STRICT;
CREATE INDEX inbox_unread ON inbox (seq) WHERE read IS NULL;
CREATE INDEX inbox_untold ON inbox (sender, seq) WHERE told < 2;

CREATE TABLE files (
    inbox INTEGER NOT NULL REFERENCES inbox (seq) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    reference BLOB NOT NULL,
    path BLOB,
    PRIMARY KEY (inbox, place)
) STRICT, WITHOUT ROWID;
CREATE INDEX files_missing ON files (inbox, place) WHERE path IS NULL;

CREATE TABLE cursors (
    account BLOB NOT NULL,
    namespace INTEGER NOT NULL,
    member BLOB NOT NULL,
    store BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    PRIMARY KEY (account, namespace, member)
) STRICT, WITHOUT ROWID;

CREATE TABLE seen (
    hash BLOB PRIMARY KEY,
    expires INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_expires ON seen (expires);
";

const FORMAT_2: &str = "
-- Why a message is to be doubted; empty for most.
ALTER TABLE inbox ADD COLUMN warning INTEGER;

-- Records that do not open for a reason that time can change.
CREATE TABLE unopened (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    came INTEGER NOT NULL,
    bytes BLOB NOT NULL
) STRICT;
";

const FORMAT_3: &str = "
-- Tries to fetch a file that failed, when the next may be made and why, or why there is none.
ALTER TABLE files ADD COLUMN tries INTEGER NOT NULL DEFAULT 0;
ALTER TABLE files ADD COLUMN next_try INTEGER;
ALTER TABLE files ADD COLUMN reason TEXT;
ALTER TABLE files ADD COLUMN ended INTEGER NOT NULL DEFAULT 0;
-- Where a file is about to be moved to, whole.
ALTER TABLE files ADD COLUMN plan BLOB;
DROP INDEX files_missing;
CREATE INDEX files_missing ON files (inbox, place) WHERE path IS NULL AND ended = 0;
";

const FORMAT_4: &str = "
-- Whether it was shown what became of a file.
ALTER TABLE files ADD COLUMN shown INTEGER NOT NULL DEFAULT 1;
CREATE INDEX files_unshown ON files (inbox, place) WHERE shown = 0;

-- Parts that were fetched of files of which others could not be had yet.
CREATE TABLE file_parts (
    inbox INTEGER NOT NULL,
    place INTEGER NOT NULL,
    part INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (inbox, place, part),
    FOREIGN KEY (inbox, place) REFERENCES files (inbox, place) ON DELETE CASCADE
) STRICT;
";

/// Brings the database to [`FORMAT`], all steps in one transaction.
pub(super) fn bring_up(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let found: u32 = transaction.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if found > FORMAT {
        return Err(StoreError::Newer { found });
    }
    for step in STEPS.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    if found < FORMAT {
        transaction.pragma_update(None, "user_version", FORMAT)?;
    }
    transaction.commit()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn database_of_the_first_format_is_brought_up_with_its_messages() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(FORMAT_1).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        let row = "INSERT INTO inbox (sender, message, conversation, counter, text, sent, received,
                       hash) VALUES (x'05', x'01', x'02', 0, 'before', 1, 2, x'03')";
        connection.execute_batch(row).unwrap();
        bring_up(&mut connection).unwrap();
        let sql = "SELECT text, warning FROM inbox";
        let kept: (String, Option<i64>) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        assert_eq!(kept, ("before".to_owned(), None));
        let version: u32 =
            connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
        assert_eq!(version, FORMAT);
    }
}
