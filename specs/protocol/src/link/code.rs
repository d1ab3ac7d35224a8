//! Why a stream was reset or a link closed: one set of numbers for both.

use core::fmt;

/// The application error code of a stream reset, a stop request or a link close.
///
/// A number that this build does not know is kept as it is and means [`Code::CANCELLED`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u64);

impl Code {
    /// The sender lost interest; nothing is wrong.
    pub const CANCELLED: Self = Self(0);
    /// The receiver is at a limit: later, or elsewhere.
    pub const BUSY: Self = Self(1);
    /// Bytes that the protocol does not allow.
    pub const PROTOCOL: Self = Self(2);
    /// A length over the limit of its kind.
    pub const TOO_LARGE: Self = Self(3);
    /// A stream kind that this peer may not use, or a node that is not let in.
    pub const NOT_ALLOWED: Self = Self(4);
    /// The process is going down; it may come back.
    pub const SHUTDOWN: Self = Self(5);
    /// The link was unused and made room for another.
    pub const UNUSED: Self = Self(6);
    /// The other end of a relayed stream neither read nor answered in time.
    pub const DEADLINE: Self = Self(7);

    /// The largest number a code can be: a QUIC variable-length integer has 62 bits.
    pub const MAX: u64 = (1 << 62) - 1;

    /// From the wire. `None` beyond [`Code::MAX`].
    pub const fn new(number: u64) -> Option<Self> {
        if number > Self::MAX { None } else { Some(Self(number)) }
    }

    /// The number on the wire.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The name, if this build knows the number.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::CANCELLED => "cancelled",
            Self::BUSY => "busy",
            Self::PROTOCOL => "protocol",
            Self::TOO_LARGE => "too large",
            Self::NOT_ALLOWED => "not allowed",
            Self::SHUTDOWN => "shutdown",
            Self::UNUSED => "unused",
            Self::DEADLINE => "deadline",
            Self(_) => return None,
        })
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_number_is_kept_and_too_large_a_number_refused() {
        let code = Code::new(4711);
        assert_eq!(code.map(Code::number), Some(4711));
        assert_eq!(code.map(|code| code.to_string()), Some("code 4711".to_owned()));
        assert_eq!(Code::new(Code::MAX + 1), None);
        assert_eq!(Code::new(1), Some(Code::BUSY));
        assert_eq!(Code::BUSY.to_string(), "busy");
    }
}
