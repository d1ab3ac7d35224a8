//! Tables, indexes and counters stay in step.

use core::ops::ControlFlow;
use core::time::Duration;
use std::collections::BTreeSet;

use proptest::prelude::*;

use super::net::{NETWORK, Owner, node_key, owner};
use crate::id::StoreId;
use crate::mailbox::{
    EXPIRIES_MAX, ExpiryMode, MailboxError, Mailboxes, MemoryStore, MessageHash, Namespace, Op,
    Quotas, Record, RecordKey, Stamp, Store, Table, Ttl,
};
use crate::time::Timestamp;

fn open() -> Mailboxes<MemoryStore> {
    Mailboxes::open(MemoryStore::new(StoreId::from_bytes([1; 16])), Quotas::default()).unwrap()
}

fn at(hours: u64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + 3600 * hours)
}

fn count(store: &impl Store, table: Table) -> usize {
    let mut rows = 0;
    let visit = &mut |_: &[u8], _: &[u8]| {
        rows += 1;
        ControlFlow::Continue(())
    };
    store.scan(table, &[], &[0xff; 80], visit).unwrap();
    rows
}

fn act(boxes: &mut Mailboxes<MemoryStore>, kind: u8, which: u8, hour: u64) {
    let alice = owner(1);
    let own = Namespace::new(2);
    let namespace = if which.is_multiple_of(2) { Namespace::INBOX } else { own };
    let data = [which; 40];
    let hash = MessageHash::of(&alice.id, namespace, &data);
    let key = RecordKey { account: alice.id, namespace, hash };
    let now = at(hour);
    let result = match kind {
        0..=4 => {
            let expiry = now.saturating_add(Ttl::DAY.as_duration());
            let stamp = Stamp::new(&node_key(0), &NETWORK, &key, now, expiry);
            let owner =
                (kind > 2).then(|| alice.sign(namespace, now, Op::Store { hash, ttl: 86_400 }));
            boxes.keep(now, &key, Record::accepted(stamp, owner), &data).map(|_| ())
        }
        5 => {
            let mutation = alice.sign(namespace, now, Op::Delete { hash });
            boxes.apply(now, &alice.id, namespace.into(), mutation)
        }
        6 => {
            let expiry = now.saturating_add(Duration::from_secs(3 * 3600));
            let op = Op::Expire { hash, mode: ExpiryMode::Set, expiry };
            boxes.apply(now, &alice.id, namespace.into(), alice.sign(namespace, now, op))
        }
        7 => {
            let mutation = alice.sign(namespace, now, Op::DeleteAll);
            boxes.apply(now, &alice.id, namespace.into(), mutation)
        }
        8 => boxes.sweep(now, 100).map(|_| ()).map_err(Into::into),
        _ => boxes.commit().map_err(Into::into),
    };
    // Refusals are part of the game; they must leave everything in step too.
    drop(result);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn indexes_counters_and_usage_stay_in_step(
        acts in proptest::collection::vec((0u8..10, 0u8..6, 0u64..3), 1..60),
    ) {
        let mut boxes = open();
        let mut hour = 0;
        for (kind, which, hours) in acts {
            hour += hours;
            act(&mut boxes, kind, which, hour);
            let (counters, store) = (boxes.counters(), boxes.store());
            let (messages, by_hash) = (count(store, Table::Messages), count(store, Table::ByHash));
            prop_assert_eq!(counters.messages, messages as u64);
            prop_assert_eq!(messages, by_hash);
            // Each row has one entry in the expiry index, and no entry is left over.
            let expected = messages + count(store, Table::Tombstones);
            prop_assert_eq!(count(store, Table::Expiry), expected);
        }
        // Much later nothing is left, to the byte.
        let later = at(hour + 24 * 80);
        boxes.sweep(later, 10_000).unwrap();
        boxes.sweep(later.saturating_add(Duration::from_secs(40 * 86_400)), 10_000).unwrap();
        boxes.commit().unwrap();
        let counters = boxes.counters();
        let left = (counters.messages, counters.messages_bytes, counters.tombstones);
        prop_assert_eq!(left, (0, 0, 0));
        for table in [Table::Messages, Table::ByHash, Table::Expiry, Table::Tombstones] {
            prop_assert_eq!(count(boxes.store(), table), 0, "{:?}", table);
        }
        prop_assert!(count(boxes.store(), Table::Meta) <= 1, "no usage is left over");
    }
}

#[test]
fn sweep_is_bounded_and_says_what_it_left() {
    let mut boxes = open();
    for which in (0..200).step_by(2) {
        act(&mut boxes, 0, which, 0);
    }
    let swept = boxes.sweep(at(30), 60).unwrap();
    assert_eq!((swept.rows, swept.more), (60, true));
    let swept = boxes.sweep(at(30), 60).unwrap();
    assert_eq!((swept.rows, swept.more), (40, false));
    assert_eq!(boxes.counters().messages, 0);
}

#[test]
fn sequence_numbers_are_never_used_again() {
    let alice = owner(1);
    let mut boxes = open();
    act(&mut boxes, 0, 0, 0);
    boxes.commit().unwrap();
    let first = boxes.page(at(0), &alice.id, Namespace::INBOX, None, 1 << 20).unwrap().cursor;
    act(&mut boxes, 7, 0, 1);
    boxes.commit().unwrap();
    let mut boxes = Mailboxes::open(boxes.into_store(), Quotas::default()).unwrap();
    act(&mut boxes, 0, 2, 2);
    let page = boxes.page(at(2), &alice.id, Namespace::INBOX, Some(first), 1 << 20).unwrap();
    assert_eq!(page.items.len(), 1, "a new record comes after the cursor");
    assert!(page.cursor.seq > first.seq);
}

#[test]
fn shortened_record_that_was_swept_stays_gone() {
    let mut boxes = open();
    act(&mut boxes, 0, 0, 0); // Kept for a day,
    act(&mut boxes, 6, 0, 1); // shortened to three hours,
    boxes.sweep(at(5), 100).unwrap(); // swept.
    assert_eq!(boxes.counters().messages, 0);
    assert_eq!(boxes.counters().tombstones, 1);
    let alice = owner(1);
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, &[0; 40]);
    let key = RecordKey { account: alice.id, namespace: Namespace::INBOX, hash };
    let expiry = at(0).saturating_add(Ttl::DAY.as_duration());
    let stamp = Stamp::new(&node_key(0), &NETWORK, &key, at(0), expiry);
    let again = boxes.keep(at(5), &key, Record::accepted(stamp, None), &[0; 40]);
    assert_eq!(again, Err(MailboxError::Deleted));
}

/// A node with so many records of one account, and its owner.
fn with_many(many: u64, life: Ttl) -> (Mailboxes<MemoryStore>, Owner) {
    let alice = owner(1);
    let mut boxes = open();
    let expiry = at(0).saturating_add(life.as_duration());
    for number in 0..many {
        keep(&mut boxes, &alice, &number.to_le_bytes(), expiry);
    }
    boxes.commit().unwrap();
    (boxes, alice)
}

fn keep(boxes: &mut Mailboxes<MemoryStore>, owner: &Owner, data: &[u8], expiry: Timestamp) {
    let hash = MessageHash::of(&owner.id, Namespace::INBOX, data);
    let key = RecordKey { account: owner.id, namespace: Namespace::INBOX, hash };
    let stamp = Stamp::new(&node_key(0), &NETWORK, &key, at(0), expiry);
    boxes.keep(at(0), &key, Record::accepted(stamp, None), data).unwrap();
}

/// Lets everything of the inbox expire at `until`.
fn expire_all(boxes: &mut Mailboxes<MemoryStore>, owner: &Owner, until: Timestamp) {
    let mutation = owner.sign(Namespace::INBOX, at(0), Op::ExpireAll { expiry: until });
    boxes.apply(at(0), &owner.id, Namespace::INBOX.into(), mutation).unwrap();
}

/// Entries of the expiry index before a time.
fn due_before(boxes: &Mailboxes<MemoryStore>, until: Timestamp) -> usize {
    let mut rows = 0;
    let visit = &mut |key: &[u8], _: &[u8]| {
        rows += usize::from(key[..4] < until.minute().to_be_bytes()[..]);
        ControlFlow::Continue(())
    };
    boxes.store().scan(Table::Expiry, &[], &[0xff; 80], visit).unwrap();
    rows
}

#[test]
fn what_has_expired_leaves_while_ranges_wait() {
    let (mut boxes, alice) = with_many(700, Ttl::FORTNIGHT);
    let bob = owner(2);
    for number in 0..20_u8 {
        keep(&mut boxes, &bob, &[number], at(1));
    }
    boxes.commit().unwrap();
    expire_all(&mut boxes, &alice, at(100));
    let swept = boxes.sweep(at(2), 64).unwrap();
    assert_eq!((swept.rows, swept.more), (32 + 20, true));
    assert_eq!(boxes.counters().messages, 700, "bob's are gone");
}

#[test]
fn scopes_that_wait_take_turns() {
    let (mut boxes, alice) = with_many(700, Ttl::FORTNIGHT);
    let others: Vec<Owner> = (2..6).map(owner).collect();
    let fortnight = at(0).saturating_add(Ttl::FORTNIGHT.as_duration());
    for other in &others {
        for number in 0..200_u64 {
            keep(&mut boxes, other, &number.to_le_bytes(), fortnight);
        }
    }
    boxes.commit().unwrap();
    for owner in core::iter::once(&alice).chain(&others) {
        expire_all(&mut boxes, owner, at(100));
    }
    // Two slices for each: whoever goes first is not done with all before the others begin.
    for _ in 0..10 {
        boxes.sweep(at(0), 20).unwrap();
    }
    let mut moved = BTreeSet::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        if key[..4] < at(101).minute().to_be_bytes()[..] {
            moved.insert(key[5..38].to_vec());
        }
        ControlFlow::Continue(())
    };
    boxes.store().scan(Table::Expiry, &[], &[0xff; 80], visit).unwrap();
    assert_eq!(moved.len(), 1 + others.len());
}

#[test]
fn range_that_comes_again_and_again_lets_its_scope_be_gone_through() {
    let (mut boxes, alice) = with_many(700, Ttl::FORTNIGHT);
    for hour in 0..40 {
        // Each is sooner than the one before, so that all records are to be moved again.
        expire_all(&mut boxes, &alice, at(200 - hour));
        boxes.sweep(at(0), 128).unwrap();
    }
    assert_eq!(due_before(&boxes, at(201)), 700, "each record was moved");
    // The last range is applied as well, when no more come.
    while boxes.sweep(at(0), 1000).unwrap().more {}
    assert_eq!(due_before(&boxes, at(162)), 700);
}

#[test]
fn damage_of_the_usage_keeps_no_record_for_ever() {
    let (mut boxes, _) = with_many(3, Ttl::DAY);
    let mut usage = Vec::new();
    let store = boxes.store_mut();
    store
        .scan(Table::Meta, b"usage/", b"usage0", &mut |key, value| {
            usage.push((key.to_vec(), value.to_vec()));
            ControlFlow::Continue(())
        })
        .unwrap();
    for (key, _) in &usage {
        store.put(Table::Meta, key, vec![0xee; 30]);
    }
    store.commit().unwrap();
    boxes.sweep(at(30), 100).unwrap();
    assert_eq!((boxes.counters().messages, boxes.damaged()), (3, 3));
    boxes.sweep(at(31), 100).unwrap();
    assert_eq!(boxes.damaged(), 3, "not tried again at once");
    for (key, value) in &usage {
        boxes.store_mut().put(Table::Meta, key, value.clone());
    }
    boxes.sweep(at(30 + 25), 100).unwrap();
    assert_eq!(boxes.counters().messages, 0);
}

#[test]
fn damaged_row_hides_no_other_from_a_page() {
    let (mut boxes, alice) = with_many(3, Ttl::DAY);
    let mut keys = Vec::new();
    let store = boxes.store_mut();
    store
        .scan(Table::Messages, &[], &[0xff; 80], &mut |key, _| {
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    store.put(Table::Messages, &keys[1], vec![0xee; 9]);
    store.commit().unwrap();
    let page = boxes.page(at(0), &alice.id, Namespace::INBOX, None, 1 << 20).unwrap();
    let data: Vec<&[u8]> = page.items.iter().map(|item| item.data.as_bytes()).collect();
    assert_eq!(data, [0_u64.to_le_bytes(), 2_u64.to_le_bytes()]);
    assert_eq!(boxes.damaged(), 1);
}

/// Half hours after the start.
fn half(number: u64) -> Timestamp {
    at(0).saturating_add(Duration::from_secs(1800 * number))
}

/// Keeps one record for an hour, and does to it what these say: signed at, how, until when.
fn expiry_after(operations: &[(u64, ExpiryMode, u64)]) -> Option<Timestamp> {
    let (mut boxes, alice) = (open(), owner(1));
    keep(&mut boxes, &alice, b"one", at(1));
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, b"one");
    for &(signed, mode, until) in operations {
        let op = Op::Expire { hash, mode, expiry: half(until) };
        let mutation = alice.sign(Namespace::INBOX, half(signed), op);
        boxes.apply(half(signed), &alice.id, Namespace::INBOX.into(), mutation).unwrap();
    }
    let now = half(operations.last().unwrap().0);
    let page = boxes.page(now, &alice.id, Namespace::INBOX, None, 1 << 20).unwrap();
    page.items.first().map(|item| item.expiry)
}

#[test]
fn operations_build_on_those_before_them_however_many_there_are() {
    use ExpiryMode::{Extend, Set, Shorten};
    // Kept to 1 h, prolonged to 40 h, and at 20 h set to 60 h.
    assert_eq!(expiry_after(&[(1, Extend, 80), (40, Set, 120)]), Some(half(120)));
    assert_eq!(expiry_after(&[(1, Extend, 80), (40, Shorten, 60)]), Some(half(60)));
    // Prolonged once before its end and then 30 times more, each before the end that is.
    let many: Vec<_> = (0..31).map(|n| (1 + 2 * n, Extend, 4 + 2 * n)).collect();
    assert_eq!(expiry_after(&many), Some(half(4 + 2 * 30)));
}

#[test]
fn operation_without_a_place_is_refused_and_forgets_none() {
    let (mut boxes, alice) = (open(), owner(1));
    keep(&mut boxes, &alice, b"one", at(1));
    let hash = MessageHash::of(&alice.id, Namespace::INBOX, b"one");
    let mut last = Ok(());
    for n in 0..=EXPIRIES_MAX as u64 {
        let op = Op::Expire { hash, mode: ExpiryMode::Extend, expiry: half(4 + n) };
        let mutation = alice.sign(Namespace::INBOX, half(1 + n), op);
        let again = mutation.clone();
        last = boxes.apply(half(1 + n), &alice.id, Namespace::INBOX.into(), mutation);
        // Told twice it is one.
        let told = boxes.apply(half(1 + n), &alice.id, Namespace::INBOX.into(), again);
        assert_eq!(told, last);
    }
    assert_eq!(last, Err(MailboxError::Quota));
    let now = half(EXPIRIES_MAX as u64);
    let page = boxes.page(now, &alice.id, Namespace::INBOX, None, 1 << 20).unwrap();
    assert_eq!(page.items[0].expiry, half(3 + EXPIRIES_MAX as u64));
}
