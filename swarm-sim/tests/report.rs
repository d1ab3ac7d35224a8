//! Pages about runs, and runs beside each other, as people and scripts get them.
#![allow(clippy::unwrap_used)]

mod program;

use std::path::Path;

use serde_json::{Value, json};

use program::{contents, done, read, refused, reseal, said, write};

/// A built-in scenario with another text at one place, as a file.
fn changed(folder: &Path, name: &str, from: &str, to: &str, file: &str) {
    let path = format!("{}/scenarios/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    std::fs::write(folder.join(file), text.replace(from, to)).unwrap();
}

/// Changes a run's results.
fn edit(folder: &Path, run: &str, change: impl Fn(&mut Value)) {
    let file = format!("{run}/results.json");
    let mut results: Value = serde_json::from_str(&read(folder, &file)).unwrap();
    change(&mut results);
    write(folder, &file, &results.to_string());
    reseal(folder, run);
}

/// Names of a page's elements in their order, `/` before those that close; checks that they nest, and gives all
/// attributes.
fn elements(page: &str) -> (Vec<String>, Vec<(String, String)>) {
    let (mut names, mut open, mut attributes) = (Vec::new(), Vec::<String>::new(), Vec::new());
    let mut rest = page.strip_prefix("<!DOCTYPE html>").unwrap();
    while let Some((_, tag)) = rest.split_once('<') {
        let (tag, after) = tag.split_once('>').unwrap();
        rest = after;
        let name: String = tag.trim_end_matches('/').split(' ').next().unwrap().to_owned();
        names.push(name.clone());
        if let Some(closed) = name.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(closed));
        } else if !["meta", "br"].contains(&name.as_str()) && !tag.ends_with('/') {
            open.push(name);
        }
        let parts: Vec<&str> = tag.split('"').collect();
        for pair in parts.chunks_exact(2) {
            let key = pair[0].trim().trim_end_matches('=').rsplit(' ').next().unwrap();
            attributes.push((key.to_owned(), pair[1].to_owned()));
        }
    }
    assert_eq!(open, Vec::<String>::new());
    (names, attributes)
}

#[test]
fn page_shows_every_figure_with_its_source_and_what_was_assumed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 2 --seed 5 --out a");
    assert_eq!(done(folder, "report a --out pages/a.html"), "page about 1 run in pages/a.html\n");
    done(folder, "report a --plots plots");
    let page = read(folder, "pages/a.html");
    let results: Value = serde_json::from_str(&read(folder, "a/results.json")).unwrap();
    for key in ["scenario", "digest", "version", "about"] {
        assert!(page.contains(results[key].as_str().unwrap()), "{key}");
    }
    for (name, metric) in results["metrics"].as_object().unwrap() {
        let unit = metric["unit"].as_str().unwrap();
        assert!(page.contains(&format!("<h3>{name} <small>({unit})</small></h3>")), "{name}");
        assert!(page.contains(&format!("Source: results.json, metrics.{name},")), "{name}");
        let title = format!("<title id=\"{name}-t\">{name}</title>");
        assert_eq!(page.contains(&title), !metric["value"].is_null(), "{name}");
    }
    for setting in results["settings"].as_array().unwrap() {
        let (key, value) = (setting["key"].as_str().unwrap(), setting["value"].as_str().unwrap());
        assert!(page.contains(&format!("<th scope=\"row\">{key}</th><td>{value}</td>")), "{key}");
    }
    for left in results["leaves_out"].as_array().unwrap() {
        assert!(page.contains(&format!("<li>{}</li>", left.as_str().unwrap())), "{left}");
    }
    let columns = read(folder, "a/steps.csv");
    for column in columns.lines().next().unwrap().split(',').skip(2) {
        let source = format!("Source: steps.csv, columns step and {column};");
        assert!(page.contains(&source), "{column}");
    }
    // The mean of `nodes` over both replicates at the last step, from the table.
    let last = columns.lines().last().unwrap().split(',').nth(1).unwrap();
    let at_last = columns.lines().filter(|line| line.split(',').nth(1) == Some(last));
    let nodes = at_last.map(|line| line.split(',').nth(2).unwrap().parse::<f64>().unwrap());
    let nodes: Vec<f64> = nodes.collect();
    assert_eq!(nodes.len(), 2);
    let mean = (nodes[0] + nodes[1]) / 2.0;
    let words = page.split("Mean of nodes: ").nth(1).unwrap().split("</desc>").next().unwrap();
    assert!(words.ends_with(&format!(", {mean} at step {last}.")), "{words}");
    // It is drawn too: the last place is the last step, which is none of each third from the first on.
    let first = columns.lines().nth(1).unwrap().split(',').nth(1).unwrap();
    let steps = last.parse::<u32>().unwrap() - first.parse::<u32>().unwrap();
    assert!(page.contains("one place in 3 is drawn, and the last") && steps % 3 != 0);
    let drawn = read(folder, "plots/steps-nodes.csv");
    let start = format!("churn,{last},{mean},");
    assert!(drawn.lines().last().unwrap().starts_with(&start), "{drawn}");
    let drawing = page.split("<title id=\"steps-nodes-t\">").nth(1).unwrap();
    let line = drawing.split("<polyline").nth(1).unwrap().split("\"/>").next().unwrap();
    assert_eq!(
        line.split(' ').filter(|word| word.contains(',')).count(),
        drawn.lines().count() - 1
    );
    // Figures stand in the order of the table, those without an interval after the others.
    let table = read(folder, "a/metrics.csv");
    let rows = || table.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let (sure, unsure): (Vec<_>, Vec<_>) = rows().partition(|row| row[4] == "none");
    assert!(!sure.is_empty() && !unsure.is_empty());
    let order = unsure.iter().chain(&sure);
    let places = order.map(|row| page.find(&format!("<h3>{} <small>", row[0])).unwrap());
    assert!(places.is_sorted());
}

#[test]
fn page_loads_nothing_and_every_drawing_has_words() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 2 --out a");
    done(folder, "run onion --replicates 2 --out b");
    done(folder, "report a b --out page.html");
    let page = read(folder, "page.html");
    let (names, attributes) = elements(&page);
    let count = |name: &str| names.iter().filter(|other| *other == name).count();
    for name in ["script", "link", "img", "image", "iframe", "object", "use", "a", "base", "form"] {
        assert_eq!(count(name), 0, "{name}");
    }
    for (key, value) in &attributes {
        let is_plain =
            !key.starts_with("on") && !["href", "src", "style", "xmlns"].contains(&key.as_str());
        assert!(is_plain && !value.contains("://"), "{key}={value}");
    }
    assert!(!page.contains("url(") && !page.contains("@import"));
    assert!(page.contains("prefers-color-scheme:dark"));
    let ids: Vec<&String> = attributes.iter().filter(|(k, _)| k == "id").map(|(_, v)| v).collect();
    let unique: std::collections::BTreeSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len());
    let labels = attributes.iter().filter(|(key, _)| key == "aria-labelledby");
    let mut drawings = 0;
    for (_, label) in labels {
        assert!(label.split(' ').all(|id| ids.iter().any(|other| *other == id)), "{label}");
        drawings += 1;
    }
    assert!(drawings > 20 && drawings == count("svg") && drawings == count("desc"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn same_runs_give_the_same_page_and_it_replaces_no_other_unasked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run onion --replicates 1 --out a");
    done(folder, "run onion --replicates 1 --seed 2 --out b");
    done(folder, "report a b --out one.html");
    done(folder, "report a b --out two.html");
    let one = read(folder, "one.html");
    assert!(one == read(folder, "two.html"));
    done(folder, "report a b --out one.html");
    let (code, _, error) = said(folder, "report b --out one.html");
    assert_eq!(code, Some(2));
    assert_eq!(
        error,
        "swarm-sim: one.html has other contents: give another --out, or --overwrite\n"
    );
    assert!(one == read(folder, "one.html"));
    let out = done(folder, "report b --out one.html --overwrite --json");
    let out: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out, json!({"page": "one.html", "runs": 1}));
    assert!(one != read(folder, "one.html"));
    let mut left: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["a", "b", "one.html", "two.html"]);
}

#[test]
fn runs_of_one_scenario_stand_under_the_settings_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for nodes in ["60", "70", "80"] {
        changed(folder, "onion", "nodes = 60", &format!("nodes = {nodes}"), "point.toml");
        done(folder, &format!("run point.toml --replicates 2 --out p{nodes}"));
    }
    done(folder, "report p60 p70 p80 --out page.html");
    let page = read(folder, "page.html");
    let figure = page.split("<h3>latency_p50 <small>(ms)</small></h3>").nth(1).unwrap();
    let figure = figure.split("</figure>").next().unwrap();
    for nodes in ["60", "70", "80"] {
        assert!(figure.contains(&format!(">network.nodes {nodes}</text>")), "{nodes}");
    }
    assert_eq!(figure.matches("<circle").count(), 3);
    // Two runs that differ in nothing are told apart by their folders.
    done(folder, "run onion --replicates 2 --out again");
    done(folder, "report p60 again --out same.html");
    assert!(read(folder, "same.html").contains(">again</text>"));
}

#[test]
fn whatever_a_file_says_stays_text() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let hostile = "</title><script>alert('1')</script>\"onload=\"x & \u{1b}[31m";
    done(folder, "run churn --replicates 2 --out a");
    done(folder, "report a --out plain.html");
    edit(folder, "a", |results| {
        for key in ["scenario", "engine", "version", "about", "digest"] {
            results[key] = hostile.into();
        }
        results["settings"][0] = json!({"key": hostile, "value": hostile});
        results["leaves_out"][0] = hostile.into();
        let metrics = results["metrics"].as_object_mut().unwrap();
        let (name, mut metric) = metrics.clone().into_iter().next().unwrap();
        metrics.remove(&name);
        for key in ["name", "unit", "interval"] {
            metric[key] = hostile.into();
        }
        metrics.insert(hostile.to_owned(), metric);
    });
    let steps = read(folder, "a/steps.csv").replacen("nodes", "<b>\"", 1);
    std::fs::write(folder.join("a/steps.csv"), steps).unwrap();
    reseal(folder, "a");
    done(folder, "report a --out hostile.html");
    let page = read(folder, "hostile.html");
    let (mut plain, _) = elements(&read(folder, "plain.html"));
    let (mut hostile, attributes) = elements(&page);
    plain.sort();
    hostile.sort();
    assert_eq!(plain, hostile);
    assert!(attributes.iter().all(|(key, _)| key != "onload"));
    assert!(page.contains("&lt;script&gt;alert(&#39;1&#39;)") && !page.contains('\u{1b}'));
}

#[test]
fn folders_without_a_whole_run_are_refused_with_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 1 --out a");
    std::fs::create_dir(folder.join("empty")).unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.join(name), text).unwrap();
    let results = read(folder, "a/results.json");
    let steps = read(folder, "a/steps.csv");
    let refused = |part: &str| {
        let (code, out, error) = said(folder, "report a --out page.html");
        assert_eq!((code, out.as_str()), (Some(2), ""), "{error}");
        assert!(error.starts_with("swarm-sim: ") && error.contains(part), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(!folder.join("page.html").exists());
    };
    for (from, to, part) in [
        (
            "\"version\"",
            "\"other\"",
            "a/results.json is not as this version writes it: missing field `version`",
        ),
        ("\"seed\": 1", "\"seed\": -1", "line "),
        ("{", "", "a/results.json"),
    ] {
        write("a/results.json", &results.replacen(from, to, 1));
        refused("a/results.json was changed since it was written");
        reseal(folder, "a");
        refused(part);
    }
    std::fs::write(folder.join("a/results.json"), b"\xff").unwrap();
    refused("a/results.json was changed since it was written");
    write("a/results.json", &results);
    reseal(folder, "a");
    let lines: Vec<&str> = steps.lines().collect();
    for (row, part) in [("1,2", "line 3"), (&lines[2].replacen(',', ",x", 1), "line 3")] {
        write("a/steps.csv", &format!("{}\n{}\n{row}\n", lines[0], lines[1]));
        refused("a/steps.csv was changed since it was written");
        reseal(folder, "a");
        refused(&format!("a/steps.csv is not as this version writes it: {part}"));
    }
    let (code, _, error) = said(folder, "report empty --out page.html --json");
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!((code, &error["error"]["kind"]), (Some(2), &"folder".into()));
    assert_eq!(
        error["error"]["text"],
        "empty holds no results.json: give the folder that `run` wrote"
    );
    write("a/steps.csv", &steps);
    reseal(folder, "a");
    let (code, _, error) = said(folder, "report a --out a/steps.csv/page.html");
    assert!(
        code == Some(1) && error.starts_with("swarm-sim: cannot write to a/steps.csv"),
        "{error}"
    );
}

#[test]
fn equal_runs_compare_as_equal_and_others_by_the_figures_that_differ() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 4 --out a");
    let out = done(folder, "compare a a --json");
    let same: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&same["differ"], &same["settings"]), (&json!([]), &json!([])));
    let results: Value = serde_json::from_str(&read(folder, "a/results.json")).unwrap();
    let count = results["metrics"].as_object().unwrap().len();
    assert_eq!(same["figures"].as_array().unwrap().len(), count);
    changed(folder, "churn", "ready_after = 2 ", "ready_after = 5 ", "slow.toml");
    done(folder, "run slow.toml --replicates 4 --out b");
    let (code, out, error) = said(folder, "compare a b --json");
    let other: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(code, Some(1), "{error}");
    let settings =
        json!(["a: swarms.ready_after 2 documents", "b: swarms.ready_after 5 documents"]);
    assert_eq!(other["settings"], settings);
    let error: Value = serde_json::from_str(&error).unwrap();
    assert_eq!(error["error"]["kind"], "difference");
    // Holm's bound of each figure, worked out from what is printed.
    let mut all: Vec<f64> = Vec::new();
    all.extend(other["figures"].as_array().unwrap().iter().filter_map(|f| f["p"].as_f64()));
    all.sort_by(f64::total_cmp);
    let stands = |(rank, p): (usize, &f64)| *p > 0.05 / (all.len() - rank) as f64;
    let first = all.iter().enumerate().position(stands).unwrap_or(all.len());
    let mut differ = 0;
    for figure in other["figures"].as_array().unwrap() {
        let (low, high) = (figure["ci_low"].as_f64(), figure["ci_high"].as_f64());
        let outside = low.zip(high).map(|(low, high)| 0.0 < low || high < 0.0);
        let p = figure["p"].as_f64();
        assert_eq!(p.map(|p| p < 0.05), outside, "{figure}");
        let expected = p.map(|p| all[..first].contains(&p));
        assert_eq!(figure["differs"].as_bool(), expected, "{figure}");
        let listed = other["differ"].as_array().unwrap().contains(&figure["name"]);
        assert_eq!(listed, expected == Some(true), "{figure}");
        differ += usize::from(listed);
    }
    assert!(0 < differ && differ == first, "{differ}");
    assert!(other["figures"].as_array().unwrap().iter().any(|f| f["interval"] == "paired"));
    let (code, out, error) = said(folder, "compare a b");
    assert!(code == Some(1) && out.contains("DIFFERS") && out.contains(" paired, p "), "{out}");
    assert!(out.contains("Verdicts by Holm's procedure over"), "{out}");
    assert!(error.starts_with("swarm-sim: ") && error.lines().count() == 1, "{error}");
    // Another seed is another sample.
    done(folder, "run churn --replicates 4 --seed 2 --out c");
    let (_, out, _) = said(folder, "compare a c --json");
    assert!(!out.contains("\"paired\"") && out.contains("\"welch\""), "{out}");
}

#[test]
fn runs_that_cannot_be_compared_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 2 --out a");
    done(folder, "run onion --replicates 2 --out b");
    done(folder, "run churn --replicates 2 --out c");
    done(folder, "run churn --replicates 2 --out d");
    edit(folder, "c", |results| {
        let metrics = results["metrics"].as_object_mut().unwrap();
        metrics.values_mut().next().unwrap()["unit"] = "miles".into();
    });
    edit(folder, "d", |results| {
        for metric in results["metrics"].as_object_mut().unwrap().values_mut() {
            let metric = metric.as_object_mut().unwrap();
            for key in ["ci_low", "ci_high", "by_replicate", "replicates_low", "replicates_high"] {
                metric.remove(key);
            }
        }
    });
    for (line, part) in [
        ("compare a b", "a is a run of the engine churn, b of onion"),
        ("compare a c", "miles in c"),
        ("compare a d", "--replicates 2 or more"),
        ("compare a gone", "gone holds no results.json"),
    ] {
        let (code, out, error) = said(folder, line);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{line}: {error}");
        assert!(error.starts_with("swarm-sim: ") && error.contains(part), "{line}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn run_that_was_changed_after_it_was_written_is_refused_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    done(folder, "run churn --replicates 2 --out a");
    done(folder, "run churn --replicates 2 --out b");
    let page = read(folder, "a/report.html");
    let lines =
        ["report a --overwrite", "report a b --out page.html", "compare a b", "compare b a"];
    let all_refused = |part: &str| lines.iter().for_each(|line| drop(refused(folder, line, part)));
    // One digit of a figure, of a cell and of the digest: all are as the program writes them.
    for (file, key) in [
        ("results.json", "\"value\": "),
        ("results.json", "\"digest\": \""),
        ("steps.csv", "\n0,"),
        ("metrics.csv", "replicates_high\n"),
    ] {
        let name = format!("a/{file}");
        let text = read(folder, &name);
        let at = text.find(key).unwrap_or_else(|| panic!("{name} has no {key:?}")) + key.len();
        let digit = if &text[at..=at] == "1" { "2" } else { "1" };
        write(folder, &name, &format!("{}{digit}{}", &text[..at], &text[at + 1..]));
        all_refused(&format!("{name} was changed since it was written: expected the digest "));
        write(folder, &name, &text);
    }
    let manifest = read(folder, "a/manifest.json");
    let results: Value = serde_json::from_str(&read(folder, "a/results.json")).unwrap();
    let digest = results["digest"].as_str().unwrap();
    write(folder, "a/manifest.json", &manifest.replacen(digest, &"0".repeat(64), 1));
    all_refused("a/manifest.json was changed since it was written: expected the run with digest ");
    std::fs::remove_file(folder.join("a/manifest.json")).unwrap();
    all_refused("a holds no manifest.json: run the scenario again");
    done(folder, "run churn --replicates 2 --out a");
    std::fs::remove_file(folder.join("a/steps.csv")).unwrap();
    all_refused("a/steps.csv was changed since it was written: expected the table");
    assert!(page == read(folder, "a/report.html") && !folder.join("page.html").exists());
    // A table that the run did not write is none of its tables.
    done(folder, "run churn --replicates 2 --out a");
    write(folder, "a/mine.csv", "replicate,step,mine\n0,1,2\n");
    done(folder, "report a");
    done(folder, "compare a b");
}

#[test]
fn only_pages_and_plots_are_replaced_and_plots_stay_out_of_results() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    done(at, "run churn --replicates 2 --out a");
    done(at, "run churn --replicates 2 --seed 2 --out b");
    write(at, "mine.toml", "version = 1\n");
    write(at, "mine.html", "<html>mine</html>\n");
    let before = contents(at);
    for out in ["mine.toml", "mine.html", "a/results.json", "a/steps.csv"] {
        let line = format!("report a --out {out} --overwrite");
        refused(at, &line, &format!("{out} is nothing that this command wrote"));
    }
    refused(at, "report a --plots a --overwrite", "a holds results, among which plots are lost");
    assert!(contents(at) == before, "something was written");
    done(at, "report a --out page.html --plots plots");
    write(at, "plots/nodes_mean.csv", "mine\n");
    let line = "report b --out page.html --plots plots --overwrite";
    refused(at, line, "plots/nodes_mean.csv is nothing that this command wrote");
    std::fs::remove_file(at.join("plots/nodes_mean.csv")).unwrap();
    write(at, "empty.html", "");
    done(at, line);
    done(at, "report b --out empty.html --overwrite");
    assert_eq!(read(at, "page.html"), read(at, "empty.html"));
    refused(at, "compare a mine.toml", "mine.toml is a file: give the folder");
    refused(at, "report a/results.json", "a/results.json is a file: give the folder");
}
