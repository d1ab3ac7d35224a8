//! What an account publishes so that strangers can write to it: device list and key bundles.
//!
//! One record in the public outbox, namespace −1, written before the id is shown to anybody.
//! Specified in 01 identities, section 8.

use serde::{Deserialize, Serialize};

use super::{AccountId, Bundle, BundleError, DEVICES_MAX, DeviceList, DeviceListError};
use crate::crypto::{PublicKey, Signed};
use crate::id::NetworkId;
use crate::limits::MESSAGE_MAX;
use crate::retry::Retry;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

/// Why a published identity is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// Not an encoding of an identity.
    #[error("published identity is malformed")]
    Malformed(#[source] DecodeError),
    /// Its device list does not hold.
    #[error("published device list does not hold")]
    List(#[from] DeviceListError),
    /// One of its bundles does not hold.
    #[error("published key bundle does not hold")]
    Bundle(#[from] BundleError),
    /// A bundle of a device that is not listed, or two of one device.
    #[error("published identity has a key bundle without a place in the device list")]
    StrayBundle,
}

impl IdentityError {
    /// Another member may hold an honest or a newer record.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Malformed(_) | Self::StrayBundle => Retry::Elsewhere,
            Self::List(error) => error.retry(),
            Self::Bundle(error) => error.retry(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Entry {
    device: PublicKey,
    bundle: Signed,
}

/// The record as it is stored: unchecked until [`Self::verify`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedIdentity {
    list: Signed,
    bundles: Vec<Entry>,
}

impl PublishedIdentity {
    /// A record with the list alone; bundles follow by [`Self::with_bundle`].
    pub fn new(list: &DeviceList) -> Self {
        Self { list: list.signed().clone(), bundles: Vec::new() }
    }

    /// Adds the bundle that this device signed.
    #[must_use]
    pub fn with_bundle(mut self, device: PublicKey, bundle: Signed) -> Self {
        self.bundles.push(Entry { device, bundle });
        self
    }

    /// The bytes to publish. 16 devices make about 23 kB, well below [`MESSAGE_MAX`].
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// From a stored record.
    pub fn decode(bytes: &[u8]) -> Result<Self, IdentityError> {
        wire::decode(bytes, MESSAGE_MAX).map_err(IdentityError::Malformed)
    }

    /// Checks everything down from the account id, the list's age at `now` included. Bundles may be
    /// stale: that is for the sealing to refuse, device by device.
    pub fn verify(
        self,
        network: &NetworkId,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<VerifiedIdentity, IdentityError> {
        if self.bundles.len() > DEVICES_MAX {
            return Err(IdentityError::StrayBundle);
        }
        let list = DeviceList::verify(self.list, network, account)?;
        list.check_age(now)?;
        let mut bundles: Vec<Bundle> = Vec::with_capacity(self.bundles.len());
        for Entry { device, bundle } in &self.bundles {
            let is_listed = list.device(device).is_some();
            if !is_listed || bundles.iter().any(|other| other.device() == *device) {
                return Err(IdentityError::StrayBundle);
            }
            bundles.push(Bundle::verify(bundle, network, account, device)?);
        }
        Ok(VerifiedIdentity { list, bundles })
    }
}

/// An identity that was checked down from its account id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedIdentity {
    /// The devices.
    pub list: DeviceList,
    /// The bundles of those that published one, at most one a device.
    pub bundles: Vec<Bundle>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;
    use crate::identity::{AccountKey, AccountSeed, BundleSecret, DeviceKeys, DeviceListDraft};

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const NOW: Timestamp = Timestamp::from_secs(10_000_000);
    const END: Timestamp = Timestamp::from_secs(20_000_000);

    fn account() -> AccountKey {
        AccountSeed::from_bytes([1; 16]).key()
    }

    fn publish(count: u64) -> PublishedIdentity {
        let devices: Vec<_> =
            (0..count).map(|i| DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(i))).collect();
        let draft = DeviceListDraft::first(devices.iter().map(DeviceKeys::device).collect(), END);
        let list = draft.sign(&account(), &NETWORK).unwrap();
        devices.iter().fold(PublishedIdentity::new(&list), |identity, device| {
            identity.with_bundle(device.device().key, bundle_of(device))
        })
    }

    fn bundle_of(device: &DeviceKeys) -> Signed {
        let mut rng = ChaCha20Rng::seed_from_u64(99);
        BundleSecret::generate(&mut rng, 1, NOW).publish(device, account().id(), &NETWORK)
    }

    fn verify(identity: PublishedIdentity) -> Result<VerifiedIdentity, IdentityError> {
        identity.verify(&NETWORK, &account().id(), NOW)
    }

    #[test]
    fn the_largest_identity_fits_a_message_and_comes_back() {
        let identity = publish(16);
        let bytes = identity.encode();
        assert!(bytes.len() < 24_000, "{} bytes", bytes.len());
        let read = PublishedIdentity::decode(&bytes).unwrap();
        assert_eq!(read, identity);
        let verified = verify(read).unwrap();
        assert_eq!((verified.list.devices().len(), verified.bundles.len()), (16, 16));
    }

    #[test]
    fn bundles_without_a_place_in_the_list_are_refused() {
        let stranger = DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(7));
        let stray = publish(2).with_bundle(stranger.device().key, bundle_of(&stranger));
        assert_eq!(verify(stray), Err(IdentityError::StrayBundle));
        let listed = DeviceKeys::generate(&mut ChaCha20Rng::seed_from_u64(0));
        let twice = publish(2).with_bundle(listed.device().key, bundle_of(&listed));
        assert_eq!(verify(twice), Err(IdentityError::StrayBundle));
    }

    #[test]
    fn bundle_signed_by_another_listed_device_is_refused() {
        let mut identity = publish(2);
        identity.bundles[0].bundle = identity.bundles[1].bundle.clone();
        assert!(matches!(verify(identity), Err(IdentityError::Bundle(BundleError::Signature(_)))));
    }

    #[test]
    fn expired_list_and_other_account_are_refused() {
        let late = publish(1).verify(&NETWORK, &account().id(), END);
        assert_eq!(late, Err(IdentityError::List(DeviceListError::Expired)));
        let other = AccountSeed::from_bytes([2; 16]).key().id();
        let wrong = publish(1).verify(&NETWORK, &other, NOW);
        assert_eq!(wrong, Err(IdentityError::List(DeviceListError::WrongAccount)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Some(version) = bytes.first_mut() {
                *version = 1;
            }
            if let Ok(identity) = PublishedIdentity::decode(&bytes) {
                prop_assert!(verify(identity).is_err());
            }
        }

        #[test]
        fn no_changed_byte_is_accepted(at in any::<prop::sample::Index>(), mask in 1u8..) {
            let mut bytes = publish(1).encode();
            let at = at.index(bytes.len());
            bytes[at] ^= mask;
            prop_assert!(PublishedIdentity::decode(&bytes).and_then(verify).is_err());
        }
    }
}
