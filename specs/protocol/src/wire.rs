//! The encoding of everything that is not laid out by hand: postcard behind one version byte.
//!
//! Postcard is not canonical, so nothing signed is ever encoded a second time: what is signed
//! travels as bytes beside its signature (see [`crate::crypto::Signed`]) and is checked as
//! received. A decoder takes the whole input or refuses it, and refuses input over its limit
//! before it reads any of it. Specified in 04 links, section "Encoding".

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why bytes were not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// More bytes than the caller accepts.
    #[error("{len} bytes where at most {limit} are accepted")]
    TooLong {
        /// Bytes received.
        len: usize,
        /// Bytes accepted.
        limit: usize,
    },
    /// Written by a version this build does not speak.
    #[error("version {found} where {expected} is spoken")]
    Version {
        /// The version byte received.
        found: u8,
        /// The version this build speaks.
        expected: u8,
    },
    /// Not an encoding of the expected type, or followed by further bytes.
    #[error("malformed bytes")]
    Malformed,
}

/// The version that [`encode`] writes and [`decode`] accepts.
pub const VERSION: u8 = 1;

/// Writes `value` behind the version byte.
///
/// # Panics
///
/// Never for the types of this crate: postcard fails only on sequences of unknown length and on
/// types that refuse to be serialised, and there are none.
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    encode_as(VERSION, value)
}

/// [`encode`] behind the version byte of a form that has changed on its own.
///
/// # Panics
///
/// Never for the types of this crate, see [`encode`].
pub fn encode_as<T: Serialize + ?Sized>(version: u8, value: &T) -> Vec<u8> {
    let mut out = vec![version];
    let body = postcard::to_allocvec(value);
    debug_assert!(body.is_ok(), "a wire type without an encoding");
    out.extend(body.unwrap_or_default());
    out
}

/// Reads a value that fills `bytes`, of which at most `limit` are accepted.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    decode_as(VERSION, bytes, limit)
}

/// Reads what [`encode_as`] wrote.
pub fn decode_as<T: DeserializeOwned>(
    version: u8,
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { len: bytes.len(), limit });
    }
    let (&found, body) = bytes.split_first().ok_or(DecodeError::Malformed)?;
    if found != version {
        return Err(DecodeError::Version { found, expected: version });
    }
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(DecodeError::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decode_takes_back_what_encode_wrote() {
        let value = (7u32, vec![1u8, 2, 3], Some(true));
        assert_eq!(decode::<(u32, Vec<u8>, Option<bool>)>(&encode(&value), 100), Ok(value));
    }

    #[test]
    fn decode_refuses_length_version_rest_and_truncation() {
        let bytes = encode(&300u32);
        assert_eq!(decode::<u32>(&bytes, 2), Err(DecodeError::TooLong { len: 3, limit: 2 }));
        assert_eq!(decode::<u32>(&bytes[..2], 9), Err(DecodeError::Malformed));
        assert_eq!(decode::<u32>(&[], 9), Err(DecodeError::Malformed));
        let mut longer = bytes.clone();
        longer.push(0);
        assert_eq!(decode::<u32>(&longer, 9), Err(DecodeError::Malformed));
        let mut newer = bytes;
        newer[0] = 2;
        let error = DecodeError::Version { found: 2, expected: 1 };
        assert_eq!(decode::<u32>(&newer, 9), Err(error));
    }
}
