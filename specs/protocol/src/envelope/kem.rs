//! The X-Wing key pair of a device: X25519 and ML-KEM-768 in one.
//!
//! Whoever breaks one of the two still cannot open anything. Specified in 07 end to end, section 2.

use core::fmt;

use hpke::kem::{Kem, XWing};
use hpke::{Deserializable, Serializable};
use rand_core::CryptoRng;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::crypto::Secret;
use crate::id::{deserialize_bytes, serialize_bytes, to_hex};

pub(super) type HpkePublic = <XWing as Kem>::PublicKey;
pub(super) type HpkePrivate = <XWing as Kem>::PrivateKey;

/// Bytes that are not an X-Wing public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an X-Wing public key")]
pub struct KemError;

/// An X-Wing public key whose ML-KEM half is in range.
#[derive(Clone, PartialEq, Eq)]
pub struct KemPublic(Box<[u8; Self::LEN]>);

impl KemPublic {
    /// ML-KEM-768 (1 184 bytes), then X25519 (32).
    pub const LEN: usize = 1216;

    /// Accepts a key from the wire.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, KemError> {
        HpkePublic::from_bytes(bytes).map_err(|_| KemError)?;
        Ok(Self(Box::new(*bytes)))
    }

    /// As on the wire.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    pub(super) fn to_hpke(&self) -> Result<HpkePublic, KemError> {
        HpkePublic::from_bytes(self.as_bytes()).map_err(|_| KemError)
    }
}

impl fmt::Debug for KemPublic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KemPublic({})", to_hex(&self.0[..4]))
    }
}

impl Serialize for KemPublic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for KemPublic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize_bytes::<{ Self::LEN }, D>(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

/// The 32-byte seed of an X-Wing key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KemSecret(Secret<32>);

impl KemSecret {
    /// A fresh key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self(Secret::generate(rng))
    }

    /// From a stored seed.
    pub const fn from_secret(seed: Secret<32>) -> Self {
        Self(seed)
    }

    /// The seed, for a protected file.
    pub const fn secret(&self) -> &Secret<32> {
        &self.0
    }

    /// The public half.
    pub fn public(&self) -> KemPublic {
        let mut bytes = Box::new([0; KemPublic::LEN]);
        if let Ok(private) = self.to_hpke() {
            XWing::sk_to_pk(&private).write_exact(bytes.as_mut_slice());
        }
        KemPublic(bytes)
    }

    pub(super) fn to_hpke(&self) -> Result<HpkePrivate, KemError> {
        let private = HpkePrivate::from_bytes(self.0.expose());
        debug_assert!(private.is_ok(), "any 32 bytes are a seed");
        private.map_err(|_| KemError)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::wire;

    #[test]
    fn public_key_is_taken_back_and_an_overlarge_coefficient_refused() {
        let public = KemSecret::from_secret(Secret::from_bytes([1; 32])).public();
        let bytes = wire::encode(&public);
        assert_eq!(bytes.len(), 1 + KemPublic::LEN);
        assert_eq!(wire::decode(&bytes, bytes.len()), Ok(public.clone()));
        let mut wrong = *public.as_bytes();
        wrong[..3].fill(0xff); // Two coefficients of 4 095, where 3 328 is the largest.
        assert_eq!(KemPublic::from_bytes(&wrong), Err(KemError));
    }
}
