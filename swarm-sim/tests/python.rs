//! The Python reader and its notebook, on a real run, with Python 3 and its standard library.
#![allow(clippy::unwrap_used)]

mod program;

use std::process::Command;

use program::{built_in, done, write};

#[test]
fn python_reads_what_a_run_wrote_and_the_notebook_draws_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let made = |line: &str, out: &str| done(folder.path(), &format!("{line} --out {out}"));
    write(folder.path(), "s.toml", &built_in("guards").replacen("count = 500", "count = 30", 1));
    made("run churn --replicates 2", "run");
    made("run s.toml --replicates 2", "curves");
    made("sweep s.toml --replicates 2", "sweep");
    let test = concat!(env!("CARGO_MANIFEST_DIR"), "/python/test_results.py");
    let folders = ["run", "curves", "sweep"].map(path);
    let python = Command::new("python3").arg("-B").arg(test).args(folders).output();
    let python = python.unwrap_or_else(|error| panic!("python3 is needed for this test: {error}"));
    let said = String::from_utf8_lossy(&python.stderr);
    assert!(python.status.success() && said.contains("Ran 5 tests"), "{said}");
}
