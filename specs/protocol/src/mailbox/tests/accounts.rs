//! Tables, indexes and counters stay in step.

use core::ops::ControlFlow;
use core::time::Duration;

use proptest::prelude::*;

use super::net::{NETWORK, node_key, owner};
use crate::id::StoreId;
use crate::mailbox::{
    ExpiryMode, Mailboxes, MemoryStore, MessageHash, Namespace, Op, Quotas, Record, RecordKey,
    Stamp, Store, Table, Ttl,
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
    assert_eq!(again, Err(crate::mailbox::MailboxError::Deleted));
}
