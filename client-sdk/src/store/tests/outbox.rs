//! Messages that are to be sent.

use super::*;

#[test]
fn message_goes_through_its_states_with_times_and_reasons() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    let swarm = SwarmId::new(0xff00).unwrap();
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        change.set_swarm(&id, swarm)?;
        change.set_attempt(&id, at(130))?;
        change.set_state(&id, &OutgoingState::OnItsWay, at(110))?;
        change.set_state(&id, &OutgoingState::Stored { copies: 4, members: 6 }, at(120))?;
        change.set_state(&id, &OutgoingState::Read, at(140))
    });
    let row = read(&store, |view| view.outgoing(&id)).unwrap();
    assert_eq!((row.state, row.copies, row.members), (OutgoingState::Read, 4, 6));
    assert_eq!((row.swarm, row.attempts, row.next_try), (Some(swarm), 1, None));
    let steps = read(&store, |view| view.history(&id));
    let steps: Vec<_> = steps.iter().map(|s| (s.state, s.at, s.reason.as_deref())).collect();
    assert_eq!(
        steps,
        [
            (DeliveryState::Queued, at(100), Some("no keys yet")),
            (DeliveryState::OnItsWay, at(110), None),
            (DeliveryState::Stored, at(120), None),
            (DeliveryState::Read, at(140), None),
        ]
    );
}

#[test]
fn late_or_unknown_news_changes_nothing() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    let stored = OutgoingState::Stored { copies: 4, members: 6 };
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        assert_eq!(change.set_state(&id, &stored, at(1))?, Transition::Made);
        assert_eq!(change.set_state(&id, &stored, at(2))?, Transition::Refused);
        assert_eq!(change.set_state(&id, &OutgoingState::OnItsWay, at(3))?, Transition::Refused);
        let failed = OutgoingState::Failed { reason: "expired".to_owned() };
        assert_eq!(change.set_state(&id, &failed, at(4))?, Transition::Refused);
        change.set_attempt(&id, at(5))?;
        let unknown = MessageId::from_bytes([77; 16]);
        assert_eq!(change.set_state(&unknown, &stored, at(6))?, Transition::Unknown);
        Ok(())
    });
    let row = read(&store, |view| view.outgoing(&id)).unwrap();
    assert_eq!((row.state, row.attempts, row.next_try), (stored, 0, None));
    assert_eq!(read(&store, |view| view.history(&id)).len(), 2);
}

#[test]
fn due_messages_come_longest_due_first_and_stored_ones_not_at_all() {
    let temp = Temp::new();
    let store = temp.open();
    write(&store, |change| {
        for n in 1..=4 {
            change.queue(&outgoing(n))?;
        }
        change.set_attempt(&outgoing(1).id, at(300))?;
        change.set_attempt(&outgoing(2).id, at(200))?;
        change.set_attempt(&outgoing(3).id, at(250))?;
        let stored = OutgoingState::Stored { copies: 4, members: 6 };
        change.set_state(&outgoing(4).id, &stored, at(150))
    });
    let due = |now| -> Vec<u8> {
        read(&store, |view| view.due(at(now))).iter().map(|row| row.id.as_bytes()[0]).collect()
    };
    assert_eq!((due(199), due(250), due(300)), (vec![], vec![2, 3], vec![2, 3, 1]));
    assert_eq!(read(&store, |view| view.next_try()), Some(at(200)));
    assert_eq!(read(&store, |view| view.outgoing_count()), 3);
}

#[test]
fn history_is_bounded_and_ends_with_the_present() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        for n in 0..600 {
            change.set_state(&id, &OutgoingState::OnItsWay, at(200 + 2 * n))?;
            let queued = OutgoingState::Queued { reason: format!("try {n}") };
            change.set_state(&id, &queued, at(201 + 2 * n))?;
        }
        Ok(())
    });
    let steps = read(&store, |view| view.history(&id));
    assert_eq!(steps.len(), ROWS_MAX as usize);
    assert_eq!(steps.last().and_then(|step| step.reason.as_deref()), Some("try 599"));
}

#[test]
fn parts_are_sent_in_order_and_as_they_were_kept() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    let part =
        |kind, byte| NewPart { kind, namespace: 0, sealed_at: at(100), bytes: vec![byte; 9] };
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        assert_eq!(change.add_part(&id, &part(PartKind::Chunk, 1))?, 0);
        assert_eq!(change.add_part(&id, &part(PartKind::Chunk, 2))?, 1);
        assert_eq!(change.add_part(&id, &part(PartKind::Record, 3))?, 2);
        change.part_stored(&id, 0, at(110))
    });
    let store = {
        drop(store);
        temp.open()
    };
    let next = read(&store, |view| view.next_part(&id)).unwrap();
    assert_eq!((next.part, next.kind, next.bytes), (1, PartKind::Chunk, vec![2; 9]));
    write(&store, |change| change.part_stored(&id, 1, at(120)));
    write(&store, |change| change.reseal_part(&id, 2, b"anew", at(130)));
    let next = read(&store, |view| view.next_part(&id)).unwrap();
    assert_eq!(
        (next.part, next.bytes.as_slice(), next.sealed_at),
        (2, b"anew".as_slice(), at(130))
    );
    write(&store, |change| change.part_stored(&id, 2, at(140)));
    assert!(read(&store, |view| view.next_part(&id)).is_none());
    assert_eq!(read(&store, |view| view.part_count(&id)), 0);
}

#[test]
fn chunks_come_a_few_at_a_time_and_the_record_by_itself() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    let part = |kind, byte| NewPart { kind, namespace: 0, sealed_at: at(1), bytes: vec![byte] };
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        for byte in 0..4 {
            change.add_part(&id, &part(PartKind::Chunk, byte))?;
        }
        Ok(())
    });
    assert_eq!(read(&store, |view| view.record_part(&id)), None);
    write(&store, |change| change.add_part(&id, &part(PartKind::Record, 9)));
    write(&store, |change| change.part_stored(&id, 1, at(2)));
    let places = |limit| -> Vec<u32> {
        read(&store, |view| view.next_chunks(&id, limit)).iter().map(|part| part.part).collect()
    };
    assert_eq!((places(2), places(10)), (vec![0, 2], vec![0, 2, 3]));
    let record = read(&store, |view| view.record_part(&id)).unwrap();
    assert_eq!((record.part, record.bytes), (4, vec![9]));
}

#[test]
fn removed_message_takes_its_parts_and_history_along() {
    let temp = Temp::new();
    let store = temp.open();
    let id = outgoing(1).id;
    let part = NewPart { kind: PartKind::Record, namespace: 0, sealed_at: at(1), bytes: vec![1] };
    write(&store, |change| {
        change.queue(&outgoing(1))?;
        change.add_part(&id, &part)?;
        change.remove_outgoing(&id)
    });
    assert_eq!(read(&store, |view| view.part_count(&id)), 0);
    assert!(read(&store, |view| view.history(&id)).is_empty());
    let orphan = store.write(|change| change.add_part(&id, &part));
    assert!(orphan.is_err(), "a part of no message");
}

#[test]
fn conversation_is_counted_on() {
    let temp = Temp::new();
    let store = temp.open();
    assert_eq!(read(&store, |view| view.conversation(&account(1))), None);
    for counter in 1..3 {
        let next = ConversationPosition {
            conversation: ConversationId::from_bytes([4; 16]),
            counter,
            previous: Digest::from_bytes([6; 32]),
        };
        write(&store, |change| change.set_conversation(&account(1), &next));
        assert_eq!(read(&store, |view| view.conversation(&account(1))), Some(next));
    }
}
