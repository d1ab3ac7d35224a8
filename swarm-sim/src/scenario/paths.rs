//! The paths engine's file, and how it becomes settings.

use core::time::Duration;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use toml::Spanned;

use super::error::Fault;
use super::file::{EngineName, MANY, NODES};
use super::value::{Count, Delay, Period, Shape};
use super::{
    AdversaryChurn, GUARD_LIFE, GUARDS, MIDDLE_LIFE, Network, Owned, Paths, PathsChurn, Sampler,
    SecondLayer, Selection, Share, Weights,
};

/// Nodes for each guard of the sampler, and for the second layer: there are then enough swarms for all of them.
const NODES_A_GUARD: u32 = 14;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathsFile {
    #[serde(rename = "version")]
    _version: u32,
    #[serde(rename = "engine")]
    _engine: EngineName,
    #[serde(rename = "sweep", default)]
    _sweep: IgnoredAny,
    pub(super) name: Spanned<String>,
    pub(super) about: String,
    pub(super) replicates: Count<1, 10_000>,
    network: Spanned<NetworkFile>,
    adversary: AdversaryFile,
    clients: ClientsFile,
    paths: PathsTable,
    churn: Option<Spanned<ChurnFile>>,
    span: Spanned<Period>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize)]
enum AdversaryName {
    #[default]
    #[serde(rename = "as others")]
    AsOthers,
    #[serde(rename = "stays")]
    Stays,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChurnFile {
    life: Option<Spanned<Period>>,
    up: Option<Spanned<Period>>,
    down: Option<Spanned<Period>>,
    document: Option<Spanned<Period>>,
    #[serde(default)]
    adversary: AdversaryName,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetworkFile {
    nodes: Spanned<Count<4, NODES>>,
    subnets: Option<Spanned<Count<1, 65_536>>>,
    families: Option<Spanned<Count<1, NODES>>>,
    weights: Option<WeightsFile>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum WeightsModel {
    Equal,
    Pareto,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WeightsFile {
    model: Spanned<WeightsModel>,
    shape: Option<Spanned<Shape>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnedName {
    Nodes,
    Weight,
    Prefixes,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AdversaryFile {
    owns: OwnedName,
    share: Share,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClientsFile {
    count: Count<1, MANY>,
    contacts: Count<1, 1_000>,
    every: Spanned<Period>,
    join_within: Option<Spanned<Delay>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SelectionName {
    Machine,
    Sampler,
    Deployed,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum LayerName {
    Pairs,
    None,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PathsTable {
    selection: Spanned<SelectionName>,
    restart: Option<Spanned<Period>>,
    guard_life: Option<Spanned<Period>>,
    guards: Option<Count<1, 20>>,
    guard_life_min: Option<Spanned<Period>>,
    guard_life_max: Option<Period>,
    second_layer: Option<LayerName>,
    middle_life_min: Option<Spanned<Period>>,
    middle_life_max: Option<Period>,
}

/// Whole milliseconds, as the directory's clock counts.
fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn at_least_a_millisecond(period: &Spanned<Period>) -> Result<u64, Fault> {
    let found = ms(period.get_ref().0);
    if found == 0 {
        return Err(Fault::new(period.span(), "expected at least 1 ms"));
    }
    Ok(found)
}

pub(super) fn paths(file: &PathsFile) -> Result<Paths, Fault> {
    let network = file.network.get_ref();
    let weights = match &network.weights {
        None => Weights::Equal,
        Some(WeightsFile { model, shape }) => match (model.get_ref(), shape) {
            (WeightsModel::Equal, None) => Weights::Equal,
            (WeightsModel::Pareto, Some(shape)) => Weights::Pareto { shape: shape.get_ref().0 },
            (WeightsModel::Equal, Some(shape)) => {
                return Err(Fault::new(shape.span(), "equal weights have no shape"));
            }
            (WeightsModel::Pareto, None) => {
                return Err(Fault::new(model.span(), "Pareto weights need a shape"));
            }
        },
    };
    let owned = match file.adversary.owns {
        OwnedName::Nodes => Owned::Nodes,
        OwnedName::Weight => Owned::Weight,
        OwnedName::Prefixes => Owned::Prefixes,
    };
    if let Some(churn) = file.churn.as_ref().filter(|_| owned != Owned::Nodes) {
        let what = "newcomers have addresses and weights of their own: expected adversary.owns = \"nodes\", or no churn";
        return Err(Fault::new(churn.span(), what));
    }
    let span = at_least_a_millisecond(&file.span)?;
    let every = at_least_a_millisecond(&file.clients.every)?;
    if (span / every).saturating_mul(file.clients.count.0.into()) > REQUESTS_MAX {
        let what = format!("expected span / every x count to be at most {REQUESTS_MAX} requests");
        return Err(Fault::new(file.clients.every.span(), what));
    }
    let join_within = match &file.clients.join_within {
        None => 0,
        Some(within) if ms(within.get_ref().0) < span => ms(within.get_ref().0),
        Some(within) => return Err(Fault::new(within.span(), "expected less than span")),
    };
    let selection = match file.paths.selection.get_ref() {
        SelectionName::Machine => machine(&file.paths)?,
        SelectionName::Sampler => sampler(file, every)?,
        SelectionName::Deployed => deployed(file)?,
    };
    let count = |count: &Spanned<Count<1, NODES>>| count.get_ref().0;
    Ok(Paths {
        network: Network {
            nodes: network.nodes.get_ref().0,
            malicious: file.adversary.share,
            subnets: network.subnets.as_ref().map(|subnets| subnets.get_ref().0),
            families: network.families.as_ref().map(count),
        },
        weights,
        owned,
        clients: file.clients.count.0,
        contacts: file.clients.contacts.0,
        every,
        join_within,
        selection,
        churn: file.churn.as_ref().map(|churn| churn_of(churn, network, span)).transpose()?,
        span,
    })
}

/// Directories of a run at most, times nodes: beyond, it would not end.
const LISTINGS_MAX: u64 = 100_000_000;

/// The deployed rules build paths with more than 8 nodes only.
const DEPLOYED_NODES: u32 = 9;

/// Requests of a replicate at most: the sampler makes them in half an hour.
const REQUESTS_MAX: u64 = 100_000_000_000;

/// Nodes of one place at most, as they are expected.
const LIVES_MAX: u64 = 10_000;

fn churn_of(
    churn: &Spanned<ChurnFile>,
    network: &NetworkFile,
    span: u64,
) -> Result<PathsChurn, Fault> {
    let ChurnFile { life, up, down, document, adversary } = churn.get_ref();
    let nodes = u64::from(network.nodes.get_ref().0);
    let up_and_down = match (up, down) {
        (Some(up), Some(down)) => {
            let both = at_least_a_millisecond(up)?.saturating_add(at_least_a_millisecond(down)?);
            if (span / both).saturating_mul(nodes) > LISTINGS_MAX {
                let what =
                    format!("expected span / (up + down) x nodes to be at most {LISTINGS_MAX}");
                return Err(Fault::new(up.span(), what));
            }
            Some((up.get_ref().0, down.get_ref().0))
        }
        (None, None) if life.is_none() => {
            let what = "expected `life`, or `up` and `down`, or all three";
            return Err(Fault::new(churn.span(), what));
        }
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            return Err(Fault::new(one.span(), "`up` and `down` need each other"));
        }
    };
    if let Some(life) = life
        && at_least_a_millisecond(life)?.saturating_mul(LIVES_MAX) < span
    {
        let what = format!("expected at least a {LIVES_MAX}th of span");
        return Err(Fault::new(life.span(), what));
    }
    let every = document.as_ref().map_or(Ok(3_600_000), at_least_a_millisecond)?;
    if (span / every).saturating_mul(nodes) > LISTINGS_MAX {
        let at = document.as_ref().map_or_else(|| churn.span(), Spanned::span);
        let what = format!("expected span / document x nodes to be at most {LISTINGS_MAX}");
        return Err(Fault::new(at, what));
    }
    let adversary = match adversary {
        AdversaryName::AsOthers => AdversaryChurn::AsOthers,
        AdversaryName::Stays => AdversaryChurn::Stays,
    };
    let life = life.as_ref().map(|life| life.get_ref().0);
    Ok(PathsChurn { life, up_and_down, document: every, adversary })
}

/// Refuses settings of another selection.
fn only_own(own: SelectionName, table: &PathsTable) -> Result<(), Fault> {
    if let Some(restart) = table.restart.as_ref().filter(|_| own != SelectionName::Deployed) {
        let what = "only clients of selection = \"deployed\" draw their hops anew when they start";
        return Err(Fault::new(restart.span(), what));
    }
    let changed = table.guards.is_some()
        || table.guard_life.is_some()
        || table.guard_life_min.is_some()
        || table.guard_life_max.is_some()
        || table.second_layer.is_some()
        || table.middle_life_min.is_some()
        || table.middle_life_max.is_some();
    if changed && own != SelectionName::Sampler {
        let what = match own {
            SelectionName::Deployed => {
                "the deployed rules have two guards without a set life, and no second layer: to change them, set selection = \"sampler\""
            }
            _ => {
                "the path machine's guards and second layer are the protocol's: to change them, set selection = \"sampler\""
            }
        };
        return Err(Fault::new(table.selection.span(), what));
    }
    Ok(())
}

fn machine(table: &PathsTable) -> Result<Selection, Fault> {
    only_own(SelectionName::Machine, table)?;
    Ok(Selection::Machine)
}

fn deployed(file: &PathsFile) -> Result<Selection, Fault> {
    only_own(SelectionName::Deployed, &file.paths)?;
    let network = file.network.get_ref();
    if let Some(WeightsFile { model, .. }) = &network.weights
        && matches!(model.get_ref(), WeightsModel::Pareto)
    {
        let what = "the deployed rules draw all nodes equally often: leave this key out";
        return Err(Fault::new(model.span(), what));
    }
    if network.nodes.get_ref().0 < DEPLOYED_NODES {
        let what =
            format!("expected more than {} nodes, as the deployed rules do", DEPLOYED_NODES - 1);
        return Err(Fault::new(network.nodes.span(), what));
    }
    let restart = file.paths.restart.as_ref().map_or(Ok(86_400_000), at_least_a_millisecond)?;
    let starts = (ms(file.span.get_ref().0) / restart).saturating_mul(file.clients.count.0.into());
    if starts > LISTINGS_MAX {
        let what = format!("expected span / restart x clients to be at most {LISTINGS_MAX}");
        let at = file.paths.restart.as_ref().map_or_else(|| file.span.span(), Spanned::span);
        return Err(Fault::new(at, what));
    }
    Ok(Selection::Deployed { restart })
}

fn sampler(file: &PathsFile, every: u64) -> Result<Selection, Fault> {
    let (table, network) = (&file.paths, file.network.get_ref());
    only_own(SelectionName::Sampler, table)?;
    let shared = network.subnets.as_ref().map(Spanned::span);
    let shared = shared.or_else(|| network.families.as_ref().map(Spanned::span));
    if let Some(span) = shared {
        let what = "the sampler knows neither families nor prefixes: leave this key out or set selection = \"machine\"";
        return Err(Fault::new(span, what));
    }
    if every < 600_000 {
        let what = "the sampler draws fresh hops for each request, which clients do that ask at most every 10 min: expected \"10 min\" or more, or selection = \"machine\"";
        return Err(Fault::new(file.clients.every.span(), what));
    }
    let guards = table.guards.map_or(GUARDS, |count| count.0 as usize);
    let needed = NODES_A_GUARD * (u32::try_from(guards).unwrap_or(u32::MAX) + 2);
    if network.nodes.get_ref().0 < needed {
        let what =
            format!("expected {needed} nodes or more for {guards} guards in different swarms");
        return Err(Fault::new(network.nodes.span(), what));
    }
    let ends = |(low, high): (u64, u64), at: Range<usize>| {
        let lives = ms(file.span.get_ref().0) / (low + high).max(1);
        if lives.saturating_mul(file.clients.count.0.into()) > LISTINGS_MAX {
            let what = format!("expected span / life x clients to be at most {LISTINGS_MAX}");
            return Err(Fault::new(at, what));
        }
        Ok((low, high))
    };
    let life = |least: &Option<Spanned<Period>>, most: &Option<Period>, default: (u64, u64)| {
        let low = least.as_ref().map_or(Ok(default.0), at_least_a_millisecond)?;
        let high = most.map_or(default.1.max(low), |most| ms(most.0));
        let at = least.as_ref().map_or_else(|| table.selection.span(), Spanned::span);
        if low > high {
            return Err(Fault::new(at, "expected a shortest life that is not above the longest"));
        }
        ends((low, high), at)
    };
    let guard_life = match &table.guard_life {
        None => life(&table.guard_life_min, &table.guard_life_max, GUARD_LIFE)?,
        Some(mean) if table.guard_life_min.is_some() || table.guard_life_max.is_some() => {
            let what =
                "guard_life is the mean of guard_life_min and guard_life_max: leave it or them out";
            return Err(Fault::new(mean.span(), what));
        }
        Some(mean) => {
            let third = at_least_a_millisecond(mean)?.div_ceil(3);
            ends((2 * third, 4 * third), mean.span())?
        }
    };
    let middle_life = life(&table.middle_life_min, &table.middle_life_max, MIDDLE_LIFE)?;
    let second_layer = match table.second_layer {
        Some(LayerName::None) => SecondLayer::None,
        Some(LayerName::Pairs) | None => SecondLayer::Pairs { life: middle_life },
    };
    Ok(Selection::Sampler(Sampler { guards, guard_life, second_layer }))
}
