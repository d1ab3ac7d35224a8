//! Quantities by a line of words, as the command gives them and as the library does.
// Each file of tests is a crate of its own and uses a part of this.
#![allow(dead_code, clippy::unwrap_used)]

use std::process::Command;

use serde_json::Value;
use swarm_sim::theory::Query;

/// Exit code, and the JSON of whichever stream has some.
pub(crate) fn said(line: &str) -> (Option<i32>, Value) {
    let program = env!("CARGO_BIN_EXE_swarm-sim");
    let output =
        Command::new(program).args(line.split_whitespace()).arg("--json").output().unwrap();
    let bytes = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    (output.status.code(), serde_json::from_slice(&bytes).unwrap())
}

pub(crate) fn values(line: &str) -> Vec<f64> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap();
    let words: Vec<String> = words.map(str::to_owned).collect();
    Query::parse(name, &words).unwrap_or_else(|error| panic!("{line}: {error}")).values().to_vec()
}

pub(crate) fn query(line: &str) -> Query {
    let (name, words) = line.split_once(' ').unwrap();
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Query::parse(name, &words).unwrap()
}
