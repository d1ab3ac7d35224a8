//! Closed forms for a scenario whose swarms all have one size that is known before.

use enjambre_protocol::swarm::majority;

use super::chance::Event;
use super::map::Map;
use crate::scenario::{Maps, Swarms};
use crate::stats::hypergeometric_tail;
use crate::theory::{all_of, any_malicious};

/// Chances of one swarm, and of any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theory {
    /// A majority is malicious: `swarm-capture`.
    pub(crate) captured: f64,
    /// A member is.
    pub(crate) exposed: f64,
    /// All members are gone: `burst-loss`.
    pub(crate) lost: f64,
    /// No majority is left: `quorum-capture`, of those that are gone.
    pub(crate) below_majority: f64,
    /// A majority of any swarm is malicious.
    pub(crate) any_captured: f64,
    /// All members of any swarm are gone.
    pub(crate) any_lost: f64,
}

impl Theory {
    /// Nothing where swarms are of different sizes.
    pub(crate) fn of(swarms: &Swarms) -> Option<Self> {
        let Maps::Fixed { size } = swarms.maps else { return None };
        if !swarms.nodes.is_multiple_of(size) {
            return None;
        }
        let (bad, gone) = (swarms.adversary.of(swarms.nodes), swarms.burst.of(swarms.nodes));
        let map = Map::fixed(swarms.nodes, size);
        let most = majority(usize::try_from(size).unwrap_or(usize::MAX)) as u64;
        let (nodes, size) = (u64::from(swarms.nodes), u64::from(size));
        Some(Self {
            captured: hypergeometric_tail(nodes, bad, size, most),
            exposed: any_malicious(nodes, bad, size),
            lost: all_of(nodes, gone, size),
            below_majority: hypergeometric_tail(nodes, gone, size, size + 1 - most),
            any_captured: Event::Majority.any(&map, bad),
            any_lost: Event::All.any(&map, gone),
        })
    }
}
