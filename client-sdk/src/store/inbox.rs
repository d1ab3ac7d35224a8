//! Messages that came, once each, in the order they came.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use enjambre_protocol::envelope::{ConversationId, MessageId, ReceiptState};
use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, params};

use super::columns::{Col, RowExt};
use super::{Change, ROWS_MAX, StoreError, View};
use crate::types::Warning;

/// A message's place in the inbox: ascending as they came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InboxKey(pub(super) i64);

/// A message that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewInboxMessage {
    /// Its sender.
    pub sender: AccountId,
    /// Its id, drawn by the sender.
    pub message: MessageId,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its number in that.
    pub counter: u64,
    /// What it says.
    pub text: String,
    /// When it was written, by the sender's clock.
    pub sent: Timestamp,
    /// When it came, by ours.
    pub received: Timestamp,
    /// The hash of the record it came in.
    pub hash: Digest,
    /// Why it is to be doubted.
    pub warning: Option<Warning>,
}

impl ToSql for Warning {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::OlderDeviceList => 1,
            Self::KeysChanged => 2,
        }))
    }
}

impl FromSql for Warning {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            1 => Ok(Self::OlderDeviceList),
            2 => Ok(Self::KeysChanged),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// A message in the inbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// Its place.
    pub key: InboxKey,
    /// The message.
    pub message: NewInboxMessage,
    /// When it was shown.
    pub read: Option<Timestamp>,
}

/// A receipt that a contact has not been sent yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwedReceipt {
    /// The message it is about.
    pub key: InboxKey,
    /// To whom it is owed.
    pub sender: AccountId,
    /// That message's id.
    pub message: MessageId,
    /// What there is to say.
    pub state: ReceiptState,
}

/// How far a receipt goes, as the column `told` has it; 0 is nothing.
const fn told(state: ReceiptState) -> i64 {
    match state {
        ReceiptState::Received => 1,
        ReceiptState::Read => 2,
    }
}

fn incoming(row: &Row<'_>) -> rusqlite::Result<InboxRow> {
    Ok(InboxRow {
        key: InboxKey(row.get("seq")?),
        message: NewInboxMessage {
            sender: row.col("sender")?,
            message: row.col("message")?,
            conversation: row.col("conversation")?,
            counter: row.col("counter")?,
            text: row.get("text")?,
            sent: row.col("sent")?,
            received: row.col("received")?,
            hash: row.col("hash")?,
            warning: row.get("warning")?,
        },
        read: row.maybe("read")?,
    })
}

/// Gives every place that a conversation has among `rows` to its messages in their sender's order.
fn as_written(rows: Vec<InboxRow>) -> Vec<InboxRow> {
    let conversation = |row: &InboxRow| (row.message.sender, row.message.conversation);
    let places: Vec<_> = rows.iter().map(conversation).collect();
    let mut waiting: BTreeMap<_, Vec<InboxRow>> = BTreeMap::new();
    for row in rows {
        waiting.entry(conversation(&row)).or_default().push(row);
    }
    for rows in waiting.values_mut() {
        rows.sort_by_key(|row| Reverse(row.message.counter));
    }
    places.iter().filter_map(|place| waiting.get_mut(place)?.pop()).collect()
}

impl View<'_> {
    /// A message by its sender and id.
    pub fn incoming(
        &self,
        sender: &AccountId,
        message: &MessageId,
    ) -> Result<Option<InboxRow>, StoreError> {
        let sql = "SELECT * FROM inbox WHERE sender = ?1 AND message = ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        Ok(query.query_row(params![Col(*sender), Col(*message)], incoming).optional()?)
    }

    /// A message by its place.
    pub fn incoming_at(&self, key: InboxKey) -> Result<Option<InboxRow>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT * FROM inbox WHERE seq = ?1")?;
        Ok(query.query_row([key.0], incoming).optional()?)
    }

    /// Messages not shown yet, at most [`ROWS_MAX`]: as they came, but those of one conversation in
    /// the order in which they were written. Members of a swarm need not keep them in the same one.
    pub fn unread(&self) -> Result<Vec<InboxRow>, StoreError> {
        let sql = "SELECT * FROM inbox WHERE read IS NULL ORDER BY seq LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([ROWS_MAX], incoming)?;
        Ok(as_written(rows.collect::<Result<_, _>>()?))
    }

    /// How many messages were not shown yet.
    pub fn unread_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM inbox WHERE read IS NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.col("n"))?)
    }

    /// Receipts owed to contacts, by contact and in order, at most [`ROWS_MAX`]. Strangers are owed
    /// none.
    pub fn owed_receipts(&self) -> Result<Vec<OwedReceipt>, StoreError> {
        let sql = "SELECT inbox.* FROM inbox JOIN contacts ON contacts.id = inbox.sender
                   WHERE told < 2 AND (told < 1 OR read IS NOT NULL)
                   ORDER BY sender, seq LIMIT ?1";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map([ROWS_MAX], |row| {
            let read: Option<Timestamp> = row.maybe("read")?;
            Ok(OwedReceipt {
                key: InboxKey(row.get("seq")?),
                sender: row.col("sender")?,
                message: row.col("message")?,
                state: read.map_or(ReceiptState::Received, |_| ReceiptState::Read),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

impl Change<'_> {
    /// Keeps a message; none if this sender's message with this id is there already.
    pub fn receive(&self, new: &NewInboxMessage) -> Result<Option<InboxKey>, StoreError> {
        let sql = "INSERT INTO inbox
                       (sender, message, conversation, counter, text, sent, received, hash,
                        warning)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                   ON CONFLICT (sender, message) DO NOTHING
                   RETURNING seq";
        let values = params![
            Col(new.sender),
            Col(new.message),
            Col(new.conversation),
            Col(new.counter),
            new.text,
            Col(new.sent),
            Col(new.received),
            Col(new.hash),
            new.warning,
        ];
        let mut insert = self.connection.prepare_cached(sql)?;
        Ok(insert.query_row(values, |row| row.get(0).map(InboxKey)).optional()?)
    }

    /// The message was shown. The first time stays.
    pub fn set_read(&self, key: InboxKey, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE inbox SET read = ?2 WHERE seq = ?1 AND read IS NULL";
        self.connection.prepare_cached(sql)?.execute(params![key.0, Col(at)])?;
        Ok(())
    }

    /// A receipt that says so much is on its way.
    pub fn receipt_queued(&self, key: InboxKey, state: ReceiptState) -> Result<(), StoreError> {
        let sql = "UPDATE inbox SET told = max(told, ?2) WHERE seq = ?1";
        self.connection.prepare_cached(sql)?.execute(params![key.0, told(state)])?;
        Ok(())
    }
}
