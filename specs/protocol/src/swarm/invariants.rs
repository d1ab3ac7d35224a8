//! What holds of every state that [`super::transition`] returns.

use std::collections::BTreeSet;

use super::input::{Readiness, StorageNode, SwarmParams};
use super::sizes::{SWARM_MAX, SWARM_MIN, dissolves_below, forms_at};
use super::state::{Configuration, Member, Phase, SwarmState};
use crate::id::{NodeId, SwarmId};

/// Members of one list: those of a swarm, and after a recovery ready joiners beside survivors.
const LIST_MAX: usize = 2 * SWARM_MAX;

/// A broken invariant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Violation {
    /// Configurations out of order, or one swarm twice.
    #[error("configurations are not in ascending order")]
    Order,
    /// A list out of order, with a node twice, or too long.
    #[error("swarm {swarm} has a malformed list")]
    List {
        /// The swarm.
        swarm: SwarmId,
    },
    /// Stable or target is there, or not there, against the phase; or they are equal.
    #[error("swarm {swarm} has lists that do not fit its phase")]
    Phase {
        /// The swarm.
        swarm: SwarmId,
    },
    /// Swarms, but none that answers reads.
    #[error("no swarm owns the ring")]
    NoOwner,
    /// A change in hand although joiners are ready at once.
    #[error("swarm {swarm} has a change in hand")]
    InHand {
        /// The swarm.
        swarm: SwarmId,
    },
    /// An active node is planned for two swarms.
    #[error("a node is planned for two swarms")]
    Twice,
    /// A swarm with too few or too many members.
    #[error("swarm {swarm} has {size} active members")]
    Size {
        /// The swarm.
        swarm: SwarmId,
        /// Its planned members that are active.
        size: usize,
    },
    /// Too few or too many swarms for the nodes.
    #[error("{swarms} swarms of {nodes} nodes")]
    Count {
        /// Swarms that are to stay.
        swarms: usize,
        /// Active nodes.
        nodes: usize,
    },
    /// A node without a swarm although one has room and nothing in hand.
    #[error("{reserves} nodes have no swarm although one has room")]
    Reserves {
        /// How many.
        reserves: usize,
    },
}

/// Checks order, lists and phases, whoever is active.
pub fn check_form(state: &SwarmState) -> Result<(), Violation> {
    let ascending = |pair: &[Configuration]| pair[0].swarm < pair[1].swarm;
    if !state.configurations.windows(2).all(ascending) {
        return Err(Violation::Order);
    }
    for configuration in &state.configurations {
        let swarm = configuration.swarm;
        let target = configuration.target.as_ref().map(|target| &target.members);
        let sorted = |list: &[Member]| list.windows(2).all(|pair| pair[0].node < pair[1].node);
        let fits = |list: &[Member], max| list.len() <= max && sorted(list);
        if !fits(&configuration.stable, LIST_MAX)
            || target.is_some_and(|target| !fits(target, SWARM_MAX))
        {
            return Err(Violation::List { swarm });
        }
        let stable = !configuration.stable.is_empty();
        let fits = match configuration.phase {
            Phase::Owner => stable && target != Some(&configuration.stable),
            Phase::Forming => !stable && target.is_some(),
            Phase::Dissolving => target.is_none(),
        };
        if !fits || target.is_some_and(Vec::is_empty) {
            return Err(Violation::Phase { swarm });
        }
    }
    let mut phases = state.configurations.iter().map(|c| c.phase);
    if !state.configurations.is_empty() && !phases.any(|phase| phase == Phase::Owner) {
        return Err(Violation::NoOwner);
    }
    Ok(())
}

/// Checks all invariants of `state` as the result of a transition with `nodes` and `params`.
pub fn check(
    state: &SwarmState,
    nodes: &[StorageNode],
    params: &SwarmParams,
) -> Result<(), Violation> {
    check_form(state)?;
    if params.readiness == Readiness::AtOnce {
        let waits = |c: &&Configuration| c.target.is_some() || c.phase != Phase::Owner;
        if let Some(c) = state.configurations.iter().find(waits) {
            return Err(Violation::InHand { swarm: c.swarm });
        }
    }
    let active: BTreeSet<NodeId> = nodes.iter().map(|node| node.node).collect();
    let planned: Vec<&Configuration> =
        state.configurations.iter().filter(|c| c.phase != Phase::Dissolving).collect();
    check_count(planned.len(), active.len())?;
    let mut placed = BTreeSet::new();
    let mut room = false;
    for configuration in planned {
        let members = configuration.planned().iter().filter(|m| active.contains(&m.node));
        let mut size = 0;
        for member in members {
            size += 1;
            if !placed.insert(member.node) {
                return Err(Violation::Twice);
            }
        }
        if !(active.len().min(SWARM_MIN)..=SWARM_MAX).contains(&size) {
            return Err(Violation::Size { swarm: configuration.swarm, size });
        }
        room |= size < SWARM_MAX && configuration.target.is_none();
    }
    let reserves = active.len() - placed.len();
    if reserves > 0 && room {
        return Err(Violation::Reserves { reserves });
    }
    Ok(())
}

fn check_count(swarms: usize, nodes: usize) -> Result<(), Violation> {
    let none = swarms == 0 && nodes == 0;
    let some = swarms > 0 && (dissolves_below(swarms)..forms_at(swarms + 1)).contains(&nodes);
    if none || some { Ok(()) } else { Err(Violation::Count { swarms, nodes }) }
}
