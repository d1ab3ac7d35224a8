//! A node's side of the way out: one layer taken off.

use core::fmt;

use rand_core::CryptoRng;

use super::error::{OnionError, ResetReason};
use super::key::{Keyring, OnionKeyNumber, OnionPublicKey};
use super::layer::{Header, HeaderFault, LayerKeys, SUITE, open_body, open_header};
use super::primitives::{Primitives, TAG_LEN};
use super::reply::{ReplyRelay, ReplySealer};
use super::size::{BODY_AT, CLEAR_LEN, HEADER_LEN, Hop, LENGTH_LEN, SizeClass, layer_len};
use crate::Retry;
use crate::id::{NetworkId, NodeId};

/// All that a hop learns about a packet besides what it has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct View {
    /// Length of the packet.
    pub class: SizeClass,
    /// Length of the frames of its reply.
    pub reply_class: SizeClass,
    /// Which place on the path the client gave this node.
    pub hop: Hop,
    /// When the packet was built; see [`check_minute`](super::check_minute).
    pub minute: u32,
    /// The layer's ephemeral key, for the [`ReplaySet`](super::ReplaySet).
    pub ephemeral: OnionPublicKey,
}

/// A packet with this node's layer off.
#[derive(Debug)]
pub struct Peeled {
    /// What the layer said of the packet.
    pub view: View,
    /// What is to be done.
    pub step: Step,
}

/// What a peeled layer asks for.
pub enum Step {
    /// Pass the packet on and bring the frames back.
    Relay {
        /// Where to.
        next: NodeId,
        /// The packet for the next link, of the same class.
        packet: Vec<u8>,
        /// Covers the frames of the reply.
        reply: ReplyRelay,
    },
    /// Serve the request.
    Deliver {
        /// The request as the client gave it to [`build`](super::build).
        request: Vec<u8>,
        /// Seals the frames of the reply.
        reply: ReplySealer,
    },
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay { next, .. } => write!(f, "Relay(to {})", next.short()),
            Self::Deliver { request, .. } => write!(f, "Deliver({} bytes)", request.len()),
        }
    }
}

impl Step {
    /// Ends the reply with an error that the client can open; `None` if it has ended already.
    pub fn fail(self, error: &OnionError) -> Option<Vec<u8>> {
        match self {
            Self::Relay { reply, .. } => Some(reply.fail(error)),
            Self::Deliver { reply, .. } => reply.fail(error),
        }
    }
}

/// Why a packet was not peeled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeelError {
    /// No class has this length.
    #[error("packet of {len} bytes, which is no class")]
    Length {
        /// Bytes received.
        len: usize,
    },
    /// A suite that is not spoken.
    #[error("suite {found} is not spoken")]
    Suite {
        /// The suite named.
        found: u8,
    },
    /// An onion key that is not one of the three.
    #[error("onion key {number} is not in use", number = number.get())]
    KeyNumber {
        /// The number named.
        number: OnionKeyNumber,
    },
    /// An ephemeral key with which the shared secret is zero.
    #[error("ephemeral key gives no secret")]
    ZeroSecret,
    /// The header's seal does not hold: another key, another network, or altered.
    #[error("header does not open")]
    Header,
    /// The header opened and the rest is wrong. The client can be told.
    #[error("{what}")]
    Content {
        /// What is wrong.
        what: Malformation,
        /// Seals the answer.
        refusal: Box<Refusal>,
    },
}

/// What can be wrong in a layer whose header opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Malformation {
    /// A flag that has no meaning is set.
    #[error("header has unknown flags")]
    Flags,
    /// A relay without a next node, or a destination with one.
    #[error("next node does not fit the hop")]
    Next,
    /// The body's seal does not hold.
    #[error("body does not open")]
    Body,
    /// The request is longer than its place.
    #[error("request is longer than the packet")]
    RequestLength,
    /// The padding is not all zero.
    #[error("padding is not zero")]
    Padding,
}

/// How a [`PeelError`] is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// This frame, and then the end of the stream.
    Frame(Vec<u8>),
    /// A reset of the stream with this reason.
    Reset(ResetReason),
}

impl PeelError {
    /// What is to be sent back.
    pub fn answer(self) -> Answer {
        Answer::Reset(match self {
            Self::Content { refusal, .. } => {
                return Answer::Frame(refusal.fail(&OnionError::Malformed));
            }
            Self::Length { .. } => ResetReason::Length,
            Self::Suite { .. } => ResetReason::Suite,
            Self::KeyNumber { .. } => ResetReason::KeyNumber,
            Self::ZeroSecret | Self::Header => ResetReason::Header,
        })
    }

    /// What the sender can do.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Length { .. } | Self::ZeroSecret | Self::Content { .. } => Retry::Never,
            // With the directory of today, or by nodes that speak the suite.
            Self::Suite { .. } | Self::KeyNumber { .. } | Self::Header => Retry::Elsewhere,
        }
    }
}

/// The means to tell a client why its packet goes no further.
#[derive(Debug)]
pub struct Refusal {
    view: View,
    /// Only ever speaks an error, which any hop's does alike.
    reply: ReplyRelay,
}

impl Refusal {
    /// What the header said.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// The one frame of the reply.
    pub fn fail(self, error: &OnionError) -> Vec<u8> {
        self.reply.fail(error)
    }
}

/// A packet whose header is open and whose body is not yet.
///
/// Between the two a node looks at the minute and at its replay set. A packet that these refuse is
/// answered by a reset, see [`ReplayError::reset`](super::ReplayError::reset); nothing that is
/// sealed depends on more than the header until then.
#[derive(Debug)]
pub struct OpenedLayer<'a> {
    packet: &'a [u8],
    view: View,
    next: Option<NodeId>,
    keys: LayerKeys,
    primitives: &'static dyn Primitives,
}

impl<'a> OpenedLayer<'a> {
    /// Opens the header. This is where the one X25519 exchange of a packet is spent.
    pub fn open(
        network: &NetworkId,
        keyring: &Keyring,
        packet: &'a [u8],
    ) -> Result<Self, PeelError> {
        let length = PeelError::Length { len: packet.len() };
        let Some(class) = SizeClass::from_len(packet.len()) else { return Err(length) };
        let Some((clear, rest)) = packet.split_first_chunk::<CLEAR_LEN>() else {
            return Err(length);
        };
        let Some(sealed) = rest.first_chunk::<HEADER_LEN>() else { return Err(length) };

        let [suite, number, ephemeral @ ..] = *clear;
        if suite != SUITE {
            return Err(PeelError::Suite { found: suite });
        }
        let number = OnionKeyNumber::new(number);
        let key = keyring.exchange_key(number).ok_or(PeelError::KeyNumber { number })?;
        let ephemeral = OnionPublicKey::from_bytes(ephemeral);
        let primitives = keyring.primitives();
        let shared = key.exchange(&ephemeral).ok_or(PeelError::ZeroSecret)?;
        let keys = LayerKeys::derive(network, &shared, &ephemeral, &key.public());
        let (header, fault) =
            open_header(primitives, &keys, class, clear, sealed).ok_or(PeelError::Header)?;

        let Header { hop, reply_class, next, minute } = header;
        let view = View { class, reply_class, hop, minute, ephemeral };
        let opened = Self { packet, view, next, keys, primitives };
        match fault {
            Ok(()) => Ok(opened),
            Err(HeaderFault::Flags) => Err(opened.malformed(Malformation::Flags)),
            Err(HeaderFault::Next) => Err(opened.malformed(Malformation::Next)),
        }
    }

    /// What the header said.
    pub const fn view(&self) -> &View {
        &self.view
    }

    /// Opens the body. To be called for a packet that the replay set has accepted: the reply's keys
    /// serve one packet, and whoever peeled it twice would seal two answers with them.
    ///
    /// What the packet for the next link has beyond its layer comes from `rng`.
    pub fn peel(self, rng: &mut impl CryptoRng) -> Result<Peeled, PeelError> {
        let view = self.view;
        let layer = &self.packet[..layer_len(view.class, view.hop)];
        let (front, body) = layer.split_at(BODY_AT);
        // One allocation of the packet's length: the next packet is made where its layer opens.
        let mut packet = Vec::with_capacity(view.class.bytes());
        packet.extend_from_slice(body);
        if !open_body(self.primitives, &self.keys, front, &mut packet) {
            return Err(self.malformed(Malformation::Body));
        }
        packet.truncate(body.len() - TAG_LEN);

        let step = match self.next {
            Some(next) => {
                let layer_end = packet.len();
                packet.resize(view.class.bytes(), 0);
                rng.fill_bytes(&mut packet[layer_end..]);
                let reply =
                    ReplyRelay::new(self.primitives, self.keys.back, view.hop, view.reply_class);
                Step::Relay { next, packet, reply }
            }
            None => match unpad(packet) {
                Ok(request) => Step::Deliver { request, reply: self.into_sealer() },
                Err(what) => return Err(self.malformed(what)),
            },
        };
        Ok(Peeled { view, step })
    }

    fn malformed(self, what: Malformation) -> PeelError {
        let refusal = Refusal { view: self.view, reply: self.into_relay() };
        PeelError::Content { what, refusal: Box::new(refusal) }
    }

    fn into_relay(self) -> ReplyRelay {
        let View { hop, reply_class, .. } = self.view;
        ReplyRelay::new(self.primitives, self.keys.back, hop, reply_class)
    }

    pub(super) fn into_sealer(self) -> ReplySealer {
        let View { hop, reply_class, .. } = self.view;
        ReplySealer::new(self.primitives, self.keys.back.seal, hop, reply_class, 0)
    }
}

/// Takes this node's layer off `packet`.
///
/// Neither the minute nor the replay set is looked at here: the caller holds the clock and the
/// set, and asks both before it acts on the answer. See [`OpenedLayer`] for asking sooner.
pub fn peel(
    network: &NetworkId,
    keyring: &Keyring,
    packet: &[u8],
    rng: &mut impl CryptoRng,
) -> Result<Peeled, PeelError> {
    OpenedLayer::open(network, keyring, packet)?.peel(rng)
}

/// The request at the front of an innermost body.
fn unpad(mut payload: Vec<u8>) -> Result<Vec<u8>, Malformation> {
    let (length, rest) =
        payload.split_first_chunk::<LENGTH_LEN>().ok_or(Malformation::RequestLength)?;
    let len = usize::try_from(u32::from_le_bytes(*length))
        .ok()
        .filter(|len| *len <= rest.len())
        .ok_or(Malformation::RequestLength)?;
    if rest[len..].iter().any(|byte| *byte != 0) {
        return Err(Malformation::Padding);
    }
    payload.truncate(LENGTH_LEN + len);
    payload.drain(..LENGTH_LEN);
    Ok(payload)
}
