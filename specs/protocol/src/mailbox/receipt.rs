//! Receipts: a member's signature that it has a write on disk.

use serde::{Deserialize, Serialize};

use crate::crypto::{self, BadSignature, PublicKey, SecretKey, Signature};
use crate::id::{Digest, NetworkId, NodeId, StoreId, SwarmId};
use crate::mailbox::{Namespace, ReceiptNonce};
use crate::swarm::{Member, Point};
use crate::time::Timestamp;

const RECEIPT_LABEL: &str = "enjambre/mailbox-receipt/1";

/// What kind of write a receipt is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Written {
    /// A record; the subject is its hash.
    Record,
    /// Signed changes; the subject is [`super::changes_digest`].
    Changes,
    /// A chunk; the subject is its hash.
    Chunk,
}

/// What a receipt says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptBody {
    /// The swarm the member spoke for.
    pub swarm: SwarmId,
    /// The number of the swarm's configuration.
    pub configuration: u32,
    /// The database it is on.
    pub store: StoreId,
    /// The point of the account, or of the chunk's hash: not the id itself.
    pub point: Point,
    /// What kind of write.
    pub written: Written,
    /// The namespace; 0 for chunks and for changes to all namespaces.
    pub namespace: Namespace,
    /// Hash of the record or the chunk, or digest of the changes.
    pub subject: Digest,
    /// When it goes; for changes, how long the member remembers them at least.
    pub expiry: Timestamp,
    /// When it was accepted; for changes, their signed time.
    pub accepted_at: Timestamp,
    /// The client's nonce.
    pub nonce: ReceiptNonce,
}

impl ReceiptBody {
    /// The signed string behind label and network, 103 bytes; integers little-endian.
    fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(103);
        bytes.extend_from_slice(&self.swarm.position().to_le_bytes());
        bytes.extend_from_slice(&self.configuration.to_le_bytes());
        bytes.extend_from_slice(self.store.as_bytes());
        bytes.extend_from_slice(&self.point.0.to_le_bytes());
        bytes.push(match self.written {
            Written::Record => 0,
            Written::Changes => 1,
            Written::Chunk => 2,
        });
        bytes.extend_from_slice(&self.namespace.to_le_bytes());
        bytes.extend_from_slice(self.subject.as_bytes());
        bytes.extend_from_slice(&self.expiry.as_millis().to_le_bytes());
        bytes.extend_from_slice(&self.accepted_at.as_millis().to_le_bytes());
        bytes.extend_from_slice(self.nonce.as_bytes());
        bytes
    }
}

/// A member's signed word that a write is on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The member.
    pub node: NodeId,
    /// What it says.
    pub body: ReceiptBody,
    /// Over the body's fixed layout.
    pub signature: Signature,
}

impl Receipt {
    /// Signs `body` as a member.
    pub fn new(member: &SecretKey, network: &NetworkId, body: ReceiptBody) -> Self {
        let signature = member.sign(RECEIPT_LABEL, network, &body.to_bytes());
        let node = NodeId::from_bytes(*member.public().as_bytes());
        Self { node, body, signature }
    }

    /// Checks that the node it names signed it. Whether that node is a member of the swarm under
    /// this store id is for the holder of a directory to say.
    pub fn verify(&self, network: &NetworkId) -> Result<(), BadSignature> {
        let key = PublicKey::from_bytes(*self.node.as_bytes());
        crypto::verify(&key, RECEIPT_LABEL, network, &self.body.to_bytes(), &self.signature)
    }

    /// The member and its store, as configurations list them.
    pub const fn member(&self) -> Member {
        Member { node: self.node, store: self.body.store }
    }
}
