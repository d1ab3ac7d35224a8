//! The account id: what people exchange, and what a mailbox is addressed by.
//!
//! A prefix byte and 32 key bytes. `05` and the X25519 form of an account's key name a person or a
//! bot; `03` and an Ed25519 key name a group. Not here: the point of an id on the swarm ring, which
//! is computed from [`AccountId::key`] in [`crate::swarm`]. Specified in 01 identities, section 2.
//!
//! # Invariants
//!
//! - *One spelling*: every key has exactly one id; second encodings of a field element are refused.
//! - *No weak key*: points of small order, which stand for no secret, are refused.
//! - *Not logged*: `Debug` shows the prefix only, so that an id cannot slip into a log.

use core::fmt;
use core::str::FromStr;

use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::montgomery::MontgomeryPoint;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::crypto::{PublicKey, SecretKey};
use crate::id::{deserialize_bytes, from_hex, serialize_bytes, to_hex};

/// What an id names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AccountKind {
    /// Prefix `03`: a group, by its Ed25519 key.
    Group,
    /// Prefix `05`: a person or a bot, by the X25519 form of its key.
    Account,
}

impl AccountKind {
    /// The first byte of an id of this kind.
    pub const fn prefix(self) -> u8 {
        match self {
            Self::Group => 0x03,
            Self::Account => 0x05,
        }
    }

    const fn from_prefix(prefix: u8) -> Option<Self> {
        match prefix {
            0x03 => Some(Self::Group),
            0x05 => Some(Self::Account),
            _ => None,
        }
    }
}

/// Why something is not an account id. Each text says what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccountIdError {
    /// Not 66 characters.
    #[error("an account id has 66 characters, this has {found}: copy it again, whole")]
    Length {
        /// Characters found.
        found: usize,
    },
    /// A character outside `0-9a-f`.
    #[error("an account id has only the characters 0-9 and a-f: copy it again, or scan the code")]
    NotHex,
    /// Neither `05` nor `03` in front.
    #[error("an account id begins with 05, a group's with 03, this with {found:02x}: check it")]
    Prefix {
        /// The prefix found.
        found: u8,
    },
    /// A second encoding of a key.
    #[error("this account id spells its key in a forbidden way: ask for the id again")]
    NonCanonical,
    /// A key that stands for no secret.
    #[error("this account id belongs to nobody, its key is void: ask for the id again")]
    LowOrder,
    /// An Ed25519 key that is not a point.
    #[error("this is not a public key: ask for it again")]
    NotAPoint,
}

/// The field's modulus 2²⁵⁵ − 19, little-endian.
const MODULUS: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xed;
    bytes[31] = 0x7f;
    bytes
};

/// 0, 1 and −1: of small order on both forms of the curve.
const SMALL: [[u8; 32]; 3] = {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = MODULUS;
    minus_one[0] = 0xec;
    [[0; 32], one, minus_one]
};

/// The u-coordinates of the points of order 8 on the Montgomery curve.
const ORDER_EIGHT_U: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4,
        0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49,
        0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef,
        0x5b, 0x04, 0x44, 0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f,
        0x11, 0x57,
    ],
];

/// The y-coordinates of the points of order 8 on the Edwards curve.
const ORDER_EIGHT_Y: [[u8; 32]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67,
        0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac,
        0x03, 0x7a,
    ],
];

/// Whether a little-endian number is below the modulus.
fn is_reduced(bytes: &[u8; 32]) -> bool {
    bytes.iter().rev().lt(MODULUS.iter().rev())
}

/// The id of an account or a group. Shown in full by `Display`, hardly at all by `Debug`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    kind: AccountKind,
    key: [u8; 32],
}

impl AccountId {
    /// Length in bytes, prefix included.
    pub const LEN: usize = 33;

    /// From a kind and its 32 key bytes.
    pub fn new(kind: AccountKind, key: [u8; 32]) -> Result<Self, AccountIdError> {
        let mut coordinate = key;
        let order_eight = match kind {
            AccountKind::Account => &ORDER_EIGHT_U,
            AccountKind::Group => {
                coordinate[31] &= 0x7f; // The top bit is the sign of x.
                &ORDER_EIGHT_Y
            }
        };
        if !is_reduced(&coordinate) {
            return Err(AccountIdError::NonCanonical);
        }
        if SMALL.contains(&coordinate) || order_eight.contains(&coordinate) {
            return Err(AccountIdError::LowOrder);
        }
        Ok(Self { kind, key })
    }

    /// From the 33 bytes of the wire.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, AccountIdError> {
        let [found, key @ ..] = *bytes;
        let kind = AccountKind::from_prefix(found).ok_or(AccountIdError::Prefix { found })?;
        Self::new(kind, key)
    }

    /// The id of the account whose full Ed25519 key this is: its X25519 form behind `05`.
    pub fn of_account(key: &PublicKey) -> Result<Self, AccountIdError> {
        Self::new(AccountKind::Group, *key.as_bytes())?; // Same rules for the Edwards form.
        let point = CompressedEdwardsY(*key.as_bytes());
        let point = point.decompress().ok_or(AccountIdError::NotAPoint)?;
        Self::new(AccountKind::Account, point.to_montgomery().to_bytes())
    }

    /// The id of the account that holds this secret key.
    pub(super) fn of_secret(secret: &SecretKey) -> Self {
        let key = MontgomeryPoint::mul_base_clamped(*secret.to_x25519().expose()).to_bytes();
        Self { kind: AccountKind::Account, key }
    }

    /// The id of the group whose Ed25519 key this is.
    pub fn of_group(key: &PublicKey) -> Result<Self, AccountIdError> {
        let id = Self::new(AccountKind::Group, *key.as_bytes())?;
        let point = CompressedEdwardsY(id.key).decompress();
        point.map(|_| id).ok_or(AccountIdError::NotAPoint)
    }

    /// Whether `key` is the full Ed25519 key of this account or group.
    ///
    /// Two keys, differing in their sign bit only, match one account id; contacts therefore pin the
    /// full key, not the id.
    pub fn matches(&self, key: &PublicKey) -> bool {
        let id = match self.kind {
            AccountKind::Account => Self::of_account(key),
            AccountKind::Group => Self::of_group(key),
        };
        id.as_ref() == Ok(self)
    }

    /// What the id names.
    pub const fn kind(&self) -> AccountKind {
        self.kind
    }

    /// The 32 key bytes without the prefix: what the swarm ring is computed from.
    pub const fn key(&self) -> &[u8; 32] {
        &self.key
    }

    /// Prefix and key, as they stand on the wire.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[0] = self.kind.prefix();
        bytes[1..].copy_from_slice(&self.key);
        bytes
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.to_bytes()))
    }
}

impl fmt::Debug for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AccountId({:02x}…)", self.kind.prefix())
    }
}

impl FromStr for AccountId {
    type Err = AccountIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = text.chars().count();
        if found != 2 * Self::LEN {
            return Err(AccountIdError::Length { found });
        }
        Self::from_bytes(&from_hex(text).map_err(|_| AccountIdError::NotHex)?)
    }
}

impl Serialize for AccountId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.to_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize_bytes::<{ Self::LEN }, D>(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::traits::IsIdentity;
    use proptest::prelude::*;

    use super::*;
    use crate::wire;

    fn account(seed: u8) -> AccountId {
        AccountId::of_account(&SecretKey::from_seed(&[seed; 32]).public()).unwrap()
    }

    #[test]
    fn id_is_66_hex_characters_for_people_and_33_bytes_on_the_wire() {
        let id = account(1);
        let text = id.to_string();
        assert_eq!(text.len(), 66);
        assert!(text.starts_with("05"));
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(text.to_uppercase().parse(), Ok(id));
        assert_eq!(serde_json::to_string(&id).unwrap(), format!("\"{text}\""));
        assert_eq!(serde_json::from_str::<AccountId>(&format!("\"{text}\"")).unwrap(), id);
        assert_eq!(wire::encode(&id).len(), 34);
        assert_eq!(wire::decode(&wire::encode(&id), 34), Ok(id));
    }

    #[test]
    fn debug_keeps_the_id_out_of_logs() {
        assert_eq!(format!("{:?}", account(1)), "AccountId(05…)");
    }

    #[test]
    fn wrong_length_prefix_and_digits_are_refused() {
        let text = account(1).to_string();
        assert_eq!(text[..65].parse::<AccountId>(), Err(AccountIdError::Length { found: 65 }));
        assert_eq!("é".repeat(66).parse::<AccountId>(), Err(AccountIdError::NotHex));
        let other = format!("15{}", &text[2..]);
        assert_eq!(other.parse::<AccountId>(), Err(AccountIdError::Prefix { found: 0x15 }));
        let mut bytes = wire::encode(&account(1));
        bytes[1] = 0x04;
        assert!(wire::decode::<AccountId>(&bytes, 34).is_err());
    }

    #[test]
    fn second_encodings_of_a_key_are_refused() {
        for kind in [AccountKind::Account, AccountKind::Group] {
            for low in 0xed..=0xff {
                let mut key = MODULUS;
                key[0] = low;
                assert_eq!(AccountId::new(kind, key), Err(AccountIdError::NonCanonical));
            }
        }
        let mut key = *account(1).key();
        key[31] |= 0x80;
        let error = Err(AccountIdError::NonCanonical);
        assert_eq!(AccountId::new(AccountKind::Account, key), error);
    }

    #[test]
    fn every_point_of_small_order_is_refused_in_both_forms() {
        for point in EIGHT_TORSION {
            assert!(point.mul_by_cofactor().is_identity());
            let key = point.compress().to_bytes();
            let error = Err(AccountIdError::LowOrder);
            assert_eq!(AccountId::new(AccountKind::Group, key), error);
            assert_eq!(AccountId::of_account(&PublicKey::from_bytes(key)), error);
            let key = point.to_montgomery().to_bytes();
            assert_eq!(AccountId::new(AccountKind::Account, key), error);
        }
    }

    #[test]
    fn account_matches_both_signs_of_its_key_and_no_other() {
        let key = SecretKey::from_seed(&[1; 32]).public();
        let mut mirrored = *key.as_bytes();
        mirrored[31] ^= 0x80;
        assert!(account(1).matches(&key));
        assert!(account(1).matches(&PublicKey::from_bytes(mirrored)));
        assert!(!account(2).matches(&key));
        let group = AccountId::of_group(&key).unwrap();
        assert!(group.matches(&key));
        assert!(!group.matches(&PublicKey::from_bytes(mirrored)));
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_has_one_spelling(bytes in any::<[u8; 33]>(), kind in 0..3u8) {
            let mut bytes = bytes;
            bytes[0] = [0x03, 0x05, bytes[0]][usize::from(kind)];
            if let Ok(id) = AccountId::from_bytes(&bytes) {
                prop_assert_eq!(id.to_bytes(), bytes);
                prop_assert_eq!(id.to_string().parse(), Ok(id));
            }
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,80}") {
            let _ = text.parse::<AccountId>();
        }
    }
}
