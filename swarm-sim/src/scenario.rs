//! Scenario files: what a run simulates.
//!
//! One TOML file, versioned. Every value has its unit in it ("50 ms", "20 %"), every key that is
//! not known is refused, and every refusal names the line and the key. What has been read needs no
//! further checks. The built-in scenarios stand in `scenarios/` and can be run by name.

mod built_in;
mod error;
mod file;
mod value;

use core::time::Duration;
use std::path::Path;

pub use built_in::{BUILT_IN, BuiltIn};
pub use error::ScenarioError;
pub use value::Share;

use enjambre_protocol::swarm::SwarmParams;

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
}

impl Engine {
    /// As it stands in a scenario file.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Churn(_) => "churn",
            Self::Onion(_) => "onion",
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

impl Scenario {
    /// Finds a built-in scenario by its name, else reads a file.
    pub fn load(name_or_file: &str) -> Result<Self, ScenarioError> {
        if let Some(built_in) = BUILT_IN.iter().find(|b| b.name == name_or_file) {
            return Self::parse(built_in.name, built_in.text);
        }
        let path = Path::new(name_or_file);
        if path.extension().is_none() && !path.exists() {
            return Err(ScenarioError::Unknown { name: name_or_file.to_owned() });
        }
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { file: name_or_file.to_owned(), source })?;
        Self::parse(name_or_file, &text)
    }

    /// Reads the text of a scenario; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, ScenarioError> {
        file::parse(text).map_err(|fault| fault.into_error(file, text))
    }
}
