//! Scenario files: what a run simulates.
//!
//! One TOML file, versioned. Every value has its unit in it ("50 ms", "20 %"), every key that is
//! not known is refused, and every refusal names the line and the key. What has been read needs no
//! further checks. The built-in scenarios stand in `scenarios/` and can be run by name.

mod built_in;
mod disclosure;
mod error;
mod file;
mod include;
mod mixes;
mod paths;
mod swarms;
mod value;
mod work;

use core::time::Duration;

pub use built_in::{BUILT_IN, BuiltIn};
pub use error::ScenarioError;
pub(crate) use include::Whole;
pub(crate) use mixes::default_warm_up;
pub(crate) use mixes::memory;
pub use mixes::{Arrivals, Mix, Mixes, View};
pub use swarms::{Maps, Part, Swarms};
pub use value::Share;

use enjambre_protocol::swarm::SwarmParams;

use crate::adversary::{
    Adversary, Background, Briefing, Ends, Intersection, Matcher, Matching, Predecessor, Sends,
    Sets, Statistical, Stores,
};

/// What is simulated, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Scenario {
    /// Its name, which also keys its random streams.
    pub name: String,
    /// What it is for, in a sentence.
    pub about: String,
    /// Replicates, unless the command line says otherwise.
    pub replicates: u32,
    /// What happens.
    pub engine: Engine,
}

/// The engine with its settings.
#[derive(Clone, Debug, PartialEq)]
pub enum Engine {
    /// Directory steps while nodes come and go.
    Churn(Churn),
    /// Requests through onion paths in virtual time.
    Onion(Onion),
    /// Guards and whole paths over months.
    Paths(Paths),
    /// Maps of swarms, and rare events on them.
    Swarms(Swarms),
    /// Adversaries who want to know to whom someone writes.
    Disclosure(Disclosure),
    /// Messages through mixes, and what an adversary can tell of them.
    Mixes(Mixes),
}

impl Engine {
    /// As it stands in a scenario file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Churn(_) => "churn",
            Self::Onion(_) => "onion",
            Self::Paths(_) => "paths",
            Self::Swarms(_) => "swarms",
            Self::Disclosure(_) => "disclosure",
            Self::Mixes(_) => "mixes",
        }
    }
}

/// Who takes part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Network {
    /// Nodes at the start.
    pub nodes: u32,
    /// Share of nodes that work for the adversary.
    pub malicious: Share,
    /// Address prefixes that nodes are spread over at random; one for each node if `None`.
    pub subnets: Option<u32>,
    /// Families that nodes belong to at random; none if `None`.
    pub families: Option<u32>,
}

/// Who groups nodes into swarms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// The protocol's transition.
    Ours,
    /// The deployed network's rules.
    Deployed,
}

/// Settings of the churn engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Churn {
    /// Who takes part.
    pub network: Network,
    /// Whose rules form swarms.
    pub rules: Rules,
    /// The parameters of the protocol's rules.
    pub params: SwarmParams,
    /// Documents after which a member states that it is ready.
    pub ready_after: u32,
    /// Time between documents.
    pub epoch: Duration,
    /// What happens, in this order.
    pub steps: Vec<Steps>,
}

/// Some documents in a row, before each of which the same happens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// How many documents.
    pub times: u32,
    /// New nodes before each.
    pub join: u32,
    /// Nodes that leave before each, chosen at random.
    pub leave: u32,
    /// Share of nodes that leave before each, beside those of `leave`.
    pub drop: Share,
    /// Nodes that lose their store before each, chosen at random.
    pub empty: u32,
}

/// Settings of the onion engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Onion {
    /// Who takes part.
    pub network: Network,
    /// Who sends.
    pub clients: Clients,
    /// What messages go over.
    pub links: Links,
    /// How nodes fail; never if `None`.
    pub failures: Option<Failures>,
}

/// Clients and what they send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// How many.
    pub count: u32,
    /// Mailboxes that each writes to.
    pub contacts: u32,
    /// Requests that each sends.
    pub requests: u32,
    /// Mean time between two requests of a client; exponential.
    pub every: Duration,
    /// Bytes of a request.
    pub request: usize,
    /// Bytes of a reply.
    pub reply: usize,
    /// How long a client waits for the answer to one try.
    pub timeout: Duration,
    /// Tries of a request at most.
    pub tries: u32,
}

/// Links between any two parties.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    /// The time a message takes.
    pub latency: Latency,
    /// What is added to each message's time at most, uniformly.
    pub jitter: Duration,
    /// Share of messages that vanish.
    pub loss: Share,
    /// After which time a sender knows that the other side is not there.
    pub give_up: Duration,
}

/// How long a message is on its way from one party to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Latency {
    /// The same for all pairs.
    Constant {
        /// The time.
        mean: Duration,
    },
    /// Drawn once for each pair, the same both ways.
    Gamma {
        /// Mean over pairs.
        mean: Duration,
        /// Shape: the variance over pairs is mean² / shape.
        shape: f64,
    },
}

/// Nodes that go down and come back, exponentially, starting in equilibrium.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failures {
    /// Mean time up.
    pub up: Duration,
    /// Mean time down.
    pub down: Duration,
}

/// Guards that the protocol's clients use at a time (05 paths, section 4).
pub(crate) const GUARDS: usize = 2;

/// How long the protocol's guards live, in milliseconds: 60 to 120 days.
pub(crate) const GUARD_LIFE: (u64, u64) = (60 * 86_400_000, 120 * 86_400_000);

/// How long members of the protocol's second layer live, in milliseconds: 7 to 14 days.
pub(crate) const MIDDLE_LIFE: (u64, u64) = (7 * 86_400_000, 14 * 86_400_000);

/// Settings of the paths engine. Times are in milliseconds, the resolution of the directory's clock.
#[derive(Clone, Debug, PartialEq)]
pub struct Paths {
    /// Who takes part; `malicious` is the share of what the adversary owns.
    pub network: Network,
    /// How often nodes are drawn against each other.
    pub weights: Weights,
    /// What the adversary owns a share of.
    pub owned: Owned,
    /// Clients.
    pub clients: u32,
    /// Mailboxes that each asks.
    pub contacts: u32,
    /// Time between two requests of a client.
    pub every: u64,
    /// Clients begin at a random time within this.
    pub join_within: u64,
    /// Who chooses.
    pub selection: Selection,
    /// Nodes that come and go; nobody does if `None`.
    pub churn: Option<PathsChurn>,
    /// How long the network is watched.
    pub span: u64,
}

/// Nodes that come and go in the paths engine. Times are exponential.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PathsChurn {
    /// Mean time until a node leaves for ever and another takes its place; never if `None`.
    pub life: Option<Duration>,
    /// Mean times up and down; never down if `None`.
    pub up_and_down: Option<(Duration, Duration)>,
    /// Time between two looks at the directory, in milliseconds: what happened since shows in it.
    pub document: u64,
    /// Whether the adversary's nodes come and go.
    pub adversary: AdversaryChurn,
}

/// Whether the adversary's nodes come and go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdversaryChurn {
    /// As all others do.
    #[default]
    AsOthers,
    /// They are always there.
    Stays,
}

/// Weights of nodes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weights {
    /// The same for all.
    Equal,
    /// From 100, with this tail index, cut at a million.
    Pareto {
        /// The tail index.
        shape: f64,
    },
}

/// What the adversary owns a share of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owned {
    /// Nodes, drawn uniformly.
    Nodes,
    /// Weight: nodes drawn uniformly until they have it.
    Weight,
    /// Address prefixes, with all nodes in them.
    Prefixes,
}

/// Who chooses guards, middles and exits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// The protocol's path machine.
    Machine,
    /// The fast sampler.
    Sampler(Sampler),
    /// The rules of the deployed network's clients.
    Deployed {
        /// Milliseconds from one start of a client to the next.
        restart: u64,
    },
}

/// Settings of the sampler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampler {
    /// Guards in use at a time.
    pub guards: usize,
    /// The shortest and the longest life of a guard, in milliseconds; uniform between.
    pub guard_life: (u64, u64),
    /// Where middles come from.
    pub second_layer: SecondLayer,
}

impl Sampler {
    /// The protocol's own settings.
    pub const PROTOCOL: Self = Self {
        guards: GUARDS,
        guard_life: GUARD_LIFE,
        second_layer: SecondLayer::Pairs { life: MIDDLE_LIFE },
    };
}

/// Where middles come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecondLayer {
    /// Two members in each of two swarms.
    Pairs {
        /// Their shortest and longest life, in milliseconds; uniform between.
        life: (u64, u64),
    },
    /// Each is drawn afresh, by weight.
    None,
}

/// Settings of the disclosure engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disclosure {
    /// Targets in a replicate, each in a world of its own.
    pub targets: u32,
    /// Rounds at most.
    pub rounds: u32,
    /// Users whom the target may write to.
    pub users: u32,
    /// Probability that a user is online in a round, where that is seen.
    pub presence: Option<Share>,
    /// Probability that a user who is no partner leaves for good before a round.
    pub users_leave: Share,
    /// Users whom the target does write to, each equally often.
    pub partners: u32,
    /// Share of rounds in which the target has a message.
    pub sends: Share,
    /// Share of the other rounds in which it sends a dummy to a random mailbox.
    pub cover: Share,
    /// Probability that the target leaves after a round.
    pub target_leaves: Share,
    /// Messages of a round in which the target sends, its own included.
    pub batch: u32,
    /// The probability that an adversary must give to the partners to count as knowing them.
    pub sure: Share,
    /// Rounds from one look at its posterior to the next.
    pub look_every: u32,
    /// Who looks.
    pub adversary: Kind,
}

impl Disclosure {
    /// What adversaries know beforehand.
    pub const fn briefing(&self) -> Briefing {
        Briefing {
            candidates: self.users,
            partners: self.partners,
            batch: self.batch,
            sends: self.sends,
            cover: self.cover,
        }
    }
}

/// The built-in adversaries of the disclosure engine, with their settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Intersects the sets of those who receive.
    Intersection,
    /// Intersects the sets of those who are online.
    Presence,
    /// Takes means of what all mailboxes receive.
    Statistical {
        /// What is taken off.
        background: Background,
    },
    /// Does so from members of the target's swarm and of others.
    Swarms {
        /// What is taken off.
        background: Background,
        /// Swarms that mailboxes are spread over.
        swarms: u32,
        /// Share of the other swarms with a member of the adversary's.
        seen: Share,
        /// How it knows that the target sends.
        sends: Sends,
    },
    /// Holds nodes at both ends of paths.
    Predecessor(Ends),
    /// Matches flows.
    Bayes(Matching),
}

impl Kind {
    /// The adversary itself.
    pub fn plug_in(&self, briefing: &Briefing) -> Box<dyn Adversary> {
        match *self {
            Self::Intersection => Box::new(Intersection::new(briefing, Sets::Receivers)),
            Self::Presence => Box::new(Intersection::new(briefing, Sets::Online)),
            Self::Statistical { background } => Box::new(Statistical::new(briefing, background)),
            Self::Swarms { background, swarms, seen, sends } => {
                let stores = Stores::Swarms { swarms, seen };
                Box::new(Statistical::between_swarms(briefing, background, sends, stores))
            }
            Self::Predecessor(ends) => Box::new(Predecessor::new(briefing, ends)),
            Self::Bayes(matching) => Box::new(Matcher::new(briefing, matching)),
        }
    }
}

impl Scenario {
    /// Finds a built-in scenario by its name, else reads a file, with what it includes.
    pub fn load(name_or_file: &str) -> Result<Self, ScenarioError> {
        Self::load_with_text(name_or_file).map(|(scenario, _)| scenario)
    }

    /// The same, and its text with all that it includes.
    pub fn load_with_text(name_or_file: &str) -> Result<(Self, String), ScenarioError> {
        let whole = Whole::read(name_or_file)?;
        let read = Self::parse(name_or_file, &whole.text).map_err(|error| whole.located(error))?;
        Ok((read, whole.text))
    }

    /// Holds that it ends with so many replicates, given with an option.
    pub fn ends_with(&self, replicates: u32) -> Result<(), ScenarioError> {
        work::ends(&self.engine, replicates)
            .map_err(|what| ScenarioError::Replicates { scenario: self.name.clone(), what })
    }

    /// Reads the text of a scenario, but for its `[sweep]`; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        let read = file::parse(text).and_then(|scenario| work::bounded(scenario, text));
        read.map_err(|fault| fault.into_error(file, text))
    }
}
