//! Checking what came in: pure, heavy, and done before a machine sees it.
//!
//! A [`Verified`] value cannot be made but by [`Verify::verify`], which checks every signature,
//! size, lifetime and right. That is most of the work of a request, needs no state, and so runs on
//! as many cores as there are; the member machine takes nothing else. What needs the member's
//! state (its clock, swarm, quotas, revocations) is left to the machine.

use std::sync::Arc;

use crate::id::{Digest, NetworkId, NodeId};
use crate::identity::AccountId;
use crate::limits::{BATCH_MAX, MESSAGE_MAX};
use crate::mailbox::{
    Authorization, CHANGES_MAX, CHUNK_LEN, Call, ChangeCall, ChunkHash, ConfigurationId,
    ExpiryMode, Forward, ForwardReply, GetExpiriesCall, MailboxError, MessageHash, Mutation,
    Namespace, NamespaceClass, Op, PutChunkCall, Receipt, ReceiptNonce, RecordKey, Request,
    RetrieveCall, Scope, Stamp, StoreCall, Ttl, changes_digest, hashes_digest,
};
use crate::swarm::{Point, point};

/// Something from outside that can be checked without state.
pub trait Verify: Sized {
    /// What it is once checked.
    type Checked;

    /// Checks all that can be checked without state.
    fn verify(self, network: &NetworkId) -> Result<Verified<Self>, MailboxError>;
}

/// Proof that [`Verify::verify`] passed.
#[derive(Clone, Debug)]
pub struct Verified<T: Verify>(T::Checked);

impl<T: Verify> Verified<T> {
    pub(crate) fn into_checked(self) -> T::Checked {
        self.0
    }
}

/// A checked request: each part by itself, since parts of a batch fail by themselves.
#[derive(Clone, Debug)]
pub struct CheckedRequest {
    pub(crate) shape: Shape,
    pub(crate) parts: Vec<Result<CheckedCall, MailboxError>>,
}

/// Which form the response has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    Batch,
}

#[derive(Clone, Debug)]
pub(crate) enum CheckedCall {
    Write(Box<CheckedWrite>),
    Read(Box<CheckedRead>),
}

/// A checked write, with the call as it came for passing on.
#[derive(Clone, Debug)]
pub(crate) struct CheckedWrite {
    pub(crate) call: Arc<Call>,
    pub(crate) point: Point,
    pub(crate) nonce: ReceiptNonce,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    Record { key: RecordKey, ttl: Ttl, owner: Option<Box<Mutation>> },
    Changes { account: AccountId, scope: Scope, changes: Vec<Mutation>, subject: Digest },
    Chunk { hash: ChunkHash, ttl: Ttl },
}

#[derive(Clone, Debug)]
pub(crate) enum CheckedRead {
    Retrieve { call: RetrieveCall, point: Point },
    GetExpiries { call: GetExpiriesCall, point: Point },
    Info,
    GetChunk { hash: ChunkHash, point: Point },
}

impl From<CheckedRead> for CheckedCall {
    fn from(read: CheckedRead) -> Self {
        Self::Read(Box::new(read))
    }
}

/// A checked forward.
#[derive(Clone, Debug)]
pub struct CheckedForward {
    pub(crate) configurations: [ConfigurationId; 2],
    pub(crate) stamp: Option<Stamp>,
    pub(crate) write: CheckedWrite,
}

impl CheckedWrite {
    /// The opaque bytes of a record or a chunk.
    pub(crate) fn data(&self) -> &[u8] {
        match &*self.call {
            Call::Store(call) => call.data.as_bytes(),
            Call::PutChunk(call) => call.data.as_bytes(),
            _ => &[],
        }
    }
}

impl Verify for Request {
    type Checked = CheckedRequest;

    /// Fails as a whole only for a batch that is too long or empty.
    fn verify(self, network: &NetworkId) -> Result<Verified<Self>, MailboxError> {
        let (shape, calls) = match self {
            Self::One(call) => (Shape::One, vec![*call]),
            Self::Batch(calls) => (Shape::Batch, calls),
        };
        at_most(calls.len(), BATCH_MAX)?;
        if calls.is_empty() {
            return Err(MailboxError::Malformed);
        }
        let parts = calls.into_iter().map(|call| check(call, network)).collect();
        Ok(Verified(CheckedRequest { shape, parts }))
    }
}

impl Verify for Forward {
    type Checked = CheckedForward;

    /// A coordinator's word is not taken for the client's: all signatures are checked again.
    fn verify(self, network: &NetworkId) -> Result<Verified<Self>, MailboxError> {
        let CheckedCall::Write(write) = check(self.call, network)? else {
            return Err(MailboxError::Malformed);
        };
        match (&write.what, &self.stamp) {
            (What::Record { key, ttl, .. }, Some(stamp)) => {
                stamp.verify(network, key).map_err(|_| MailboxError::Unauthorised)?;
                if stamp.lifetime() != ttl.as_duration() {
                    return Err(MailboxError::Malformed);
                }
            }
            (What::Changes { .. } | What::Chunk { .. }, None) => {}
            _ => return Err(MailboxError::Malformed),
        }
        let Self { configurations, stamp, .. } = self;
        Ok(Verified(CheckedForward { configurations, stamp, write: *write }))
    }
}

/// An answer of a member, with the member that the link authenticated.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Who answered.
    pub from: NodeId,
    /// What.
    pub reply: ForwardReply,
}

impl Verify for Answer {
    type Checked = Self;

    /// A receipt that does not hold, or is another node's, becomes a refusal.
    fn verify(self, network: &NetworkId) -> Result<Verified<Self>, MailboxError> {
        let Self { from, reply } = self;
        let holds = |receipt: &Receipt| receipt.node == from && receipt.verify(network).is_ok();
        let reply = match reply {
            Ok(receipt) if !holds(&receipt) => Err(MailboxError::Unauthorised),
            other => other,
        };
        Ok(Verified(Self { from, reply }))
    }
}

fn at_most(len: usize, limit: usize) -> Result<(), MailboxError> {
    if len <= limit {
        return Ok(());
    }
    Err(MailboxError::TooLarge { len: len as u64, limit: limit as u64 })
}

fn check(call: Call, network: &NetworkId) -> Result<CheckedCall, MailboxError> {
    match call {
        Call::Store(call) => check_store(call, network),
        Call::Change(call) => check_change(call, network),
        Call::PutChunk(call) => check_chunk(call),
        Call::Retrieve(call) => {
            let open = call.namespace.class() == NamespaceClass::Outbox;
            match &call.by {
                None if open => {}
                None => return Err(MailboxError::Unauthorised),
                Some(by) => {
                    check_one(network, &call.account, call.namespace, Op::Retrieve, by)?;
                }
            }
            let point = point(call.account.key());
            Ok(CheckedRead::Retrieve { call, point }.into())
        }
        Call::GetExpiries(call) => {
            at_most(call.hashes.len(), CHANGES_MAX)?;
            let op = Op::GetExpiries { hashes: hashes_digest(&call.hashes) };
            check_one(network, &call.account, call.namespace, op, &call.by)?;
            let point = point(call.account.key());
            Ok(CheckedRead::GetExpiries { call, point }.into())
        }
        Call::Info => Ok(CheckedRead::Info.into()),
        Call::GetChunk(hash) => {
            let point = point(hash.as_bytes());
            Ok(CheckedRead::GetChunk { hash, point }.into())
        }
    }
}

/// Checks the author of one operation in one namespace, and gives the statement.
fn check_one(
    network: &NetworkId,
    account: &AccountId,
    namespace: Namespace,
    op: Op,
    by: &Authorization,
) -> Result<Mutation, MailboxError> {
    let mutation = Mutation { op, by: by.clone() };
    mutation.verify(network, account, Scope::One(namespace))?;
    Ok(mutation)
}

fn check_store(call: StoreCall, network: &NetworkId) -> Result<CheckedCall, MailboxError> {
    at_most(call.data.as_bytes().len(), MESSAGE_MAX)?;
    if call.data.as_bytes().is_empty() {
        return Err(MailboxError::Malformed);
    }
    let class = call.namespace.class();
    let ttl = Ttl::for_class(class, call.ttl).ok_or(MailboxError::Ttl { secs: call.ttl })?;
    let hash = MessageHash::of(&call.account, call.namespace, call.data.as_bytes());
    let owner = match &call.by {
        None if class == NamespaceClass::Inbox => None,
        None => return Err(MailboxError::Unauthorised),
        Some(by) => {
            let op = Op::Store { hash, ttl: call.ttl };
            Some(Box::new(check_one(network, &call.account, call.namespace, op, by)?))
        }
    };
    let key = RecordKey { account: call.account, namespace: call.namespace, hash };
    Ok(CheckedCall::Write(Box::new(CheckedWrite {
        point: point(call.account.key()),
        nonce: call.nonce,
        what: What::Record { key, ttl, owner },
        call: Arc::new(Call::Store(call)),
    })))
}

fn check_change(call: ChangeCall, network: &NetworkId) -> Result<CheckedCall, MailboxError> {
    at_most(call.changes.len(), CHANGES_MAX)?;
    if call.changes.is_empty() {
        return Err(MailboxError::Malformed);
    }
    let changes = call.mutations();
    for mutation in &changes {
        check_shape(mutation, call.scope)?;
        mutation.verify(network, &call.account, call.scope)?;
    }
    let subject = changes_digest(&changes);
    let (account, scope) = (call.account, call.scope);
    Ok(CheckedCall::Write(Box::new(CheckedWrite {
        point: point(call.account.key()),
        nonce: call.nonce,
        what: What::Changes { account, scope, changes, subject },
        call: Arc::new(Call::Change(call)),
    })))
}

/// Which operation may stand in which scope, and how far it may prolong.
fn check_shape(mutation: &Mutation, scope: Scope) -> Result<(), MailboxError> {
    let longest = mutation.signed_at().saturating_add(Ttl::MAX.as_duration());
    match (mutation.op, scope) {
        // An outbox is a register: a delete by hash would let an older value come back.
        (Op::Delete { .. }, Scope::One(namespace))
            if namespace.class() != NamespaceClass::Outbox =>
        {
            Ok(())
        }
        (Op::Expire { mode: ExpiryMode::Shorten, .. }, Scope::One(_)) => Ok(()),
        (Op::Expire { expiry, .. }, Scope::One(_)) if expiry <= longest => Ok(()),
        (Op::Expire { expiry, .. }, Scope::One(_)) => {
            let secs = expiry.saturating_since(mutation.signed_at()).as_secs();
            Err(MailboxError::Ttl { secs: u32::try_from(secs).unwrap_or(u32::MAX) })
        }
        (Op::DeleteAll | Op::DeleteBefore { .. } | Op::ExpireAll { .. }, _) => Ok(()),
        (Op::Revoke { .. } | Op::Restore { .. }, Scope::All) => Ok(()),
        _ => Err(MailboxError::Malformed),
    }
}

fn check_chunk(call: PutChunkCall) -> Result<CheckedCall, MailboxError> {
    let len = call.data.as_bytes().len();
    at_most(len, CHUNK_LEN)?;
    if len != CHUNK_LEN {
        return Err(MailboxError::Malformed);
    }
    let ttl = Ttl::for_chunk(call.ttl).ok_or(MailboxError::Ttl { secs: call.ttl })?;
    let hash = ChunkHash::of(call.data.as_bytes());
    Ok(CheckedCall::Write(Box::new(CheckedWrite {
        point: point(hash.as_bytes()),
        nonce: call.nonce,
        what: What::Chunk { hash, ttl },
        call: Arc::new(Call::PutChunk(call)),
    })))
}
