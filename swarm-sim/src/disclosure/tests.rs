//! Statistical disclosure and the matcher against what is true, which only the engine knows.

use super::round::World;
use super::sight::Sight;
use crate::adversary::{
    Adversary, Background, Draw, Ends, Matcher, Matching, Predecessor, Statistical,
};
use crate::scenario::{Disclosure, Kind, Share};
use crate::stream::Streams;
use crate::theory::Query;

fn settings() -> Disclosure {
    Disclosure {
        targets: 1,
        rounds: 1,
        users: 100,
        presence: None,
        users_leave: Share::NONE,
        partners: 4,
        sends: Share::percent(100),
        cover: Share::NONE,
        target_leaves: Share::NONE,
        batch: 20,
        sure: Share::percent(95),
        look_every: 1,
        adversary: Kind::Statistical { background: Background::Uniform },
    }
}

/// The adversary after so many rounds, and the partners.
fn after<A: Adversary>(
    settings: &Disclosure,
    index: u32,
    rounds: u32,
    mut adversary: A,
) -> (A, Vec<u32>) {
    let streams = Streams::new(1, "truth", 0);
    let mut world = World::found(settings, &streams, index);
    let mut sight = Sight::new(adversary.vantage(), settings.users, &streams, index);
    for number in 0..rounds {
        if let Some(seen) = sight.of(world.next(number)) {
            adversary.observe(&seen);
        }
    }
    (adversary, world.partners)
}

/// Mean and standard error of values that are independent.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

fn agrees(what: &str, values: &[f64], expected: f64) {
    let (mean, error) = mean_and_error(values);
    // What is exact has no error but rounding.
    let off = (mean - expected).abs();
    assert!(off <= 5.0 * error + 1e-12, "{what}: {mean} ± {error}, {expected}");
}

/// Estimates of partners and of others, for many targets, with each one's squared distance from the truth in its mean.
fn estimates(settings: &Disclosure, rounds: u32, background: Background) -> [Vec<f64>; 4] {
    let mut found = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
    for index in 0..1500 {
        let adversary = Statistical::new(&settings.briefing(), background);
        let (adversary, partners) = after(settings, index, rounds, adversary);
        let to_partner = 1.0 / f64::from(settings.partners);
        let mut sums = [0.0; 4];
        for user in 0..settings.users {
            let estimate = adversary.estimate(user as usize).unwrap();
            let (at, truth, of) = if partners.contains(&user) {
                (0, to_partner, settings.partners)
            } else {
                (1, 0.0, settings.users - settings.partners)
            };
            sums[at] += estimate / f64::from(of);
            sums[at + 2] += (estimate - truth) * (estimate - truth) / f64::from(of);
        }
        found.iter_mut().zip(sums).for_each(|(all, sum)| all.push(sum));
    }
    found
}

fn sda_observations(confidence: &str) -> f64 {
    let words = ["senders=100", "batch=20", "partners=4", confidence].map(str::to_owned);
    Query::parse("sda-observations", &words).unwrap().values()[0]
}

/// Danezis' variances of what a mailbox receives in a round: of others' messages, and what a partner's own add.
const V0: f64 = 19.0 * 99.0 / 10_000.0;
const V1: f64 = 3.0 / 16.0;

#[test]
fn estimates_are_as_far_apart_as_theory_says_after_as_many_observations() {
    let t = sda_observations("confidence=3");
    assert!((157.0..158.0).contains(&t), "{t}");
    let [partners, others, around_partners, around_others] =
        estimates(&settings(), 157, Background::Uniform);
    agrees("partners", &partners, 0.25);
    agrees("others", &others, 0.0);
    agrees("variance of partners", &around_partners, (V0 + V1) / 157.0);
    agrees("variance of others", &around_others, V0 / 157.0);
    // Each side is three of its own standard deviations from where they meet, but for the part of an observation.
    let deviation = |squares: &[f64]| mean_and_error(squares).0.sqrt();
    let apart = mean_and_error(&partners).0 - mean_and_error(&others).0;
    let confidence = apart / (deviation(&around_partners) + deviation(&around_others));
    // 6000 partners' variance is known to √(2/6000) = 1.8 %, so their deviation to 0.9 %: 5 standard errors are below 5 %.
    assert!((confidence / 3.0 - 1.0).abs() < 0.05, "{confidence}");
}

#[test]
fn background_from_silent_rounds_adds_their_variance() {
    let settings = Disclosure { sends: Share::percent(50), ..settings() };
    let [partners, others, _, around_others] = estimates(&settings, 200, Background::Estimated);
    agrees("partners", &partners, 0.25);
    agrees("others", &others, 0.0);
    // The mean of 1/k + 1/(200 − k) over binomial k is 4/200·(1 + 1/200) to a relative 1e-4.
    agrees("variance of others", &around_others, V0 * 4.0 / 200.0 * (1.0 + 1.0 / 200.0));
}

#[test]
fn dummies_dilute_the_estimate_by_their_share() {
    let settings =
        Disclosure { sends: Share::percent(20), cover: Share::percent(50), ..settings() };
    let [partners, others, ..] = estimates(&settings, 100, Background::Uniform);
    // A third of what is seen to be sent is a message; of the rest every mailbox gets a hundredth.
    agrees("partners", &partners, 0.25 / 3.0 + 2.0 / 300.0);
    agrees("others", &others, 2.0 / 300.0);
}

#[test]
fn predecessor_is_right_as_often_as_it_says() {
    for (cover, partners) in [(0, 1), (0, 3), (50, 1), (50, 3), (100, 4)] {
        let ends = Ends { nodes: 10, malicious: 6, draw: Draw::Distinct };
        let settings = Disclosure {
            users: 30,
            partners,
            sends: Share::percent(50),
            cover: Share::percent(cover),
            ..settings()
        };
        let found = |index| {
            let adversary = Predecessor::new(&settings.briefing(), ends);
            let (adversary, partners) = after(&settings, index, 15, adversary);
            let posterior = adversary.posterior();
            let masses = posterior.masses();
            let truth: f64 = partners.iter().map(|partner| masses[*partner as usize]).sum();
            let squares: f64 = masses.iter().map(|mass| mass * mass).sum();
            (truth, f64::from(settings.partners) * squares)
        };
        let found: Vec<(f64, f64)> = (0..4000).map(found).collect();
        // Each of m partners has a mass of its probability to be one, over m: on average they have m · Σ p² together.
        let excess: Vec<f64> = found.iter().map(|(truth, squares)| truth - squares).collect();
        agrees("excess", &excess, 0.0);
        let truth: Vec<f64> = found.iter().map(|(truth, _)| *truth).collect();
        assert!(
            mean_and_error(&truth).0 > 1.5 * f64::from(partners) / 30.0,
            "it has learnt nothing"
        );
    }
}

#[test]
fn matcher_is_right_as_often_as_it_says() {
    for (cover, tpr, fpr) in [(0, 60, 20), (50, 60, 20), (50, 90, 0), (0, 100, 5)] {
        let matching = Matching { tpr: Share::percent(tpr), fpr: Share::percent(fpr) };
        let settings = Disclosure {
            users: 30,
            partners: 1,
            batch: 8,
            sends: Share::percent(50),
            cover: Share::percent(cover),
            ..settings()
        };
        let excess = |index| {
            let adversary = Matcher::new(&settings.briefing(), matching);
            let (adversary, partners) = after(&settings, index, 6, adversary);
            let posterior = adversary.posterior();
            let squares: f64 = posterior.masses().iter().map(|mass| mass * mass).sum();
            (posterior.masses()[partners[0] as usize], squares)
        };
        let found: Vec<(f64, f64)> = (0..4000).map(excess).collect();
        // By Bayes' rule the truth has on average the mass that a candidate drawn by the posterior has: Σ p².
        let excess: Vec<f64> = found.iter().map(|(truth, squares)| truth - squares).collect();
        agrees("excess", &excess, 0.0);
        let truth: Vec<f64> = found.iter().map(|(truth, _)| *truth).collect();
        assert!(mean_and_error(&truth).0 > 3.0 / 30.0, "it has learnt nothing");
    }
}
