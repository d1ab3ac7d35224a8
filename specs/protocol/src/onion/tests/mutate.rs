//! Random damage: nothing panics, and nothing is delivered that was not sent.

use proptest::prelude::*;

use super::bounds::outcome;
use super::*;

/// The four packets of one path, as they stand on the four links.
fn on_the_links(seed: u64, class: SizeClass, request: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![build_one(seed, class, SizeClass::K2, request).0.into_bytes()];
    for hop in [Hop::Guard, Hop::Middle, Hop::Exit] {
        let peeled = outcome(hop, &packets[hop.index()]).unwrap();
        let Step::Relay { packet, .. } = peeled.step else { unreachable!("a relay's hop") };
        packets.push(packet);
    }
    packets
}

#[test]
fn every_byte_of_a_layer_is_sealed_and_no_byte_of_the_filler_matters() {
    let packets = on_the_links(1, SizeClass::K2, b"request");
    for (hop, packet) in Hop::ALL.into_iter().zip(&packets) {
        for at in 0..packet.len() {
            let mut damaged = packet.clone();
            damaged[at] ^= 1 << (at % 8);
            let in_layer = at < layer_len(SizeClass::K2, hop);
            assert_eq!(outcome(hop, &damaged).is_err(), in_layer, "{hop:?}, byte {at}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn bytes_of_no_packet_are_refused(
        class in proptest::option::of(0u8..4), mut bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Some(class) = class {
            bytes.resize(SizeClass::from_bits(class).bytes(), 7);
        }
        if let [suite, number, ..] = bytes.as_mut_slice() {
            (*suite, *number) = (1, NUMBER.get());
        }
        prop_assert!(outcome(Hop::Guard, &bytes).is_err());
    }

    /// Several bytes overwritten, anywhere, on any link: an error, or exactly what was sent.
    #[test]
    fn damaged_packet_is_refused_or_unaltered(
        hop in 0u8..4, damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
    ) {
        let hop = Hop::from_bits(hop);
        let packets = on_the_links(2, SizeClass::K2, b"request");
        let mut damaged = packets[hop.index()].clone();
        for (at, byte) in &damage {
            let at = usize::from(*at) % damaged.len();
            damaged[at] = *byte;
        }
        let layer = ..layer_len(SizeClass::K2, hop);
        let intact = damaged[layer] == packets[hop.index()][layer];
        match outcome(hop, &damaged) {
            Ok(Peeled { step: Step::Deliver { request, .. }, .. }) => {
                prop_assert!(intact);
                prop_assert_eq!(request, b"request");
            }
            Ok(Peeled { step: Step::Relay { packet, next, .. }, .. }) => {
                prop_assert!(intact);
                let inner = ..layer_len(SizeClass::K2, hop) - LAYER_OVERHEAD;
                prop_assert_eq!(&packet[inner], &packets[hop.index() + 1][inner]);
                prop_assert_eq!(Some(next), Hop::ALL.get(hop.index() + 1).map(|hop| node(*hop)));
            }
            Err(_) => prop_assert!(!intact),
        }
    }

    /// A frame with a bit turned over, at any link, closes the path.
    #[test]
    fn damaged_frame_does_not_open(
        at in 0usize..2_048, bit in 0u8..8, after_relays in 0usize..=3, index in 0usize..3,
    ) {
        let (packet, mut opener) = build_one(3, SizeClass::K2, SizeClass::K2, b"request");
        let mut arrived = deliver(packet.as_bytes());
        let reply = vec![9; 3 * 2_027];
        for (n, frame) in frames_for(SizeClass::K2, &reply, Flow::Last).enumerate() {
            let mut frame = arrived.destination.seal(&frame).unwrap();
            let (near, far) = arrived.relays.split_at_mut(3 - after_relays);
            frame = bring_back(far, frame);
            if n == index {
                frame[at] ^= 1 << bit;
            }
            frame = bring_back(near, frame);
            let opened = opener.open(&frame);
            match n.cmp(&index) {
                core::cmp::Ordering::Less => prop_assert!(opened.is_ok()),
                core::cmp::Ordering::Equal => {
                    prop_assert_eq!(opened, Err(FrameError::Unopenable));
                }
                core::cmp::Ordering::Greater => prop_assert_eq!(opened, Err(FrameError::Closed)),
            }
        }
        prop_assert!(!opener.has_ended());
    }
}
