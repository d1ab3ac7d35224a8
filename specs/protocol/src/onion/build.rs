//! A client's side of the way out: a request wrapped in four layers.

use core::fmt;

use rand_core::CryptoRng;

use super::key::{OnionKeyNumber, OnionPublicKey};
use super::layer::{BackKeys, Header, LayerKeys, clear_part, seal_layer};
use super::opener::ReplyOpener;
use super::primitives::{Primitives, RUST_CRYPTO, TAG_LEN};
use super::size::{BODY_AT, HOPS, Hop, LENGTH_LEN, SizeClass, payload_capacity};
use crate::Retry;
use crate::crypto::Secret;
use crate::id::{NetworkId, NodeId};

/// One node of a path, as the directory describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HopTarget {
    /// The node.
    pub node: NodeId,
    /// The number of the onion key to be used.
    pub key_number: OnionKeyNumber,
    /// That key.
    pub key: OnionPublicKey,
}

/// Why no packet was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The request does not fit a packet of the class.
    #[error("request of {len} bytes in a packet that carries {capacity}")]
    TooLarge {
        /// Bytes of the request.
        len: usize,
        /// Bytes that a packet of the class carries.
        capacity: usize,
    },
    /// The same node twice on one path.
    #[error("{node} stands twice on the path")]
    RepeatedNode {
        /// That node.
        node: NodeId,
    },
    /// A node id of zeros, which in a header means "no next node".
    #[error("the {hop:?} has no node id")]
    NoNode {
        /// Where on the path.
        hop: Hop,
    },
    /// A node's onion key with which every secret would be zero.
    #[error("the onion key of the {hop:?} is no key")]
    BadKey {
        /// Where on the path.
        hop: Hop,
    },
}

impl BuildError {
    /// Whether another path would help.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::TooLarge { .. } => Retry::Never,
            Self::RepeatedNode { .. } | Self::NoNode { .. } | Self::BadKey { .. } => {
                Retry::Elsewhere
            }
        }
    }
}

/// A packet as it goes over a link: exactly as long as its class.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    class: SizeClass,
    bytes: Vec<u8>,
}

impl Packet {
    /// The class, which is the length.
    pub const fn class(&self) -> SizeClass {
        self.class
    }

    /// The bytes for the link to the guard.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes for the link to the guard.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Packet({})", self.class)
    }
}

/// Wraps `request` for the four nodes of `path`, guard first, and keeps what opens the reply.
///
/// `minute` is [`Timestamp::minute`](crate::time::Timestamp::minute) by the directory's clock.
/// Each packet draws fresh ephemeral keys: a request that is sent again is built again.
pub fn build(
    rng: &mut impl CryptoRng,
    network: &NetworkId,
    path: &[HopTarget; HOPS],
    class: SizeClass,
    reply_class: SizeClass,
    minute: u32,
    request: &[u8],
) -> Result<(Packet, ReplyOpener), BuildError> {
    build_with(&RUST_CRYPTO, rng, network, path, class, reply_class, minute, request)
}

/// [`build`] by other primitives: the same bytes for the same randomness.
#[expect(clippy::too_many_arguments, reason = "those of `build`, and the primitives")]
pub fn build_with(
    primitives: &'static dyn Primitives,
    rng: &mut impl CryptoRng,
    network: &NetworkId,
    path: &[HopTarget; HOPS],
    class: SizeClass,
    reply_class: SizeClass,
    minute: u32,
    request: &[u8],
) -> Result<(Packet, ReplyOpener), BuildError> {
    check_nodes(path)?;
    let mut bytes = innermost(class, request)?;
    let len = bytes.len();
    let mut backs: [Option<BackKeys>; HOPS] = Default::default();
    let mut next = None;
    for (hop, target) in Hop::ALL.into_iter().zip(path).rev() {
        let ephemeral = primitives.exchange_key(&Secret::generate(rng));
        let public = ephemeral.public();
        let shared = ephemeral.exchange(&target.key).ok_or(BuildError::BadKey { hop })?;
        let keys = LayerKeys::derive(network, &shared, &public, &target.key);
        let clear = clear_part(target.key_number.get(), &public);
        // Layer n lies in the packet behind n fronts and before n tags.
        let layer = &mut bytes[BODY_AT * hop.index()..len - TAG_LEN * hop.index()];
        let header = Header { hop, reply_class, next, minute }.to_bytes();
        seal_layer(primitives, &keys, class, &clear, &header, layer);
        backs[hop.index()] = Some(keys.back);
        next = Some(target.node);
    }
    let backs = backs.into_iter().flatten().collect();
    Ok((Packet { class, bytes }, ReplyOpener::new(primitives, reply_class, backs)))
}

fn check_nodes(path: &[HopTarget; HOPS]) -> Result<(), BuildError> {
    for (hop, target) in Hop::ALL.into_iter().zip(path) {
        if *target.node.as_bytes() == [0; NodeId::LEN] {
            return Err(BuildError::NoNode { hop });
        }
        if path[..hop.index()].iter().any(|before| before.node == target.node) {
            return Err(BuildError::RepeatedNode { node: target.node });
        }
    }
    Ok(())
}

/// A packet with the padded request in its place and nothing around it yet.
fn innermost(class: SizeClass, request: &[u8]) -> Result<Vec<u8>, BuildError> {
    let (len, capacity) = (request.len(), payload_capacity(class));
    let too_large = BuildError::TooLarge { len, capacity };
    let length = u32::try_from(len).map_err(|_| too_large)?;
    if len > capacity {
        return Err(too_large);
    }
    let mut bytes = vec![0; class.bytes()];
    let payload = &mut bytes[BODY_AT * HOPS..];
    payload[..LENGTH_LEN].copy_from_slice(&length.to_le_bytes());
    payload[LENGTH_LEN..][..len].copy_from_slice(request);
    Ok(bytes)
}
