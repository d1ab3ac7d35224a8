//! The paths engine's settings, and what theory predicts.

use core::time::Duration;

use super::{Prediction, Setting, network_settings, percent, setting, time};
use crate::paths::Theory;
use crate::scenario::{AdversaryChurn, Owned, Paths, SecondLayer, Selection, Weights};

pub(super) const LEAVES_OUT: &[&str] = &[
    "nodes that fail while they are listed: whoever is in the directory answers, and without [churn] it stands still",
    "copying of mailboxes: swarms change as soon as a node leaves for ever, and not while one is down",
    "packets, latency and cover: an adversary at both ends counts as having seen, whatever the traffic",
    "malicious nodes that do anything but watch",
];

fn ms(ms: u64) -> String {
    time(Duration::from_millis(ms))
}

pub(super) fn settings(paths: &Paths) -> Vec<Setting> {
    let mut settings = vec![setting("span", ms(paths.span))];
    let network = network_settings(&paths.network);
    settings.extend(network.into_iter().filter(|setting| setting.key != "network.malicious"));
    let weights = match paths.weights {
        Weights::Equal => "equal".to_owned(),
        Weights::Pareto { shape } => format!("pareto, shape {shape}"),
    };
    let owns = match paths.owned {
        Owned::Nodes => "nodes",
        Owned::Weight => "weight",
        Owned::Prefixes => "prefixes",
    };
    settings.extend([
        setting("network.weights", weights),
        setting("adversary.owns", owns),
        setting("adversary.share", percent(paths.network.malicious)),
        setting("clients.count", paths.clients.to_string()),
        setting("clients.contacts", paths.contacts.to_string()),
        setting("clients.every", ms(paths.every)),
        setting("clients.join_within", ms(paths.join_within)),
    ]);
    settings.extend(churn(paths));
    let sampler = match paths.selection {
        Selection::Machine => {
            settings.push(setting("paths.selection", "machine"));
            return settings;
        }
        Selection::Deployed { restart } => {
            settings.push(setting("paths.selection", "deployed"));
            settings.push(setting("paths.restart", ms(restart)));
            return settings;
        }
        Selection::Sampler(sampler) => sampler,
    };
    settings.extend([
        setting("paths.selection", "sampler"),
        setting("paths.guards", sampler.guards.to_string()),
        setting("paths.guard_life_min", ms(sampler.guard_life.0)),
        setting("paths.guard_life_max", ms(sampler.guard_life.1)),
    ]);
    match sampler.second_layer {
        SecondLayer::None => settings.push(setting("paths.second_layer", "none")),
        SecondLayer::Pairs { life } => settings.extend([
            setting("paths.second_layer", "pairs"),
            setting("paths.middle_life_min", ms(life.0)),
            setting("paths.middle_life_max", ms(life.1)),
        ]),
    }
    settings
}

fn churn(paths: &Paths) -> Vec<Setting> {
    let Some(churn) = &paths.churn else { return vec![setting("churn", "none")] };
    let mean = |mean: Option<Duration>| mean.map_or_else(|| "never".to_owned(), time);
    let adversary = match churn.adversary {
        AdversaryChurn::AsOthers => "as others",
        AdversaryChurn::Stays => "stays",
    };
    let mut settings = vec![setting("churn.life", mean(churn.life))];
    if let Some((up, down)) = churn.up_and_down {
        settings.extend([setting("churn.up", time(up)), setting("churn.down", time(down))]);
    }
    settings.extend([
        setting("churn.document", ms(churn.document)),
        setting("churn.adversary", adversary),
    ]);
    settings
}

pub(super) fn predictions(paths: &Paths) -> Vec<Prediction> {
    let Some(theory) = Theory::of(paths) else { return Vec::new() };
    let predict = |name: &str, value, formula| Prediction {
        name: name.to_owned(),
        value,
        unit: "probability",
        formula,
    };
    let mut found = vec![
        predict("requests_guard_malicious", theory.guard(), "malicious / nodes"),
        predict("requests_both_ends", theory.both(), "request-both-ends, whatever the weights"),
        predict(
            "guard and exit of a request are malicious",
            theory.guard_and_exit(),
            "path-both-ends",
        ),
    ];
    if let Some(at_once) = theory.guard_by(paths, 0) {
        found.push(predict("guard_malicious_by_day_0", at_once, "guards-day-zero"));
    }
    let days = paths.span / 86_400_000;
    if days > 0
        && let Some(at_end) = theory.guard_by(paths, days)
    {
        found.push(predict(
            &format!("a malicious guard was in use by day {days}"),
            at_end,
            "guard-set-compromise-by: guards taken as drawn with replacement",
        ));
    }
    found
}
