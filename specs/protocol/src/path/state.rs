//! What a client keeps between starts: its guards and its second layer, with their lives.

use core::time::Duration;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::candidate::{Candidate, Relays};
use super::pick;
use crate::id::NodeId;
use crate::time::Timestamp;
use crate::wire::{self, DecodeError};

/// Guards in the sample at a time. However many guards an attacker makes unreachable, a client
/// shows itself to no more than these until one's life ends.
pub const GUARDS_MAX: usize = 20;

/// Members of the second layer that the anchor lists, at most: twice what it holds untroubled.
pub const MIDDLES_MAX: usize = 8;

/// Members of the second layer that are kept, listed or not.
pub(super) const MIDDLES_KEPT: usize = 2 * MIDDLES_MAX;

/// Bytes of a stored [`PathState`], at most: 61 for each of 36 members, rounded up.
pub const PATH_STATE_MAX: usize = 4096;

/// How long a guard or a member of the second layer stays away before it is given up: seven days
/// of being missing from the directory, seen at two looks at least that far apart.
pub const MISSING_FOR: Duration = days(7);

const fn days(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 60 * 60)
}

/// Guard or member of the second layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    /// A guard: 60 to 120 days. A short life shows the client to more nodes, a long one lets
    /// clients gather at old nodes and gives a bad choice more time.
    Guard,
    /// A middle: 7 to 14 days. It guards the guard: to learn it, an attacker must be, or break
    /// into, one of these few within that time.
    Middle,
}

impl Layer {
    pub(super) const fn life(self) -> (Duration, Duration) {
        match self {
            Self::Guard => (days(60), days(120)),
            Self::Middle => (days(7), days(14)),
        }
    }
}

/// A node that was chosen to be used for long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// The node.
    pub node: NodeId,
    /// When it was chosen.
    pub first_seen: Timestamp,
    /// When it is retired, whatever happens.
    pub expires: Timestamp,
    /// When an anchor was first found not to list it; `None` while it is listed.
    pub missing_since: Option<Timestamp>,
}

impl Member {
    /// Chooses `node` at `now`, for a random life.
    pub(super) fn new(
        node: NodeId,
        layer: Layer,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let (least, most) = layer.life();
        let expires = now.saturating_add(pick::between(rng, least, most));
        Self { node, first_seen: now, expires, missing_since: None }
    }

    /// The same with times that a member chosen before `now` can have.
    fn within(self, layer: Layer, now: Timestamp) -> Self {
        let (_, most) = layer.life();
        Self {
            first_seen: self.first_seen.min(now),
            expires: self.expires.min(now.saturating_add(most)),
            missing_since: self.missing_since.map(|since| since.min(now)),
            ..self
        }
    }
}

/// Why a member was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// Its life is over.
    Expired,
    /// It was missing from the directory for [`MISSING_FOR`].
    Unlisted,
}

/// The persisted part of a [`super::PathMachine`]: whoever holds it knows the client's guards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathState {
    /// The sample, in the order it was drawn: the first usable ones are in use.
    pub(super) guards: Vec<Member>,
    /// The second layer, oldest first.
    pub(super) middles: Vec<Member>,
}

impl PathState {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(self)
    }

    /// Reads what [`Self::encode`] wrote. What the bytes say is put into bounds when a machine is
    /// made of it.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        wire::decode(bytes, PATH_STATE_MAX)
    }

    /// The guard sample in its order.
    pub fn guards(&self) -> &[Member] {
        &self.guards
    }

    /// The second layer, oldest first.
    pub fn middles(&self) -> &[Member] {
        &self.middles
    }

    /// What two processes of one client made of `base`, `self` being this one's and `theirs` what is
    /// stored by now: whom either chose, without whom either gave up, in the stored order.
    pub(super) fn merged(&self, base: &Self, theirs: &Self) -> Self {
        let merge = |own: &[Member], base: &[Member], theirs: &[Member]| {
            let find = |list: &[Member], node: NodeId| {
                list.iter().find(|member| member.node == node).copied()
            };
            let kept = theirs.iter().filter_map(|member| {
                let gave_up = find(base, member.node).is_some();
                find(own, member.node).or((!gave_up).then_some(*member))
            });
            let chosen = own.iter().copied().filter(|member| {
                find(theirs, member.node).is_none() && find(base, member.node).is_none()
            });
            kept.chain(chosen).collect()
        };
        Self {
            guards: merge(&self.guards, &base.guards, &theirs.guards),
            middles: merge(&self.middles, &base.middles, &theirs.middles),
        }
    }

    /// Cuts restored contents to what a machine could have written by `now`: no doubles, no node
    /// in both layers, not too many, no time in the future, no life too long.
    pub(super) fn restore(&mut self, now: Timestamp) {
        let mut guards: Vec<Member> = Vec::with_capacity(GUARDS_MAX);
        for member in &self.guards {
            let double = guards.iter().any(|kept| kept.node == member.node);
            if !double && guards.len() < GUARDS_MAX {
                guards.push(member.within(Layer::Guard, now));
            }
        }
        let mut middles: Vec<Member> = Vec::with_capacity(MIDDLES_MAX);
        for member in &self.middles {
            let double = guards.iter().chain(&middles).any(|kept| kept.node == member.node);
            if !double && middles.len() < MIDDLES_KEPT {
                middles.push(member.within(Layer::Middle, now));
            }
        }
        *self = Self { guards, middles };
    }

    /// Notes who is missing from `relays`, and gives up guards missing for long.
    pub(super) fn look(&mut self, relays: &Relays, now: Timestamp) -> Vec<NodeId> {
        for member in self.guards.iter_mut().chain(&mut self.middles) {
            member.missing_since = match member.missing_since {
                _ if relays.get(&member.node).is_some() => None,
                None => Some(now),
                since => since,
            };
        }
        let gone = |member: &Member| {
            member.missing_since.is_some_and(|since| now.saturating_since(since) >= MISSING_FOR)
        };
        self.middles.retain(|member| !gone(member));
        self.guards.extract_if(.., |member| gone(member)).map(|member| member.node).collect()
    }

    /// Retires whose life is over, and says which guards these were.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<NodeId> {
        self.middles.retain(|member| member.expires > now);
        self.guards
            .extract_if(.., |member| member.expires <= now)
            .map(|member| member.node)
            .collect()
    }

    /// When the next life ends.
    pub(super) fn next_expiry(&self) -> Option<Timestamp> {
        self.guards.iter().chain(&self.middles).map(|member| member.expires).min()
    }

    /// Appends a guard. It leaves the second layer if it was there.
    pub(super) fn add_guard(&mut self, node: NodeId, now: Timestamp, rng: &mut impl CryptoRng) {
        self.middles.retain(|member| member.node != node);
        self.guards.push(Member::new(node, Layer::Guard, now, rng));
    }

    /// Appends a member to the second layer; where too many are kept, the one missing longest
    /// makes room.
    pub(super) fn add_middle(&mut self, node: NodeId, now: Timestamp, rng: &mut impl CryptoRng) {
        if self.middles.len() >= MIDDLES_KEPT {
            let missing = |(at, member): (usize, &Member)| Some((member.missing_since?, at));
            let longest = self.middles.iter().enumerate().filter_map(missing).min();
            if let Some((_, at)) = longest {
                self.middles.remove(at);
            }
        }
        self.middles.push(Member::new(node, Layer::Middle, now, rng));
    }
}

/// Whether two relays are members of one swarm; reserves are members of none.
pub(super) fn share_swarm(a: &Candidate, b: &Candidate) -> bool {
    a.swarm.is_some() && a.swarm == b.swarm
}
