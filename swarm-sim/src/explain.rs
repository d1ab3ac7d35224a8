//! What a scenario says once it is read, and what theory predicts for it, before anything is run.

mod disclosure;
mod mixes;
mod paths;
mod swarms;

use core::time::Duration;

use enjambre_protocol::swarm::{Readiness, SWARM_MAX, SWARM_MIN, majority};
use serde::Serialize;

use crate::output::counted;
use crate::scenario::{Churn, Engine, Latency, Network, Onion, Rules, Scenario, Share, Steps};
use crate::stats::{both_malicious, first_and_another_malicious, hypergeometric_tail};

/// Messages of a request and its answer: four links there, four back.
const TRANSITS: i32 = 8;

/// A setting with its value, defaults included.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its key in the scenario file.
    pub key: &'static str,
    /// Its value with its unit.
    pub value: String,
}

/// What theory says about the scenario.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// What is predicted; a run's metric where it has one of that name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: &'static str,
    /// How it comes about, and where it holds.
    pub formula: &'static str,
}

/// A scenario, explained.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explanation {
    /// The scenario's name.
    pub scenario: String,
    /// The engine's name.
    pub engine: &'static str,
    /// What it is for.
    pub about: String,
    /// Replicates unless the command line says otherwise.
    pub replicates: u32,
    /// All settings in the order of the file.
    pub settings: Vec<Setting>,
    /// What theory predicts.
    pub predictions: Vec<Prediction>,
    /// What the engine does not simulate.
    pub leaves_out: &'static [&'static str],
}

/// Explains a scenario.
pub fn explain(scenario: &Scenario) -> Explanation {
    let (settings, predictions, leaves_out) = match &scenario.engine {
        Engine::Churn(churn) => (churn_settings(churn), churn_predictions(churn), CHURN_LEAVES_OUT),
        Engine::Onion(onion) => (onion_settings(onion), onion_predictions(onion), ONION_LEAVES_OUT),
        Engine::Paths(spec) => (paths::settings(spec), paths::predictions(spec), paths::LEAVES_OUT),
        Engine::Swarms(spec) => {
            (swarms::settings(spec), swarms::predictions(spec), swarms::LEAVES_OUT)
        }
        Engine::Disclosure(spec) => {
            (disclosure::settings(spec), disclosure::predictions(spec), disclosure::LEAVES_OUT)
        }
        Engine::Mixes(spec) => (mixes::settings(spec), mixes::predictions(spec), mixes::LEAVES_OUT),
    };
    Explanation {
        scenario: scenario.name.clone(),
        engine: scenario.engine.name(),
        about: scenario.about.clone(),
        replicates: scenario.replicates,
        settings,
        predictions,
        leaves_out,
    }
}

const CHURN_LEAVES_OUT: &[&str] = &[
    "messages and how long copying them takes: members are ready after a set number of documents",
    "authorities that disagree, and nodes that are down but stay listed",
    "malicious nodes that choose when to join or leave",
];

const ONION_LEAVES_OUT: &[&str] = &[
    "changes of the directory, mailboxes and swarms",
    "links that fill up and nodes that take time to work",
    "malicious nodes that do anything but watch; cover traffic; timing",
];

fn setting(key: &'static str, value: impl Into<String>) -> Setting {
    Setting { key, value: value.into() }
}

fn percent(share: Share) -> String {
    format!("{} %", share.parts() as f64 / 1e7)
}

/// In the largest unit that it is a whole number of.
fn time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let units = [
        ("d", 86_400_000_000_000),
        ("h", 3_600_000_000_000),
        ("min", 60_000_000_000),
        ("s", 1_000_000_000),
        ("ms", 1_000_000),
        ("us", 1_000),
    ];
    let fits = units.into_iter().find(|(_, size)| nanos > 0 && nanos.is_multiple_of(*size));
    let (unit, size) = fits.unwrap_or(("ns", 1));
    format!("{} {unit}", nanos / size)
}

fn network_settings(network: &Network) -> Vec<Setting> {
    let each = |count: Option<u32>, none: &str| count.map_or(none.to_owned(), |c| c.to_string());
    vec![
        setting("network.nodes", network.nodes.to_string()),
        setting("network.malicious", percent(network.malicious)),
        setting("network.subnets", each(network.subnets, "one for each node")),
        setting("network.families", each(network.families, "none")),
    ]
}

fn churn_settings(churn: &Churn) -> Vec<Setting> {
    let mut settings = network_settings(&churn.network);
    let params = &churn.params;
    if churn.rules == Rules::Deployed {
        settings.push(setting("swarms.rules", "deployed"));
        settings.push(setting("swarms.epoch", time(churn.epoch)));
        settings.extend(churn.steps.iter().map(steps_setting));
        return settings;
    }
    settings.push(setting("swarms.rules", "ours"));
    match params.readiness {
        Readiness::AtOnce => settings.push(setting("swarms.readiness", "at once")),
        Readiness::Stated => {
            settings.push(setting("swarms.readiness", "stated"));
            settings
                .push(setting("swarms.ready_after", counted(churn.ready_after.into(), "document")));
        }
    }
    settings.extend([
        setting("swarms.cuckoo_k", params.cuckoo_k.to_string()),
        setting("swarms.epoch", time(churn.epoch)),
        setting("swarms.ready_within", time(params.ready_within)),
        setting("swarms.lost_after", time(params.lost_after)),
    ]);
    settings.extend(churn.steps.iter().map(steps_setting));
    settings
}

fn steps_setting(steps: &Steps) -> Setting {
    let (times, drop) = (steps.times, percent(steps.drop));
    let (join, leave, empty) = (steps.join, steps.leave, steps.empty);
    let text = format!("times {times}, join {join}, leave {leave}, drop {drop}, empty {empty}");
    setting("steps", text)
}

/// How many of `network`'s nodes are malicious at the start.
fn malicious(network: &Network) -> u64 {
    network.malicious.of(network.nodes as usize) as u64
}

fn churn_predictions(churn: &Churn) -> Vec<Prediction> {
    let start = u64::from(churn.network.nodes);
    let mut found = Vec::new();
    for size in [SWARM_MIN, SWARM_MAX] {
        let needed = majority(size) as u64;
        let (bad, members) = (malicious(&churn.network), size as u64);
        if members <= start {
            found.push(Prediction {
                name: format!("one swarm of {size} has a malicious majority at the start"),
                value: hypergeometric_tail(start, bad, members, needed),
                unit: "probability",
                formula: "swarm-capture, if members were drawn uniformly",
            });
        }
    }
    let (mut nodes, mut worst) = (start, None);
    for steps in &churn.steps {
        for _ in 0..steps.times {
            let drop = steps.drop.of(usize::try_from(nodes).unwrap_or(usize::MAX)) as u64;
            let leave = (u64::from(steps.leave) + drop).min(nodes);
            let worse = worst.is_none_or(|(of, left): (u64, u64)| leave * of > left * nodes);
            if drop > 0 && worse {
                worst = Some((nodes, leave));
            }
            nodes = nodes - leave + u64::from(steps.join);
        }
    }
    if let Some((of, left)) = worst {
        for size in [SWARM_MIN, SWARM_MAX].into_iter().filter(|size| *size as u64 <= of) {
            found.push(Prediction {
                name: format!(
                    "one swarm of {size} vanishes in the worst step, {left} of {of} nodes"
                ),
                value: hypergeometric_tail(of, left, size as u64, size as u64),
                unit: "probability",
                formula: "burst-loss",
            });
        }
    }
    found.push(Prediction {
        name: "nodes at the end".to_owned(),
        value: nodes as f64,
        unit: "nodes",
        formula: "those of the start, and all that join, without all that leave",
    });
    found
}

fn onion_settings(onion: &Onion) -> Vec<Setting> {
    let (clients, links) = (&onion.clients, &onion.links);
    let latency = match links.latency {
        Latency::Constant { mean } => format!("constant, {}", time(mean)),
        Latency::Gamma { mean, shape } => format!("gamma, mean {}, shape {shape}", time(mean)),
    };
    let mut settings = network_settings(&onion.network);
    settings.extend([
        setting("clients.count", clients.count.to_string()),
        setting("clients.contacts", clients.contacts.to_string()),
        setting("clients.requests", clients.requests.to_string()),
        setting("clients.every", time(clients.every)),
        setting("clients.request", format!("{} B", clients.request)),
        setting("clients.reply", format!("{} B", clients.reply)),
        setting("clients.timeout", time(clients.timeout)),
        setting("clients.tries", clients.tries.to_string()),
        setting("links.latency", latency),
        setting("links.jitter", time(links.jitter)),
        setting("links.loss", percent(links.loss)),
        setting("links.give_up", time(links.give_up)),
    ]);
    match &onion.failures {
        Some(failures) => settings.extend([
            setting("failures.up", time(failures.up)),
            setting("failures.down", time(failures.down)),
        ]),
        None => settings.push(setting("failures", "none")),
    }
    settings
}

fn onion_predictions(onion: &Onion) -> Vec<Prediction> {
    let (nodes, bad) = (u64::from(onion.network.nodes), malicious(&onion.network));
    let links = &onion.links;
    let (Latency::Constant { mean } | Latency::Gamma { mean, .. }) = links.latency;
    let one_way = mean.as_secs_f64() + links.jitter.as_secs_f64() / 2.0;
    let arrives = 1.0 - links.loss.parts() as f64 / Share::WHOLE as f64;
    let predict = |name: &str, value, unit, formula| Prediction {
        name: name.to_owned(),
        value,
        unit,
        formula,
    };
    let mut found = vec![
        predict(
            "guard_and_exit_malicious",
            both_malicious(nodes, bad),
            "probability",
            "path-both-ends; over many clients, as each keeps its guards",
        ),
        predict(
            "request_both_ends_malicious",
            first_and_another_malicious(nodes, bad),
            "probability",
            "request-both-ends; over many clients, as each keeps its guards",
        ),
        predict(
            "mean latency of a request that nothing disturbs",
            f64::from(TRANSITS) * one_way * 1e3,
            "ms",
            "8 (mean latency + jitter / 2): four links there and back",
        ),
        predict(
            "no message of a try is lost",
            libm::pow(arrives, f64::from(TRANSITS)),
            "probability",
            "(1 - loss)^8",
        ),
    ];
    if let Some(failures) = &onion.failures {
        let (up, down) = (failures.up.as_secs_f64(), failures.down.as_secs_f64());
        found.push(predict(
            "four nodes that nobody knows to be down are all up",
            libm::pow(up / (up + down), 4.0),
            "probability",
            "(up / (up + down))^4",
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroUsize;

    use crate::run::{RunConfig, run};

    const ONCE: RunConfig = RunConfig { seed: 1, replicates: 1, threads: NonZeroUsize::MIN };

    fn built_in(name: &str, from: &str, to: &str) -> Scenario {
        let built_in = crate::scenario::BUILT_IN.iter().find(|b| b.name == name);
        let text = built_in.map_or(String::new(), |b| b.text.replace(from, to));
        Scenario::parse("test", &text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn predicted(scenario: &Scenario, name: &str) -> f64 {
        let found = explain(scenario).predictions.into_iter().find(|p| p.name == name);
        found.map_or(f64::NAN, |prediction| prediction.value)
    }

    #[test]
    fn undisturbed_requests_take_the_time_that_is_predicted() {
        let text = built_in(
            "onion",
            "model = \"gamma\", mean = \"45 ms\", shape = 3",
            "model = \"constant\", mean = \"45 ms\"",
        );
        let Engine::Onion(mut onion) = text.engine.clone() else { panic!("another engine") };
        (onion.links.jitter, onion.links.loss, onion.failures) =
            (Duration::ZERO, Share::NONE, None);
        let calm = Scenario { engine: Engine::Onion(onion), ..text };
        let found = run(&calm, &ONCE).map_err(|error| error.to_string());
        let median = found.map(|r| r.metric("latency_p50").and_then(|metric| metric.value));
        assert_eq!(median, Ok(Some(360.0)));
        assert_eq!(predicted(&calm, "mean latency of a request that nothing disturbs"), 360.0);
        assert_eq!(predicted(&calm, "no message of a try is lost"), 1.0);
    }

    #[test]
    fn history_ends_with_as_many_nodes_as_predicted() {
        let churn = built_in("churn", "", "");
        // 40 + 150 + 0, half of them gone, 60 fewer: 95 − 60.
        assert_eq!(predicted(&churn, "nodes at the end"), 35.0);
        let found = run(&churn, &ONCE).map_err(|error| error.to_string());
        let last = found.map(|report| report.table.rows.last().map(|row| row[2]));
        assert_eq!(last, Ok(Some(Some(35))));
        // 95 · 94 · 93 · 92 · 91 / (190 · 189 · 188 · 187 · 186).
        let vanishes =
            predicted(&churn, "one swarm of 5 vanishes in the worst step, 95 of 190 nodes");
        assert!((vanishes - 0.029_610).abs() < 1e-6, "{vanishes}");
    }

    #[test]
    fn settings_are_shown_with_units_and_defaults() {
        let onion = explain(&built_in("onion", "", ""));
        let of = |key| onion.settings.iter().find(|s| s.key == key).map(|s| s.value.as_str());
        assert_eq!(of("network.families"), Some("none"));
        assert_eq!(of("network.malicious"), Some("20 %"));
        assert_eq!(of("links.loss"), Some("0.5 %"));
        assert_eq!(of("links.give_up"), Some("1500 ms"));
        assert_eq!(of("failures.up"), Some("2 h"));
        assert_eq!(time(Duration::ZERO), "0 ns");
    }
}
