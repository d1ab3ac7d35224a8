//! peel(build(x)) = x, and what a relay sees on the way.

use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};
use rand_core::Rng;

use super::*;

#[test]
fn request_and_reply_arrive_in_every_class() {
    for class in SizeClass::ALL {
        for reply_class in SizeClass::ALL {
            for len in [0, 1, payload_capacity(class)] {
                let request: Vec<u8> = (0u8..=250).cycle().take(len).collect();
                let (packet, mut opener) = build_one(1, class, reply_class, &request);
                assert_eq!(packet.as_bytes().len(), class.bytes());
                let mut arrived = deliver(packet.as_bytes());
                assert_eq!(arrived.request, request);

                let reply: Vec<u8> = (0u8..=240).cycle().take(3_000).collect();
                let mut assembler = ReplyAssembler::new(3_000);
                let mut item = None;
                for frame in frames_for(reply_class, &reply, Flow::Last) {
                    assert_eq!(item, None);
                    let frame = arrived.destination.seal(&frame).unwrap();
                    assert_eq!(frame.len(), reply_class.bytes());
                    let frame = bring_back(&mut arrived.relays, frame);
                    let opened = opener.open(&frame).unwrap();
                    assert_eq!(opened.from_hop, Hop::Destination);
                    item = assembler.push(opened).unwrap();
                }
                assert_eq!(item, Some(Item::Reply(reply)));
                assert!(opener.has_ended());
            }
        }
    }
}

#[test]
fn view_of_a_relay_is_a_function_of_class_reply_class_and_hop() {
    // Different requests, keys and randomness; the same class, reply class and minute.
    for class in SizeClass::ALL {
        for reply_class in SizeClass::ALL {
            let long = vec![0xff; payload_capacity(class)];
            let mut packets = [
                build_one(1, class, reply_class, b"").0.into_bytes(),
                build_one(2, class, reply_class, &long).0.into_bytes(),
            ];
            for hop in Hop::ALL {
                let views = packets.each_ref().map(|packet| {
                    let peeled = peel(&NETWORK, &keyring(hop), packet, &mut rng(9)).unwrap();
                    let View { class, reply_class, hop, minute, ephemeral: _ } = peeled.view;
                    (class, reply_class, hop, minute, peeled.step)
                });
                for (saw_class, saw_reply_class, saw_hop, saw_minute, step) in &views {
                    assert_eq!((*saw_class, *saw_reply_class), (class, reply_class));
                    assert_eq!((*saw_hop, *saw_minute), (hop, MINUTE));
                    let relayed = matches!(step, Step::Relay { .. });
                    assert_eq!(relayed, hop != Hop::Destination);
                }
                packets = views.map(|(.., step)| match step {
                    Step::Relay { packet, .. } => {
                        assert_eq!(packet.len(), class.bytes());
                        packet
                    }
                    Step::Deliver { .. } => Vec::new(),
                });
            }
        }
    }
}

#[test]
fn filler_is_drawn_anew_by_every_relay() {
    let mut packet = build_one(1, SizeClass::K2, SizeClass::K2, b"x").0.into_bytes();
    for hop in [Hop::Guard, Hop::Middle, Hop::Exit] {
        let next_layer = layer_len(SizeClass::K2, hop) - LAYER_OVERHEAD;
        // A relay that marked the filler finds nothing of it one hop on.
        packet[layer_len(SizeClass::K2, hop)..].fill(0x77);
        let relayed = |seed| {
            let peeled = peel(&NETWORK, &keyring(hop), &packet, &mut rng(seed)).unwrap();
            let Step::Relay { packet, .. } = peeled.step else { unreachable!("a relay's hop") };
            packet
        };
        let (one, two) = (relayed(3), relayed(4));
        assert_eq!(one[..next_layer], two[..next_layer]);
        let mut drawn = vec![0; SizeClass::K2.bytes() - next_layer];
        rng(3).fill_bytes(&mut drawn);
        assert_eq!(one[next_layer..], drawn);
        assert_ne!(one[next_layer..], two[next_layer..]);
        packet = one;
    }
    assert_eq!(deliver_last(&packet), b"x");
}

fn deliver_last(packet: &[u8]) -> Vec<u8> {
    let peeled = peel(&NETWORK, &keyring(Hop::Destination), packet, &mut rng(0)).unwrap();
    let Step::Deliver { request, .. } = peeled.step else { unreachable!("the destination's hop") };
    request
}

#[test]
fn next_key_of_a_ring_serves_and_a_key_twice_rotated_does_not() {
    let (packet, _) = build_one(1, SizeClass::K2, SizeClass::K2, b"x");
    let mut ring = keyring(Hop::Guard);
    let mut serves = || {
        let serves = peel(&NETWORK, &ring, packet.as_bytes(), &mut rng(0)).is_ok();
        ring.rotate(OnionSecretKey::generate(&mut rng(5)));
        serves
    };
    assert_eq!([serves(), serves(), serves()], [true, true, false]);

    let number = OnionKeyNumber::new(NUMBER.get() - 1);
    let fresh = OnionSecretKey::generate(&mut rng(6));
    let early = Keyring::new(number, fresh, secret(Hop::Guard));
    assert!(peel(&NETWORK, &early, packet.as_bytes(), &mut rng(0)).is_ok());
}

#[test]
fn build_refuses_what_no_path_can_carry() {
    let try_path = |path: &[HopTarget; HOPS], request: &[u8]| {
        let (class, reply_class) = (SizeClass::K2, SizeClass::K8);
        build(&mut rng(1), &NETWORK, path, class, reply_class, MINUTE, request).map(|_| ())
    };
    let too_large = BuildError::TooLarge { len: 1_633, capacity: 1_632 };
    assert_eq!(try_path(&path(), &[0; 1_632]), Ok(()));
    assert_eq!(try_path(&path(), &[0; 1_633]), Err(too_large));

    let mut twice = path();
    twice[3].node = twice[0].node;
    let repeated = BuildError::RepeatedNode { node: node(Hop::Guard) };
    assert_eq!(try_path(&twice, b""), Err(repeated));

    let mut nobody = path();
    nobody[2].node = NodeId::from_bytes([0; 32]);
    assert_eq!(try_path(&nobody, b""), Err(BuildError::NoNode { hop: Hop::Exit }));

    let mut zero = path();
    zero[1].key = OnionPublicKey::from_bytes([0; 32]);
    assert_eq!(try_path(&zero, b""), Err(BuildError::BadKey { hop: Hop::Middle }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn peel_of_build_gives_the_request(
        seed in any::<u64>(), class in 0u8..4, reply_class in 0u8..4, len in 0.0..=1.0f64,
    ) {
        let (class, reply_class) = (SizeClass::from_bits(class), SizeClass::from_bits(reply_class));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let len = (payload_capacity(class) as f64 * len) as usize;
        let mut request = vec![0; len];
        rng(seed).fill_bytes(&mut request);
        let (packet, _) = build_one(seed, class, reply_class, &request);
        prop_assert_eq!(deliver(packet.as_bytes()).request, request);
    }
}
