//! The way back at the client: covers off, one after the other, until a seal opens.

use core::fmt;

use super::frame::{Flow, Frame, FrameKind};
use super::layer::BackKeys;
use super::primitives::{Primitives, TAG_LEN};
use super::reply::{associated, nonce};
use super::size::{Hop, SizeClass};
use crate::Retry;

/// A frame that opened.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenedFrame {
    /// Who sealed it.
    pub from_hop: Hop,
    /// What the payload is.
    pub kind: FrameKind,
    /// What comes after it.
    pub flow: Flow,
    /// Without padding.
    pub payload: Vec<u8>,
}

impl OpenedFrame {
    /// Whether the reply ends here.
    pub fn is_last(&self) -> bool {
        self.flow == Flow::Last
    }
}

impl fmt::Debug for OpenedFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from_hop, kind, flow, payload } = self;
        write!(f, "OpenedFrame({from_hop:?}, {kind:?}, {flow:?}, {} bytes)", payload.len())
    }
}

/// Why a frame was not accepted. After any of them nothing more is accepted on this path; what
/// was accepted before stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Not as long as the reply's class.
    #[error("frame of {len} bytes in a reply of {expected}")]
    Length {
        /// Bytes received.
        len: usize,
        /// Bytes expected.
        expected: usize,
    },
    /// No hop's seal holds: altered, or not the frame that is due.
    #[error("frame does not open")]
    Unopenable,
    /// The seal of a hop holds and what it sealed is no frame.
    #[error("frame sealed by the {from_hop:?} is malformed")]
    Malformed {
        /// Who sealed it.
        from_hop: Hop,
    },
    /// A relay said something else than an error. Only the destination replies.
    #[error("frame from the {from_hop:?}, which may only report an error")]
    NotTheDestination {
        /// Who sealed it.
        from_hop: Hop,
    },
    /// A frame after the last one.
    #[error("the reply has ended")]
    Ended,
    /// A frame after one that was not accepted.
    #[error("the path is closed")]
    Closed,
}

impl FrameError {
    /// Another path; a longer reply is resumed there.
    pub const fn retry(&self) -> Retry {
        Retry::Elsewhere
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Ended,
    Closed,
}

/// Opens the frames of one reply, in their order.
///
/// # Invariants
///
/// - *In order*: the n-th frame that comes opens only if it is the n-th that the client's guard
///   sent; a frame left out, doubled, or moved closes the path.
/// - *One end*: after the last frame, from whichever hop, nothing is accepted. A relay's only frame
///   is an error and the last, so that a relay can cut a reply short but add nothing to it.
pub struct ReplyOpener {
    primitives: &'static dyn Primitives,
    reply_class: SizeClass,
    /// From the guard on.
    hops: Vec<BackKeys>,
    /// Frames that came so far.
    index: u64,
    state: State,
}

impl ReplyOpener {
    pub(super) const fn new(
        primitives: &'static dyn Primitives,
        reply_class: SizeClass,
        hops: Vec<BackKeys>,
    ) -> Self {
        Self { primitives, reply_class, hops, index: 0, state: State::Open }
    }

    /// Length of every frame.
    pub const fn reply_class(&self) -> SizeClass {
        self.reply_class
    }

    /// Whether the last frame was accepted. A stream that ends before is a broken path.
    pub fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    /// Opens the next frame from the guard.
    pub fn open(&mut self, frame: &[u8]) -> Result<OpenedFrame, FrameError> {
        match self.state {
            State::Open => {}
            State::Ended => return Err(FrameError::Ended),
            State::Closed => return Err(FrameError::Closed),
        }
        let opened = self.open_next(frame);
        self.state = match &opened {
            Ok(frame) if frame.is_last() => State::Ended,
            Ok(_) => State::Open,
            Err(_) => State::Closed,
        };
        self.index = self.index.wrapping_add(1);
        opened
    }

    fn open_next(&self, frame: &[u8]) -> Result<OpenedFrame, FrameError> {
        let expected = self.reply_class.bytes();
        if frame.len() != expected {
            return Err(FrameError::Length { len: frame.len(), expected });
        }
        let mut covered = frame.to_vec();
        for (from_hop, keys) in Hop::ALL.into_iter().zip(&self.hops) {
            if let Some(clear) = self.open_seal(from_hop, keys, &covered) {
                return accept(from_hop, &clear);
            }
            self.primitives.cover(&keys.ctr, &self.index.to_le_bytes(), &mut covered);
        }
        Err(FrameError::Unopenable)
    }

    /// What `hop` sealed, if it did.
    fn open_seal(&self, hop: Hop, keys: &BackKeys, sealed: &[u8]) -> Option<Vec<u8>> {
        let (clear, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
        let mut clear = clear.to_vec();
        let associated = associated(self.index, hop, self.reply_class);
        self.primitives
            .open(&keys.seal, &nonce(self.index), &associated, &mut clear, tag)
            .then_some(clear)
    }
}

fn accept(from_hop: Hop, clear: &[u8]) -> Result<OpenedFrame, FrameError> {
    let Frame { kind, flow, payload } =
        Frame::read(clear).ok_or(FrameError::Malformed { from_hop })?;
    if from_hop != Hop::Destination && kind != FrameKind::Error {
        return Err(FrameError::NotTheDestination { from_hop });
    }
    Ok(OpenedFrame { from_hop, kind, flow, payload: payload.to_vec() })
}

impl fmt::Debug for ReplyOpener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyOpener({}, next {})", self.reply_class, self.index)
    }
}
