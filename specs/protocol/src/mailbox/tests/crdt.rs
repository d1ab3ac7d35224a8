//! Two members' knowledge becomes one, whatever the order.

use proptest::prelude::*;

use super::net::{NETWORK, node_key, owner};
use crate::identity::AccountId;
use crate::mailbox::{
    ACCEPTANCES_MAX, EXPIRIES_MAX, ExpiryMode, MessageHash, Mutation, Namespace, NamespaceClass,
    Op, RangeMarks, Record, RecordKey, Stamp,
};
use crate::time::Timestamp;

const OWN: Namespace = Namespace::new(2);

fn key() -> RecordKey {
    let account = owner(1).id;
    RecordKey { account, namespace: OWN, hash: MessageHash::of(&account, OWN, b"data") }
}

fn at(millis: u64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + millis)
}

/// One fact about the record, as a member may learn it.
fn fact(kind: u8, member: usize, time: u64, value: u64) -> Record {
    let hash = key().hash;
    let sign = |op| owner(1).sign(OWN, at(time), op);
    let stamp = Stamp::new(&node_key(member), &NETWORK, &key(), at(time), at(time + value));
    match kind {
        0 => Record::accepted(stamp, None),
        1 => Record::accepted(stamp, Some(sign(Op::Store { hash, ttl: 60 }))),
        2 => Record::stated(sign(Op::Delete { hash })).unwrap(),
        3 => {
            let op = Op::Expire { hash, mode: ExpiryMode::Set, expiry: at(value) };
            Record::stated(sign(op)).unwrap()
        }
        4 => {
            let op = Op::Expire { hash, mode: ExpiryMode::Shorten, expiry: at(value) };
            Record::stated(sign(op)).unwrap()
        }
        _ => {
            let op = Op::Expire { hash, mode: ExpiryMode::Extend, expiry: at(value) };
            Record::stated(sign(op)).unwrap()
        }
    }
}

fn facts() -> impl Strategy<Value = Vec<Record>> {
    // Four times, signed or not: no more acceptances than are kept.
    let one = (0u8..6, 0usize..3, 0u64..4, 0u64..50);
    let one = one.prop_map(|(kind, member, time, value)| fact(kind, member, time, value));
    proptest::collection::vec(one, 1..14)
}

fn join(facts: impl IntoIterator<Item = Record>) -> Record {
    facts.into_iter().fold(Record::default(), Record::merge)
}

fn mark(kind: u8, time: u64, value: u64) -> RangeMarks {
    let op = match kind {
        0 => Op::DeleteAll,
        1 => Op::DeleteBefore { before: at(value) },
        _ => Op::ExpireAll { expiry: at(value) },
    };
    RangeMarks::stated(owner(1).sign(OWN, at(time), op)).unwrap()
}

fn marks() -> impl Strategy<Value = Vec<RangeMarks>> {
    let one = (0u8..3, 0u64..6, 0u64..9).prop_map(|(kind, time, value)| mark(kind, time, value));
    proptest::collection::vec(one, 1..14)
}

fn join_marks(marks: impl IntoIterator<Item = RangeMarks>) -> RangeMarks {
    marks.into_iter().fold(RangeMarks::default(), RangeMarks::merge)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn merging_records_is_commutative_associative_and_idempotent(
        facts in facts(),
        cuts in any::<[prop::sample::Index; 2]>(),
        order in any::<u64>(),
    ) {
        let whole = join(facts.clone());
        prop_assert_eq!(whole.clone().merge(whole.clone()), whole.clone());
        let mut shuffled: Vec<_> = facts.iter().cloned().enumerate().collect();
        shuffled.sort_by_key(|(i, _)| (order ^ (*i as u64)).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let shuffled: Vec<Record> = shuffled.into_iter().map(|(_, fact)| fact).collect();
        let mut cuts = cuts.map(|cut| cut.index(shuffled.len()));
        cuts.sort_unstable();
        let [a, b, c] = [
            join(shuffled[..cuts[0]].to_vec()),
            join(shuffled[cuts[0]..cuts[1]].to_vec()),
            join(shuffled[cuts[1]..].to_vec()),
        ];
        let left = a.clone().merge(b.clone()).merge(c.clone());
        let right = a.clone().merge(b.clone().merge(c.clone()));
        let reversed = c.merge(b).merge(a);
        prop_assert_eq!(&left, &right);
        prop_assert_eq!(&left, &reversed);
        prop_assert_eq!(&left, &whole);
        prop_assert_eq!(left.digest(), whole.digest());
    }

    #[test]
    fn merging_marks_is_commutative_associative_and_idempotent(
        marks in marks(),
        cut in any::<prop::sample::Index>(),
    ) {
        let whole = join_marks(marks.clone());
        prop_assert_eq!(whole.clone().merge(whole.clone()), whole.clone());
        prop_assert_eq!(join_marks(marks.iter().rev().cloned()), whole.clone());
        let cut = cut.index(marks.len());
        let (a, b) = (join_marks(marks[..cut].to_vec()), join_marks(marks[cut..].to_vec()));
        prop_assert_eq!(a.merge(b), whole);
    }

    #[test]
    fn nothing_said_before_a_delete_undoes_it(before in facts(), time in 0u64..4) {
        let delete = fact(2, 0, time, 0);
        let earlier = |m: &Record| m.owner_signed_at().is_none_or(|signed| signed <= at(time));
        let before: Vec<Record> = before.into_iter().filter(earlier).collect();
        let record = join(before.clone()).merge(delete.clone());
        prop_assert!(!record.is_accepted());
        prop_assert!(!join(before.into_iter().chain([delete]).rev()).is_accepted());
    }

    #[test]
    fn records_and_marks_stay_bounded(facts in facts(), marks in marks()) {
        let marks = join_marks(marks);
        let record = join(facts).under(&marks, NamespaceClass::Own);
        let len = crate::wire::encode(&record).len();
        prop_assert!(len < ACCEPTANCES_MAX * 300 + (EXPIRIES_MAX + 1) * 200, "{} bytes", len);
        let len = crate::wire::encode(&marks).len();
        prop_assert!(len < (EXPIRIES_MAX + 1) * 200, "{} bytes", len);
    }
}

#[test]
fn acceptance_and_expiry_merge_by_maximum() {
    let early = fact(0, 0, 1, 40); // Accepted at 1, kept until 41.
    let late = fact(0, 1, 3, 10); // Accepted at 3, kept until 13.
    let (record, marks) = (early.merge(late), RangeMarks::default());
    assert_eq!(record.expiry(&marks), Some(at(41)));
    assert_eq!(record.accepted_at(&marks, at(12)), Some(at(3)));
    assert_eq!(record.accepted_at(&marks, at(13)), Some(at(1)), "what ended keeps nothing");
    assert_eq!(record.accepted_at(&marks, at(41)), None);
}

#[test]
fn expiry_folds_operations_in_the_order_they_were_signed() {
    let expiry = |facts: &[Record]| join(facts.iter().cloned()).expiry(&RangeMarks::default());
    let base = fact(0, 0, 0, 20);
    let (shorten, extend) = (fact(4, 0, 1, 10), fact(5, 0, 2, 30));
    assert_eq!(expiry(&[base.clone(), shorten.clone()]), Some(at(10)));
    assert_eq!(expiry(&[extend.clone(), base.clone(), shorten.clone()]), Some(at(30)));
    let (set, early) = (fact(3, 0, 3, 15), fact(5, 0, 2, 49));
    assert_eq!(expiry(&[set, base.clone(), early, extend]), Some(at(15)));
    // What was said before the owner's latest store does not touch it.
    let stored = fact(1, 0, 5, 40);
    assert_eq!(expiry(&[base, shorten, stored]), Some(at(45)));
}

#[test]
fn range_tombstone_covers_what_was_accepted_and_signed_up_to_it() {
    use crate::mailbox::NamespaceClass::{Inbox, Outbox, Own};
    let upto_3 = mark(0, 3, 0);
    let covers = |record: Record, class| !record.under(&upto_3, class).is_accepted();
    let accepted = |time| fact(0, 0, time, 40);
    assert!(covers(accepted(3), Inbox));
    assert!(!covers(accepted(4), Inbox));
    assert!(covers(fact(1, 0, 3, 40), Own));
    assert!(!covers(fact(1, 0, 4, 40), Own));
    // Accepted again after the range, by a member that was told late, but signed before it.
    let again = || fact(1, 0, 2, 40).merge(fact(0, 1, 5, 40));
    assert!(!covers(again(), Own));
    assert!(covers(again(), Outbox));
    // What is accepted after it does not bring back the longer life of what it covers.
    let shorter = fact(0, 0, 2, 40).merge(fact(0, 0, 5, 10));
    let expiry = shorter.under(&upto_3, Inbox).expiry(&upto_3);
    assert_eq!(expiry, Some(at(15)));
    // A range never reaches beyond its own signing.
    let reaching = mark(1, 3, 8);
    assert_eq!(reaching.deleted_upto(), Some(at(3)));
}

#[test]
fn expiry_operation_reaches_what_was_accepted_before_it_and_prolongs_what_comes_later() {
    let minutes = |minutes: u64| 60_000 * minutes;
    let store = |from: u64, minutes_long: u64| fact(0, 0, minutes(from), minutes(minutes_long));
    let operation = |kind, time: u64, to: u64| fact(kind, 0, minutes(time), minutes(to));
    let expiry = |one: Record, two: Record| {
        let millis = one.merge(two).expiry(&RangeMarks::default())?.as_millis() - 1_000_000;
        Some(millis / 60_000)
    };
    let (set, shorten, extend) = (3, 4, 5);
    // Set or shortened at 10 to 20: in force for what was accepted up to 12, as clocks may be off.
    for kind in [set, shorten] {
        assert_eq!(expiry(store(0, 60), operation(kind, 10, 20)), Some(20));
        assert_eq!(expiry(store(12, 60), operation(kind, 10, 20)), Some(20));
        assert_eq!(expiry(store(13, 60), operation(kind, 10, 20)), Some(73));
    }
    for kind in [set, extend] {
        assert_eq!(expiry(store(0, 60), operation(kind, 10, 90)), Some(90));
        assert_eq!(expiry(store(13, 60), operation(kind, 10, 90)), Some(90));
    }
    assert_eq!(expiry(store(13, 60), operation(extend, 10, 20)), Some(73));
}

#[test]
fn statement_is_bound_to_its_account_scope_time_operation_and_network() {
    let alice = owner(1);
    let hash = key().hash;
    let mutation = alice.sign(OWN, at(1), Op::Delete { hash });
    let check =
        |m: &Mutation, account: &AccountId, scope| m.verify(&NETWORK, account, scope).is_ok();
    assert!(check(&mutation, &alice.id, OWN.into()));
    assert!(!check(&mutation, &owner(2).id, OWN.into()));
    assert!(!check(&mutation, &alice.id, Namespace::INBOX.into()));
    assert!(!check(&mutation, &alice.id, crate::mailbox::Scope::All));
    let elsewhere = crate::id::NetworkId::from_bytes([4; 32]);
    assert!(mutation.verify(&elsewhere, &alice.id, OWN.into()).is_err());
    let mut changed = mutation.clone();
    changed.by.signed_at = at(2);
    assert!(!check(&changed, &alice.id, OWN.into()));
    let mut changed = mutation.clone();
    changed.op = Op::Delete { hash: MessageHash::from_bytes([0; 32]) };
    assert!(!check(&changed, &alice.id, OWN.into()));
    let mut changed = mutation;
    changed.by.author = crate::mailbox::Author::Owner(owner(2).key.public());
    assert!(!check(&changed, &alice.id, OWN.into()));
}

#[test]
fn stamp_is_bound_to_its_record_times_and_member() {
    let stamp = Stamp::new(&node_key(0), &NETWORK, &key(), at(1), at(9));
    assert_eq!(stamp.verify(&NETWORK, &key()), Ok(()));
    let other = RecordKey { namespace: Namespace::INBOX, ..key() };
    assert!(stamp.verify(&NETWORK, &other).is_err());
    for changed in [
        Stamp { accepted_at: at(2), ..stamp },
        Stamp { expiry: at(10), ..stamp },
        Stamp { by: crate::id::NodeId::from_bytes(*node_key(1).public().as_bytes()), ..stamp },
    ] {
        assert!(changed.verify(&NETWORK, &key()).is_err());
    }
}
