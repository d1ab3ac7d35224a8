//! The way back at the nodes: the destination seals frames, each relay covers them.

use core::fmt;

use super::error::OnionError;
use super::frame::{Flow, Frame, FrameKind};
use super::layer::BackKeys;
use super::primitives::{Primitives, TAG_LEN};
use super::size::{Hop, SizeClass, reply_capacity};
use crate::Retry;
use crate::crypto::Secret;

/// What a frame's seal covers beside the frame: its index, who speaks, the class.
pub(super) fn associated(index: u64, hop: Hop, reply_class: SizeClass) -> [u8; 10] {
    let mut bytes = [0; 10];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes[8] = hop.bits();
    bytes[9] = reply_class.bits();
    bytes
}

/// The nonce of the frame with this index.
pub(super) fn nonce(index: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&index.to_le_bytes());
    bytes
}

/// Why a frame was not sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SealError {
    /// The payload does not fit a frame.
    #[error("payload of {len} bytes in a frame that carries {capacity}")]
    TooLarge {
        /// Bytes of the payload.
        len: usize,
        /// Bytes that a frame carries.
        capacity: usize,
    },
    /// An error that is not the last frame, or a heartbeat that does not stand alone.
    #[error("kind and flow of the frame do not fit")]
    Inconsistent,
    /// The last frame was sealed before.
    #[error("the reply has ended")]
    Ended,
}

impl SealError {
    /// Never: the caller's own mistake.
    pub const fn retry(&self) -> Retry {
        Retry::Never
    }
}

/// Seals the frames of a reply for the client.
pub struct ReplySealer {
    primitives: &'static dyn Primitives,
    key: Secret<32>,
    hop: Hop,
    reply_class: SizeClass,
    /// The index of the next frame; `None` once the last was sealed.
    index: Option<u64>,
}

impl ReplySealer {
    pub(super) const fn new(
        primitives: &'static dyn Primitives,
        key: Secret<32>,
        hop: Hop,
        reply_class: SizeClass,
        index: u64,
    ) -> Self {
        Self { primitives, key, hop, reply_class, index: Some(index) }
    }

    /// Length of every frame.
    pub const fn reply_class(&self) -> SizeClass {
        self.reply_class
    }

    /// The next frame as it goes over the link.
    pub fn seal(&mut self, frame: &Frame<'_>) -> Result<Vec<u8>, SealError> {
        let index = self.index.ok_or(SealError::Ended)?;
        if !frame.is_consistent() {
            return Err(SealError::Inconsistent);
        }
        let (len, capacity) = (frame.payload.len(), reply_capacity(self.reply_class));
        let mut bytes = vec![0; self.reply_class.bytes()];
        let (clear, tag) = bytes.split_at_mut(self.reply_class.bytes() - TAG_LEN);
        frame.write(clear).ok_or(SealError::TooLarge { len, capacity })?;
        let associated = associated(index, self.hop, self.reply_class);
        tag.copy_from_slice(&self.primitives.seal(&self.key, &nonce(index), &associated, clear));
        self.index = if frame.flow == Flow::Last { None } else { index.checked_add(1) };
        Ok(bytes)
    }

    /// Ends the reply with `error`; `None` if it has ended already.
    pub fn fail(mut self, error: &OnionError) -> Option<Vec<u8>> {
        let payload = error.to_bytes();
        self.seal(&Frame { kind: FrameKind::Error, flow: Flow::Last, payload: &payload }).ok()
    }
}

impl fmt::Debug for ReplySealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplySealer({:?}, {}, next {:?})", self.hop, self.reply_class, self.index)
    }
}

/// Why a relay cannot bring a frame back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RelayError {
    /// The next node sent something that is not as long as the reply's class.
    #[error("frame of {len} bytes in a reply of {expected}")]
    Length {
        /// Bytes received.
        len: usize,
        /// Bytes expected.
        expected: usize,
    },
}

impl RelayError {
    /// Another path: the next node does not keep to the protocol.
    pub const fn retry(&self) -> Retry {
        Retry::Elsewhere
    }
}

/// Covers the frames that a relay brings back.
pub struct ReplyRelay {
    primitives: &'static dyn Primitives,
    keys: BackKeys,
    hop: Hop,
    reply_class: SizeClass,
    /// Frames covered so far.
    index: u64,
}

impl ReplyRelay {
    pub(super) const fn new(
        primitives: &'static dyn Primitives,
        keys: BackKeys,
        hop: Hop,
        reply_class: SizeClass,
    ) -> Self {
        Self { primitives, keys, hop, reply_class, index: 0 }
    }

    /// Length of every frame.
    pub const fn reply_class(&self) -> SizeClass {
        self.reply_class
    }

    /// Covers the next frame from the next node in place; then it goes to the node before.
    pub fn relay(&mut self, frame: &mut [u8]) -> Result<(), RelayError> {
        let expected = self.reply_class.bytes();
        if frame.len() != expected {
            return Err(RelayError::Length { len: frame.len(), expected });
        }
        self.primitives.cover(&self.keys.ctr, &self.index.to_le_bytes(), frame);
        // 2^64 frames of 2 KiB outlast any stream.
        self.index = self.index.wrapping_add(1);
        Ok(())
    }

    /// Speaks: one frame with `error`, after which this relay brings nothing back any more.
    pub fn fail(self, error: &OnionError) -> Vec<u8> {
        let Self { primitives, keys, hop, reply_class, index } = self;
        let frame = ReplySealer::new(primitives, keys.seal, hop, reply_class, index).fail(error);
        debug_assert!(frame.is_some(), "a new sealer has not ended, and an error is a few bytes");
        frame.unwrap_or_default()
    }
}

impl fmt::Debug for ReplyRelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyRelay({:?}, {}, next {})", self.hop, self.reply_class, self.index)
    }
}
