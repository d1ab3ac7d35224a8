//! One document of the chain: the nodes and the swarms at a height.

use core::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::id::{Digest, FamilyId, NetworkId, NodeId, StoreId};
use crate::limits::{ADDRESSES_MAX, DIRECTORY_MAX, NODES_MAX};
use crate::onion::{OnionKeyNumber, OnionPublicKey};
use crate::swarm::SwarmState;
use crate::time::Timestamp;
use crate::{crypto, wire};

const LABEL: &str = "enjambre/document/1";

/// The version byte of documents. 2: entries hold the declared capacity, and a descriptor counts
/// near the time it was made only.
const VERSION: u8 = 2;

/// Why bytes are no document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DocumentError {
    /// Written by another version.
    #[error(
        "the document is of version {found}, and this program reads version {VERSION}: update whichever is older"
    )]
    Version {
        /// The version byte received.
        found: u8,
    },
    /// Not an encoding of a document.
    #[error(transparent)]
    Decode(wire::DecodeError),
    /// Nodes out of order or listed twice, too many nodes, or a node without an address.
    #[error("the node list breaks its rules")]
    Nodes,
    /// A swarm list out of order or with a member that may not be there.
    #[error("the swarm list breaks its rules")]
    Swarms,
}

/// One node as paths and swarms need it. The authorities vouch for it: its own signature stays
/// with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeEntry {
    /// The node.
    pub id: NodeId,
    /// The number of its current onion key.
    pub onion_number: OnionKeyNumber,
    /// Its current onion key.
    pub onion_key: OnionPublicKey,
    /// Where it listens, best first.
    pub addresses: Vec<SocketAddr>,
    /// Its database.
    pub store: StoreId,
    /// Its family.
    pub family: Option<FamilyId>,
    /// What it declares as its capacity.
    pub capacity: u32,
    /// Share of paths it takes, relative to the others: its capacity, at least 1 and at most four
    /// times the median.
    pub weight: u32,
    /// The height that listed it first.
    pub listed: u64,
    /// The sequence number of the descriptor that this entry was made from.
    pub sequence: u64,
}

/// The nodes and the swarms at one height.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Document {
    /// The network.
    pub network: NetworkId,
    /// Its place in the chain; the first is 1.
    pub height: u64,
    /// The digest of the document before; all zero for the first.
    pub previous: Digest,
    /// When it was made: the lower median of the reports' clocks.
    pub time: Timestamp,
    /// The random value of this height.
    pub beacon: Digest,
    /// The nodes, ascending by id.
    pub nodes: Vec<NodeEntry>,
    /// The swarms.
    pub swarms: SwarmState,
}

impl From<wire::DecodeError> for DocumentError {
    fn from(error: wire::DecodeError) -> Self {
        match error {
            wire::DecodeError::Version { found, .. } => Self::Version { found },
            other => Self::Decode(other),
        }
    }
}

impl Document {
    /// What the first document names as its predecessor.
    pub const NO_PREDECESSOR: Digest = Digest::from_bytes([0; 32]);

    /// The bytes that are signed.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode_as(VERSION, self)
    }

    /// Reads the bytes of a document and checks its own order and bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let document: Self = wire::decode_as(VERSION, bytes, DIRECTORY_MAX)?;
        let ascending = document.nodes.windows(2).all(|pair| pair[0].id < pair[1].id);
        let addressed = |node: &NodeEntry| (1..=ADDRESSES_MAX).contains(&node.addresses.len());
        if document.nodes.len() > NODES_MAX || !ascending || !document.nodes.iter().all(addressed) {
            return Err(DocumentError::Nodes);
        }
        if !document.swarms.is_well_formed() {
            return Err(DocumentError::Swarms);
        }
        Ok(document)
    }

    /// The digest of a document's bytes.
    pub fn digest(bytes: &[u8]) -> Digest {
        crypto::digest(LABEL, &[bytes])
    }

    /// The entry of a node.
    pub fn node(&self, id: &NodeId) -> Option<&NodeEntry> {
        let place = self.nodes.binary_search_by_key(id, |node| node.id).ok()?;
        self.nodes.get(place)
    }
}
