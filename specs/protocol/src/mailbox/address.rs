//! What a record is found by: its hash everywhere, its sequence number on one store.

use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::crypto;
use crate::id::{StoreId, byte_id};
use crate::identity::AccountId;
use crate::mailbox::Namespace;

byte_id!(
    /// The name of a record: a digest of account, namespace and data. See [`MessageHash::of`].
    MessageHash, 32
);
byte_id!(
    /// The name of a chunk: the BLAKE3-256 of its bytes. See [`ChunkHash::of`].
    ChunkHash, 32
);
byte_id!(
    /// A client's random value that comes back in receipts, so that an old receipt proves nothing.
    ReceiptNonce, 16
);

const MESSAGE_HASH_LABEL: &str = "enjambre/message-hash/1";

impl MessageHash {
    /// The name of `data` in a namespace of an account. Neither time nor lifetime enters, so the
    /// same data sent twice is one record.
    pub fn of(account: &AccountId, namespace: Namespace, data: &[u8]) -> Self {
        let parts: [&[u8]; 3] = [&account.to_bytes(), &namespace.to_le_bytes(), data];
        Self::from_bytes(*crypto::digest(MESSAGE_HASH_LABEL, &parts).as_bytes())
    }
}

impl ChunkHash {
    /// The name of a chunk: plain BLAKE3, so that any tool can check it.
    pub fn of(data: &[u8]) -> Self {
        Self::from_bytes(*blake3::hash(data).as_bytes())
    }
}

/// A record's place in the order in which one store received records. Never used twice.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct RecordSeq(u64);

impl RecordSeq {
    /// Before the first record.
    pub const ZERO: Self = Self(0);

    /// From the number on disk.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The place after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// How far a client has read on one store.
///
/// It means nothing on another: there the member starts from the beginning and says so, and the
/// client sorts out by hash what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// The store that counted.
    pub store: StoreId,
    /// The last place read.
    pub seq: RecordSeq,
}

/// Bytes of a message or a chunk, opaque to members. Not shown by `Debug`.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The bytes, taken out.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} bytes)", self.0.len())
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl<'de> Visitor<'de> for Bytes {
            type Value = Payload;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Payload, E> {
                Ok(Payload(bytes.to_vec()))
            }

            fn visit_byte_buf<E: serde::de::Error>(self, bytes: Vec<u8>) -> Result<Payload, E> {
                Ok(Payload(bytes))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Payload, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    bytes.push(byte);
                }
                Ok(Payload(bytes))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::crypto::SecretKey;
    use crate::wire;

    #[test]
    fn hash_depends_on_account_namespace_and_data_only() {
        let account =
            |seed| AccountId::of_account(&SecretKey::from_seed(&[seed; 32]).public()).unwrap();
        let hash = MessageHash::of(&account(1), Namespace::INBOX, b"data");
        assert_eq!(hash, MessageHash::of(&account(1), Namespace::INBOX, b"data"));
        assert_ne!(hash, MessageHash::of(&account(2), Namespace::INBOX, b"data"));
        assert_ne!(hash, MessageHash::of(&account(1), Namespace::OUTBOX, b"data"));
        assert_ne!(hash, MessageHash::of(&account(1), Namespace::INBOX, b"datA"));
    }

    #[test]
    fn payload_announcing_more_than_is_there_is_refused() {
        let payload = Payload::from(vec![7; 300]);
        let bytes = wire::encode(&payload);
        assert_eq!(wire::decode(&bytes, 400), Ok(payload));
        let huge = [1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        assert!(wire::decode::<Payload>(&huge, 400).is_err());
    }
}
