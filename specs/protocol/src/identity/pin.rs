//! What one person remembers of a contact, so that a lie about it is noticed.
//!
//! Specified in 01 identities, section 6.

use serde::{Deserialize, Serialize};

use super::{AccountId, DeviceList};
use crate::crypto::PublicKey;
use crate::id::Digest;
use crate::retry::Retry;

/// Why a list contradicts what was seen before. To be shown loudly, never ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PinError {
    /// The list of another account.
    #[error("device list belongs to another contact")]
    WrongAccount,
    /// The same id, but another full key: somebody pretends.
    #[error("contact's key changed although the id did not: do not trust this message")]
    KeyChanged,
    /// A version below the highest seen.
    #[error("contact's device list went back from version {pinned} to {found}")]
    Lower {
        /// The version pinned.
        pinned: u64,
        /// The version found.
        found: u64,
    },
    /// Another list under the same version, or one that follows another list.
    #[error("contact has two different device lists with version {version}")]
    Forked {
        /// The version of which there are two.
        version: u64,
    },
}

impl PinError {
    /// Another member may hold the newer list; a changed key or a fork stays one.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Lower { .. } => Retry::Elsewhere,
            Self::WrongAccount | Self::KeyChanged | Self::Forked { .. } => Retry::Never,
        }
    }
}

/// How a list relates to the pinned one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// The pinned list.
    Same,
    /// Its successor, chained to it.
    Next,
    /// A later one; those between were not seen, so the chain is unproven.
    Later,
}

/// The highest device list seen of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPin {
    account: AccountId,
    key: PublicKey,
    version: u64,
    digest: Digest,
}

impl ContactPin {
    /// Pins the first list seen. `first` is the digest of the contact's first list, from its card;
    /// it is compared where the list is the first or the second of its chain.
    pub fn new(list: &DeviceList, first: Option<&Digest>) -> Result<Self, PinError> {
        let named = match list.version() {
            1 => Some(list.digest()),
            2 => Some(list.previous()),
            _ => None,
        };
        if let (Some(first), Some(named)) = (first, named)
            && *first != named
        {
            return Err(PinError::Forked { version: 1 });
        }
        Ok(Self::of(list))
    }

    fn of(list: &DeviceList) -> Self {
        let (account, key) = (list.account(), list.key());
        Self { account, key, version: list.version(), digest: list.digest() }
    }

    /// Compares a list with the pinned one and keeps the higher.
    pub fn observe(&mut self, list: &DeviceList) -> Result<Observed, PinError> {
        if list.account() != self.account {
            return Err(PinError::WrongAccount);
        }
        if list.key() != self.key {
            return Err(PinError::KeyChanged);
        }
        let (pinned, found) = (self.version, list.version());
        if found < pinned {
            return Err(PinError::Lower { pinned, found });
        }
        if found == pinned {
            let is_same = list.digest() == self.digest;
            return is_same.then_some(Observed::Same).ok_or(PinError::Forked { version: found });
        }
        let is_next = found - pinned == 1;
        if is_next && list.previous() != self.digest {
            return Err(PinError::Forked { version: pinned });
        }
        *self = Self::of(list);
        Ok(if is_next { Observed::Next } else { Observed::Later })
    }

    /// The contact.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The contact's full key.
    pub const fn key(&self) -> PublicKey {
        self.key
    }

    /// The highest version seen.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// The digest of that list.
    pub const fn digest(&self) -> Digest {
        self.digest
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::crypto::SecretKey;
    use crate::id::NetworkId;
    use crate::identity::{AccountKey, AccountSeed, Curve25519Key, Device, DeviceListDraft};
    use crate::time::Timestamp;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
    const END: Timestamp = Timestamp::from_secs(1000);

    fn account(seed: u8) -> AccountKey {
        AccountSeed::from_bytes([seed; 16]).key()
    }

    fn devices(seed: u8) -> Vec<Device> {
        let key = SecretKey::from_seed(&[seed; 32]).public();
        vec![Device { key, ratchet: Curve25519Key::from_bytes([seed; 32]) }]
    }

    fn first(seed: u8) -> DeviceList {
        DeviceListDraft::first(devices(seed), END).sign(&account(1), &NETWORK).unwrap()
    }

    fn after(list: &DeviceList, seed: u8) -> DeviceList {
        DeviceListDraft::after(list, devices(seed), END).sign(&account(1), &NETWORK).unwrap()
    }

    #[test]
    fn pin_follows_the_chain_and_never_goes_back() {
        let one = first(1);
        let two = after(&one, 2);
        let four = after(&after(&two, 3), 4);
        let mut pin = ContactPin::new(&one, Some(&one.digest())).unwrap();
        assert_eq!(pin.observe(&one), Ok(Observed::Same));
        assert_eq!(pin.observe(&two), Ok(Observed::Next));
        assert_eq!(pin.observe(&one), Err(PinError::Lower { pinned: 2, found: 1 }));
        assert_eq!(pin.observe(&four), Ok(Observed::Later));
        assert_eq!((pin.version(), pin.digest()), (4, four.digest()));
    }

    #[test]
    fn fork_is_noticed_at_the_same_and_at_the_next_version() {
        let (one, forged) = (first(1), first(2));
        let mut pin = ContactPin::new(&one, None).unwrap();
        let before = pin;
        assert_eq!(pin.observe(&forged), Err(PinError::Forked { version: 1 }));
        assert_eq!(pin.observe(&after(&forged, 3)), Err(PinError::Forked { version: 1 }));
        assert_eq!(pin, before);
    }

    #[test]
    fn card_digest_is_held_against_the_first_and_second_list() {
        let (one, forged) = (first(1), first(2));
        let error = Err(PinError::Forked { version: 1 });
        assert_eq!(ContactPin::new(&forged, Some(&one.digest())), error);
        assert_eq!(ContactPin::new(&after(&forged, 3), Some(&one.digest())), error);
        assert!(ContactPin::new(&after(&one, 3), Some(&one.digest())).is_ok());
    }

    #[test]
    fn list_of_another_account_does_not_move_the_pin() {
        let mut pin = ContactPin::new(&first(1), None).unwrap();
        let other = DeviceListDraft::first(devices(1), END).sign(&account(2), &NETWORK).unwrap();
        assert_eq!(pin.observe(&other), Err(PinError::WrongAccount));
    }
}
