//! Mailboxes: what a swarm keeps for an account, and how a member serves it.
//!
//! A mailbox is a set of records in namespaces, held by every member of the account's swarm. A
//! client asks any member; that member coordinates: it stamps the time, passes a write on to the
//! others and answers when a majority has it on disk, with their signed receipts. What members
//! know about a record merges in any order to one result ([`Record`]).
//!
//! The way of a request: [`Request`] as received → [`Verify::verify`] on any core → [`Verified`] →
//! [`MemberMachine`] → [`Mailboxes`] over a [`Store`], one commit for all that waits → reply.
//!
//! Not here: sockets and the driver thread, RocksDB (the node); choice of members, paths and
//! retries (the SDK); who is in which swarm ([`crate::swarm`]). Specified in 06 mailbox.
//!
//! # Invariants
//!
//! - *Synced*: no receipt is signed before a commit holds what it is for.
//! - *Majority*: a write succeeds only with receipts of a majority of every list concerned.
//! - *Never expired*: a record past its expiry is not returned, whether or not it was swept.
//! - *Stays deleted*: what a tombstone covers is refused as long as it could still arrive.
//! - *Bounded*: every account, and the node, has a share; what exceeds it is an error, never an
//!   eviction in silence.

mod accounts;
mod address;
pub mod conformance;
mod error;
mod layout;
mod machine;
mod memory;
mod mutation;
mod namespace;
mod range;
mod receipt;
mod record;
mod rpc;
mod stamp;
mod store;
#[cfg(test)]
mod tests;
mod verified;

pub use accounts::{Clock, Counters, Kept, Mailboxes, Quota, Quotas, RANGES_MAX, Swept};
pub use address::{ChunkHash, Cursor, MessageHash, Payload, ReceiptNonce, RecordSeq};
pub use error::{ErrorKind, MailboxError, Unconfirmed};
pub use machine::{
    CallId, Interest, MemberConfig, MemberMachine, Now, Readiness, RequestId, Transmit, View,
    WRITE_DEADLINE,
};
pub use memory::{FaultyStore, MemoryStore};
pub use mutation::{
    Author, Authorization, ExpiryMode, Mutation, Op, TokenBody, changes_digest, hashes_digest,
};
pub use namespace::{Namespace, NamespaceClass, Scope, Ttl};
pub use range::RangeMarks;
pub use receipt::{Receipt, ReceiptBody, Written};
pub use record::{ACCEPTANCES_MAX, EXPIRIES_MAX, Record, TOMBSTONE_LIFE, TOMBSTONE_MARGIN};
pub use rpc::{
    Call, Change, ChangeCall, ConfigurationId, Confirmed, ExpiryOf, Forward, ForwardReply,
    GetExpiriesCall, Info, Item, Page, PutChunkCall, Reply, Request, Response, Rest, RetrieveCall,
    Start, StoreCall,
};
pub use stamp::{RecordKey, Stamp};
pub use store::{Overlay, StorageError, Store, Table, Visit};
pub use verified::{Answer, Verified, Verify};

/// Operations in one change, and hashes in one question: 64 bytes of signature and 33 of operation
/// each, so that a full list of deletes fits the 8 KiB class, and checking it takes 3 ms.
pub const CHANGES_MAX: usize = 64;

/// Bytes of a chunk: what the 128 KiB class carries to the destination (130 660), less the fields
/// of a request, rounded down to a whole KiB.
pub const CHUNK_LEN: usize = 127 << 10;

/// Tokens of one account that may be revoked at a time.
pub const REVOKED_MAX: usize = 50;
