//! Digests, signatures and key derivation, each bound to a label and a network.
//!
//! Every signature and every derived key covers `enjambre/<what>/<version>` and the network id,
//! so that bytes made for one purpose or one network mean nothing in another. The primitives are
//! those of the dalek, RustCrypto and BLAKE3 crates; nothing here is a cipher of our own.
//! Specified in 01 identities, section "Labels".

use core::fmt;

use curve25519_dalek::edwards::CompressedEdwardsY;
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use rand_core::CryptoRng;
use sha2::Sha256;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::id::{Digest, NetworkId, byte_id};

byte_id!(
    /// An Ed25519 public key as bytes; whether it is a point is found when it is used.
    PublicKey, 32
);
byte_id!(
    /// A detached Ed25519 signature.
    Signature, 64
);

impl PublicKey {
    /// Whether a signature by this key can hold: it is a point in its only spelling, and not one of
    /// small order, which stands for no secret.
    pub fn can_sign(&self) -> bool {
        let point = CompressedEdwardsY(*self.as_bytes()).decompress();
        point.is_some_and(|point| {
            !point.is_small_order() && point.compress().as_bytes() == self.as_bytes()
        })
    }
}

/// A signature that does not hold: wrong key, wrong bytes, wrong label or wrong network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("signature does not hold")]
pub struct BadSignature;

/// The digest of `parts`, each preceded by its length as a little-endian u64, under `label`.
pub fn digest(label: &'static str, parts: &[&[u8]]) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(label);
    for part in parts {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    Digest::from_bytes(*hasher.finalize().as_bytes())
}

/// What a signature covers: label length (1 byte), label, network id, body.
fn signed_bytes(label: &'static str, network: &NetworkId, body: &[u8]) -> Vec<u8> {
    debug_assert!(label.len() < 256, "labels are short");
    let mut bytes = Vec::with_capacity(1 + label.len() + NetworkId::LEN + body.len());
    bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(label.as_bytes());
    bytes.extend_from_slice(network.as_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Checks `signature` by `key` over label, network and `body`, by the strict rules of RFC 8032:
/// no small-order keys, no second encoding of a point or a scalar.
pub fn verify(
    key: &PublicKey,
    label: &'static str,
    network: &NetworkId,
    body: &[u8],
    signature: &Signature,
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_bytes(key.as_bytes()).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature.as_bytes());
    key.verify_strict(&signed_bytes(label, network, body), &signature).map_err(|_| BadSignature)
}

/// An Ed25519 key pair. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// From the 32-byte seed of RFC 8032.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// A fresh random key.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut seed = [0; 32];
        rng.fill_bytes(&mut seed);
        let key = Self::from_seed(&seed);
        seed.zeroize();
        key
    }

    /// The seed, to be stored in a protected place.
    pub fn seed(&self) -> Secret<32> {
        Secret(self.0.to_bytes())
    }

    /// The X25519 scalar of the same key (RFC 8032 key expansion, clamped), for an account's
    /// Montgomery form.
    pub fn to_x25519(&self) -> Secret<32> {
        Secret(self.0.to_scalar_bytes())
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs label, network and `body`.
    pub fn sign(&self, label: &'static str, network: &NetworkId, body: &[u8]) -> Signature {
        Signature::from_bytes(self.0.sign(&signed_bytes(label, network, body)).to_bytes())
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey(of {})", self.public().short())
    }
}

/// Secret bytes: wiped when dropped, never shown, compared in constant time.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Secret<const N: usize>([u8; N]);

impl<const N: usize> Secret<N> {
    /// Takes bytes into protection; the caller wipes its own copy.
    pub const fn from_bytes(bytes: [u8; N]) -> Self {
        Self(bytes)
    }

    /// Fresh random bytes.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = [0; N];
        rng.fill_bytes(&mut bytes);
        Self(bytes)
    }

    /// The bytes, for a primitive or a protected file.
    pub const fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> PartialEq for Secret<N> {
    fn eq(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

impl<const N: usize> Eq for Secret<N> {}

impl<const N: usize> fmt::Debug for Secret<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({N} bytes)")
    }
}

/// HKDF-SHA256: extract from `secret` with `label` as the salt, expand with `info` to `N` bytes.
///
/// # Panics
///
/// At compile time only: `N` over 8 160 (255 blocks) is refused.
pub fn derive<const N: usize>(label: &'static str, secret: &[u8], info: &[&[u8]]) -> Secret<N> {
    const { assert!(N <= 255 * 32, "HKDF-SHA256 expands to at most 255 blocks") };
    let mut out = [0; N];
    let expanded = Hkdf::<Sha256>::new(Some(label.as_bytes()), secret)
        .expand_multi_info(info, &mut out)
        .is_ok();
    debug_assert!(expanded, "the length was checked at compile time");
    Secret(out)
}

/// Bytes with the signature over them: kept as received, never encoded a second time.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Signed {
    /// The signed bytes, as they were received.
    pub bytes: Vec<u8>,
    /// The signature over label, network and `bytes`.
    pub signature: Signature,
}

impl Signed {
    /// Signs `bytes`.
    pub fn new(key: &SecretKey, label: &'static str, network: &NetworkId, bytes: Vec<u8>) -> Self {
        let signature = key.sign(label, network, &bytes);
        Self { bytes, signature }
    }

    /// Checks the signature by `key`.
    pub fn verify(
        &self,
        key: &PublicKey,
        label: &'static str,
        network: &NetworkId,
    ) -> Result<(), BadSignature> {
        verify(key, label, network, &self.bytes, &self.signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);

    #[test]
    fn signature_holds_only_under_its_label_network_key_and_bytes() {
        let key = SecretKey::from_seed(&[7; 32]);
        let other = SecretKey::from_seed(&[8; 32]);
        let signature = key.sign("enjambre/test/1", &NETWORK, b"body");
        let check = |key: &SecretKey, label, network, body| {
            verify(&key.public(), label, network, body, &signature)
        };
        assert_eq!(check(&key, "enjambre/test/1", &NETWORK, b"body"), Ok(()));
        assert_eq!(check(&other, "enjambre/test/1", &NETWORK, b"body"), Err(BadSignature));
        assert_eq!(check(&key, "enjambre/test/2", &NETWORK, b"body"), Err(BadSignature));
        let elsewhere = NetworkId::from_bytes([2; 32]);
        assert_eq!(check(&key, "enjambre/test/1", &elsewhere, b"body"), Err(BadSignature));
        assert_eq!(check(&key, "enjambre/test/1", &NETWORK, b"bodY"), Err(BadSignature));
    }

    #[test]
    fn key_that_can_sign_is_a_point_in_its_only_spelling_and_not_of_small_order() {
        use curve25519_dalek::constants::EIGHT_TORSION;
        assert!((0..20).all(|seed| SecretKey::from_seed(&[seed; 32]).public().can_sign()));
        for point in EIGHT_TORSION {
            assert!(!PublicKey::from_bytes(point.compress().to_bytes()).can_sign());
        }
        // y + p for the points with y below 19: what is no point either way is refused as well.
        let mut spelled_twice = 0;
        for y in 0..19u8 {
            let (mut first, mut second) = ([0; 32], [0xff; 32]);
            first[0] = y;
            (second[0], second[31]) = (0xed + y, 0x7f);
            spelled_twice += u8::from(PublicKey::from_bytes(first).can_sign());
            assert!(!PublicKey::from_bytes(second).can_sign(), "{y}");
        }
        assert!(spelled_twice > 5);
    }

    #[test]
    fn digest_keeps_parts_apart() {
        let label = "enjambre/test/1";
        assert_ne!(digest(label, &[b"ab", b"c"]), digest(label, &[b"a", b"bc"]));
        assert_ne!(digest(label, &[b"ab"]), digest("enjambre/test/2", &[b"ab"]));
    }

    #[test]
    fn secrets_are_not_shown() {
        let key = SecretKey::from_seed(&[7; 32]);
        assert_eq!(format!("{:?}", key.seed()), "Secret(32 bytes)");
        assert!(!format!("{key:?}").contains("0707"));
    }
}
