//! What can go wrong on a link, and what to do about it.

use std::time::Duration;

use enjambre_protocol::Retry;
use enjambre_protocol::link::{Code, FrameError, HeadError, StreamKind};

/// Why a link could not be made or a stream did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// None of the peer's addresses can be used from this socket.
    #[error("no usable address of the peer")]
    NoAddress,
    /// Nobody answered at the peer's addresses in time.
    #[error("peer does not answer")]
    Unreachable,
    /// Who answers at the address does not hold the key that was asked for.
    #[error("who answers at the address does not hold the peer's key")]
    WrongKey,
    /// The peer speaks no version that we speak.
    #[error("peer speaks no common link version")]
    Version,
    /// The handshake failed for another reason.
    #[error("handshake failed: {0}")]
    Handshake(String),
    /// The peer, or this link, is at a limit.
    #[error("link is busy")]
    Busy,
    /// The peer failed lately and is not tried again yet.
    #[error("peer is tried again in {wait:?}; before: {cause}")]
    BackingOff {
        /// How long until the next attempt may be made.
        wait: Duration,
        /// What the attempt before ended in.
        cause: Box<Self>,
    },
    /// The link was closed, by either side, with this code.
    #[error("link was closed: {0}")]
    Closed(Code),
    /// The peer fell silent, or restarted.
    #[error("link was lost")]
    Lost,
    /// The peer reset the stream, or asked us to stop sending.
    #[error("stream was reset: {0}")]
    Reset(Code),
    /// The stream ended before all that was expected had come.
    #[error("stream ended early")]
    Ended,
    /// A stream was used after its end was sent.
    #[error("stream was used after its end")]
    Finished,
    /// A message is longer than its kind allows.
    #[error(transparent)]
    TooLarge(#[from] FrameError),
    /// A message is followed by bytes that belong to nothing.
    #[error("bytes follow the end of a message")]
    Trailing,
    /// The first bytes of a stream are no head.
    #[error(transparent)]
    Head(#[from] HeadError),
    /// The peer may not open streams of this kind.
    #[error("peer may not open a stream of kind {0:?}")]
    NotAllowed(StreamKind),
    /// The socket could not be opened or used.
    #[error("socket: {0}")]
    Socket(String),
    /// This endpoint is closed.
    #[error("endpoint is closed")]
    Stopped,
}

impl LinkError {
    /// What the caller can do.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::NoAddress
            | Self::Unreachable
            | Self::WrongKey
            | Self::Version
            | Self::Handshake(_)
            | Self::Trailing => Retry::Elsewhere,
            Self::Busy
            | Self::BackingOff { .. }
            | Self::Closed(_)
            | Self::Lost
            | Self::Ended
            | Self::Socket(_) => Retry::Later,
            Self::Reset(code) => match *code {
                Code::PROTOCOL | Code::TOO_LARGE | Code::NOT_ALLOWED => Retry::Never,
                _ => Retry::Later,
            },
            Self::TooLarge(_)
            | Self::Head(_)
            | Self::NotAllowed(_)
            | Self::Finished
            | Self::Stopped => Retry::Never,
        }
    }

    /// How long to wait before the peer may be tried again, where that is known.
    pub const fn wait(&self) -> Option<Duration> {
        match self {
            Self::BackingOff { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// A stream reset or stop by the peer: `busy` has an error of its own.
    pub(crate) fn of_reset(code: Code) -> Self {
        if code == Code::BUSY { Self::Busy } else { Self::Reset(code) }
    }

    /// A close by the peer: `busy` has an error of its own.
    pub(crate) fn of_close(code: Code) -> Self {
        if code == Code::BUSY { Self::Busy } else { Self::Closed(code) }
    }

    /// The code by which the peer learns of an error that it caused.
    pub(crate) const fn code(&self) -> Code {
        match self {
            Self::TooLarge(_) => Code::TOO_LARGE,
            Self::NotAllowed(_) => Code::NOT_ALLOWED,
            Self::Head(_) | Self::Ended | Self::Trailing => Code::PROTOCOL,
            Self::Busy => Code::BUSY,
            _ => Code::CANCELLED,
        }
    }
}
