//! One layer: its keys, its sealed header, its body.

use super::key::OnionPublicKey;
use super::primitives::{Primitives, TAG_LEN};
use super::size::{BODY_AT, CLEAR_LEN, HEADER_LEN, Hop, MINUTE_LEN, NEXT_LEN, ROLE_LEN, SizeClass};
use crate::crypto::{Secret, derive};
use crate::id::{NetworkId, NodeId};

/// X25519, HKDF-SHA256, AES-256-GCM and AES-256-CTR.
pub(super) const SUITE: u8 = 1;

const LABEL: &str = "enjambre/onion/1";

/// A key of the way out seals one message only, so its nonce is a constant.
const ONCE: [u8; 12] = [0; 12];

/// A header in clear, without its tag.
pub(super) const HEADER_CLEAR_LEN: usize = ROLE_LEN + NEXT_LEN + MINUTE_LEN;

/// In the header of the destination, where a relay finds the next node.
const NOBODY: NodeId = NodeId::from_bytes([0; NodeId::LEN]);

/// The four keys of a layer.
#[derive(Debug)]
pub(super) struct LayerKeys {
    pub(super) forward_header: Secret<32>,
    pub(super) forward_body: Secret<32>,
    pub(super) back: BackKeys,
}

/// What a hop keeps for the way back.
#[derive(Clone, Debug)]
pub(super) struct BackKeys {
    pub(super) ctr: Secret<32>,
    pub(super) seal: Secret<32>,
}

impl LayerKeys {
    /// Derives the keys from the shared secret and all that gives it meaning.
    pub(super) fn derive(
        network: &NetworkId,
        shared: &Secret<32>,
        ephemeral: &OnionPublicKey,
        onion_key: &OnionPublicKey,
    ) -> Self {
        let info: [&[u8]; 4] =
            [network.as_bytes(), &[SUITE], ephemeral.as_bytes(), onion_key.as_bytes()];
        let all = derive::<128>(LABEL, shared.expose(), &info);
        let part = |n: usize| {
            let mut key = [0; 32];
            key.copy_from_slice(&all.expose()[32 * n..32 * (n + 1)]);
            Secret::from_bytes(key)
        };
        Self {
            forward_header: part(0),
            forward_body: part(1),
            back: BackKeys { ctr: part(2), seal: part(3) },
        }
    }
}

/// What a layer tells its hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) hop: Hop,
    pub(super) reply_class: SizeClass,
    /// The node after this one. The destination has none.
    pub(super) next: Option<NodeId>,
    pub(super) minute: u32,
}

/// Why an authentic header says nothing that a hop could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeaderFault {
    Flags,
    Next,
}

impl Header {
    pub(super) fn to_bytes(self) -> [u8; HEADER_CLEAR_LEN] {
        let mut bytes = [0; HEADER_CLEAR_LEN];
        bytes[0] = self.hop.bits() | (self.reply_class.bits() << 2);
        bytes[ROLE_LEN..][..NEXT_LEN].copy_from_slice(self.next.unwrap_or(NOBODY).as_bytes());
        bytes[ROLE_LEN + NEXT_LEN..].copy_from_slice(&self.minute.to_le_bytes());
        bytes
    }

    /// Reads any header. Role and minute are there even if the rest makes no sense, so that the
    /// hop can answer.
    pub(super) fn from_bytes(bytes: &[u8; HEADER_CLEAR_LEN]) -> (Self, Result<(), HeaderFault>) {
        let [role, next @ .., a, b, c, d] = bytes;
        let mut node = [0; NEXT_LEN];
        node.copy_from_slice(next);
        let next = Some(NodeId::from_bytes(node)).filter(|node| *node != NOBODY);
        let hop = Hop::from_bits(*role);
        let reply_class = SizeClass::from_bits(role >> 2);
        let minute = u32::from_le_bytes([*a, *b, *c, *d]);
        let fault = if role >> 4 != 0 {
            Err(HeaderFault::Flags)
        } else if next.is_none() != (hop == Hop::Destination) {
            Err(HeaderFault::Next)
        } else {
            Ok(())
        };
        (Self { hop, reply_class, next, minute }, fault)
    }
}

/// The clear part of a layer.
pub(super) fn clear_part(number: u8, ephemeral: &OnionPublicKey) -> [u8; CLEAR_LEN] {
    let mut clear = [0; CLEAR_LEN];
    clear[0] = SUITE;
    clear[1] = number;
    clear[2..].copy_from_slice(ephemeral.as_bytes());
    clear
}

/// What the header's seal covers beside the header: the clear part and the packet's class.
fn header_associated(clear: &[u8; CLEAR_LEN], class: SizeClass) -> [u8; CLEAR_LEN + 1] {
    let mut associated = [class.bits(); CLEAR_LEN + 1];
    associated[..CLEAR_LEN].copy_from_slice(clear);
    associated
}

/// Writes a layer around the body that stands in `layer` between [`BODY_AT`] and the tag.
/// `header` is [`Header::to_bytes`].
pub(super) fn seal_layer(
    primitives: &dyn Primitives,
    keys: &LayerKeys,
    class: SizeClass,
    clear: &[u8; CLEAR_LEN],
    header: &[u8; HEADER_CLEAR_LEN],
    layer: &mut [u8],
) {
    let (front, body_and_tag) = layer.split_at_mut(BODY_AT);
    let (front_clear, front_header) = front.split_at_mut(CLEAR_LEN);
    front_clear.copy_from_slice(clear);
    let associated = header_associated(clear, class);
    let mut sealed = *header;
    let tag = primitives.seal(&keys.forward_header, &ONCE, &associated, &mut sealed);
    front_header[..HEADER_CLEAR_LEN].copy_from_slice(&sealed);
    front_header[HEADER_CLEAR_LEN..].copy_from_slice(&tag);
    let (body, tag_place) = body_and_tag.split_at_mut(body_and_tag.len() - TAG_LEN);
    tag_place.copy_from_slice(&primitives.seal(&keys.forward_body, &ONCE, front, body));
}

/// Opens a sealed header.
pub(super) fn open_header(
    primitives: &dyn Primitives,
    keys: &LayerKeys,
    class: SizeClass,
    clear: &[u8; CLEAR_LEN],
    sealed: &[u8; HEADER_LEN],
) -> Option<(Header, Result<(), HeaderFault>)> {
    let associated = header_associated(clear, class);
    let (sealed, tag) = sealed.split_first_chunk::<HEADER_CLEAR_LEN>()?;
    let tag = tag.first_chunk::<TAG_LEN>()?;
    let mut header = *sealed;
    primitives
        .open(&keys.forward_header, &ONCE, &associated, &mut header, tag)
        .then(|| Header::from_bytes(&header))
}

/// Opens `body`, which ends with its tag, in place. `front` is all of the layer before it.
#[must_use]
pub(super) fn open_body(
    primitives: &dyn Primitives,
    keys: &LayerKeys,
    front: &[u8],
    body: &mut [u8],
) -> bool {
    let Some((body, tag)) = body.split_last_chunk_mut::<TAG_LEN>() else { return false };
    primitives.open(&keys.forward_body, &ONCE, front, body, tag)
}
