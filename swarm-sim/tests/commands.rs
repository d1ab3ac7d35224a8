//! The command as people and scripts use it: output, files, exit codes.
#![allow(clippy::unwrap_used)]

mod program;

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use swarm_sim::scenario::BUILT_IN;

use program::{command, contents, done, names, read, refused, said, small, write};

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
        (Some("ms"), Some("bootstrap"))
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
    let built_in = BUILT_IN.iter().map(|built_in| Value::from(built_in.name)).collect();
    assert_eq!((code, names), (Some(0), built_in));
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
        ("run churn --replicates 0", "expected a whole number from 1 to 10000"),
        ("run garlic", "one of churn, churn-deployed, deployed-or-ours, "),
        ("run bad.toml", "bad.toml, line"),
        ("explain garlic", "one of churn, churn-deployed, deployed-or-ours, "),
        ("run missing.toml", "cannot read missing.toml"),
        ("verify-determinism garlic", "one of churn, churn-deployed, deployed-or-ours, "),
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

#[test]
fn results_go_to_a_folder_of_scenario_and_seed_unless_told_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let (code, out, _) = said(folder.path(), "run onion --replicates 1 --seed 3");
    assert_eq!(code, Some(0));
    let end = "results in runs/onion-3\npage in runs/onion-3/report.html\n";
    assert!(out.ends_with(end), "{out}");
    let names = names(&folder.path().join("runs/onion-3"));
    let expected = [
        "manifest.json",
        "metrics.csv",
        "report.html",
        "requests.csv",
        "results.json",
        "runs.csv",
        "scenario.toml",
    ];
    assert_eq!(names, expected);
    // The page is the one that `report` makes, from anywhere.
    let report = said(&folder.path().join("runs"), "report onion-3");
    assert_eq!(report.1, "page about 1 run in onion-3/report.html\n", "{}", report.2);
}

#[test]
fn manifest_alone_differs_between_equal_runs_and_stays_when_one_is_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| {
        let (code, _, error) = said(folder.path(), &format!("run onion --replicates 2 {line}"));
        assert_eq!((code, error.as_str()), (Some(0), ""), "{line}");
    };
    let all = |name: &str| contents(&folder.path().join(name));
    let manifest = |name: &str| -> Value {
        let file = folder.path().join(name).join("manifest.json");
        serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
    };
    run("--out a --threads 1");
    run("--out b --threads 2");
    let (a, b) = (all("a"), all("b"));
    let differing: Vec<&String> = a.keys().filter(|name| a[*name] != b[*name]).collect();
    assert_eq!(differing, ["manifest.json"]);
    let (a, b) = (manifest("a"), manifest("b"));
    for key in ["digest", "seed", "swarm_sim", "crates", "rust", "revision", "kind"] {
        assert!(a[key] == b[key] && !a[key].is_null(), "{key}");
    }
    assert_eq!((&a["threads"], &b["threads"]), (&1.into(), &2.into()));
    assert!(a["seconds"].as_f64().unwrap() > 0.0);
    let started = a["started"].as_str().unwrap();
    assert!(started.starts_with("20") && started.ends_with('Z') && started.len() == 20);
    assert_eq!(a["crates"]["enjambre-protocol"], env!("CARGO_PKG_VERSION"));
    assert!(a["rust"].as_str().unwrap().starts_with("rustc "));
    let revision = a["revision"].as_str().unwrap();
    let commit = revision.trim_end_matches("-changed");
    let is_commit = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    assert!(is_commit || revision == "unknown", "{revision}");
    let before = all("a");
    run("--out a --threads 2");
    assert_eq!(before, all("a"));
    std::fs::remove_file(folder.path().join("a/manifest.json")).unwrap();
    run("--out a --threads 2");
    assert_eq!(manifest("a")["threads"], 2);
    run("--out a --seed 2 --overwrite");
    assert_eq!(manifest("a")["seed"], 2);
}

#[test]
fn manifest_of_something_else_is_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "s.toml", &(small() + "[sweep]\n\"paths.guards\" = [1]\n"));
    assert_eq!(said(at, "sweep s.toml --replicates 1 --out a").0, Some(0));
    let names = |name: &str| std::fs::read_dir(at.join(name)).unwrap().count();
    let before = (names("a"), std::fs::read(at.join("a/manifest.json")).unwrap());
    for line in ["run s.toml --out a", "run s.toml --out a --overwrite"] {
        let (code, _, error) = said(at, line);
        assert_eq!(code, Some(2), "{line}");
        let sentence =
            "a holds a manifest.json that no run wrote, or that is damaged: give another";
        assert!(error.contains(sentence) && error.lines().count() == 1, "{error}");
    }
    assert!(before == (names("a"), std::fs::read(at.join("a/manifest.json")).unwrap()));
    // A run's manifest of another run, in a folder that lost its results.
    assert_eq!(said(at, "run s.toml --replicates 1 --out b").0, Some(0));
    for name in contents(&at.join("b")).into_keys().filter(|name| name != "manifest.json") {
        std::fs::remove_file(at.join("b").join(name)).unwrap();
    }
    let (code, _, error) = said(at, "run s.toml --replicates 1 --seed 2 --out b");
    assert!(code == Some(2) && error.contains("b holds a manifest.json that is not of"), "{error}");
    assert_eq!(names("b"), 1);
}

/// What a command says on standard error where that is a terminal.
fn said_to_a_terminal(folder: &Path, line: &str) -> String {
    let script = "\
import fcntl, os, pty, struct, subprocess, sys, termios
ours, theirs = pty.openpty()
fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 120, 0, 0))
child = subprocess.Popen(sys.argv[1:], stderr=theirs, stdout=subprocess.DEVNULL)
os.close(theirs)
while True:
    try:
        data = os.read(ours, 4096)
    except OSError:
        break
    if not data:
        break
    sys.stdout.buffer.write(data)
sys.exit(child.wait())
";
    let mut python = Command::new("python3");
    python.args(["-c", script, env!("CARGO_BIN_EXE_swarm-sim")]).args(line.split_whitespace());
    let output = python.env("TERM", "xterm").current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn progress_is_shown_to_a_terminal_and_to_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "s.toml", &(small() + "[sweep]\n\"paths.guards\" = [1, 2]\n"));
    for (line, part) in [
        ("run s.toml --replicates 3", " of 3 replicates, "),
        ("sweep s.toml --replicates 1", " of 2 points, "),
        ("estimate path-both-ends nodes=9 malicious=2 --samples 9000000", "9000000 samples, "),
    ] {
        let shown = said_to_a_terminal(folder.path(), line);
        assert!(shown.contains(part), "{line}: {shown:?}");
        assert_eq!(said_to_a_terminal(folder.path(), &format!("{line} --json")), "", "{line}");
        assert_eq!(said(folder.path(), line).2, "", "{line}");
    }
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
fn folder_with_files_and_no_run_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "s.toml", &(small() + "[sweep]\n\"paths.guards\" = [1]\n"));
    for name in ["metrics.csv", "results.json", "report.html", "notes/mine", ".hidden"] {
        write(at, &format!("b/{name}"), "mine");
        let first = name.split('/').next().unwrap();
        for line in ["run s.toml --out b", "run s.toml --overwrite --out b"] {
            refused(at, line, &format!("b holds no run, but {first}: give another --out"));
        }
        refused(
            at,
            "sweep s.toml --out b",
            &format!("b holds no sweep, but {first}: give another"),
        );
        refused(at, "merge b --out b", "b holds no sweep");
        assert_eq!(contents(&at.join("b")), [(name.to_owned(), b"mine".to_vec())].into());
        std::fs::remove_dir_all(at.join("b")).unwrap();
    }
    // What a run or a sweep that was killed left is in nobody's way.
    for (name, line) in [(".metrics.csv.part", "run"), (".manifest.json.part", "sweep")] {
        write(at, &format!("{line}/{name}"), "ha");
        done(at, &format!("{line} s.toml --out {line}"));
    }
}

#[test]
fn overwriting_replaces_what_a_run_wrote_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let again = "run onion --replicates 1 --seed 2 --overwrite --out a";
    done(at, "run onion --replicates 1 --out a");
    let first = contents(&at.join("a"));
    for name in ["report.html", "metrics.csv", "results.json"] {
        let mut text = first[name].clone();
        text.push(b'\n');
        std::fs::write(at.join("a").join(name), &text).unwrap();
        let before = contents(&at.join("a"));
        let part = format!("a holds a {name} that no run wrote, or that was changed since");
        refused(at, again, &part);
        refused(at, "run onion --replicates 1 --out a", "a holds a ");
        assert!(before == contents(&at.join("a")), "{name}");
        std::fs::write(at.join("a").join(name), &first[name]).unwrap();
    }
    std::fs::rename(at.join("a/manifest.json"), at.join("kept")).unwrap();
    refused(at, again, "a holds a results.json that no run wrote");
    std::fs::rename(at.join("kept"), at.join("a/manifest.json")).unwrap();
    write(at, "a/notes", "mine");
    done(at, again);
    assert_eq!(contents(&at.join("a"))["notes"], b"mine");
    done(at, "report a");
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
fn nothing_is_left_where_the_results_do_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    // A folder stands where the last of the files is to be written, so that all others are whole before it fails.
    let part = folder.path().join("a/.manifest.json.part");
    std::fs::create_dir_all(&part).unwrap();
    let (code, _, error) = said(folder.path(), "run churn --replicates 1 --out a");
    assert!(code == Some(1) && error.starts_with("swarm-sim: cannot write to a: "), "{error}");
    let left: Vec<_> = std::fs::read_dir(folder.path().join("a")).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    std::fs::remove_dir(part).unwrap();
    let (code, ..) = said(folder.path(), "run churn --replicates 1 --out a");
    assert_eq!(code, Some(0));
    let (code, _, error) = said(folder.path(), "run churn --replicates 1 --out a/results.json");
    assert_eq!(code, Some(2));
    assert_eq!(error, "swarm-sim: a/results.json is a file: give a folder with --out\n");
}

#[test]
fn reader_who_left_is_no_failure_and_a_full_disk_is_one() {
    let explain = |stdout: Stdio| {
        let mut command = command(Path::new("."), "explain churn");
        command.stdout(stdout).stderr(Stdio::piped());
        let child = command.spawn().unwrap();
        drop(command);
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(explain(writer.into()), (Some(0), String::new()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, error) = explain(full.into());
    assert!(code == Some(1) && error.starts_with("swarm-sim: cannot print: "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
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

#[test]
fn number_out_of_range_is_refused_with_the_range() {
    let folder = tempfile::tempdir().unwrap();
    let estimate = "estimate path-both-ends nodes=9 malicious=2 --samples";
    for (line, range, wrong) in [
        ("run churn --seed", "0 to 18446744073709551615", ["18446744073709551616", "-1"]),
        ("estimate x --samples 9 --seed", "0 to 18446744073709551615", ["1e3", "-1"]),
        ("sweep guards --threads", "1 to 1024", ["0", "1025"]),
        ("run churn --threads", "1 to 1024", ["-2", "99999999999999999999"]),
        ("run churn --replicates", "1 to 10000", ["0", "10001"]),
        (estimate, "2 to 1000000000000", ["1", "1000000000001"]),
    ] {
        for wrong in wrong.into_iter().chain(["x", "1.5", "-x"]) {
            let part = format!("expected a whole number from {range} (see --help)");
            refused(folder.path(), &format!("{line} {wrong}"), &part);
        }
    }
    for wrong in ["0/2", "3/2", "x", "1/10001", "-1/4", "1/"] {
        let part = format!("such as 3/16, N from 1 to 10000 and K from 1 to N, found {wrong}");
        refused(folder.path(), &format!("sweep guards --shard {wrong}"), &part);
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn word_that_is_not_utf8_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let name = OsStr::from_bytes(b"caf\xe9.toml");
    std::fs::write(folder.path().join(name), "").unwrap();
    for line in ["run", "sweep", "explain", "verify-determinism", "run churn --seed"] {
        let output = command(folder.path(), line).arg(name).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        let expected = "swarm-sim: caf\u{fffd}.toml is not UTF-8, which names and paths must be (see --help)\n";
        assert_eq!((output.status.code(), error.as_str()), (Some(2), expected), "{line}");
    }
}

#[test]
fn scenario_of_random_bytes_is_refused_with_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let not_text = "expected a scenario as UTF-8 text, which this line is not";
    for (bytes, start) in [
        (&b"\xff\x00\x1b[31m"[..], format!("line 1: {not_text}")),
        (b"version = 1\nengine = \"churn\"\nname = \"\xc3\x28\"\n", format!("line 3: {not_text}")),
        (b"# \xe2\x82\xac\n\n\xe2\x82", format!("line 3: {not_text}")),
        (b"version = 1\n\x1b[31m\x00 = 2\n", "line 2, ".to_owned()),
        (b"\x00\x01\x02", "line 1".to_owned()),
    ] {
        std::fs::write(at.join("x.toml"), bytes).unwrap();
        std::fs::write(at.join("y.toml"), "include = \"x.toml\"\n").unwrap();
        for line in ["run x.toml", "sweep x.toml", "explain x.toml", "run y.toml"] {
            let error = refused(at, line, &format!("x.toml, {start}"));
            assert!(!error.trim_end().contains(char::is_control), "{error:?}");
        }
    }
    assert_eq!(names(at), ["x.toml", "y.toml"]);
}

#[test]
fn one_of_a_kind_is_not_many() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    write(at, "s.toml", &(small() + "[sweep]\n\"paths.guards\" = [1]\n"));
    write(at, "one.toml", &small().replace("replicates = 2", "replicates = 1"));
    let (mut all, estimate) = (String::new(), "estimate path-both-ends nodes=9 malicious=2");
    for line in [
        "run s.toml --replicates 1 --out a",
        "run churn --replicates 1 --out b",
        "sweep s.toml --replicates 1 --out c",
        "report c",
        "explain one.toml",
        "verify-determinism s.toml --replicates 1",
        &format!("{estimate} --samples 2"),
    ] {
        all += &done(at, line);
    }
    for page in ["a/report.html", "b/report.html", "c/report.html"] {
        all += &read(at, page);
    }
    for part in ["1 replicate, ", "1 point over ", "1 replicate each", "1 point in", "1 thread: "] {
        assert!(all.contains(part), "{part}");
    }
    let words: Vec<&str> = all.split([' ', '>', '<', '\n', '(']).collect();
    let counted = words.windows(2).filter(|pair| pair[0] == "1" && pair[1].ends_with('s'));
    let plural: Vec<_> = counted.filter(|pair| !["ms", "s", "is"].contains(&pair[1])).collect();
    assert_eq!(plural, [[""; 2]; 0]);
}
