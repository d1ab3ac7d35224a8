//! What is persisted: enough to go on exactly as before, and harmless when it is not ours.

use core::time::Duration;
use std::collections::BTreeSet;

use proptest::prelude::*;
use rand_core::Rng;

use super::world::{Shape, at, days, diverse, events, key, machine, node, random, rng, tries};
use crate::id::NodeId;
use crate::path::{
    Destination, GUARDS_MAX, Member, PATH_HEALTH_MAX, PATH_STATE_MAX, PathEvent, PathHealth,
    PathMachine, PathState,
};
use crate::time::Timestamp;

fn member() -> impl Strategy<Value = Member> {
    let time = prop_oneof![
        any::<u64>(),
        Just(0),
        Just(u64::MAX),
        (0..200u64).prop_map(|day| days(day).as_millis()),
    ];
    let time = time.prop_map(Timestamp::from_millis).boxed();
    (0usize..50, time.clone(), time.clone(), proptest::option::of(time)).prop_map(
        |(i, first_seen, expires, missing_since)| Member {
            node: node(i),
            first_seen,
            expires,
            missing_since,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn restored_machine_draws_what_the_first_would_have_drawn(
        relays in 4usize..=40,
        swarms in 1u64..=6,
        seed in any::<u64>(),
    ) {
        let mut rng = rng(seed);
        let shape = Shape { relays, swarms, families: 5, prefixes: 30 };
        let relays = random(shape, &mut rng);
        let mut first = machine(&relays, at(0), &mut rng);
        for errand in 0..30 {
            let i = usize::try_from(rng.next_u64()).unwrap() % relays.len();
            first.draw(at(errand), &key(errand), &(&relays[i]).into(), &mut rng).unwrap();
        }
        let stored = first.state().encode();
        let mut restored =
            PathMachine::new(PathState::decode(&stored).unwrap(), at(40));
        // Both hear of the directory again, as the restored one does at its start.
        let mut same = rng.clone();
        first.handle_directory(at(50), &relays, &mut rng);
        restored.handle_directory(at(50), &relays, &mut same);
        for errand in 100..130 {
            let i = usize::try_from(errand).unwrap() % relays.len();
            let to = Destination::from(&relays[i]);
            let expected = first.draw(at(60), &key(errand), &to, &mut rng).unwrap();
            let drawn = restored.draw(at(60), &key(errand), &to, &mut same).unwrap();
            prop_assert_eq!((drawn.hops, drawn.relaxed), (expected.hops, expected.relaxed));
        }
        prop_assert_eq!(first.state(), restored.state());
    }

    #[test]
    fn hostile_state_is_put_into_bounds(
        guards in proptest::collection::vec(member(), 0..60),
        middles in proptest::collection::vec(member(), 0..60),
        seed in any::<u64>(),
    ) {
        let json = serde_json::json!({ "guards": guards, "middles": middles }).to_string();
        let state: PathState = serde_json::from_str(&json).unwrap();
        let mut rng = rng(seed);
        let now = days(100);
        let mut machine = PathMachine::new(state, now);
        let state = machine.state().clone();
        prop_assert!(state.guards().len() <= GUARDS_MAX && state.middles().len() <= 16);
        let mut nodes: Vec<_> =
            state.guards().iter().chain(state.middles()).map(|m| m.node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        prop_assert_eq!(nodes.len(), state.guards().len() + state.middles().len());
        for guard in state.guards() {
            prop_assert!(guard.first_seen <= now && guard.expires <= days(220));
            prop_assert!(guard.missing_since.is_none_or(|since| since <= now));
        }
        let relays = diverse(40, 6);
        machine.handle_directory(now, &relays, &mut rng);
        for errand in 0..10 {
            let later = now.saturating_add(Duration::from_secs(errand * 1_000_000));
            machine.handle_timeout(later, &mut rng);
            let path = machine.draw(later, &key(errand), &(&relays[0]).into(), &mut rng);
            prop_assert_eq!(path.map(|path| path.relaxed), Ok(vec![]));
        }
        prop_assert!(machine.state().encode().len() <= PATH_STATE_MAX);
    }

    #[test]
    fn arbitrary_bytes_are_refused_or_harmless(
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut bytes = bytes;
        if let Some(version) = bytes.first_mut() {
            *version = crate::wire::VERSION;
        }
        if let Ok(state) = PathState::decode(&bytes) {
            let mut rng = rng(0);
            let mut machine = PathMachine::new(state, at(0));
            machine.handle_directory(at(0), &diverse(12, 2), &mut rng);
        }
    }
}

#[test]
fn full_state_fits_its_limit() {
    let member = |i| Member {
        node: node(i),
        first_seen: Timestamp::from_millis(u64::MAX),
        expires: Timestamp::from_millis(u64::MAX),
        missing_since: Some(Timestamp::from_millis(u64::MAX)),
    };
    let members = |n: usize| (0..n).map(member).collect::<Vec<_>>();
    let json = serde_json::json!({ "guards": members(20), "middles": members(16) }).to_string();
    let state: PathState = serde_json::from_str(&json).unwrap();
    let bytes = state.encode();
    // Version, two counts, 36 members of 32 + 10 + 10 + 1 + 10 bytes.
    assert_eq!(bytes.len(), 1 + 2 + 36 * 63);
    assert_eq!(PathState::decode(&bytes), Ok(state));
    assert!(PathState::decode(&[1; PATH_STATE_MAX + 1]).is_err());
    assert!(PathState::decode(&bytes[..bytes.len() - 1]).is_err());
}

#[test]
fn change_of_state_is_told_once_and_before_the_path_is_used() {
    let relays = diverse(12, 2);
    let mut rng = rng(1);
    let mut machine = machine(&relays, at(0), &mut rng);
    assert_eq!(events(&mut machine), [PathEvent::StateChanged]);
    machine.handle_directory(at(600), &relays, &mut rng);
    machine.draw(at(600), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
    assert_eq!(events(&mut machine), [], "nothing changed");
    // Only the guard outside the swarm of node 0 may serve; with it down another is drawn.
    for _ in 0..2 {
        let path = machine.draw(at(601), &key(1), &(&relays[0]).into(), &mut rng).unwrap();
        machine.handle_guard_unreachable(at(601), path.guard());
    }
    assert_eq!(events(&mut machine), [PathEvent::StateChanged]);
    assert_eq!(machine.state().guards().len(), 3);
}

#[test]
fn state_that_was_put_into_bounds_is_to_be_persisted() {
    let double =
        Member { node: node(1), first_seen: at(0), expires: days(90), missing_since: None };
    let json = serde_json::json!({ "guards": [double, double], "middles": [double] }).to_string();
    let mut machine = PathMachine::new(serde_json::from_str(&json).unwrap(), at(0));
    assert_eq!(events(&mut machine), [PathEvent::StateChanged]);
    assert_eq!((machine.state().guards().len(), machine.state().middles().len()), (1, 0));
}

#[test]
fn same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut rng = rng(seed);
        let relays = diverse(40, 6);
        let mut machine = machine(&relays, at(0), &mut rng);
        let mut draw = |errand: u64| {
            let to = Destination::from(&relays[usize::try_from(errand % 40).unwrap()]);
            machine.draw(at(errand), &key(errand), &to, &mut rng).unwrap().hops
        };
        (0..100).map(&mut draw).collect::<Vec<_>>()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn restarted_client_goes_round_the_nodes_that_were_dead() {
    let relays = diverse(12, 2);
    let mut rng = rng(5);
    let mut first = machine(&relays, at(0), &mut rng);
    let to = Destination::from(&relays[0]);
    let dead: BTreeSet<NodeId> = first.guards_in_use().into_iter().collect();
    assert!(tries(&mut first, at(0), &key(1), &to, &dead, 30, &mut rng).unwrap() > 1);
    let (state, health) = (first.state().clone(), first.health(at(40)).encode());

    let restart = |health: PathHealth, now| {
        let mut rng = super::world::rng(6);
        let mut machine = PathMachine::new(state.clone(), now).with_health(health, now);
        machine.handle_directory(now, &relays, &mut rng);
        let path = machine.draw(now, &key(2), &to, &mut rng).unwrap();
        (machine, path)
    };
    let stored = || PathHealth::decode(&health).unwrap();
    let (_, path) = restart(stored(), at(41));
    assert!(!dead.contains(&path.guard()));
    let (_, path) = restart(PathHealth::default(), at(41));
    assert!(dead.contains(&path.guard()), "without it the same guards are tried first");
    // The first failure is probed for after 30 s, and counts for 10 minutes after that.
    let (_, path) = restart(stored(), at(41 + 640));
    assert!(dead.contains(&path.guard()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn hostile_health_is_put_into_bounds_and_keeps_no_path_away(
        nodes in proptest::collection::vec((0usize..1500, any::<u32>(), any::<u64>()), 0..1500),
        seed in any::<u64>(),
    ) {
        let charged: Vec<_> = nodes.iter().map(|&(i, charge, since)| serde_json::json!({
            "node": node(i), "charge": charge, "since": Timestamp::from_millis(since),
        })).collect();
        let down: Vec<_> = nodes.iter().map(|&(i, failures, probe_at)| serde_json::json!({
            "node": node(i), "failures": failures, "probe_at": Timestamp::from_millis(probe_at),
        })).collect();
        let unreached: Vec<_> = nodes.iter().map(|&(i, _, since)| serde_json::json!({
            "node": node(i), "since": Timestamp::from_millis(since),
        })).collect();
        let health = serde_json::json!({
            "charged": charged, "down": down, "unreached": unreached,
            "answered": Timestamp::from_millis(u64::MAX), "grew_blindly": null,
        });
        let health: PathHealth = serde_json::from_value(health).unwrap();
        let relays = diverse(12, 2);
        let mut rng = rng(seed);
        let state = machine(&relays, at(0), &mut rng).state().clone();
        let mut machine = PathMachine::new(state, at(1)).with_health(health, at(1));
        machine.handle_directory(at(1), &relays, &mut rng);
        for (errand, relay) in (0..).zip(&relays) {
            let to = Destination::from(relay);
            prop_assert!(machine.draw(at(2), &key(errand), &to, &mut rng).is_ok());
        }
        let stored = machine.health(at(2)).encode();
        prop_assert!(stored.len() <= PATH_HEALTH_MAX);
        prop_assert!(PathHealth::decode(&stored).is_ok());
    }
}

#[test]
fn what_two_processes_chose_and_gave_up_is_merged() {
    let relays = diverse(40, 4);
    let mut rng = rng(8);
    let base = machine(&relays, at(0), &mut rng);
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    let dead = base.guards_in_use();
    let mut grow = |machine: &mut PathMachine| {
        for guard in &dead {
            machine.handle_guard_unreachable(at(1), *guard);
        }
        machine.draw(at(1), &key(1), &(&relays[0]).into(), &mut rng).unwrap();
    };
    grow(&mut ours);
    grow(&mut theirs);
    let added = |machine: &PathMachine| -> Vec<NodeId> {
        let nodes = machine.state().guards().iter().map(|guard| guard.node);
        nodes.filter(|node| !dead.contains(node)).collect()
    };
    let (mine, other) = (added(&ours), added(&theirs));
    assert!(!mine.is_empty() && !other.is_empty());
    ours.merge(at(2), base.state(), theirs.state());
    let all = added(&ours);
    assert!(mine.iter().chain(&other).all(|node| all.contains(node)));
    assert_eq!(all[..other.len()], other, "what is stored keeps its order");
    // Whoever was given up by either is gone; the other way round the result is as good.
    let given_up = dead[0];
    let mut less = PathState::default();
    less.guards.extend(base.state().guards().iter().filter(|guard| guard.node != given_up));
    let is_guard =
        |machine: &PathMachine| machine.state().guards().iter().any(|guard| guard.node == given_up);
    assert!(is_guard(&ours));
    ours.merge(at(3), base.state(), &less);
    assert!(!is_guard(&ours));
    let mut gave_up = PathMachine::new(less, at(3));
    gave_up.merge(at(3), base.state(), theirs.state());
    assert!(!is_guard(&gave_up) && added(&gave_up).iter().eq(&other));
}

#[test]
fn merged_state_keeps_the_bounds() {
    let relays = diverse(60, 4);
    let mut rng = rng(9);
    let full = |from: usize, rng: &mut _| {
        let mut state = PathState::default();
        for i in from..from + GUARDS_MAX {
            state.add_guard(node(i), at(0), rng);
            state.add_middle(node(i + 1), at(0), rng);
        }
        state
    };
    let theirs = full(0, &mut rng);
    let mut machine = PathMachine::new(full(GUARDS_MAX, &mut rng), at(1));
    machine.merge(at(1), &PathState::default(), &theirs);
    assert_eq!(machine.state().guards(), theirs.guards());
    assert!(machine.state().middles().len() <= 16);
    machine.handle_directory(at(1), &relays, &mut rng);
    assert!(machine.draw(at(1), &key(1), &(&relays[59]).into(), &mut rng).is_ok());
}
