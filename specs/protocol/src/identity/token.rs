//! A device's permission to use the account's mailbox, signed by the account key.
//!
//! So that the account key can stay locked away, each device polls and publishes with its own key
//! and shows this token. The swarm can be told to refuse it from now on; the serial lets the same
//! device be given another. Specified in 01 identities, section 7.

use core::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::AccountKey;
use crate::crypto::{self, BadSignature, PublicKey, Signature};
use crate::id::{NetworkId, deserialize_bytes, serialize_bytes};
use crate::retry::Retry;

const LABEL: &str = "enjambre/sub-account/1";

/// The first byte of a token.
const VERSION: u8 = 1;

/// Bytes under the signature: version, rights, serial (2), device key (32).
const BODY_LEN: usize = 36;

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rights(u8);

impl Rights {
    /// Retrieve and subscribe.
    pub const READ: Self = Self(0x01);
    /// Store, publish, and put off expiry.
    pub const WRITE: Self = Self(0x02);
    /// Delete, and bring expiry forward.
    pub const DELETE: Self = Self(0x04);
    /// What a person's own device holds.
    pub const ALL: Self = Self(0x07);

    /// From the wire. `None` when unknown rights, or none, are named.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits == 0 || bits & !Self::ALL.0 != 0 { None } else { Some(Self(bits)) }
    }

    /// As on the wire.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// These rights and those.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `needed` are among these.
    pub const fn contains(self, needed: Self) -> bool {
        self.0 & needed.0 == needed.0
    }
}

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// Unknown version or rights.
    #[error("token is malformed")]
    Malformed,
    /// It does not give the rights the request needs.
    #[error("token does not give the right to do this")]
    Rights,
    /// The account key did not sign it, or not for this network.
    #[error("token is not signed by its account")]
    Signature(#[from] BadSignature),
}

impl TokenError {
    /// The same token fails everywhere.
    pub const fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// A token with its signature; whether that holds is asked with [`Self::verify`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SubAccountToken {
    rights: Rights,
    serial: u16,
    device: PublicKey,
    signature: Signature,
}

impl SubAccountToken {
    /// Length in bytes, signature included.
    pub const LEN: usize = BODY_LEN + Signature::LEN;

    /// Gives `rights` to the device with this signing key.
    pub fn issue(
        account: &AccountKey,
        network: &NetworkId,
        device: PublicKey,
        rights: Rights,
        serial: u16,
    ) -> Self {
        let body = body(rights, serial, &device);
        let signature = account.signer().sign(LABEL, network, &body);
        Self { rights, serial, device, signature }
    }

    /// Checks that the account with this full key gave `needed`; the caller checks that the key
    /// matches the mailbox and that the token is not revoked.
    pub fn verify(
        &self,
        network: &NetworkId,
        account: &PublicKey,
        needed: Rights,
    ) -> Result<(), TokenError> {
        if !self.rights.contains(needed) {
            return Err(TokenError::Rights);
        }
        crypto::verify(account, LABEL, network, &self.body(), &self.signature)?;
        Ok(())
    }

    /// From the 100 bytes of the wire.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, TokenError> {
        let (&[version, rights, low, high], rest) =
            bytes.split_first_chunk::<4>().ok_or(TokenError::Malformed)?;
        let (device, signature) = rest.split_first_chunk::<32>().ok_or(TokenError::Malformed)?;
        let signature = signature.try_into().map_err(|_| TokenError::Malformed)?;
        if version != VERSION {
            return Err(TokenError::Malformed);
        }
        Ok(Self {
            rights: Rights::from_bits(rights).ok_or(TokenError::Malformed)?,
            serial: u16::from_le_bytes([low, high]),
            device: PublicKey::from_bytes(*device),
            signature: Signature::from_bytes(signature),
        })
    }

    /// The 100 bytes of the wire.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..BODY_LEN].copy_from_slice(&self.body());
        bytes[BODY_LEN..].copy_from_slice(self.signature.as_bytes());
        bytes
    }

    /// The 36 signed bytes: what a revocation names.
    pub fn body(&self) -> [u8; BODY_LEN] {
        body(self.rights, self.serial, &self.device)
    }

    /// The key that signs requests under this token.
    pub const fn device(&self) -> PublicKey {
        self.device
    }

    /// What it allows.
    pub const fn rights(&self) -> Rights {
        self.rights
    }

    /// Tells tokens of one device apart.
    pub const fn serial(&self) -> u16 {
        self.serial
    }
}

fn body(rights: Rights, serial: u16, device: &PublicKey) -> [u8; BODY_LEN] {
    let mut bytes = [0; BODY_LEN];
    bytes[0] = VERSION;
    bytes[1] = rights.bits();
    bytes[2..4].copy_from_slice(&serial.to_le_bytes());
    bytes[4..].copy_from_slice(device.as_bytes());
    bytes
}

impl fmt::Debug for SubAccountToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rights, serial, device, .. } = self;
        write!(f, "SubAccountToken({rights:?}, serial {serial}, device {})", device.short())
    }
}

impl Serialize for SubAccountToken {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_bytes(&self.to_bytes(), serializer)
    }
}

impl<'de> Deserialize<'de> for SubAccountToken {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = deserialize_bytes::<{ Self::LEN }, D>(deserializer)?;
        Self::from_bytes(&bytes).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::crypto::SecretKey;
    use crate::identity::AccountSeed;
    use crate::wire;

    const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);

    fn account(seed: u8) -> AccountKey {
        AccountSeed::from_bytes([seed; 16]).key()
    }

    fn token(rights: Rights) -> SubAccountToken {
        let device = SecretKey::from_seed(&[9; 32]).public();
        SubAccountToken::issue(&account(1), &NETWORK, device, rights, 7)
    }

    #[test]
    fn token_gives_its_rights_and_no_others() {
        let key = account(1).public();
        let token = token(Rights::READ.with(Rights::WRITE));
        assert_eq!(token.verify(&NETWORK, &key, Rights::READ), Ok(()));
        assert_eq!(token.verify(&NETWORK, &key, Rights::WRITE), Ok(()));
        assert_eq!(token.verify(&NETWORK, &key, Rights::DELETE), Err(TokenError::Rights));
        assert_eq!(token.verify(&NETWORK, &key, Rights::ALL), Err(TokenError::Rights));
    }

    #[test]
    fn token_holds_for_its_account_and_network_only() {
        let error = Err(TokenError::Signature(BadSignature));
        let token = token(Rights::ALL);
        assert_eq!(token.verify(&NETWORK, &account(2).public(), Rights::READ), error);
        let elsewhere = NetworkId::from_bytes([2; 32]);
        assert_eq!(token.verify(&elsewhere, &account(1).public(), Rights::READ), error);
    }

    #[test]
    fn every_changed_bit_of_a_token_is_noticed() {
        let bytes = token(Rights::READ).to_bytes();
        for bit in 0..8 * SubAccountToken::LEN {
            let mut changed = bytes;
            changed[bit / 8] ^= 1 << (bit % 8);
            let verdict = SubAccountToken::from_bytes(&changed)
                .and_then(|token| token.verify(&NETWORK, &account(1).public(), Rights::READ));
            assert!(verdict.is_err(), "bit {bit}");
        }
    }

    #[test]
    fn token_is_100_bytes_on_the_wire() {
        let token = token(Rights::ALL);
        assert_eq!(wire::encode(&token).len(), 101);
        assert_eq!(wire::decode(&wire::encode(&token), 101), Ok(token));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<[u8; SubAccountToken::LEN]>()) {
            if let Ok(token) = SubAccountToken::from_bytes(&bytes) {
                prop_assert_eq!(token.to_bytes(), bytes);
            }
        }
    }
}
