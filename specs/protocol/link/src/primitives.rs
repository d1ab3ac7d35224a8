//! Onion primitives by AWS-LC, the library that the links' TLS stands on already: the same bytes as
//! [`RUST_CRYPTO`](enjambre_protocol::onion::RUST_CRYPTO) in about half the time.
//!
//! What it gains and what it costs: `specs/decisions/0002-primitives.md`.

use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{PrivateKey, UnparsedPublicKey, X25519, agree};
use aws_lc_rs::error::Unspecified;
use enjambre_protocol::crypto::Secret;
use enjambre_protocol::onion::{
    ExchangeKey, OnionPublicKey, OnionSecretKey, Primitives, RUST_CRYPTO, TAG_LEN,
};

/// [`Primitives`] by AWS-LC: X25519 and AES-256-GCM. Where it gives an error that is no answer (it
/// has no memory left), the portable primitives do the work.
#[derive(Clone, Copy, Debug, Default)]
pub struct AwsLc;

/// The fast [`Primitives`].
pub static AWS_LC: AwsLc = AwsLc;

/// A key as AWS-LC holds it, which wipes it when it is dropped.
#[derive(Debug)]
struct Key {
    private: PrivateKey,
    public: OnionPublicKey,
}

impl Key {
    fn new(secret: &Secret<32>) -> Option<Self> {
        let private = PrivateKey::from_private_key(&X25519, secret.expose()).ok()?;
        let public = <[u8; 32]>::try_from(private.compute_public_key().ok()?.as_ref()).ok()?;
        Some(Self { private, public: OnionPublicKey::from_bytes(public) })
    }
}

impl ExchangeKey for Key {
    fn public(&self) -> OnionPublicKey {
        self.public
    }

    /// AWS-LC itself refuses the points that give zero.
    fn exchange(&self, public: &OnionPublicKey) -> Option<Secret<32>> {
        let theirs = UnparsedPublicKey::new(&X25519, public.as_bytes());
        agree(&self.private, theirs, Unspecified, |shared| {
            shared.try_into().map(Secret::from_bytes).map_err(|_| Unspecified)
        })
        .ok()
    }
}

fn aead(key: &Secret<32>) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.expose()).ok().map(LessSafeKey::new)
}

impl Primitives for AwsLc {
    fn exchange_key(&self, secret: &Secret<32>) -> Arc<dyn ExchangeKey> {
        match Key::new(secret) {
            Some(key) => Arc::new(key),
            None => Arc::new(OnionSecretKey::from_bytes(*secret.expose())),
        }
    }

    fn seal(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
    ) -> [u8; TAG_LEN] {
        let Some(cipher) = aead(key) else {
            return RUST_CRYPTO.seal(key, nonce, associated, buffer);
        };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let sealed = cipher.seal_in_place_separate_tag(nonce, Aad::from(associated), buffer);
        debug_assert!(sealed.is_ok(), "no packet comes near the 64 GiB that one nonce may seal");
        let tag = sealed.ok().and_then(|tag| tag.as_ref().try_into().ok());
        tag.unwrap_or_else(|| {
            // What was not sealed must not leave in clear.
            buffer.fill(0);
            [0; TAG_LEN]
        })
    }

    fn open(
        &self,
        key: &Secret<32>,
        nonce: &[u8; 12],
        associated: &[u8],
        buffer: &mut [u8],
        tag: &[u8; TAG_LEN],
    ) -> bool {
        let Some(cipher) = aead(key) else {
            return RUST_CRYPTO.open(key, nonce, associated, buffer, tag);
        };
        let nonce = Nonce::assume_unique_for_key(*nonce);
        cipher.open_in_place_separate_tag(nonce, Aad::from(associated), tag, buffer).is_ok()
    }

    /// By the portable primitives: their counter mode takes four blocks at a time where the
    /// processor can, which AWS-LC's does not, and was a quarter faster in the same run.
    fn cover(&self, key: &Secret<32>, prefix: &[u8; 8], buffer: &mut [u8]) {
        RUST_CRYPTO.cover(key, prefix, buffer);
    }
}

#[cfg(test)]
mod tests;
