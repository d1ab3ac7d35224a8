//! Sweeps: the same bytes however they were run, and refusals that say what to do.
#![allow(clippy::unwrap_used)]

mod program;

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;

use enjambre_protocol::crypto;
use enjambre_protocol::id::Digest;
use serde_json::Value;

use program::{built_in, command, contents, done, read, refused, small, write};

const GRID: &str =
    "\n[sweep]\n\"adversary.share\" = [\"5 %\", \"20 %\"]\n\"paths.guards\" = [1, 2, 3]\n";

/// A small scenario of the paths engine with this grid.
fn file(folder: &Path, grid: &str) {
    write(folder, "s.toml", &(small() + grid));
}

#[test]
fn sweep_is_the_same_on_any_number_of_threads_and_from_shards() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "sweep s.toml --seed 7 --threads 1 --out one");
    let one = contents(&at.join("one"));
    for threads in [2, 8] {
        done(at, &format!("sweep s.toml --seed 7 --threads {threads} --out t{threads}"));
        assert!(one == contents(&at.join(format!("t{threads}"))), "{threads} threads");
    }
    // Four shards of six points: two with two, two with one.
    for shard in 1..=4 {
        done(at, &format!("sweep s.toml --seed 7 --shard {shard}/4 --out s{shard}"));
    }
    done(at, "merge s3 s1 s4 s2 --out all");
    assert!(one == contents(&at.join("all")), "merged shards");
    // Into the same folder again, but for a point that was changed there since.
    done(at, "merge s3 s1 s4 s2 --out all");
    let name = "all/points/00001.json";
    let text = read(at, name);
    write(at, name, &text.replacen("\"events\": ", "\"events\": 1", 1));
    let before = contents(&at.join("all"));
    refused(at, "merge s3 s1 s4 s2 --out all", &format!("{name} is damaged"));
    assert!(before == contents(&at.join("all")) && before != one);
    write(at, name, &text);
    // The page is among them, the same that `report` makes; a shard has none.
    assert_eq!(done(at, "report all"), "page about 6 points in all/report.html\n");
    assert!(one == contents(&at.join("all")) && one.contains_key("report.html"));
    assert!(!at.join("s1/report.html").exists());
    let manifest: Value = serde_json::from_slice(&one["manifest.json"]).unwrap();
    assert_eq!(manifest["digest"].as_str().map(str::len), Some(64));
    assert_eq!(manifest["axes"], serde_json::json!(["adversary.share", "paths.guards"]));
    assert_eq!((&manifest["points"], &manifest["shard"]), (&6.into(), &"1/1".into()));
    let table = String::from_utf8(one["sweep.csv"].clone()).unwrap();
    assert!(table.starts_with("point,adversary.share,paths.guards,metric,value,"), "{table}");
    assert!(table.contains("\n5,20 %,3,requests,"), "{table}");
}

#[test]
fn sweep_that_was_killed_goes_on_and_ends_with_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let many: Vec<String> = (1..=60).map(|share| format!("\"{share} %\"")).collect();
    file(at, &format!("\n[sweep]\n\"adversary.share\" = [{}]\n", many.join(", ")));
    let line = "sweep s.toml --threads 1 --out killed";
    let mut child = command(at, line).stdout(Stdio::null()).spawn().unwrap();
    let third = at.join("killed/points/00002.json");
    while !third.exists() {
        assert!(child.try_wait().unwrap().is_none(), "it ended without its third point");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!at.join("killed/sweep.csv").exists(), "it was not killed in time");
    refused(at, "merge killed --out x", "was stopped: run it again");
    // A point that is done is not run again: its file would be another.
    let file = |path: &Path| std::fs::metadata(path).unwrap().ino();
    let before = file(&third);
    done(at, "sweep s.toml --threads 2 --out killed");
    assert_eq!(file(&third), before);
    done(at, "sweep s.toml --threads 2 --out whole");
    assert!(contents(&at.join("killed")) == contents(&at.join("whole")));
}

#[test]
fn point_depends_on_its_values_and_not_on_the_grid() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let rows = |grid: &str, out: &str| -> Vec<String> {
        file(at, grid);
        done(at, &format!("sweep s.toml --out {out}"));
        let table = std::fs::read_to_string(at.join(out).join("sweep.csv")).unwrap();
        let of_two = table.lines().filter_map(|line| {
            let (value, row) = line.split_once(',')?.1.split_once(',')?;
            (value == "2").then(|| row.to_owned())
        });
        of_two.collect()
    };
    let few = rows("\n[sweep]\n\"paths.guards\" = [2]\n", "few");
    assert!(!few.is_empty() && few == rows("\n[sweep]\n\"paths.guards\" = [1, 2]\n", "more"));
}

#[test]
fn grid_that_cannot_be_is_refused_with_line_and_key() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for (grid, part) in [
        (
            "\"paths.guards\" = [1, 0]",
            "\"paths.guards\": the point paths.guards=0: expected a whole number from 1 to 20",
        ),
        ("\"paths.guardz\" = [1]", "unknown field `guardz`"),
        ("\"adversary.share\" = [\"5\"]", "found \"5\""),
        ("\"name\" = [\"a\"]", "`name` cannot be swept"),
        ("\"span.x\" = [1]", "`span` is no table"),
        ("\"paths.guards\" = []", "1 to 10000 points"),
        ("\"paths.guards\" = [1, 2, 1]", "1 is listed twice"),
        ("\"paths.guards\" = 3", "invalid type"),
    ] {
        file(at, &format!("\n[sweep]\n{grid}\n"));
        let text = std::fs::read_to_string(at.join("s.toml")).unwrap();
        let line = text.lines().position(|line| line == grid).unwrap() + 1;
        refused(at, "sweep s.toml", &format!("s.toml, line {line}, "));
        refused(at, "sweep s.toml", part);
    }
    file(at, "");
    refused(at, "sweep s.toml", "has no [sweep]");
    assert!(!at.join("runs").exists(), "a refused sweep left a folder");
}

#[test]
fn folders_and_shards_that_do_not_fit_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    for (shard, part) in [
        ("0/2", "N from 1 to 10000".to_owned()),
        ("3/2", "expected a shard K/N such as 3/16".to_owned()),
        ("x", "expected a shard K/N such as 3/16".to_owned()),
    ] {
        refused(at, &format!("sweep s.toml --shard {shard}"), &part);
    }
    refused(
        at,
        "sweep s.toml --shard 7/7",
        "has none of the points: there are 6, so use 6 or fewer shards",
    );
    done(at, "sweep s.toml --shard 1/2 --out a");
    let before = contents(&at.join("a"));
    refused(at, "sweep s.toml --shard 2/2 --out a", "another shard: 1/2, not 2/2");
    refused(at, "sweep s.toml --shard 1/2 --seed 2 --out a", "another --seed: 1, not 2");
    refused(
        at,
        "sweep s.toml --shard 1/2 --replicates 3 --out a",
        "another --replicates: 2, not 3",
    );
    refused(at, "merge a --out b", "3 of 6 points are missing: the shards given are 1/2");
    refused(at, "merge a nowhere --out b", "nowhere holds no sweep");
    file(at, &GRID.replace("20 %", "21 %"));
    refused(at, "sweep s.toml --shard 1/2 --out a", "another text of the scenario");
    done(at, "sweep s.toml --shard 2/2 --out other");
    refused(at, "merge a other --out b", "another text of the scenario");
    assert!(before == contents(&at.join("a")) && !at.join("b").exists());
    std::fs::create_dir(at.join("mine")).unwrap();
    std::fs::write(at.join("mine/notes"), "").unwrap();
    refused(at, "sweep s.toml --out mine", "mine holds no sweep, but notes: give another --out");
    refused(at, "sweep s.toml --out s.toml", "is a file, not a folder");
    refused(at, "merge other other --out b", "other is given twice");
    refused(at, "merge other ./other --out b", "./other is given twice");
    refused(at, "sweep s.toml --shard -1/4", "expected a shard K/N such as 3/16");
}

#[test]
fn damaged_point_is_named_and_done_again_once_it_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "sweep s.toml --out a");
    let before = contents(&at.join("a"));
    let point = at.join("a/points/00002.json");
    let text = std::fs::read(&point).unwrap();
    std::fs::write(&point, &text[..200]).unwrap();
    refused(
        at,
        "sweep s.toml --out a",
        "a/points/00002.json is damaged, was changed, or is of another sweep: delete it",
    );
    std::fs::remove_file(&point).unwrap();
    done(at, "sweep s.toml --out a");
    assert!(before == contents(&at.join("a")));
}

#[test]
fn second_sweep_into_a_folder_is_told_of_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    std::fs::create_dir(at.join("a")).unwrap();
    let first = std::fs::File::open(at.join("a")).unwrap();
    first.lock().unwrap();
    refused(at, "sweep s.toml --out a", "a is being written to by another sweep");
    assert_eq!(contents(&at.join("a")).len(), 0);
    drop(first);
    done(at, "sweep s.toml --out a");
}

#[test]
fn sweep_that_was_changed_after_it_was_written_is_refused_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "sweep s.toml --out a");
    for shard in [1, 2] {
        done(at, &format!("sweep s.toml --shard {shard}/2 --out s{shard}"));
    }
    let before = contents(at);
    let changed = |name: &str, from: &str, to: &str| {
        let text = String::from_utf8(before[name].clone()).unwrap();
        assert!(text.contains(from), "{name}: {from}");
        write(at, name, &text.replacen(from, to, 1));
    };
    let restored = |name: &str| std::fs::write(at.join(name), &before[name]).unwrap();
    let point = "points/00002.json is damaged, was changed, or is of another sweep";
    let seed = ("\"seed\": 1", "\"seed\": 2");
    for (file, from, to, part) in [
        ("points/00002.json", "requests,", "requests,1", point),
        ("points/00002.json", "\"events\": ", "\"events\": 1", point),
        ("points/00002.json", "5 %", "6 %", point),
        ("manifest.json", seed.0, seed.1, "is damaged, was changed, or is of another sweep"),
        ("manifest.json", "\"points\": 6", "\"points\": 7", "expected what scenario.toml says"),
        ("scenario.toml", "count = 30", "count = 31", "expected the text with digest "),
    ] {
        for (folder, line) in [("a", "report a"), ("s1", "merge s1 s2 --out m")] {
            let name = format!("{folder}/{file}");
            changed(&name, from, to);
            refused(at, line, part);
            restored(&name);
        }
    }
    changed("a/runs.csv", ",paths,", ",paths,1");
    refused(at, "report a", "a/runs.csv was changed since it was written: expected what the files");
    restored("a/runs.csv");
    changed("a/sweep.csv", ",requests,", ",requests,1");
    refused(
        at,
        "report a",
        "a/sweep.csv was changed since it was written: expected what the files",
    );
    refused(at, "sweep s.toml --out a", "a holds a sweep.csv that is not of this sweep");
    restored("a/sweep.csv");
    // A point of another seed is not taken for one of this sweep's, nor is its digest.
    done(at, "sweep s.toml --seed 2 --out other");
    std::fs::copy(at.join("other/points/00002.json"), at.join("a/points/00002.json")).unwrap();
    refused(at, "report a", point);
    refused(at, "sweep s.toml --out a", point);
    restored("a/points/00002.json");
    let digest = |bytes: &[u8]| {
        let manifest: Value = serde_json::from_slice(bytes).unwrap();
        manifest["digest"].as_str().unwrap().to_owned()
    };
    let other = digest(&std::fs::read(at.join("other/manifest.json")).unwrap());
    changed("a/manifest.json", &digest(&before["a/manifest.json"]), &other);
    refused(at, "report a", "a/manifest.json was changed since it was written");
    restored("a/manifest.json");
    std::fs::remove_dir_all(at.join("other")).unwrap();
    write(at, "a/report.html", "mine");
    refused(at, "sweep s.toml --out a", "a holds a report.html that is not of this sweep");
    restored("a/report.html");
    assert!(contents(at) == before, "something was written");
}

#[test]
fn axis_named_as_a_column_has_a_column_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let (base, _) = built_in("swarm-size").split_once("[sweep]").unwrap();
    let base = base.replacen("replicates = 8", "replicates = 2", 1);
    write(at, "s.toml", &format!("{base}[sweep]\nsamples = [50, 60]\n"));
    done(at, "sweep s.toml --out a");
    let header = |name: &str| read(at, name).lines().next().unwrap().to_owned();
    assert!(header("a/sweep.csv").starts_with("point,sweep.samples,metric,"));
    assert!(header("a/runs.csv").starts_with("point,sweep.samples,scenario,"));
    let manifest: Value = serde_json::from_str(&read(at, "a/manifest.json")).unwrap();
    assert_eq!(manifest["axes"][0], "samples");
    done(at, "report a");
}

#[test]
fn point_of_another_run_is_named_and_not_replaced_by_a_merge() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    for shard in [1, 2] {
        done(at, &format!("sweep s.toml --shard {shard}/2 --out s{shard}"));
    }
    done(at, "merge s1 s2 --out all");
    let manifest: Value = serde_json::from_str(&read(at, "all/manifest.json")).unwrap();
    let mut point: Value = serde_json::from_str(&read(at, "all/points/00004.json")).unwrap();
    let events = point["events"].as_u64().unwrap() + 1;
    point["events"] = events.into();
    let (seed, replicates) = (&manifest["seed"], &manifest["replicates"]);
    let numbers = [4, events, seed.as_u64().unwrap(), replicates.as_u64().unwrap()];
    let words = ["swarm_sim", "scenario_digest"].map(|key| manifest[key].clone());
    let words = serde_json::to_vec(&(&words[0], &words[1], &point["values"], &point["rows"]));
    let digest: Digest = serde_json::from_value(point["digest"].clone()).unwrap();
    let parts: [&[u8]; 3] =
        [&numbers.map(u64::to_le_bytes).concat(), digest.as_bytes(), &words.unwrap()];
    let contents_of = crypto::digest("enjambre/simulation-sweep-point/1", &parts);
    point["contents"] = contents_of.to_string().into();
    write(at, "all/points/00004.json", &point.to_string());
    // One that is gone is not written either.
    std::fs::remove_file(at.join("all/points/00000.json")).unwrap();
    let before = contents(&at.join("all"));
    let part = "all holds a points/00004.json that differs from the shards': give another --out";
    refused(at, "merge s1 s2 --out all", part);
    assert!(before == contents(&at.join("all")));
}
