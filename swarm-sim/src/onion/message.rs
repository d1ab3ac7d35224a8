//! What goes over the simulated links, and what happens to those at their ends.

use core::time::Duration;

use enjambre_protocol::onion::ResetReason;

use crate::queue::Event;

/// A stream of a link: who opened it, and the opener's own number for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct StreamId {
    pub(super) opener: u32,
    pub(super) number: u64,
}

/// Whose request a packet carries. For the observer only: no party looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    pub(super) client: u32,
    pub(super) request: u32,
}

#[derive(Debug)]
pub(super) enum Message {
    /// A request on its way out.
    Packet { bytes: Vec<u8>, tag: Tag },
    /// The whole answer to a packet, and the end of the stream.
    Frames { frames: Vec<Vec<u8>> },
    /// The end of a stream instead of an answer.
    Reset { reason: ResetReason },
    /// A client asks whether a guard is there.
    Ping,
    /// It is.
    Pong,
}

impl Message {
    /// For the trace: a number for the variant, and its contents.
    pub(super) fn to_trace(&self) -> (u8, Vec<u8>) {
        match self {
            Self::Packet { bytes, .. } => (0, bytes.clone()),
            Self::Frames { frames } => (1, frames.concat()),
            Self::Ping => (2, Vec::new()),
            Self::Pong => (3, Vec::new()),
            Self::Reset { reason } => (4, vec![reason.code()]),
        }
    }
}

/// What a party wants done.
#[derive(Debug)]
pub(super) enum Action {
    /// Put a message on the link to a party.
    Send { to: u32, stream: StreamId, message: Message },
    /// Say when this time has passed since a stream was opened.
    Wait { stream: StreamId, time: Duration },
}

#[derive(Debug)]
pub(super) enum Happening {
    /// A node goes down, or comes back.
    Turn { node: u32 },
    /// A message arrives.
    Arrive { to: u32, stream: StreamId, message: Message },
    /// The opener of a stream learns that nobody is there.
    Unreachable { stream: StreamId },
    /// The opener of a stream has waited long enough.
    Deadline { stream: StreamId },
    /// A client's path machine has something to do.
    Wake { client: u32 },
    /// A client has something to send.
    Request { client: u32 },
}

impl Event for Happening {
    fn kind(&self) -> u8 {
        match self {
            Self::Turn { .. } => 0,
            Self::Arrive { .. } => 1,
            Self::Unreachable { .. } => 2,
            Self::Deadline { .. } => 3,
            Self::Wake { .. } => 4,
            Self::Request { .. } => 5,
        }
    }
}
