//! A family's consent to one node, as the node's settings carry it.
//!
//! The family key itself stays off the node: `init` signs the node's id with it once. Clients then
//! keep nodes of one family out of each other's paths. Specified in 02 directory.

use std::fmt;
use std::str::FromStr;

use enjambre_protocol::crypto::{PublicKey, SecretKey, Signature};
use enjambre_protocol::directory::Descriptor;
use enjambre_protocol::id::{FamilyId, NetworkId, NodeId, from_hex, to_hex};
use serde::{Deserialize, Serialize};

/// A family and its signature over a node's id, for one network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FamilyConsent {
    family: FamilyId,
    signature: Signature,
}

/// A text that is no consent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the family is no consent; make it with `enjambre-node init --family KEYFILE`")]
pub struct FamilyConsentError;

impl FamilyConsent {
    /// Signs a node's id with its family's key.
    pub fn sign(key: &SecretKey, network: &NetworkId, node: &NodeId) -> Self {
        Self {
            family: FamilyId::from_bytes(*key.public().as_bytes()),
            signature: Descriptor::sign_family(key, network, node),
        }
    }

    /// The family.
    pub const fn family(&self) -> &FamilyId {
        &self.family
    }

    /// Whether the family has consented to this node in this network.
    pub fn holds(&self, network: &NetworkId, node: &NodeId) -> bool {
        let key = PublicKey::from_bytes(*self.family.as_bytes());
        Descriptor::verify_family(&key, network, node, &self.signature)
    }

    /// What a descriptor carries.
    pub fn parts(&self) -> (FamilyId, Signature) {
        (self.family, self.signature)
    }
}

impl fmt::Display for FamilyConsent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.family, to_hex(self.signature.as_bytes()))
    }
}

impl FromStr for FamilyConsent {
    type Err = FamilyConsentError;

    fn from_str(text: &str) -> Result<Self, FamilyConsentError> {
        let (family, signature) = text.trim().split_once(':').ok_or(FamilyConsentError)?;
        let family = family.parse().map_err(|_| FamilyConsentError)?;
        let signature = from_hex(signature).map_err(|_| FamilyConsentError)?;
        Ok(Self { family, signature: Signature::from_bytes(signature) })
    }
}

impl Serialize for FamilyConsent {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FamilyConsent {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consent_is_read_back_and_nothing_else_is() {
        let key = SecretKey::from_seed(&[1; 32]);
        let (network, node) = (NetworkId::from_bytes([2; 32]), NodeId::from_bytes([3; 32]));
        let consent = FamilyConsent::sign(&key, &network, &node);
        let text = consent.to_string();
        assert_eq!(text.parse(), Ok(consent.clone()));
        assert!(consent.holds(&network, &node));
        assert!(!consent.holds(&network, &NodeId::from_bytes([4; 32])));
        assert!(!consent.holds(&NetworkId::from_bytes([4; 32]), &node));
        for wrong in ["", ":", &text[1..], &text[..text.len() - 1], &text.replace(':', ";")] {
            assert_eq!(wrong.parse::<FamilyConsent>(), Err(FamilyConsentError), "{wrong}");
        }
    }
}
