//! `specs/vectors/links.json`: written when `ENJAMBRE_WRITE_VECTORS=1`, else compared.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use serde_json::{Value, json};

use super::head::Decoded;
use super::{Code, HeadError, StreamHead, alpn, frame, stream_credit};
use crate::id::to_hex;
use crate::onion::{ResetReason, SizeClass};

const HEADS: [StreamHead; 6] = [
    StreamHead::Onion(SizeClass::K2),
    StreamHead::Onion(SizeClass::K8),
    StreamHead::Onion(SizeClass::K32),
    StreamHead::Onion(SizeClass::K128),
    StreamHead::Directory,
    StreamHead::Peer,
];

/// Starts of streams that are refused.
const REFUSED_HEADS: [&[u8]; 5] = [&[0], &[4], &[255], &[1, 4], &[1, 255]];

const CODES: [Code; 8] = [
    Code::CANCELLED,
    Code::BUSY,
    Code::PROTOCOL,
    Code::TOO_LARGE,
    Code::NOT_ALLOWED,
    Code::SHUTDOWN,
    Code::UNUSED,
    Code::DEADLINE,
];

/// Length and limit.
const PREFIXES: [(usize, usize); 5] =
    [(0, 0), (1, 1), (4096, 4096), (0x0102_0304, 0x0102_0304), (5, 100)];
const REFUSED_PREFIXES: [(usize, usize); 3] = [(1, 0), (4097, 4096), (0xffff_ffff, 4 << 20)];

/// Reasons of an onion refusal.
const REFUSALS: [u8; 4] = [0, 1, 2, 255];

/// Streams open at a time.
const OPEN: [u32; 5] = [1, 7, 64, 1024, 16_384];

fn decode(bytes: &[u8]) -> Result<StreamHead, HeadError> {
    match StreamHead::decode(bytes[0])? {
        Decoded::Head(head) => Ok(head),
        Decoded::NeedsClass => StreamHead::decode_class(bytes[1]),
    }
}

fn head(head: &StreamHead) -> Value {
    let mut bytes = Vec::new();
    head.encode(&mut bytes);
    assert_eq!(decode(&bytes), Ok(*head));
    let packet = match head {
        StreamHead::Onion(class) => Some(class.bytes()),
        StreamHead::Directory | StreamHead::Peer => None,
    };
    json!({ "kind": format!("{:?}", head.kind()), "packet_bytes": packet, "bytes": to_hex(&bytes) })
}

fn refused_head(bytes: &&[u8]) -> Value {
    let reason = decode(bytes).unwrap_err();
    json!({ "bytes": to_hex(bytes), "reason": reason.to_string() })
}

fn prefix(&(len, limit): &(usize, usize)) -> Value {
    let bytes = frame::prefix(len, limit).unwrap();
    assert_eq!(frame::parse_prefix(bytes, limit), Ok(len));
    json!({ "len": len, "limit": limit, "bytes": to_hex(&bytes) })
}

fn refused_prefix(&(len, limit): &(usize, usize)) -> Value {
    let bytes = frame::prefix(len, usize::MAX).unwrap();
    let reason = frame::parse_prefix(bytes, limit).unwrap_err();
    assert_eq!(frame::prefix(len, limit), Err(reason));
    json!({ "bytes": to_hex(&bytes), "limit": limit, "reason": reason.to_string() })
}

fn refusal(reason: u8) -> Value {
    let code = Code::of_refusal(ResetReason::from_code(reason));
    json!({ "onion_reason": reason, "code": code.number() })
}

#[test]
fn vectors_are_what_this_code_makes() {
    let made = json!({
        "recipe": {
            "alpn": "protocol names offered in the handshake, newest first, as text",
            "heads": "first bytes of a stream: kind, and for an onion stream the size class",
            "refused_heads": "first bytes that no stream has",
            "codes": "application error codes of stream resets, stop requests and closes",
            "refusals": "codes of the resets by which a hop refuses an onion packet",
            "prefixes": "length prefix of a directory or peer message: u32, little-endian",
            "refused_prefixes": "prefixes over the limit of their kind",
            "credit": "streams granted so that so many can be open at a time",
        },
        "alpn": alpn().iter().map(|name| str::from_utf8(name).unwrap()).collect::<Vec<_>>(),
        "heads": HEADS.iter().map(head).collect::<Vec<_>>(),
        "refused_heads": REFUSED_HEADS.iter().map(refused_head).collect::<Vec<_>>(),
        "codes": CODES.map(|code| json!({ "code": code.number(), "name": code.name() })),
        "refusals": REFUSALS.map(refusal),
        "prefixes": PREFIXES.iter().map(prefix).collect::<Vec<_>>(),
        "refused_prefixes": REFUSED_PREFIXES.iter().map(refused_prefix).collect::<Vec<_>>(),
        "credit": OPEN.map(|n| json!({ "open": n, "credit": stream_credit(n) })),
    });
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/links.json");
    let mut text = serde_json::to_string_pretty(&made).unwrap();
    text.push('\n');
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap();
    assert!(kept == text, "links.json is not what this code makes");
}
