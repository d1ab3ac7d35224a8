//! What runs must show whatever they are about: repeatability, invariants, agreement with theory.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use swarm_sim::metric::Metric;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::Scenario;
use swarm_sim::stats::hypergeometric_tail;

/// A small onion network; `change` replaces parts of its file.
fn onion(change: &[(&str, &str)]) -> Scenario {
    let file = r#"
version = 1
engine = "onion"
name = "test"
about = "a test"
replicates = 3
[network]
nodes = 24
malicious = "25 %"
[clients]
count = 5
contacts = 2
requests = 4
every = "20 s"
request = "200 B"
reply = "100 B"
timeout = "8 s"
tries = 3
[links]
latency = { model = "gamma", mean = "40 ms", shape = 2.5 }
jitter = "5 ms"
loss = "2 %"
give_up = "1 s"
[failures]
up = "10 min"
down = "1 min"
"#;
    parse(file, change)
}

fn churn(change: &[(&str, &str)]) -> Scenario {
    let file = r#"
version = 1
engine = "churn"
name = "test"
about = "a test"
replicates = 3
[network]
nodes = 30
malicious = "25 %"
subnets = 60
families = 12
[swarms]
readiness = "stated"
epoch = "10 min"
lost_after = "2 h"
[[steps]]
times = 60
join = 1
[[steps]]
times = 1
drop = "50 %"
[[steps]]
times = 60
join = 1
leave = 1
empty = 1
"#;
    parse(file, change)
}

fn parse(file: &str, change: &[(&str, &str)]) -> Scenario {
    let mut text = file.to_owned();
    for (from, to) in change {
        assert!(text.contains(from), "the test's own file has no {from:?}");
        text = text.replace(from, to);
    }
    Scenario::parse("test.toml", &text).unwrap()
}

fn report_on(scenario: &Scenario, seed: u64, replicates: u32, threads: usize) -> RunReport {
    let threads = NonZeroUsize::new(threads).unwrap();
    run(scenario, &RunConfig { seed, replicates, threads }).unwrap()
}

fn report(scenario: &Scenario, seed: u64) -> RunReport {
    report_on(scenario, seed, scenario.replicates, 2)
}

fn value(report: &RunReport, name: &str) -> f64 {
    report.metric(name).and_then(|metric| metric.value).unwrap_or(f64::NAN)
}

#[test]
fn results_are_the_same_on_one_two_and_eight_threads() {
    for scenario in [onion(&[]), churn(&[])] {
        let one = report_on(&scenario, 5, 9, 1);
        assert_eq!(one, report_on(&scenario, 5, 9, 2));
        assert_eq!(one, report_on(&scenario, 5, 9, 8));
    }
}

#[test]
fn digest_depends_on_seed_replicates_and_scenario() {
    for (scenario, other) in [
        (onion(&[]), onion(&[("mean = \"40 ms\"", "mean = \"41 ms\"")])),
        (churn(&[]), churn(&[("families = 12", "families = 13")])),
    ] {
        let digest = report(&scenario, 1).digest;
        assert_eq!(digest, report(&scenario, 1).digest);
        assert_ne!(digest, report(&scenario, 2).digest);
        assert_ne!(digest, report_on(&scenario, 1, 4, 2).digest);
        assert_ne!(digest, report(&other, 1).digest);
    }
}

#[test]
fn replicates_differ_and_the_first_ones_stay_when_more_are_run() {
    let scenario = onion(&[]);
    let (few, many) = (report_on(&scenario, 1, 2, 2), report_on(&scenario, 1, 3, 2));
    let rows = |report: &RunReport, replicate| -> Vec<Vec<Option<u64>>> {
        let rows = report.table.rows.iter().filter(|row| row[0] == Some(replicate));
        rows.map(|row| row[1..].to_vec()).collect()
    };
    assert_eq!(rows(&few, 1), rows(&many, 1));
    assert_ne!(rows(&many, 0), rows(&many, 1));
}

#[test]
fn another_client_changes_nothing_for_the_others() {
    // Links without jitter and loss, and nodes that never fail, are shared by all alike.
    let quiet =
        [("jitter = \"5 ms\"", ""), ("loss = \"2 %\"", ""), ("up = \"10 min\"", "up = \"3650 d\"")];
    let mut more = quiet.to_vec();
    more.push(("count = 5", "count = 6"));
    let rows = |scenario: &Scenario| -> Vec<Vec<Option<u64>>> {
        let rows = report(scenario, 3).table.rows.into_iter();
        rows.filter(|row| row[1] < Some(5)).collect()
    };
    assert_eq!(rows(&onion(&quiet)), rows(&onion(&more)));
}

#[test]
fn swarms_keep_their_sizes_through_growth_loss_and_churn() {
    for readiness in ["stated", "at once"] {
        let report = report(&churn(&[("\"stated\"", &format!("\"{readiness}\""))]), 1);
        assert_eq!(value(&report, "steps"), 363.0);
        assert!(value(&report, "size_min") >= 5.0 && value(&report, "size_max") <= 7.0);
        assert!(value(&report, "swarms_formed") > 0.0, "{readiness}: nothing formed");
        assert!(value(&report, "moved_per_step") > 0.0);
        // Half of the nodes at once is beyond what swarms outlive, and they say so.
        assert!(value(&report, "losses_possible") > 0.0);
    }
}

#[test]
fn invariants_hold_when_half_of_the_network_is_lost_twice_in_a_row() {
    // Beyond what swarms outlive; sizes and reserves must hold all the same.
    let report = report_on(&churn(&[("times = 1\n", "times = 2\n")]), 1, 40, 2);
    assert!(value(&report, "size_min") >= 5.0 && value(&report, "losses_possible") > 0.0);
}

/// 42 nodes of which 60 % go in the first and only step, under one of the rules.
fn burst(rules: &str) -> RunReport {
    let file = r#"
version = 1
engine = "churn"
name = "burst"
about = "a test"
replicates = 600
[network]
nodes = 42
malicious = "20 %"
[swarms]
rules = "ours"
readiness = "at once"
epoch = "1 h"
[[steps]]
times = 1
drop = "60 %"
"#;
    report_on(&parse(file, &[("\"ours\"", &format!("\"{rules}\""))]), 1, 600, 2)
}

#[test]
fn burst_takes_as_many_deployed_swarms_as_theory_says() {
    let report = burst("deployed");
    // 42 nodes make six swarms of 7; 25 go.
    let expected = 600.0 * 6.0 * hypergeometric_tail(42, 25, 7, 7);
    let vanished = value(&report, "swarms_vanished");
    // Poisson within four standard deviations; swarms of one network exclude rather than favour each other.
    assert!((vanished - expected).abs() < 4.0 * expected.sqrt(), "{vanished}, {expected}");
    assert!(report.metric("losses_possible").is_none());
    // Smaller swarms vanish more often.
    assert!(value(&burst("ours"), "swarms_vanished") > vanished);
}

#[test]
fn swarms_are_exposed_as_often_as_uniform_members_would_be() {
    for rules in ["ours", "deployed"] {
        let report = burst(rules);
        let exposed = report.metric("swarms_exposed_share").unwrap();
        let (expected, interval) = (exposed.expected.unwrap(), exposed.interval().unwrap());
        let (value, half) = (exposed.value.unwrap(), (interval.high - interval.low) / 2.0);
        // Four standard errors.
        assert!((value - expected).abs() < 2.1 * half && value > 0.1, "{rules}: {exposed:?}");
    }
}

#[test]
fn deployed_rules_keep_their_partition_through_growth_loss_and_churn() {
    let scenario = Scenario::load("churn-deployed").unwrap();
    let report = report_on(&scenario, 1, 20, 2);
    assert!(value(&report, "size_min") >= 5.0 && value(&report, "swarms_dissolved") > 0.0);
    assert_eq!(report.digest, report_on(&scenario, 1, 20, 3).digest);
}

#[test]
fn calm_network_moves_nobody_and_loses_nothing() {
    let calm = [("join = 1\n", ""), ("leave = 1\n", ""), ("empty = 1\n", ""), ("50 %", "0 %")];
    let report = report(&churn(&calm), 1);
    for name in ["moved_max", "losses_possible", "swarms_formed", "changes_in_hand_mean"] {
        assert_eq!(value(&report, name), 0.0, "{name}");
    }
}

#[test]
fn network_that_dies_and_comes_back_keeps_the_invariants() {
    let scenario = churn(&[("50 %", "100 %"), ("nodes = 30", "nodes = 4")]);
    let report = report(&scenario, 2);
    assert_eq!(value(&report, "size_min"), 0.0, "the network did not die");
}

#[test]
fn request_without_trouble_takes_eight_links() {
    let scenario = onion(&[
        (
            "{ model = \"gamma\", mean = \"40 ms\", shape = 2.5 }",
            "{ model = \"constant\", mean = \"40 ms\" }",
        ),
        ("jitter = \"5 ms\"", ""),
        ("loss = \"2 %\"", ""),
        ("up = \"10 min\"", "up = \"3650 d\""),
    ]);
    let report = report(&scenario, 1);
    assert_eq!(value(&report, "delivered"), 1.0);
    assert_eq!(value(&report, "tries_mean"), 1.0);
    for name in ["latency_p50", "latency_p95", "latency_p99"] {
        // Four links there, four back, 40 ms each.
        assert_eq!(value(&report, name), 320.0, "{name}");
    }
    assert_eq!(value(&report, "packets_peeled"), 4.0 * value(&report, "requests"));
}

#[test]
fn reply_of_several_frames_and_a_large_request_arrive() {
    let large = [("\"200 B\"", "\"20 KiB\""), ("\"100 B\"", "\"300 KiB\""), ("\"2 %\"", "\"0 %\"")];
    assert_eq!(value(&report(&onion(&large), 1), "delivered"), 1.0);
}

#[test]
fn nothing_is_delivered_over_links_that_lose_everything() {
    let report = report(&onion(&[("loss = \"2 %\"", "loss = \"100 %\"")]), 1);
    assert_eq!(value(&report, "delivered"), 0.0);
    assert_eq!(value(&report, "tries_mean"), 3.0);
    assert_eq!(value(&report, "messages"), value(&report, "messages_lost"));
    assert_eq!(report.metric("latency_p50").and_then(|metric| metric.value), None);
}

#[test]
fn failing_nodes_are_named_by_their_neighbours_and_gone_around() {
    let often = [("up = \"10 min\"", "up = \"3 min\""), ("loss = \"2 %\"", "loss = \"0 %\"")];
    let report = report(&onion(&often), 1);
    assert!(value(&report, "tries_failed_edge_named") > 0.0);
    assert!(value(&report, "tries_mean") > 1.0);
    assert!(value(&report, "delivered") > value(&report, "delivered_at_first_try"));
}

#[test]
fn rules_are_relaxed_where_the_network_is_too_small_for_them() {
    let quiet = [("loss = \"2 %\"", ""), ("up = \"10 min\"", "up = \"3650 d\"")];
    let mut tiny = quiet.to_vec();
    tiny.push(("nodes = 24", "nodes = 4"));
    let tiny = report(&onion(&tiny), 1);
    assert_eq!((value(&tiny, "delivered"), value(&tiny, "rules_relaxed")), (1.0, 1.0));
    let roomy = report(&onion(&quiet), 1);
    assert_eq!((value(&roomy, "delivered"), value(&roomy, "rules_relaxed")), (1.0, 0.0));
}

fn holds_expected(metric: &Metric) -> bool {
    let expected = metric.expected.unwrap_or(f64::NAN);
    metric.interval().is_some_and(|interval| interval.contains(expected))
        && metric.over_replicates().is_some_and(|interval| interval.contains(expected))
}

#[test]
fn share_with_both_ends_malicious_is_hypergeometric() {
    let scenario = onion(&[
        ("requests = 4", "requests = 1"),
        ("contacts = 2", "contacts = 1"),
        ("count = 5", "count = 25"),
        ("nodes = 24", "nodes = 40"),
        ("loss = \"2 %\"", ""),
    ]);
    let report = report_on(&scenario, 1, 60, 2);
    assert_eq!(value(&report, "requests"), 1_500.0);
    for (name, expected) in [
        // 10 of 40: 10/40 × 9/39.
        ("guard_and_exit_malicious", 0.057_692),
        ("guard_and_destination_malicious", 0.057_692),
        // 10/40 × (1 − 30/39 × 29/38).
        ("request_both_ends_malicious", 0.103_239),
    ] {
        let metric = report.metric(name).unwrap();
        assert!((metric.expected.unwrap() - expected).abs() < 1e-5, "{metric:?}");
        assert!(holds_expected(metric), "{metric:?}");
    }
}

#[test]
fn swarms_are_captured_as_often_as_uniform_members_would_capture_them() {
    for rules in ["ours", "deployed"] {
        let report = burst(rules);
        let captured = report.metric("swarms_captured_mean").unwrap();
        let (expected, interval) = (captured.expected.unwrap(), captured.interval().unwrap());
        let (value, half) = (captured.value.unwrap(), (interval.high - interval.low) / 2.0);
        // Four standard errors.
        assert!((value - expected).abs() < 2.1 * half && value > 0.02, "{rules}: {captured:?}");
    }
}

#[test]
fn columns_of_a_step_add_up_from_one_document_to_the_next() {
    let report = report_on(&churn(&[]), 1, 4, 2);
    let at = |row: &[Option<u64>], name: &str| {
        row[report.table.columns.iter().position(|column| *column == name).unwrap()].unwrap()
    };
    let mut placed = [[0; 2]; 4];
    let mut captured = 0;
    for (row, before) in report.table.rows.iter().skip(1).zip(&report.table.rows) {
        let [now, then] = [row, before].map(|row| move |name| at(row, name));
        let swarms = now("swarms");
        if at(row, "replicate") == at(before, "replicate") {
            assert_eq!(now("nodes") + now("left"), then("nodes") + now("joined"));
            assert_eq!(swarms + now("dissolved"), then("swarms") + now("formed"));
        }
        // As the file says, after the first document: 60 of growth, half of all gone, 60 of change.
        let expected = match now("step") {
            2..=61 => (1, 0, 0),
            62 => (0, then("nodes").div_ceil(2), 0),
            _ => (1, 1, 1),
        };
        assert_eq!((now("joined"), now("left"), now("emptied")), expected);
        assert!(now("captured") <= now("exposed") && now("exposed") <= swarms);
        assert!(now("size_min") <= now("size_max"));
        let inside = now("nodes") - now("reserves");
        assert!((now("size_min") * swarms..=now("size_max") * swarms).contains(&inside));
        captured += now("captured");
    }
    assert!(captured > 0);
    for row in &report.table.rows {
        let [all, swarms] = &mut placed[usize::try_from(at(row, "replicate")).unwrap()];
        *all += at(row, "nodes") - at(row, "reserves");
        *swarms += at(row, "swarms");
    }
    let means = placed.map(|[all, swarms]| all as f64 / swarms as f64);
    assert!((value(&report, "size_mean") - means.iter().sum::<f64>() / 4.0).abs() < 1e-12);
}

/// What happens in the churn test's own file.
const STEPS: &str = "[[steps]]
times = 60
join = 1
[[steps]]
times = 1
drop = \"50 %\"
[[steps]]
times = 60
join = 1
leave = 1
empty = 1
";

#[test]
fn swarm_vanishes_once_all_of_its_members_lost_their_stores_and_not_before() {
    let emptied = |count: u32| {
        let steps = format!("[[steps]]\ntimes = 1\nempty = {count}\n");
        let report = report(&churn(&[(STEPS, &steps)]), 1);
        // Of three replicates.
        (value(&report, "swarms_vanished"), 3.0 * value(&report, "swarms_mean"))
    };
    let (vanished, swarms) = emptied(10_000);
    assert!(swarms > 3.0 && vanished == swarms, "{vanished}, {swarms}");
    assert_eq!(emptied(1).0, 0.0);
}

#[test]
fn nobody_moves_while_one_leaves() {
    // Thirty nodes make swarms of more than five, which outlive the loss of one.
    let report = report(&churn(&[(STEPS, "[[steps]]\ntimes = 1\nleave = 1\n")]), 1);
    assert_eq!((value(&report, "moved_max"), value(&report, "swarms_dissolved")), (0.0, 0.0));
}

#[test]
fn second_deployed_swarm_takes_half_of_the_ring() {
    let change = [
        ("readiness = \"stated\"", "rules = \"deployed\"\nreadiness = \"at once\""),
        ("lost_after = \"2 h\"\n", ""),
        ("nodes = 30", "nodes = 13"),
        (STEPS, "[[steps]]\ntimes = 1\njoin = 1\n"),
    ];
    let report = report(&churn(&change), 1);
    // One in each of three replicates; the largest arc is then as long as the mean one.
    assert_eq!((value(&report, "swarms_formed"), value(&report, "swarms_mean")), (3.0, 2.0));
    assert!((value(&report, "load_peak") - 1.0).abs() < 1e-9, "{report:?}");
}
