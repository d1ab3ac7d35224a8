//! Posteriors against ones that are worked out the long way.

use super::belief::{Ages, Belief, Rounds, Stayed};
use super::poisson::{Settings, run};
use super::{Record, exponential};
use crate::scenario::{Arrivals, Mix, Mixes, View};
use crate::stream::{Entity, Stream, Streams};
use crate::trace::Trace;
use core::time::Duration;

fn stream(purpose: &'static str) -> Stream {
    Streams::new(1, "test", 0).stream(Entity::World, purpose)
}

/// The entropies of a posterior that is given in full, and what it gives to the truth.
fn plain(posterior: &[f64], truth: usize) -> Belief {
    let total: f64 = posterior.iter().sum();
    assert!((total - 1.0).abs() < 1e-12, "the posterior sums to {total}");
    let some = || posterior.iter().copied().filter(|p| *p > 0.0);
    Belief {
        shannon: -some().map(|p| p * libm::log2(p)).sum::<f64>(),
        min_entropy: -libm::log2(some().fold(0.0, f64::max)),
        surprisal: -libm::log2(posterior[truth]),
    }
}

#[track_caller]
fn same(a: Belief, b: Belief) {
    let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
    assert!(
        near(a.shannon, b.shannon)
            && near(a.min_entropy, b.min_entropy)
            && near(a.surprisal, b.surprisal),
        "{a:?}, {b:?}"
    );
}

/// All ways in which departures, in their order, can be matched with earlier arrivals.
fn matchings(arrivals: &[u64], departures: &[u64]) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for departure in departures {
        let mut longer = Vec::new();
        for matching in &all {
            for (at, arrival) in arrivals.iter().enumerate() {
                if arrival < departure && !matching.contains(&at) {
                    longer.push(matching.iter().copied().chain([at]).collect());
                }
            }
        }
        all = longer;
    }
    all
}

#[test]
fn departures_are_matched_as_the_weights_of_all_matchings_say() {
    let (arrivals, departures) = ([0, 3, 4, 9, 11, 17], [5, 7, 12, 13, 18, 21]);
    let all = matchings(&arrivals, &departures);
    // Delays are exponential of mean 10; what a matching weighs is the density of all its delays.
    let weight = |matching: &Vec<usize>| -> f64 {
        let each = matching.iter().zip(&departures);
        let time: u64 = each.map(|(at, departure)| departure - arrivals[*at]).sum();
        libm::exp(-(time as f64) / 10.0)
    };
    let total: f64 = all.iter().map(weight).sum();
    let mut stayed = Stayed::new();
    let mut events: Vec<(u64, Option<usize>)> = arrivals.iter().map(|at| (*at, None)).collect();
    events.extend(departures.iter().enumerate().map(|(at, time)| (*time, Some(at))));
    events.sort_unstable();
    for (_, departure) in events {
        let Some(departure) = departure else {
            stayed.arrive();
            continue;
        };
        let mut posterior = [0.0; 6];
        for matching in &all {
            posterior[matching[departure]] += weight(matching) / total;
        }
        let truth = (0..6).rev().find(|at| posterior[*at] > 0.0).unwrap();
        let before = stayed.candidates().map(|candidate| candidate.weight).sum::<f64>();
        let found = stayed.belief(truth as u64).unwrap();
        stayed.depart();
        same(found, plain(&posterior, truth));
        // Who also knows who left before has one in as many as are inside.
        assert!(libm::log2(before) <= found.shannon + 1e-12);
    }
}

#[test]
fn chances_to_be_inside_are_right_over_a_long_run() {
    // Around eight inside, so weights are scaled anew every few thousand events, and old ones forgotten.
    let (mut stream, mut stayed) = (stream("stayed"), Stayed::new());
    let (mut chances, mut inside) = (Vec::<f64>::new(), 0.0);
    for _ in 0..20_000 {
        let enters = inside < 1.0 || stream.unit() * (8.0 + inside) < 8.0;
        if enters {
            chances.push(1.0);
            inside += 1.0;
            stayed.arrive();
            continue;
        }
        let recent = chances.len().saturating_sub(1000);
        let truth = (recent..chances.len()).rev().find(|_| stream.below(4) == 0).unwrap_or(recent);
        let posterior: Vec<f64> = chances[recent..].iter().map(|there| there / inside).collect();
        if posterior[truth - recent] > 1e-15 {
            same(stayed.belief(truth as u64).unwrap(), plain(&posterior, truth - recent));
        }
        stayed.depart();
        chances[recent..].iter_mut().for_each(|there| *there *= 1.0 - 1.0 / inside);
        inside -= 1.0;
    }
    assert!(chances.len() > 9000);
}

#[test]
fn arrival_that_cannot_be_inside_is_ruled_out() {
    let mut stayed = Stayed::new();
    stayed.arrive();
    assert!(stayed.belief(0).is_some());
    stayed.depart();
    stayed.arrive();
    assert_eq!(stayed.belief(0), None);
    let mut ages = Ages::new(2, 1e6);
    ages.arrive(5);
    // A delay of nothing through two hops has density zero.
    assert_eq!(ages.belief(5, 5), None);
}

#[test]
fn one_departure_weighs_arrivals_by_the_density_of_their_ages() {
    for hops in [1, 2, 5] {
        let mut stream = stream("ages");
        let (mut ages, mut arrivals) = (Ages::new(hops, 1e6), Vec::new());
        let mut now = 0u64;
        for _ in 0..2000 {
            now += u64::try_from(exponential(3e5, &mut stream).as_nanos()).unwrap().max(1);
            if stream.below(3) > 0 {
                arrivals.push(now);
                ages.arrive(now);
                continue;
            }
            let density = |arrived: &u64| {
                let age = (now - arrived) as f64 / 1e6;
                libm::pow(age, f64::from(hops - 1)) * libm::exp(-age)
            };
            let weights: Vec<f64> = arrivals.iter().map(density).collect();
            let total: f64 = weights.iter().sum();
            if total == 0.0 {
                continue;
            }
            let posterior: Vec<f64> = weights.iter().map(|weight| weight / total).collect();
            let truth = arrivals.len() - 1 - stream.index(arrivals.len().min(5));
            let found = ages.belief(now, arrivals[truth]).unwrap();
            let kept: f64 = ages.candidates(now).map(|candidate| candidate.weight).sum();
            assert!((kept / total - 1.0).abs() < 1e-12, "{hops} hops: {kept}, {total}");
            same(found, plain(&posterior, truth));
        }
    }
}

#[test]
fn pools_posterior_is_that_of_a_chain_over_every_message() {
    for (enter, kept) in [(3, 5), (4, 1), (1, 2), (6, 0)] {
        let mut rounds = Rounds::new(enter, kept);
        let inside = f64::from(enter + kept);
        // The probability that each message is inside, with its round of entry; those of the start come first.
        let mut messages: Vec<(u64, f64)> = (0..kept).map(|_| (0, 1.0)).collect();
        for round in 1..=30 {
            messages.extend((0..enter).map(|_| (round, 1.0)));
            rounds.advance();
            let posterior: Vec<f64> = messages.iter().map(|(_, there)| there / inside).collect();
            for (truth, (entered, there)) in messages.iter().enumerate() {
                if *there > 0.0 {
                    same(rounds.belief(*entered), plain(&posterior, truth));
                }
            }
            for (_, there) in &mut messages {
                *there *= f64::from(kept) / inside;
            }
        }
    }
}

#[test]
fn pool_lets_new_and_old_messages_go_alike() {
    // Means of rounds and of delays are what they are by Little's law, whoever is chosen; this is not.
    let (enter, kept, rounds) = (4, 6, 5000);
    let mixes = Mixes {
        mix: Mix::Pool { enter, kept },
        arrivals: Arrivals::PerSecond(100.0),
        messages: enter * rounds,
        warm_up: Duration::ZERO,
    };
    let all = super::pool::run(&mixes, enter, kept, &Streams::new(1, "test", 0), &mut Trace::new());
    assert_eq!(all.len(), 20_000);
    let all_inside = libm::log2(10.0);
    let at_once = all.iter().filter(|record| record.belief.surprisal < all_inside + 1e-9).count();
    // Of ten inside, four of them new, four leave: hypergeometric in each round, with mean 1.6 and variance
    // 4 · 0.4 · 0.6 · 6/9 = 0.64, whatever happened before. Five standard deviations.
    let (expected, deviation) = (1.6 * f64::from(rounds), (0.64 * f64::from(rounds)).sqrt());
    assert!((at_once as f64 - expected).abs() < 5.0 * deviation, "{at_once}, {expected}");
    // The same of those who left one round later, among the 2.4 of each round that stayed.
    let next = all_inside + libm::log2(10.0 / 6.0) + 1e-9;
    let later = all.iter().filter(|record| record.belief.surprisal < next).count() - at_once;
    let expected = 0.24 * f64::from(enter * rounds);
    // At most binomial: messages of one round exclude each other.
    let deviation = (0.24 * 0.76 * f64::from(enter * rounds)).sqrt();
    assert!((later as f64 - expected).abs() < 5.0 * deviation, "{later}, {expected}");
}

fn records(rho: f64, view: View) -> Vec<Record> {
    let mean_delay = Duration::from_millis(20);
    let mixes = Mixes {
        mix: Mix::Poisson { mean_delay, hops: 1, view },
        arrivals: Arrivals::Rho(rho),
        messages: 20_000,
        warm_up: Duration::ZERO,
    };
    let settings = Settings { mean_delay, hops: 1, view };
    let found = run(&mixes, settings, &Streams::new(1, "test", 0), &mut Trace::new());
    found.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn leaving_message_is_any_of_those_inside() {
    let mut all = records(4.0, View::Departures);
    all.sort_unstable_by_key(|record| record.number);
    let last = all.last().map(|record| record.arrived).unwrap();
    let (mut sum, mut squares, mut counted) = (0.0, 0.0, 0.0);
    for (place, record) in all.iter().enumerate().filter(|(_, record)| record.left < last) {
        let there = |other: &&Record| other.left > record.left;
        let older = all[..place].iter().filter(there).count() as f64;
        let younger = all[place + 1..].iter().take_while(|other| other.arrived <= record.left);
        let inside = older + 1.0 + younger.filter(there).count() as f64;
        assert_eq!(inside, record.inside as f64);
        // By age, among those inside: uniform, so its middle has mean 1/2 and variance (1 − 1/n²) / 12.
        let place = (older + 0.5) / inside - 0.5;
        sum += place;
        squares += (1.0 - 1.0 / (inside * inside)) / 12.0;
        counted += 1.0;
    }
    // Each is uniform whatever happened before, so the sum's variance is that of its terms: five standard deviations.
    assert!(counted > 19_000.0 && f64::abs(sum) < 5.0 * squares.sqrt(), "{sum}, {squares}");
}

#[test]
fn views_change_nothing_that_happens() {
    let [a, b, c] = [View::Departures, View::Times, View::Departure].map(|view| records(2.0, view));
    let events = |all: &[Record]| -> Vec<[u64; 4]> {
        all.iter().map(|r| [r.number, r.arrived, r.left, r.inside]).collect()
    };
    assert_eq!(events(&a), events(&b));
    assert_eq!(events(&a), events(&c));
}
