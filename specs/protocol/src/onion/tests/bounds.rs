//! Layers that are authentic and wrong, and packets that do not open.

use super::super::layer::{BackKeys, Header, LayerKeys, clear_part, seal_layer};
use super::super::peel::{Answer, Malformation};
use super::super::size::{BODY_AT, LENGTH_LEN};
use super::*;

/// One layer for the node at `hop`, as a client would seal it that keeps to no rule. `body`
/// writes what the body holds.
pub(super) fn forge(hop: Hop, header: Header, body: impl FnOnce(&mut [u8])) -> (Vec<u8>, BackKeys) {
    forge_flagged(hop, header, 0, body)
}

/// As [`forge`], with flags in the header.
pub(super) fn forge_flagged(
    hop: Hop,
    header: Header,
    flags: u8,
    body: impl FnOnce(&mut [u8]),
) -> (Vec<u8>, BackKeys) {
    let class = SizeClass::K2;
    let ephemeral = OnionSecretKey::from_bytes([0x21; 32]);
    let onion_key = secret(hop).public();
    let shared = ephemeral.exchange(&onion_key).unwrap();
    let keys = LayerKeys::derive(&NETWORK, &shared, &ephemeral.public(), &onion_key);
    let mut packet = vec![0; class.bytes()];
    let layer = &mut packet[..layer_len(class, header.hop)];
    let end = layer.len() - TAG_LEN;
    body(&mut layer[BODY_AT..end]);
    let clear = clear_part(NUMBER.get(), &ephemeral.public());
    let mut header = header.to_bytes();
    header[0] |= flags << 4;
    seal_layer(&RUST_CRYPTO, &keys, class, &clear, &header, layer);
    (packet, keys.back)
}

fn destination_header() -> Header {
    let (hop, reply_class) = (Hop::Destination, SizeClass::K2);
    Header { hop, reply_class, next: None, minute: MINUTE }
}

pub(super) fn outcome(hop: Hop, packet: &[u8]) -> Result<Peeled, PeelError> {
    peel(&NETWORK, &keyring(hop), packet, &mut rng(0))
}

/// The malformation, after checking that the client can read the answer to it.
fn malformation(packet: &[u8], back: &BackKeys, hop: Hop) -> Malformation {
    let error = outcome(hop, packet).unwrap_err();
    let PeelError::Content { what, ref refusal } = error else { panic!("{error}") };
    assert_eq!(refusal.view().hop, hop);
    let Answer::Frame(frame) = error.answer() else { panic!("no frame") };
    // The same keys for the hops before it, whose covers are put on here.
    let hops = vec![back.clone(); hop.index() + 1];
    let mut opener = ReplyOpener::new(&RUST_CRYPTO, SizeClass::K2, hops);
    let mut covered = frame;
    for _ in 0..hop.index() {
        RUST_CRYPTO.cover(&back.ctr, &[0; 8], &mut covered);
    }
    let opened = opener.open(&covered).unwrap();
    assert_eq!((opened.from_hop, opened.kind), (hop, FrameKind::Error));
    assert_eq!(OnionError::from_bytes(&opened.payload), Some(OnionError::Malformed));
    what
}

#[test]
fn padding_that_is_not_zero_is_refused() {
    let capacity = payload_capacity(SizeClass::K2);
    let body = |len: u32, at: usize| {
        move |body: &mut [u8]| {
            body[..LENGTH_LEN].copy_from_slice(&len.to_le_bytes());
            body[LENGTH_LEN + at] = 1;
        }
    };
    // The byte at 4 is the fifth of the request, then the first of the padding.
    let (packet, _) = forge(Hop::Destination, destination_header(), body(5, 4));
    assert!(outcome(Hop::Destination, &packet).is_ok());
    let (packet, back) = forge(Hop::Destination, destination_header(), body(4, 4));
    assert_eq!(malformation(&packet, &back, Hop::Destination), Malformation::Padding);
    let (packet, back) = forge(Hop::Destination, destination_header(), body(4, capacity - 1));
    assert_eq!(malformation(&packet, &back, Hop::Destination), Malformation::Padding);
}

#[test]
fn request_longer_than_its_place_is_refused() {
    for len in [1_633, u32::MAX] {
        let (packet, back) = forge(Hop::Destination, destination_header(), |body| {
            body[..LENGTH_LEN].copy_from_slice(&len.to_le_bytes());
        });
        let what = malformation(&packet, &back, Hop::Destination);
        assert_eq!(what, Malformation::RequestLength);
    }
}

#[test]
fn next_node_goes_with_a_relay_and_only_with_a_relay() {
    let with_next = Header { next: Some(node(Hop::Guard)), ..destination_header() };
    let (packet, back) = forge(Hop::Destination, with_next, |_| {});
    assert_eq!(malformation(&packet, &back, Hop::Destination), Malformation::Next);
    for hop in [Hop::Guard, Hop::Middle, Hop::Exit] {
        let (packet, back) = forge(hop, Header { hop, ..destination_header() }, |_| {});
        assert_eq!(malformation(&packet, &back, hop), Malformation::Next);
    }
}

#[test]
fn header_reads_back_and_unknown_flags_are_a_fault() {
    let header = Header {
        hop: Hop::Exit,
        reply_class: SizeClass::K32,
        next: Some(node(Hop::Destination)),
        minute: 0x0403_0201,
    };
    let bytes = header.to_bytes();
    // Hop 2, class 2 two bits higher.
    assert_eq!(bytes[0], 2 | 2 << 2);
    assert_eq!(bytes[33..], [1, 2, 3, 4]);
    assert_eq!(Header::from_bytes(&bytes), (header, Ok(())));
    for bit in 4..8 {
        let mut flagged = bytes;
        flagged[0] |= 1 << bit;
        let (read, fault) = Header::from_bytes(&flagged);
        assert_eq!(read, header);
        assert!(fault.is_err());
    }
}

#[test]
fn layer_with_unknown_flags_is_refused() {
    for flags in [1, 2, 4, 8, 15] {
        let (packet, back) = forge_flagged(Hop::Destination, destination_header(), flags, |_| {});
        assert_eq!(malformation(&packet, &back, Hop::Destination), Malformation::Flags);
    }
}

#[test]
fn layer_with_a_bad_header_is_always_answered_with_the_same_frame() {
    let answer = |body: u8| {
        let (packet, _) =
            forge_flagged(Hop::Destination, destination_header(), 1, |bytes| bytes.fill(body));
        let error = outcome(Hop::Destination, &packet).unwrap_err();
        let Answer::Frame(frame) = error.answer() else { panic!("no frame") };
        frame
    };
    // It is sealed before the replay set is asked, so two that differ would share key and nonce.
    assert_eq!(answer(0), answer(1));
}

#[test]
fn body_of_another_hop_than_the_header_says_does_not_open() {
    // The layer is as long as an exit's, the header says middle.
    let header = Header {
        hop: Hop::Exit,
        reply_class: SizeClass::K2,
        next: Some(node(Hop::Destination)),
        minute: MINUTE,
    };
    let (exit, _) = forge(Hop::Exit, header, |_| {});
    assert!(outcome(Hop::Exit, &exit).is_ok());
    let (middle, back) = forge(Hop::Middle, Header { hop: Hop::Middle, ..header }, |_| {});
    let mut shorter = middle;
    // The tag where an exit's layer ends, as if the header had been written for one.
    let (from, to) = (layer_len(SizeClass::K2, Hop::Middle), layer_len(SizeClass::K2, Hop::Exit));
    let tag: Vec<u8> = shorter[from - TAG_LEN..from].to_vec();
    shorter[to - TAG_LEN..to].copy_from_slice(&tag);
    shorter[to..].fill(0);
    assert_eq!(malformation(&shorter, &back, Hop::Middle), Malformation::Body);
}

#[test]
fn packet_for_another_network_key_or_class_does_not_open() {
    let (packet, _) = build_one(1, SizeClass::K2, SizeClass::K2, b"x");
    let packet = packet.as_bytes();
    let other = NetworkId::from_bytes([0x12; 32]);
    let error = peel(&other, &keyring(Hop::Guard), packet, &mut rng(0)).unwrap_err();
    assert!(matches!(error, PeelError::Header));
    assert!(matches!(outcome(Hop::Middle, packet).unwrap_err(), PeelError::Header));

    let mut longer = packet.to_vec();
    longer.resize(SizeClass::K8.bytes(), 0);
    assert!(matches!(outcome(Hop::Guard, &longer).unwrap_err(), PeelError::Header));
    for len in [0, 1, 86, 103, 2_047, 2_049] {
        let mut cut = packet.to_vec();
        cut.resize(len, 0);
        let error = outcome(Hop::Guard, &cut).unwrap_err();
        assert!(matches!(error, PeelError::Length { .. }), "{len}");
        assert_eq!(error.answer(), Answer::Reset(ResetReason::Length));
    }
}

#[test]
fn what_cannot_be_sealed_is_a_reset_that_says_why() {
    let (packet, _) = build_one(1, SizeClass::K2, SizeClass::K2, b"x");
    let answer_to = |edit: &dyn Fn(&mut [u8])| {
        let mut packet = packet.as_bytes().to_vec();
        edit(&mut packet);
        outcome(Hop::Guard, &packet).unwrap_err().answer()
    };
    let suite = answer_to(&|packet| packet[0] = 2);
    assert_eq!(suite, Answer::Reset(ResetReason::Suite));
    let number = answer_to(&|packet| packet[1] = NUMBER.get() + 2);
    assert_eq!(number, Answer::Reset(ResetReason::KeyNumber));
    // A key of the ring, and not the one that the packet was sealed for.
    let next = answer_to(&|packet| packet[1] = NUMBER.get() + 1);
    assert_eq!(next, Answer::Reset(ResetReason::Header));
    let zero = answer_to(&|packet| packet[2..34].fill(0));
    assert_eq!(zero, Answer::Reset(ResetReason::Header));
    // The same point in another encoding: the bit that X25519 does not look at.
    let twin = answer_to(&|packet| packet[33] ^= 0x80);
    assert_eq!(twin, Answer::Reset(ResetReason::Header));
}
