//! How long hops are kept, for whom, and what hedges and subscriptions do.

use std::collections::BTreeMap;

use super::world::{at, days, diverse, key, machine, node, rng};
use crate::path::{
    Destination, FailedEdge, FailedHop, Failure, Hop, IsolationKey, PathError, ReopenAt,
};

#[test]
fn one_key_keeps_its_hops_for_ten_minutes() {
    let mut rng = rng(1);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let first = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
    for now in [0, 1, 300, 599] {
        assert_eq!(machine.draw(at(now), &key(0), &to, &mut rng), Ok(first.clone()));
    }
    let next = machine.draw(at(600), &key(0), &to, &mut rng).unwrap();
    assert_ne!(next.number, first.number);
    assert_eq!(next.drawn, at(600));
    // A clock that was set back does not make a path live longer.
    let back = machine.draw(at(10), &key(0), &to, &mut rng).unwrap();
    assert_ne!(back.number, next.number);
}

#[test]
fn keys_never_share_a_draw() {
    let mut rng = rng(2);
    let relays = diverse(12, 2);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let mut owner = BTreeMap::new();
    for round in 0..20u64 {
        for errand in 0..100 {
            let path = machine.draw(at(round * 60), &key(errand), &to, &mut rng).unwrap();
            assert_eq!(path.key, key(errand));
            assert_eq!(*owner.entry(path.number).or_insert(errand), errand);
            if (errand + round).is_multiple_of(7) {
                machine.handle_failure(at(round * 60), &path, Failure::Silent);
            }
        }
    }
}

#[test]
fn failure_or_release_ends_the_hops_of_its_own_key_only() {
    let mut rng = rng(3);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let paths = [0, 1, 2, 3].map(|k| machine.draw(at(0), &key(k), &to, &mut rng).unwrap());
    machine.handle_failure(at(0), &paths[0], Failure::Edge(FailedEdge::MiddleToExit));
    machine.release(&key(1));
    machine.handle_failure(at(0), &paths[2], Failure::Hop(FailedHop(Hop::Destination)));
    let again = [0, 1, 2, 3].map(|k| machine.draw(at(1), &key(k), &to, &mut rng).unwrap().number);
    let same: Vec<_> = paths.iter().zip(again).map(|(path, again)| path.number == again).collect();
    // A destination that refuses says nothing against the way to it.
    assert_eq!(same, [false, false, true, true]);
}

#[test]
fn late_failure_of_an_older_path_does_not_end_the_newer_one() {
    let mut rng = rng(4);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let old = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
    let new = machine.draw(at(700), &key(0), &to, &mut rng).unwrap();
    machine.handle_failure(at(701), &old, Failure::Silent);
    assert_eq!(machine.draw(at(702), &key(0), &to, &mut rng), Ok(new));
}

#[test]
fn other_member_of_the_swarm_is_asked_over_the_same_hops_if_the_rules_hold() {
    let mut rng = rng(5);
    let relays = diverse(40, 6);
    let mut machine = machine(&relays, at(0), &mut rng);
    let first = machine.draw(at(0), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
    // Node 6 is of the same swarm.
    let second = machine.draw(at(1), &key(0), &(&relays[6]).into(), &mut rng).unwrap();
    assert_eq!((second.number, second.hops), (first.number, first.hops));
    assert_eq!(second.destination, node(6));
    // A destination that is one of the hops needs other hops.
    let exit = relays.iter().find(|relay| relay.node == first.exit()).unwrap();
    let third = machine.draw(at(2), &key(0), &exit.into(), &mut rng).unwrap();
    assert_ne!(third.number, first.number);
    assert!(!third.hops.contains(&exit.node));
}

#[test]
fn hops_end_when_one_leaves_the_directory_or_the_guard_is_down() {
    let mut rng = rng(6);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let first = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
    let without: Vec<_> = relays.iter().copied().filter(|r| r.node != first.exit()).collect();
    machine.handle_directory(at(1), &without, &mut rng);
    let second = machine.draw(at(2), &key(0), &to, &mut rng).unwrap();
    assert_ne!(second.number, first.number);
    machine.handle_guard_unreachable(at(3), second.guard());
    let third = machine.draw(at(4), &key(0), &to, &mut rng).unwrap();
    assert_ne!(third.guard(), second.guard());
}

#[test]
fn hedge_takes_the_same_guard_and_another_way() {
    for seed in 0..50 {
        let mut rng = rng(seed);
        let relays = diverse(12, 2);
        let to = Destination::from(&relays[0]);
        let mut machine = machine(&relays, at(0), &mut rng);
        let first = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
        let hedge = machine.draw_hedge(at(1), &first, &to, &mut rng).unwrap();
        assert_eq!((hedge.guard(), hedge.key), (first.guard(), first.key));
        assert_ne!(hedge.middle(), first.middle());
        assert_ne!(hedge.exit(), first.exit());
        assert_eq!(hedge.relaxed, []);
        // The first path stays the key's path, and the second layer is as it was.
        assert_eq!(machine.draw(at(2), &key(0), &to, &mut rng), Ok(first.clone()));
        assert_eq!(machine.state().middles().len(), 4);
        let gone: Vec<_> = relays.iter().copied().filter(|r| r.node != first.guard()).collect();
        machine.handle_directory(at(3), &gone, &mut rng);
        let hedge = machine.draw_hedge(at(3), &first, &to, &mut rng);
        assert_eq!(hedge, Err(PathError::GuardGone));
    }
}

#[test]
fn subscription_keeps_its_hops_through_resets_and_moves_on_after_three() {
    let mut rng = rng(7);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let first = machine.draw_subscription(at(0), &key(0), &to, &mut rng).unwrap();
    // It outlives a one-shot path.
    let later = machine.draw_subscription(days(2), &key(0), &to, &mut rng).unwrap();
    assert_eq!(later.number, first.number);
    let mut now = days(2);
    for resets in 1..=3 {
        let path = machine.draw_subscription(now, &key(0), &to, &mut rng).unwrap();
        assert_eq!(path.number, first.number, "a reset draws no new hops");
        let reopen = machine.handle_reset(now, &path, &mut rng);
        assert!(reopen.at > now);
        assert_eq!(reopen.resets, resets);
        let moves = if resets < 3 { ReopenAt::SameMember } else { ReopenAt::AnotherMember };
        assert_eq!(reopen.member, moves);
        now = reopen.at;
    }
    let path = machine.draw_subscription(now, &key(0), &(&relays[6]).into(), &mut rng).unwrap();
    assert_eq!(machine.handle_reset(now, &path, &mut rng).resets, 1);
}

#[test]
fn broken_subscription_backs_off_and_draws_new_hops() {
    let mut rng = rng(8);
    let relays = diverse(40, 6);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let mut now = at(0);
    let mut last = 0;
    for i in 0..6 {
        let path = machine.draw_subscription(now, &key(0), &to, &mut rng).unwrap();
        assert_ne!(path.number, last);
        last = path.number;
        let reopen = machine.handle_break(now, &path, Failure::Silent, &mut rng);
        let wait = reopen.at.saturating_since(now).as_millis();
        // 1, 2, 4 … s, of which the second half is random.
        assert!((500 << i..=1000 << i).contains(&wait), "{i}: {wait}");
        assert_eq!((reopen.member, reopen.resets), (ReopenAt::SameMember, 0));
        now = reopen.at;
    }
}

#[test]
fn paths_held_are_bounded_and_subscriptions_outlast_one_shot_paths() {
    let mut rng = rng(9);
    let relays = diverse(12, 2);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let standing = machine.draw_subscription(at(0), &key(0), &to, &mut rng).unwrap();
    let early = machine.draw(at(0), &key(1), &to, &mut rng).unwrap();
    for errand in 2..1_030 {
        machine.draw(at(1), &key(errand), &to, &mut rng).unwrap();
    }
    let again = machine.draw_subscription(at(2), &key(0), &to, &mut rng).unwrap();
    assert_eq!(again.number, standing.number);
    let again = machine.draw(at(2), &key(1), &to, &mut rng).unwrap();
    assert_ne!(again.number, early.number, "the oldest made room");
}

#[test]
fn isolation_keys_differ_in_each_part_and_do_not_show_themselves() {
    let keys = [
        IsolationKey::new(b"a", b"b", "send"),
        IsolationKey::new(b"ab", b"", "send"),
        IsolationKey::new(b"b", b"a", "send"),
        IsolationKey::new(b"a", b"b", "retrieve"),
    ];
    for (i, key) in keys.iter().enumerate() {
        assert!(keys[..i].iter().all(|other| other != key));
        assert_eq!(format!("{key:?}"), "IsolationKey(..)");
    }
}
