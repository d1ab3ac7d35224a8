//! Folders of runs and sweeps: what stands there is named, and what does not fit leaves nothing.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use swarm_sim::output::atomic::{self, Locked};
use swarm_sim::output::folder::{Existing, Folder, FolderError};
use swarm_sim::output::manifest::RunManifest;
use swarm_sim::run::{RunConfig, run};
use swarm_sim::scenario::{BUILT_IN, Scenario};

fn config(seed: u64, replicates: u32) -> RunConfig {
    RunConfig { seed, replicates, threads: NonZeroUsize::MIN }
}

/// Names in a folder, in order.
fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Exit code and standard error of a command line that a shell runs.
fn said(folder: &Path, before: &str, line: &str) -> (Option<i32>, String) {
    let script = format!("{before}exec \"$0\" {line}");
    let mut command = Command::new("sh");
    command.args(["-c", &script, env!("CARGO_BIN_EXE_swarm-sim")]).current_dir(folder);
    let output = command.output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// No file may be longer than half a kilobyte or one, as the shell counts; writing more is an error.
const SHORT: &str = "trap '' XFSZ; ulimit -f 1; ";

#[test]
fn other_results_are_seen_before_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let onion = Scenario::load("onion").unwrap();
    let results = |name: &str, engine: &str, seed: u64, replicates: u64| {
        let text = serde_json::json!({
            "scenario": name, "engine": engine, "seed": seed, "replicates": replicates
        });
        std::fs::write(at.join("results.json"), text.to_string()).unwrap();
    };
    let open = |existing| Folder::open(at, existing, (&onion, ""), &config(5, 3)).map(|_| ());
    for existing in [Existing::Keep, Existing::Replace] {
        results("onion", "onion", 5, 3);
        assert!(open(existing).is_ok());
        for (name, engine) in [("onion", "paths"), ("other", "onion")] {
            results(name, engine, 5, 3);
            let error = open(existing).unwrap_err();
            let is_it =
                matches!(&error, FolderError::OtherScenario { scenario, .. } if scenario == name);
            assert!(is_it, "{error}");
        }
        std::fs::write(at.join("results.json"), "{\"scenario\": \"onion\"}").unwrap();
        let error = open(existing).unwrap_err();
        assert!(
            matches!(&error, FolderError::Foreign { file, .. } if file == "results.json"),
            "{error}"
        );
        std::fs::remove_file(at.join("results.json")).unwrap();
        std::fs::write(at.join("manifest.json"), "{\"kind\": \"sweep\"}").unwrap();
        assert!(matches!(open(existing), Err(FolderError::NotOfARun { .. })));
        std::fs::remove_file(at.join("manifest.json")).unwrap();
    }
    for (seed, replicates) in [(6, 3), (5, 4)] {
        results("onion", "onion", seed, replicates);
        let error = open(Existing::Keep).unwrap_err();
        let there = format!("onion with --seed {seed} --replicates {replicates}: ");
        assert!(error.is_refusal() && error.to_string().contains(&there), "{error}");
        // Without a manifest nothing says that a run wrote them.
        let error = open(Existing::Replace).unwrap_err();
        assert!(
            matches!(&error, FolderError::NotWritten { file, .. } if file == "results.json"),
            "{error}"
        );
    }
}

/// A run's folder with one result and one page, and the manifest that goes with them.
fn of_a_run(at: &Path, existing: Existing) -> (Folder, RunManifest) {
    let onion = Scenario::load("onion").unwrap();
    let config = config(5, 1);
    let report = run(&onion, &config).unwrap();
    let manifest = RunManifest::of(&report, 1, SystemTime::UNIX_EPOCH, Duration::from_secs(1));
    (Folder::open(at, existing, (&onion, ""), &config).unwrap(), manifest)
}

fn file(name: &str, text: &str) -> [(String, String); 1] {
    [(name.to_owned(), text.to_owned())]
}

#[test]
fn page_that_was_changed_is_kept_as_results_are() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a");
    let (keep, manifest) = of_a_run(&at, Existing::Keep);
    keep.write(&file("r", "1"), &manifest, &file("p", "2")).unwrap();
    keep.write(&file("r", "1"), &manifest, &file("p", "2")).unwrap();
    for (result, page, blamed) in [("1", "other", "p"), ("other", "2", "r")] {
        let error = keep.write(&file("r", result), &manifest, &file("p", page)).unwrap_err();
        assert!(matches!(&error, FolderError::OtherFile { file, .. } if file == blamed), "{error}");
    }
    let text = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    assert_eq!((text("r"), text("p")), ("1".to_owned(), "2".to_owned()));
    let (replace, manifest) = of_a_run(&at, Existing::Replace);
    replace.write(&file("r", "3"), &manifest, &file("p", "4")).unwrap();
    assert_eq!((text("r"), text("p")), ("3".to_owned(), "4".to_owned()));
    assert_eq!(names(&at), ["manifest.json", "p", "r"]);
}

#[test]
#[cfg(target_os = "linux")]
fn second_run_into_a_folder_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("a");
    let (keep, manifest) = of_a_run(&at, Existing::Keep);
    std::fs::create_dir(&at).unwrap();
    let first = std::fs::File::open(&at).unwrap();
    first.lock().unwrap();
    let second = std::thread::spawn(move || keep.write(&file("r", "1"), &manifest, &[]));
    // The system lists who waits behind whom.
    let waits = format!(" {} ", std::process::id());
    let is_waiting = || {
        let locks = std::fs::read_to_string("/proc/locks").unwrap();
        locks.lines().any(|line| line.contains("->") && line.contains(&waits))
    };
    while !is_waiting() {
        assert!(!second.is_finished(), "it wrote while another had the folder");
        std::thread::yield_now();
    }
    assert!(names(&at).is_empty());
    drop(first);
    second.join().unwrap().unwrap();
    assert_eq!(names(&at), ["manifest.json", "r"]);
}

fn write_files(files: &[(PathBuf, String)], existing: Existing) -> Result<(), FolderError> {
    let lock = Locked::around(files.iter().map(|(file, _)| file.as_path()))?;
    atomic::write_files(files, existing, &lock)
}

#[test]
fn files_are_written_all_or_none_and_replaced_only_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let files = |first: &str, second: &str| -> [(PathBuf, String); 2] {
        // Tables of one column each.
        [(at.join("a"), format!("x\n{first}")), (at.join("new/b"), format!("y\n{second}"))]
    };
    write_files(&files("1", "2"), Existing::Keep).unwrap();
    write_files(&files("1", "2"), Existing::Keep).unwrap();
    let error = write_files(&files("3", "4"), Existing::Keep).unwrap_err();
    assert!(error.is_refusal() && error.kind() == "folder", "{error}");
    let error = write_files(&files("1", "4"), Existing::Keep).unwrap_err();
    assert!(matches!(&error, FolderError::OtherPage { file } if file.ends_with("new/b")));
    let text = |name: &str| std::fs::read_to_string(at.join(name)).unwrap();
    assert_eq!((text("a"), text("new/b")), ("x\n1".to_owned(), "y\n2".to_owned()));
    write_files(&files("3", "4"), Existing::Replace).unwrap();
    assert_eq!((text("a"), text("new/b")), ("x\n3".to_owned(), "y\n4".to_owned()));
    // What is of another kind is nobody's to replace.
    std::fs::write(at.join("a"), "mine").unwrap();
    let error = write_files(&files("5", "6"), Existing::Replace).unwrap_err();
    assert!(matches!(&error, FolderError::OtherKind { file } if file.ends_with("a")), "{error}");
    assert_eq!((text("a"), text("new/b")), ("mine".to_owned(), "y\n4".to_owned()));
    std::fs::write(at.join("a"), "x\n3").unwrap();
    // A folder in the way is no page of anyone's, and the first file stays what it is.
    std::fs::remove_file(at.join("new/b")).unwrap();
    std::fs::create_dir(at.join("new/b")).unwrap();
    for existing in [Existing::Keep, Existing::Replace] {
        let error = write_files(&files("3", "6"), existing).unwrap_err();
        assert!(!error.is_refusal() && error.kind() == "write", "{error}");
        assert!(error.to_string().contains("new/b"), "{error}");
        assert_eq!(
            (text("a"), names(at)),
            ("x\n3".to_owned(), vec!["a".to_owned(), "new".to_owned()])
        );
        assert_eq!(names(&at.join("new")), ["b"]);
    }
}

#[test]
fn no_part_of_a_file_is_left_where_there_is_no_room() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (code, error) = said(at, SHORT, "run churn --replicates 1 --out a");
    assert!(code == Some(1) && error.starts_with("swarm-sim: cannot write to a: "), "{error}");
    assert!(names(at).is_empty(), "{:?}", names(at));
    small_sweep(at);
    let (code, error) = said(at, SHORT, "sweep s.toml --out b");
    assert!(code == Some(1) && error.lines().count() == 1, "{error}");
    assert!(names(&at.join("b/points")).is_empty(), "{:?}", names(&at.join("b/points")));
    assert!(names(&at.join("b")).iter().all(|name| !name.ends_with("part")));
    assert_eq!(said(at, "", "sweep s.toml --out b"), (Some(0), String::new()));
}

/// Three points that end soon.
fn small_sweep(at: &Path) {
    let guards = BUILT_IN.iter().find(|b| b.name == "guards").unwrap().text;
    let (base, _) = guards.split_once("[sweep]").unwrap();
    let base = base.replacen("count = 500", "count = 3", 1).replacen("= 8", "= 2", 1);
    std::fs::write(at.join("s.toml"), base + "[sweep]\n\"paths.guards\" = [1, 2, 3]\n").unwrap();
}

#[test]
fn sweep_of_another_name_version_or_format_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_sweep(at);
    assert_eq!(said(at, "", "sweep s.toml --out a").0, Some(0));
    let manifest = at.join("a/manifest.json");
    let whole = std::fs::read_to_string(&manifest).unwrap();
    let version = format!("\"{}\"", env!("CARGO_PKG_VERSION"));
    for (from, to, part) in [
        (version.as_str(), "\"0.0.0\"", "another version of swarm-sim: 0.0.0, not "),
        ("\"format\": 2", "\"format\": 7", "another format: 7, not 2"),
        ("\"guards\"", "\"others\"", "another scenario: others, not guards"),
    ] {
        assert!(whole.contains(from), "{from}: {whole}");
        std::fs::write(&manifest, whole.replacen(from, to, 1)).unwrap();
        let (code, error) = said(at, "", "sweep s.toml --out a");
        assert!(code == Some(2) && error.contains(part), "{error}");
    }
    std::fs::write(&manifest, whole).unwrap();
    assert_eq!(said(at, "", "sweep s.toml --out a"), (Some(0), String::new()));
}

#[test]
fn point_under_the_number_or_with_the_values_of_another_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_sweep(at);
    assert_eq!(said(at, "", "sweep s.toml --out a").0, Some(0));
    let point = at.join("a/points/00001.json");
    let whole = std::fs::read_to_string(&point).unwrap();
    for (from, to) in [("\"point\": 1", "\"point\": 2"), ("\"2\"", "\"3\"")] {
        assert!(whole.contains(from), "{from}: {whole}");
        std::fs::write(&point, whole.replacen(from, to, 1)).unwrap();
        let (code, error) = said(at, "", "sweep s.toml --out a");
        assert!(code == Some(2) && error.contains("a/points/00001.json is damaged"), "{error}");
    }
    // It is written beside where it shall stand, so that no half of it is ever found there.
    std::fs::remove_file(&point).unwrap();
    std::fs::create_dir(at.join("a/points/.00001.json.part")).unwrap();
    assert_eq!(said(at, "", "sweep s.toml --out a").0, Some(1));
    assert!(!point.exists());
    std::fs::remove_dir(at.join("a/points/.00001.json.part")).unwrap();
    assert_eq!(said(at, "", "sweep s.toml --out a").0, Some(0));
    assert_eq!(std::fs::read_to_string(&point).unwrap(), whole);
}

#[test]
fn values_with_commas_and_quotes_are_one_cell() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_sweep(at);
    let text = std::fs::read_to_string(at.join("s.toml")).unwrap();
    let weights = "\"network.weights\" = [{ model = \"pareto\", shape = 1.5 }]";
    let text = text.replacen("\"paths.guards\" = [1, 2, 3]", weights, 1);
    std::fs::write(at.join("s.toml"), text).unwrap();
    assert_eq!(said(at, "", "sweep s.toml --out a"), (Some(0), String::new()));
    let table = std::fs::read_to_string(at.join("a/sweep.csv")).unwrap();
    let cell = "\"{ model = \"\"pareto\"\", shape = 1.5 }\"";
    assert!(table.contains(&format!("\n0,{cell},clients,")), "{table}");
}

#[test]
fn folder_that_is_made_and_taken_away_again_is_nobodys() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("x/y");
    let lock = || Locked::of([at.as_path()].into_iter()).unwrap();
    // What another waits for goes with the one that has it, and the other makes it anew.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let lock = lock();
                    std::fs::write(at.join("mine"), "").unwrap();
                    assert_eq!(names(&at), ["mine"]);
                    std::fs::remove_file(at.join("mine")).unwrap();
                    drop(lock);
                }
            });
        }
    });
    assert!(!at.exists());
    std::fs::create_dir_all(folder.path().join("x")).unwrap();
    drop(lock());
    assert!(names(&folder.path().join("x")).is_empty());
}

#[test]
fn two_commands_into_a_folder_that_is_not_there_come_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(said(at, "", "run churn --replicates 1 --out a").0, Some(0));
    assert_eq!(said(at, "", "run churn --replicates 1 --seed 2 --out b").0, Some(0));
    let line = |run: &str| format!("report {run} --out new/page.html --plots new/plots");
    for run in ["a", "b"] {
        assert_eq!(said(at, "", &line(run)).0, Some(0));
        std::fs::rename(at.join("new"), at.join(format!("of-{run}"))).unwrap();
    }
    let texts = |place: &Path| {
        let files =
            names(&place.join("plots")).into_iter().map(|name| place.join("plots").join(name));
        let texts = files.chain([place.join("page.html")]).map(|file| std::fs::read(file).unwrap());
        texts.collect::<Vec<_>>()
    };
    for _ in 0..5 {
        let both = std::thread::scope(|scope| {
            let two = ["a", "b"].map(|run| scope.spawn(move || said(at, "", &line(run))));
            two.map(|one| one.join().unwrap())
        });
        let mut codes = both.clone().map(|(code, _)| code);
        codes.sort();
        assert_eq!(codes, [Some(0), Some(2)], "{both:?}");
        let first = if both[0].0 == Some(0) { "of-a" } else { "of-b" };
        assert!(texts(&at.join("new")) == texts(&at.join(first)));
        std::fs::remove_dir_all(at.join("new")).unwrap();
    }
    // One that is refused leaves no folder that it made.
    std::fs::write(at.join("a/metrics.csv"), "x").unwrap();
    for wrong in ["a", "nowhere", "a nowhere"] {
        assert_eq!(said(at, "", &line(wrong)).0, Some(2));
        assert_eq!(names(at), ["a", "b", "of-a", "of-b"]);
    }
    assert_eq!(said(at, "", "report nowhere").0, Some(2));
    assert_eq!(names(at), ["a", "b", "of-a", "of-b"]);
}

#[test]
fn link_under_the_name_of_a_half_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let link = |half: &str| {
        std::fs::create_dir_all(at.join(half).parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(at.join("precious"), at.join(half)).unwrap();
    };
    std::fs::write(at.join("precious"), "mine").unwrap();
    small_sweep(at);
    for name in ["metrics.csv", "results.json", "manifest.json", "manifest.json.new"] {
        link(&format!("a/.{name}.part"));
    }
    for name in ["sweep.csv", "manifest.json", "runs.csv", "report.html"] {
        link(&format!("b/.{name}.part"));
    }
    link("pages/.page.html.part");
    assert_eq!(said(at, "", "run churn --replicates 1 --out a").0, Some(0));
    assert_eq!(said(at, "", "report a --out pages/page.html").0, Some(0));
    let (code, error) = said(at, "", "sweep s.toml --out b");
    assert_eq!((code, error.as_str()), (Some(0), ""));
    assert_eq!(std::fs::read_to_string(at.join("precious")).unwrap(), "mine");
    for place in ["a", "b", "pages"] {
        assert!(names(&at.join(place)).iter().all(|name| !name.ends_with(".part")), "{place}");
    }
}

#[test]
fn what_came_while_a_run_was_under_way_is_not_written_among() {
    let folder = tempfile::tempdir().unwrap();
    for existing in [Existing::Keep, Existing::Replace] {
        for (name, text) in [
            ("notes", "mine"),
            ("results.json", "mine"),
            (
                "results.json",
                r#"{"scenario": "churn", "engine": "churn", "seed": 5, "replicates": 1}"#,
            ),
        ] {
            let at = folder.path().join("a");
            let (opened, manifest) = of_a_run(&at, existing);
            std::fs::create_dir(&at).unwrap();
            std::fs::write(at.join(name), text).unwrap();
            let error = opened.write(&file("r", "1"), &manifest, &[]).unwrap_err();
            let is_other = matches!(&error, FolderError::OtherScenario { .. });
            let is_foreign = matches!(&error, FolderError::Foreign { file, .. } if file == name);
            assert!(if text == "mine" { is_foreign } else { is_other }, "{error}");
            assert_eq!(names(&at), [name]);
            std::fs::remove_dir_all(&at).unwrap();
        }
    }
}

#[test]
fn what_a_file_says_reaches_a_terminal_as_text_and_what_cannot_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    assert_eq!(said(at, "", "run churn --replicates 1 --out a").0, Some(0));
    small_sweep(at);
    assert_eq!(said(at, "", "sweep s.toml --shard 1/2 --out b").0, Some(0));
    let hostile = "\\u001b[31m\\nx\\u0007";
    let (run, sweep) = ("run churn --replicates 1 --out a", "sweep s.toml --shard 1/2 --out b");
    for (file, from, to, line, part) in [
        ("a/results.json", "\"churn\"", "\"H\"", run, "another scenario, "),
        ("a/manifest.json", "\"churn\"", "\"H\"", run, "another scenario, "),
        ("a/results.json", "\"value\": \"", "\"value\": \"H", run, "results of churn with "),
        ("a/manifest.json", "\"results.json\": \"", "\"results.json\": \"H", "report a", "digest "),
        ("b/manifest.json", "\"scenario\": \"", "\"scenario\": \"H", sweep, "another scenario: "),
        ("b/manifest.json", "\"1/2\"", "\"H\"", sweep, "another shard: "),
        ("b/manifest.json", "\"1/2\"", "\"H\"", "merge b --out c", "found "),
        (
            "b/manifest.json",
            "\"scenario_digest\": \"",
            "\"scenario_digest\": \"H",
            "merge b --out c",
            "digest ",
        ),
    ] {
        let whole = std::fs::read_to_string(at.join(file)).unwrap();
        assert!(whole.contains(from), "{from}: {whole}");
        let text = whole.replace(from, &to.replace('H', hostile));
        std::fs::write(at.join(file), text).unwrap();
        let (code, error) = said(at, "", line);
        assert!(code == Some(2) && error.contains(part), "{line}: {error:?}");
        assert!(error.contains('\u{fffd}') && error.ends_with('\n'), "{line}: {error:?}");
        assert!(!error.trim_end().contains(char::is_control), "{line}: {error:?}");
        std::fs::write(at.join(file), whole).unwrap();
    }
    for name in ["manifest.json", "metrics.csv", "scenario.toml"] {
        let file = at.join("a").join(name);
        std::fs::rename(&file, at.join("kept")).unwrap();
        std::fs::create_dir(&file).unwrap();
        let (code, error) = said(at, "", run);
        let start = format!("swarm-sim: cannot read a/{name}: ");
        assert!(code == Some(1) && error.starts_with(&start), "{error}");
        std::fs::remove_dir(&file).unwrap();
        std::fs::rename(at.join("kept"), &file).unwrap();
    }
}

#[test]
fn sweep_that_is_under_way_is_told_of_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    small_sweep(at);
    assert_eq!(said(at, "", "sweep s.toml --out a").0, Some(0));
    let manifest = at.join("a/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let (before, digest) = text.split_once("\"digest\": ").unwrap();
    let (_, after) = digest.split_once('\n').unwrap();
    std::fs::write(&manifest, format!("{before}\"digest\": null\n{after}")).unwrap();
    // As long as it goes on, a sweep has its folder.
    let lock = std::fs::File::open(at.join("a")).unwrap();
    lock.lock().unwrap();
    let mut lines = vec!["report a", "report a --out page.html"];
    if cfg!(feature = "parquet") {
        lines.push("parquet a");
    }
    for line in lines {
        // Whoever waits is ended with code 124.
        let script = format!("timeout 60 \"$0\" {line}; exit $?; ");
        let (code, error) = said(at, &script, line);
        assert!(
            code == Some(2) && error.contains("a is of a sweep that was stopped"),
            "{line}: {code:?} {error}"
        );
    }
}
