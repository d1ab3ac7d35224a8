//! How much a scenario has to do in all its replicates, so that one that would not end is refused before it begins.
//!
//! Counted are draws of 20 ns. What takes another time is counted by that time, in nanoseconds as a release build took on one core;
//! most costs are within a factor of 2 of what was measured, and the bound leaves room.

use super::error::{Fault, line_of};
use super::{Churn, Disclosure, Engine, Kind, Maps, Mix, Mixes, Onion, Paths, Rules, Scenario};
use super::{Selection, Share, Steps, View, memory};

/// Draws of a run at most: two days at 50 million a second.
const DRAWS_MAX: f64 = 1e13;

/// A draw, in nanoseconds.
const DRAW: f64 = 20.0;

/// A request of the onion engine, which encrypts and peels: 20 microseconds.
const ONION_REQUEST: f64 = 20_000.0;

/// A node that fails or comes back in the onion engine: 0.7 microseconds.
const FAILURE: f64 = 700.0;

/// A request by the path machine: 4 microseconds with 300 nodes, 200 and more with 10 000.
const MACHINE: f64 = 1_000.0;

/// The same for each node.
const MACHINE_NODE: f64 = 20.0;

/// A node in a document of the paths engine: 22 microseconds in one of 10 000.
const LISTED: f64 = 1_000.0;

/// The same for each node that is there as well.
const LISTED_NODE: f64 = 2.0;

/// A marked node in a sample of the swarms engine: 3 to 4 ns.
const MARK: f64 = 4.0;

/// A user of one target's world, to be made and judged at the end: 40 to 75 ns.
const USER: f64 = 50.0;

/// A round of the disclosure engine beside its messages: 100 ns, with its entry in the digest.
const ROUND: f64 = 100.0;

/// A user who may leave before a round: 3 to 5 ns.
const LEAVES: f64 = 4.0;

/// A user who may be online in a round, with a share in the sorted list of those who are: 3 to 10 ns.
const ONLINE: f64 = 6.0;

/// A candidate whom a round intersects: 0.5 to 0.8 ns.
const INTERSECTED: f64 = 1.0;

/// A candidate whose flows in a round are weighed: 3 ns where they fit the cache, else up to 19.
const MATCHED: f64 = 8.0;

/// The same where dummies take a logarithm of each: 11 to 27 ns.
const MATCHED_WITH_DUMMIES: f64 = 15.0;

/// A candidate at a look, for a target with one partner: 5 ns where all fit the cache, else up to 41.
const LOOKED_AT: f64 = 20.0;

/// The same with several partners: 36 to 60 ns for 2 to 20 of them.
const LOOKED_AT_SEVERAL: f64 = 50.0;

/// An arrival into a threshold or pool mix, which leaves again: 80 to 120 ns.
const POOLED: f64 = 100.0;

/// An event of a Poisson mix, an arrival or a departure from a hop: 105 to 220 ns, the more messages there are inside.
const EVENT: f64 = 130.0;

/// The record of a message that counts: 130 to 200 ns.
const RECORD: f64 = 160.0;

/// An arrival that is weighed by the departures since: 1.7 ns.
const WEIGHED_TIMES: f64 = 2.0;

/// An arrival that is weighed by its age: 5 ns.
const WEIGHED_AGE: f64 = 5.0;

/// The same after several hops: 15 to 19 ns.
const WEIGHED_AGES: f64 = 17.0;

/// Refuses a scenario whose replicates together would not end.
pub(super) fn bounded(scenario: Scenario, text: &str) -> Result<Scenario, Fault> {
    let Err(what) = ends(&scenario.engine, scenario.replicates) else { return Ok(scenario) };
    let at = line_of(text, "replicates").map_or(0, |(start, _)| start);
    Err(Fault::new(at..at, what))
}

/// Whether so many replicates end; if not, how many do.
pub(super) fn ends(engine: &Engine, replicates: u32) -> Result<(), String> {
    let (time, counted) = time(engine);
    let draws = (time / DRAW).ceil();
    if draws * f64::from(replicates) <= DRAWS_MAX {
        return Ok(());
    }
    let allowed = (DRAWS_MAX / draws).floor();
    Err(if allowed < 1.0 {
        format!(
            "a replicate alone has about {draws} draws ({counted}), and {DRAWS_MAX} would not end: expected less of these"
        )
    } else {
        format!(
            "expected at most {allowed} with these settings: about {draws} draws each ({counted}), and {DRAWS_MAX} in all"
        )
    })
}

/// Nanoseconds of a replicate, and what they are counted from.
fn time(engine: &Engine) -> (f64, &'static str) {
    match engine {
        Engine::Churn(churn) => {
            let cost = match churn.rules {
                Rules::Ours => Document { node: 2_500.0, beside: 2.0, moved: 5.0 },
                Rules::Deployed => Document { node: 1_500.0, beside: 0.0, moved: 1.0 },
            };
            (cost.of(churn), "documents x nodes, more with many nodes and many that come and go")
        }
        Engine::Onion(onion) => {
            (sent(onion), "clients x requests x 1000, and nodes x requests x every / (up + down)")
        }
        Engine::Paths(paths) => (
            asked(paths),
            "span / every x clients, more by the path machine, and span / churn.document x nodes",
        ),
        Engine::Swarms(swarms) => {
            let made = if let Maps::Grown(churn) = &swarms.maps { grown(churn) } else { 0.0 };
            // A sample of each of both events draws as many nodes as are marked.
            let marked = swarms.adversary.of(swarms.nodes) + swarms.burst.of(swarms.nodes);
            let drawn = f64::from(swarms.samples) * (marked as f64 * MARK + 2.0 * DRAW);
            (
                made + drawn,
                "documents x nodes, more with many that come and go, and samples x nodes of the adversary and the burst",
            )
        }
        Engine::Disclosure(disclosure) => (
            watched(disclosure),
            "targets x rounds x batch, rounds x users who come and go or are gone through, and looks x users",
        ),
        Engine::Mixes(mixes) => (
            mixed(mixes),
            "arrivals x hops, warm-up included, and messages x arrivals that are weighed for each",
        ),
    }
}

/// Requests, and nodes that fail and come back meanwhile.
fn sent(onion: &Onion) -> f64 {
    let clients = &onion.clients;
    let (requests, nodes) = (f64::from(clients.requests), f64::from(onion.network.nodes));
    let failures = onion.failures.as_ref().map_or(0.0, |failures| {
        requests * clients.every.as_secs_f64() / (failures.up + failures.down).as_secs_f64()
    });
    f64::from(clients.count) * requests * ONION_REQUEST + 2.0 * nodes * failures * FAILURE
}

/// Requests, and documents between them while nodes come and go.
fn asked(paths: &Paths) -> f64 {
    let nodes = f64::from(paths.network.nodes);
    let request = match paths.selection {
        Selection::Machine => MACHINE + MACHINE_NODE * nodes,
        Selection::Sampler(_) | Selection::Deployed { .. } => DRAW,
    };
    let times = |each: u64| (paths.span / each.max(1)) as f64;
    let documents = paths.churn.as_ref().map_or(0.0, |churn| times(churn.document));
    let listed = documents * nodes * (LISTED + LISTED_NODE * nodes);
    times(paths.every) * f64::from(paths.clients) * request + listed
}

/// Nanoseconds of a document for each node.
struct Document {
    /// In a network of a few.
    node: f64,
    /// For each node that is there as well.
    beside: f64,
    /// For each that joins or leaves before the document.
    moved: f64,
}

impl Document {
    /// A history, where those that come and go do so evenly.
    fn of(&self, churn: &Churn) -> f64 {
        let (mut nodes, mut sum) = (u64::from(churn.network.nodes), 0.0);
        for steps in &churn.steps {
            let dropped = steps.drop.of(usize::try_from(nodes).unwrap_or(usize::MAX)) as u64;
            let times = u64::from(steps.times);
            let come = times * u64::from(steps.join);
            let after = (nodes - dropped + come).saturating_sub(times * u64::from(steps.leave));
            // Who joins last is there, however many leave.
            let after = after.max(steps.join.into());
            let each = (self.with(steps, nodes) + self.with(steps, after)) / 2.0;
            sum += f64::from(steps.times) * each;
            nodes = after;
        }
        sum
    }

    /// One document of a network of so many.
    fn with(&self, steps: &Steps, nodes: u64) -> f64 {
        let (nodes, moved) = (nodes as f64, f64::from(steps.join) + f64::from(steps.leave));
        nodes * (self.node + self.beside * nodes + self.moved * moved)
    }
}

/// A history of which only maps are kept.
fn grown(churn: &Churn) -> f64 {
    let cost = match churn.rules {
        Rules::Ours => Document { node: 1_000.0, beside: 0.2, moved: 5.0 },
        Rules::Deployed => Document { node: 500.0, beside: 0.0, moved: 1.0 },
    };
    cost.of(churn)
}

fn part(share: Share) -> f64 {
    share.parts() as f64 / Share::WHOLE as f64
}

/// Rounds and looks of all targets, over all rounds in the mean, as if none were identified: its looks end then.
fn watched(disclosure: &Disclosure) -> f64 {
    let users = f64::from(disclosure.users);
    let stays = (Share::WHOLE / disclosure.target_leaves.parts().max(1)) as f64;
    let rounds = stays.clamp(1.0, disclosure.rounds.into());
    let (sends, cover) = (part(disclosure.sends), part(disclosure.cover));
    let dummies = (1.0 - sends) * cover;
    // Only rounds in which the target is seen to send are gone through.
    let through = (sends + dummies)
        * match disclosure.adversary {
            Kind::Intersection | Kind::Presence => INTERSECTED,
            Kind::Bayes(_) if dummies > 0.0 => MATCHED_WITH_DUMMIES,
            Kind::Bayes(_) => MATCHED,
            Kind::Statistical { .. } | Kind::Swarms { .. } | Kind::Predecessor(_) => 0.0,
        };
    let online = if disclosure.presence.is_some() { ONLINE } else { 0.0 };
    let leaves = if disclosure.users_leave == Share::NONE { 0.0 } else { LEAVES };
    let each = ROUND + f64::from(disclosure.batch) * DRAW + users * (through + online + leaves);
    let looks = (rounds / f64::from(disclosure.look_every)).floor();
    let looked_at = if disclosure.partners == 1 { LOOKED_AT } else { LOOKED_AT_SEVERAL };
    f64::from(disclosure.targets) * (rounds * each + users * (USER + looks * looked_at))
}

/// All arrivals on their way, and what is weighed for those that count.
fn mixed(mixes: &Mixes) -> f64 {
    let messages = f64::from(mixes.messages);
    let arrivals = mixes.warm_up.as_nanos() as f64 / mixes.gap() + messages;
    let (each, weighed) = match mixes.mix {
        Mix::Threshold { .. } | Mix::Pool { .. } => (POOLED, 0.0),
        Mix::Poisson { hops, view, .. } => {
            // As many mean delays back as anything weighs.
            let weighed = match view {
                View::Departures => 0.0,
                View::Times => f64::from(memory(0)) * WEIGHED_TIMES,
                View::Departure if hops == 1 => f64::from(memory(1)) * WEIGHED_AGE,
                View::Departure => f64::from(memory(hops)) * WEIGHED_AGES,
            };
            (EVENT * f64::from(1 + hops), weighed * mixes.rho().unwrap_or(0.0))
        }
    };
    arrivals * each + messages * (RECORD + weighed)
}
