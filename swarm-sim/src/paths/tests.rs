//! The sampler against the path machine, one client a sample.

use core::time::Duration;

use enjambre_protocol::swarm::Point;

use super::client::{Change, Chooser, Contact, Hops};
use super::machine::Machine;
use super::sampler::Sampler;
use super::world::World;
use crate::alias::Alias;
use crate::scenario::{Network, Owned, Paths, PathsChurn, SecondLayer, Selection, Share, Weights};
use crate::special::poisson_lower;
use crate::stream::fast::Fast;
use crate::stream::{Entity, Streams};

const DAY: u64 = 86_400_000;

/// Clients of each kind.
const CLIENTS: u32 = 6000;

fn settings() -> crate::scenario::Sampler {
    crate::scenario::Sampler::PROTOCOL
}

fn network() -> Paths {
    Paths {
        network: Network { nodes: 60, malicious: Share::NONE, subnets: None, families: None },
        weights: Weights::Pareto { shape: 1.2 },
        owned: Owned::Nodes,
        clients: CLIENTS,
        contacts: 3,
        every: DAY,
        join_within: 0,
        selection: Selection::Machine,
        churn: None,
        span: 200 * DAY,
    }
}

/// Every client's path after 200 days, in which guards and second layer have changed many times. A look at the directory
/// shows whether nodes have come and gone.
fn after_months<C: Chooser>(
    world: &mut World<'_>,
    churn: Option<&PathsChurn>,
    begin: impl Fn(u32, &World<'_>) -> C,
) -> Vec<Hops> {
    let end = 200 * DAY;
    // The same three mailboxes for all, so that clients are one sample.
    let points = [1u64 << 61, 1 << 62, 1 << 63];
    let mut clients: Vec<C> = (0..CLIENTS).map(|client| begin(client, world)).collect();
    let mut to = 0;
    while to < end {
        to = churn.map_or(end, |churn| (to + churn.document).min(end));
        for client in &mut clients {
            while let Some(change) = client.next_change().filter(|at| *at <= to) {
                client.change(world, change);
            }
        }
        if world.advance(to) != Change::None {
            clients.iter_mut().for_each(|client| client.look(world, to));
        }
    }
    let contacts = points.map(|at| Contact { group: world.keepers(Point(at)).unwrap() });
    let choose = |mut client: C| client.choose(world, end, &contacts).unwrap();
    clients.into_iter().map(choose).collect()
}

/// What is counted of paths: each hop's node, whether hops share a swarm, and pairs of hops by thirds of the nodes.
fn counts(paths: &[Hops], world: &World) -> Vec<Vec<u64>> {
    let mut counts = vec![vec![0; 60], vec![0; 60], vec![0; 60], vec![0; 8], vec![0; 81]];
    for hops in paths {
        let Hops { guard, middle, exit, destination } = *hops;
        let at = |node: u32| node as usize;
        let swarm = |a, b| usize::from(world.group_of(a) == world.group_of(b));
        counts[0][at(guard)] += 1;
        counts[1][at(middle)] += 1;
        counts[2][at(exit)] += 1;
        counts[3][swarm(guard, middle) + 2 * swarm(guard, exit) + 4 * swarm(middle, exit)] += 1;
        let third = |node: u32| at(node) / 20;
        counts[4]
            [((third(guard) * 3 + third(middle)) * 3 + third(exit)) * 3 + third(destination)] += 1;
    }
    counts
}

/// The probability that two samples of one distribution and of equal size differ at least so much (Pearson's chi-square
/// of a table of two rows, an odd number of degrees taken one higher).
fn likelihood(a: &[u64], b: &[u64]) -> f64 {
    let cells = a.iter().zip(b).filter(|(a, b)| **a + **b > 0);
    let difference = |(a, b): (&u64, &u64)| (*a as f64 - *b as f64).powi(2) / (*a + *b) as f64;
    let (mut statistic, mut degrees) = (0.0, 0u64);
    for cell in cells {
        statistic += difference(cell);
        degrees += 1;
    }
    let half = (degrees.saturating_sub(1)).div_ceil(2).max(1);
    poisson_lower(half - 1, statistic / 2.0)
}

/// The least likelihood over all that is counted, machine against sampler in a world of its own.
fn agreement(
    paths: &Paths,
    sampled_in: impl Fn(&mut World<'_>),
    settings: crate::scenario::Sampler,
) -> f64 {
    let (streams, churn) = (Streams::new(1, "agreement", 0), paths.churn.as_ref());
    let mut world = World::found(paths, &streams);
    let mut other = World::found(paths, &streams);
    sampled_in(&mut other);
    let by_machine = after_months(&mut world, churn, |client, world| {
        let random = streams.stream(Entity::Client(client), "machine");
        Machine::new(client, random, world, 0)
    });
    let by_sampler = after_months(&mut other, churn, |client, world| {
        let fast = Fast::from_stream(&mut streams.stream(Entity::Client(client), "sampler"));
        Sampler::new(settings, fast, world, 0)
    });
    let both = counts(&by_machine, &world).into_iter().zip(counts(&by_sampler, &other));
    both.map(|(a, b)| likelihood(&a, &b)).fold(1.0, f64::min)
}

#[test]
fn sampler_chooses_as_the_path_machine_does() {
    let agreement = agreement(&network(), |_| (), settings());
    // The least of five.
    assert!(agreement > 0.002, "{agreement}");
}

/// Nodes that are down a tenth of the time, for five days, and leave after 80 days.
fn coming_and_going() -> Paths {
    let days = |days: u64| Duration::from_millis(days * DAY);
    let churn = PathsChurn {
        life: Some(days(80)),
        up_and_down: Some((days(45), days(5))),
        document: 4 * DAY,
        ..PathsChurn::default()
    };
    Paths { churn: Some(churn), ..network() }
}

#[test]
fn sampler_chooses_as_the_path_machine_does_while_nodes_come_and_go() {
    let agreement = agreement(&coming_and_going(), |_| (), settings());
    assert!(agreement > 0.002, "{agreement}");
}

#[test]
fn sampler_with_a_planted_bias_is_told_from_the_path_machine() {
    // The heaviest node counts twice.
    let heavier = |world: &mut World<'_>| {
        let mut weights: Vec<u32> = world.candidates.iter().map(|c| c.weight).collect();
        if let Some(most) = weights.iter_mut().max() {
            *most *= 2;
        }
        world.table = Alias::new(&weights);
    };
    let no_layer = crate::scenario::Sampler { second_layer: SecondLayer::None, ..settings() };
    let one_guard = crate::scenario::Sampler { guards: 1, ..settings() };
    for (what, found) in [
        ("weights", agreement(&network(), heavier, settings())),
        ("no second layer", agreement(&network(), |_| (), no_layer)),
        ("one guard", agreement(&network(), |_| (), one_guard)),
    ] {
        assert!(found < 1e-4, "{what}: {found}");
    }
}

#[test]
fn likelihood_of_differences_has_known_values() {
    // Chi-square of 1.386 with 2 degrees is its median; a table of 30, 70 against 50, 50 has 8.333 with one degree,
    // taken as two: e^−4.17.
    let near = |a: f64, b: f64| (a - b).abs() < 1e-3;
    assert!(near(likelihood(&[30, 70], &[50, 50]), libm::exp(-25.0 / 6.0)));
    assert!(near(likelihood(&[50, 50, 0], &[50, 50, 0]), 1.0));
}

#[test]
fn adversary_owns_what_it_is_said_to_own() {
    let found = |owned, subnets| {
        let mut paths = network();
        paths.owned = owned;
        paths.network.subnets = subnets;
        paths.network.malicious = Share::percent(25);
        let streams = Streams::new(3, "owned", 0);
        let world = World::found(&paths, &streams);
        let owned: Vec<usize> = (0..60).filter(|at| world.is_malicious[*at]).collect();
        (world.candidates, owned)
    };
    assert_eq!(found(Owned::Nodes, None).1.len(), 15);
    let (candidates, owned) = found(Owned::Weight, None);
    let weight =
        |nodes: &[usize]| nodes.iter().map(|at| u64::from(candidates[*at].weight)).sum::<u64>();
    let all = weight(&(0..60).collect::<Vec<_>>());
    let (share, lightest) = (weight(&owned), owned.iter().map(|at| weight(&[*at])).max());
    assert!(4 * share >= all && lightest.is_some_and(|most| 4 * (share - most) < all));
    let (candidates, owned) = found(Owned::Prefixes, Some(12));
    let prefixes = |nodes: &[usize]| {
        let mut prefixes: Vec<_> = nodes.iter().map(|at| candidates[*at].prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes
    };
    let (all, bad) = (prefixes(&(0..60).collect::<Vec<_>>()), prefixes(&owned));
    assert_eq!(bad.len(), (all.len() + 2) / 4);
    // All nodes of a prefix, not some.
    let in_bad = (0..60).filter(|at| bad.contains(&candidates[*at].prefix)).count();
    assert_eq!(in_bad, owned.len());
}
