//! Guards and whole paths over months, against closed forms.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use swarm_sim::metric::Metric;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::{BUILT_IN, Scenario};

/// A built-in scenario with parts of its file replaced.
fn scenario(name: &str, change: &[(&str, &str)]) -> Scenario {
    let mut text = BUILT_IN.iter().find(|b| b.name == name).unwrap().text.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "{name} has no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn report(scenario: &Scenario, seed: u64, replicates: u32, threads: usize) -> RunReport {
    let threads = NonZeroUsize::new(threads).unwrap();
    run(scenario, &RunConfig { seed, replicates, threads }).unwrap()
}

fn metric<'a>(report: &'a RunReport, name: &str) -> &'a Metric {
    report.metric(name).unwrap_or_else(|| panic!("no {name}"))
}

/// Whether a value lies within 4.4 standard errors, by clients or by replicates, whichever is wider.
fn agrees(metric: &Metric, expected: f64) {
    let half = |low: f64, high: f64| (high - low) / 2.0;
    let by_client = metric.interval().map(|i| half(i.low, i.high)).unwrap();
    let by_replicate = metric.over_replicates().map(|i| half(i.low, i.high)).unwrap();
    let (value, half) = (metric.value.unwrap(), by_client.max(by_replicate));
    assert!(half < 0.4 * expected, "{} is too uncertain: {half}", metric.name);
    assert!(
        (value - expected).abs() < 2.25 * half,
        "{}: {value} ± {half}, {expected}",
        metric.name
    );
}

const DAYS: [&str; 5] = [
    "guard_malicious_by_day_0",
    "guard_malicious_by_day_30",
    "guard_malicious_by_day_90",
    "guard_malicious_by_day_180",
    "guard_malicious_by_day_365",
];

#[test]
fn guards_become_malicious_as_soon_as_theory_says() {
    let change = [("nodes = 400", "nodes = 1000"), ("\"1 h\"", "\"2 d\"")];
    let report = report(&scenario("guards", &change), 1, 20, 2);
    for name in DAYS {
        let metric = metric(&report, name);
        agrees(metric, metric.expected.unwrap());
    }
    assert_eq!(metric(&report, "guard_malicious_by_day_0").samples, 10_000);
}

#[test]
fn one_guard_of_fixed_life_is_malicious_by_a_geometric_law() {
    let change = [
        ("nodes = 400", "nodes = 1000"),
        ("\"1 h\"", "\"2 d\""),
        ("guards = 2", "guards = 1"),
        ("\"60 d\"", "\"30 d\""),
        ("\"120 d\"", "\"30 d\""),
        ("second_layer = \"pairs\"", "second_layer = \"none\""),
    ];
    let report = report(&scenario("guards", &change), 2, 20, 2);
    for (name, picks) in DAYS.into_iter().zip([1, 2, 4, 7, 13]) {
        agrees(metric(&report, name), 1.0 - 0.9f64.powi(picks));
    }
    // One at the start and one at the end of each of twelve lives; two of 13 are the same in 78 of a thousand.
    let guards = metric(&report, "guards_a_client").value.unwrap();
    assert!((12.89..12.95).contains(&guards), "{guards}");
}

/// A hundredth of the nodes is malicious, and nobody comes or goes.
fn seen(selection: &str, span: &str) -> RunReport {
    let change = [
        ("nodes = 400", "nodes = 1000"),
        ("\"10 %\"", "\"1 %\""),
        ("\"1 h\"", "\"2 h\""),
        ("365 d", span),
    ];
    let from = BUILT_IN.iter().find(|b| b.name == "guards").unwrap().text;
    let from = from.split("[paths]\n").nth(1).unwrap().split("[sweep]").next().unwrap();
    let change = [&change[..], &[(from, selection)]].concat();
    report(&scenario("guards", &change), 3, 20, 2)
}

#[test]
fn second_layer_shows_the_guard_to_two_swarms_and_fresh_middles_show_it_to_all() {
    let report = seen("selection = \"sampler\"\n", "365 d");
    // A partner comes from the same swarm, so the layer stays in two swarms of five to seven, whose members it has all had
    // after a year: none of 10 to 14 is malicious with 0.99 to that power.
    let share = metric(&report, "guard_seen_by_day_365").value.unwrap();
    assert!((1.0 - f64::powi(0.99, 10)..1.0 - f64::powi(0.99, 14)).contains(&share), "{share}");
    let report = seen("selection = \"sampler\"\nsecond_layer = \"none\"\n", "90 d");
    // A fresh middle for each of twelve requests a day: over 0.97 after 30 days.
    assert!(metric(&report, "guard_seen_by_day_30").value.unwrap() > 0.96);
    assert!(metric(&report, "days_to_guard_seen_p50").value.unwrap() < 6.5);
}

#[test]
fn deployed_clients_keep_their_guards_and_show_them_to_new_hops_with_each_start() {
    let report = seen("selection = \"deployed\"\n", "90 d");
    // Two guards for ever.
    let expected = 1.0 - 0.99 * 989.0 / 999.0;
    assert_eq!(metric(&report, "guards_a_client").value, Some(2.0));
    agrees(metric(&report, "guard_malicious_by_day_90"), expected);
    assert!(
        (metric(&report, "guard_malicious_by_day_0").expected.unwrap() - expected).abs() < 1e-12
    );
    // Two new middles on each of the days 0 to 29, of which each carries six requests a day.
    agrees(metric(&report, "guard_seen_by_day_30"), 1.0 - f64::powi(0.99, 60));
    agrees(
        metric(&report, "requests_both_ends"),
        metric(&report, "requests_both_ends").expected.unwrap(),
    );
}

/// One guard for ever, but that nodes leave after 120 days on average, under one adversary or another.
fn one_guard_that_leaves(adversary: &str) -> RunReport {
    let churn = format!(
        "\n[churn]\nlife = \"120 d\"\ndocument = \"12 h\"\nadversary = \"{adversary}\"\n\n[paths]"
    );
    let change = [
        ("nodes = 400", "nodes = 200"),
        ("\"1 h\"", "\"1 d\""),
        ("guards = 2", "guards = 1"),
        ("\"60 d\"", "\"3650 d\""),
        ("\"120 d\"", "\"3650 d\""),
        ("second_layer = \"pairs\"", "second_layer = \"none\""),
        ("\n[paths]", &churn),
    ];
    report(&scenario("guards", &change), 4, 20, 2)
}

#[test]
fn guard_whose_node_leaves_is_followed_by_another() {
    let report = one_guard_that_leaves("as others");
    // Picks are 1 and as many as leave in the time, which is Poisson with mean days / 120: each is malicious with 0.1.
    for (name, days) in DAYS.into_iter().zip([0.0, 30.0, 90.0, 180.0, 365.0]) {
        agrees(metric(&report, name), 1.0 - 0.9 * f64::exp(-0.1 * days / 120.0));
    }
    agrees(metric(&report, "requests_guard_malicious"), 0.1);
    assert_eq!(metric(&report, "requests_without_nodes").value, Some(0.0));
    assert_eq!(metric(&report, DAYS[4]).expected, None);
}

#[test]
fn guards_of_an_adversary_that_stays_are_kept_for_longer() {
    let report = one_guard_that_leaves("stays");
    // The guard is honest at t with 0.9 exp(-0.1 t / 120): the mean over 365 days.
    let fate = 0.1 * 365.0 / 120.0;
    let expected = 1.0 - 0.9 * (1.0 - f64::exp(-fate)) / fate;
    let found = metric(&report, "requests_guard_malicious");
    agrees(found, expected);
    assert!(found.expected.is_none() && expected > 0.21);
}

#[test]
fn node_that_follows_another_in_its_place_is_not_taken_for_it() {
    let churn = "\n[churn]\nlife = \"10 d\"\ndocument = \"12 h\"\n\n[paths]";
    let change = [
        ("nodes = 400", "nodes = 56"),
        ("\"1 h\"", "\"1 d\""),
        ("\"60 d\"", "\"9 d\""),
        ("span = \"365 d\"", "span = \"90 d\""),
        ("\n[paths]", churn),
    ];
    // A path with a node twice would end the run.
    let report = report(&scenario("guards", &change), 1, 4, 2);
    agrees(metric(&report, "requests_guard_malicious"), 6.0 / 56.0);
}

#[test]
fn requests_to_a_swarm_that_is_down_are_counted() {
    let churn = "\n[churn]\nup = \"6 h\"\ndown = \"6 h\"\ndocument = \"1 h\"\n\n[paths]";
    for (name, every) in [("guards", "\"1 h\""), ("paths", "\"12 h\"")] {
        let change = [
            (every, "\"8 h\""),
            ("\n[paths]", churn),
            ("span = \"365 d\"", "span = \"60 d\""),
            ("join_within = \"60 d\" ", "join_within = \"0 ms\" "),
        ];
        let change = &change[..if name == "guards" { 3 } else { 4 }];
        let report = report(&scenario(name, change), 1, 4, 2);
        // All of five to seven are down in 1/32 to 1/128 of the time.
        let share = metric(&report, "requests_without_nodes").value.unwrap();
        assert!((1.0 / 160.0..1.0 / 28.0).contains(&share), "{name}: {share}");
    }
}

#[test]
fn both_ends_are_seen_as_often_as_theory_says_whatever_the_weights() {
    for (name, change) in [
        ("guards", [("\"1 h\"", "\"12 h\""), ("\"10 %\"", "\"25 %\"")]),
        ("paths", [("\"12 h\"", "\"4 d\""), ("\"10 %\"", "\"25 %\"")]),
    ] {
        let report = report(&scenario(name, &change), 3, 60, 2);
        for name in ["requests_guard_malicious", "requests_both_ends"] {
            let metric = metric(&report, name);
            agrees(metric, metric.expected.unwrap());
        }
    }
}

#[test]
fn adversary_of_one_prefix_is_guard_but_never_sees_both_ends() {
    let change = [
        ("families = 60 ", "subnets = 20 "),
        ("owns = \"nodes\"", "owns = \"prefixes\""),
        ("\"10 %\"", "\"5 %\""),
        ("\"12 h\"", "\"2 d\""),
    ];
    let report = report(&scenario("paths", &change), 1, 8, 2);
    assert!(metric(&report, "requests_guard_malicious").value > Some(0.01));
    assert_eq!(metric(&report, "requests_both_ends").value, Some(0.0));
    assert_eq!(metric(&report, "requests_both_ends").expected, None);
}

#[test]
fn clients_who_came_late_count_for_as_long_as_they_were_watched() {
    let change = [("every = \"1 h\"", "every = \"1 d\"\njoin_within = \"300 d\"")];
    let late = report(&scenario("guards", &change), 1, 8, 2);
    let whole = report(&scenario("guards", &[("\"1 h\"", "\"1 d\"")]), 1, 8, 2);
    let by = |report, day: usize| metric(report, DAYS[day]).value.unwrap();
    // Counted as free to the end they would make it about a third less.
    assert!((by(&late, 3) / by(&whole, 3) - 1.0).abs() < 0.15);
    let watched: Vec<u64> = late.table.rows.iter().filter_map(|row| row[3]).collect();
    assert!(watched.iter().any(|ms| *ms < 100 * 86_400_000));
    let curve = &late.curves[0];
    assert!(curve.places.windows(2).all(|pair| pair[0].share <= pair[1].share));
    assert!(
        curve.places.iter().all(|place| place.band.is_none_or(|band| band.contains(place.share)))
    );
}

#[test]
fn results_are_the_same_on_one_two_and_eight_threads() {
    let churn =
        "\n[churn]\nlife = \"90 d\"\nup = \"20 d\"\ndown = \"1 d\"\ndocument = \"20 d\"\n\n[paths]";
    for (name, change, churn) in [
        ("guards", ("\"1 h\"", "\"1 d\""), "\n[paths]"),
        ("paths", ("\"12 h\"", "\"9 d\""), "\n[paths]"),
        ("guards", ("\"1 h\"", "\"1 d\""), churn),
        ("paths", ("\"12 h\"", "\"9 d\""), churn),
    ] {
        let scenario = scenario(name, &[change, ("\n[paths]", churn)]);
        let one = report(&scenario, 5, 9, 1);
        assert_eq!(one, report(&scenario, 5, 9, 2));
        assert_eq!(one, report(&scenario, 5, 9, 8));
        assert_ne!(one.digest, report(&scenario, 6, 9, 2).digest);
    }
}
