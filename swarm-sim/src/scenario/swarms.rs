//! The swarms engine's settings, its file, and how one becomes the other.

use core::time::Duration;

use enjambre_protocol::swarm::{Readiness, SwarmParams};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::error::Fault;
use super::file::{EngineName, MANY, NODES};
use super::value::Count;
use super::{Churn, Network, Rules, Share, Steps};

/// Members of a swarm of fixed size at most.
const SIZE_MAX: u32 = 1_000;

/// Settings of the swarms engine.
#[derive(Clone, Debug, PartialEq)]
pub struct Swarms {
    /// Nodes of a map.
    pub nodes: u32,
    /// Where maps come from.
    pub maps: Maps,
    /// Nodes that work for the adversary, drawn uniformly on a finished map.
    pub adversary: Part,
    /// Nodes that are gone at once, drawn uniformly on a finished map.
    pub burst: Part,
    /// Weighted samples for each probability of any swarm, on each map.
    pub samples: u32,
}

/// Where maps come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Maps {
    /// Nodes come and go through documents; the map is that of the last.
    Grown(Churn),
    /// Nodes are dealt at random into as many swarms of this size as there can be, what is left one to each of the first.
    Fixed {
        /// Members of a swarm.
        size: u32,
    },
}

/// Some of the nodes, as the file names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A share of all, to the nearest whole number.
    Share(Share),
    /// So many.
    Count(u32),
}

impl Part {
    /// How many of `nodes` that is.
    pub fn of(self, nodes: u32) -> u64 {
        match self {
            Self::Share(share) => share.of(usize::try_from(nodes).unwrap_or(usize::MAX)) as u64,
            Self::Count(count) => u64::from(count),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SwarmsFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    pub(super) name: Spanned<String>,
    pub(super) about: String,
    pub(super) replicates: Count<1, 10_000>,
    samples: Count<1, MANY>,
    network: NetworkFile,
    swarms: RulesFile,
    history: Option<Spanned<HistoryFile>>,
    adversary: Spanned<PartFile>,
    burst: Spanned<PartFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    nodes: Count<4, NODES>,
    subnets: Option<Spanned<Count<1, 65_536>>>,
    families: Option<Spanned<Count<1, NODES>>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RulesName {
    Ours,
    Deployed,
    Fixed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RulesFile {
    rules: Spanned<RulesName>,
    size: Option<Spanned<Count<1, SIZE_MAX>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HistoryFile {
    start: Option<Spanned<Count<4, NODES>>>,
    join: Option<Spanned<Count<1, NODES>>>,
    documents: Option<Spanned<Count<0, MANY>>>,
    turnover: Option<Spanned<Count<0, NODES>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartFile {
    share: Option<Share>,
    count: Option<Spanned<Count<0, NODES>>>,
}

pub(super) fn swarms(file: &SwarmsFile) -> Result<Swarms, Fault> {
    let nodes = file.network.nodes.0;
    let maps = match (file.swarms.rules.get_ref(), &file.swarms.size) {
        (RulesName::Fixed, Some(size)) => fixed(file, size)?,
        (RulesName::Fixed, None) => {
            return Err(Fault::new(file.swarms.rules.span(), "fixed swarms need a size"));
        }
        (_, Some(size)) => {
            let what =
                "these rules choose sizes themselves: leave this key out or set rules = \"fixed\"";
            return Err(Fault::new(size.span(), what));
        }
        (RulesName::Ours, None) => grown(file, Rules::Ours)?,
        (RulesName::Deployed, None) => grown(file, Rules::Deployed)?,
    };
    Ok(Swarms {
        nodes,
        maps,
        adversary: part(&file.adversary, nodes)?,
        burst: part(&file.burst, nodes)?,
        samples: file.samples.0,
    })
}

fn fixed(file: &SwarmsFile, size: &Spanned<Count<1, SIZE_MAX>>) -> Result<Maps, Fault> {
    let network = &file.network;
    let unknown = file.history.as_ref().map(Spanned::span);
    let unknown = unknown.or_else(|| network.subnets.as_ref().map(Spanned::span));
    if let Some(span) = unknown.or_else(|| network.families.as_ref().map(Spanned::span)) {
        let what = "fixed swarms know no history, prefixes or families: leave this out or set rules = \"ours\"";
        return Err(Fault::new(span, what));
    }
    let members = size.get_ref().0;
    if members > network.nodes.0 {
        return Err(Fault::new(size.span(), "expected no more than network.nodes"));
    }
    Ok(Maps::Fixed { size: members })
}

/// Documents of a history times nodes at most: what is more would not end.
pub(super) const DOCUMENTS_MAX: u64 = 100_000_000;

/// The nodes of the start, growth to all nodes, then as many that come as go.
fn grown(file: &SwarmsFile, rules: Rules) -> Result<Maps, Fault> {
    let nodes = file.network.nodes.0;
    let empty = HistoryFile { start: None, join: None, documents: None, turnover: None };
    let history = file.history.as_ref().map_or(&empty, Spanned::get_ref);
    let start = history.start.as_ref().map_or(nodes, |start| start.get_ref().0);
    if let Some(span) = history.start.as_ref().map(Spanned::span).filter(|_| start > nodes) {
        return Err(Fault::new(span, "expected no more than network.nodes"));
    }
    let join = match (&history.join, &history.start) {
        (Some(join), Some(_)) => join.get_ref().0,
        (None, None) => 1,
        (None, Some(start)) => {
            return Err(Fault::new(start.span(), "a network that grows from these needs join"));
        }
        (Some(join), None) => {
            return Err(Fault::new(join.span(), "a network that grows by these needs start"));
        }
    };
    let (documents, turnover) = match (&history.documents, &history.turnover) {
        (Some(documents), Some(turnover)) => (documents.get_ref().0, turnover),
        (None, None) => return Ok(growth(file, rules, start, join, None)),
        (Some(at), None) => return Err(Fault::new(at.span(), "documents need a turnover")),
        (None, Some(at)) => return Err(Fault::new(at.span(), "a turnover needs documents")),
    };
    let each = turnover.get_ref().0;
    let made = u64::from(documents) * u64::from(each) + u64::from(nodes);
    let work = u64::from(documents).saturating_mul(nodes.into());
    if work > DOCUMENTS_MAX {
        let what = format!("expected documents x nodes to be at most {DOCUMENTS_MAX}");
        return Err(Fault::new(turnover.span(), what));
    }
    if each > nodes || made > u64::from(MANY) {
        let what = format!(
            "expected no more than network.nodes, and at most {MANY} nodes over the whole history"
        );
        return Err(Fault::new(turnover.span(), what));
    }
    let churn = Steps { times: documents, join: each, leave: each, drop: Share::NONE, empty: 0 };
    Ok(growth(file, rules, start, join, Some(churn)))
}

fn growth(file: &SwarmsFile, rules: Rules, start: u32, join: u32, churn: Option<Steps>) -> Maps {
    let nodes = file.network.nodes.0;
    let more = |times, join| Steps { times, join, leave: 0, drop: Share::NONE, empty: 0 };
    let missing = nodes - start;
    let mut steps = vec![more(missing / join, join), more(1, missing % join)];
    steps.retain(|steps| steps.times > 0 && steps.join > 0);
    steps.extend(churn);
    Maps::Grown(Churn {
        network: Network {
            nodes: start,
            malicious: Share::NONE,
            subnets: file.network.subnets.as_ref().map(|subnets| subnets.get_ref().0),
            families: file.network.families.as_ref().map(|families| families.get_ref().0),
        },
        rules,
        params: SwarmParams { readiness: Readiness::AtOnce, ..SwarmParams::default() },
        ready_after: 1,
        epoch: EPOCH,
        steps,
    })
}

/// Time between documents. With members that are ready at once, it shows only where a swarm has lost its read quorum.
const EPOCH: Duration = Duration::from_secs(600);

fn part(file: &Spanned<PartFile>, nodes: u32) -> Result<Part, Fault> {
    match file.get_ref() {
        PartFile { share: Some(share), count: None } => Ok(Part::Share(*share)),
        PartFile { share: None, count: Some(count) } if count.get_ref().0 <= nodes => {
            Ok(Part::Count(count.get_ref().0))
        }
        PartFile { share: None, count: Some(count) } => {
            Err(Fault::new(count.span(), "expected no more than network.nodes"))
        }
        PartFile { share: Some(_), count: Some(count) } => {
            Err(Fault::new(count.span(), "expected share or count, not both"))
        }
        PartFile { share: None, count: None } => {
            Err(Fault::new(file.span(), "expected share or count"))
        }
    }
}
