//! What the simulator does in a second on one core: whole paths with guards by weight, over months; swarm transitions;
//! and the memory that it takes.
//!
//! Times move with the machine and its other work; what is meant to be compared stands in one run.
#![allow(clippy::unwrap_used)]

use std::hint::black_box;
use std::num::NonZeroUsize;
use std::time::Duration;

use criterion::{Criterion, Throughput};
use enjambre_protocol::id::{Digest, NodeId, StoreId};
use enjambre_protocol::swarm::{
    Statements, StorageNode, SwarmParams, SwarmState, storage_prefix, transition,
};
use enjambre_protocol::time::Timestamp;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::Scenario;

const ONE_THREAD: NonZeroUsize = NonZeroUsize::MIN;

/// Nodes by weight, the protocol's guards and second layer, a request every ten minutes for a year.
fn scenario(layer: &str, churn: &str, clients: u32) -> Scenario {
    let text = format!(
        r#"version = 1
        engine = "paths"
        name = "bench"
        about = "whole paths"
        replicates = 1
        span = "365 d"
        network = {{ nodes = 400, weights = {{ model = "pareto", shape = 1.5 }} }}
        adversary = {{ owns = "nodes", share = "10 %" }}
        clients = {{ count = {clients}, contacts = 5, every = "10 min" }}
        paths = {{ selection = "sampler", second_layer = "{layer}" }}
        {churn}"#
    );
    Scenario::parse("bench.toml", &text).unwrap()
}

fn run_one(scenario: &Scenario) -> RunReport {
    run(scenario, &RunConfig { seed: 1, replicates: 1, threads: ONE_THREAD }).unwrap()
}

fn paths(criterion: &mut Criterion) {
    let churn = "churn = { life = \"180 d\", up = \"20 d\", down = \"6 h\", document = \"6 h\" }";
    let mut group = criterion.benchmark_group("whole paths");
    for (name, layer, churn) in [
        ("guards and second layer", "pairs", ""),
        ("guards, fresh middles", "none", ""),
        ("guards and second layer, nodes come and go", "pairs", churn),
    ] {
        let scenario = scenario(layer, churn, 100);
        group.throughput(Throughput::Elements(run_one(&scenario).events));
        group.bench_function(name, |bencher| bencher.iter(|| black_box(run_one(&scenario))));
    }
    group.finish();
}

fn node(number: u64) -> StorageNode {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
    let [low, high, ..] = number.to_le_bytes();
    StorageNode {
        node: NodeId::from_bytes(bytes),
        store: StoreId::from_bytes([1; 16]),
        prefix: storage_prefix(Some([10, high, low, 1].into())),
        family: None,
        listed: 1,
    }
}

/// One node leaves and one comes before each of the transitions.
fn transitions(criterion: &mut Criterion) {
    let params = SwarmParams::default();
    let now = Timestamp::from_secs(1_800_000_000);
    let mut group = criterion.benchmark_group("swarm transitions");
    group.throughput(Throughput::Elements(1));
    for count in [500u64, 2000] {
        let mut nodes: Vec<StorageNode> = (0..count).map(node).collect();
        let next = |state: &SwarmState, nodes: &[StorageNode], at: u64| {
            let mut beacon = [0; 32];
            beacon[..8].copy_from_slice(&at.to_le_bytes());
            let beacon = Digest::from_bytes(beacon);
            transition(state, nodes, &Statements::none(), &beacon, now, &params)
        };
        let mut state = next(&SwarmState::default(), &nodes, 0);
        let mut made = count;
        group.bench_function(format!("{count} nodes"), |bencher| {
            bencher.iter(|| {
                let place = usize::try_from(made.wrapping_mul(0x9e37_79b9) % count).unwrap();
                nodes[place] = node(made);
                made += 1;
                state = next(&state, &nodes, made);
            });
        });
    }
    group.finish();
}

/// The most memory that this process has had, in MiB; nothing where the system does not tell.
fn most_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(2))
        .without_plots()
        .configure_from_args();
    paths(&mut criterion);
    transitions(&mut criterion);
    criterion.final_summary();
    let before = most_memory();
    let large = run_one(&scenario("pairs", "", 10_000));
    if let (Some(before), Some(after)) = (before, most_memory()) {
        let (requests, clients) = (large.events, large.table.rows.len());
        println!(
            "memory: {after} MiB for {clients} clients with {requests} requests ({before} MiB before)"
        );
    }
}
