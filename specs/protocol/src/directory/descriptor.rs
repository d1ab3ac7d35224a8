//! What a node says of itself, signed by it.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::crypto::{BadSignature, PublicKey, SecretKey, Signature, Signed};
use crate::id::{Digest, FamilyId, NetworkId, NodeId, StoreId};
use crate::limits::{ADDRESSES_MAX, DESCRIPTOR_MAX};
use crate::onion::{OnionKeyNumber, OnionPublicKey};
use crate::time::Timestamp;
use crate::{crypto, wire};

const LABEL: &str = "enjambre/descriptor/1";
const FAMILY_LABEL: &str = "enjambre/family/1";

/// Whether a node serves or says farewell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeState {
    /// It relays and stores.
    Active,
    /// It has handed over and is to be taken from the directory.
    Retired,
}

/// Why bytes are not an acceptable descriptor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DescriptorError {
    /// Not a descriptor.
    #[error(transparent)]
    Decode(#[from] wire::DecodeError),
    /// Not signed by the node or the family it names.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// No address, more than [`ADDRESSES_MAX`], or one that cannot be reached.
    #[error("a node needs 1 to {ADDRESSES_MAX} addresses with a port")]
    Addresses,
}

/// The fields of a [`Descriptor`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorParts {
    /// The node.
    pub node: NodeId,
    /// Grows with each descriptor of the node: milliseconds since 1970 when it was made.
    pub sequence: u64,
    /// Whether the node serves.
    pub state: NodeState,
    /// The number of its current onion key.
    pub onion_number: OnionKeyNumber,
    /// Its current onion key.
    pub onion_key: OnionPublicKey,
    /// Where it listens, best first.
    pub addresses: Vec<SocketAddr>,
    /// Its database.
    pub store: StoreId,
    /// Its family, with the family key's signature over the node id.
    pub family: Option<(FamilyId, Signature)>,
    /// Declared capacity, in relative units of one ordinary node = 100.
    pub capacity: u32,
}

/// A checked descriptor with the signed bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    parts: DescriptorParts,
    signed: Signed,
}

impl DescriptorParts {
    /// When it was made, by the node's clock.
    pub const fn made(&self) -> Timestamp {
        Timestamp::from_millis(self.sequence)
    }
}

impl Descriptor {
    /// Signs what a node says of itself.
    pub fn sign(key: &SecretKey, network: &NetworkId, parts: DescriptorParts) -> Self {
        let signed = Signed::new(key, LABEL, network, wire::encode(&parts));
        Self { parts, signed }
    }

    /// A family's consent to one node.
    pub fn sign_family(family: &SecretKey, network: &NetworkId, node: &NodeId) -> Signature {
        family.sign(FAMILY_LABEL, network, node.as_bytes())
    }

    /// Whether a family has consented to a node.
    pub fn verify_family(
        family: &PublicKey,
        network: &NetworkId,
        node: &NodeId,
        signature: &Signature,
    ) -> bool {
        crypto::verify(family, FAMILY_LABEL, network, node.as_bytes(), signature).is_ok()
    }

    /// Checks received bytes: encoding, signatures, bounds.
    pub fn verify(signed: Signed, network: &NetworkId) -> Result<Self, DescriptorError> {
        let parts: DescriptorParts = wire::decode(&signed.bytes, DESCRIPTOR_MAX)?;
        signed.verify(&PublicKey::from_bytes(*parts.node.as_bytes()), LABEL, network)?;
        if let Some((family, signature)) = &parts.family {
            let key = PublicKey::from_bytes(*family.as_bytes());
            crypto::verify(&key, FAMILY_LABEL, network, parts.node.as_bytes(), signature)?;
        }
        let reachable = |address: &SocketAddr| {
            address.port() != 0 && !address.ip().is_unspecified() && !address.ip().is_multicast()
        };
        let count = parts.addresses.len();
        if !(1..=ADDRESSES_MAX).contains(&count) || !parts.addresses.iter().all(reachable) {
            return Err(DescriptorError::Addresses);
        }
        Ok(Self { parts, signed })
    }

    /// What the node says.
    pub const fn parts(&self) -> &DescriptorParts {
        &self.parts
    }

    /// The bytes and signature to pass on.
    pub const fn signed(&self) -> &Signed {
        &self.signed
    }

    /// The digest that reports name it by.
    pub fn digest(&self) -> Digest {
        crypto::digest(LABEL, &[&self.signed.bytes, self.signed.signature.as_bytes()])
    }
}
