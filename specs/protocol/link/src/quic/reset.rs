//! Stateless resets that outlive the process.
//!
//! A node that was killed and started again does not know its connections. With a key derived
//! from its own it can prove to the peers that they are gone: they notice within a round trip, not
//! after the idle time. The ids of connections are random and not checked: quinn's own generator
//! would take those of the process before for garbage, and leave them without an answer.

use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::crypto::{Secret, SecretKey, derive, digest};
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionId, ConnectionIdGenerator};
use rand::rngs::{StdRng, SysRng};
use rand::{Rng, SeedableRng, TryRng};

use crate::error::LinkError;

const RESET_LABEL: &str = "enjambre/link-reset/1";
const TOKEN_LABEL: &str = "enjambre/link-reset-token/1";

/// Makes the reset tokens of one node.
pub(super) struct ResetKey(Secret<32>);

impl ResetKey {
    pub(super) fn of(key: &SecretKey) -> Arc<Self> {
        Arc::new(Self(derive(RESET_LABEL, key.seed().expose(), &[])))
    }
}

/// Length of a connection id, bytes: two of a million connections share one in no lifetime.
const CID_LEN: usize = 8;

/// Draws the ids of connections.
pub(super) struct RandomIds(StdRng);

impl RandomIds {
    pub(super) fn from_seed(seed: [u8; 32]) -> Self {
        Self(StdRng::from_seed(seed))
    }
}

/// A seed for [`RandomIds`], from the system.
pub(super) fn fresh_seed() -> Result<[u8; 32], LinkError> {
    let mut seed = [0; 32];
    SysRng
        .try_fill_bytes(&mut seed)
        .map_err(|error| LinkError::Socket(format!("no randomness: {error}")))?;
    Ok(seed)
}

impl ConnectionIdGenerator for RandomIds {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut id = [0; CID_LEN];
        self.0.fill_bytes(&mut id);
        ConnectionId::new(&id)
    }

    fn cid_len(&self) -> usize {
        CID_LEN
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

impl HmacKey for ResetKey {
    fn sign(&self, data: &[u8], signature_out: &mut [u8]) {
        let token = digest(TOKEN_LABEL, &[self.0.expose(), data]);
        for (out, byte) in signature_out.iter_mut().zip(token.as_bytes()) {
            *out = *byte;
        }
    }

    fn signature_len(&self) -> usize {
        32
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        let expected = digest(TOKEN_LABEL, &[self.0.expose(), data]);
        let signature = <[u8; 32]>::try_from(signature).map_err(|_| CryptoError)?;
        let equal = Secret::from_bytes(*expected.as_bytes()) == Secret::from_bytes(signature);
        if equal { Ok(()) } else { Err(CryptoError) }
    }
}
