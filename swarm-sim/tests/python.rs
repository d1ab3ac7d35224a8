//! The Python reader and its notebook, on a real run, with Python 3 and its standard library.
#![allow(clippy::unwrap_used)]

use std::process::Command;

#[test]
fn python_reads_what_a_run_wrote_and_the_notebook_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut program = Command::new(env!("CARGO_BIN_EXE_swarm-sim"));
    let status = program.args(["run", "churn", "--replicates", "2", "--json", "--out"]).arg(&run);
    assert!(status.output().unwrap().status.success());
    let test = concat!(env!("CARGO_MANIFEST_DIR"), "/python/test_results.py");
    let python = Command::new("python3").arg("-B").arg(test).arg(&run).output();
    let python = python.unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
    let said = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success() && said.contains("Ran 3 tests"), "{said}");
}
