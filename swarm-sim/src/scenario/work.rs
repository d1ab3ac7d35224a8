//! How much a scenario has to do in all its replicates, so that one that would not end is refused before it begins.
//!
//! Counted are draws, each some nanoseconds; the counts are rough, and the bound leaves room.

use super::error::{Fault, line_of};
use super::{Churn, Disclosure, Engine, Maps, Mix, Mixes, Scenario, Share, View, memory};

/// Draws of a run at most: two days at 50 million a second.
const DRAWS_MAX: u128 = 10_000_000_000_000;

/// What a request of the onion engine takes, which encrypts and peels: about 20 microseconds.
const ONION_REQUEST: u128 = 1_000;

/// Refuses a scenario whose replicates together would not end.
pub(super) fn bounded(scenario: Scenario, text: &str) -> Result<Scenario, Fault> {
    let Err(what) = ends(&scenario.engine, scenario.replicates) else { return Ok(scenario) };
    let at = line_of(text, "replicates").map_or(0, |(start, _)| start);
    Err(Fault::new(at..at, what))
}

/// Whether so many replicates end; if not, how many do.
pub(super) fn ends(engine: &Engine, replicates: u32) -> Result<(), String> {
    let (draws, counted) = draws(engine);
    if draws.saturating_mul(replicates.into()) <= DRAWS_MAX {
        return Ok(());
    }
    let allowed = DRAWS_MAX / draws;
    Err(if allowed == 0 {
        format!(
            "a replicate alone has about {draws} draws ({counted}), and {DRAWS_MAX} would not end: expected less of these"
        )
    } else {
        format!(
            "expected at most {allowed} with these settings: about {draws} draws each ({counted}), and {DRAWS_MAX} in all"
        )
    })
}

/// Draws of a replicate, and what they are counted from.
fn draws(engine: &Engine) -> (u128, &'static str) {
    match engine {
        Engine::Churn(churn) => (history(churn), "documents x nodes"),
        Engine::Onion(onion) => {
            let clients = &onion.clients;
            let requests = u128::from(clients.count) * u128::from(clients.requests);
            (requests * ONION_REQUEST, "clients x requests x 1000")
        }
        Engine::Paths(paths) => {
            let requests = u128::from(paths.span / paths.every.max(1));
            (requests * u128::from(paths.clients), "span / every x clients")
        }
        Engine::Swarms(swarms) => {
            let made = if let Maps::Grown(churn) = &swarms.maps { history(churn) } else { 0 };
            // A sample of each of both events draws as many nodes as are marked.
            let marked = swarms.adversary.of(swarms.nodes) + swarms.burst.of(swarms.nodes);
            let drawn = u128::from(swarms.samples) * u128::from(marked);
            (made + drawn, "documents x nodes, and samples x nodes of the adversary and the burst")
        }
        Engine::Disclosure(disclosure) => (
            looks(disclosure),
            "targets x rounds x batch, with users who come and go, and looks x users x partners",
        ),
        Engine::Mixes(mixes) => (weighed(mixes), "messages x arrivals that are weighed for each"),
    }
}

/// Nodes of all documents, where those that come and go do so evenly.
fn history(churn: &Churn) -> u128 {
    let (mut nodes, mut sum) = (u64::from(churn.network.nodes), 0);
    for steps in &churn.steps {
        let dropped = steps.drop.of(usize::try_from(nodes).unwrap_or(usize::MAX)) as u64;
        let times = u64::from(steps.times);
        let come = times * u64::from(steps.join);
        let after = (nodes - dropped + come).saturating_sub(times * u64::from(steps.leave));
        sum += u128::from(times) * u128::from(nodes + after) / 2;
        nodes = after;
    }
    sum
}

/// Messages, users who come and go, and what is weighed of users at looks, over all rounds in the mean.
fn looks(disclosure: &Disclosure) -> u128 {
    let users = u128::from(disclosure.users);
    let stays = u128::from(Share::WHOLE / disclosure.target_leaves.parts().max(1));
    let rounds = stays.clamp(1, disclosure.rounds.into());
    let moves = disclosure.presence.is_some() || disclosure.users_leave != Share::NONE;
    let each = u128::from(disclosure.batch) + if moves { users } else { 0 };
    let looks = rounds / u128::from(disclosure.look_every) + 1;
    let weighed = looks * users * u128::from(disclosure.partners);
    u128::from(disclosure.targets) * (rounds * each + weighed)
}

/// Arrivals that are weighed for all messages.
fn weighed(mixes: &Mixes) -> u128 {
    let inside = mixes.rho().map_or(1.0, |rho| rho.max(1.0));
    let remembered = match mixes.mix {
        Mix::Poisson { hops, view: View::Departure, .. } => memory(hops),
        _ => 1,
    };
    // At most 1000 arrivals in a mean delay: whole ones are near enough.
    let inside = (1u16..=1000).find(|whole| f64::from(*whole) >= inside).unwrap_or(1000);
    u128::from(mixes.messages) * u128::from(inside) * u128::from(remembered)
}
