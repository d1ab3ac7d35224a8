//! The file as it is written, and how it becomes a [`Scenario`].

use core::time::Duration;

use enjambre_protocol::limits::NODES_MAX;
use enjambre_protocol::onion::{SizeClass, payload_capacity};
use enjambre_protocol::swarm::{Readiness, SwarmParams};
use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::disclosure::{DisclosureFile, disclosure};
use super::error::Fault;
use super::mixes::{MixesFile, mixes};
use super::paths::{PathsFile, paths};
use super::swarms::{DOCUMENTS_MAX, SwarmsFile as MapsFile, swarms};
use super::value::{Bytes, Count, Delay, Period, Shape};
use super::{
    Churn, Clients, Engine, Failures, Latency, Links, Network, Onion, Rules, Scenario, Share, Steps,
};

/// The version of the file format.
const VERSION: u32 = 1;

/// Four nodes make a path; the directory's limit bounds them.
pub(super) const NODES: u32 = {
    assert!(NODES_MAX == 10_000);
    10_000
};

/// Enough for any experiment, and few enough that a mistyped one ends.
pub(super) const MANY: u32 = 1_000_000;

/// Requests of all clients of a replicate at most: each is packets with true keys, and more would not end.
const REQUESTS_MAX: u64 = 10_000_000;

/// Bytes by which a request is recognised; see the onion engine.
const REQUEST_MIN: usize = crate::onion::MARKER_LEN;

#[derive(Deserialize)]
struct Header {
    version: Spanned<u32>,
    engine: EngineName,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum EngineName {
    Churn,
    Onion,
    Paths,
    Swarms,
    Disclosure,
    Mixes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChurnFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    name: Spanned<String>,
    about: String,
    replicates: Count<1, 10_000>,
    network: NetworkFile,
    swarms: SwarmsFile,
    steps: Spanned<Vec<StepsFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnionFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    name: Spanned<String>,
    about: String,
    replicates: Count<1, 10_000>,
    network: NetworkFile,
    clients: ClientsFile,
    links: LinksFile,
    failures: Option<FailuresFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    nodes: Count<4, NODES>,
    #[serde(default)]
    malicious: Share,
    subnets: Option<Count<1, 65_536>>,
    families: Option<Count<1, NODES>>,
}

impl From<NetworkFile> for Network {
    fn from(file: NetworkFile) -> Self {
        Self {
            nodes: file.nodes.0,
            malicious: file.malicious,
            subnets: file.subnets.map(|count| count.0),
            families: file.families.map(|count| count.0),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
enum ReadinessName {
    #[serde(rename = "at once")]
    AtOnce,
    #[serde(rename = "stated")]
    Stated,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RulesName {
    Ours,
    Deployed,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SwarmsFile {
    rules: Option<Spanned<RulesName>>,
    readiness: ReadinessName,
    ready_after: Option<Spanned<Count<1, MANY>>>,
    cuckoo_k: Option<Count<0, 255>>,
    epoch: Period,
    ready_within: Option<Period>,
    lost_after: Option<Period>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StepsFile {
    times: Count<1, MANY>,
    join: Option<Count<0, NODES>>,
    leave: Option<Count<0, NODES>>,
    drop: Option<Share>,
    empty: Option<Count<0, NODES>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientsFile {
    count: Count<1, MANY>,
    contacts: Count<1, 1_000>,
    requests: Spanned<Count<1, MANY>>,
    every: Period,
    request: Spanned<Bytes>,
    reply: Spanned<Bytes>,
    timeout: Spanned<Period>,
    tries: Count<1, 100>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinksFile {
    latency: LatencyFile,
    #[serde(default)]
    jitter: Delay,
    #[serde(default)]
    loss: Share,
    give_up: Spanned<Period>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LatencyModel {
    Constant,
    Gamma,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LatencyFile {
    model: Spanned<LatencyModel>,
    mean: Delay,
    shape: Option<Spanned<Shape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FailuresFile {
    up: Period,
    down: Period,
}

pub(super) fn parse(text: &str) -> Result<Scenario, Fault> {
    let header: Header = toml::from_str(text)?;
    if *header.version.get_ref() != VERSION {
        let what = format!("this program reads version {VERSION} of scenario files");
        return Err(Fault::new(header.version.span(), what));
    }
    match header.engine {
        EngineName::Churn => {
            let file: ChurnFile = toml::from_str(text)?;
            Ok(Scenario {
                name: name(&file.name)?,
                about: file.about,
                replicates: file.replicates.0,
                engine: Engine::Churn(churn(file.network, &file.swarms, &file.steps)?),
            })
        }
        EngineName::Onion => {
            let file: OnionFile = toml::from_str(text)?;
            let clients = clients(&file.clients)?;
            let links = links(&file.links, &clients)?;
            let failures = file.failures.map(|f| Failures { up: f.up.0, down: f.down.0 });
            let network = file.network.into();
            Ok(Scenario {
                name: name(&file.name)?,
                about: file.about,
                replicates: file.replicates.0,
                engine: Engine::Onion(Onion { network, clients, links, failures }),
            })
        }
        EngineName::Paths => {
            let file: PathsFile = toml::from_str(text)?;
            Ok(Scenario {
                name: name(&file.name)?,
                engine: Engine::Paths(paths(&file)?),
                about: file.about,
                replicates: file.replicates.0,
            })
        }
        EngineName::Swarms => {
            let file: MapsFile = toml::from_str(text)?;
            Ok(Scenario {
                name: name(&file.name)?,
                engine: Engine::Swarms(swarms(&file)?),
                about: file.about,
                replicates: file.replicates.0,
            })
        }
        EngineName::Disclosure => {
            let file: DisclosureFile = toml::from_str(text)?;
            Ok(Scenario {
                name: name(&file.name)?,
                engine: Engine::Disclosure(disclosure(&file)?),
                about: file.about,
                replicates: file.replicates.0,
            })
        }
        EngineName::Mixes => {
            let file: MixesFile = toml::from_str(text)?;
            Ok(Scenario {
                name: name(&file.name)?,
                engine: Engine::Mixes(mixes(&file)?),
                about: file.about,
                replicates: file.replicates.0,
            })
        }
    }
}

fn name(name: &Spanned<String>) -> Result<String, Fault> {
    let text = name.get_ref();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > 64 || !text.chars().all(plain) {
        let what = "expected up to 64 lower-case letters, digits and dashes";
        return Err(Fault::new(name.span(), what));
    }
    Ok(text.clone())
}

fn churn(
    network: NetworkFile,
    swarms: &SwarmsFile,
    steps: &Spanned<Vec<StepsFile>>,
) -> Result<Churn, Fault> {
    let readiness = match swarms.readiness {
        ReadinessName::AtOnce => Readiness::AtOnce,
        ReadinessName::Stated => Readiness::Stated,
    };
    if let (Readiness::AtOnce, Some(after)) = (readiness, &swarms.ready_after) {
        let what = "members are ready at once; leave this key out or set readiness = \"stated\"";
        return Err(Fault::new(after.span(), what));
    }
    let rules = match &swarms.rules {
        Some(rules) if *rules.get_ref() == RulesName::Deployed => {
            let ours = swarms.cuckoo_k.is_some()
                || swarms.ready_within.is_some()
                || swarms.lost_after.is_some();
            if ours || readiness == Readiness::Stated {
                let what = "the deployed rules need readiness = \"at once\", without cuckoo_k, ready_within and lost_after";
                return Err(Fault::new(rules.span(), what));
            }
            Rules::Deployed
        }
        _ => Rules::Ours,
    };
    let default = SwarmParams::default();
    let or = |period: &Option<Period>, default: Duration| period.map_or(default, |p| p.0);
    let params = SwarmParams {
        readiness,
        cuckoo_k: swarms.cuckoo_k.and_then(|k| u8::try_from(k.0).ok()).unwrap_or(0),
        ready_within: or(&swarms.ready_within, default.ready_within),
        lost_after: or(&swarms.lost_after, default.lost_after),
    };
    let of = |count: &Option<Count<0, NODES>>| count.map_or(0, |count| count.0);
    let network = Network::from(network);
    let mut most = u64::from(network.nodes);
    let (mut present, mut work) = (most, 0u64);
    for file in steps.get_ref() {
        let [times, join, leave] = [file.times.0, of(&file.join), of(&file.leave)].map(u64::from);
        most += times * join;
        // At least as many as there can be: a drop may take more away.
        let after = (present + times * join).saturating_sub(times * leave).max(join);
        work = work.saturating_add(times.saturating_mul(present.max(after)));
        present = after;
    }
    if steps.get_ref().is_empty() || most > u64::from(MANY) {
        let what = format!("expected steps, with at most {MANY} nodes over the whole history");
        return Err(Fault::new(steps.span(), what));
    }
    if work > DOCUMENTS_MAX {
        let what = format!("expected documents x nodes to be at most {DOCUMENTS_MAX}");
        return Err(Fault::new(steps.span(), what));
    }
    let steps = steps.get_ref().iter().map(|file| Steps {
        times: file.times.0,
        join: of(&file.join),
        leave: of(&file.leave),
        drop: file.drop.unwrap_or_default(),
        empty: of(&file.empty),
    });
    Ok(Churn {
        network,
        rules,
        params,
        ready_after: swarms.ready_after.as_ref().map_or(1, |after| after.get_ref().0),
        epoch: swarms.epoch.0,
        steps: steps.collect(),
    })
}

fn clients(file: &ClientsFile) -> Result<Clients, Fault> {
    let requests = file.requests.get_ref().0;
    if u64::from(requests) * u64::from(file.count.0) > REQUESTS_MAX {
        let what = format!("expected count x requests to be at most {REQUESTS_MAX}");
        return Err(Fault::new(file.requests.span(), what));
    }
    let most = payload_capacity(SizeClass::K128);
    let request = file.request.get_ref().0;
    if !(REQUEST_MIN..=most).contains(&request) {
        let what = format!("expected {REQUEST_MIN} to {most} B, which a packet carries");
        return Err(Fault::new(file.request.span(), what));
    }
    let reply = file.reply.get_ref().0;
    if !(crate::onion::REPLY_MIN..=1 << 20).contains(&reply) {
        let what = format!("expected {} B to 1 MiB", crate::onion::REPLY_MIN);
        return Err(Fault::new(file.reply.span(), what));
    }
    Ok(Clients {
        count: file.count.0,
        contacts: file.contacts.0,
        requests,
        every: file.every.0,
        request,
        reply,
        timeout: file.timeout.get_ref().0,
        tries: file.tries.0,
    })
}

fn links(file: &LinksFile, clients: &Clients) -> Result<Links, Fault> {
    let give_up = file.give_up.get_ref().0;
    if give_up.saturating_mul(4) >= clients.timeout {
        let what = "expected less than a quarter of clients.timeout: relays wait as long as that";
        return Err(Fault::new(file.give_up.span(), what));
    }
    let mean = file.latency.mean.0;
    let latency = match (file.latency.model.get_ref(), &file.latency.shape) {
        (LatencyModel::Constant, None) => Latency::Constant { mean },
        (LatencyModel::Gamma, Some(shape)) => Latency::Gamma { mean, shape: shape.get_ref().0 },
        (LatencyModel::Constant, Some(shape)) => {
            return Err(Fault::new(shape.span(), "a constant latency has no shape"));
        }
        (LatencyModel::Gamma, None) => {
            return Err(Fault::new(file.latency.model.span(), "a gamma latency needs a shape"));
        }
    };
    Ok(Links { latency, jitter: file.jitter.0, loss: file.loss, give_up })
}
