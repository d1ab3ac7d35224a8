//! Runs that were killed while their files got their names: the same run completes them, and nobody else's files are lost.
#![allow(clippy::unwrap_used)]

mod program;

use std::collections::BTreeMap;
use std::path::Path;

use program::{contents, done, read, refused, write};

type Files = BTreeMap<String, Vec<u8>>;

/// What a run gives in an empty folder.
fn whole(at: &Path, line: &str) -> Files {
    done(at, &format!("{line} --out whole"));
    let files = contents(&at.join("whole"));
    std::fs::remove_dir_all(at.join("whole")).unwrap();
    files
}

/// A folder as a run leaves it that is killed when `named` of its files have their names: the manifest is the last.
fn killed(at: &Path, before: &Files, now: &Files, named: usize) {
    let _ = std::fs::remove_dir_all(at);
    std::fs::create_dir(at).unwrap();
    let put = |name: &str, bytes: &[u8]| std::fs::write(at.join(name), bytes).unwrap();
    before.iter().for_each(|(name, bytes)| put(name, bytes));
    let order = now.iter().filter(|(name, _)| *name != "manifest.json");
    for (done, (name, bytes)) in order.enumerate() {
        if done < named { put(name, bytes) } else { put(&format!(".{name}.part"), bytes) }
    }
    put(".manifest.json.part", &now["manifest.json"]);
}

/// The same files, but for when the run was, and nothing beside them.
fn assert_same(found: &Files, expected: &Files, what: &str) {
    assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{what}");
    let differing = found.iter().filter(|(name, bytes)| expected[*name] != **bytes);
    let differing: Vec<_> = differing.map(|(name, _)| name.as_str()).collect();
    assert!(differing.iter().all(|name| *name == "manifest.json"), "{what}: {differing:?}");
}

#[test]
fn run_that_was_killed_is_completed_by_the_same_run() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = "run churn --replicates 1";
    let now = whole(at, line);
    for named in 0..now.len() {
        for overwrite in ["", " --overwrite"] {
            killed(&place, &Files::new(), &now, named);
            done(at, &format!("{line} --out a{overwrite}"));
            assert_same(&contents(&place), &now, &format!("{named} named{overwrite}"));
        }
        // Of another scenario nothing is written among them.
        killed(&place, &Files::new(), &now, named);
        let before = contents(&place);
        if named > 0 {
            refused(at, "run onion --replicates 1 --out a", "another scenario, churn");
            assert_same(&contents(&place), &before, "refused");
        } else {
            done(at, "run onion --replicates 1 --out a");
        }
    }
}

#[test]
fn overwriting_that_was_killed_is_done_again() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed}");
    let [mut first, mut second, third] = [1, 2, 3].map(|seed| whole(at, &line(seed)));
    for named in 0..second.len() {
        for (seed, expected) in [(1, &first), (2, &second), (3, &third)] {
            killed(&place, &first, &second, named);
            done(at, &format!("{} --out a --overwrite", line(seed)));
            assert_same(&contents(&place), expected, &format!("{named} named, seed {seed}"));
        }
        // Unasked, nothing of either is replaced.
        killed(&place, &first, &second, named);
        let before = contents(&place);
        refused(at, &format!("{} --out a", line(3)), "a holds ");
        assert!(contents(&place) == before);
    }
    // A table that only the first of two had, or only the second, is not left among the third's.
    for (of, name) in [(&mut first, "one.csv"), (&mut second, "two.csv")] {
        of.insert(name.to_owned(), b"x\n".to_vec());
        let place = at.join("b");
        killed(&place, of, &Files::from([("manifest.json".to_owned(), Vec::new())]), 0);
        std::fs::remove_file(place.join(".manifest.json.part")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&of["manifest.json"]).unwrap();
        let text = manifest.to_string().replacen(
            "\"metrics.csv\":",
            &format!("\"{name}\":\"\",\"metrics.csv\":"),
            1,
        );
        write(at, "b/manifest.json", &text);
        program::reseal(at, "b");
        of.insert("manifest.json".to_owned(), read(at, "b/manifest.json").into_bytes());
    }
    for named in 0..second.len() {
        killed(&place, &first, &second, named);
        write(at, "a/notes", "mine");
        done(at, &format!("{} --out a --overwrite", line(3)));
        let mut expected = third.clone();
        expected.insert("notes".to_owned(), b"mine".to_vec());
        assert_same(&contents(&place), &expected, &format!("{named} named"));
    }
}

#[test]
fn file_that_was_changed_after_the_kill_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = "run churn --replicates 1";
    let now = whole(at, line);
    killed(&place, &Files::new(), &now, 2);
    let name = now.keys().find(|name| *name != "manifest.json").unwrap();
    write(at, &format!("a/{name}"), "mine");
    let before = contents(&place);
    for more in ["", " --overwrite", " --seed 2 --overwrite"] {
        refused(
            at,
            &format!("{line} --out a{more}"),
            &format!("a holds a {name} that no run wrote"),
        );
    }
    assert!(contents(&place) == before);
    // Half a manifest tells of nothing.
    killed(&place, &Files::new(), &now, 2);
    let half = &now["manifest.json"][..100];
    std::fs::write(place.join(".manifest.json.part"), half).unwrap();
    refused(at, &format!("{line} --out a"), "a holds no run, but ");
}

#[test]
fn manifest_that_names_files_elsewhere_is_no_runs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    write(at, "precious", "mine");
    let manifest = read(at, "a/manifest.json");
    let digest = manifest.split("\"metrics.csv\": ").nth(1).unwrap().split('"').nth(1).unwrap();
    std::fs::copy(at.join("a/metrics.csv"), at.join("precious")).unwrap();
    let elsewhere = format!("\"../precious\": \"{digest}\", \"metrics.csv\": ");
    write(at, "a/manifest.json", &manifest.replacen("\"metrics.csv\": ", &elsewhere, 1));
    let sentence = "a holds a manifest.json that no run wrote, or that is damaged";
    refused(at, "run churn --replicates 1 --seed 2 --overwrite --out a", sentence);
    refused(at, "report a --overwrite", sentence);
    assert!(at.join("precious").exists());
    // Nor is one that names what can be no file, or what a terminal would not take as text.
    for name in ["a\\u0000b", "a\\u001b[31mb", &"n".repeat(250), ""] {
        let with = format!("\"{name}\": \"{digest}\", \"metrics.csv\": ");
        write(at, "a/manifest.json", &manifest.replacen("\"metrics.csv\": ", &with, 1));
        for line in ["report a", "compare a a", "run churn --replicates 1 --out a"] {
            refused(at, line, sentence);
        }
    }
}

#[test]
fn manifest_of_another_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    let manifest = read(at, "a/manifest.json");
    assert!(manifest.contains("\"format\": 2"));
    write(at, "a/manifest.json", &manifest.replacen("\"format\": 2", "\"format\": 1", 1));
    for line in ["report a", "compare a a", "run churn --replicates 1 --out a --overwrite"] {
        refused(at, line, "a holds results of another version of manifest.json, 1: ");
    }
    for (from, to) in
        [("\"files\"", "\"other\""), ("results.json", "other.json"), ("\"kind\"", "\"x\"")]
    {
        write(at, "a/manifest.json", &manifest.replacen(from, to, 1));
        refused(at, "report a", "a holds a manifest.json that no run wrote, or that is damaged");
    }
}

#[test]
fn witness_of_a_run_that_was_killed_outlives_the_runs_that_fail_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let (at, place) = (folder.path(), folder.path().join("a"));
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed}");
    let [first, second] = [1, 2].map(|seed| whole(at, &line(seed)));
    for (before, overwrite) in [(&Files::new(), ""), (&first, " --overwrite")] {
        let again = format!("{} --out a{overwrite}", line(2));
        // There is no room for the files of the second try.
        killed(&place, before, &second, 3);
        let script = format!("trap '' XFSZ; ulimit -f 1; exec \"$0\" {again}");
        let mut command = std::process::Command::new("sh");
        command.args(["-c", &script, env!("CARGO_BIN_EXE_swarm-sim")]).current_dir(at);
        assert_eq!(command.output().unwrap().status.code(), Some(1));
        assert!(contents(&place)[".manifest.json.part"] == second["manifest.json"]);
        // The second try is killed while it writes.
        killed(&place, before, &second, 3);
        write(at, "a/.manifest.json.new.part", &read(at, "a/.manifest.json.part")[..100]);
        done(at, &again);
        assert_same(&contents(&place), &second, &again);
    }
    // Halves of files that the next run does not write are known by the manifest among them.
    write(at, "b/.other.csv.part", "x");
    let manifest = String::from_utf8(first["manifest.json"].clone()).unwrap();
    let other = manifest.replacen("\"metrics.csv\":", "\"other.csv\": \"\", \"metrics.csv\":", 1);
    write(at, "b/.manifest.json.new.part", &other);
    done(at, &format!("{} --out b", line(2)));
    assert_same(&contents(&at.join("b")), &second, "b");
}
