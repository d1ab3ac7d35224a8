//! Parquet files, read back by the library and held against the CSV files.
#![cfg(feature = "parquet")]
#![allow(clippy::unwrap_used)]

mod program;

use std::fs::File;
use std::path::Path;

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use swarm_sim::output::manifest::Converted;

use program::{done, read, refused, write};

/// A field as a CSV file has it, with a letter for its type.
fn cell(field: &Field) -> (char, String) {
    match field {
        Field::Null => ('-', String::new()),
        Field::Str(text) => ('w', text.clone()),
        Field::ULong(count) => ('c', count.to_string()),
        Field::Double(value) => ('n', value.to_string()),
        other => panic!("{other:?}"),
    }
}

/// Holds every cell of a Parquet file against the CSV file beside it, and gives the types of each column that occur.
fn types(folder: &Path, table: &str) -> Vec<(String, String)> {
    let csv = std::fs::read_to_string(folder.join(format!("{table}.csv"))).unwrap();
    let mut lines = csv.lines();
    let names: Vec<&str> = lines.next().unwrap().split(',').collect();
    let file = File::open(folder.join(format!("{table}.parquet"))).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let mut types = vec![String::new(); names.len()];
    let mut count = 0;
    for row in reader.get_row_iter(None).unwrap() {
        let row = row.unwrap();
        let cells: Vec<&str> = lines.next().unwrap().split(',').collect();
        assert_eq!(cells.len(), names.len());
        for (at, (name, field)) in row.get_column_iter().enumerate() {
            let (kind, text) = cell(field);
            assert_eq!((name.as_str(), text.as_str()), (names[at], cells[at]), "row {count}");
            if kind != '-' && !types[at].contains(kind) {
                types[at].push(kind);
            }
        }
        count += 1;
    }
    assert!(lines.next().is_none() && count > 0);
    names.into_iter().map(str::to_owned).zip(types).collect()
}

#[test]
fn every_table_of_runs_and_sweeps_is_there_with_types_that_follow_from_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run quickstart --replicates 2 --out run");
    std::fs::write(folder.join("small.toml"), SMALL).unwrap();
    done(folder, "sweep small.toml --out sweep");
    let out = done(folder, "parquet run sweep");
    assert_eq!(out.lines().count(), 6, "{out}");
    let metrics = types(&folder.join("run"), "metrics");
    let kind = |name: &str| metrics.iter().find(|(column, _)| column == name).unwrap().1.as_str();
    assert_eq!((kind("metric"), kind("samples"), kind("value")), ("w", "c", "n"));
    assert!(types(&folder.join("run"), "clients").iter().all(|(_, kind)| kind == "c"));
    types(&folder.join("run"), "curves");
    let kinds = |table: &[(String, String)]| -> String {
        table.iter().map(|(_, kind)| kind.as_str()).collect()
    };
    // scenario, engine, version, seed, replicates, events, digest; behind point and axis for a sweep.
    assert_eq!(kinds(&types(&folder.join("run"), "runs")), "wwwcccw");
    assert_eq!(kinds(&types(&folder.join("sweep"), "runs")), "cwwwwcccw");
    assert_eq!(read(folder, "sweep/runs.csv").lines().count(), 3);
    let digest = read(folder, "run/runs.csv").trim_end().rsplit(',').next().unwrap().to_owned();
    assert!(read(folder, "run/results.json").contains(&format!("\"digest\": \"{digest}\"")));
    let swept = types(&folder.join("sweep"), "sweep");
    assert_eq!(
        swept[..2],
        [("point", "c"), ("paths.guards", "w")].map(|(n, k)| (n.to_owned(), k.to_owned()))
    );
}

const SMALL: &str = r#"
version = 1
engine = "paths"
name = "small"
about = "a sweep that ends soon"
replicates = 2
span = "20 d"
network = { nodes = 100 }
adversary = { owns = "nodes", share = "10 %" }
clients = { count = 5, contacts = 2, every = "1 d" }
paths = { selection = "sampler" }
sweep = { "paths.guards" = [1, 2] }
"#;

#[test]
fn nothing_else_is_read_and_no_other_file_is_replaced_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::create_dir(folder.join("empty")).unwrap();
    std::fs::write(folder.join("empty/other.csv"), "a,b\n1,2\n").unwrap();
    refused(folder, "parquet empty", "holds no table of a run or a sweep");
    refused(folder, "parquet nowhere", "nowhere holds no table of a run or a sweep");
    assert!(!folder.join("nowhere").exists());
    done(folder, "run churn --replicates 1 --out run");
    done(folder, "parquet run");
    done(folder, "parquet run");
    std::fs::write(folder.join("run/steps.parquet"), "mine").unwrap();
    std::fs::remove_file(folder.join("run/metrics.parquet")).unwrap();
    for text in ["mine", "PAR1 of another run", ""] {
        write(folder, "run/steps.parquet", text);
        for line in ["parquet run", "parquet run --overwrite"] {
            refused(folder, line, "run/steps.parquet was not made by `parquet`, or was changed");
            assert!(!folder.join("run/metrics.parquet").exists());
        }
    }
    std::fs::remove_file(folder.join("run/steps.parquet")).unwrap();
    done(folder, "parquet run");
    let metrics = std::fs::read_to_string(folder.join("run/metrics.csv")).unwrap();
    write(folder, "run/metrics.csv", &metrics.replacen(",none,", ",x,none,", 1));
    refused(folder, "parquet run --overwrite", "metrics.csv was changed since it was written");
    program::reseal(folder, "run");
    refused(folder, "parquet run --overwrite", "expected 11 cells");
    let broken = metrics.lines().next().unwrap().to_owned() + "\nm,word,,,none,none,u,1,,,\n";
    write(folder, "run/metrics.csv", &broken);
    program::reseal(folder, "run");
    refused(folder, "parquet run --overwrite", "line 2: value is no number");
}

#[test]
fn files_made_from_tables_go_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let run = |seed: u32| format!("run churn --replicates 1 --seed {seed} --out run --overwrite");
    let made = || made(&folder.join("run"));
    done(folder, &run(1));
    done(folder, "parquet run");
    let all =
        ["metrics.parquet", "parquet.json", "runs.parquet", "steps.parquet"].map(str::to_owned);
    assert_eq!(made(), all);
    // The same results again leave them.
    done(folder, &run(1));
    assert_eq!(made(), all);
    write(folder, "run/other.parquet", "mine");
    done(folder, &run(2));
    assert_eq!(made(), ["other.parquet"]);
    // One that was changed is not taken away, and no other file is.
    done(folder, "parquet run");
    let mut changed = std::fs::read(folder.join("run/steps.parquet")).unwrap();
    changed.push(0);
    std::fs::write(folder.join("run/steps.parquet"), changed).unwrap();
    let before = program::contents(&folder.join("run"));
    refused(folder, &run(3), "run holds a steps.parquet that no run wrote, or that was changed");
    assert!(before == program::contents(&folder.join("run")));
}

#[test]
fn table_that_was_changed_is_not_converted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 1 --out run");
    write(folder, "small.toml", SMALL);
    done(folder, "sweep small.toml --out sweep");
    done(folder, "sweep small.toml --shard 1/2 --out shard");
    done(folder, "parquet shard");
    for name in ["run/runs.csv", "run/metrics.csv", "sweep/runs.csv", "sweep/sweep.csv"] {
        let text = read(folder, name);
        let (header, second) = (text.lines().next().unwrap(), text.lines().nth(1).unwrap());
        // The seed, or the samples: counts either way.
        let at = header.split(',').position(|name| ["seed", "samples"].contains(&name)).unwrap();
        let mut cells: Vec<String> = second.split(',').map(str::to_owned).collect();
        cells[at].push('7');
        write(folder, name, &text.replacen(second, &cells.join(","), 1));
        let place = name.split('/').next().unwrap();
        refused(folder, &format!("parquet {place}"), &format!("{name} was changed since it was"));
        assert!(!program::names(&folder.join(place)).iter().any(|n| n.ends_with(".parquet")));
        write(folder, name, &text);
    }
}

#[test]
fn counts_have_all_of_their_64_bits_and_axes_are_words_whatever_they_are_called() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    let types = |text: &str| {
        write(at, "a/t.csv", text);
        done(at, "parquet a --overwrite");
        types(&at.join("a"), "t")
    };
    let counts = types("replicate,step\n18446744073709551615,\n0,9223372036854775808\n");
    assert!(counts.iter().all(|(_, kind)| kind == "c"));
    let swept = types("point,time,steps,metric,value\n7,0.5,3,m,0.5\n8,x,,m,\n");
    let kinds: String = swept.into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(kinds, "cwwwn");
}

#[test]
fn cells_that_no_run_writes_are_refused_with_their_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 1 --out a");
    for (text, part) in [
        ("replicate,step\n1,2\n1,-3\n", "line 3: step is no number"),
        ("replicate,step\n1,2\n1,2.5\n", "line 3: step is no number"),
        ("replicate,step\n1,2\n1,18446744073709551616\n", "line 3: step is no number"),
        ("replicate,step\n1,2\n1,2\n1\n", "line 4: expected 2 cells"),
        ("metric,value\nm,1\nm,inf\n", "line 3: value is no number"),
        ("metric,value\nm,NaN\n", "line 2: value is no number"),
    ] {
        write(folder, "a/t.csv", text);
        refused(folder, "parquet a", part);
        assert!(!folder.join("a/t.parquet").exists() && !folder.join("a/runs.parquet").exists());
    }
    // Not of a run: nothing says how it was written.
    write(folder, "b/t.csv", "metric,value\nm,1\n");
    refused(folder, "parquet b", "b holds no results.json");
    write(folder, "b/t.csv", "point,value\n1,2\n");
    refused(folder, "parquet b", "b holds no table of a run or a sweep");
}

/// Names of Parquet files and their record.
fn made(folder: &Path) -> Vec<String> {
    program::names(folder).into_iter().filter(|name| name.contains("parquet")).collect()
}

#[test]
fn files_of_other_tables_go_also_where_the_tables_are_new_already() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed} --out a --overwrite");
    done(at, &line(2));
    let tables = program::contents(&at.join("a"));
    std::fs::remove_dir_all(at.join("a")).unwrap();
    done(at, &line(1));
    done(at, "parquet a");
    // As a run leaves it that is killed when all of its files have their names and some are gone.
    for (name, bytes) in tables {
        let name = if name == "manifest.json" { ".manifest.json.part" } else { &name };
        std::fs::write(at.join("a").join(name), bytes).unwrap();
    }
    std::fs::remove_file(at.join("a/metrics.parquet")).unwrap();
    assert_eq!(made(&at.join("a")), ["parquet.json", "runs.parquet", "steps.parquet"]);
    let steps = std::fs::read(at.join("a/steps.parquet")).unwrap();
    write(at, "a/steps.parquet", "PAR1 of mine");
    let before = program::contents(&at.join("a"));
    refused(at, &line(2), "a holds a steps.parquet that no run wrote, or that was changed");
    assert!(before == program::contents(&at.join("a")));
    std::fs::write(at.join("a/steps.parquet"), steps).unwrap();
    done(at, &line(2));
    assert_eq!(made(&at.join("a")), [""; 0]);
    // What was made from a table that is no run's stays as long as the table does.
    write(at, "a/t.csv", "replicate,step\n1,2\n");
    done(at, "parquet a");
    done(at, &line(3));
    assert_eq!(made(&at.join("a")), ["parquet.json", "t.parquet"]);
    write(at, "a/t.csv", "replicate,step\n1,3\n");
    done(at, &line(3));
    assert_eq!(made(&at.join("a")), [""; 0]);
}

#[test]
fn record_that_names_other_files_than_parquet_files_beside_it_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let line = |seed: u32| format!("run churn --replicates 1 --seed {seed} --out a --overwrite");
    done(at, &line(1));
    for (name, place) in [("notes", "a/notes"), ("../x.parquet", "x.parquet")] {
        write(at, place, "mine");
        let digest = Converted::of(b"mine", b"").digest;
        let record = serde_json::json!({"files": {name: {"digest": digest, "table": ""}}});
        write(at, "a/parquet.json", &record.to_string());
        done(at, &line(2));
        done(at, &line(1));
        assert_eq!(read(at, place), "mine");
    }
}

#[test]
fn only_files_that_were_made_here_are_replaced_and_only_where_asked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    write(at, "small.toml", SMALL);
    done(at, "sweep small.toml --out b");
    for place in ["a", "b"] {
        let table = format!("{place}/t.csv");
        write(at, &table, "metric,value\nm,1\n");
        done(at, &format!("parquet {place}"));
        write(at, &table, "metric,value\nm,2\n");
        let part = format!("{place}/t.parquet has other contents: --overwrite replaces it");
        refused(at, &format!("parquet {place}"), &part);
        done(at, &format!("parquet {place} --overwrite"));
        types(&at.join(place), "t");
        // Nothing tells of it any more, and the same again is no other.
        std::fs::remove_file(at.join(place).join("parquet.json")).unwrap();
        done(at, &format!("parquet {place}"));
        std::fs::remove_file(at.join(place).join("parquet.json")).unwrap();
        write(at, &table, "metric,value\nm,3\n");
        let part = format!("{place}/t.parquet was not made by `parquet`");
        let before = program::contents(&at.join(place));
        refused(at, &format!("parquet {place} --overwrite"), &part);
        write(at, &format!("{place}/parquet.json"), "{}");
        let part = format!("{place}/parquet.json was not made by `parquet`");
        refused(at, &format!("parquet {place} --overwrite"), &part);
        std::fs::remove_file(at.join(place).join("parquet.json")).unwrap();
        assert!(before == program::contents(&at.join(place)));
    }
}

#[test]
fn table_that_came_is_made_beside_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    done(at, "parquet a");
    let before = program::contents(&at.join("a"));
    write(at, "a/t.csv", "metric,value\nm,1\n");
    done(at, "parquet a");
    let mut after = program::contents(&at.join("a"));
    assert!(read(at, "a/parquet.json").contains("\"t.parquet\""));
    after.retain(|name, _| !["t.csv", "t.parquet", "parquet.json"].contains(&name.as_str()));
    assert!(before.iter().all(|(name, bytes)| name == "parquet.json" || after[name] == *bytes));
    // Of a table that went the record tells as long as the file is there.
    std::fs::remove_file(at.join("a/t.csv")).unwrap();
    done(at, "parquet a");
    assert!(read(at, "a/parquet.json").contains("\"t.parquet\""));
    std::fs::remove_file(at.join("a/t.parquet")).unwrap();
    done(at, "parquet a");
    assert!(before == program::contents(&at.join("a")));
}

#[test]
fn sentences_name_no_option_that_there_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 1 --out a");
    write(at, "small.toml", SMALL);
    done(at, "sweep small.toml --out b");
    for (name, part) in [
        ("a/metrics.csv", "a/metrics.csv was changed"),
        ("a/manifest.json", "a holds a manifest.json that no run wrote"),
        ("a/parquet.json", "a/parquet.json was not made"),
        ("a/runs.parquet", "a/runs.parquet was not made"),
        ("b/sweep.csv", "b/sweep.csv is not as this version writes it"),
        ("b/scenario.toml", "b/scenario.toml was changed"),
        ("b/points/00001.json", "b/points/00001.json is damaged"),
        ("b/manifest.json", "b holds a manifest.json that no sweep wrote"),
    ] {
        let before = std::fs::read(at.join(name)).ok();
        write(at, name, "point,metric,value\n");
        let place = name.split('/').next().unwrap();
        for line in [format!("parquet {place}"), format!("parquet {place} --overwrite")] {
            let error = refused(at, &line, part);
            assert!(!error.contains("--out"), "{error}");
        }
        match before {
            Some(bytes) => std::fs::write(at.join(name), bytes).unwrap(),
            None => std::fs::remove_file(at.join(name)).unwrap(),
        }
    }
    std::fs::remove_file(at.join("b/points/00001.json")).unwrap();
    let error = refused(at, "parquet b", "b lost its points/00001.json");
    assert!(!error.contains("--out"), "{error}");
}
