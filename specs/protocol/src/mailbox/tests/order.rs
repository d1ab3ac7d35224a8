//! One set of facts, in any order, leaves a member in one state.

use core::time::Duration;

use proptest::prelude::*;

use super::net::{NETWORK, node_key, owner};
use crate::id::StoreId;
use crate::mailbox::{
    ExpiryMode, Mailboxes, MemoryStore, MessageHash, Namespace, Op, Quotas, Record, RecordKey,
    Scope, Stamp, TokenBody, Ttl,
};
use crate::time::Timestamp;

const DRAWERS: [Namespace; 3] = [Namespace::INBOX, Namespace::new(2), Namespace::OUTBOX];

/// Before all facts, so that none is refused as expired: what time does is another matter.
const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn at(minutes: u64) -> Timestamp {
    NOW.saturating_add(Duration::from_secs(60 * (minutes + 1)))
}

/// Something that a member is told.
#[derive(Clone, Debug)]
struct Fact {
    kind: u8,
    drawer: usize,
    which: u8,
    time: u64,
    value: u64,
}

fn facts() -> impl Strategy<Value = Vec<Fact>> {
    let one = (0u8..12, 0usize..3, 0u8..2, 0u64..8, 0u64..40);
    let one = one.prop_map(|(kind, drawer, which, time, value)| Fact {
        kind,
        drawer,
        which,
        time,
        value,
    });
    proptest::collection::vec(one, 1..14)
}

fn key(drawer: usize, which: u8) -> RecordKey {
    let (account, namespace) = (owner(1).id, DRAWERS[drawer]);
    // An outbox's value is published once.
    RecordKey { account, namespace, hash: MessageHash::of(&account, namespace, &[which]) }
}

fn tell(boxes: &mut Mailboxes<MemoryStore>, fact: &Fact) {
    let alice = owner(1);
    let Fact { kind, drawer, time, value, .. } = *fact;
    // The value of an outbox is told by its time: one value is published once.
    let which = if drawer == 2 { fact.time.to_le_bytes()[0] } else { fact.which };
    let key = key(drawer, which);
    let (hash, signed, expiry) = (key.hash, at(time), at(value));
    let one = Scope::One(key.namespace);
    let wide = if fact.which == 0 { one } else { Scope::All };
    let token = TokenBody::from_bytes([which; 36]);
    let (scope, op) = match kind {
        0..=3 => {
            let until = signed.saturating_add(Ttl::HOUR.as_duration());
            let stamp = Stamp::new(&node_key(0), &NETWORK, &key, signed, until);
            let op = Op::Store { hash, ttl: 3600 };
            let owner = (drawer != 0).then(|| alice.sign(one, signed, op));
            // A refusal is an answer too, and the same facts end in the same state.
            let _ = boxes.keep(NOW, &key, Record::accepted(stamp, owner), &[which]);
            return;
        }
        4 if drawer == 2 => return,
        4 => (one, Op::Delete { hash }),
        5 => (one, Op::Expire { hash, mode: ExpiryMode::Set, expiry }),
        6 => (one, Op::Expire { hash, mode: ExpiryMode::Shorten, expiry }),
        7 => (one, Op::Expire { hash, mode: ExpiryMode::Extend, expiry }),
        8 => (wide, Op::DeleteBefore { before: expiry }),
        9 => (wide, Op::ExpireAll { expiry }),
        10 => (Scope::All, Op::Revoke { token }),
        _ => (Scope::All, Op::Restore { token }),
    };
    boxes.apply(NOW, &alice.id, scope, alice.sign(scope, signed, op)).unwrap();
}

/// What can be asked of a member: the records with their times, and the tokens that are refused.
fn state(facts: &[Fact], sweeps: bool) -> Vec<String> {
    let store = MemoryStore::new(StoreId::from_bytes([1; 16]));
    let mut boxes = Mailboxes::open(store, Quotas::default()).unwrap();
    for fact in facts {
        tell(&mut boxes, fact);
        if sweeps {
            // Applies ranges; nothing has expired.
            boxes.sweep(NOW, 100).unwrap();
        }
    }
    let alice = owner(1);
    let mut state = Vec::new();
    for namespace in DRAWERS {
        let page = boxes.page(NOW, &alice.id, namespace, None, 1 << 20).unwrap();
        let mut records: Vec<String> = page
            .items
            .iter()
            .map(|i| format!("{namespace} {:?} {} {}", i.data.as_bytes(), i.accepted_at, i.expiry))
            .collect();
        records.sort();
        state.extend(records);
    }
    for which in 0..8 {
        let token = TokenBody::from_bytes([which; 36]);
        let refused: Vec<bool> =
            (0..9).map(|t| boxes.is_revoked(&alice.id, &token, at(t)).unwrap()).collect();
        state.push(format!("{refused:?}"));
    }
    state
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn facts_in_any_order_leave_one_state(
        facts in facts(),
        shuffled in Just(()).prop_flat_map(|()| any::<u64>()),
    ) {
        let mut permuted: Vec<(u64, Fact)> = facts
            .iter()
            .cloned()
            .enumerate()
            .map(|(i, f)| ((shuffled ^ (i as u64 + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15), f))
            .collect();
        permuted.sort_by_key(|(order, _)| *order);
        let permuted: Vec<Fact> = permuted.into_iter().map(|(_, fact)| fact).collect();
        let reversed: Vec<Fact> = facts.iter().rev().cloned().collect();
        let expected = state(&facts, false);
        prop_assert_eq!(&state(&permuted, false), &expected);
        prop_assert_eq!(&state(&reversed, true), &expected);
        prop_assert_eq!(&state(&facts, true), &expected, "ranges count before they are applied");
    }
}

#[test]
fn range_expiry_spares_what_is_accepted_again_after_it() {
    let store = |time| Fact { kind: 0, drawer: 0, which: 0, time, value: 0 };
    // At 3 all is to expire at 10; accepted at 1, and again at 5.
    let range = Fact { kind: 9, drawer: 0, which: 0, time: 3, value: 10 };
    let expected = state(&[store(5)], false);
    for order in [
        [store(1), range.clone(), store(5)],
        [store(1), store(5), range.clone()],
        [range.clone(), store(5), store(1)],
    ] {
        assert_eq!(state(&order, false), expected);
        assert_eq!(state(&order, true), expected);
    }
}
