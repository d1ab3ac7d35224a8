//! Sending: a message is sealed and kept before the first try, and tried until its swarm has it.
//!
//! The bytes that are kept are the bytes of every retry, so a message that arrives twice is one
//! record. Chunks of files go first, each to the swarm of its own hash; the message that names
//! them goes last.

mod composing;

use std::sync::Arc;
use std::time::{Duration, Instant};

use enjambre_protocol::envelope::{self, Address, MessageId, SignedContent};
use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::mailbox::{
    Call, ChunkHash, MessageHash, Namespace, PutChunkCall, StoreCall, Ttl, Written,
};
use enjambre_protocol::path::{IsolationKey, Rule};
use enjambre_protocol::swarm::point;
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use tokio::task::JoinSet;

use self::composing::bytes_of;
use crate::account::Account;
use crate::client::Client;
use crate::deadline::Deadline;
use crate::error::{Error, ErrorKind};
use crate::mailbox::{Durable, Subject, SwarmError};
use crate::net::Net;
use crate::store::{NewPart, OutboxRow, PartKind, PartRow, StoreError};
use crate::system;
use crate::types::{DeliveryState, OutgoingState, SendReport, SendRequest};

/// How long a message and its chunks are kept for the recipient, and how long sending is tried.
const TTL: Ttl = Ttl::FORTNIGHT;

/// Chunks under way at a time: enough to fill a path's round trips, few enough for a guard's limit.
const CHUNKS_AT_ONCE: usize = 8;

/// The pause after its first failure, doubled with each.
const PAUSE_FIRST: Duration = Duration::from_millis(500);

/// The next try after the first failure, doubled with each up to the second.
const RETRY_AFTER: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(3600));

/// How long a message that was sent waits for what is due for others: most are stored in less, and
/// whoever sends does not wait for strangers' swarms.
const BESIDE: Duration = Duration::from_secs(3);

/// How much longer than its deadline a message is held by the process that tries it. Should that
/// die, another takes the message after that.
const HELD_BEYOND: Duration = Duration::from_secs(10);

/// What is stored in a mailbox: a call and what its receipts are about.
pub(crate) fn record_call(account: &AccountId, data: Vec<u8>, net: &Net) -> (Call, Subject) {
    let (namespace, nonce) = (Namespace::INBOX, net.nonce());
    let hash = MessageHash::of(account, namespace, &data);
    let subject = Subject {
        point: point(account.key()),
        written: Written::Record,
        digest: Digest::from_bytes(*hash.as_bytes()),
        nonce,
    };
    let call = Call::Store(StoreCall {
        account: *account,
        namespace,
        ttl: TTL.as_secs(),
        data: data.into(),
        by: None,
        nonce,
    });
    (call, subject)
}

fn chunk_call(data: Vec<u8>, net: &Net) -> (Call, Subject, ChunkHash) {
    let nonce = net.nonce();
    let hash = ChunkHash::of(&data);
    let subject = Subject {
        point: point(hash.as_bytes()),
        written: Written::Chunk,
        digest: Digest::from_bytes(*hash.as_bytes()),
        nonce,
    };
    (Call::PutChunk(PutChunkCall { ttl: TTL.as_secs(), data: data.into(), nonce }), subject, hash)
}

/// Whose queued messages are tried.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Due {
    /// Everybody's.
    All,
    /// Those for one recipient.
    Of(AccountId),
    /// Those for everybody else.
    Others(AccountId),
}

impl Due {
    fn includes(self, recipient: &AccountId) -> bool {
        match self {
            Self::All => true,
            Self::Of(only) => only == *recipient,
            Self::Others(not) => not != *recipient,
        }
    }
}

/// What came of one try.
enum Tried {
    /// A majority has it.
    Stored(Box<Durable>),
    /// It stays queued, for a reason of this kind.
    Waits(ErrorKind),
    /// It was given up.
    Failed,
    /// Another process had it stored while this one was held up.
    Elsewhere,
}

impl Client {
    /// Sends text and files, and waits until a majority of the recipient's swarm has them on disk.
    /// A message that cannot leave now stays queued and is tried again by later calls; the report says
    /// why. What is due for the same recipient leaves first, so that it arrives in its order; what is
    /// due for others gets a little time afterwards.
    pub async fn send(&self, request: SendRequest) -> Result<SendReport, Error> {
        let began = Instant::now();
        let account = self.own_account()?;
        let recipient = self.recipient(&request.to)?;
        let deadline = self.deadline_for(bytes_of(&request.files));
        let net = self.net(deadline).await?;
        let id = self.compose(&account, &net, recipient, request, deadline)?;
        self.deliver_due(Due::Of(recipient), deadline).await?;
        let tried = self.deliver_within(&id, deadline).await.map_err(|error| {
            let text = format!("{error}; the message is kept, see `enjambre status {id}`");
            let (kind, retry) = (error.kind(), error.retry());
            Error::new(kind, text).with_retry(retry).with_source(error)
        })?;
        self.deliver_due(Due::Others(recipient), deadline.within(BESIDE)).await?;
        let row = self.store().read(|view| view.outgoing(&id))?.ok_or_else(lost)?;
        Ok(report(&row, &tried, began.elapsed()))
    }

    /// Tries a message until it is stored or the time is over.
    async fn deliver_within(&self, id: &MessageId, deadline: Deadline) -> Result<Tried, Error> {
        let tried = self.try_until(id, deadline).await;
        self.put_off(id)?;
        tried
    }

    async fn try_until(&self, id: &MessageId, deadline: Deadline) -> Result<Tried, Error> {
        let mut pause = PAUSE_FIRST;
        loop {
            match self.deliver(id, deadline).await? {
                Tried::Waits(ErrorKind::NotConfirmed | ErrorKind::Unreachable)
                    if pause < deadline.left() => {}
                tried => return Ok(tried),
            }
            tokio::time::sleep(pause).await;
            pause *= 2;
        }
    }

    /// Gives a message back that was held, for whichever process comes first after a pause.
    fn put_off(&self, id: &MessageId) -> Result<(), Error> {
        self.store().write(|change| {
            let Some(row) = change.outgoing(id)? else { return Ok(()) };
            let pause = back_off(row.attempts.saturating_sub(1));
            Ok(change.set_next_try(id, system::now().saturating_add(pause))?)
        })
    }

    /// Tries messages whose next try is due. Errors of single messages stay with them; only a store
    /// that fails is an error here.
    pub(crate) async fn deliver_due(&self, whose: Due, deadline: Deadline) -> Result<(), Error> {
        let due = self.store().read(|view| view.due(system::now()))?;
        for row in due.into_iter().filter(|row| whose.includes(&row.recipient)) {
            if deadline.has_passed() {
                break;
            }
            let (now, until) = (system::now(), held_until(deadline));
            if !self.store().write(|change| change.take_due(&row.id, now, until))? {
                continue;
            }
            let tried = self.deliver(&row.id, deadline).await;
            self.put_off(&row.id)?;
            match tried {
                Err(error) if error.kind() == ErrorKind::StoreFailed => return Err(error),
                Err(error) => tracing::warn!(%error, "a queued message was not sent"),
                Ok(_) => {}
            }
        }
        Ok(())
    }

    /// One try of one message that this process holds: what is left of its chunks, then the record.
    /// What fails is kept as the reason, and the message stays queued.
    async fn deliver(&self, id: &MessageId, deadline: Deadline) -> Result<Tried, Error> {
        let row = self.store().read(|view| view.outgoing(id))?.ok_or_else(lost)?;
        if row.next_try.is_none() {
            return Ok(Tried::Elsewhere);
        }
        let now = system::now();
        if row.expires <= now {
            self.give_up(id, "it expired before it could be stored")?;
            return Ok(Tried::Failed);
        }
        self.store().write(|change| change.set_attempt(id, held_until(deadline)))?;
        match self.try_once(&row, deadline).await {
            Ok(durable) => Ok(Tried::Stored(Box::new(durable))),
            Err(error) if error.kind() == ErrorKind::TooLarge => {
                // It was composed of what fits alone and not together, and never will.
                self.give_up(id, &error.to_string())?;
                Ok(Tried::Failed)
            }
            Err(error) => {
                let state = OutgoingState::Queued { reason: error.to_string() };
                self.store().write(|change| change.set_state(id, &state, system::now()))?;
                // What waiting cannot mend is told at once, and the message stays for a new try.
                match error.kind() {
                    ErrorKind::ContactChanged | ErrorKind::StoreFailed => Err(error),
                    kind => Ok(Tried::Waits(kind)),
                }
            }
        }
    }

    fn give_up(&self, id: &MessageId, reason: &str) -> Result<(), Error> {
        let state = OutgoingState::Failed { reason: reason.to_owned() };
        Ok(self.store().write(|change| {
            change.set_state(id, &state, system::now())?;
            change.remove_parts(id)
        })?)
    }

    async fn try_once(&self, row: &OutboxRow, deadline: Deadline) -> Result<Durable, Error> {
        let account = self.own_account()?;
        let net = self.net(deadline).await?;
        self.seal_record(&account, &net, row, deadline).await?;
        let on_its_way = OutgoingState::OnItsWay;
        self.store().write(|change| change.set_state(&row.id, &on_its_way, system::now()))?;
        loop {
            let chunks = self.store().read(|view| view.next_chunks(&row.id, CHUNKS_AT_ONCE))?;
            if chunks.is_empty() {
                break;
            }
            self.store_chunks(&account, &net, row, chunks, deadline).await?;
        }
        let part = self.store().read(|view| view.next_part(&row.id))?.ok_or_else(lost)?;
        let (call, subject) = record_call(&row.recipient, part.bytes, &net);
        let own = account.id().to_bytes();
        let key = IsolationKey::new(&own, &row.recipient.to_bytes(), "send");
        let durable = net.write(&key, &subject, &call, deadline).await?;
        let state = OutgoingState::Stored { copies: durable.copies, members: durable.members };
        self.store().write(|change| {
            change.part_stored(&row.id, part.part, system::now())?;
            change.set_swarm(&row.id, durable.swarm)?;
            change.set_state(&row.id, &state, system::now())?;
            change.remove_parts(&row.id)
        })?;
        Ok(durable)
    }

    /// Makes sure that the sealed record is kept: the first time, and again only when the bundle
    /// it was sealed for is too old to be opened for as long as the record lives.
    async fn seal_record(
        &self,
        account: &Account,
        net: &Net,
        row: &OutboxRow,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let sealed = self.store().read(|view| view.record_part(&row.id))?;
        let now = system::now();
        let is_fresh = |part: &PartRow| {
            now.saturating_since(part.sealed_at) < enjambre_protocol::identity::BUNDLE_ROTATE_AFTER
        };
        if sealed.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        let bundles = self.keys_of(&row.recipient, deadline).await?;
        let content: SignedContent = wire::decode(&row.content, row.content.len())
            .map_err(|_| StoreError::Damaged { what: "outgoing message" })?;
        let namespace = Namespace::INBOX.number();
        let address = Address { network: account.network(), account: row.recipient, namespace };
        let bytes = net
            .with_rng(|rng| envelope::seal(rng, &address, &content, &bundles, now))
            .map_err(|error| {
                let kind = if matches!(error, envelope::SealError::TooLong { .. }) {
                    ErrorKind::TooLarge
                } else {
                    ErrorKind::NoKeys
                };
                Error::new(kind, error.to_string()).with_retry(error.retry()).with_source(error)
            })?;
        self.store().write(|change| match &sealed {
            Some(part) => change.reseal_part(&row.id, part.part, &bytes, now),
            None => {
                let kind = PartKind::Record;
                change.add_part(&row.id, &NewPart { kind, namespace, sealed_at: now, bytes })?;
                Ok(())
            }
        })?;
        Ok(())
    }

    /// Stores some chunks at a time, each over a path of its own.
    async fn store_chunks(
        &self,
        account: &Account,
        net: &Arc<Net>,
        row: &OutboxRow,
        chunks: Vec<PartRow>,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let own = account.id().to_bytes();
        let mut under_way = JoinSet::new();
        for part in chunks {
            let net = Arc::clone(net);
            under_way.spawn(async move {
                let (call, subject, hash) = chunk_call(part.bytes, &net);
                let key = IsolationKey::new(&own, hash.as_bytes(), "put-chunk");
                let stored: Result<Durable, SwarmError> =
                    net.write(&key, &subject, &call, deadline).await;
                (part.part, stored)
            });
        }
        let mut failure = None;
        while let Some(ended) = under_way.join_next().await {
            let Ok((part, stored)) = ended else {
                return Err(Error::new(ErrorKind::NotConfirmed, "a part of a file was not stored"));
            };
            match stored {
                Ok(_) => {
                    self.store().write(|change| change.part_stored(&row.id, part, system::now()))?
                }
                Err(error) => failure = Some(error),
            }
        }
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}

/// Until when other processes leave a message alone that is tried here.
fn held_until(deadline: Deadline) -> Timestamp {
    system::now().saturating_add(deadline.left().saturating_add(HELD_BEYOND))
}

fn lost() -> Error {
    Error::new(ErrorKind::StoreFailed, "the outgoing message is gone from the store: send it again")
}

fn back_off(attempts: u32) -> Duration {
    let (first, most) = RETRY_AFTER;
    first.saturating_mul(1 << attempts.min(16)).min(most)
}

fn report(row: &OutboxRow, tried: &Tried, took: Duration) -> SendReport {
    let (path, reason_kind) = match tried {
        Tried::Stored(durable) => (Some(&durable.path), None),
        Tried::Waits(kind) => (None, Some(*kind)),
        Tried::Failed | Tried::Elsewhere => (None, None),
    };
    SendReport {
        id: row.id,
        state: row.state.state(),
        reason: row.state.reason().map(str::to_owned),
        reason_kind,
        copies: row.copies,
        members: row.members,
        swarm: row.swarm,
        hops: path.map(|path| path.hops.to_vec()).unwrap_or_default(),
        guard: path.map(|path| path.guard),
        relaxed: path
            .map(|path| path.relaxed.iter().map(Rule::to_string).collect())
            .unwrap_or_default(),
        ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

impl SendReport {
    /// Whether a majority of the recipient's swarm has the message on disk.
    pub fn is_stored(&self) -> bool {
        matches!(self.state, DeliveryState::Stored | DeliveryState::Received | DeliveryState::Read)
    }
}
