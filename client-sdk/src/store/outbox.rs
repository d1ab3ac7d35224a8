//! Messages on their way out, and every state they went through.

use enjambre_protocol::envelope::{ConversationId, MessageId};
use enjambre_protocol::id::{Digest, SwarmId};
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::time::Timestamp;
use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{OptionalExtension, Row, params};

use super::columns::{Col, RowExt};
use super::{Change, ROWS_MAX, StoreError, View};
use crate::types::{DeliveryState, OutgoingState};

/// What an outgoing message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboxKind {
    /// Words or files of a person.
    Message,
    /// Word of messages that came.
    Receipt,
}

impl ToSql for OutboxKind {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Message => 0,
            Self::Receipt => 1,
        }))
    }
}

impl FromSql for OutboxKind {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Message),
            1 => Ok(Self::Receipt),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

impl ToSql for DeliveryState {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::from(match self {
            Self::Queued => 0,
            Self::OnItsWay => 1,
            Self::Stored => 2,
            Self::Received => 3,
            Self::Read => 4,
            Self::Failed => 5,
        }))
    }
}

impl FromSql for DeliveryState {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        match value.as_i64()? {
            0 => Ok(Self::Queued),
            1 => Ok(Self::OnItsWay),
            2 => Ok(Self::Stored),
            3 => Ok(Self::Received),
            4 => Ok(Self::Read),
            5 => Ok(Self::Failed),
            other => Err(FromSqlError::OutOfRange(other)),
        }
    }
}

/// A message to be sent. It starts as queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxMessage {
    /// The message.
    pub id: MessageId,
    /// Whom it is for.
    pub recipient: AccountId,
    /// What it is for.
    pub kind: OutboxKind,
    /// The encoded signed content, to seal it anew should its bundle age.
    pub content: Vec<u8>,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its number in that.
    pub counter: u64,
    /// When it was written.
    pub created: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
    /// Why it is queued at first.
    pub reason: String,
}

/// An outgoing message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The message.
    pub id: MessageId,
    /// Whom it is for.
    pub recipient: AccountId,
    /// What it is for.
    pub kind: OutboxKind,
    /// The encoded signed content.
    pub content: Vec<u8>,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Its number in that.
    pub counter: u64,
    /// When it was written.
    pub created: Timestamp,
    /// When it is given up.
    pub expires: Timestamp,
    /// How far it came.
    pub state: OutgoingState,
    /// Members that have it on disk, also after it was received.
    pub copies: u32,
    /// Members of the swarm when it was stored.
    pub members: u32,
    /// The recipient's swarm, once known.
    pub swarm: Option<SwarmId>,
    /// Tries so far.
    pub attempts: u32,
    /// When it is tried next; none when nothing is left to do.
    pub next_try: Option<Timestamp>,
}

/// One step of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// The state reached.
    pub state: DeliveryState,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
}

/// Whether a state was taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The message is in the new state.
    Made,
    /// The message is already there or further; nothing was changed.
    Refused,
    /// No such message.
    Unknown,
}

/// Where the next message of this device stands in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConversationPosition {
    /// The conversation.
    pub conversation: ConversationId,
    /// The next message's number.
    pub counter: u64,
    /// The digest of the message before it; all zero for the first.
    pub previous: Digest,
}

fn outgoing(row: &Row<'_>) -> rusqlite::Result<OutboxRow> {
    let (copies, members) = (row.get("copies")?, row.get("members")?);
    let reason = row.get::<_, Option<String>>("reason")?.unwrap_or_default();
    let state = match row.get("state")? {
        DeliveryState::Queued => OutgoingState::Queued { reason },
        DeliveryState::OnItsWay => OutgoingState::OnItsWay,
        DeliveryState::Stored => OutgoingState::Stored { copies, members },
        DeliveryState::Received => OutgoingState::Received,
        DeliveryState::Read => OutgoingState::Read,
        DeliveryState::Failed => OutgoingState::Failed { reason },
    };
    Ok(OutboxRow {
        id: row.col("id")?,
        recipient: row.col("recipient")?,
        kind: row.get("kind")?,
        content: row.get("content")?,
        conversation: row.col("conversation")?,
        counter: row.col("counter")?,
        created: row.col("created")?,
        expires: row.col("expires")?,
        state,
        copies,
        members,
        swarm: row.maybe("swarm")?,
        attempts: row.get("attempts")?,
        next_try: row.maybe("next_try")?,
    })
}

impl View<'_> {
    /// An outgoing message.
    pub fn outgoing(&self, id: &MessageId) -> Result<Option<OutboxRow>, StoreError> {
        let mut query = self.connection.prepare_cached("SELECT * FROM outbox WHERE id = ?1")?;
        Ok(query.query_row([Col(*id)], outgoing).optional()?)
    }

    /// Messages whose next try is due, the longest due first, at most [`ROWS_MAX`].
    pub fn due(&self, now: Timestamp) -> Result<Vec<OutboxRow>, StoreError> {
        let sql = "SELECT * FROM outbox WHERE next_try <= ?1 ORDER BY next_try, seq LIMIT ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![Col(now), ROWS_MAX], outgoing)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// When the next try of any message is due.
    pub fn next_try(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(next_try) AS t FROM outbox WHERE next_try IS NOT NULL";
        Ok(self.connection.prepare_cached(sql)?.query_row([], |row| row.maybe("t"))?)
    }

    /// Messages of people that no majority has stored yet.
    pub fn outgoing_count(&self) -> Result<u64, StoreError> {
        let sql = "SELECT count(*) AS n FROM outbox WHERE state IN (?1, ?2) AND kind = ?3";
        let waiting = params![DeliveryState::Queued, DeliveryState::OnItsWay, OutboxKind::Message];
        Ok(self.connection.prepare_cached(sql)?.query_row(waiting, |row| row.col("n"))?)
    }

    /// Every state of a message, oldest first, at most [`ROWS_MAX`].
    pub fn history(&self, id: &MessageId) -> Result<Vec<StateRow>, StoreError> {
        let sql = "SELECT * FROM outbox_history WHERE message = ?1 ORDER BY step LIMIT ?2";
        let mut query = self.connection.prepare_cached(sql)?;
        let rows = query.query_map(params![Col(*id), ROWS_MAX], |row| {
            Ok(StateRow {
                state: row.get("state")?,
                at: row.col("at")?,
                reason: row.get("reason")?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Where the next message to `contact` stands; none before the first.
    pub fn conversation(
        &self,
        contact: &AccountId,
    ) -> Result<Option<ConversationPosition>, StoreError> {
        let sql = "SELECT * FROM conversations WHERE contact = ?1";
        let position = self.connection.prepare_cached(sql)?.query_row([Col(*contact)], |row| {
            Ok(ConversationPosition {
                conversation: row.col("id")?,
                counter: row.col("next_counter")?,
                previous: row.col("previous")?,
            })
        });
        Ok(position.optional()?)
    }
}

impl Change<'_> {
    /// Queues a message, due at once.
    pub fn queue(&self, new: &NewOutboxMessage) -> Result<(), StoreError> {
        let sql = "INSERT INTO outbox (id, recipient, kind, content, conversation, counter,
                       created, expires, state, reason, next_try)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?7)";
        self.connection.prepare_cached(sql)?.execute(params![
            Col(new.id),
            Col(new.recipient),
            new.kind,
            new.content,
            Col(new.conversation),
            Col(new.counter),
            Col(new.created),
            Col(new.expires),
            DeliveryState::Queued,
            new.reason,
        ])?;
        let state = OutgoingState::Queued { reason: new.reason.clone() };
        self.add_history(&new.id, &state, new.created)
    }

    /// Takes a message to another state, if [`OutgoingState::may_become`] lets it.
    ///
    /// From stored on nothing is tried again. The same state with the same reason is no new step.
    pub fn set_state(
        &self,
        id: &MessageId,
        state: &OutgoingState,
        at: Timestamp,
    ) -> Result<Transition, StoreError> {
        let Some(row) = self.outgoing(id)? else {
            return Ok(Transition::Unknown);
        };
        if row.state == *state || !row.state.may_become(state) {
            return Ok(Transition::Refused);
        }
        let (copies, members) = match state {
            OutgoingState::Stored { copies, members } => (*copies, *members),
            _ => (row.copies, row.members),
        };
        let is_waiting = matches!(state, OutgoingState::Queued { .. } | OutgoingState::OnItsWay);
        let next_try = row.next_try.filter(|_| is_waiting);
        let sql = "UPDATE outbox
                   SET state = ?2, reason = ?3, copies = ?4, members = ?5, next_try = ?6
                   WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![
            Col(*id),
            state.state(),
            state.reason(),
            copies,
            members,
            next_try.map(Col),
        ])?;
        self.add_history(id, state, at)?;
        Ok(Transition::Made)
    }

    /// Counts a try and says when the next is due.
    pub fn set_attempt(&self, id: &MessageId, next_try: Timestamp) -> Result<(), StoreError> {
        let sql =
            "UPDATE outbox SET attempts = attempts + 1 WHERE id = ?1 AND next_try IS NOT NULL";
        self.connection.prepare_cached(sql)?.execute([Col(*id)])?;
        self.set_next_try(id, next_try)
    }

    /// Says when the next try of a message that waits is due. Whoever tries it holds it until then:
    /// other processes take what is due.
    pub fn set_next_try(&self, id: &MessageId, next_try: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET next_try = ?2 WHERE id = ?1 AND next_try IS NOT NULL";
        self.connection.prepare_cached(sql)?.execute(params![Col(*id), Col(next_try)])?;
        Ok(())
    }

    /// Takes a message that is due, until `until`. Whether it was: another process may have taken it.
    pub fn take_due(
        &self,
        id: &MessageId,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE outbox SET next_try = ?3 WHERE id = ?1 AND next_try <= ?2";
        let taken = self.connection.prepare_cached(sql)?.execute(params![
            Col(*id),
            Col(now),
            Col(until)
        ])?;
        Ok(taken > 0)
    }

    /// Remembers the recipient's swarm.
    pub fn set_swarm(&self, id: &MessageId, swarm: SwarmId) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET swarm = ?2 WHERE id = ?1";
        self.connection.prepare_cached(sql)?.execute(params![Col(*id), Col(swarm)])?;
        Ok(())
    }

    /// Says where the next message to `contact` will stand.
    pub fn set_conversation(
        &self,
        contact: &AccountId,
        next: &ConversationPosition,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO conversations (contact, id, next_counter, previous)
                   VALUES (?1, ?2, ?3, ?4)
                   ON CONFLICT (contact) DO UPDATE SET id = excluded.id,
                       next_counter = excluded.next_counter, previous = excluded.previous";
        self.connection.prepare_cached(sql)?.execute(params![
            Col(*contact),
            Col(next.conversation),
            Col(next.counter),
            Col(next.previous),
        ])?;
        Ok(())
    }

    /// Forgets a message with its history and parts: receipts are not kept once stored.
    pub fn remove_outgoing(&self, id: &MessageId) -> Result<(), StoreError> {
        let mut sql = self.connection.prepare_cached("DELETE FROM outbox WHERE id = ?1")?;
        sql.execute([Col(*id)])?;
        Ok(())
    }

    /// Adds a step. Beyond [`ROWS_MAX`] the last is overwritten: a message that hovers between
    /// queued and on its way for weeks keeps its beginning and its present.
    fn add_history(
        &self,
        id: &MessageId,
        state: &OutgoingState,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "INSERT OR REPLACE INTO outbox_history (message, step, state, at, reason)
                   SELECT ?1, min(count(*), ?5 - 1), ?2, ?3, ?4
                   FROM outbox_history WHERE message = ?1";
        let values = params![Col(*id), state.state(), Col(at), state.reason(), ROWS_MAX];
        self.connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    }
}
