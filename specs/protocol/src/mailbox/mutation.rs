//! Signed statements of a mailbox's owner: each stands alone and keeps its signature.
//!
//! A mutation is what the owner, or someone with a token of the owner, wants done to one record or
//! to a stretch of records. Members pass it on and keep it exactly as signed, so any member can
//! check it on any route, now or in a month. Whether its time is near enough to *now* is judged
//! once, when a member takes it from a client or a coordinator, and not here. Specified in
//! 06 mailbox, section 4.

use serde::{Deserialize, Serialize};

use crate::crypto::{self, PublicKey, SecretKey, Signature};
use crate::id::{Digest, NetworkId, byte_id};
use crate::identity::{AccountId, Rights, SubAccountToken};
use crate::mailbox::{MailboxError, MessageHash, Namespace, NamespaceClass, Scope};
use crate::time::Timestamp;

const REQUEST_LABEL: &str = "enjambre/mailbox-request/1";
const MUTATION_LABEL: &str = "enjambre/mutation-digest/1";

byte_id!(
    /// The signed part of a token: what a revocation names.
    TokenBody, 36
);

/// Who signs a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Author {
    /// The owner, by the full Ed25519 key that the account id stands for.
    Owner(PublicKey),
    /// The holder of a token.
    SubAccount {
        /// The owner's full Ed25519 key, which signed the token.
        account: PublicKey,
        /// What the holder may do, and the key by which it signs.
        token: SubAccountToken,
    },
}

impl Author {
    /// What a revocation calls the author's token, if it acts by one.
    pub fn token(&self) -> Option<TokenBody> {
        match self {
            Self::Owner(_) => None,
            Self::SubAccount { token, .. } => Some(TokenBody::from_bytes(token.body())),
        }
    }

    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Owner(key) => {
                out.push(0);
                out.extend_from_slice(key.as_bytes());
            }
            Self::SubAccount { account, token } => {
                out.push(1);
                out.extend_from_slice(account.as_bytes());
                out.extend_from_slice(&token.to_bytes());
            }
        }
    }
}

/// How an expiry is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ExpiryMode {
    /// To exactly this time.
    Set,
    /// To this time if that is earlier.
    Shorten,
    /// To this time if that is later.
    Extend,
}

/// What is asked, of one record or a stretch of them. Times are exact milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    /// Keep this record, for `ttl` seconds from its acceptance.
    Store {
        /// Names the data.
        hash: MessageHash,
        /// Seconds.
        ttl: u32,
    },
    /// Forget this record.
    Delete {
        /// The record.
        hash: MessageHash,
    },
    /// Forget what was accepted up to the signed time.
    DeleteAll,
    /// Forget what was accepted up to this time, or the signed time if that is earlier.
    DeleteBefore {
        /// The last acceptance time covered.
        before: Timestamp,
    },
    /// Change when this record goes.
    Expire {
        /// The record.
        hash: MessageHash,
        /// How.
        mode: ExpiryMode,
        /// To when.
        expiry: Timestamp,
    },
    /// Let what was accepted up to the signed time go at this time, if that is earlier.
    ExpireAll {
        /// When.
        expiry: Timestamp,
    },
    /// Read records; signed but never kept.
    Retrieve,
    /// Read when records go; signed but never kept.
    GetExpiries {
        /// Digest of the hashes asked for.
        hashes: Digest,
    },
    /// Refuse a token from the signed time on.
    Revoke {
        /// The token.
        token: TokenBody,
    },
    /// Accept a token again.
    Restore {
        /// The token.
        token: TokenBody,
    },
}

impl Op {
    /// The operation's part of a signed string: its number and its fixed-length fields.
    fn append_to(&self, out: &mut Vec<u8>) {
        match self {
            Self::Store { hash, ttl } => {
                out.push(1);
                out.extend_from_slice(&ttl.to_le_bytes());
                out.extend_from_slice(hash.as_bytes());
            }
            Self::Retrieve => out.push(2),
            Self::Delete { hash } => {
                out.push(3);
                out.extend_from_slice(hash.as_bytes());
            }
            Self::DeleteAll => out.push(4),
            Self::DeleteBefore { before } => {
                out.push(5);
                out.extend_from_slice(&before.as_millis().to_le_bytes());
            }
            Self::Expire { hash, mode, expiry } => {
                out.push(6);
                out.push(match mode {
                    ExpiryMode::Set => 0,
                    ExpiryMode::Shorten => 1,
                    ExpiryMode::Extend => 2,
                });
                out.extend_from_slice(&expiry.as_millis().to_le_bytes());
                out.extend_from_slice(hash.as_bytes());
            }
            Self::ExpireAll { expiry } => {
                out.push(7);
                out.extend_from_slice(&expiry.as_millis().to_le_bytes());
            }
            Self::GetExpiries { hashes } => {
                out.push(8);
                out.extend_from_slice(hashes.as_bytes());
            }
            Self::Revoke { token } => {
                out.push(9);
                out.extend_from_slice(token.as_bytes());
            }
            Self::Restore { token } => {
                out.push(10);
                out.extend_from_slice(token.as_bytes());
            }
        }
    }

    /// What this makes of an expiry; operations on nothing of the kind leave it as it is.
    pub(crate) fn expiry_after(&self, expiry: Timestamp) -> Timestamp {
        match *self {
            Self::Expire { mode: ExpiryMode::Set, expiry: to, .. } => to,
            Self::Expire { mode: ExpiryMode::Shorten, expiry: to, .. }
            | Self::ExpireAll { expiry: to } => expiry.min(to),
            Self::Expire { mode: ExpiryMode::Extend, expiry: to, .. } => expiry.max(to),
            _ => expiry,
        }
    }

    /// What a token must allow for this in `scope`; `None` for what only the owner may do.
    fn rights(&self, scope: Scope) -> Option<Rights> {
        match self {
            // A store into an outbox replaces what is there.
            Self::Store { .. } => match scope {
                Scope::One(namespace) if namespace.class() == NamespaceClass::Outbox => {
                    Some(Rights::WRITE.with(Rights::DELETE))
                }
                Scope::One(_) | Scope::All => Some(Rights::WRITE),
            },
            Self::Expire { mode: ExpiryMode::Extend, .. } => match scope {
                // What is said of unknown records takes places that the account's keys need.
                Scope::One(namespace) if namespace.class() == NamespaceClass::Outbox => {
                    Some(Rights::WRITE.with(Rights::DELETE))
                }
                Scope::One(_) | Scope::All => Some(Rights::WRITE),
            },
            Self::Expire { .. } => Some(Rights::WRITE.with(Rights::DELETE)),
            Self::Delete { .. }
            | Self::DeleteAll
            | Self::DeleteBefore { .. }
            | Self::ExpireAll { .. } => Some(Rights::DELETE),
            Self::Retrieve | Self::GetExpiries { .. } => Some(Rights::READ),
            Self::Revoke { .. } | Self::Restore { .. } => None,
        }
    }
}

/// Author, time and signature of a request on one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authorization {
    /// Who signs.
    pub author: Author,
    /// When, by the author's clock.
    pub signed_at: Timestamp,
    /// Over [`Mutation::signed_body`].
    pub signature: Signature,
}

/// One signed statement about one scope of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutation {
    /// What.
    pub op: Op,
    /// By whom and when.
    pub by: Authorization,
}

impl Mutation {
    /// Signs `op` with `key` for `author`, whose key it must be.
    pub fn signed(
        key: &SecretKey,
        author: Author,
        network: &NetworkId,
        account: &AccountId,
        scope: Scope,
        signed_at: Timestamp,
        op: Op,
    ) -> Self {
        let body = Self::signed_body(&op, &author, account, scope, signed_at);
        let signature = key.sign(REQUEST_LABEL, network, &body);
        Self { op, by: Authorization { author, signed_at, signature } }
    }

    /// The signed string behind label and network: account (33), scope (3), signed time (8,
    /// little-endian ms), author (1: 0 owner, 1 token; the key or the token's bytes), operation.
    /// Every field has a fixed length, so it is laid out in one way only.
    pub fn signed_body(
        op: &Op,
        author: &Author,
        account: &AccountId,
        scope: Scope,
        signed_at: Timestamp,
    ) -> Vec<u8> {
        let mut body = Vec::with_capacity(160);
        body.extend_from_slice(&account.to_bytes());
        body.extend_from_slice(&scope.to_bytes());
        body.extend_from_slice(&signed_at.as_millis().to_le_bytes());
        author.append_to(&mut body);
        op.append_to(&mut body);
        body
    }

    /// Checks that the author may do this and signed it. Revocation is the member's to judge.
    pub fn verify(
        &self,
        network: &NetworkId,
        account: &AccountId,
        scope: Scope,
    ) -> Result<(), MailboxError> {
        let Authorization { author, signed_at, signature } = &self.by;
        let key = match author {
            Author::Owner(key) if account.matches(key) => *key,
            Author::SubAccount { account: key, token } if account.matches(key) => {
                let rights = self.op.rights(scope).ok_or(MailboxError::Unauthorised)?;
                let held = token.verify(network, key, rights);
                held.map_err(|_| MailboxError::Unauthorised)?;
                token.device()
            }
            Author::Owner(_) | Author::SubAccount { .. } => return Err(MailboxError::Unauthorised),
        };
        let body = Self::signed_body(&self.op, author, account, scope, *signed_at);
        crypto::verify(&key, REQUEST_LABEL, network, &body, signature)
            .map_err(|_| MailboxError::Unauthorised)
    }

    /// When it was signed.
    pub const fn signed_at(&self) -> Timestamp {
        self.by.signed_at
    }

    /// A digest of the whole statement, signature included: equal digests, equal statements.
    pub fn digest(&self) -> Digest {
        let mut content = Vec::with_capacity(256);
        content.extend_from_slice(&self.by.signed_at.as_millis().to_le_bytes());
        self.by.author.append_to(&mut content);
        self.op.append_to(&mut content);
        content.extend_from_slice(self.by.signature.as_bytes());
        crypto::digest(MUTATION_LABEL, &[&content])
    }

    /// Total order of statements about one thing: the signed time, then the digest.
    pub fn order(&self) -> (Timestamp, Digest) {
        (self.by.signed_at, self.digest())
    }
}

/// Digest of a list of hashes, as [`Op::GetExpiries`] signs it.
pub fn hashes_digest(hashes: &[MessageHash]) -> Digest {
    let parts: Vec<&[u8]> = hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect();
    crypto::digest("enjambre/hash-list/1", &parts)
}

/// Digest of a list of statements: what their receipts are about.
pub fn changes_digest(changes: &[Mutation]) -> Digest {
    let digests: Vec<Digest> = changes.iter().map(Mutation::digest).collect();
    let parts: Vec<&[u8]> = digests.iter().map(|digest| digest.as_bytes().as_slice()).collect();
    crypto::digest("enjambre/change-list/1", &parts)
}

impl From<Namespace> for Scope {
    fn from(namespace: Namespace) -> Self {
        Self::One(namespace)
    }
}
