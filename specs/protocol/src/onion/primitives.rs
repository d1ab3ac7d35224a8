//! The three primitives that packets and frames stand on, behind one narrow trait.
//!
//! [`RUST_CRYPTO`] is the portable implementation. A node may put a faster one under its
//! [`Keyring`](super::Keyring); the bytes are the same. Key derivation is not behind the trait:
//! it is a small share of the work and is [`crate::crypto::derive`] for all.

use core::fmt;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::key::{OnionPublicKey, OnionSecretKey};
use crate::crypto::Secret;

/// Bytes of an AES-256-GCM tag.
pub const TAG_LEN: usize = 16;

/// X25519, AES-256-GCM and AES-256-CTR.
pub trait Primitives: fmt::Debug + Send + Sync {
    /// The X25519 shared secret (RFC 7748), `None` if it is zero.
    fn exchange(&self, secret: &OnionSecretKey, public: &OnionPublicKey) -> Option<Secret<32>>;

    /// Encrypts `buffer` in place by AES-256-GCM and returns the tag.
    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_LEN];

    /// Decrypts `buffer` in place if `tag` holds. If it does not, the answer is `false` and what
    /// `buffer` then holds is unspecified.
    #[must_use]
    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool;

    /// Adds the AES-256-CTR key stream to `buffer`. The counter blocks are `prefix` followed by a
    /// big-endian u64 that counts from zero.
    fn cover(&self, key: &Secret<32>, prefix: &[u8; 8], buffer: &mut [u8]);
}

/// [`Primitives`] by the dalek and RustCrypto crates.
#[derive(Clone, Copy, Debug, Default)]
pub struct RustCrypto;

/// The portable [`Primitives`].
pub static RUST_CRYPTO: RustCrypto = RustCrypto;

impl Primitives for RustCrypto {
    fn exchange(&self, secret: &OnionSecretKey, public: &OnionPublicKey) -> Option<Secret<32>> {
        let theirs = x25519_dalek::PublicKey::from(*public.as_bytes());
        let shared = secret.scalar().diffie_hellman(&theirs);
        shared.was_contributory().then(|| Secret::from_bytes(shared.to_bytes()))
    }

    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let cipher = Aes256Gcm::new(key.expose().into());
        let sealed = cipher.encrypt_inout_detached(nonce.into(), associated, buffer.into());
        debug_assert!(sealed.is_ok(), "no packet comes near the 64 GiB that one nonce may seal");
        sealed.map_or([0; TAG_LEN], Into::into)
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool {
        let cipher = Aes256Gcm::new(key.expose().into());
        let nonce = nonce.into();
        cipher.decrypt_inout_detached(nonce, associated, buffer.into(), tag.into()).is_ok()
    }

    fn cover(&self, key: &Secret<32>, prefix: &[u8; 8], buffer: &mut [u8]) {
        let mut block = [0; 16];
        block[..8].copy_from_slice(prefix);
        let mut stream = ctr::Ctr64BE::<aes::Aes256>::new(key.expose().into(), (&block).into());
        stream.apply_keystream(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{IdError, from_hex};

    fn key(hex: &str) -> Result<Secret<32>, IdError> {
        from_hex(hex).map(Secret::from_bytes)
    }

    #[test]
    fn exchange_gives_the_shared_secret_of_rfc_7748() -> Result<(), IdError> {
        let alice = OnionSecretKey::from_bytes(from_hex(
            "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a",
        )?);
        let bob = OnionSecretKey::from_bytes(from_hex(
            "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb",
        )?);
        let shared = key("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")?;
        assert_eq!(RUST_CRYPTO.exchange(&alice, &bob.public()), Some(shared.clone()));
        assert_eq!(RUST_CRYPTO.exchange(&bob, &alice.public()), Some(shared));
        Ok(())
    }

    #[test]
    fn exchange_refuses_points_that_give_zero() {
        let secret = OnionSecretKey::from_bytes([7; 32]);
        let mut one = [0; 32];
        one[0] = 1;
        for point in [[0; 32], one] {
            assert_eq!(RUST_CRYPTO.exchange(&secret, &OnionPublicKey::from_bytes(point)), None);
        }
    }

    #[test]
    fn seal_is_aes_256_gcm_and_open_takes_it_back_whole_or_not_at_all() -> Result<(), IdError> {
        // Test case 14 of the GCM submission: key, nonce and one block of plaintext all zero.
        let (zero, mut block) = (Secret::from_bytes([0; 32]), [0; 16]);
        let tag = RUST_CRYPTO.seal(&zero, &[0; 12], &[], &mut block);
        assert_eq!(block, from_hex("cea7403d4d606b6e074ec5d3baf39d18")?);
        assert_eq!(tag, from_hex("d0d1c8a799996bf0265b98b5d48ab919")?);
        assert!(!RUST_CRYPTO.open(&zero, &[0; 12], &[1], &mut block.clone(), &tag));
        assert!(RUST_CRYPTO.open(&zero, &[0; 12], &[], &mut block, &tag));
        assert_eq!(block, [0; 16]);
        Ok(())
    }

    #[test]
    fn cover_is_aes_256_in_counter_mode_from_block_zero() -> Result<(), IdError> {
        let key = key("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")?;
        let mut buffer = [0; 32];
        RUST_CRYPTO.cover(&key, &from_hex("f0f1f2f3f4f5f6f7")?, &mut buffer);
        // Two blocks as another implementation of AES gives them.
        assert_eq!(
            buffer,
            from_hex("db0cbab250d1c2ff6edd19dbe8eb2ee5715896cfbf80df8c10223beeb74b78b9")?
        );
        Ok(())
    }
}
