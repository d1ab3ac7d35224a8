//! The rules hold, or are named exactly when nothing could keep them.

use core::time::Duration;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng;

use super::oracle::{active, broken, least_relaxed};
use super::world::{Shape, at, diverse, key, machine, prefix, random, random_relay, rng};
use crate::path::{
    Candidate, Destination, FailedEdge, FailedHop, Failure, Hop, PathError, PathMachine, Rule,
};
use crate::time::Timestamp;

fn find(relays: &[Candidate], node: crate::id::NodeId) -> &Candidate {
    relays.iter().find(|relay| relay.node == node).unwrap()
}

/// Draws for `destination` and holds the result against the oracle.
fn check(
    machine: &mut PathMachine,
    now: Timestamp,
    relays: &[Candidate],
    destination: &Destination,
    errand: u64,
    rng: &mut ChaCha20Rng,
) {
    // Lives may end and layers be filled before the draw: what the oracle judges is what is left.
    machine.handle_timeout(now, rng);
    let state = machine.state().clone();
    let found = relays.iter().filter(|relay| relay.node != destination.node).count() + 1;
    let drawn = machine.draw(now, &key(errand), destination, rng);
    if found < 4 {
        assert_eq!(drawn, Err(PathError::TooFewNodes { found }));
        return;
    }
    let Some(expected) = least_relaxed(&state, relays, destination) else {
        assert_eq!(drawn, Err(PathError::GuardsExhausted));
        assert!(state.guards().len() == 20, "a path was possible");
        return;
    };
    let path = drawn.unwrap();
    let hops = path.hops.map(|hop| find(relays, hop));
    assert_eq!(broken(hops, destination), Some(expected.clone()), "{path:?}");
    assert_eq!(path.relaxed, expected);
    let state = machine.state();
    assert!(state.guards().iter().any(|member| member.node == path.guard()));
    assert!(state.middles().iter().any(|member| member.node == path.middle()));
    assert!(active(state, relays).iter().any(|guard| guard.node == path.guard()));
    assert!(active(state, relays).iter().all(|guard| guard.node != path.middle()));
}

/// Something that goes wrong for a client, or time that passes.
fn disturb(
    machine: &mut PathMachine,
    now: &mut Timestamp,
    relays: &[Candidate],
    errand: u64,
    rng: &mut ChaCha20Rng,
) {
    let roll = rng.next_u64();
    let guards = machine.state().guards().to_vec();
    match roll % 7 {
        0 => {
            for member in guards.iter().filter(|_| rng.next_u64().is_multiple_of(2)) {
                machine.handle_guard_unreachable(*now, member.node);
            }
        }
        1 => {
            for member in &guards {
                machine.handle_guard_reachable(*now, member.node);
            }
        }
        2 => *now = now.saturating_add(Duration::from_secs(roll % 1_000_000)),
        3 => {
            // Guards reach no middle: the second layer grows as far as it may.
            for i in 0..30 {
                let to = Destination::from(&relays[i % relays.len()]);
                if let Ok(path) = machine.draw(*now, &key(errand), &to, rng) {
                    machine.handle_failure(*now, &path, Failure::Edge(FailedEdge::GuardToMiddle));
                }
            }
        }
        _ => {
            let failures = [
                Failure::Edge(FailedEdge::GuardToMiddle),
                Failure::Edge(FailedEdge::MiddleToExit),
                Failure::Edge(FailedEdge::ExitToDestination),
                Failure::Silent,
                Failure::Hop(FailedHop(Hop::Exit)),
            ];
            let destination = Destination::from(&random_relay(
                usize::try_from(roll % 40).unwrap(),
                Shape { relays: 40, swarms: 4, families: 4, prefixes: 9 },
                rng,
            ));
            if let Ok(path) = machine.draw(*now, &key(errand), &destination, rng) {
                machine.handle_failure(
                    *now,
                    &path,
                    failures[usize::try_from(roll / 6 % 5).unwrap()],
                );
            }
        }
    }
}

/// A client draws for one destination after the other while things go wrong for it.
fn rules_hold(shape: Shape, seed: u64) {
    let mut rng = rng(seed);
    let mut now = at(0);
    let mut relays = random(shape, &mut rng);
    let mut machine = machine(&relays, now, &mut rng);
    for errand in 0..16 {
        let i = usize::try_from(rng.next_u64()).unwrap() % relays.len();
        let mut destination = Destination::from(&relays[i]);
        if errand % 4 == 3 {
            // Not in the anchor yet, but already in a swarm.
            destination = Destination::from(&random_relay(100 + i, shape, &mut rng));
        }
        // Some keys come again, and with them hops drawn for another destination.
        check(&mut machine, now, &relays, &destination, errand % 7, &mut rng);
        disturb(&mut machine, &mut now, &relays, 100 + errand, &mut rng);
        if rng.next_u64().is_multiple_of(3) {
            // Some nodes leave, change place or come.
            let churned = usize::try_from(rng.next_u64() % 50).unwrap();
            relays.retain(|_| !rng.next_u64().is_multiple_of(4));
            if !relays.iter().any(|relay| relay.node == super::world::node(churned)) {
                relays.push(random_relay(churned, shape, &mut rng));
            }
            machine.handle_directory(now, &relays, &mut rng);
        }
    }
}

#[test]
fn kept_hops_are_not_drawn_again_once_their_middle_has_left_the_second_layer() {
    let shape = Shape { relays: 22, swarms: 1, families: 7, prefixes: 9 };
    rules_hold(shape, 12_390_934_666_831_779_740);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rules_hold_or_are_named_exactly_when_unsatisfiable(
        relays in 1usize..=40,
        swarms in 1u64..=8,
        families in 0u64..=8,
        prefixes in 1u64..=24,
        seed in any::<u64>(),
    ) {
        rules_hold(Shape { relays, swarms, families, prefixes }, seed);
    }

    #[test]
    fn small_networks_of_unlike_nodes_relax_nothing_but_what_their_swarms_force(
        relays in 12usize..=40,
        seed in any::<u64>(),
    ) {
        // The swarms of six or so that a network of this size has: every destination leaves five
        // nodes or more elsewhere, so nothing need be relaxed, whoever is asked, in any order.
        let mut rng = rng(seed);
        let relays = diverse(relays, (relays / 6).max(2));
        let mut machine = machine(&relays, at(0), &mut rng);
        for errand in 0..60 {
            let i = usize::try_from(rng.next_u64()).unwrap() % relays.len();
            let destination = Destination::from(&relays[i]);
            let path = machine.draw(at(errand), &key(errand), &destination, &mut rng).unwrap();
            prop_assert_eq!(path.relaxed, []);
        }
        // Nor do the persisted sets grow for it.
        prop_assert_eq!(machine.state().guards().len(), 2);
        prop_assert_eq!(machine.state().middles().len(), 4);
    }
}

#[test]
fn four_nodes_of_one_swarm_relax_the_two_swarm_rules_only() {
    let relays = diverse(4, 1);
    for seed in 0..50 {
        let mut rng = rng(seed);
        let mut machine = machine(&relays, at(0), &mut rng);
        for (errand, relay) in (0..).zip(&relays) {
            let path = machine.draw(at(0), &key(errand), &relay.into(), &mut rng).unwrap();
            let expected =
                [Rule::GuardOutsideDestinationSwarm, Rule::MiddleAndExitOutsideDestinationSwarm];
            assert_eq!(path.relaxed, expected);
        }
    }
}

#[test]
fn fewer_than_four_nodes_are_refused_with_their_number() {
    let mut rng = rng(1);
    for n in 0..=3 {
        let relays = diverse(n, 1);
        let mut machine = machine(&relays, at(0), &mut rng);
        let outside = Destination { node: super::world::node(99), ..(&diverse(4, 1)[3]).into() };
        let drawn = machine.draw(at(0), &key(0), &outside, &mut rng);
        if n == 3 {
            assert!(drawn.is_ok(), "three relays and the destination are four nodes");
            let inside = Destination::from(&relays[0]);
            let drawn = machine.draw(at(0), &key(1), &inside, &mut rng);
            assert_eq!(drawn, Err(PathError::TooFewNodes { found: 3 }));
        } else {
            assert_eq!(drawn, Err(PathError::TooFewNodes { found: n + 1 }));
        }
    }
}

#[test]
fn weaker_rule_is_dropped_before_a_stronger_one() {
    // One address block throughout: only the weakest rule cannot be kept.
    let mut relays = diverse(12, 2);
    for relay in &mut relays {
        relay.prefix = prefix(0);
    }
    let mut rng = rng(5);
    let mut machine = machine(&relays, at(0), &mut rng);
    for (errand, relay) in (0..).zip(&relays) {
        let path = machine.draw(at(0), &key(errand), &relay.into(), &mut rng).unwrap();
        assert_eq!(path.relaxed, [Rule::DistinctPrefixes]);
    }
}

#[test]
fn first_draws_in_many_relays_of_one_block_stay_cheap_and_named() {
    // Ten thousand relays that clash pairwise: trying triples would take a million million steps.
    let mut relays = diverse(10_000, 1_600);
    for relay in &mut relays {
        relay.prefix = prefix(0);
    }
    let mut rng = rng(6);
    let mut machine = machine(&relays, at(0), &mut rng);
    for (errand, relay) in (0..).zip(&relays[..20]) {
        let path = machine.draw(at(0), &key(errand), &relay.into(), &mut rng).unwrap();
        assert_eq!(path.relaxed, [Rule::DistinctPrefixes]);
    }
}
