//! Requests to a swarm member and its replies, as they stand on the wire.
//!
//! Everything here is as received and means nothing before [`crate::mailbox::Verified`] has looked
//! at it. Encoded by [`crate::wire`]. Specified in 06 mailbox, section 3.

use serde::{Deserialize, Serialize};

use crate::crypto::{SecretKey, Signature};
use crate::id::{NetworkId, StoreId, SwarmId};
use crate::identity::AccountId;
use crate::mailbox::{
    Author, Authorization, ChunkHash, Cursor, MailboxError, MessageHash, Mutation, Namespace, Op,
    Payload, Receipt, ReceiptNonce, Scope, Stamp,
};
use crate::time::Timestamp;

/// Keep a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCall {
    /// Whose mailbox.
    pub account: AccountId,
    /// Which drawer.
    pub namespace: Namespace,
    /// How long, seconds; see [`super::Ttl`].
    pub ttl: u32,
    /// What.
    pub data: Payload,
    /// Needed but in inboxes: [`Op::Store`], signed.
    pub by: Option<Authorization>,
    /// Comes back in the receipts.
    pub nonce: ReceiptNonce,
}

/// Read records in the order in which this member's store received them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetrieveCall {
    /// Whose mailbox.
    pub account: AccountId,
    /// Which drawer.
    pub namespace: Namespace,
    /// What was read before.
    pub after: Option<Cursor>,
    /// Bytes of items at most, so that the reply fits; the first item comes in any case. At most
    /// [`crate::limits::RETRIEVE_MAX`] whatever is asked.
    pub max_bytes: u32,
    /// Needed but in outboxes: [`Op::Retrieve`], signed.
    pub by: Option<Authorization>,
}

/// One operation of a [`ChangeCall`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What: any operation but store, retrieve and get-expiries.
    pub op: Op,
    /// See [`Mutation::signed_body`].
    pub signature: Signature,
}

/// Delete, expire or revoke: operations by one author at one time, each signed on its own so that
/// members can keep each with the record it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCall {
    /// Whose mailbox.
    pub account: AccountId,
    /// Which drawer; all of them only for operations on ranges and tokens.
    pub scope: Scope,
    /// Who signs.
    pub author: Author,
    /// When.
    pub signed_at: Timestamp,
    /// What, at most [`super::CHANGES_MAX`].
    pub changes: Vec<Change>,
    /// Comes back in the receipts.
    pub nonce: ReceiptNonce,
}

impl ChangeCall {
    /// Signs `ops` as the owner.
    pub fn by_owner(
        key: &SecretKey,
        network: &NetworkId,
        account: AccountId,
        scope: Scope,
        signed_at: Timestamp,
        ops: impl IntoIterator<Item = Op>,
        nonce: ReceiptNonce,
    ) -> Self {
        let author = Author::Owner(key.public());
        Self::signed(key, author, network, account, scope, signed_at, ops, nonce)
    }

    /// Signs `ops` with `key` for `author`, whose key it must be.
    #[expect(clippy::too_many_arguments, reason = "each is part of what is signed")]
    pub fn signed(
        key: &SecretKey,
        author: Author,
        network: &NetworkId,
        account: AccountId,
        scope: Scope,
        signed_at: Timestamp,
        ops: impl IntoIterator<Item = Op>,
        nonce: ReceiptNonce,
    ) -> Self {
        let sign = |op| {
            let by = author.clone();
            let mutation = Mutation::signed(key, by, network, &account, scope, signed_at, op);
            Change { op, signature: mutation.by.signature }
        };
        let changes = ops.into_iter().map(sign).collect();
        Self { account, scope, author, signed_at, changes, nonce }
    }

    /// The operations, each as a statement of its own.
    pub fn mutations(&self) -> Vec<Mutation> {
        let mutation = |change: &Change| Mutation {
            op: change.op,
            by: Authorization {
                author: self.author.clone(),
                signed_at: self.signed_at,
                signature: change.signature,
            },
        };
        self.changes.iter().map(mutation).collect()
    }
}

/// Ask when records go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetExpiriesCall {
    /// Whose mailbox.
    pub account: AccountId,
    /// Which drawer.
    pub namespace: Namespace,
    /// Which records, at most [`super::CHANGES_MAX`].
    pub hashes: Vec<MessageHash>,
    /// [`Op::GetExpiries`], signed.
    pub by: Authorization,
}

/// Keep a chunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PutChunkCall {
    /// How long, seconds; see [`super::Ttl::for_chunk`].
    pub ttl: u32,
    /// Exactly [`super::CHUNK_LEN`] bytes.
    pub data: Payload,
    /// Comes back in the receipts.
    pub nonce: ReceiptNonce,
}

/// One thing asked of a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Call {
    /// Keep a record.
    Store(StoreCall),
    /// Read records.
    Retrieve(RetrieveCall),
    /// Delete, expire, revoke.
    Change(ChangeCall),
    /// Ask when records go.
    GetExpiries(GetExpiriesCall),
    /// Ask about the member.
    Info,
    /// Keep a chunk.
    PutChunk(PutChunkCall),
    /// Read a chunk.
    GetChunk(ChunkHash),
}

/// What a client sends. Batches do not nest, by type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// One thing.
    One(Box<Call>),
    /// Up to [`crate::limits::BATCH_MAX`] things, each answered on its own, in no set order.
    Batch(Vec<Call>),
}

/// Hash, two times and lengths of one item on the wire, bytes at most.
pub(crate) const ITEM_COST: usize = 56;

/// A record as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// Its name.
    pub hash: MessageHash,
    /// When the swarm last accepted it.
    pub accepted_at: Timestamp,
    /// When it goes.
    pub expiry: Timestamp,
    /// What.
    pub data: Payload,
}

/// Where the next `retrieve` goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// Nothing more for now.
    Done,
    /// More is there: ask again with the cursor.
    More,
}

/// What a `retrieve` started from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Start {
    /// The cursor that was sent, or the beginning where none was.
    Continued,
    /// The beginning, because the cursor was of another store: the client compares by hash.
    Reset,
}

/// Records read, oldest first in this store's order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The records.
    pub items: Vec<Item>,
    /// For the next call.
    pub cursor: Cursor,
    /// Whether there is more.
    pub rest: Rest,
    /// Where this page started.
    pub start: Start,
}

/// A write that a majority has on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirmed {
    /// Of the members that confirmed so far, at least the majorities needed.
    pub receipts: Vec<Receipt>,
    /// Members of the configuration, whether they confirmed or not.
    pub members: u16,
}

/// When one record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpiryOf {
    /// The record.
    pub hash: MessageHash,
    /// When.
    pub expiry: Timestamp,
}

/// What a member says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its clock.
    pub time: Timestamp,
    /// The newest directory height it knows.
    pub height: u64,
    /// Its database.
    pub store: StoreId,
    /// Its swarm.
    pub swarm: Option<SwarmId>,
    /// The number of the swarm's configuration.
    pub configuration: u32,
}

/// The answer to one [`Call`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// To store.
    Stored(Confirmed),
    /// To retrieve.
    Retrieved(Page),
    /// To change.
    Changed(Confirmed),
    /// To get-expiries: those of the records that are here.
    Expiries(Vec<ExpiryOf>),
    /// To info.
    Info(Info),
    /// To put-chunk.
    ChunkStored(Confirmed),
    /// To get-chunk.
    Chunk(Payload),
}

impl Reply {
    /// Bytes of records or chunks it carries.
    pub(crate) fn payload(&self) -> usize {
        match self {
            Self::Retrieved(page) => {
                page.items.iter().map(|item| item.data.as_bytes().len() + ITEM_COST).sum()
            }
            Self::Chunk(data) => data.as_bytes().len(),
            _ => 0,
        }
    }
}

/// The answer to a [`Request`], in its shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Response {
    /// To one thing.
    One(Result<Reply, MailboxError>),
    /// To a batch, in its order.
    Batch(Vec<Result<Reply, MailboxError>>),
}

/// Names a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigurationId {
    /// The swarm.
    pub swarm: SwarmId,
    /// The number.
    pub number: u32,
}

/// A write on its way from the member that a client reached to the others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forward {
    /// Whom the coordinator takes for the owner of this point that answers reads, and for the
    /// owner once nothing is in hand.
    pub configurations: [ConfigurationId; 2],
    /// The acceptance, for a record.
    pub stamp: Option<Stamp>,
    /// Store, change or put-chunk, exactly as the client sent it.
    pub call: Call,
}

/// The answer to a [`Forward`].
pub type ForwardReply = Result<Receipt, MailboxError>;
