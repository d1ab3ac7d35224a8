//! The disclosure engine's settings, and what theory predicts.

use super::{Prediction, Setting, percent, setting};
use crate::adversary::{Background, Draw, Ends, Matching, Sends};
use crate::disclosure::Theory;
use crate::output::counted;
use crate::scenario::{Disclosure, Kind};

pub(super) const LEAVES_OUT: &[&str] = &[
    "targets that share rounds, and others who have habits: others write to anyone, evenly and without memory",
    "the time within a round: receipts come back in the round of their message, and batches have one size",
    "adversaries that act: they watch, from where they say",
];

/// Standard deviations by which partners and others are to be apart.
const CONFIDENCE: u32 = 2;

pub(super) fn settings(disclosure: &Disclosure) -> Vec<Setting> {
    let mut settings = vec![
        setting("targets", disclosure.targets.to_string()),
        setting("rounds", disclosure.rounds.to_string()),
        setting("users.count", disclosure.users.to_string()),
    ];
    if let Some(presence) = disclosure.presence {
        settings.push(setting("users.presence", percent(presence)));
    }
    settings.extend([
        setting("users.leave", percent(disclosure.users_leave)),
        setting("target.partners", disclosure.partners.to_string()),
        setting("target.sends", percent(disclosure.sends)),
        setting("target.cover", percent(disclosure.cover)),
        setting("target.leaves", percent(disclosure.target_leaves)),
        setting("traffic.batch", disclosure.batch.to_string()),
    ]);
    settings.extend(adversary(&disclosure.adversary));
    settings.extend([
        setting("adversary.sure", percent(disclosure.sure)),
        setting("adversary.look_every", counted(disclosure.look_every.into(), "round")),
    ]);
    settings
}

fn adversary(kind: &Kind) -> Vec<Setting> {
    let kind_is = |name: &str| setting("adversary.kind", name);
    let background_is = |background: Background| {
        let name = match background {
            Background::Uniform => "uniform",
            Background::Estimated => "estimated",
        };
        setting("adversary.background", name)
    };
    match *kind {
        Kind::Intersection => vec![kind_is("intersection")],
        Kind::Presence => vec![kind_is("presence")],
        Kind::Statistical { background } => {
            vec![kind_is("statistical"), background_is(background)]
        }
        Kind::Swarms { background, swarms, seen, sends } => {
            let learns_by = match sends {
                Sends::Copies => "copies",
                Sends::Receipts => "receipts",
            };
            vec![
                kind_is("swarms"),
                background_is(background),
                setting("adversary.swarms", swarms.to_string()),
                setting("adversary.seen", percent(seen)),
                setting("adversary.learns_by", learns_by),
            ]
        }
        Kind::Predecessor(Ends { nodes, malicious, draw }) => {
            let draw = match draw {
                Draw::Independent => "independent",
                Draw::Distinct => "distinct",
            };
            vec![
                kind_is("predecessor"),
                setting("adversary.nodes", nodes.to_string()),
                setting("adversary.malicious", counted(malicious.into(), "node")),
                setting("adversary.ends", draw),
            ]
        }
        Kind::Bayes(Matching { tpr, fpr }) => vec![
            kind_is("bayes"),
            setting("adversary.tpr", percent(tpr)),
            setting("adversary.fpr", percent(fpr)),
        ],
    }
}

pub(super) fn predictions(disclosure: &Disclosure) -> Vec<Prediction> {
    let theory = Theory::of(disclosure);
    let found = [
        (
            "candidates_left_mean",
            theory.candidates_left(),
            "candidates",
            "presence-set, and the same with the chance to receive of intersection-rounds",
        ),
        (
            "identified_by_end",
            theory.identified_by(disclosure.rounds),
            "probability",
            "that both ends were held once: fresh-paths-compromise; or that nobody else was always online: (1 - p^t)^(N - 1)",
        ),
        (
            "declared_matches_right",
            theory.declared_right(),
            "probability",
            "bayes-detection, with as many flows as a round has messages",
        ),
        (
            "messages until one other user is expected to be left",
            theory.intersection_messages(),
            "messages",
            "intersection-rounds, counting rounds with a message",
        ),
        (
            "messages until partners stand out by 2 standard deviations",
            theory.statistical_messages(CONFIDENCE),
            "messages",
            "sda-observations, counting rounds with a message; of mailboxes that are seen",
        ),
        (
            "messages until both ends were held once, but for one target in as many as there are nodes",
            theory.predecessor_messages(),
            "messages",
            "predecessor-rounds, counting rounds with a message",
        ),
    ];
    let predict = |(name, value, unit, formula): (&str, Option<f64>, _, _)| {
        Some(Prediction { name: name.to_owned(), value: value?, unit, formula })
    };
    found.into_iter().filter_map(predict).collect()
}
