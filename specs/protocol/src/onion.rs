//! Onion packets: four sealed layers out, sealed frames of one size back.
//!
//! A client [`build`]s a packet for guard, middle, exit and destination; each of them [`peel`]s
//! one layer and learns the next hop and nothing else. The destination, or the hop that failed,
//! answers in frames which every relay covers once more on their way back; the client's
//! [`ReplyOpener`] takes the covers off and tells who spoke. On every link a packet is as long as
//! its [`SizeClass`], a frame as long as the reply's.
//!
//! Not here: which nodes make a path ([`crate::path`]), connections and streams
//! ([`crate::link`]), and what a request says ([`crate::mailbox`]). Specified in 05 onion; the
//! test vectors are `specs/vectors/onion.json`.
//!
//! # Invariants
//!
//! - *One length*: a layer's length is a constant of class and hop.
//! - *Nothing carried over*: what a relay sends on beyond its layer is its own fresh randomness.
//! - *One packet, one key*: every key comes from an ephemeral of one layer, and no nonce repeats.
//! - *Counted, not sent*: every party counts the frames of a reply itself.

mod assemble;
mod build;
pub mod conformance;
mod error;
mod frame;
mod key;
mod layer;
mod opener;
mod peel;
mod primitives;
mod replay;
mod reply;
mod size;

#[cfg(test)]
mod tests;

pub use assemble::{AssembleError, Item, ReplyAssembler};
pub use build::{BuildError, HopTarget, Packet, build, build_with};
pub use error::{OnionError, ResetReason};
pub use frame::{Flow, Frame, FrameKind, frames_for};
pub use key::{Keyring, OnionKeyNumber, OnionPublicKey, OnionSecretKey};
pub use opener::{FrameError, OpenedFrame, ReplyOpener};
pub use peel::{Answer, Malformation, OpenedLayer, PeelError, Peeled, Refusal, Step, View, peel};
pub use primitives::{ExchangeKey, Primitives, RUST_CRYPTO, RustCrypto, TAG_LEN};
pub use replay::{
    MINUTES_AHEAD, MINUTES_BACK, MINUTES_LOST_MAX, ReplayEntry, ReplayError, ReplaySet,
    check_minute,
};
pub use reply::{RelayError, ReplyRelay, ReplySealer, SealError};
pub use size::{
    CLEAR_LEN, HEADER_LEN, HOPS, Hop, LAYER_OVERHEAD, SizeClass, layer_len, payload_capacity,
    reply_capacity,
};
