//! What a hop tells the client when it cannot do its part: sealed, in a frame like any other.

use crate::Retry;

/// Why a hop did not pass a packet on, serve it, or bring the reply to its end.
///
/// On the wire a code of one byte and the fields of that code. "Next" is the node after the one
/// that speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OnionError {
    /// 3: The next node is not in the directory of the hop that speaks.
    #[error("next node is unknown")]
    NextUnknown,
    /// 4: No connection to the next node could be made.
    #[error("next node cannot be reached")]
    NextUnreachable,
    /// 5: The next node took the packet and sent nothing in time.
    #[error("next node did not answer in time")]
    NextTimedOut,
    /// 6: The link to the next node has no room.
    #[error("link to the next node is full")]
    NextBusy,
    /// 7: The next node could not read its layer.
    #[error("next node refused the packet: {reason}")]
    NextRefused {
        /// What the next node gave as the reason.
        reason: ResetReason,
    },
    /// 8: The link to the next node broke before the reply's end.
    #[error("link to the next node broke")]
    NextBroke,
    /// 9: The hop that speaks has no room for the work.
    #[error("node is busy")]
    Busy,
    /// 10: The layer opened but says nothing that can be done.
    #[error("packet is malformed")]
    Malformed,
    /// 11: The request is larger than what it asks for takes.
    #[error("request is too large")]
    TooLarge,
    /// 12: A fault of the hop that speaks.
    #[error("internal error of the node")]
    Internal,
    /// 13: The hop that speaks is shutting down.
    #[error("node is shutting down")]
    Stopping,
    /// Any other code, of a later version.
    #[error("error {code} of a later version")]
    Other {
        /// The code.
        code: u8,
    },
}

impl OnionError {
    /// What the client can do, always with a packet built anew.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Malformed | Self::TooLarge => Retry::Never,
            Self::Busy => Retry::Later,
            Self::NextUnknown
            | Self::NextUnreachable
            | Self::NextTimedOut
            | Self::NextBusy
            | Self::NextRefused { .. }
            | Self::NextBroke
            | Self::Internal
            | Self::Stopping
            | Self::Other { .. } => Retry::Elsewhere,
        }
    }

    /// Whether the fault lies between the hop that speaks and the next one, so that both ends of
    /// that edge are charged with it.
    pub const fn blames_next(&self) -> bool {
        matches!(
            self,
            Self::NextUnknown
                | Self::NextUnreachable
                | Self::NextTimedOut
                | Self::NextBusy
                | Self::NextRefused { .. }
                | Self::NextBroke
        )
    }

    /// The code on the wire.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NextUnknown => 3,
            Self::NextUnreachable => 4,
            Self::NextTimedOut => 5,
            Self::NextBusy => 6,
            Self::NextRefused { .. } => 7,
            Self::NextBroke => 8,
            Self::Busy => 9,
            Self::Malformed => 10,
            Self::TooLarge => 11,
            Self::Internal => 12,
            Self::Stopping => 13,
            Self::Other { code } => *code,
        }
    }

    /// The payload of an error frame.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.code()];
        if let Self::NextRefused { reason } = self {
            bytes.push(reason.code());
        }
        bytes
    }

    /// Reads the payload of an error frame. Codes of a later version may bring fields of their
    /// own; those of this version have exactly theirs.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&code, fields) = bytes.split_first()?;
        let plain = match code {
            7 => {
                let [reason] = fields else { return None };
                return Some(Self::NextRefused { reason: ResetReason::from_code(*reason) });
            }
            3 => Self::NextUnknown,
            4 => Self::NextUnreachable,
            5 => Self::NextTimedOut,
            6 => Self::NextBusy,
            8 => Self::NextBroke,
            9 => Self::Busy,
            10 => Self::Malformed,
            11 => Self::TooLarge,
            12 => Self::Internal,
            13 => Self::Stopping,
            code => return Some(Self::Other { code }),
        };
        fields.is_empty().then_some(plain)
    }
}

/// Why a hop reset the stream instead of answering: it had no keys to seal an answer with, or has
/// not accepted the packet, so that its keys may have sealed the answer to it before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResetReason {
    /// 1: No size class has this length.
    #[error("packet has a length of no class")]
    Length,
    /// 2: The suite is not spoken.
    #[error("suite is not spoken")]
    Suite,
    /// 3: The onion key is not one of the three; the sender's directory is old, or the node drew
    /// new keys.
    #[error("onion key is not in use")]
    KeyNumber,
    /// 4: The header does not open.
    #[error("header does not open")]
    Header,
    /// 5: The packet was here before.
    #[error("packet was received before")]
    Replayed,
    /// 6: The packet's minute cannot come now, by the hop's clock.
    #[error("packet's minute is outside the window of the hop's clock")]
    Clock,
    /// 7: The hop has no room to remember the packet.
    #[error("node is busy")]
    Busy,
    /// Any other code: of a later version, or the link's own.
    #[error("code {code}")]
    Other {
        /// The code.
        code: u8,
    },
}

impl ResetReason {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Length => 1,
            Self::Suite => 2,
            Self::KeyNumber => 3,
            Self::Header => 4,
            Self::Replayed => 5,
            Self::Clock => 6,
            Self::Busy => 7,
            Self::Other { code } => code,
        }
    }

    /// The reason that `code` stands for.
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Length,
            2 => Self::Suite,
            3 => Self::KeyNumber,
            4 => Self::Header,
            5 => Self::Replayed,
            6 => Self::Clock,
            7 => Self::Busy,
            code => Self::Other { code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_as_it_was_written() {
        for code in 0..=u8::MAX {
            let mut bytes = vec![code];
            if code == 7 {
                bytes.push(3);
            }
            let error = OnionError::from_bytes(&bytes);
            assert_eq!(error.as_ref().map(OnionError::code), Some(code));
            assert_eq!(error.as_ref().map(OnionError::to_bytes), Some(bytes));
        }
    }

    #[test]
    fn fields_that_are_missing_or_too_many_are_refused() {
        assert_eq!(OnionError::from_bytes(&[]), None);
        assert_eq!(OnionError::from_bytes(&[3, 0]), None);
        assert_eq!(OnionError::from_bytes(&[7]), None);
        assert_eq!(OnionError::from_bytes(&[99, 1, 2]), Some(OnionError::Other { code: 99 }));
    }
}
