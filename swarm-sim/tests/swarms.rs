//! Rare events on maps of swarms, against closed forms and against the engine that lives through them.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use swarm_sim::explain::explain;
use swarm_sim::metric::Metric;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::{BUILT_IN, Scenario};
use swarm_sim::sweep::Sweep;
use swarm_sim::theory::Query;

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

fn value(report: &RunReport, name: &str) -> f64 {
    metric(report, name).value.unwrap()
}

/// Standard error over replicates.
fn error(metric: &Metric) -> f64 {
    let values: Vec<f64> = metric.by_replicate.iter().copied().flatten().collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (squares / (values.len() - 1) as f64 / values.len() as f64).sqrt()
}

fn analytic(line: &str) -> f64 {
    let (name, words) = line.split_once(' ').unwrap();
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Query::parse(name, &words).unwrap().values()[0]
}

#[test]
fn swarms_of_one_size_have_the_closed_forms_chances() {
    for (size, most, share, bad) in [(7, 4, "10 %", 252), (5, 3, "1 %", 25), (15, 8, "0.4 %", 10)] {
        let change =
            [("size = 7\n", format!("size = {size}\n")), ("\"10 %\"", format!("\"{share}\""))];
        let change = change.each_ref().map(|(from, to)| (*from, to.as_str()));
        let report = report(&scenario("swarm-size", &change), 1, 2, 1);
        let nodes = "nodes=2520";
        let captured =
            analytic(&format!("swarm-capture {nodes} malicious={bad} size={size} at_least={most}"));
        let exposed =
            analytic(&format!("swarm-capture {nodes} malicious={bad} size={size} at_least=1"));
        let lost = analytic(&format!("burst-loss {nodes} lost_share=0.3 size={size}"));
        // 756 of 2520 are gone, and size + 1 − majority of them leave no majority.
        let gone = size + 1 - most;
        let below =
            analytic(&format!("quorum-capture {nodes} malicious=756 size={size} at_least={gone}"));
        for (name, exact) in [
            ("swarms_captured_share", captured),
            ("mailbox_captured", captured),
            ("swarms_exposed_share", exposed),
            ("mailbox_exposed", exposed),
            ("burst_swarms_lost_share", lost),
            ("burst_mailbox_lost", lost),
            ("burst_mailbox_below_majority", below),
        ] {
            let metric = metric(&report, name);
            for found in [metric.value.unwrap(), metric.expected.unwrap()] {
                assert!((found / exact - 1.0).abs() < 1e-11, "{size}, {name}: {found}, {exact}");
            }
            assert!(metric.interval().unwrap().contains(exact), "{metric:?}");
        }
        let swarms = 2520.0 / f64::from(size);
        assert!((value(&report, "swarms_captured_mean") / (swarms * captured) - 1.0).abs() < 1e-11);
        assert_eq!(value(&report, "copies_of_a_message"), f64::from(size));
        assert_eq!(value(&report, "messages_of_a_store"), f64::from(2 * (size - 1)));
    }
}

/// Whether a weighted estimate lies within five standard errors of the exact value of the same maps.
#[track_caller]
fn agrees(metric: &Metric) {
    let (found, exact) = (metric.value.unwrap(), metric.expected.unwrap());
    let differs: Vec<f64> =
        metric.by_replicate.iter().map(|value| value.unwrap() - found).collect();
    assert!(differs.len() > 10);
    assert!((found - exact).abs() < 5.0 * error(metric), "{}: {found}, {exact}", metric.name);
    assert!(metric.interval().unwrap().high <= 1.2 * found, "{metric:?}");
}

#[test]
fn chance_of_any_swarm_is_below_the_expected_number_and_as_it_should_be() {
    let report = report(&scenario("swarm-size", &[]), 4, 30, 2);
    let any = metric(&report, "any_swarm_captured");
    agrees(any);
    agrees(metric(&report, "burst_any_swarm_lost"));
    assert!(value(&report, "swarms_captured_mean") > 1.4 * any.value.unwrap());
    // 30 replicates of 2000 samples: a relative error of half a percent.
    assert!(error(any) < 0.006 * any.value.unwrap(), "{}", error(any));
}

#[test]
fn tiny_chances_have_an_interval_that_holds_the_exact_value_and_some_room() {
    let change = [("\"10 %\"", "\"0.2 %\""), ("\"30 %\"", "\"0.4 %\"")];
    let report = report(&scenario("swarm-size", &change), 1, 8, 2);
    for (name, most) in [("any_swarm_captured", 1e-5), ("burst_any_swarm_lost", 1e-10)] {
        let any = metric(&report, name);
        let (value, exact) = (any.value.unwrap(), any.expected.unwrap());
        let ends = any.interval().unwrap();
        assert!(ends.contains(exact) && exact > 0.0 && exact < most, "{any:?}");
        // Nothing was struck twice in 16 000 samples: at most 1 − 0.025^(1/16 000) = 0.023 % of weights may be smaller.
        assert!((ends.low / value - (1.0 - 0.000_230_5)).abs() < 1e-7, "{any:?}");
    }
}

const SMALL: &str = r#"
version = 1
engine = "churn"
name = "test"
about = "a test"
replicates = 3
[network]
nodes = 60
malicious = "20 %"
subnets = 80
families = 30
[swarms]
rules = "ours"
readiness = "at once"
epoch = "10 min"
[[steps]]
times = 1
"#;

const SMALL_MAPS: &str = r#"
version = 1
engine = "swarms"
name = "test"
about = "a test"
replicates = 3
samples = 500
[network]
nodes = 60
subnets = 80
families = 30
[swarms]
rules = "ours"
[history]
documents = 1
turnover = 0
[adversary]
share = "20 %"
[burst]
count = 20
"#;

fn parse(text: &str, change: &[(&str, &str)]) -> Scenario {
    let mut text = text.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "no {from:?}");
        text = text.replacen(from, to, 1);
    }
    Scenario::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn maps_are_those_that_the_churn_engine_comes_to() {
    for rules in ["\"ours\"", "\"deployed\""] {
        let lived = [
            ("\"ours\"", rules),
            ("nodes = 60", "nodes = 30"),
            (
                "times = 1\n",
                "times = 7\njoin = 4\n[[steps]]\ntimes = 1\njoin = 2\n[[steps]]\ntimes = 25\njoin = 3\nleave = 3\n",
            ),
        ];
        let grown = [
            ("\"ours\"", rules),
            ("documents = 1\nturnover = 0", "start = 30\njoin = 4\ndocuments = 25\nturnover = 3"),
        ];
        let lived = report(&parse(SMALL, &lived), 5, 6, 2);
        let grown = report(&parse(SMALL_MAPS, &grown), 5, 6, 2);
        for replicate in 0..6 {
            let of = |report: &RunReport| -> Vec<Vec<u64>> {
                let rows = report.table.rows.iter().filter(|row| row[0] == Some(replicate));
                rows.map(|row| row.iter().map(|cell| cell.unwrap_or(0)).collect()).collect()
            };
            let (steps, sizes) = (of(&lived), of(&grown));
            let last = steps.last().unwrap();
            let swarms: u64 = sizes.iter().map(|row| row[2]).sum();
            let ring: u64 = sizes.iter().map(|row| row[3]).sum();
            let (least, most) = (sizes.first().unwrap()[1], sizes.last().unwrap()[1]);
            // Columns of steps: nodes, swarms, size_min, size_max, reserves.
            let columns = [last[2], last[6], last[7], last[8], last[9]];
            assert_eq!(columns, [60, swarms, least, most, sizes[0][5]], "{rules} {replicate}");
            assert!(ring.abs_diff(1_000_000_000) < 4, "{ring}");
        }
    }
}

#[test]
fn chances_are_how_often_swarms_of_the_churn_engine_are_struck() {
    for rules in ["\"ours\"", "\"deployed\""] {
        let lived = report(&parse(SMALL, &[("\"ours\"", rules)]), 2, 600, 2);
        let maps = report(&parse(SMALL_MAPS, &[("\"ours\"", rules)]), 2, 600, 2);
        // The same maps, by their name: the expected number of captured swarms is the same figure.
        let expected = metric(&lived, "swarms_captured_mean").expected.unwrap();
        assert!((value(&maps, "swarms_captured_mean") / expected - 1.0).abs() < 1e-12);
        let exposed = metric(&lived, "swarms_exposed_share");
        let difference = value(&maps, "swarms_exposed_share") - exposed.value.unwrap();
        assert!(difference.abs() < 5.0 * error(exposed), "{rules}: {difference}");
        // 600 networks, of which each has a captured swarm or none: five standard errors of their share.
        let any = value(&lived, "any_swarm_captured");
        let (found, of) = (value(&maps, "any_swarm_captured"), (any * (1.0 - any) / 600.0).sqrt());
        assert!((found - any).abs() < 5.0 * of && any > 0.1, "{rules}: {found}, {any} ± {of}");
        agrees(metric(&maps, "any_swarm_captured"));
    }
}

#[test]
fn rules_are_told_apart_and_halfway_maps_say_whether_history_was_long_enough() {
    let sweep = Sweep::load("swarm-rules").unwrap();
    assert_eq!(sweep.points.len(), 8);
    let of = |rules: &str| {
        let values = vec!["10 %".to_owned(), rules.to_owned()];
        let point = sweep.points.iter().find(|point| point.values == values).unwrap();
        report(&point.scenario, 1, 12, 2)
    };
    let (ours, deployed) = (of("ours"), of("deployed"));
    // 200 nodes make ⌊200 / 5.5⌋ swarms or a few more by our rules, about a seventh of them by the deployed ones.
    assert!(value(&ours, "swarms_mean") > 1.2 * value(&deployed, "swarms_mean"));
    assert!(value(&ours, "size_max") <= 7.0 && value(&deployed, "size_max") > 7.0);
    for report in [&ours, &deployed] {
        agrees(metric(report, "any_swarm_captured"));
        let [half, end] =
            ["mailbox_captured_halfway", "mailbox_captured"].map(|n| metric(report, n));
        let off = (half.value.unwrap() - end.value.unwrap()).abs();
        assert!(off < 5.0 * (error(half) + error(end)), "{half:?} {end:?}");
    }
}

#[test]
fn results_are_the_same_on_one_two_and_eight_threads() {
    for scenario in [
        scenario("swarm-size", &[("samples = 2000", "samples = 300")]),
        scenario("swarm-rules", &[("documents = 150", "documents = 20")]),
        scenario(
            "swarm-rules",
            &[("documents = 150", "documents = 20"), ("\"ours\"", "\"deployed\"")],
        ),
    ] {
        let one = report(&scenario, 5, 9, 1);
        assert_eq!(one, report(&scenario, 5, 9, 2));
        assert_eq!(one, report(&scenario, 5, 9, 8));
        assert_ne!(one.digest, report(&scenario, 6, 9, 2).digest);
        assert_eq!(one.metrics[2].by_replicate.len(), 9);
    }
}

#[test]
fn explanation_predicts_what_a_run_expects() {
    let fixed = scenario("swarm-size", &[]);
    let (explained, found) = (explain(&fixed), report(&fixed, 1, 1, 1));
    assert_eq!(explained.predictions.len(), 6);
    for prediction in &explained.predictions {
        let expected = metric(&found, &prediction.name).expected.unwrap();
        assert!((prediction.value / expected - 1.0).abs() < 1e-12, "{}", prediction.name);
    }
    let of = |key| {
        let all = &explained.settings;
        all.iter().find(|s| s.key == key).map(|s| s.value.as_str())
    };
    assert_eq!(of("adversary.share"), Some("10 % (252 nodes)"));
    assert_eq!(of("swarms.size"), Some("7"));
    let uneven = explain(&scenario("swarm-size", &[("size = 7\n", "size = 11\n")]));
    // 229 swarms, one of them of 12.
    assert_eq!(uneven.predictions.len(), 4);
    let grown = explain(&scenario("swarm-rules", &[]));
    let settings = grown.settings.iter().map(|s| format!("{} {}", s.key, s.value));
    let settings: Vec<String> = settings.collect();
    for line in
        ["history.start 40", "history.join 4", "history.documents 150", "history.turnover 2"]
    {
        assert!(settings.iter().any(|setting| setting == line), "{settings:?}");
    }
}
