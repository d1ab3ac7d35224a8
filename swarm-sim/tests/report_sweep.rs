//! Pages about sweeps, curves over time, and every drawing as a file with its numbers.
#![allow(clippy::unwrap_used)]

mod program;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use program::{done, names, read, refused, small, write};

/// A small scenario of the paths engine with this grid.
fn file(folder: &Path, grid: &str) {
    write(
        folder,
        "s.toml",
        &format!(
            "{}[sweep]
{grid}
",
            small()
        ),
    );
}

const GRID: &str = "\"adversary.share\" = [\"5 %\", \"10 %\", \"20 %\"]\n\"paths.guards\" = [1, 3]";

/// Cells of a CSV file whose cells have no commas.
fn rows(text: &str) -> Vec<Vec<String>> {
    let cells = |line: &str| line.split(',').map(str::to_owned).collect();
    text.lines().map(cells).collect()
}

#[test]
fn page_about_a_sweep_draws_every_figure_over_the_axis_with_theory_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "sweep s.toml --replicates 2 --seed 3 --out g");
    let out = done(at, "report g --plots plots --json");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out, json!({"page": "g/report.html", "points": 6, "plots": "plots"}));
    let page = read(at, "g/report.html");
    let manifest: Value = serde_json::from_str(&read(at, "g/manifest.json")).unwrap();
    for key in ["scenario", "digest", "swarm_sim", "engine"] {
        assert!(page.contains(manifest[key].as_str().unwrap()), "{key}");
    }
    assert!(page.contains("<td>5 %, 10 %, 20 % (swept)</td>"));
    assert!(page.contains("<h2>Assumptions</h2>") && page.contains("Not simulated"));
    let table = rows(&read(at, "g/sweep.csv"));
    // point, two axes, then metric, value, ci_low, ci_high, interval, independent, unit, samples, expected, two more.
    let figures: BTreeSet<&String> = table[1..].iter().map(|row| &row[3]).collect();
    for name in figures {
        let of: Vec<&Vec<String>> =
            table.iter().filter(|row| row[3] == *name && !row[4].is_empty()).collect();
        if of.is_empty() {
            continue;
        }
        assert!(page.contains(&format!("rows with metric {name}: columns value, ")), "{name}");
        let svg = read(at, &format!("plots/{name}.svg"));
        assert_eq!(svg.matches("<polyline").count(), 2, "{name}");
        // One stroke for both lines where theory says the same of them; one more says what they are.
        let known = of.iter().filter(|row| !row[11].is_empty());
        let strokes: BTreeSet<_> = known.map(|row| (&row[1], &row[11])).collect();
        let strokes = strokes.len() + usize::from(!strokes.is_empty());
        assert_eq!(svg.matches("class=\"expected\"").count(), strokes, "{name}");
        // The filled ones: one for each row, and one for each line in the legend.
        assert_eq!(svg.matches("class=\"dot\"").count(), of.len() + 2, "{name}");
        assert!(svg.contains(">paths.guards 1</text>") && svg.contains(">paths.guards 3</text>"));
        assert!(svg.contains(">adversary.share (%)</text>"), "{name}");
        let mut drawn = rows(&read(at, &format!("plots/{name}.csv")));
        assert_eq!(
            drawn.remove(0).join(","),
            "point,adversary.share,paths.guards,unit,value,low,high,expected"
        );
        drawn.sort();
        let numbers = |row: &Vec<String>| {
            // The wider of its own interval and the one over replicates.
            let width = |low: usize| {
                let end = |at: usize| row[at].parse().unwrap_or(f64::NAN);
                end(low + 1) - end(low)
            };
            let is_own = row[12].is_empty() || width(5) > width(12);
            let ends = if is_own { [&row[5], &row[6]] } else { [&row[12], &row[13]] };
            // One without an upper end is not drawn.
            let none = String::new();
            let is_open = |low: usize| !row[low].is_empty() && row[low + 1].is_empty();
            let ends = if is_open(5) || is_open(12) { [&none, &none] } else { ends };
            [&row[0], &row[1], &row[2], &row[9], &row[4], ends[0], ends[1], &row[11]]
                .map(String::clone)
                .to_vec()
        };
        let from_table: Vec<Vec<String>> = of.into_iter().map(numbers).collect();
        assert_eq!(drawn, from_table, "{name}");
    }
    // The lines differ without colour: one is whole, the other has dashes; one has circles, the other squares.
    let svg = read(at, "plots/requests_guard_malicious.svg");
    let lines: Vec<&str> = svg.lines().filter(|line| line.contains("<polyline")).collect();
    assert!(
        !lines[0].contains("stroke-dasharray") && lines[1].contains("stroke-dasharray=\"7 3\"")
    );
}

#[test]
fn values_that_are_no_numbers_of_one_unit_stand_as_names() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, "\"paths.second_layer\" = [\"pairs\", \"none\"]");
    done(at, "sweep s.toml --replicates 2 --out g");
    done(at, "report g --plots plots");
    let svg = read(at, "plots/requests_both_ends.svg");
    for words in [">pairs</text>", ">none</text>", ">paths.second_layer</text>"] {
        assert!(svg.contains(words), "{words}");
    }
    // One line needs no legend.
    assert_eq!(svg.matches("<polyline").count(), 1);
    assert!(!svg.contains("M70 "), "{svg}");
}

#[test]
fn sweeps_that_are_not_whole_are_refused_in_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "sweep s.toml --replicates 1 --shard 1/2 --out part");
    refused(at, "report part", "part has shard 1/2 of a sweep: put the shards together");
    done(at, "sweep s.toml --replicates 1 --out g");
    done(at, "run s.toml --replicates 1 --out r");
    refused(
        at,
        "report r g --out x.html",
        "g is a sweep: a page is about one sweep, or about runs",
    );
    refused(at, "report g part", "say with --out where the page about 2 folders goes");
    let (table, page) = (read(at, "g/sweep.csv"), read(at, "g/report.html"));
    std::fs::write(at.join("g/sweep.csv"), table.replacen(",requests,", ",requests,x", 1)).unwrap();
    refused(
        at,
        "report g",
        "g/sweep.csv is not as this version writes it: line 3: expected a point",
    );
    std::fs::write(at.join("g/sweep.csv"), table.replacen("point,", "", 1)).unwrap();
    refused(at, "report g", "line 1: expected point,adversary.share,paths.guards,metric,value,");
    // As it is before the last point is done.
    let manifest: Value = serde_json::from_str(&read(at, "g/manifest.json")).unwrap();
    let unfinished = read(at, "g/manifest.json")
        .replace(&format!("\"{}\"", manifest["digest"].as_str().unwrap()), "null");
    std::fs::write(at.join("g/manifest.json"), unfinished).unwrap();
    refused(
        at,
        "report g",
        "g is of a sweep that was stopped: run it again, it goes on where it was",
    );
    assert!(!at.join("x.html").exists() && !at.join("part/report.html").exists());
    assert!(page == read(at, "g/report.html"));
}

#[test]
fn curves_of_several_runs_stand_in_one_drawing() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, GRID);
    done(at, "run s.toml --replicates 2 --out a");
    done(at, "run s.toml --replicates 2 --seed 2 --out b");
    done(at, "report a b --out page.html --plots plots");
    let page = read(at, "page.html");
    let curves = rows(&read(at, "a/curves.csv"));
    for name in ["guard_malicious", "both_ends_seen"] {
        assert!(
            page.contains(&format!("Source: curves.csv, rows with curve {name}: columns time,"))
        );
        let svg = read(at, &format!("plots/curve-{name}.svg"));
        assert_eq!(svg.matches("<polyline").count(), 2, "{name}");
        assert_eq!(svg.matches("class=\"band\"").count(), 2, "{name}");
        assert!(svg.contains(">seed 1</text>") && svg.contains(">seed 2</text>"), "{name}");
        let drawn = rows(&read(at, &format!("plots/curve-{name}.csv")));
        assert_eq!(drawn[0].join(","), "run,time,share,low,high");
        let of_a = drawn.iter().filter(|row| row[0] == "seed 1").map(|row| row[1..].to_vec());
        let from_table = curves.iter().filter(|row| row[0] == name);
        let from_table =
            from_table.map(|row| [&row[1], &row[3], &row[4], &row[5]].map(String::clone));
        assert!(of_a.eq(from_table), "{name}");
        // What is read aloud ends with the share at the end of the span.
        let last = curves.iter().rfind(|row| row[0] == name).unwrap();
        let share: f64 = last[3].parse().unwrap();
        let words = format!(", {} at 365 d.", (share * 1e4).round() / 1e4);
        assert!(svg.contains(&words), "{name}: {words}");
    }
    let text = read(at, "a/curves.csv");
    std::fs::write(at.join("a/curves.csv"), text.replacen(",d,", ",d,x", 1)).unwrap();
    program::reseal(at, "a");
    refused(
        at,
        "report a",
        "a/curves.csv is not as this version writes it: line 2: expected a curve,",
    );
}

#[test]
fn drawings_as_files_stand_alone_and_replace_no_others_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run onion --replicates 2 --out a");
    std::fs::create_dir(at.join("p")).unwrap();
    std::fs::write(at.join("p/latency_p50.csv"), "mine").unwrap();
    refused(at, "report a --plots p --out a.html", "p/latency_p50.csv has other contents: give");
    assert!(names(&at.join("p")).len() == 1 && !at.join("a.html").exists());
    let line = "report a --plots p --out a.html --overwrite";
    refused(at, line, "p/latency_p50.csv is nothing that this command wrote");
    std::fs::remove_file(at.join("p/latency_p50.csv")).unwrap();
    let out = done(at, line);
    let (first, second) = out.split_once('\n').unwrap();
    assert_eq!(first, "page about 1 run in a.html");
    let count = names(&at.join("p")).len();
    assert_eq!(second, format!("{} plots in p\n", count / 2));
    assert_eq!(read(at, "a.html").matches("<svg ").count(), count / 2);
    for name in names(&at.join("p")) {
        let text = read(at, &format!("p/{name}"));
        if name.ends_with(".svg") {
            assert!(text.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width="), "{name}");
            assert!(text.contains("<style>") && !text.contains("var("), "{name}");
            assert!(text.matches("://").count() == 1 && text.ends_with("</svg>\n"), "{name}");
        } else {
            assert!(text.starts_with("run,unit,value,low,high,expected\nonion,"), "{name}: {text}");
        }
    }
    let latency = rows(&read(at, "p/latency_p50.csv"));
    let results: Value = serde_json::from_str(&read(at, "a/results.json")).unwrap();
    let figure = &results["metrics"]["latency_p50"];
    for (at, key) in [(2, "value"), (3, "ci_low"), (4, "ci_high")] {
        assert_eq!(latency[1][at].parse::<f64>().ok(), figure[key].as_f64(), "{key}");
    }
}
