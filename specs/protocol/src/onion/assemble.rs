//! Items of an answer put together again from opened frames.

use core::fmt;

use super::error::OnionError;
use super::frame::{Flow, FrameKind};
use super::opener::OpenedFrame;
use super::size::Hop;
use crate::Retry;

/// Something whole that came in an answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Item {
    /// What the destination gave as one item.
    Reply(Vec<u8>),
    /// The payload of a heartbeat. It may come between the frames of an item.
    Heartbeat(Vec<u8>),
    /// The answer ended with an error; an item that was not whole is lost.
    Failed {
        /// Who reports it.
        from_hop: Hop,
        /// What went wrong there.
        error: OnionError,
    },
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(bytes) => write!(f, "Reply({} bytes)", bytes.len()),
            Self::Heartbeat(bytes) => write!(f, "Heartbeat({} bytes)", bytes.len()),
            Self::Failed { from_hop, error } => write!(f, "Failed({from_hop:?}: {error})"),
        }
    }
}

/// Why the answer cannot be put together. The path is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// An item is longer than the client takes.
    #[error("item of more than {limit} bytes")]
    TooLong {
        /// Bytes that the client takes.
        limit: usize,
    },
    /// An error frame whose payload is no error.
    #[error("error from the {from_hop:?} is malformed")]
    Malformed {
        /// Who sealed it.
        from_hop: Hop,
    },
}

impl AssembleError {
    /// Another member: this one does not keep to the protocol.
    pub const fn retry(&self) -> Retry {
        Retry::Elsewhere
    }
}

/// Puts frames together to items of at most a stated length.
pub struct ReplyAssembler {
    limit: usize,
    part: Vec<u8>,
}

impl ReplyAssembler {
    /// `limit`: bytes of one item.
    pub const fn new(limit: usize) -> Self {
        Self { limit, part: Vec::new() }
    }

    /// Takes the next frame; `None` while an item is not whole.
    pub fn push(&mut self, frame: OpenedFrame) -> Result<Option<Item>, AssembleError> {
        let OpenedFrame { from_hop, kind, flow, payload } = frame;
        match kind {
            FrameKind::Heartbeat => Ok(Some(Item::Heartbeat(payload))),
            FrameKind::Error => {
                self.part = Vec::new();
                let error = OnionError::from_bytes(&payload)
                    .ok_or(AssembleError::Malformed { from_hop })?;
                Ok(Some(Item::Failed { from_hop, error }))
            }
            FrameKind::Reply => {
                if payload.len() > self.limit - self.part.len() {
                    self.part = Vec::new();
                    return Err(AssembleError::TooLong { limit: self.limit });
                }
                if self.part.is_empty() {
                    self.part = payload;
                } else {
                    self.part.extend(payload);
                }
                match flow {
                    Flow::More => Ok(None),
                    Flow::Whole | Flow::Last => {
                        Ok(Some(Item::Reply(core::mem::take(&mut self.part))))
                    }
                }
            }
        }
    }
}

impl fmt::Debug for ReplyAssembler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReplyAssembler({} of at most {} bytes)", self.part.len(), self.limit)
    }
}
