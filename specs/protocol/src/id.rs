//! Names of things: fixed-length identifiers that never mix.
//!
//! All are shown, and written in JSON and TOML, as lower-case hex; on the wire they are their
//! bytes. Account ids have a rule of their own and live in [`crate::identity`]. Specified in 01
//! identities.

use core::fmt;
use core::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserializer, Serializer};

/// Why a text is not an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Not the right number of characters.
    #[error("expected {expected} hex characters, found {found}")]
    Length {
        /// Characters expected.
        expected: usize,
        /// Characters found.
        found: usize,
    },
    /// A character that is not a hex digit.
    #[error("contains a character that is not a hex digit")]
    NotHex,
}

/// Reads exactly `N` bytes of hex, in either case.
pub fn from_hex<const N: usize>(text: &str) -> Result<[u8; N], IdError> {
    let found = text.chars().count();
    if found != 2 * N {
        return Err(IdError::Length { expected: 2 * N, found });
    }
    let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| IdError::NotHex)?;
    bytes.try_into().map_err(|_| IdError::NotHex)
}

/// Lower-case hex.
pub fn to_hex(bytes: &[u8]) -> String {
    HEXLOWER_PERMISSIVE.encode(bytes)
}

/// Writes a byte array: hex where people read, a plain tuple of bytes on the wire.
pub(crate) fn serialize_bytes<const N: usize, S: Serializer>(
    bytes: &[u8; N],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if serializer.is_human_readable() {
        return serializer.serialize_str(&to_hex(bytes));
    }
    let mut tuple = serializer.serialize_tuple(N)?;
    for byte in bytes {
        tuple.serialize_element(byte)?;
    }
    tuple.end()
}

/// The inverse of [`serialize_bytes`].
pub(crate) fn deserialize_bytes<'de, const N: usize, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<[u8; N], D::Error> {
    struct Bytes<const N: usize>;

    impl<'de, const N: usize> Visitor<'de> for Bytes<N> {
        type Value = [u8; N];

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{N} bytes, or {} hex characters", 2 * N)
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
            from_hex(text).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut bytes = [0; N];
            for (i, byte) in bytes.iter_mut().enumerate() {
                *byte = seq.next_element()?.ok_or_else(|| A::Error::invalid_length(i, &self))?;
            }
            Ok(bytes)
        }
    }

    if deserializer.is_human_readable() {
        deserializer.deserialize_str(Bytes::<N>)
    } else {
        deserializer.deserialize_tuple(N, Bytes::<N>)
    }
}

/// Gives a newtype over a byte array its text form, its wire form and a redaction-free `Debug`.
macro_rules! byte_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $len]);

        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;

            /// From raw bytes, as they stand on the wire.
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The raw bytes.
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// The first eight hex characters, for people to tell a few apart by.
            pub fn short(&self) -> String {
                $crate::id::to_hex(&self.0[..4])
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(&$crate::id::to_hex(&self.0))
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::id::IdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::id::from_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $crate::id::serialize_bytes(&self.0, serializer)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(
                deserializer: D,
            ) -> Result<Self, D::Error> {
                $crate::id::deserialize_bytes(deserializer).map(Self)
            }
        }
    };
}
pub(crate) use byte_id;

byte_id!(
    /// A network: the digest of its genesis.
    NetworkId, 32
);
byte_id!(
    /// A service node: its Ed25519 public key, which is also its TLS identity.
    NodeId, 32
);
byte_id!(
    /// A directory authority: its Ed25519 public key.
    AuthorityId, 32
);
byte_id!(
    /// A database of a service node, drawn when the database is made or restored.
    StoreId, 16
);
byte_id!(
    /// A BLAKE3 digest in key-derivation mode; see [`crate::crypto::digest`].
    Digest, 32
);
byte_id!(
    /// A family of nodes run by one operator: an Ed25519 public key that signs their ids.
    FamilyId, 32
);

/// A swarm: its place on the 64-bit ring of [`crate::swarm`]. Shown as 16 hex characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SwarmId(u64);

impl SwarmId {
    /// From the ring position. `None` for `u64::MAX`, which never names a swarm.
    pub const fn new(position: u64) -> Option<Self> {
        if position == u64::MAX { None } else { Some(Self(position)) }
    }

    /// The ring position.
    pub const fn position(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for SwarmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SwarmId({self})")
    }
}

impl FromStr for SwarmId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = from_hex::<8>(text)?;
        Self::new(u64::from_be_bytes(bytes)).ok_or(IdError::NotHex)
    }
}

impl serde::Serialize for SwarmId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0.to_be_bytes(), serializer)
    }
}

impl<'de> serde::Deserialize<'de> for SwarmId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize_bytes::<8, D>(deserializer)?;
        Self::new(u64::from_be_bytes(bytes))
            .ok_or_else(|| D::Error::custom("ffffffffffffffff is no swarm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire;

    #[test]
    fn id_is_hex_for_people_and_bytes_on_the_wire() {
        let id = NodeId::from_bytes([0xab; 32]);
        assert_eq!(id.to_string(), "ab".repeat(32));
        assert_eq!("AB".repeat(32).parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).ok(), Some(format!("\"{id}\"")));
        assert_eq!(wire::encode(&id).len(), 33);
        assert_eq!(wire::decode(&wire::encode(&id), 33), Ok(id));
    }

    #[test]
    fn wrong_length_and_wrong_digit_are_told_apart() {
        let error = IdError::Length { expected: 64, found: 2 };
        assert_eq!("ab".parse::<NodeId>(), Err(error));
        assert_eq!("xy".repeat(32).parse::<NodeId>(), Err(IdError::NotHex));
        assert_eq!("é".repeat(64).parse::<NodeId>(), Err(IdError::NotHex));
    }

    #[test]
    fn the_last_ring_position_is_no_swarm() {
        assert_eq!(SwarmId::new(u64::MAX), None);
        assert!("ffffffffffffffff".parse::<SwarmId>().is_err());
        assert_eq!("00000000000000ff".parse::<SwarmId>().map(SwarmId::position), Ok(255));
    }
}
