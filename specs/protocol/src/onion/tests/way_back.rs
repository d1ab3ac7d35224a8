//! Replies: their order, their end, and who may say what.

use proptest::prelude::*;

use super::*;

/// A path with a packet delivered, and the client waiting.
fn waiting() -> (Arrived, ReplyOpener) {
    let (packet, opener) = build_one(1, SizeClass::K2, SizeClass::K2, b"request");
    (deliver(packet.as_bytes()), opener)
}

/// Three frames at the client's door: two items and a last one.
fn three_frames(arrived: &mut Arrived) -> Vec<Vec<u8>> {
    [(Flow::Whole, b"one"), (Flow::Whole, b"two"), (Flow::Last, b"end")]
        .into_iter()
        .map(|(flow, payload)| {
            let frame = Frame { kind: FrameKind::Reply, flow, payload };
            let frame = arrived.destination.seal(&frame).unwrap();
            bring_back(&mut arrived.relays, frame)
        })
        .collect()
}

#[test]
fn frame_after_the_last_is_refused() {
    let (mut arrived, mut opener) = waiting();
    let frames = three_frames(&mut arrived);
    let opened = frames.iter().map(|frame| opener.open(frame).unwrap().payload);
    assert_eq!(opened.collect::<Vec<_>>(), [b"one", b"two", b"end"]);
    assert!(opener.has_ended());
    assert_eq!(opener.open(&frames[2]), Err(FrameError::Ended));
    let more = arrived.destination.seal(&Frame::heartbeat(b""));
    assert_eq!(more, Err(SealError::Ended));
    assert_eq!(arrived.destination.fail(&OnionError::Internal), None);
}

#[test]
fn every_hop_can_say_what_went_wrong_and_is_known_by_it() {
    for hop in Hop::ALL {
        for passed in 0..3 {
            let (mut arrived, mut opener) = waiting();
            for _ in 0..passed {
                let frame = arrived.destination.seal(&Frame::heartbeat(b"alive")).unwrap();
                let frame = bring_back(&mut arrived.relays, frame);
                assert_eq!(opener.open(&frame).unwrap().from_hop, Hop::Destination);
            }
            let error = OnionError::NextRefused { reason: ResetReason::Clock };
            let frame = if hop == Hop::Destination {
                arrived.destination.fail(&error).unwrap()
            } else {
                arrived.relays.remove(hop.index()).fail(&error)
            };
            arrived.relays.truncate(hop.index());
            let frame = bring_back(&mut arrived.relays, frame);
            assert_eq!(frame.len(), SizeClass::K2.bytes());
            let opened = opener.open(&frame).unwrap();
            let item = ReplyAssembler::new(0).push(opened).unwrap();
            assert_eq!(item, Some(Item::Failed { from_hop: hop, error }));
            assert!(opener.has_ended());
        }
    }
}

#[test]
fn relay_can_only_report_an_error() {
    for hop in [Hop::Guard, Hop::Middle, Hop::Exit] {
        let (packet, mut opener) = build_one(1, SizeClass::K2, SizeClass::K2, b"request");
        let mut packet = packet.into_bytes();
        let mut relays = Vec::new();
        for before in &Hop::ALL[..hop.index()] {
            let peeled = peel(&NETWORK, &keyring(*before), &packet, &mut rng(0)).unwrap();
            let Step::Relay { packet: inner, reply, .. } = peeled.step else {
                unreachable!("a relay's hop")
            };
            packet = inner;
            relays.push(reply);
        }
        // A relay that speaks as if it were the destination: its own key, a reply's flags.
        let opened = OpenedLayer::open(&NETWORK, &keyring(hop), &packet).unwrap();
        let mut sealer = opened.into_sealer();
        let frames = frames_for(SizeClass::K2, b"forged", Flow::Last);
        let frame = sealer.seal(&frames.last().unwrap()).unwrap();
        let frame = bring_back(&mut relays, frame);
        let error = FrameError::NotTheDestination { from_hop: hop };
        assert_eq!(opener.open(&frame), Err(error));
        assert_eq!(opener.open(&frame), Err(FrameError::Closed));
    }
}

#[test]
fn frame_of_another_length_is_refused_by_relay_and_client() {
    let (mut arrived, mut opener) = waiting();
    let mut frame = arrived.destination.seal(&Frame::heartbeat(b"")).unwrap();
    frame.push(0);
    let length = RelayError::Length { len: 2_049, expected: 2_048 };
    assert_eq!(arrived.relays[0].relay(&mut frame), Err(length));
    let length = FrameError::Length { len: 2_049, expected: 2_048 };
    assert_eq!(opener.open(&frame), Err(length));
    assert_eq!(opener.open(&frame), Err(FrameError::Closed));
}

#[test]
fn sealer_refuses_what_no_client_would_accept() {
    let (mut arrived, _) = waiting();
    let payload = vec![0; 2_028];
    let mut seal = |kind, flow, len: usize| {
        arrived.destination.seal(&Frame { kind, flow, payload: &payload[..len] }).map(|_| ())
    };
    let too_large = SealError::TooLarge { len: 2_028, capacity: 2_027 };
    assert_eq!(seal(FrameKind::Reply, Flow::More, 2_028), Err(too_large));
    assert_eq!(seal(FrameKind::Error, Flow::Whole, 1), Err(SealError::Inconsistent));
    assert_eq!(seal(FrameKind::Heartbeat, Flow::Last, 1), Err(SealError::Inconsistent));
    assert_eq!(seal(FrameKind::Heartbeat, Flow::More, 1), Err(SealError::Inconsistent));
    // A refused frame is none: the next one still has the index that the client expects.
    assert_eq!(seal(FrameKind::Reply, Flow::Last, 2_027), Ok(()));
}

#[test]
fn items_come_whole_with_heartbeats_between_their_frames() {
    let (mut arrived, mut opener) = waiting();
    let long = vec![5; 2_027 + 1];
    let parts: Vec<_> = frames_for(SizeClass::K2, &long, Flow::Whole).collect();
    let frames = [parts[0], Frame::heartbeat(b"alive"), parts[1]];
    let mut assembler = ReplyAssembler::new(long.len());
    let items = frames.map(|frame| {
        let frame = arrived.destination.seal(&frame).unwrap();
        let frame = bring_back(&mut arrived.relays, frame);
        assembler.push(opener.open(&frame).unwrap()).unwrap()
    });
    let heartbeat = Item::Heartbeat(b"alive".to_vec());
    assert_eq!(items, [None, Some(heartbeat), Some(Item::Reply(long))]);
    assert!(!opener.has_ended());
}

#[test]
fn item_over_the_limit_is_given_up() {
    let frame = |flow, len| OpenedFrame {
        from_hop: Hop::Destination,
        kind: FrameKind::Reply,
        flow,
        payload: vec![0; len],
    };
    let mut assembler = ReplyAssembler::new(10);
    assert_eq!(assembler.push(frame(Flow::More, 6)), Ok(None));
    assert_eq!(assembler.push(frame(Flow::Whole, 4)), Ok(Some(Item::Reply(vec![0; 10]))));
    assert_eq!(assembler.push(frame(Flow::More, 6)), Ok(None));
    let too_long = AssembleError::TooLong { limit: 10 };
    assert_eq!(assembler.push(frame(Flow::More, 5)), Err(too_long));
}

proptest! {
    /// Any sequence of the three frames but the one in order closes the path at its first
    /// frame that is not due, and all before it were accepted.
    #[test]
    fn frames_open_only_in_their_order(order in proptest::collection::vec(0usize..3, 1..6)) {
        let (mut arrived, mut opener) = waiting();
        let frames = three_frames(&mut arrived);
        let mut due = Some(0);
        for n in order {
            let opened = opener.open(&frames[n]);
            due = match due {
                Some(3) => {
                    prop_assert_eq!(opened, Err(FrameError::Ended));
                    Some(3)
                }
                Some(next) if next == n => {
                    prop_assert!(opened.is_ok());
                    Some(next + 1)
                }
                Some(_) => {
                    prop_assert_eq!(opened, Err(FrameError::Unopenable));
                    None
                }
                None => {
                    prop_assert_eq!(opened, Err(FrameError::Closed));
                    None
                }
            };
        }
    }
}
