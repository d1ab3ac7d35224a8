//! Estimates as the command gives them: right, repeatable, and as sure as they say.
#![allow(clippy::unwrap_used)]

mod quantity;

use swarm_sim::theory::{Estimate, Query};

use quantity::{query, said, values};

#[test]
fn estimate_is_the_same_on_any_number_of_threads() {
    for line in [
        "path-both-ends nodes=20 malicious=6",
        "mttdl size=3 fail_rate=1 repair_rate=2",
        "erlang-delay hops=3 quantile=0.5",
        "poisson-mix-entropy rho=2 view=departure",
        "loss-within size=3 fail_rate=0.01 repair_rate=1 time=5",
        "swarm-capture nodes=2000 malicious=20 size=7 at_least=5",
    ] {
        let estimate = |threads: u32, seed: u32| {
            let (code, mut found) =
                said(&format!("estimate {line} --samples 50000 --seed {seed} --threads {threads}"));
            assert_eq!((code, &found["samples"]), (Some(0), &50_000.into()), "{line}");
            found.as_object_mut().unwrap().remove("seconds").unwrap();
            found
        };
        assert_eq!(estimate(1, 7), estimate(3, 7), "{line}");
        assert_ne!(estimate(1, 7), estimate(1, 8), "{line}");
    }
}

#[test]
fn rare_losses_are_estimated_within_a_few_percent() {
    for line in [
        "size=5 fail_rate=0.00001 repair_rate=1 time=10",
        "size=5 fail_rate=0.001 repair_rate=1 time=100000",
        "size=4 fail_rate=0.001 repair_rate=1 time=100 repair=serial",
        // So many repairs that no chain could be followed step by step.
        "size=5 fail_rate=0.000001 repair_rate=1 time=1000000000000000",
        "size=3 fail_rate=0.00001 repair_rate=1 time=100000000000000 repair=serial",
        "size=3 fail_rate=0.001 repair_rate=1 time=0.0000001",
        // Many copies, each of which has to go at once; and repairs that do not keep up.
        "size=20 fail_rate=0.1 repair_rate=0.01 time=0.3",
        "size=200 fail_rate=1 repair_rate=0.1 time=1",
    ] {
        let exact = values(&format!("loss-within {line}"))[0];
        let (_, found) = said(&format!("estimate loss-within {line} --samples 100000 --seed 3"));
        let of = |key: &str| found[key].as_f64().unwrap();
        let width = of("ci_high") - of("ci_low");
        assert!(
            width < 0.3 * exact && (of("estimate") - exact).abs() < 1.2 * width,
            "{line}: {exact} {found}"
        );
    }
}

#[test]
fn weighted_estimates_of_rare_losses_are_unbiased() {
    for (line, seeds) in [
        ("size=5 fail_rate=0.0001 repair_rate=1 time=10", 400),
        ("size=3 fail_rate=0.05 repair_rate=1 time=30", 400),
        ("size=7 fail_rate=0.5 repair_rate=1 time=4 repair=serial", 400),
        ("size=10 fail_rate=0.1 repair_rate=0.01 time=0.3", 400),
        ("size=20 fail_rate=0.001 repair_rate=1 time=3", 400),
        ("size=12 fail_rate=1 repair_rate=3 time=0.5", 400),
    ] {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let query = Query::parse("loss-within", &words).unwrap();
        let exact = query.values()[0];
        let one = std::num::NonZeroUsize::MIN;
        let found = (0..seeds).map(|seed| query.estimate(2000, seed, one).unwrap());
        let found: Vec<_> = found.collect();
        let covered = found.iter().filter(|f| f.ci_low <= exact && exact <= f.ci_high).count();
        let values: Vec<f64> = found.iter().map(|f| f.estimate).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = squares.sqrt() / values.len() as f64;
        // Four standard errors of the mean of all seeds; 95 % of 400 with a standard deviation of 4.4.
        assert!((mean - exact).abs() < 4.0 * error, "{line}: {mean}, {exact} by {error}");
        assert!(error < 0.01 * exact && (355..=397).contains(&covered), "{line}: {covered}");
    }
}

/// Metrics whose estimates are weighted where they are tiny, at probabilities from 1e-4 down to 1e-300.
const TINY: &[&str] = &[
    "swarm-capture nodes=2000 malicious=20 size=7 at_least=4",
    "swarm-capture nodes=2000 malicious=20 size=7 at_least=5",
    "swarm-capture nodes=2000 malicious=20 size=7 at_least=7",
    "swarm-capture nodes=1000000 malicious=300000 size=300 at_least=200",
    "quorum-capture nodes=60 malicious=15 size=20 at_least=14",
    "quorum-capture nodes=40 malicious=20 size=20 at_least=18",
    "burst-loss nodes=300 lost_share=0.05 size=6",
    "burst-loss nodes=2000 lost_share=0.02 size=7",
    "swarm-availability size=7 availability=0.01 at_least=4",
    "swarm-availability size=60 availability=0.6 at_least=55",
    "path-all-hops nodes=2000 malicious=20 hops=3",
    "path-all-hops nodes=2000 malicious=20 hops=6",
    "path-any-hop nodes=1000000 malicious=2 hops=5",
    "path-any-hop nodes=100000000 malicious=3 hops=1",
    "request-both-ends nodes=2000 malicious=8",
    "request-both-ends nodes=1000000 malicious=2",
    "fresh-paths-compromise nodes=1000000 malicious=20 paths=1000",
    "fresh-paths-compromise nodes=1000 malicious=2 paths=1",
    "fresh-paths-compromise nodes=1000000000 malicious=2 paths=1000000000",
    "guard-compromise-by malicious_share=1e-9 life_days=30 days=3650",
    "guard-compromise-by malicious_share=1e-12 life_days=1 days=0",
    "guard-set-compromise-by malicious_share=1e-6 guards=3 life_min_days=60 life_max_days=120 days=365",
    "guard-set-compromise-by malicious_share=1e-12 guards=2 life_min_days=0 life_max_days=30 days=90",
    "guard-set-compromise-by malicious_share=1e-12 guards=2 life_min_days=0.1 life_max_days=0.1 days=0.3",
    "guards-day-zero nodes=1000000 malicious=3 guards=20",
    "loss-without-repair size=6 mean_life=100 time=2",
    "loss-without-repair size=1 mean_life=1 time=0.00000001",
    "loss-without-repair size=100 mean_life=10 time=8",
    // Squares of these are no numbers.
    "loss-without-repair size=100 mean_life=1000000 time=1000",
    "path-all-hops nodes=1000000 malicious=1000 hops=90",
    "guard-set-compromise-by malicious_share=1e-300 guards=5 life_min_days=1 life_max_days=7 days=30",
];

/// Losses of stores, whose estimates are always weighted.
const LOSSES: &[&str] = &[
    "loss-within size=5 fail_rate=0.001 repair_rate=1 time=100",
    "loss-within size=5 fail_rate=0.00001 repair_rate=1 time=10",
    "loss-within size=3 fail_rate=0.001 repair_rate=1 time=0.0000001",
    "loss-within size=7 fail_rate=0.5 repair_rate=1 time=4 repair=serial",
    "loss-within size=3 fail_rate=1 repair_rate=0 time=100",
    "loss-within size=20 fail_rate=0.1 repair_rate=0.01 time=0.3",
    "loss-within size=100 fail_rate=1 repair_rate=1 time=0.001",
];

#[test]
fn weighted_estimates_of_tiny_probabilities_are_unbiased_and_honest() {
    let one = std::num::NonZeroUsize::MIN;
    for line in TINY {
        let query = query(line);
        let exact = query.values()[0];
        assert!(exact > 0.0 && exact < 1e-4, "{line}: {exact}");
        let found: Vec<_> = (0..200).map(|seed| query.estimate(1000, seed, one).unwrap()).collect();
        let covered = found.iter().filter(|f| f.ci_low <= exact && exact <= f.ci_high).count();
        let values: Vec<f64> = found.iter().map(|f| f.estimate / exact).collect();
        let mean = values.iter().sum::<f64>() / 200.0;
        let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = squares.sqrt() / 200.0;
        // Five standard errors of the mean of all seeds; 95 % of 200 are 190, with a standard deviation of 3.1.
        assert!((mean - 1.0).abs() < 5.0 * error, "{line}: {mean} ± {error}");
        assert!(covered >= 175, "{line}: {covered}");
        // 200 000 samples in all have a relative error below 1.5 %, so that a bias of 8 % would show.
        assert!(error < 0.015, "{line}: {error}");
        let wide = found.iter().filter(|f| f.ci_high - f.ci_low > exact).count();
        assert!(wide < 20 && found.iter().all(|f| f.ci_low < f.ci_high), "{line}: {wide}");
    }
}

#[test]
fn few_samples_of_a_tiny_probability_feign_no_certainty() {
    let one = std::num::NonZeroUsize::MIN;
    for line in TINY.iter().chain(LOSSES) {
        let query = query(line);
        let exact = query.values()[0];
        for samples in [2, 3, 10] {
            let found = (0..200).map(|seed| query.estimate(samples, seed, one).unwrap());
            let found: Vec<_> = found.collect();
            let is_honest =
                |f: &Estimate| 0.0 <= f.ci_low && f.ci_low < f.ci_high && f.ci_high <= 1.0;
            assert!(found.iter().all(is_honest), "{line}");
            let covered = found.iter().filter(|f| f.ci_low <= exact && exact <= f.ci_high).count();
            assert!(covered >= 175, "{line}, {samples} samples: {covered}");
        }
    }
}

#[test]
fn means_whose_squares_are_no_numbers_have_their_interval() {
    let one = std::num::NonZeroUsize::MIN;
    for line in [
        "mttdl size=15 fail_rate=1e-9 repair_rate=1e6",
        "mttdl size=1 fail_rate=1e200 repair_rate=1",
        "guard-days-to-compromise malicious_share=0.1 life_days=1e200",
        "guard-days-to-compromise malicious_share=0.1 life_days=1e-200",
    ] {
        let query = query(line);
        let exact = query.values()[0];
        let found = (0..200).map(|seed| query.estimate(1000, seed, one).unwrap());
        let found: Vec<_> = found.collect();
        let covered = found.iter().filter(|f| f.ci_low <= exact && exact <= f.ci_high).count();
        // 190 with a standard deviation of 3.1.
        assert!((178..=199).contains(&covered), "{line}: {covered}");
        assert!(found.iter().all(|f| f.ci_low < f.estimate && f.estimate < f.ci_high), "{line}");
    }
}

/// Metrics of which few samples are all the same, and the number of samples that are.
const EQUAL: &[(&str, u64)] = &[
    ("presence-set users=1000 presence=0.1 rounds=8", 1000),
    ("presence-set users=1000 presence=0.9999999 rounds=2", 1000),
    ("guard-days-to-compromise malicious_share=0.9999 life_days=30", 100),
    ("guard-days-to-compromise malicious_share=0.9999 life_days=30 life=exponential", 100),
    ("poisson-mix-entropy rho=0.0001", 100),
    ("poisson-mix-entropy rho=0.0001 view=departure", 100),
];

#[test]
fn samples_that_are_all_the_same_feign_no_certainty() {
    let one = std::num::NonZeroUsize::MIN;
    for (line, samples) in EQUAL {
        let query = query(line);
        let exact = query.values()[0];
        let found: Vec<_> =
            (0..200).map(|seed| query.estimate(*samples, seed, one).unwrap()).collect();
        let first = found[0].estimate;
        let alike = 1e-9 * first + 0.1 * exact.min(1.0);
        let same = found.iter().filter(|f| (f.estimate - first).abs() <= alike).count();
        assert!(same > 150, "{line}: {same}");
        assert!(found.iter().all(|f| 0.0 <= f.ci_low && f.ci_low < f.ci_high), "{line}");
        let covered = found.iter().filter(|f| f.ci_low <= exact && exact <= f.ci_high).count();
        assert!(covered >= 175, "{line}: {covered}");
    }
}

#[test]
fn as_many_users_and_paths_as_there_are_people_take_no_longer() {
    for line in [
        "presence-set users=1000000000 presence=0.5 rounds=20",
        "fresh-paths-compromise nodes=10000 malicious=3 paths=10000000",
        "fresh-paths-compromise nodes=10 malicious=1 paths=1000000000",
        "guard-set-compromise-by malicious_share=0.001 guards=2 life_min_days=1e-9 life_max_days=1e-9 days=1e-6",
    ] {
        let query = query(line);
        let exact = query.values()[0];
        let found = query.estimate(2000, 1, std::num::NonZeroUsize::MIN).unwrap();
        // 4.4 standard errors.
        let low = found.estimate - 2.25 * (found.estimate - found.ci_low);
        let high = found.estimate + 2.25 * (found.ci_high - found.estimate);
        assert!(low <= exact && exact <= high, "{line}: {exact} {found:?}");
    }
}

#[test]
fn samples_that_would_not_end_are_refused() {
    for line in [
        "path-any-hop nodes=1000000000 malicious=1 hops=100000000",
        "guards-day-zero nodes=1000000000 malicious=1 guards=100000000",
        "swarm-capture nodes=1000000000 malicious=1 size=100000000 at_least=2",
        "presence-set users=2 presence=0.99999999 rounds=100000000",
        "poisson-mix-entropy rho=1000000",
    ] {
        let (code, found) = said(&format!("estimate {line} --samples 10 --seed 1"));
        let text = found.to_string();
        assert!(code == Some(2) && text.contains("where it is sampled"), "{line}: {text}");
    }
    for (line, samples, part) in [
        (
            "guard-set-compromise-by malicious_share=0.1 guards=1000000 life_min_days=1 life_max_days=2 days=100",
            10,
            "picks of all guards cannot be above 1e7 where it is sampled",
        ),
        (
            "swarm-capture nodes=1000000000 malicious=1 size=1000000 at_least=2",
            20_000_000,
            "samples cannot be above 1e7: about 1e6 draws each (size), and 1e13 in all",
        ),
        // 25 times that users are halved until 32 are left: 7 draws each, and 9 for those.
        (
            "presence-set users=1000000000 presence=0.999999999 rounds=10000",
            5_456_089_u64,
            "samples cannot be above 5.456088e6: about 1.832815e6 draws each (rounds, with users who stay)",
        ),
        // Five rounds until one is left, and one more, from 9 draws down to 1.25.
        (
            "presence-set users=32 presence=0.5 rounds=1000000",
            322_580_645_162,
            "samples cannot be above 3.22580645161e11: about 3.1e1 draws each",
        ),
        // 9999 / 99 malicious guards until one has a malicious exit, and one more: 1.5 draws each.
        (
            "fresh-paths-compromise nodes=10000 malicious=100 paths=1000000",
            65_359_477_125,
            "samples cannot be above 6.5359477124e10: about 1.53e2 draws each (malicious guards)",
        ),
        // 10 malicious guards on 1000 paths.
        (
            "fresh-paths-compromise nodes=10000 malicious=100 paths=1000",
            588_235_294_118,
            "samples cannot be above 5.88235294117e11: about 1.7e1 draws each (malicious guards)",
        ),
        (
            "mttdl size=100 fail_rate=1 repair_rate=10",
            12_500_000_001,
            "samples cannot be above 1.25e10: about 8e2 draws each (levels of size)",
        ),
        (
            "loss-within size=50 fail_rate=1 repair_rate=10 time=1",
            25_000_000_001,
            "samples cannot be above 2.5e10: about 4e2 draws each (levels of size)",
        ),
    ] {
        let (code, found) = said(&format!("estimate {line} --samples {samples} --seed 1"));
        assert!(code == Some(2) && found.to_string().contains(part), "{line}: {found}");
    }
    // Nor are rounds once nobody else is left, nor paths where compromise is rare.
    for line in [
        "presence-set users=2 presence=0.9 rounds=100000000",
        "presence-set users=1 presence=1 rounds=1000000000",
        "fresh-paths-compromise nodes=3 malicious=1 paths=1000000000",
        "fresh-paths-compromise nodes=1000000000 malicious=1000 paths=10000000",
    ] {
        let (code, found) = said(&format!("estimate {line} --samples 1000 --seed 1"));
        assert_eq!(code, Some(0), "{line}: {found}");
    }
    // Guards of equal lives are not gone through one by one.
    let equal = "malicious_share=1e-12 guards=1000000000 life_min_days=1 life_max_days=1 days=100";
    let (code, found) =
        said(&format!("estimate guard-set-compromise-by {equal} --samples 100000 --seed 1"));
    let exact = values(&format!("guard-set-compromise-by {equal}"))[0];
    let of = |key: &str| found[key].as_f64().unwrap();
    assert!(code == Some(0) && of("ci_low") <= exact && exact <= of("ci_high"), "{found}");
    // 0.99^367 is above 2.5 %, 0.99^368 is not.
    let of = |samples| {
        said(&format!("estimate erlang-delay hops=2 quantile=0.99 --samples {samples} --seed 1"))
    };
    let (code, found) = of(367);
    assert!(code == Some(2) && found.to_string().contains("must be 368 or more"), "{found}");
    assert_eq!(of(368).0, Some(0));
}

#[test]
fn estimate_is_weighted_only_where_the_closed_form_is_tiny() {
    let one = std::num::NonZeroUsize::MIN;
    // Shares are whole numbers of hits.
    for line in [
        "swarm-capture nodes=60 malicious=20 size=7 at_least=4",
        "burst-loss nodes=90 lost_share=0.2 size=5",
    ] {
        let found = query(line).estimate(5000, 1, one).unwrap().estimate * 5000.0;
        assert!(found > 0.0 && (found - found.round()).abs() < 1e-9, "{line}: {found}");
    }
    // What cannot be is never hit: the interval is that of no hit among 5000.
    let found = query("path-all-hops nodes=60 malicious=2 hops=3").estimate(5000, 1, one).unwrap();
    assert_eq!((found.estimate, found.ci_low), (0.0, 0.0));
    // 1 − 0.025^(1/5000).
    assert!((found.ci_high / 7.375e-4 - 1.0).abs() < 1e-3, "{found:?}");
}

/// A 95 % interval that is right holds the value for 950 of 1000 seeds, with a standard deviation of 7.
#[test]
fn intervals_hold_the_closed_form_as_often_as_they_say() {
    for line in [
        "path-both-ends nodes=20 malicious=6",
        "guard-days-to-compromise malicious_share=0.2 life_days=30 life=exponential",
        "erlang-delay hops=4 quantile=0.5",
    ] {
        let (name, words) = line.split_once(' ').unwrap();
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let query = Query::parse(name, &words).unwrap();
        let exact = query.values()[0];
        let holds = |seed: &u64| {
            let found = query.estimate(4000, *seed, std::num::NonZeroUsize::MIN).unwrap();
            found.ci_low <= exact && exact <= found.ci_high
        };
        let covered = (1..=1000).filter(holds).count();
        assert!((930..=970).contains(&covered), "{line}: {covered} of 1000");
    }
}

#[test]
fn store_that_lives_longer_than_any_chain_can_be_followed_is_estimated() {
    let line = "mttdl size=5 fail_rate=0.00001 repair_rate=1";
    let exact = values(line)[0];
    let (_, found) = said(&format!("estimate {line} --samples 100000 --seed 5"));
    let of = |key: &str| found[key].as_f64().unwrap();
    assert!(of("ci_high") - of("ci_low") < 0.02 * exact, "{found}");
    assert!((of("estimate") / exact - 1.0).abs() < 0.013, "{exact} {found}");
}
