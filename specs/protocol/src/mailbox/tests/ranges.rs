//! Range operations in slices, changes that fail, records that are gone but not swept.

use core::time::Duration;

use super::net::{NETWORK, Net, Owner, owner, page, receipts};
use crate::mailbox::{
    ErrorKind, ExpiryMode, MailboxError, MemberConfig, MessageHash, Namespace, Now, Op, Quota,
    Request, RequestId, Response, Rest, Scope, Store, Table, Transmit, Verify,
};

const MANY: u64 = 700;

/// A node with many small records of one account.
fn full(alice: &Owner) -> Net {
    let mut net = Net::new(1);
    let now = net.now();
    let machine = &mut net.machines[0];
    for i in 0..MANY {
        let request = Request::One(Box::new(alice.post(&i.to_le_bytes())));
        machine.handle_request(now, RequestId(i), request.verify(&NETWORK).unwrap());
    }
    machine.commit(now);
    while machine.poll_transmit().is_some() {}
    assert_eq!(machine.counters().messages, MANY);
    net
}

fn request(net: &mut Net, now: Now, request: Request) -> Response {
    let machine = &mut net.machines[0];
    machine.handle_request(now, RequestId(9_999_999), request.verify(&NETWORK).unwrap());
    machine.commit(now);
    match machine.poll_transmit() {
        Some(Transmit::Respond { response, .. }) => response,
        other => panic!("no answer: {other:?}"),
    }
}

#[test]
fn range_counts_at_once_and_is_applied_in_slices() {
    let alice = owner(1);
    let mut net = full(&alice);
    let now = net.now();
    let all = Request::One(Box::new(alice.change(Scope::All, now.clock, &[Op::DeleteAll])));
    let Response::One(Ok(_)) = request(&mut net, now, all) else { panic!("refused") };
    let left = net.machines[0].counters().messages;
    assert!((1..MANY).contains(&left), "{left} left after the first slice");
    let read = Request::One(Box::new(alice.retrieve(Namespace::INBOX, now.clock)));
    let Response::One(read) = request(&mut net, now, read) else { panic!("no page") };
    assert!(page(read).items.is_empty(), "none of them is read any more");
    // A crash in between loses neither the range nor what is left to do.
    net.restart(0);
    assert!(net.read(0, &alice, Namespace::INBOX).is_empty());
    net.run(Duration::from_secs(10));
    assert_eq!(net.machines[0].counters().messages, 0);
}

#[test]
fn batch_of_range_operations_costs_no_more_than_one_slice() {
    let alice = owner(1);
    let mut net = full(&alice);
    let now = net.now();
    let expire =
        |i: u64| Op::ExpireAll { expiry: now.clock.saturating_add(Duration::from_secs(3600 - i)) };
    let ops: Vec<Op> = (0..64).map(expire).collect();
    let call = alice.change(Scope::All, now.clock, &ops);
    let batch = Request::Batch(vec![call; 20]);
    let before = net.machines[0].store_mut().written();
    let Response::Batch(answers) = request(&mut net, now, batch) else { panic!("refused") };
    assert!(answers.iter().all(Result::is_ok));
    let rows = net.machines[0].store_mut().written() - before;
    // A record under a new expiry is three rows that go, three that come, and its usage twice; 256
    // records are looked at.
    assert!((256 * 8..256 * 8 + 100).contains(&rows), "{rows} rows written");
    let read = Request::One(Box::new(alice.retrieve(Namespace::INBOX, now.clock)));
    let Response::One(read) = request(&mut net, now, read) else { panic!("no page") };
    let soonest = now.clock.saturating_add(Duration::from_secs(3600 - 63));
    let items = page(read).items;
    assert_eq!(items.len() as u64, MANY);
    assert!(items.iter().all(|item| item.expiry == soonest), "it counts for every record");
    net.run(Duration::from_secs(3600));
    assert_eq!(net.machines[0].counters().messages, 0, "and each is swept by it");
}

#[test]
fn change_that_fails_in_its_middle_leaves_nothing() {
    let alice = owner(1);
    let mut config = MemberConfig::new(NETWORK);
    config.quotas.inbox = Quota { bytes: 100_000, rows: 5 };
    let mut net = Net::with(1, 1, config);
    receipts(net.ask(0, alice.post(b"stays")));
    let before = net.machines[0].counters();
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, b"stays");
    let unknown = |i: u8| Op::Delete { hash: MessageHash::from_bytes([i; 32]) };
    let ops: Vec<Op> = core::iter::once(Op::Delete { hash }).chain((0..20).map(unknown)).collect();
    let answer = net.ask(0, alice.change(Namespace::INBOX, net.clock(), &ops));
    assert_eq!(answer, Err(MailboxError::Quota));
    assert_eq!(net.machines[0].counters(), before);
    assert_eq!(net.read(0, &alice, Namespace::INBOX), [b"stays"]);
}

#[test]
fn record_that_comes_again_after_its_expiry_is_read_behind_the_cursor() {
    let alice = owner(1);
    let mut net = Net::new(1);
    receipts(net.ask(0, alice.post_for(b"one", 3600)));
    receipts(net.ask(0, alice.post(b"two")));
    let call = alice.retrieve(Namespace::INBOX, net.clock());
    let cursor = page(net.ask(0, call)).cursor;
    net.has_authorities = false; // So that it is not swept.
    net.run(Duration::from_secs(3700));
    receipts(net.ask(0, alice.post(b"one")));
    let call = alice.retrieve_after(Namespace::INBOX, net.clock(), Some(cursor), 1 << 20);
    let items = page(net.ask(0, call)).items;
    let found: Vec<&[u8]> = items.iter().map(|item| item.data.as_bytes()).collect();
    assert_eq!(found, [b"one"]);
}

#[test]
fn expired_record_is_not_prolonged_swept_or_not() {
    let alice = owner(1);
    for swept in [false, true] {
        let mut net = Net::new(1);
        receipts(net.ask(0, alice.post_for(b"one", 3600)));
        net.has_authorities = swept;
        net.run(Duration::from_secs(3700));
        let hash = MessageHash::of(&alice.id, Namespace::INBOX, b"one");
        let expiry = net.clock().saturating_add(Duration::from_secs(86_400));
        let extend = Op::Expire { hash, mode: ExpiryMode::Extend, expiry };
        receipts(net.ask(0, alice.change(Namespace::INBOX, net.clock(), &[extend])));
        assert!(net.read(0, &alice, Namespace::INBOX).is_empty(), "swept: {swept}");
    }
}

/// Breaks the row of the first record of an account's inbox.
fn damage(net: &mut Net, alice: &Owner) {
    let mut first = None;
    let store = net.machines[0].store_mut();
    let from = alice.id.to_bytes();
    store
        .scan(Table::Messages, &from, &[0xff; 44], &mut |key, _| {
            first = Some(key.to_vec());
            core::ops::ControlFlow::Break(())
        })
        .unwrap();
    store.put(Table::Messages, &first.unwrap(), vec![0xee; 9]);
    store.commit().unwrap();
}

#[test]
fn damaged_row_is_counted_and_stops_no_sweep() {
    let alice = owner(1);
    let mut net = Net::new(1);
    for data in [b"one", b"two", b"six"] {
        receipts(net.ask(0, alice.post_for(data, 3600)));
    }
    damage(&mut net, &alice);
    receipts(net.ask(0, owner(2).post_for(b"of another", 3600)));
    net.run(Duration::from_secs(3900));
    assert_eq!(net.machines[0].counters().messages, 1, "the damaged one stays");
    assert_eq!(net.machines[0].mailboxes().damaged(), 1);
    net.run(Duration::from_secs(600));
    assert_eq!(net.machines[0].mailboxes().damaged(), 1, "and is met once");
}

#[test]
fn damaged_row_fails_its_own_write_and_no_strangers() {
    let (alice, bob) = (owner(1), owner(2));
    let mut net = Net::new(1);
    receipts(net.ask(0, alice.post(b"one")));
    damage(&mut net, &alice);
    let now = net.now();
    let batch = Request::Batch(vec![alice.post(b"one"), bob.post(b"two")]);
    let Response::Batch(answers) = request(&mut net, now, batch) else { panic!("no batch") };
    let [own, strangers] = answers.try_into().unwrap();
    assert_eq!(own.map_err(|error| error.kind()), Err(ErrorKind::StoreFailed));
    receipts(strangers);
    assert_eq!(net.read(0, &bob, Namespace::INBOX), [b"two"]);
}

#[test]
fn who_asks_for_no_bytes_still_gets_on() {
    let alice = owner(1);
    let mut net = Net::new(1);
    for i in 0..3 {
        receipts(net.ask(0, alice.post(&[i])));
    }
    let mut cursor = None;
    for i in 0..3 {
        let call = alice.retrieve_after(Namespace::INBOX, net.clock(), cursor, 0);
        let page = page(net.ask(0, call));
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].data.as_bytes(), [i]);
        assert_eq!(page.rest, if i < 2 { Rest::More } else { Rest::Done });
        cursor = Some(page.cursor);
    }
}

#[test]
fn page_looks_at_so_many_rows_and_no_more() {
    let alice = owner(1);
    let mut net = Net::new(1);
    let now = net.now();
    for i in 0..4097u64 {
        let request = Request::One(Box::new(alice.post(&i.to_le_bytes())));
        net.machines[0].handle_request(now, RequestId(i), request.verify(&NETWORK).unwrap());
    }
    net.machines[0].commit(now);
    while net.machines[0].poll_transmit().is_some() {}
    let first = page(net.ask(0, alice.retrieve(Namespace::INBOX, net.clock())));
    assert_eq!((first.items.len(), first.rest), (4096, Rest::More));
    let call = alice.retrieve_after(Namespace::INBOX, net.clock(), Some(first.cursor), 1 << 20);
    let second = page(net.ask(0, call));
    assert_eq!((second.items.len(), second.rest), (1, Rest::Done));
}
