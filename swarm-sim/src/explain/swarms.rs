//! The swarms engine's settings, and what theory predicts.

use enjambre_protocol::swarm::{SWARM_MAX, SWARM_MIN, majority};

use super::{Prediction, Setting, percent, setting};
use crate::output::counted;
use crate::scenario::{Churn, Maps, Part, Rules, Swarms};
use crate::stats::hypergeometric_tail;
use crate::swarms::{Map, Theory};
use crate::theory::all_of;

pub(super) const LEAVES_OUT: &[&str] = &[
    "malicious nodes that choose when to join, to be placed with others: who is malicious, or gone, is drawn uniformly on the finished map",
    "messages, repair, and how long copying takes: a change of the map counts at once",
    "copies that old members still hold, or that are made again after a burst",
];

fn part(key: [&'static str; 2], part: Part, nodes: u32) -> Setting {
    match part {
        Part::Share(share) => {
            setting(key[0], format!("{} ({})", percent(share), counted(part.of(nodes), "node")))
        }
        Part::Count(count) => setting(key[1], count.to_string()),
    }
}

pub(super) fn settings(swarms: &Swarms) -> Vec<Setting> {
    let mut settings = vec![
        setting("samples", swarms.samples.to_string()),
        setting("network.nodes", swarms.nodes.to_string()),
    ];
    match &swarms.maps {
        Maps::Fixed { size } => settings
            .extend([setting("swarms.rules", "fixed"), setting("swarms.size", size.to_string())]),
        Maps::Grown(churn) => settings.extend(grown(churn)),
    }
    settings.extend([
        part(["adversary.share", "adversary.count"], swarms.adversary, swarms.nodes),
        part(["burst.share", "burst.count"], swarms.burst, swarms.nodes),
    ]);
    settings
}

fn grown(churn: &Churn) -> Vec<Setting> {
    let each = |count: Option<u32>, none: &str| count.map_or(none.to_owned(), |c| c.to_string());
    let rules = match churn.rules {
        Rules::Ours => "ours",
        Rules::Deployed => "deployed",
    };
    let growth: Vec<_> = churn.steps.iter().filter(|steps| steps.join != steps.leave).collect();
    let calm = churn.steps.iter().find(|steps| steps.join == steps.leave);
    let join = growth.iter().map(|steps| steps.join).max();
    vec![
        setting("network.subnets", each(churn.network.subnets, "one for each node")),
        setting("network.families", each(churn.network.families, "none")),
        setting("swarms.rules", rules),
        setting("history.start", churn.network.nodes.to_string()),
        setting("history.join", each(join, "none")),
        setting("history.documents", calm.map_or(0, |steps| steps.times).to_string()),
        setting("history.turnover", calm.map_or(0, |steps| steps.leave).to_string()),
    ]
}

fn predict(name: &str, value: f64, formula: &'static str) -> Prediction {
    Prediction { name: name.to_owned(), value, unit: "probability", formula }
}

const ANY: &str = "joint law of marks and events, swarm after swarm; exact";

pub(super) fn predictions(swarms: &Swarms) -> Vec<Prediction> {
    if let Some(theory) = Theory::of(swarms) {
        return vec![
            predict("mailbox_captured", theory.captured, "swarm-capture"),
            predict("any_swarm_captured", theory.any_captured, ANY),
            predict(
                "mailbox_exposed",
                theory.exposed,
                "1 - (product of (n-c-i)/(n-i), i below size)",
            ),
            predict("burst_mailbox_lost", theory.lost, "burst-loss"),
            predict("burst_any_swarm_lost", theory.any_lost, ANY),
            predict(
                "burst_mailbox_below_majority",
                theory.below_majority,
                "quorum-capture of those gone",
            ),
        ];
    }
    let sizes = match swarms.maps {
        Maps::Fixed { size } => Map::fixed(swarms.nodes, size).sizes(),
        Maps::Grown(_) => vec![SWARM_MIN as u64, SWARM_MAX as u64],
    };
    let (nodes, bad) = (u64::from(swarms.nodes), swarms.adversary.of(swarms.nodes));
    let gone = swarms.burst.of(swarms.nodes);
    let each = sizes.into_iter().filter(|size| *size <= nodes).flat_map(|size| {
        let most = majority(usize::try_from(size).unwrap_or(usize::MAX)) as u64;
        let captured = hypergeometric_tail(nodes, bad, size, most);
        [
            predict(&format!("one swarm of {size} is captured"), captured, "swarm-capture"),
            predict(
                &format!("one swarm of {size} is lost in the burst"),
                all_of(nodes, gone, size),
                "burst-loss",
            ),
        ]
    });
    each.collect()
}
