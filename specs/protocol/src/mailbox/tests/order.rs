//! One set of facts, in any order, leaves a member in one state.

use core::time::Duration;

use proptest::prelude::*;

use super::net::{NETWORK, node_key, owner};
use crate::id::StoreId;
use crate::mailbox::{
    ExpiryMode, Mailboxes, MemoryStore, MessageHash, Namespace, Op, Quotas, Record, RecordKey,
    Scope, Stamp, TokenBody,
};
use crate::time::Timestamp;

const DRAWERS: [Namespace; 3] = [Namespace::INBOX, Namespace::new(2), Namespace::OUTBOX];
const OUTBOX: usize = 2;

/// Lifetimes in hours; in an outbox always the first, so that the older value goes first.
const LIVES: [u64; 4] = [14 * 24, 1, 24, 7 * 24];

const START: Timestamp = Timestamp::from_secs(1_000_000);

fn hours(hours: u64) -> Duration {
    Duration::from_secs(3600 * hours)
}

/// Something that a member is told.
#[derive(Clone, Debug)]
struct Fact {
    kind: u8,
    drawer: usize,
    which: u8,
    /// When it was accepted or signed, in ticks.
    time: u64,
    value: u64,
}

fn facts(kinds: core::ops::Range<u8>, ticks: u64) -> impl Strategy<Value = Vec<Fact>> {
    let one = (kinds, 0usize..3, 0u8..2, 0..ticks, 0u64..40);
    let one = one.prop_map(|(kind, drawer, which, time, value)| Fact {
        kind,
        drawer,
        which,
        time,
        value,
    });
    proptest::collection::vec(one, 1..14)
}

/// What a member hears and does, and how long a tick is.
struct Member {
    boxes: Mailboxes<MemoryStore>,
    now: Timestamp,
    tick: Duration,
}

impl Member {
    fn new(tick: Duration) -> Self {
        let store = MemoryStore::new(StoreId::from_bytes([1; 16]));
        Self { boxes: Mailboxes::open(store, Quotas::default()).unwrap(), now: START, tick }
    }

    fn at(&self, ticks: u64) -> Timestamp {
        START.saturating_add(self.tick * u32::try_from(ticks + 1).unwrap())
    }

    fn sweep(&mut self) {
        self.boxes.sweep(self.now, 100).unwrap();
    }

    fn tell(&mut self, fact: &Fact) {
        let alice = owner(1);
        let Fact { kind, drawer, time, value, .. } = *fact;
        // The value of an outbox is told by its time: one value is published once.
        let which = if drawer == OUTBOX { fact.time.to_le_bytes()[0] } else { fact.which };
        let key = key(drawer, which);
        let (hash, signed) = (key.hash, self.at(time));
        // Always later than the signing, so that what a member holds is there to be prolonged.
        let expiry = self.at(time + 1 + value);
        let one = Scope::One(key.namespace);
        let wide = if fact.which == 0 { one } else { Scope::All };
        let token = TokenBody::from_bytes([which; 36]);
        let (scope, op) = match kind {
            0..=4 => {
                let life = if drawer == OUTBOX {
                    LIVES[0]
                } else {
                    LIVES[usize::try_from(fact.value).unwrap() % 4]
                };
                // A little more, so that nothing expires as another thing happens.
                let life = hours(life) + Duration::from_secs(60);
                let stamp =
                    Stamp::new(&node_key(0), &NETWORK, &key, signed, signed.saturating_add(life));
                let ttl = u32::try_from(life.as_secs()).unwrap();
                let is_signed = drawer != 0 || value.is_multiple_of(5);
                let owner = is_signed.then(|| alice.sign(one, signed, Op::Store { hash, ttl }));
                // A refusal is an answer too, and the same facts end in the same state.
                let _ = self.boxes.keep(self.now, &key, Record::accepted(stamp, owner), &[which]);
                return;
            }
            5 | 6 if drawer == OUTBOX => return,
            5 => (one, Op::Delete { hash }),
            6 => (one, Op::Expire { hash, mode: ExpiryMode::Shorten, expiry }),
            7 => (wide, Op::DeleteBefore { before: self.at(value / 2) }),
            8 => (wide, Op::ExpireAll { expiry }),
            9 => (Scope::All, Op::Revoke { token }),
            10 => (Scope::All, Op::Restore { token }),
            11 => (one, Op::Expire { hash, mode: ExpiryMode::Set, expiry }),
            _ => (one, Op::Expire { hash, mode: ExpiryMode::Extend, expiry }),
        };
        self.boxes.apply(self.now, &alice.id, scope, alice.sign(scope, signed, op)).unwrap();
    }

    /// What can be asked: the records with their times, and the tokens that are refused.
    fn state(&self) -> Vec<String> {
        let alice = owner(1);
        let mut state = Vec::new();
        for namespace in DRAWERS {
            let page = self.boxes.page(self.now, &alice.id, namespace, None, 1 << 20).unwrap();
            let show = |i: &crate::mailbox::Item| {
                format!("{namespace} {:?} {} {}", i.data.as_bytes(), i.accepted_at, i.expiry)
            };
            let mut records: Vec<String> = page.items.iter().map(show).collect();
            records.sort();
            state.extend(records);
        }
        for which in 0..8 {
            let token = TokenBody::from_bytes([which; 36]);
            let refused = |t| self.boxes.is_revoked(&alice.id, &token, self.at(t)).unwrap();
            state.push(format!("{:?}", (0..9).map(refused).collect::<Vec<_>>()));
        }
        state
    }
}

fn key(drawer: usize, which: u8) -> RecordKey {
    let (account, namespace) = (owner(1).id, DRAWERS[drawer]);
    RecordKey { account, namespace, hash: MessageHash::of(&account, namespace, &[which]) }
}

/// Whether a member sweeps after each fact.
#[derive(Clone, Copy)]
enum Sweeps {
    Never,
    Often,
}

/// The state of a member that is told these facts while no time passes.
fn at_once(facts: &[Fact], sweeps: Sweeps) -> Vec<String> {
    let mut member = Member::new(Duration::from_secs(60));
    for fact in facts {
        member.tell(fact);
        if let Sweeps::Often = sweeps {
            member.sweep(); // Applies ranges; nothing has expired.
        }
    }
    member.state()
}

/// The state of a member on whose clock it is always as late as the latest fact it was told, and
/// at the end `end` ticks.
fn in_time(facts: &[Fact], end: u64, sweeps: Sweeps) -> Vec<String> {
    let mut member = Member::new(hours(1));
    for fact in facts {
        member.now = member.now.max(member.at(fact.time));
        if let Sweeps::Often = sweeps {
            member.sweep();
        }
        member.tell(fact);
    }
    member.now = member.at(end);
    member.state()
}

fn shuffled(facts: &[Fact], seed: u64) -> Vec<Fact> {
    let rank = |i: u64| (seed ^ (i + 1)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17);
    let mut ranked: Vec<(u64, Fact)> = (0..).map(rank).zip(facts.iter().cloned()).collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, fact)| fact).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn facts_in_any_order_leave_one_state(facts in facts(0..13, 8), seed in any::<u64>()) {
        let reversed: Vec<Fact> = facts.iter().rev().cloned().collect();
        let expected = at_once(&facts, Sweeps::Never);
        prop_assert_eq!(&at_once(&shuffled(&facts, seed), Sweeps::Never), &expected);
        prop_assert_eq!(&at_once(&reversed, Sweeps::Often), &expected);
        prop_assert_eq!(
            &at_once(&facts, Sweeps::Often), &expected, "ranges count before they are applied"
        );
    }

    /// Without what prolongs: whoever hears that after the record went has no data to prolong.
    #[test]
    fn facts_that_come_late_leave_one_state_too(facts in facts(0..11, 40), seed in any::<u64>()) {
        let mut sorted = facts.clone();
        sorted.sort_by_key(|fact| fact.time);
        let expected = in_time(&sorted, 45, Sweeps::Never);
        prop_assert_eq!(&in_time(&sorted, 45, Sweeps::Often), &expected);
        for sweeps in [Sweeps::Never, Sweeps::Often] {
            prop_assert_eq!(&in_time(&shuffled(&facts, seed), 45, sweeps), &expected);
            prop_assert_eq!(&in_time(&facts, 45, sweeps), &expected);
        }
    }

    /// All facts, each told within its hour, but in any order within it.
    #[test]
    fn facts_of_one_hour_in_any_order_leave_one_state(
        facts in facts(0..13, 10),
        seed in any::<u64>(),
    ) {
        let mut sorted = facts.clone();
        sorted.sort_by_key(|fact| fact.time);
        let mut jittered = shuffled(&facts, seed);
        jittered.sort_by_key(|fact| fact.time);
        let expected = in_time(&sorted, 10, Sweeps::Never);
        prop_assert_eq!(&in_time(&sorted, 10, Sweeps::Often), &expected);
        prop_assert_eq!(&in_time(&jittered, 10, Sweeps::Never), &expected);
        prop_assert_eq!(&in_time(&jittered, 10, Sweeps::Often), &expected);
    }
}

/// A store for 14 days (0), an hour (1), a day (2) or a week (3), signed if `signed`.
const fn store(time: u64, life: u64, signed: Signed) -> Fact {
    // The first number of that life that is divided by 5, or not.
    let value = match (signed, life) {
        (Signed::Yes, 0) => 20,
        (Signed::Yes, 1) => 5,
        (Signed::Yes, 2) => 10,
        (Signed::Yes, _) => 15,
        (Signed::No, 0) => 4,
        (Signed::No, life) => life,
    };
    Fact { kind: 0, drawer: 0, which: 0, time, value }
}

#[derive(Clone, Copy)]
enum Signed {
    Yes,
    No,
}

/// An operation of this kind, by which the record goes `after` hours later.
const fn operation(kind: u8, time: u64, after: u64) -> Fact {
    Fact { kind, drawer: 0, which: 0, time, value: after - 1 }
}

const SHORTEN: u8 = 6;
const EXPIRE_ALL: u8 = 8;
const SET: u8 = 11;
const EXTEND: u8 = 12;

#[test]
fn range_expiry_spares_what_is_accepted_again_after_it() {
    let store = |time| store(time, 1, Signed::No);
    // At 3 all is to expire at 10; accepted at 1, and again at 5.
    let range = operation(EXPIRE_ALL, 3, 7);
    let expected = at_once(&[store(5)], Sweeps::Never);
    for order in [
        [store(1), range.clone(), store(5)],
        [store(1), store(5), range.clone()],
        [range.clone(), store(5), store(1)],
    ] {
        assert_eq!(at_once(&order, Sweeps::Never), expected);
        assert_eq!(at_once(&order, Sweeps::Often), expected);
    }
}

#[test]
fn what_is_left_of_an_expired_record_does_not_change_the_same_data_sent_again() {
    // Kept for 14 days, said to go after two hours, gone; sent again two hours later, for an hour.
    for kind in [SHORTEN, EXPIRE_ALL, SET] {
        for signed in [Signed::Yes, Signed::No] {
            let again = store(4, 1, signed);
            let told = [store(0, 0, signed), operation(kind, 1, 1), again.clone()];
            let expected = in_time(std::slice::from_ref(&again), 4, Sweeps::Never);
            assert_eq!(expected.len(), 1 + 8, "it is read");
            for sweeps in [Sweeps::Never, Sweeps::Often] {
                assert_eq!(in_time(&told, 4, sweeps), expected, "kind {kind}");
            }
            // Nor does it if the member hears of the first one, or of its shortening, after that.
            let [first, operation, again] = told;
            for told in [
                [first.clone(), again.clone(), operation.clone()],
                [operation.clone(), again.clone(), first.clone()],
                [again, operation, first],
            ] {
                assert_eq!(in_time(&told, 4, Sweeps::Often), expected, "kind {kind}");
            }
        }
    }
}

#[test]
fn record_that_was_prolonged_and_shortened_does_not_prolong_what_comes_after_it() {
    for shorten in [SHORTEN, EXPIRE_ALL] {
        let again = store(9, 1, Signed::No);
        let told = [
            store(0, 1, Signed::No),
            operation(EXTEND, 0, 40),
            operation(shorten, 1, 2),
            again.clone(),
        ];
        let expected = in_time(&[again], 9, Sweeps::Never);
        assert_eq!(in_time(&told, 9, Sweeps::Never), expected);
        assert_eq!(in_time(&told, 9, Sweeps::Often), expected);
    }
}

#[test]
fn the_same_data_sent_again_for_a_shorter_time_takes_nothing_from_what_was_prolonged() {
    let prolonged = [store(0, 1, Signed::No), operation(EXTEND, 0, 30)];
    let again = store(1, 1, Signed::No);
    let ends = |facts: &[Fact]| {
        let state = in_time(facts, 10, Sweeps::Never);
        state[0].rsplit(' ').next().map(str::to_owned)
    };
    let expected = ends(&prolonged);
    let [first, extend] = prolonged;
    assert_eq!(ends(&[first.clone(), extend.clone(), again.clone()]), expected);
    assert_eq!(ends(&[first, again, extend]), expected);
}
