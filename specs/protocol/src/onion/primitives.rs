//! The three primitives that packets and frames stand on, behind one narrow trait.
//!
//! [`RUST_CRYPTO`] is the portable implementation. A node may put a faster one under its
//! [`Keyring`](super::Keyring), a client under [`build_with`](super::build_with); the bytes are the
//! same. Key derivation is not behind the trait: it is a small share of the work and is
//! [`crate::crypto::derive`] for all. Why there are two: `specs/decisions/0002-primitives.md`.

use core::fmt;
use std::sync::Arc;

use aes_gcm::aead::AeadInOut;
use aes_gcm::{Aes256Gcm, KeyInit};
use ctr::cipher::{KeyIvInit, StreamCipher};

use super::key::{OnionPublicKey, OnionSecretKey};
use crate::crypto::Secret;

/// Bytes of an AES-256-GCM tag.
pub const TAG_LEN: usize = 16;

/// An X25519 secret key, ready for exchanges: what a backend computes once a key is computed.
pub trait ExchangeKey: fmt::Debug + Send + Sync {
    /// The public half.
    fn public(&self) -> OnionPublicKey;

    /// The shared secret with the holder of `public` (RFC 7748), `None` if it is zero.
    fn exchange(&self, public: &OnionPublicKey) -> Option<Secret<32>>;
}

/// X25519, AES-256-GCM and AES-256-CTR.
pub trait Primitives: fmt::Debug + Send + Sync {
    /// Readies the X25519 key of these 32 bytes, clamped when used.
    fn exchange_key(&self, secret: &Secret<32>) -> Arc<dyn ExchangeKey>;

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

impl ExchangeKey for OnionSecretKey {
    fn public(&self) -> OnionPublicKey {
        Self::public(self)
    }

    fn exchange(&self, public: &OnionPublicKey) -> Option<Secret<32>> {
        let theirs = x25519_dalek::PublicKey::from(*public.as_bytes());
        let shared = self.scalar().diffie_hellman(&theirs);
        shared.was_contributory().then(|| Secret::from_bytes(shared.to_bytes()))
    }
}

impl Primitives for RustCrypto {
    fn exchange_key(&self, secret: &Secret<32>) -> Arc<dyn ExchangeKey> {
        Arc::new(OnionSecretKey::from_bytes(*secret.expose()))
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
