//! Packets with damage, and authentic layers that say anything.
//!
//! Oracle: a damaged packet is refused, or its layer is intact and gives what was sent. An
//! authentic layer is accepted exactly if the chapter's rules hold, and then gives its own body.
#![no_main]

use enjambre_protocol::onion::{Answer, Hop, LAYER_OVERHEAD, SizeClass, Step, View, layer_len};
use enjambre_protocol_fuzz::{Layer, node, packet, peel_at};
use libfuzzer_sys::fuzz_target;

const REQUEST: &[u8] = b"the request that was sent";

fuzz_target!(|data: &[u8]| {
    let Some((control, rest)) = data.split_first() else { return };
    let hop = Hop::from_bits(*control);
    match control >> 6 {
        0 => raw(hop, SizeClass::from_bits(control >> 2), rest),
        1 => damaged(hop, SizeClass::from_bits(control >> 2), rest),
        _ => authentic(hop, rest),
    }
});

/// Bytes that nobody sealed.
fn raw(hop: Hop, class: SizeClass, bytes: &[u8]) {
    assert!(peel_at(hop, bytes).is_err());
    let mut filled = bytes.to_vec();
    filled.resize(class.bytes(), 0);
    assert!(peel_at(hop, &filled).is_err());
}

/// A packet on the link to `hop`, with bytes overwritten.
fn damaged(hop: Hop, class: SizeClass, edits: &[u8]) {
    let mut sent = packet(class, REQUEST).0.into_bytes();
    for before in &Hop::ALL[..hop.index()] {
        let Ok(peeled) = peel_at(*before, &sent) else { panic!("intact, at {before:?}") };
        let Step::Relay { packet, .. } = peeled.step else { panic!("delivered at {before:?}") };
        sent = packet;
    }
    let mut damaged = sent.clone();
    for edit in edits.chunks_exact(4) {
        let at = usize::from(edit[0]) << 16 | usize::from(edit[1]) << 8 | usize::from(edit[2]);
        damaged[at % class.bytes()] = edit[3];
    }
    let len = layer_len(class, hop);
    let intact = damaged[..len] == sent[..len];
    match peel_at(hop, &damaged) {
        Ok(peeled) => {
            assert!(intact);
            match peeled.step {
                Step::Relay { next, packet, .. } => {
                    let Ok(original) = peel_at(hop, &sent) else { panic!("intact, at {hop:?}") };
                    let Step::Relay { packet: inner, .. } = original.step else {
                        panic!("delivered at {hop:?}")
                    };
                    let inner_len = len - LAYER_OVERHEAD;
                    assert_eq!(packet[..inner_len], inner[..inner_len]);
                    assert_eq!(packet.len(), class.bytes());
                    assert_eq!(Some(next), Hop::ALL.get(hop.index() + 1).map(|hop| node(*hop)));
                }
                Step::Deliver { request, .. } => assert_eq!(request, REQUEST),
            }
        }
        Err(_) => assert!(!intact),
    }
}

/// A layer sealed as the chapter says around a header and a body from the fuzzer.
fn authentic(node_at: Hop, data: &[u8]) {
    let Some((header, body)) = data.split_first_chunk::<37>() else { return };
    let hop = Hop::from_bits(header[0]);
    let len = layer_len(SizeClass::K2, hop) - LAYER_OVERHEAD;
    let mut layer = Layer { header: *header, body: body.to_vec() };
    layer.body.resize(len, 0);

    let flags_are_zero = header[0] >> 4 == 0;
    let has_next = header[1..33] != [0; 32];
    let next_fits = has_next == (hop != Hop::Destination);
    let length = u32::from_le_bytes([layer.body[0], layer.body[1], layer.body[2], layer.body[3]]);
    let request = layer.body[4..].get(..length as usize);
    let padding_is_zero =
        request.is_some_and(|request| layer.body[4 + request.len()..].iter().all(|b| *b == 0));
    let sound = flags_are_zero && next_fits && (hop != Hop::Destination || padding_is_zero);

    match peel_at(node_at, &layer.seal(node_at)) {
        Ok(peeled) => {
            assert!(sound);
            let View { class, reply_class, hop: seen, minute, .. } = peeled.view;
            assert_eq!((class, seen), (SizeClass::K2, hop));
            assert_eq!(reply_class, SizeClass::from_bits(header[0] >> 2));
            assert_eq!(minute.to_le_bytes(), header[33..]);
            match peeled.step {
                Step::Relay { next, packet, .. } => {
                    assert_eq!(next.as_bytes()[..], header[1..33]);
                    assert_eq!(packet[..len], layer.body);
                    assert_eq!(packet.len(), SizeClass::K2.bytes());
                }
                Step::Deliver { request: delivered, .. } => {
                    assert_eq!(Some(&delivered[..]), request);
                }
            }
        }
        Err(error) => {
            assert!(!sound, "{error}");
            let Answer::Frame(frame) = error.answer() else { panic!("the header opened") };
            assert_eq!(frame.len(), SizeClass::from_bits(header[0] >> 2).bytes());
        }
    }
}
