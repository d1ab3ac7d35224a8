//! Guards stay: how many a client ever shows itself to, when they are given up, who comes back.

use core::time::Duration;
use std::collections::BTreeSet;

use rand_core::Rng;

use super::world::{DAY, at, days, diverse, events, key, machine, node, rng, send, swarm, tries};
use crate::id::NodeId;
use crate::path::{
    Destination, GUARDS_MAX, GuardUse, MIDDLES_MAX, PathEvent, PathMachine, PathState, Retired,
};

const HOUR: u64 = 3600;

fn retired(machine: &mut PathMachine) -> Vec<(NodeId, Retired)> {
    let retired = |event| match event {
        PathEvent::GuardRetired { node, why } => Some((node, why)),
        _ => None,
    };
    events(machine).into_iter().filter_map(retired).collect()
}

#[test]
fn guards_in_use_are_two_and_of_two_swarms() {
    for seed in 0..100 {
        let mut rng = rng(seed);
        let relays = diverse(24, 4);
        let machine = machine(&relays, at(0), &mut rng);
        let swarms: BTreeSet<_> = machine
            .guards_in_use()
            .iter()
            .map(|guard| relays.iter().find(|relay| relay.node == *guard).unwrap().swarm)
            .collect();
        assert_eq!(swarms.len(), 2);
    }
}

#[test]
fn second_guard_is_drawn_elsewhere_once_a_second_swarm_forms() {
    let mut rng = rng(1);
    let mut relays = diverse(9, 1);
    let mut machine = machine(&relays, at(0), &mut rng);
    let before = machine.guards_in_use();
    relays.extend(
        diverse(18, 1).drain(9..).map(|relay| crate::path::Candidate { swarm: swarm(1), ..relay }),
    );
    machine.handle_directory(at(600), &relays, &mut rng);
    let after = machine.guards_in_use();
    assert_eq!(after[0], before[0]);
    assert!(relays[9..].iter().any(|relay| relay.node == after[1]));
    assert_eq!(machine.state().guards().len(), 3);
}

#[test]
fn over_a_year_a_client_shows_itself_to_few_guards() {
    for seed in 0..20 {
        let mut rng = rng(seed);
        let relays = diverse(60, 10);
        let mut machine = machine(&relays, at(0), &mut rng);
        let (mut guards, mut first_week) = (BTreeSet::new(), BTreeSet::new());
        for hour in 0..365 * 24 {
            let now = at(hour * HOUR);
            if hour % 24 == 0 {
                machine.handle_directory(now, &relays, &mut rng);
            }
            let to = usize::try_from(rng.next_u64() % 60).unwrap();
            let path = machine.draw(now, &key(hour), &(&relays[to]).into(), &mut rng).unwrap();
            guards.insert(path.guard());
            if hour < 7 * 24 {
                first_week.insert(path.middle());
            }
        }
        // Two at a time, of which each lives 60 days at least: at most 7 in each place.
        assert!((4..=14).contains(&guards.len()), "seed {seed}: {}", guards.len());
        assert_eq!(first_week.len(), 4, "no middle is replaced in its first week");
    }
}

#[test]
fn unreachable_guards_add_few_and_never_more_than_the_sample() {
    for seed in 0..5 {
        let mut rng = rng(seed);
        let relays = diverse(200, 33);
        let mut machine = machine(&relays, at(0), &mut rng);
        let mut contacted = BTreeSet::new();
        // An attacker lets a client reach no guard but its own ten nodes, for a whole month.
        let own: BTreeSet<_> = (0..10).map(node).collect();
        for hour in 0..30 * 24 {
            let now = at(hour * HOUR);
            let to = Destination::from(&relays[usize::try_from(hour % 200).unwrap()]);
            for try_ in 0..10 {
                let now = now.saturating_add(Duration::from_secs(60 * try_));
                let path = machine.draw(now, &key(hour), &to, &mut rng).unwrap();
                contacted.insert(path.guard());
                if own.contains(&path.guard()) {
                    machine.handle_success(now, &path);
                    break;
                }
                machine.handle_guard_unreachable(now, path.guard());
            }
        }
        assert!(contacted.len() <= GUARDS_MAX, "seed {seed}: {}", contacted.len());
        assert!(machine.state().guards().len() <= GUARDS_MAX);
        assert!(machine.state().middles().len() <= MIDDLES_MAX);
    }
}

#[test]
fn client_that_is_cut_off_keeps_to_its_first_guards() {
    for seed in 0..20 {
        let mut rng = rng(seed);
        let relays = diverse(200, 33);
        let mut machine = machine(&relays, at(0), &mut rng);
        let first = machine.guards_in_use();
        let to = Destination::from(&relays[0]);
        for second in 0..600 {
            let path = machine.draw(at(second), &key(second), &to, &mut rng).unwrap();
            machine.handle_guard_unreachable(at(second), path.guard());
        }
        // Four, one for the ten minutes, and one for a destination none of them may serve.
        let sample = machine.state().guards().len();
        assert!(sample <= 6, "seed {seed}: {sample}");
        machine.handle_network_change(at(700));
        events(&mut machine);
        machine.handle_timeout(at(700), &mut rng);
        // At most two are tried at once, the first of the sample first.
        let down = first.iter().filter(|guard| !machine.guards_in_use().contains(guard));
        let probed: Vec<_> = down.map(|guard| PathEvent::ProbeGuard { node: *guard }).collect();
        assert!(!probed.is_empty());
        assert_eq!(events(&mut machine), probed);
        for guard in &first {
            machine.handle_guard_reachable(at(701), *guard);
        }
        assert_eq!(machine.guards_in_use(), first);
    }
}

#[test]
fn first_guard_is_used_again_when_it_comes_back() {
    let mut rng = rng(2);
    let relays = diverse(24, 4);
    let mut machine = machine(&relays, at(0), &mut rng);
    let [first, second] = machine.guards_in_use()[..] else { panic!("two are in use") };
    machine.handle_guard_reachable(at(0), second);
    machine.handle_guard_unreachable(at(1), first);
    assert!(!machine.guards_in_use().contains(&first));
    assert_eq!(machine.status().guards[0].guard_use, GuardUse::Unreachable);

    // The probes: 30, 60, 120 … s apart, ten minutes at most, for as long as it takes.
    events(&mut machine);
    let (mut now, mut waits) = (at(1), Vec::new());
    for _ in 0..8 {
        let due = machine.poll_timeout().unwrap();
        waits.push(due.saturating_since(now).as_secs());
        now = due;
        machine.handle_timeout(now, &mut rng);
        assert_eq!(events(&mut machine), [PathEvent::ProbeGuard { node: first }]);
        machine.handle_guard_unreachable(now, first);
    }
    assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600, 600]);

    machine.handle_guard_reachable(now, first);
    assert_eq!(machine.guards_in_use(), [first, second]);
    assert_eq!(events(&mut machine), [], "nothing was drawn or given up meanwhile");
}

#[test]
fn unanswered_probe_is_repeated_and_never_due_in_the_past() {
    let mut rng = rng(3);
    let mut machine = machine(&diverse(24, 4), at(0), &mut rng);
    let first = machine.guards_in_use()[0];
    machine.handle_guard_unreachable(at(0), first);
    for _ in 0..10 {
        let due = machine.poll_timeout().unwrap();
        machine.handle_timeout(due, &mut rng);
        assert!(machine.poll_timeout().unwrap() > due);
    }
}

#[test]
fn guard_is_retired_after_seven_days_out_of_the_directory_and_not_before() {
    for (absent, expected) in [(7 * DAY - 1, None), (7 * DAY, Some(Retired::Unlisted))] {
        let mut rng = rng(4);
        let relays = diverse(24, 4);
        let mut machine = machine(&relays, at(0), &mut rng);
        let [first, second] = machine.guards_in_use()[..] else { panic!("two are in use") };
        let without: Vec<_> = relays.iter().copied().filter(|r| r.node != first).collect();
        machine.handle_directory(at(100), &without, &mut rng);
        assert!(!machine.guards_in_use().contains(&first));
        assert_eq!(machine.status().guards[0].guard_use, GuardUse::Unlisted);
        machine.handle_directory(at(100 + absent), &without, &mut rng);
        let expected: Vec<_> = expected.map(|why| (first, why)).into_iter().collect();
        assert_eq!(retired(&mut machine), expected);

        machine.handle_directory(at(100 + 8 * DAY), &relays, &mut rng);
        assert_eq!(machine.guards_in_use().contains(&first), expected.is_empty());
        assert!(machine.guards_in_use().contains(&second));
    }
}

#[test]
fn client_that_was_away_for_a_month_keeps_its_guards() {
    let mut rng = rng(5);
    let relays = diverse(24, 4);
    let mut machine = machine(&relays, at(0), &mut rng);
    let guards = machine.guards_in_use();
    let without: Vec<_> = relays.iter().copied().filter(|r| r.node != guards[0]).collect();
    // Time alone proves nothing: no directory said that the guard was away.
    machine.handle_timeout(days(30), &mut rng);
    machine.handle_directory(days(30), &without, &mut rng);
    machine.handle_directory(days(36), &relays, &mut rng);
    assert_eq!(machine.guards_in_use(), guards);
}

#[test]
fn lives_lie_within_their_bounds_and_end_on_time() {
    let (mut shortest, mut longest) = (u64::MAX, 0);
    for seed in 0..200 {
        let mut rng = rng(seed);
        let mut machine = machine(&diverse(24, 4), at(0), &mut rng);
        let life = |member: &crate::path::Member| {
            member.expires.saturating_since(member.first_seen).as_secs()
        };
        for member in machine.state().middles() {
            assert!((7 * DAY..=14 * DAY).contains(&life(member)));
        }
        let guards = machine.state().guards().to_vec();
        for member in &guards {
            assert!((60 * DAY..=120 * DAY).contains(&life(member)));
            shortest = shortest.min(life(member));
            longest = longest.max(life(member));
        }
        let next = guards.iter().min_by_key(|member| member.expires).unwrap();
        machine.handle_timeout(next.expires.saturating_sub(Duration::from_millis(1)), &mut rng);
        assert_eq!(retired(&mut machine), []);
        machine.handle_timeout(next.expires, &mut rng);
        assert_eq!(retired(&mut machine), [(next.node, Retired::Expired)]);
        assert_eq!(machine.guards_in_use().len(), 2);
    }
    // 400 uniform draws over 60 days: within two days of either end.
    assert!(shortest < 62 * DAY && longest > 118 * DAY);
}

#[test]
fn second_layer_is_two_pairs_and_holds_no_guard() {
    for seed in 0..100 {
        let mut rng = rng(seed);
        let relays = diverse(24, 4);
        let machine = machine(&relays, at(0), &mut rng);
        let swarm_of = |node: &NodeId| relays.iter().find(|r| r.node == *node).unwrap().swarm;
        let middles = machine.status().middles;
        let mut swarms: Vec<_> = middles.iter().map(swarm_of).collect();
        swarms.sort_unstable();
        assert_eq!(swarms.len(), 4);
        assert!(swarms[0] == swarms[1] && swarms[1] != swarms[2] && swarms[2] == swarms[3]);
        assert!(machine.guards_in_use().iter().all(|guard| !middles.contains(guard)));
    }
}

#[test]
fn sample_leaves_a_small_network_its_middles() {
    // All is down and comes back, again and again: half of the relays stay free for the layer.
    for n in 4..=12 {
        let mut rng = rng(u64::try_from(n).unwrap());
        let relays = diverse(n, if n < 12 { 1 } else { 2 });
        let mut machine = machine(&relays, at(0), &mut rng);
        let all: BTreeSet<_> = relays.iter().map(|relay| relay.node).collect();
        for round in 0..50 {
            let now = at(round * HOUR);
            let to = Destination::from(&relays[usize::try_from(round).unwrap() % n]);
            tries(&mut machine, now, &key(round), &to, &all, 10, &mut rng);
        }
        let guards = machine.state().guards().len();
        assert!(guards <= (n / 2).max(2), "{guards} of {n}");
        for (errand, relay) in (100..).zip(&relays) {
            let path = machine.draw(days(3), &key(errand), &relay.into(), &mut rng).unwrap();
            assert_eq!(send(&mut machine, days(3), &path, &BTreeSet::new()), Ok(()));
        }
    }
}

#[test]
fn guards_of_a_network_that_shrank_rest_and_return() {
    let mut rng = rng(6);
    let relays = diverse(40, 6);
    let mut machine = machine(&relays, at(0), &mut rng);
    machine.handle_guard_reachable(at(0), node(0));
    // The sample grows to six while its first members are down.
    for _ in 0..30 {
        if machine.state().guards().len() == 6 {
            break;
        }
        let path = machine.draw(at(1), &key(1), &(&relays[0]).into(), &mut rng).unwrap();
        machine.handle_guard_unreachable(at(1), path.guard());
    }
    let sample: Vec<_> = machine.state().guards().iter().map(|member| member.node).collect();
    let shrunk: Vec<_> = relays.iter().copied().filter(|r| sample.contains(&r.node)).collect();
    machine.handle_directory(at(2), &shrunk, &mut rng);
    let resting = |machine: &PathMachine| {
        machine.status().guards.iter().filter(|g| g.guard_use == GuardUse::Dormant).count()
    };
    for node in &sample {
        machine.handle_guard_reachable(at(2), *node);
    }
    assert!(resting(&machine) >= 3, "half of six relays may be guards");
    for (errand, relay) in (10..).zip(&shrunk) {
        assert!(machine.draw(at(3), &key(errand), &relay.into(), &mut rng).is_ok());
    }
    // A resting guard may be a middle; once it is a guard again, its path is not used any more.
    let to = Destination::from(&shrunk[0]);
    let before = machine.draw_subscription(at(3), &key(99), &to, &mut rng).unwrap();
    machine.handle_directory(at(4), &relays, &mut rng);
    assert_eq!(resting(&machine), 0);
    let after = machine.draw_subscription(at(4), &key(99), &to, &mut rng).unwrap();
    assert!(sample.contains(&before.middle()) && !sample.contains(&after.middle()));
    assert_eq!(machine.guards_in_use()[0], sample[0]);
}

#[test]
fn sample_full_of_unlisted_guards_is_an_error_until_they_retire() {
    let mut rng = rng(7);
    let mut machine = PathMachine::new(PathState::default(), at(0));
    // Another network each hour: each brings two guards, until the sample is full.
    let relays =
        |hour: usize| -> Vec<_> { diverse(24 * 12, 4).drain(24 * hour..24 * (hour + 1)).collect() };
    for hour in 0..10 {
        machine.handle_directory(at(hour as u64 * HOUR), &relays(hour), &mut rng);
    }
    assert_eq!(machine.state().guards().len(), GUARDS_MAX);
    let now = at(10 * HOUR);
    machine.handle_directory(now, &relays(10), &mut rng);
    let to = Destination::from(&relays(10)[0]);
    let drawn = machine.draw(now, &key(0), &to, &mut rng);
    assert_eq!(drawn, Err(crate::path::PathError::GuardsExhausted));
    // The first network's guards were seen missing after an hour.
    machine.handle_directory(at(HOUR + 7 * DAY), &relays(10), &mut rng);
    assert!(machine.draw(at(HOUR + 7 * DAY), &key(0), &to, &mut rng).is_ok());
}
