//! Every built-in scenario runs, and gives the digest that stands in `digests.json`, however it was compiled: debug and
//! release builds are held against the same file. A change of the protocol's choices or of a scenario changes digests;
//! `ENJAMBRE_WRITE_VECTORS=1` writes them anew.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use swarm_sim::run::{RunConfig, run};
use swarm_sim::scenario::{BUILT_IN, Scenario};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/digests.json");

#[test]
fn built_in_scenarios_have_the_same_digest_in_debug_and_release_builds() {
    let config = RunConfig { seed: 1, replicates: 2, threads: NonZeroUsize::new(2).unwrap() };
    let mut found = BTreeMap::new();
    for built_in in BUILT_IN {
        let scenario = Scenario::load(built_in.name).unwrap();
        let report = run(&scenario, &config).unwrap_or_else(|error| panic!("{error}"));
        assert!(report.events > 0 && !report.table.rows.is_empty(), "{}", built_in.name);
        found.insert(built_in.name.to_owned(), report.digest.to_string());
    }
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, serde_json::to_string_pretty(&found).unwrap() + "\n").unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap();
    let stored: BTreeMap<String, String> = serde_json::from_str(&stored).unwrap();
    assert_eq!(found, stored, "built with debug assertions: {}", cfg!(debug_assertions));
}
