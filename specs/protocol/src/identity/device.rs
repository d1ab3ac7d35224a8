//! A device of an account: its own keys, and the tag people tell devices apart by.
//!
//! A device signs with Ed25519 and takes part in the ratchet with Curve25519. Its X-Wing key changes
//! every few weeks and therefore stands in the [`super::Bundle`], which the device signs itself, not
//! in the list that only the account key can sign. Specified in 01 identities, section 4.

use core::fmt;

use curve25519_dalek::montgomery::MontgomeryPoint;
use data_encoding::BASE32_NOPAD;
use rand_core::CryptoRng;

use super::Device;
use crate::crypto::{PublicKey, Secret, SecretKey, digest};
use crate::id::byte_id;

const TAG_LABEL: &str = "enjambre/device-tag/1";

byte_id!(
    /// A Curve25519 public key of the ratchet, as bytes.
    Curve25519Key, 32
);

impl Curve25519Key {
    /// The public half of `secret`.
    pub fn of(secret: &Secret<32>) -> Self {
        Self::from_bytes(MontgomeryPoint::mul_base_clamped(*secret.expose()).to_bytes())
    }
}

/// The secret keys of one device.
#[derive(Clone, Debug)]
pub struct DeviceKeys {
    signing: SecretKey,
    ratchet: Secret<32>,
}

impl DeviceKeys {
    /// Keys for a new device.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        Self { signing: SecretKey::generate(rng), ratchet: Secret::generate(rng) }
    }

    /// From stored secrets.
    pub const fn from_secrets(signing: SecretKey, ratchet: Secret<32>) -> Self {
        Self { signing, ratchet }
    }

    /// Signs bundles, content and this device's requests.
    pub const fn signer(&self) -> &SecretKey {
        &self.signing
    }

    /// The Curve25519 identity secret of the ratchet.
    pub const fn ratchet(&self) -> &Secret<32> {
        &self.ratchet
    }

    /// What the device list says of this device.
    pub fn device(&self) -> Device {
        Device { key: self.signing.public(), ratchet: Curve25519Key::of(&self.ratchet) }
    }
}

/// Eight characters by which people tell devices apart. For display only: too short to trust.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceTag([u8; 5]);

impl DeviceTag {
    /// The tag of the device with this signing key.
    pub fn of(device: &PublicKey) -> Self {
        let digest = digest(TAG_LABEL, &[device.as_bytes()]);
        let [a, b, c, d, e, ..] = *digest.as_bytes();
        Self([a, b, c, d, e])
    }
}

impl fmt::Display for DeviceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE32_NOPAD.encode(&self.0).to_lowercase())
    }
}

impl fmt::Debug for DeviceTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeviceTag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tag_is_eight_characters_and_depends_on_the_key() {
        let tag = |seed| DeviceTag::of(&SecretKey::from_seed(&[seed; 32]).public()).to_string();
        assert_eq!(tag(1).len(), 8);
        assert_ne!(tag(1), tag(2));
    }
}
