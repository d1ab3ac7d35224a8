//! The command as people and scripts use it: output, files, exit codes.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn swarm_sim(folder: &Path, line: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_swarm-sim");
    Command::new(program).args(line.split_whitespace()).current_dir(folder).output().unwrap()
}

/// Exit code, standard output, standard error.
fn said(folder: &Path, line: &str) -> (Option<i32>, String, String) {
    let output = swarm_sim(folder, line);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn commands_of_the_readme_work_from_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let readme = include_str!("../README.md");
    let lines = readme.lines().filter_map(|line| line.strip_prefix("swarm-sim "));
    let mut run = 0;
    for line in lines {
        let line = line.split('#').next().unwrap_or(line);
        let (code, out, error) = said(folder.path(), line);
        assert_eq!((code, error.as_str()), (Some(0), ""), "swarm-sim {line}");
        assert!(!out.is_empty(), "swarm-sim {line}");
        run += 1;
    }
    assert_eq!(run, 10);
    assert!(folder.path().join("runs/churn/results.json").is_file());
}

#[test]
fn json_says_what_the_files_say() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(folder.path(), "run onion --replicates 1 --seed 9 --json --out a");
    assert_eq!(code, Some(0));
    let report: Value = serde_json::from_str(&out).unwrap();
    let file = std::fs::read_to_string(folder.path().join("a/results.json")).unwrap();
    assert_eq!(report, serde_json::from_str::<Value>(&file).unwrap());
    assert_eq!(report["seed"], 9);
    assert_eq!(report["digest"].as_str().map(str::len), Some(64));
    let latency = &report["metrics"]["latency_p50"];
    assert_eq!(
        (latency["unit"].as_str(), latency["interval"].as_str()),
        (Some("ms"), Some("order-statistics"))
    );
    let requests = std::fs::read_to_string(folder.path().join("a/requests.csv")).unwrap();
    // A header, and 20 clients with 10 requests each.
    assert_eq!(requests.lines().count(), 201);
    let metrics = std::fs::read_to_string(folder.path().join("a/metrics.csv")).unwrap();
    assert_eq!(Some(metrics.lines().count() - 1), report["metrics"].as_object().map(|m| m.len()));
}

#[test]
fn explanation_predicts_what_a_run_expects() {
    let folder = tempfile::tempdir().unwrap();
    let json = |line: &str| serde_json::from_str::<Value>(&said(folder.path(), line).1).unwrap();
    let (explained, run) = (json("explain onion --json"), json("run onion --replicates 1 --json"));
    let named = |name: &str| {
        let all = explained["predictions"].as_array().unwrap();
        all.iter().find(|found| found["name"] == name).unwrap()["value"].clone()
    };
    for name in ["guard_and_exit_malicious", "request_both_ends_malicious"] {
        assert_eq!(named(name), run["metrics"][name]["expected"], "{name}");
    }
    let (code, text, _) = said(folder.path(), "explain churn");
    assert!(code == Some(0) && text.contains("swarms.epoch         10 min\n"), "{text}");
}

#[test]
fn scenarios_are_listed_one_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(folder.path(), "scenarios --json");
    let names: Vec<Value> = out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].clone())
        .collect();
    assert_eq!(
        (code, names),
        (
            Some(0),
            ["churn", "churn-deployed", "guards", "mixes", "onion", "paths"]
                .map(Value::from)
                .to_vec()
        )
    );
}

#[test]
fn wrong_use_exits_2_with_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("bad.toml"), "version = 1\nengine = \"onion\"\nodd = 1\n")
        .unwrap();
    for (line, part) in [
        ("", "say what to do"),
        ("runn churn", "unrecognized subcommand"),
        ("run", "NAME|FILE"),
        ("run churn --seed x", "invalid value 'x'"),
        ("run churn --replicates 0", "0 is not in"),
        ("run garlic", "one of churn, churn-deployed, guards, mixes, onion, paths"),
        ("run bad.toml", "bad.toml, line"),
        ("explain garlic", "one of churn, churn-deployed, guards, mixes, onion, paths"),
        ("run missing.toml", "cannot read missing.toml"),
        ("verify-determinism garlic", "one of churn, churn-deployed, guards, mixes, onion, paths"),
    ] {
        let (code, out, error) = said(folder.path(), line);
        assert_eq!((code, out.as_str()), (Some(2), ""), "swarm-sim {line}");
        assert!(error.starts_with("swarm-sim: ") && error.contains(part), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{line}: {error}");
    }
}

#[test]
fn wrong_use_is_json_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    for (line, part) in [
        ("run churn --json --seed x", "invalid value 'x'"),
        ("--json", "unexpected argument '--json'"),
        ("estimate path-both-ends --json", "--samples"),
        ("runn --json", "unrecognized subcommand"),
    ] {
        let (code, out, error) = said(folder.path(), line);
        let error: Value =
            serde_json::from_str(&error).unwrap_or_else(|_| panic!("{line}: {error}"));
        let (kind, text) = (&error["error"]["kind"], error["error"]["text"].as_str().unwrap());
        assert_eq!((code, out.as_str(), kind), (Some(2), "", &"usage".into()), "{line}");
        assert!(text.contains(part) && !text.contains('\n'), "{line}: {text}");
    }
}

/// Names and contents of all files in a folder.
fn contents(folder: &Path) -> Vec<(String, String)> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let read = |entry: std::fs::DirEntry| {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        (entry.file_name().into_string().unwrap(), text)
    };
    let mut all: Vec<_> = entries.map(read).collect();
    all.sort();
    all
}

#[test]
fn results_go_to_a_folder_of_scenario_and_seed_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(folder.path(), "run onion --replicates 1 --seed 3");
    assert_eq!(code, Some(0));
    assert!(out.ends_with("results in runs/onion-3\n"), "{out}");
    let names = contents(&folder.path().join("runs/onion-3"));
    let names: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["metrics.csv", "requests.csv", "results.json"]);
}

#[test]
fn results_of_another_run_are_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| said(folder.path(), &format!("run {line} --out a"));
    assert_eq!(run("onion --replicates 1").0, Some(0));
    let before = contents(&folder.path().join("a"));
    let refused = |line: &str, part: &str| {
        let (code, out, error) = run(line);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{line}");
        assert!(error.starts_with("swarm-sim: a ") && error.contains(part), "{line}: {error}");
        assert_eq!(before, contents(&folder.path().join("a")), "{line}");
    };
    refused("onion --replicates 1 --seed 2", "holds results of onion with --seed 1 --replicates 1");
    refused("onion --replicates 2", "holds results of onion with --seed 1 --replicates 1");
    refused("churn --replicates 1", "holds results of another scenario, onion");
    refused("churn --replicates 1 --overwrite", "holds results of another scenario, onion");
    // The same run again changes nothing, so it is none of these.
    assert_eq!(run("onion --replicates 1").0, Some(0));
    assert_eq!(before, contents(&folder.path().join("a")));
    assert_eq!(run("onion --replicates 1 --seed 2 --overwrite").0, Some(0));
    assert_ne!(before, contents(&folder.path().join("a")));
}

#[test]
fn file_that_no_run_wrote_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["metrics.csv", "results.json"] {
        let file = folder.path().join(format!("b/{name}"));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, "mine").unwrap();
        let (code, _, error) = said(folder.path(), "run onion --replicates 1 --out b");
        assert_eq!(code, Some(2));
        assert!(error.contains(&format!("b holds a {name} that is not of this run")), "{error}");
        assert_eq!(contents(&folder.path().join("b")), [(name.to_owned(), "mine".to_owned())]);
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn error_is_json_where_json_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (code, _, error) = said(folder.path(), "run garlic --json");
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, error["error"]["kind"].as_str()), (Some(2), Some("scenario")));
}

#[test]
fn folder_that_cannot_be_written_exits_1() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("taken"), "").unwrap();
    let (code, _, error) = said(folder.path(), "run onion --replicates 1 --out taken/x");
    assert_eq!(code, Some(1));
    assert!(error.starts_with("swarm-sim: cannot write to taken/x: "), "{error}");
}

#[test]
fn help_has_an_example() {
    let folder = tempfile::tempdir().unwrap();
    for line in [
        "--help",
        "run --help",
        "sweep --help",
        "merge --help",
        "explain --help",
        "analytic --help",
        "estimate --help",
        "metrics --help",
        "selfcheck --help",
        "scenarios --help",
        "verify-determinism --help",
    ] {
        let (code, out, _) = said(folder.path(), line);
        assert!(code == Some(0) && out.contains("Example: swarm-sim "), "{line}: {out}");
    }
}
