//! A device's encryption keys: what a sender needs to seal for it.
//!
//! A fallback Curve25519 key, from which the ratchet will start sessions, and an X-Wing key for the
//! envelope, replaced together and signed by the device. Specified in 07 end to end, section 2.
//!
//! # Invariants
//!
//! - *Short-lived*: rotated after [`BUNDLE_ROTATE_AFTER`], refused by senders after
//!   [`BUNDLE_REFUSE_AFTER`]; a message lives 14 days, so the keys of two generations open all that
//!   can still arrive: 18 + 14 = 2 × 16.
//! - *One owner*: a bundle names its account, so that nobody can show another's as his own.

use core::time::Duration;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::{AccountId, Curve25519Key, DeviceKeys};
use crate::crypto::{BadSignature, PublicKey, Secret, Signed};
use crate::envelope::{KemPublic, KemSecret};
use crate::id::NetworkId;
use crate::retry::Retry;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

const LABEL: &str = "enjambre/bundle/1";

/// A device makes new keys when its bundle is this old, after it drained its mailbox.
pub const BUNDLE_ROTATE_AFTER: Duration = Duration::from_secs(16 * 24 * 60 * 60);

/// A sender refuses a bundle older than this: what it seals could outlive the keys.
pub const BUNDLE_REFUSE_AFTER: Duration = Duration::from_secs(18 * 24 * 60 * 60);

/// How far in the future a bundle may say it was made: clocks of people's devices. Each second here
/// is a second by which a bundle can outlive its age.
const AHEAD_MAX: Duration = Duration::from_secs(10 * 60);

/// Signed bytes of a bundle: 1 216 for X-Wing, at most 85 for the rest, rounded up.
const BUNDLE_MAX: usize = 1536;

/// Why a bundle is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// Not an encoding of a bundle, or its X-Wing key is none.
    #[error("key bundle is malformed")]
    Malformed(#[source] DecodeError),
    /// It names another account.
    #[error("key bundle belongs to another account")]
    WrongAccount,
    /// The device did not sign it, or not for this network.
    #[error("key bundle is not signed by its device")]
    Signature(#[from] BadSignature),
    /// Too old to seal for.
    #[error("key bundle is too old, its device was not online to renew it")]
    Stale,
    /// Made in the future.
    #[error("key bundle was made in the future, a clock is wrong")]
    Ahead,
}

impl BundleError {
    /// The device may publish another bundle later, and another member may hold it already.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Malformed(_) | Self::WrongAccount | Self::Signature(_) => Retry::Elsewhere,
            Self::Stale | Self::Ahead => Retry::Later,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Body {
    account: AccountId,
    version: u32,
    created: Timestamp,
    fallback: Curve25519Key,
    kem: KemPublic,
}

/// The secret half of one generation of a device's encryption keys.
#[derive(Clone, Debug)]
pub struct BundleSecret {
    /// The generation, counted up by the device from 1.
    pub version: u32,
    /// When it was made.
    pub created: Timestamp,
    /// The ratchet's fallback key.
    pub fallback: Secret<32>,
    /// The envelope's key.
    pub kem: KemSecret,
}

impl BundleSecret {
    /// A new generation.
    pub fn generate(rng: &mut impl CryptoRng, version: u32, created: Timestamp) -> Self {
        let (fallback, kem) = (Secret::generate(rng), KemSecret::generate(rng));
        Self { version, created, fallback, kem }
    }

    /// Whether it is time for the next generation.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now.saturating_since(self.created) >= BUNDLE_ROTATE_AFTER
    }

    /// The public half, signed by the device.
    pub fn publish(&self, device: &DeviceKeys, account: AccountId, network: &NetworkId) -> Signed {
        let body = Body {
            account,
            version: self.version,
            created: self.created,
            fallback: Curve25519Key::of(&self.fallback),
            kem: self.kem.public(),
        };
        Signed::new(device.signer(), LABEL, network, wire::encode(&body))
    }
}

/// A bundle whose signature holds. Whether it is young enough is asked with [`Self::check_age`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bundle {
    account: AccountId,
    device: PublicKey,
    version: u32,
    created: Timestamp,
    fallback: Curve25519Key,
    kem: KemPublic,
}

impl Bundle {
    /// Checks the bundle of `device`, which the caller found in the list of `account`.
    pub fn verify(
        signed: &Signed,
        network: &NetworkId,
        account: &AccountId,
        device: &PublicKey,
    ) -> Result<Self, BundleError> {
        signed.verify(device, LABEL, network)?;
        let body: Body = wire::decode(&signed.bytes, BUNDLE_MAX).map_err(BundleError::Malformed)?;
        if body.account != *account {
            return Err(BundleError::WrongAccount);
        }
        let Body { account, version, created, fallback, kem } = body;
        Ok(Self { account, device: *device, version, created, fallback, kem })
    }

    /// Refuses a bundle that is too old to seal for, or from the future.
    pub fn check_age(&self, now: Timestamp) -> Result<(), BundleError> {
        if now.saturating_since(self.created) > BUNDLE_REFUSE_AFTER {
            return Err(BundleError::Stale);
        }
        if self.created.saturating_since(now) > AHEAD_MAX {
            return Err(BundleError::Ahead);
        }
        Ok(())
    }

    /// Whose device it is.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The device, by its signing key.
    pub const fn device(&self) -> PublicKey {
        self.device
    }

    /// The generation.
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// When it was made, by the device's clock.
    pub const fn created(&self) -> Timestamp {
        self.created
    }

    /// The ratchet's fallback key.
    pub const fn fallback(&self) -> Curve25519Key {
        self.fallback
    }

    /// The envelope's key.
    pub const fn kem(&self) -> &KemPublic {
        &self.kem
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::identity::AccountSeed;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const MADE: Timestamp = Timestamp::from_secs(10_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    struct Fixture {
        account: AccountId,
        device: DeviceKeys,
        secret: BundleSecret,
        signed: Signed,
    }

    fn fixture() -> Fixture {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let account = AccountSeed::from_bytes([1; 16]).key().id();
        let device = DeviceKeys::generate(&mut rng);
        let secret = BundleSecret::generate(&mut rng, 3, MADE);
        let signed = secret.publish(&device, account, &NETWORK);
        Fixture { account, device, secret, signed }
    }

    fn verify(fixture: &Fixture, account: &AccountId) -> Result<Bundle, BundleError> {
        let device = fixture.device.device().key;
        Bundle::verify(&fixture.signed, &NETWORK, account, &device)
    }

    #[test]
    fn bundle_says_what_its_secret_holds() {
        let fixture = fixture();
        let bundle = verify(&fixture, &fixture.account).unwrap();
        assert_eq!((bundle.version(), bundle.created()), (3, MADE));
        assert_eq!(*bundle.kem(), fixture.secret.kem.public());
        let secret = x25519_dalek::StaticSecret::from(*fixture.secret.fallback.expose());
        let public = x25519_dalek::PublicKey::from(&secret);
        assert_eq!(bundle.fallback().as_bytes(), public.as_bytes());
    }

    #[test]
    fn bundle_of_another_device_account_or_network_is_refused() {
        let fixture = fixture();
        let other = AccountSeed::from_bytes([2; 16]).key().id();
        assert_eq!(verify(&fixture, &other), Err(BundleError::WrongAccount));
        let stranger = DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(2)).device().key;
        let error = Err(BundleError::Signature(BadSignature));
        let (signed, account) = (&fixture.signed, &fixture.account);
        assert_eq!(Bundle::verify(signed, &NETWORK, account, &stranger), error);
        let elsewhere = NetworkId::from_bytes([2; 32]);
        let device = fixture.device.device().key;
        assert_eq!(Bundle::verify(signed, &elsewhere, account, &device), error);
    }

    #[test]
    fn bundle_is_due_after_16_days_and_refused_after_18() {
        let fixture = fixture();
        let bundle = verify(&fixture, &fixture.account).unwrap();
        let at = |age| MADE.saturating_add(age);
        let tick = Duration::from_millis(1);
        assert!(!fixture.secret.is_due(at(16 * DAY - tick)));
        assert!(fixture.secret.is_due(at(16 * DAY)));
        assert_eq!(bundle.check_age(at(18 * DAY)), Ok(()));
        assert_eq!(bundle.check_age(at(18 * DAY + tick)), Err(BundleError::Stale));
        let early = |by: u64| bundle.check_age(MADE.saturating_sub(Duration::from_secs(by)));
        assert_eq!(early(600), Ok(()));
        assert_eq!(early(601), Err(BundleError::Ahead));
    }
}
