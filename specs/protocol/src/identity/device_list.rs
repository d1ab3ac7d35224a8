//! The list of an account's devices, signed by the account key.
//!
//! Lists form a chain: each names its version and the digest of the one before, so that a contact
//! who saw a list notices any other history. Specified in 01 identities, section 5.
//!
//! # Invariants
//!
//! - *Checked*: a [`DeviceList`] exists only with its signature, its account and its rules checked.
//! - *As received*: the digest covers the signed bytes that were received, never a second encoding.

use serde::{Deserialize, Serialize};

use super::{AccountId, AccountKey, Curve25519Key};
use crate::crypto::{BadSignature, PublicKey, Signed, digest};
use crate::id::{Digest, NetworkId};
use crate::retry::Retry;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

const LABEL: &str = "enjambre/device-list/1";
const DIGEST_LABEL: &str = "enjambre/device-list-digest/1";

/// Devices of one account: a person's telephones and computers, with room. It bounds the list at
/// 1.2 kB and a message at two records of eight slots.
pub const DEVICES_MAX: usize = 16;

/// Signed bytes of a list: 64 a device, and 85 at most beside them, rounded up.
const LIST_MAX: usize = 2048;

/// The account's word on one device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Its signing key, which names it.
    pub key: PublicKey,
    /// Its ratchet identity.
    pub ratchet: Curve25519Key,
}

/// Why a device list is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceListError {
    /// Not an encoding of a list.
    #[error("device list is malformed")]
    Malformed(#[source] DecodeError),
    /// Signed with a key of another account.
    #[error("device list belongs to another account")]
    WrongAccount,
    /// The account key did not sign this, or not for this network.
    #[error("device list is not signed by its account")]
    Signature(#[from] BadSignature),
    /// No device, or more than [`DEVICES_MAX`].
    #[error("device list names {found} devices, 1 to {DEVICES_MAX} are allowed")]
    DeviceCount {
        /// Devices found.
        found: usize,
    },
    /// A device stands in it twice.
    #[error("device list names a device twice")]
    DuplicateDevice,
    /// Version 0, or a first list with a predecessor, or a later one without.
    #[error("device list has a version that does not fit its predecessor")]
    Version,
    /// Past its not-after.
    #[error("device list has expired")]
    Expired,
}

impl DeviceListError {
    /// A list is replaced by its owner, so an expired one may be followed by a newer.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Expired => Retry::Later,
            Self::Malformed(_) | Self::WrongAccount | Self::Signature(_) => Retry::Elsewhere,
            Self::DeviceCount { .. } | Self::DuplicateDevice | Self::Version => Retry::Never,
        }
    }
}

/// The signed part, field by field as encoded.
#[derive(Serialize, Deserialize)]
struct Body {
    key: PublicKey,
    version: u64,
    previous: Digest,
    not_after: Timestamp,
    devices: Vec<Device>,
}

/// What an account is about to sign.
#[derive(Clone, Debug)]
pub struct DeviceListDraft {
    /// From 1, one more than the list before.
    pub version: u64,
    /// The digest of the list before; all zero for the first.
    pub previous: Digest,
    /// From when on contacts refuse the list.
    pub not_after: Timestamp,
    /// The devices, each once.
    pub devices: Vec<Device>,
}

impl DeviceListDraft {
    /// The first list of an account.
    pub const fn first(devices: Vec<Device>, not_after: Timestamp) -> Self {
        Self { version: 1, previous: Digest::from_bytes([0; 32]), not_after, devices }
    }

    /// The list that follows `list`.
    pub fn after(list: &DeviceList, devices: Vec<Device>, not_after: Timestamp) -> Self {
        let version = list.version.saturating_add(1);
        Self { version, previous: list.digest, not_after, devices }
    }

    /// Signs the list, by the same rules under which it will be read.
    pub fn sign(
        self,
        account: &AccountKey,
        network: &NetworkId,
    ) -> Result<DeviceList, DeviceListError> {
        let Self { version, previous, not_after, devices } = self;
        let body = Body { key: account.public(), version, previous, not_after, devices };
        let signed = Signed::new(account.signer(), LABEL, network, wire::encode(&body));
        DeviceList::verify(signed, network, &account.id())
    }
}

/// A device list whose signature and rules hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceList {
    account: AccountId,
    key: PublicKey,
    version: u64,
    previous: Digest,
    not_after: Timestamp,
    devices: Vec<Device>,
    digest: Digest,
    signed: Signed,
}

impl DeviceList {
    /// Checks a list of `account`. Its age is asked separately, by [`Self::check_age`].
    pub fn verify(
        signed: Signed,
        network: &NetworkId,
        account: &AccountId,
    ) -> Result<Self, DeviceListError> {
        let list = Self::verify_any(signed, network)?;
        if list.account != *account {
            return Err(DeviceListError::WrongAccount);
        }
        Ok(list)
    }

    /// Checks a list whose account is learned from it.
    pub(crate) fn verify_any(signed: Signed, network: &NetworkId) -> Result<Self, DeviceListError> {
        let body: Body =
            wire::decode(&signed.bytes, LIST_MAX).map_err(DeviceListError::Malformed)?;
        let Body { key, version, previous, not_after, devices } = body;
        let account = AccountId::of_account(&key).map_err(|_| DeviceListError::WrongAccount)?;
        signed.verify(&key, LABEL, network)?;
        let found = devices.len();
        if found == 0 || found > DEVICES_MAX {
            return Err(DeviceListError::DeviceCount { found });
        }
        let twice = |(i, device): (usize, &Device)| {
            devices[..i].iter().any(|other| other.key == device.key)
        };
        if devices.iter().enumerate().any(twice) {
            return Err(DeviceListError::DuplicateDevice);
        }
        let is_rooted = previous == Digest::from_bytes([0; 32]);
        if version == 0 || (version == 1) != is_rooted {
            return Err(DeviceListError::Version);
        }
        let digest = digest(DIGEST_LABEL, &[network.as_bytes(), &signed.bytes]);
        Ok(Self { account, key, version, previous, not_after, devices, digest, signed })
    }

    /// Refuses a list that is past its not-after at `at`.
    pub fn check_age(&self, at: Timestamp) -> Result<(), DeviceListError> {
        if at >= self.not_after { Err(DeviceListError::Expired) } else { Ok(()) }
    }

    /// Whose list it is.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The account's full key, sign bit included.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The list's number in the chain, from 1.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The digest of the list before; zero for the first.
    pub const fn previous(&self) -> Digest {
        self.previous
    }

    /// From when on the list is refused.
    pub const fn not_after(&self) -> Timestamp {
        self.not_after
    }

    /// The devices.
    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    /// The device with this signing key.
    pub fn device(&self, key: &PublicKey) -> Option<&Device> {
        self.devices.iter().find(|device| device.key == *key)
    }

    /// The digest that cards, messages and the next list name.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes as received, to be passed on.
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::crypto::SecretKey;
    use crate::identity::AccountSeed;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const END: Timestamp = Timestamp::from_secs(1000);

    fn account() -> AccountKey {
        AccountSeed::from_bytes([1; 16]).key()
    }

    fn device(seed: u8) -> Device {
        let key = SecretKey::from_seed(&[seed; 32]).public();
        Device { key, ratchet: Curve25519Key::from_bytes([seed; 32]) }
    }

    fn draft(devices: Vec<Device>) -> DeviceListDraft {
        DeviceListDraft::first(devices, END)
    }

    #[test]
    fn list_is_taken_back_with_all_it_says() {
        let first = draft(vec![device(1)]).sign(&account(), &NETWORK).unwrap();
        let next = DeviceListDraft::after(&first, vec![device(1), device(2)], END);
        let next = next.sign(&account(), &NETWORK).unwrap();
        assert_eq!((next.version(), next.previous()), (2, first.digest()));
        assert_eq!(next.device(&device(2).key), Some(&device(2)));
        assert_eq!(next.key(), account().public());
        let read = DeviceList::verify(next.signed().clone(), &NETWORK, &account().id());
        assert_eq!(read, Ok(next));
    }

    #[test]
    fn list_of_another_account_or_network_is_refused() {
        let list = draft(vec![device(1)]).sign(&account(), &NETWORK).unwrap();
        let other = AccountSeed::from_bytes([2; 16]).key();
        let read = DeviceList::verify(list.signed().clone(), &NETWORK, &other.id());
        assert_eq!(read, Err(DeviceListError::WrongAccount));
        let elsewhere = NetworkId::from_bytes([2; 32]);
        let read = DeviceList::verify(list.signed().clone(), &elsewhere, &account().id());
        assert_eq!(read, Err(DeviceListError::Signature(BadSignature)));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let list = draft(vec![device(1)]).sign(&account(), &NETWORK).unwrap();
        for i in 0..list.signed().bytes.len() {
            let mut signed = list.signed().clone();
            signed.bytes[i] ^= 1;
            assert!(DeviceList::verify(signed, &NETWORK, &account().id()).is_err(), "byte {i}");
        }
    }

    #[test]
    fn rules_hold_for_signed_lists_too() {
        let sign = |draft: DeviceListDraft| draft.sign(&account(), &NETWORK).map(|_| ());
        assert_eq!(sign(draft(vec![])), Err(DeviceListError::DeviceCount { found: 0 }));
        let many = (0..17).map(device).collect();
        assert_eq!(sign(draft(many)), Err(DeviceListError::DeviceCount { found: 17 }));
        let full = (0..16).map(device).collect();
        assert_eq!(sign(draft(full)), Ok(()));
        let twice = vec![device(1), device(2), device(1)];
        assert_eq!(sign(draft(twice)), Err(DeviceListError::DuplicateDevice));
        let zero = DeviceListDraft { version: 0, ..draft(vec![device(1)]) };
        assert_eq!(sign(zero), Err(DeviceListError::Version));
        let unrooted = DeviceListDraft { version: 2, ..draft(vec![device(1)]) };
        assert_eq!(sign(unrooted), Err(DeviceListError::Version));
    }

    #[test]
    fn list_expires_at_its_not_after() {
        let list = draft(vec![device(1)]).sign(&account(), &NETWORK).unwrap();
        assert_eq!(list.check_age(Timestamp::from_millis(999_999)), Ok(()));
        assert_eq!(list.check_age(END), Err(DeviceListError::Expired));
    }
}
