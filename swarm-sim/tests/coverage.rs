//! How often intervals hold the value that they are made for: over 1000 seeds, 95 % of them should.
//!
//! A target of its own, `make coverage`: 93 to 97 % is three standard errors to either side.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;

use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::Scenario;
use swarm_sim::theory::Query;

const SEEDS: u64 = 1000;

fn threads() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap()
}

fn judge(what: &str, hits: usize) {
    judge_within(what, hits, 93.0..=97.0);
}

fn judge_within(what: &str, hits: usize, percents: RangeInclusive<f64>) {
    let percent = 100.0 * hits as f64 / SEEDS as f64;
    println!("{what}: {percent:.1} % of {SEEDS} intervals hold the value");
    assert!(percents.contains(&percent), "{what}: {percent}");
}

/// Seeds whose interval of an estimate holds the closed form's value.
fn estimates(name: &str, words: &str, samples: u64) {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let query = Query::parse(name, &words).unwrap();
    let value = query.values()[0];
    let holds = |seed: &u64| {
        let found = query.estimate(samples, *seed, threads()).unwrap();
        (found.ci_low..=found.ci_high).contains(&value)
    };
    judge(name, (1..=SEEDS).filter(holds).count());
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_shares_hold_the_closed_form() {
    estimates("path-both-ends", "nodes=100 malicious=30", 20_000);
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_means_hold_the_closed_form() {
    estimates("guard-days-to-compromise", "malicious_share=0.2 life_days=30", 2_000);
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_quantiles_hold_the_closed_form() {
    estimates("erlang-delay", "hops=3 quantile=0.9", 4_000);
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_rare_events_hold_the_closed_form() {
    estimates("loss-within", "size=3 fail_rate=0.01 repair_rate=1 time=100", 4_000);
    estimates("loss-within", "size=20 fail_rate=0.1 repair_rate=0.01 time=0.3", 4_000);
    estimates("swarm-capture", "nodes=2000 malicious=60 size=7 at_least=5", 4_000);
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_whole_runs_hold_the_closed_form() {
    let text = r#"
        version = 1
        engine = "paths"
        name = "coverage"
        about = "many small networks"
        replicates = 12
        span = "30 d"
        network = { nodes = 60 }
        adversary = { owns = "nodes", share = "30 %" }
        clients = { count = 30, contacts = 3, every = "2 d" }
        paths = { selection = "sampler" }"#;
    let scenario = Scenario::parse("coverage.toml", text).unwrap();
    for name in ["requests_guard_malicious", "requests_both_ends"] {
        let holds = |seed: &u64| {
            let config = RunConfig { seed: *seed, replicates: 12, threads: threads() };
            let report = run(&scenario, &config).unwrap();
            let metric = report.metric(name).unwrap();
            metric.over_replicates().unwrap().contains(metric.expected.unwrap())
        };
        judge(name, (1..=SEEDS).filter(holds).count());
    }
}

#[test]
#[ignore = "1000 seeds: make coverage"]
fn intervals_of_times_that_are_cut_off_hold_the_closed_form() {
    // Over 200 rounds a target stays with probability 0.61, and is known with 1 − 0.99^200 = 0.87 if it stays.
    let text = r#"
        version = 1
        engine = "disclosure"
        name = "coverage"
        about = "many small groups of targets"
        replicates = 1
        targets = 120
        rounds = 200
        users = { count = 10 }
        target = { partners = 1, sends = "100 %", leaves = "0.25 %" }
        traffic = { batch = 2 }
        adversary = { kind = "predecessor", nodes = 10, malicious = "10 %", ends = "independent" }"#;
    let scenario = Scenario::parse("coverage.toml", text).unwrap();
    let reports: Vec<RunReport> = (1..=SEEDS)
        .map(|seed| run(&scenario, &RunConfig { seed, replicates: 1, threads: threads() }).unwrap())
        .collect();
    for name in ["identified_by_round_10", "identified_by_end"] {
        let holds = |report: &&RunReport| {
            let metric = report.metric(name).unwrap();
            metric.interval().unwrap().contains(metric.expected.unwrap())
        };
        judge(name, reports.iter().filter(holds).count());
    }
    // Half are known by the 69th round: 1 − 0.99^69 is 0.50017. Ends that are whole rounds are some too wide.
    let holds = |report: &&RunReport| {
        let metric = report.metric("rounds_to_identified_p50").unwrap();
        metric.interval().unwrap().contains(69.0)
    };
    judge_within("rounds_to_identified_p50", reports.iter().filter(holds).count(), 93.0..=99.0);
}
