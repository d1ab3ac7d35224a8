//! Failures steer draws for minutes, and never change which rules are kept.

use core::time::Duration;
use std::collections::BTreeSet;

use super::world::{at, diverse, events, key, machine, node, prefix, rng, send, tries};
use crate::id::NodeId;
use crate::path::{
    Destination, FailedEdge, FailedHop, Failure, Hop, MIDDLES_MAX, Path, PathEvent, Rate, Rule,
};

const EDGES: [FailedEdge; 3] =
    [FailedEdge::GuardToMiddle, FailedEdge::MiddleToExit, FailedEdge::ExitToDestination];

const HOPS: [Hop; 4] = [Hop::Guard, Hop::Middle, Hop::Exit, Hop::Destination];

#[test]
fn named_edge_charges_its_two_ends_half_each_and_nobody_else() {
    for (edge, expected) in EDGES.into_iter().zip([[12, 12, 0, 0], [0, 12, 12, 0], [0, 0, 12, 12]])
    {
        let mut rng = rng(1);
        let relays = diverse(24, 4);
        let mut machine = machine(&relays, at(0), &mut rng);
        let path = machine.draw(at(0), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
        machine.handle_failure(at(0), &path, Failure::Edge(edge));
        assert_eq!(HOPS.map(|hop| machine.charge(at(0), &path.node(hop))), expected);
        let others = relays.iter().map(|relay| machine.charge(at(0), &relay.node)).sum::<u32>();
        assert_eq!(others, 24);
    }
}

#[test]
fn silence_charges_each_edge_a_third_and_a_refusal_only_the_one_who_refused() {
    let mut rng = rng(2);
    let relays = diverse(24, 4);
    let mut machine = machine(&relays, at(0), &mut rng);
    let path = machine.draw(at(0), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
    machine.handle_failure(at(0), &path, Failure::Silent);
    assert_eq!(HOPS.map(|hop| machine.charge(at(0), &path.node(hop))), [4, 8, 8, 4]);
    machine.handle_failure(at(0), &path, Failure::Hop(FailedHop(Hop::Exit)));
    assert_eq!(HOPS.map(|hop| machine.charge(at(0), &path.node(hop))), [4, 8, 32, 4]);
}

#[test]
fn speaker_can_name_only_the_edge_behind_it() {
    let named = HOPS.map(FailedEdge::named_by);
    assert_eq!(named, [Some(EDGES[0]), Some(EDGES[1]), Some(EDGES[2]), None]);
    for (edge, hops) in EDGES.into_iter().zip(HOPS.windows(2)) {
        assert_eq!(edge.ends(), hops);
    }
}

#[test]
fn charges_fade_by_half_in_two_minutes_and_are_bounded() {
    let mut rng = rng(3);
    let relays = diverse(24, 4);
    let mut machine = machine(&relays, at(0), &mut rng);
    let path = machine.draw(at(0), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
    machine.handle_failure(at(0), &path, Failure::Edge(FailedEdge::MiddleToExit));
    let levels = [0, 119, 120, 240, 360, 479, 480].map(|s| machine.charge(at(s), &path.exit()));
    assert_eq!(levels, [12, 12, 6, 3, 1, 1, 0]);
    for _ in 0..10_000 {
        machine.handle_failure(at(500), &path, Failure::Hop(FailedHop(Hop::Exit)));
    }
    assert_eq!(machine.charge(at(500), &path.exit()), 16 * 24);
    // 384 is nine halvings from zero.
    assert_eq!(machine.charge(at(500 + 9 * 120), &path.exit()), 0);
}

#[test]
fn failed_exit_is_avoided_while_it_is_charged_and_drawn_again_after() {
    let mut rng = rng(4);
    let relays = diverse(12, 2);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    let failed = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
    machine.handle_failure(at(0), &failed, Failure::Hop(FailedHop(Hop::Exit)));
    for errand in 1..200 {
        let path = machine.draw(at(1), &key(errand), &to, &mut rng).unwrap();
        assert_ne!(path.exit(), failed.exit());
        assert_eq!(path.relaxed, []);
    }
    let again = (200..400)
        .any(|e| machine.draw(at(1200), &key(e), &to, &mut rng).unwrap().exit() == failed.exit());
    assert!(again, "one of four exits within 200 draws");
}

#[test]
fn where_all_that_is_allowed_has_failed_the_least_charged_serves_and_no_rule_is_dropped() {
    let mut rng = rng(5);
    let relays = diverse(12, 2);
    let to = Destination::from(&relays[0]);
    let mut machine = machine(&relays, at(0), &mut rng);
    // Every node of the other swarm fails over and over; those of the destination's own do not.
    for errand in 0..500 {
        let path = machine.draw(at(errand), &key(errand), &to, &mut rng).unwrap();
        assert_eq!(path.relaxed, []);
        for hop in [Hop::Guard, Hop::Middle, Hop::Exit] {
            machine.handle_failure(at(errand), &path, Failure::Hop(FailedHop(hop)));
        }
    }
    let now = at(500);
    let charge = |machine: &crate::path::PathMachine, node: &NodeId| machine.charge(now, node);
    let path = machine.draw(now, &key(1000), &to, &mut rng).unwrap();
    let exits = relays
        .iter()
        .filter(|relay| relay.swarm != to.swarm)
        .map(|relay| relay.node)
        .filter(|node| ![path.guard(), path.middle()].contains(node));
    let least = exits.map(|exit| charge(&machine, &exit)).min();
    assert_eq!(Some(charge(&machine, &path.exit())), least);
}

#[test]
fn twelve_nodes_with_any_two_killed_serve_every_destination_within_a_few_tries() {
    let mut worst = 0;
    for one_block in [false, true] {
        let mut relays = diverse(12, 2);
        if one_block {
            relays.iter_mut().for_each(|relay| relay.prefix = prefix(0));
        }
        for (a, b) in (0..12).flat_map(|a| (0..a).map(move |b| (a, b))) {
            let dead = BTreeSet::from([node(a), node(b)]);
            for seed in 0..10 {
                let mut rng = rng(seed);
                let mut machine = machine(&relays, at(0), &mut rng);
                let alive = relays.iter().filter(|relay| !dead.contains(&relay.node));
                for (errand, relay) in (0..).zip(alive) {
                    let (to, now) = (Destination::from(relay), at(20 * errand));
                    let most = 8;
                    let tries = tries(&mut machine, now, &key(errand), &to, &dead, most, &mut rng);
                    worst = worst.max(tries.unwrap_or(u64::MAX));
                }
            }
        }
    }
    // At worst both members of the layer that serve are dead, or both guards and then an exit …
    assert!(worst <= 5, "{worst} tries");
}

#[test]
fn client_whose_whole_serving_layer_is_dead_draws_another_member() {
    let relays = diverse(12, 2);
    let to = Destination::from(&relays[0]);
    for seed in 0..50 {
        let mut rng = rng(seed);
        let mut machine = machine(&relays, at(0), &mut rng);
        let other_swarm = |node: &&NodeId| {
            relays.iter().any(|relay| relay.node == **node && relay.swarm != to.swarm)
        };
        let dead: BTreeSet<_> =
            machine.status().middles.iter().filter(other_swarm).copied().collect();
        assert_eq!(dead.len(), 2);
        let tries = tries(&mut machine, at(0), &key(0), &to, &dead, 9, &mut rng).unwrap();
        assert!(tries <= 4, "{tries}");
        assert_eq!(machine.state().middles().len(), 5);
    }
}

#[test]
fn failing_exits_do_not_widen_the_second_layer() {
    let relays = diverse(60, 10);
    let mut rng = rng(6);
    let mut machine = machine(&relays, at(0), &mut rng);
    for errand in 0..300 {
        let to = Destination::from(&relays[usize::try_from(errand % 60).unwrap()]);
        let path = machine.draw(at(errand), &key(errand), &to, &mut rng).unwrap();
        let failure =
            if errand % 2 == 0 { Failure::Edge(FailedEdge::MiddleToExit) } else { Failure::Silent };
        machine.handle_failure(at(errand), &path, failure);
    }
    assert_eq!(machine.state().middles().len(), 4);
    assert_eq!(machine.state().guards().len(), 2);
}

#[test]
fn reachability_never_relaxes_a_rule() {
    // The only guard outside the destination's swarm is down, and half of the swarm's relays are
    // guards already: the path starts at the guard that is down.
    let relays = diverse(12, 2);
    let mut rng = rng(7);
    let mut machine = machine(&relays, at(0), &mut rng);
    for errand in 0..400 {
        let to = Destination::from(&relays[usize::try_from(errand % 12).unwrap()]);
        let path = machine.draw(at(errand), &key(errand), &to, &mut rng).unwrap();
        assert_eq!(path.relaxed, []);
        machine.handle_guard_unreachable(at(errand), path.guard());
    }
}

#[test]
fn low_success_of_a_guard_is_told_once_and_again_after_it_was_well() {
    let relays = diverse(24, 4);
    let mut rng = rng(8);
    let mut machine = machine(&relays, at(0), &mut rng);
    events(&mut machine);
    let path = machine.draw(at(0), &key(0), &(&relays[0]).into(), &mut rng).unwrap();
    let told = |machine: &mut crate::path::PathMachine| {
        let low = |event| match event {
            PathEvent::GuardLowSuccess { node, rate } => Some((node, rate)),
            _ => None,
        };
        events(machine).into_iter().filter_map(low).collect::<Vec<_>>()
    };
    for _ in 0..13 {
        machine.handle_success(at(0), &path);
    }
    for _ in 0..6 {
        machine.handle_failure(at(0), &path, Failure::Silent);
    }
    // 19 tries say nothing yet; the 20th makes 7 of 20, more than a third.
    assert_eq!(told(&mut machine), []);
    machine.handle_failure(at(0), &path, Failure::Edge(FailedEdge::GuardToMiddle));
    assert_eq!(told(&mut machine), [(path.guard(), Rate { carried: 13, lost: 7 })]);
    machine.handle_failure(at(0), &path, Failure::Silent);
    assert_eq!(told(&mut machine), []);
    // What lies behind the guard is not the guard's: it carried the answer that says so.
    for _ in 0..20 {
        machine.handle_failure(at(0), &path, Failure::Edge(FailedEdge::MiddleToExit));
    }
    for _ in 0..20 {
        machine.handle_failure(at(0), &path, Failure::Silent);
    }
    let again = told(&mut machine);
    assert_eq!(again.len(), 1);
    assert!(again[0].1.is_low());
}

#[test]
fn network_of_one_swarm_works_around_any_dead_node() {
    let relays = diverse(7, 1);
    for dead in 0..7 {
        let dead = BTreeSet::from([node(dead)]);
        for seed in 0..20 {
            let mut rng = rng(seed);
            let mut machine = machine(&relays, at(0), &mut rng);
            for (errand, relay) in (0..).zip(&relays) {
                if dead.contains(&relay.node) {
                    continue;
                }
                let now = at(0).saturating_add(Duration::from_secs(20 * errand));
                let tries =
                    tries(&mut machine, now, &key(errand), &relay.into(), &dead, 6, &mut rng);
                assert!(tries.is_some(), "dead {dead:?}, seed {seed}");
                let now = now.saturating_add(Duration::from_secs(10));
                let path = machine.draw(now, &key(errand), &relay.into(), &mut rng).unwrap();
                assert_eq!(send(&mut machine, now, &path, &dead), Ok(()));
                assert!(path.relaxed.contains(&Rule::GuardOutsideDestinationSwarm));
            }
        }
    }
}

#[test]
fn guards_that_reach_no_middle_widen_the_second_layer_to_eight_and_no_further() {
    let relays = diverse(60, 10);
    let mut rng = rng(9);
    let mut machine = machine(&relays, at(0), &mut rng);
    let mut middles = BTreeSet::new();
    for errand in 0..400 {
        let to = Destination::from(&relays[usize::try_from(errand % 60).unwrap()]);
        let path = machine.draw(at(errand), &key(errand), &to, &mut rng).unwrap();
        middles.insert(path.middle());
        machine.handle_failure(at(errand), &path, Failure::Edge(FailedEdge::GuardToMiddle));
    }
    assert_eq!(machine.state().middles().len(), MIDDLES_MAX);
    assert_eq!(middles.len(), MIDDLES_MAX);
}

#[test]
fn second_layer_does_not_grow_by_nodes_that_failed_too() {
    let relays = diverse(7, 1);
    let to = Destination::from(&relays[0]);
    for seed in 0..20 {
        let mut rng = rng(seed);
        let mut machine = machine(&relays, at(0), &mut rng);
        let path = machine.draw(at(0), &key(0), &to, &mut rng).unwrap();
        let layer = machine.status().middles;
        for middle in &layer {
            let through = Path { hops: [path.guard(), *middle, path.exit()], ..path.clone() };
            machine.handle_failure(at(0), &through, Failure::Edge(FailedEdge::GuardToMiddle));
        }
        // With others that did not fail the layer would grow; here all others fail too.
        let grown = machine.clone().draw(at(1), &key(1), &to, &mut rng.clone()).unwrap();
        assert!(!layer.contains(&grown.middle()));
        for relay in &relays {
            let through = Path { hops: [path.guard(), layer[0], relay.node], ..path.clone() };
            machine.handle_failure(at(0), &through, Failure::Hop(FailedHop(Hop::Exit)));
        }
        // An answer from behind a middle proves that it was reached.
        let through = Path { hops: [path.guard(), layer[0], path.exit()], ..path.clone() };
        machine.handle_failure(at(0), &through, Failure::Edge(FailedEdge::GuardToMiddle));
        let path = machine.draw(at(1), &key(1), &to, &mut rng).unwrap();
        assert!(layer.contains(&path.middle()));
        assert_eq!(machine.state().middles().len(), layer.len());
    }
}
