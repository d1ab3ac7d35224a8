//! Who is who: accounts, their devices, and what they publish about themselves.
//!
//! An account is one Ed25519 key made from 16 random bytes. It signs the list of its devices, and
//! the devices sign the rest: bundles of encryption keys and messages. Everything read from outside
//! becomes one of these types only after its checks. Not here: how a message is sealed
//! ([`crate::envelope`]) and where records are kept ([`crate::mailbox`]). Specified in 01
//! identities.
//!
//! # Invariants
//!
//! - *One spelling*: an id has one form; see [`AccountId`].
//! - *Rooted*: a [`DeviceList`] or [`Bundle`] value exists only with its signatures checked up to
//!   the account id it is for.
//! - *Never back*: a [`ContactPin`] never goes to a lower version or a fork.

mod account;
mod account_id;
mod bundle;
mod card;
mod device;
mod device_list;
mod key_file;
mod phrase;
mod pin;
mod published;
mod token;
#[cfg(test)]
pub(crate) mod vectors;

pub use account::{AccountKey, AccountSeed};
pub use account_id::{AccountId, AccountIdError, AccountKind};
pub use bundle::{BUNDLE_REFUSE_AFTER, BUNDLE_ROTATE_AFTER, Bundle, BundleError, BundleSecret};
pub use card::{CardError, CardName, ContactCard, is_deceptive, parse_bare_id};
pub use device::{Curve25519Key, DeviceKeys, DeviceTag};
pub use device_list::{DEVICES_MAX, Device, DeviceList, DeviceListDraft, DeviceListError};
pub use key_file::{KeyFile, KeyFileError, KeyPurpose};
pub use phrase::{PhraseError, RecoveryPhrase};
pub use pin::{ContactPin, Observed, PinError};
pub use published::{IdentityError, PublishedIdentity, VerifiedIdentity};
pub use token::{Rights, SubAccountToken, TokenError};
