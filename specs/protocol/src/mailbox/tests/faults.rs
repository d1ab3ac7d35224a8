//! Disks that fail, fill up or lose power; shares that are used up.

use core::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::net::{NETWORK, Net, owner, receipts};
use crate::mailbox::{
    ErrorKind, MailboxError, MemberConfig, MessageHash, Namespace, Op, Quota, Request, RequestId,
    Response, Transmit, Unconfirmed, Verify,
};

#[test]
fn one_commit_serves_all_that_waits() {
    let alice = owner(1);
    let mut net = Net::new(1);
    let now = net.now();
    let machine = &mut net.machines[0];
    let before = machine.store_mut().commits();
    for i in 0..50u8 {
        let request = Request::One(Box::new(alice.post(&[i])));
        let request = request.verify(&NETWORK).unwrap();
        machine.handle_request(now, RequestId(i.into()), request);
    }
    assert!(machine.poll_transmit().is_none(), "nothing is acknowledged before the commit");
    machine.commit(now);
    assert_eq!(machine.store_mut().commits(), before + 1);
    let mut answers = 0;
    while let Some(Transmit::Respond { response: Response::One(reply), .. }) =
        machine.poll_transmit()
    {
        answers += receipts(reply);
    }
    assert_eq!(answers, 50);
}

#[test]
fn crash_before_the_commit_loses_what_was_not_acknowledged_and_nothing_else() {
    let alice = owner(1);
    let mut net = Net::new(1);
    receipts(net.ask(0, alice.post(b"acknowledged")));
    let now = net.now();
    let request = Request::One(Box::new(alice.post(b"in hand"))).verify(&NETWORK).unwrap();
    net.machines[0].handle_request(now, RequestId(1), request);
    assert!(net.machines[0].poll_transmit().is_none());
    net.restart(0);
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"acknowledged"]);
    assert_eq!(net.machines[0].counters().messages, 1);
}

#[test]
fn coordinator_whose_disk_fails_still_answers_by_the_others() {
    let alice = owner(1);
    let mut net = Net::new(5);
    net.machines[0].store_mut().fail_commit(1);
    assert!(receipts(net.ask(0, alice.post(b"hello"))) >= 3);
    assert!(net.read(0, &alice, Namespace::INBOX).is_empty());
    assert_eq!(net.read(1, &alice, Namespace::INBOX), [b"hello"]);
    // The same again reaches the one that failed.
    receipts(net.ask(2, alice.post(b"hello")));
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"hello"]);
}

#[test]
fn store_that_could_not_be_opened_anew_at_once_works_again_when_it_can() {
    let alice = owner(1);
    let mut net = Net::new(1);
    receipts(net.ask(0, alice.post(b"kept")));
    let before = net.machines[0].counters();
    let store = net.machines[0].store_mut();
    store.fail_commit(1);
    store.close_when_failed(200);
    let failed = Unconfirmed::Refused(ErrorKind::StoreFailed);
    let unconfirmed = MailboxError::NotConfirmed { confirmed: 0, needed: 1, reason: failed };
    assert_eq!(net.ask(0, alice.post(b"lost")), Err(unconfirmed));
    assert_eq!(net.ask(0, alice.post(b"refused")), Err(MailboxError::StoreFailed));
    // It is tried again without being asked.
    net.run(Duration::from_secs(60));
    assert_eq!(net.machines[0].counters(), before);
    receipts(net.ask(0, alice.post(b"taken")));
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"kept".as_slice(), b"taken"]);
    assert_eq!(net.machines[0].counters().messages, 2);
}

#[test]
fn write_that_most_disks_refuse_is_not_confirmed() {
    let alice = owner(1);
    let mut net = Net::new(5);
    for member in [2, 3, 4] {
        net.machines[member].store_mut().fail_commit(1);
    }
    let error = net.ask(0, alice.post(b"hello")).unwrap_err();
    let reason = Unconfirmed::Refused(ErrorKind::StoreFailed);
    assert_eq!(error, MailboxError::NotConfirmed { confirmed: 2, needed: 3, reason });
}

#[test]
fn full_disk_says_so_still_deletes_and_works_again_with_room() {
    let alice = owner(1);
    let mut net = Net::new(1);
    receipts(net.ask(0, alice.post(&[1; 50_000])));
    net.machines[0].store_mut().set_capacity(Some(100_000), 10_000);
    let error = net.ask(0, alice.post(&[2; 50_000])).unwrap_err();
    assert_eq!(
        error,
        MailboxError::NotConfirmed {
            confirmed: 0,
            needed: 1,
            reason: Unconfirmed::Refused(ErrorKind::Disk),
        }
    );
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [[1; 50_000]]);
    net.machines[0].store_mut().set_capacity(Some(55_000), 10_000);
    let error = net.ask(0, alice.post(b"small")).unwrap_err();
    assert_eq!(error, MailboxError::Disk, "the rest is kept for what is urgent");
    assert_eq!(error.retry(), crate::Retry::Elsewhere);
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, &[1; 50_000]);
    let delete = alice.change(Namespace::INBOX, net.clock(), &[Op::Delete { hash }]);
    receipts(net.ask(0, delete));
    receipts(net.ask(0, alice.post(b"small")));
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"small"]);
}

#[test]
fn full_mailbox_is_an_error_that_deletes_undo() {
    let alice = owner(1);
    let mut config = MemberConfig::new(NETWORK);
    config.quotas.inbox = Quota { bytes: 100_000, rows: 5 };
    let mut net = Net::with(3, 3, config);
    for i in 0..5 {
        receipts(net.ask(0, alice.post(&[i; 10])));
    }
    assert_eq!(net.ask(0, alice.post(b"sixth")), Err(MailboxError::Quota));
    receipts(net.ask(0, alice.post(&[3; 10])));
    // Another account and another class of namespace have shares of their own.
    receipts(net.ask(0, owner(2).post(b"first")));
    receipts(net.ask(0, alice.publish(Namespace::new(2), net.clock(), b"note")));
    // Tombstones count: what is deleted one by one frees its bytes, not its row.
    let all = alice.change(Namespace::INBOX, net.clock(), &[Op::DeleteAll]);
    receipts(net.ask(0, all));
    receipts(net.ask(0, alice.post(b"sixth")));
    let big = alice.post(&[0; 76_800]);
    receipts(net.ask(0, big));
    assert_eq!(net.ask(0, alice.post(&[1; 76_800])), Err(MailboxError::Quota));
}

#[test]
fn tombstones_may_overdraw_a_share_to_twice_and_no_further() {
    let alice = owner(1);
    let mut config = MemberConfig::new(NETWORK);
    config.quotas.inbox = Quota { bytes: 100_000, rows: 5 };
    let mut net = Net::with(1, 1, config);
    for i in 0..5 {
        receipts(net.ask(0, alice.post(&[i; 10])));
    }
    let delete = |i: u8| Op::Delete { hash: MessageHash::from_bytes([i; 32]) };
    for i in 0..5 {
        receipts(net.ask(0, alice.change(Namespace::INBOX, net.clock(), &[delete(i)])));
    }
    let sixth = alice.change(Namespace::INBOX, net.clock(), &[delete(6)]);
    assert_eq!(net.ask(0, sixth), Err(MailboxError::Quota));
    // A record that is here becomes its own tombstone and needs no further row.
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, &[1; 10]);
    receipts(net.ask(0, alice.change(Namespace::INBOX, net.clock(), &[Op::Delete { hash }])));
}

#[test]
fn budget_of_the_node_bounds_messages_and_chunks() {
    let mut config = MemberConfig::new(NETWORK);
    config.quotas.messages_bytes = 150_000;
    let mut net = Net::with(1, 1, config);
    receipts(net.ask(0, owner(1).post(&[0; 76_800])));
    assert_eq!(net.ask(0, owner(2).post(&[0; 76_800])), Err(MailboxError::Disk));
}

#[test]
fn more_requests_than_the_bound_are_busy() {
    let alice = owner(1);
    let mut config = MemberConfig::new(NETWORK);
    config.pending_max = 4;
    let mut net = Net::with(3, 3, config);
    net.down = [1, 2].into();
    let ids: Vec<RequestId> =
        (0..6).map(|i| net.send(0, Request::One(Box::new(alice.post(&[i]))))).collect();
    net.run(Duration::from_secs(6));
    let answers: Vec<ErrorKind> = ids
        .iter()
        .map(|id| match net.responses.remove(id) {
            Some(Response::One(Err(error))) => error.kind(),
            other => panic!("{other:?}"),
        })
        .collect();
    let (waited, busy) = answers.split_at(4);
    assert_eq!(waited, [ErrorKind::NotConfirmed; 4]);
    assert_eq!(busy, [ErrorKind::Busy; 2]);
}

/// Members crash, fail and fall silent at random; whatever was acknowledged is afterwards on a
/// majority.
#[test]
fn acknowledged_records_survive_any_crashes() {
    let mut acknowledged = 0;
    for (n, seed) in (0..12).flat_map(|seed| [(2, seed), (5, seed)]) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut below = |end: usize| usize::try_from(rng.next_u64()).unwrap() % end;
        let alice = owner(1);
        let mut net = Net::new(n);
        let mut sent = Vec::new();
        for step in 0..120u32 {
            let member = below(n);
            match below(10) {
                0 => net.restart(member),
                1 => net.machines[member].store_mut().fail_commit(1),
                2 if !net.mute.remove(&member) => {
                    net.mute.insert(member);
                }
                3 if !net.down.remove(&member) => {
                    net.down.insert(member);
                }
                _ => {
                    let data = step.to_le_bytes();
                    let request = Request::One(Box::new(alice.post(&data)));
                    sent.push((net.send(member, request), data));
                }
            }
            net.run(Duration::from_millis(below(50) as u64));
        }
        net.down.clear();
        net.run(Duration::from_secs(10));
        for member in 0..n {
            net.restart(member);
        }
        let held: Vec<Vec<Vec<u8>>> =
            (0..n).map(|member| net.read(member, &alice, Namespace::INBOX)).collect();
        for (id, data) in sent {
            let Some(Response::One(Ok(_))) = net.responses.get(&id) else { continue };
            acknowledged += 1;
            let copies =
                held.iter().filter(|records| records.iter().any(|r| r[..] == data)).count();
            assert!(copies > n / 2, "seed {seed}, {n} members: {copies} copies of {data:?}");
        }
    }
    assert!(acknowledged > 300, "only {acknowledged} writes were acknowledged");
}
