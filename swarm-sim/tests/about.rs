//! Every figure says what it is.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use swarm_sim::metric::{about, about_curve};
use swarm_sim::run::{RunConfig, run};
use swarm_sim::scenario::{BUILT_IN, Scenario};

fn text(name: &str) -> &'static str {
    BUILT_IN.iter().find(|b| b.name == name).unwrap().text
}

/// The built-in scenarios, and others that make further figures.
fn scenarios() -> Vec<Scenario> {
    let mut all: Vec<Scenario> = BUILT_IN.iter().map(|b| Scenario::load(b.name).unwrap()).collect();
    let (base, _) = text("disclosure").split_once("[adversary]").unwrap();
    let base = base.replace("partners = 3", "partners = 1").replace("rounds = 2000", "rounds = 50");
    for adversary in [
        "kind = \"intersection\"",
        "kind = \"bayes\"\ntpr = \"90 %\"\nfpr = \"1 %\"",
        "kind = \"predecessor\"\nnodes = 30\nmalicious = \"30 %\"",
    ] {
        let text = format!("{base}[adversary]\n{adversary}\n");
        all.push(Scenario::parse("x.toml", &text).unwrap_or_else(|error| panic!("{error}")));
    }
    let (base, _) = text("mixes").split_once("[mix]").unwrap();
    let base = base.replacen("warm_up", "# warm_up", 1);
    let pool = "[mix]\nkind = \"pool\"\nin = 4\nkept = 6\n[arrivals]\nper_second = 100\n";
    let pool = Scenario::parse("x.toml", &format!("{base}{pool}"));
    all.push(pool.unwrap_or_else(|error| panic!("{error}")));
    all
}

#[test]
fn every_figure_has_a_sentence_of_its_own_and_every_sentence_a_figure() {
    let mut said: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for scenario in scenarios() {
        let config = RunConfig { seed: 1, replicates: 2, threads: NonZeroUsize::new(2).unwrap() };
        let report = run(&scenario, &config).unwrap();
        for curve in &report.curves {
            assert!(
                about_curve(curve.name).is_some_and(|text| text.ends_with('.')),
                "{}",
                curve.name
            );
        }
        for metric in &report.metrics {
            let sentence = about(report.engine, metric.name);
            let sentence = sentence.unwrap_or_else(|| panic!("{}: {}", report.engine, metric.name));
            assert!(sentence.ends_with('.') && sentence.len() < 250, "{sentence}");
            said.entry(report.engine).or_default().insert(sentence);
        }
    }
    // As many as stand in the tables: none twice, none for a figure that is not there.
    let counts: BTreeMap<&str, usize> =
        said.iter().map(|(engine, all)| (*engine, all.len())).collect();
    let source = include_str!("../src/metric/about.rs");
    for (engine, count) in counts {
        let table = format!("const {}: ", engine.to_uppercase());
        let table = source.split(&table).nth(1).unwrap().split("];").next().unwrap();
        let entries = table
            .lines()
            .filter(|line| line.trim_end().ends_with(".\"),") || line.trim_end().ends_with(".\","))
            .count();
        assert_eq!(count, entries, "{engine}");
    }
    assert_eq!(about("paths", "garlic"), None);
    assert_eq!(about("garlic", "requests"), None);
}
