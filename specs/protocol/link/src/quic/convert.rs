//! QUIC's error codes and ours.

use enjambre_protocol::link::Code;
use quinn::{ConnectError, ConnectionError, TransportErrorCode, VarInt};

use crate::error::LinkError;

/// The TLS alert of a server that speaks none of the offered protocols (RFC 7301).
const NO_APPLICATION_PROTOCOL: u8 = 120;

pub(super) fn varint(code: Code) -> VarInt {
    // A code has 62 bits, as a variable-length integer has.
    VarInt::from_u64(code.number()).unwrap_or(VarInt::MAX)
}

pub(super) fn code(number: VarInt) -> Code {
    Code::new(number.into_inner()).unwrap_or(Code::CANCELLED)
}

pub(super) fn of_connect(error: &ConnectError) -> LinkError {
    match error {
        ConnectError::EndpointStopping => LinkError::Stopped,
        ConnectError::CidsExhausted => LinkError::Busy,
        ConnectError::InvalidRemoteAddress(_) => LinkError::NoAddress,
        ConnectError::UnsupportedVersion => LinkError::Version,
        other => LinkError::Handshake(other.to_string()),
    }
}

/// Why a connection did not come about.
pub(super) fn of_handshake(error: &ConnectionError) -> LinkError {
    let (code, text) = match error {
        ConnectionError::TransportError(error) => (error.code, error.to_string()),
        ConnectionError::ConnectionClosed(frame) => (frame.error_code, frame.to_string()),
        ConnectionError::VersionMismatch => return LinkError::Version,
        ConnectionError::TimedOut | ConnectionError::Reset => return LinkError::Unreachable,
        other => return of_connection(other),
    };
    if code == TransportErrorCode::CONNECTION_REFUSED {
        LinkError::Busy
    } else if code == TransportErrorCode::crypto(NO_APPLICATION_PROTOCOL) {
        LinkError::Version
    } else {
        LinkError::Handshake(text)
    }
}

/// Why a connection that was made is over.
pub(super) fn of_connection(error: &ConnectionError) -> LinkError {
    match error {
        ConnectionError::ApplicationClosed(frame) => LinkError::of_close(code(frame.error_code)),
        ConnectionError::LocallyClosed => LinkError::Closed(Code::CANCELLED),
        ConnectionError::TransportError(_) | ConnectionError::ConnectionClosed(_) => {
            LinkError::Closed(Code::PROTOCOL)
        }
        ConnectionError::VersionMismatch => LinkError::Version,
        ConnectionError::CidsExhausted => LinkError::Busy,
        ConnectionError::TimedOut | ConnectionError::Reset => LinkError::Lost,
    }
}
