//! The length prefix of directory and peer messages.
//!
//! Four bytes, little-endian: how many bytes follow. Onion packets and their reply frames have no
//! prefix: their size is that of their class.

/// Length of the prefix, bytes.
pub const PREFIX_LEN: usize = 4;

/// A message longer than its kind allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("message of {len} bytes where at most {limit} are allowed")]
pub struct FrameError {
    /// Bytes announced.
    pub len: usize,
    /// Bytes allowed.
    pub limit: usize,
}

/// The prefix of a message of `len` bytes.
pub fn prefix(len: usize, limit: usize) -> Result<[u8; PREFIX_LEN], FrameError> {
    let refused = FrameError { len, limit };
    if len > limit {
        return Err(refused);
    }
    u32::try_from(len).map(u32::to_le_bytes).map_err(|_| refused)
}

/// Bytes that follow `prefix`, of which at most `limit` are accepted.
pub fn parse_prefix(prefix: [u8; PREFIX_LEN], limit: usize) -> Result<usize, FrameError> {
    let announced = u32::from_le_bytes(prefix);
    let len = usize::try_from(announced).unwrap_or(usize::MAX);
    if len > limit { Err(FrameError { len, limit }) } else { Ok(len) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn prefix_is_accepted_by_both_ends_exactly_up_to_the_limit(
            len in 0usize..100_000,
            limit in 0usize..100_000,
        ) {
            let refused = FrameError { len, limit };
            let written = prefix(len, limit);
            prop_assert_eq!(written.is_ok(), len <= limit);
            let unlimited = prefix(len, usize::MAX).map(|p| parse_prefix(p, limit));
            prop_assert_eq!(unlimited, Ok(if len <= limit { Ok(len) } else { Err(refused) }));
        }
    }

    #[test]
    fn largest_announcement_is_refused_not_wrapped() {
        let error = FrameError { len: 0xffff_ffff, limit: 16 };
        assert_eq!(parse_prefix([0xff; 4], 16), Err(error));
    }
}
