//! The machine: told of directories, answers and failures; draws paths.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use rand_core::CryptoRng;

use super::candidate::{Candidate, Destination, Relays};
use super::health::{Charges, FAILURE, PathHealth, Rate, Reach};
use super::select::{Selected, Selector, Wish};
use super::state::{PathState, Retired};
use super::status::{GuardStatus, GuardUse, PathEvent, PathStatus};
use super::subscription::{Backoff, Ending, Reopen};
use super::{FailedEdge, FailedHop, Failure, Hop, IsolationKey, Path, PathError, layer, sample};
use crate::id::NodeId;
use crate::time::Timestamp;

/// How long one-shot requests with one key keep their hops: long enough that a message and its
/// retries add no hop to those that saw the client's traffic, short enough that two errands do not
/// meet on one exit.
const ONE_SHOT_LIFE: Duration = Duration::from_secs(600);

/// Paths held at a time, and subscriptions counted: hundreds of conversations and then some.
const PATHS_MAX: usize = 1024;

/// Events waiting to be polled; the oldest give way.
const EVENTS_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PathUse {
    OneShot,
    Subscription,
}

#[derive(Clone, Debug)]
struct Held {
    path: Path,
    path_use: PathUse,
}

/// Draws a client's paths.
///
/// Feed one `handle_*` or take one `draw_*`, then drain [`Self::poll_event`]; call
/// [`Self::handle_timeout`] when [`Self::poll_timeout`] has passed. After
/// [`PathEvent::StateChanged`], persist [`Self::state`] before a drawn path is used, so that a
/// crash cannot make the client choose other guards. `now` is calendar time by the directory's
/// clock: on a clock years ahead all guards would expire.
#[derive(Clone, Debug)]
pub struct PathMachine {
    state: PathState,
    relays: Relays,
    charges: Charges,
    reach: Reach,
    rates: BTreeMap<NodeId, (Rate, Told)>,
    held: BTreeMap<IsolationKey, Held>,
    backoffs: BTreeMap<IsolationKey, Backoff>,
    events: VecDeque<PathEvent>,
    /// What was last said to be persisted.
    told_state: PathState,
    drawn: u64,
}

/// Whether a low rate has been told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    No,
    Yes,
}

impl PathMachine {
    /// Starts from what was persisted; the default state for a new client. Contents that no
    /// machine could have written are put into bounds.
    pub fn new(state: PathState, now: Timestamp) -> Self {
        let told_state = state.clone();
        let mut machine = Self {
            state,
            relays: Relays::default(),
            charges: Charges::default(),
            reach: Reach::default(),
            rates: BTreeMap::new(),
            held: BTreeMap::new(),
            backoffs: BTreeMap::new(),
            events: VecDeque::new(),
            told_state,
            drawn: 0,
        };
        machine.state.restore(now);
        machine
    }

    /// Takes up what was known of failures when it was last persisted; to be called first.
    #[must_use]
    pub fn with_health(mut self, health: PathHealth, now: Timestamp) -> Self {
        (self.charges, self.reach) = health.restore(now);
        let guards = &self.state.guards;
        self.reach.retain(|node| guards.iter().any(|guard| guard.node == *node));
        self
    }

    /// What to persist of failures, for a client that stops soon: without it, the next start pays
    /// for the same dead nodes again. Nothing depends on it.
    pub fn health(&self, now: Timestamp) -> PathHealth {
        PathHealth::of(&self.charges, &self.reach, now)
    }

    /// Takes in what another process of the same client has persisted meanwhile: `base` is what both
    /// began with, `theirs` what is stored now. [`Self::state`] is then what to persist. Whom the
    /// other chose is not chosen again, and the bounds hold for both together.
    pub fn merge(&mut self, now: Timestamp, base: &PathState, theirs: &PathState) {
        let mut merged = self.state.merged(base, theirs);
        merged.restore(now);
        self.state = merged;
        let guards = &self.state.guards;
        self.reach.retain(|node| guards.iter().any(|guard| guard.node == *node));
        self.told_state.clone_from(&self.state);
    }

    /// What to persist.
    pub const fn state(&self) -> &PathState {
        &self.state
    }

    /// An anchor was adopted: `candidates` are its relays.
    pub fn handle_directory(
        &mut self,
        now: Timestamp,
        candidates: &[Candidate],
        rng: &mut impl CryptoRng,
    ) {
        self.relays = Relays::new(candidates);
        let gone = self.state.look(&self.relays, now);
        self.retired(&gone, Retired::Unlisted);
        self.refresh(now, rng);
    }

    /// A path for one-shot requests: the hops drawn for `key` in the last ten minutes, if they
    /// serve for this destination, else fresh ones.
    pub fn draw(
        &mut self,
        now: Timestamp,
        key: &IsolationKey,
        destination: &Destination,
        rng: &mut impl CryptoRng,
    ) -> Result<Path, PathError> {
        self.draw_for(PathUse::OneShot, now, key, destination, rng)
    }

    /// A path for a subscription: the hops drawn for `key` as long as none failed, if they serve
    /// for this destination, else fresh ones.
    pub fn draw_subscription(
        &mut self,
        now: Timestamp,
        key: &IsolationKey,
        destination: &Destination,
        rng: &mut impl CryptoRng,
    ) -> Result<Path, PathError> {
        let path = self.draw_for(PathUse::Subscription, now, key, destination, rng)?;
        if let Some(backoff) = self.backoffs.get_mut(key) {
            backoff.opened(now);
        } else if self.backoffs.len() < PATHS_MAX {
            self.backoffs.insert(*key, Backoff::new(destination.node, now));
        }
        Ok(path)
    }

    /// A second try beside `first`, for the same key and destination: the same guard, another
    /// middle and exit where there are others.
    pub fn draw_hedge(
        &mut self,
        now: Timestamp,
        first: &Path,
        destination: &Destination,
        rng: &mut impl CryptoRng,
    ) -> Result<Path, PathError> {
        self.refresh(now, rng);
        let avoid = [(Hop::Middle, first.middle()), (Hop::Exit, first.exit())];
        let wish = Wish { guard: Some(first.guard()), avoid: &avoid, keep: None };
        let selected = self.select(now, destination, wish, rng)?;
        Ok(self.path(now, &first.key, destination, selected))
    }

    fn draw_for(
        &mut self,
        path_use: PathUse,
        now: Timestamp,
        key: &IsolationKey,
        destination: &Destination,
        rng: &mut impl CryptoRng,
    ) -> Result<Path, PathError> {
        self.refresh(now, rng);
        self.held.retain(|_, held| held.is_alive(now));
        let keep = self.held.get(key).map(|held| held.path.hops);
        let selected = self.select(now, destination, Wish { keep, ..Wish::default() }, rng)?;
        if selected.kept
            && let Some(held) = self.held.get_mut(key)
        {
            held.path.destination = destination.node;
            held.path.relaxed = selected.relaxed;
            return Ok(held.path.clone());
        }
        let path = self.path(now, key, destination, selected);
        self.hold(Held { path: path.clone(), path_use });
        Ok(path)
    }

    fn select(
        &mut self,
        now: Timestamp,
        destination: &Destination,
        wish: Wish<'_>,
        rng: &mut impl CryptoRng,
    ) -> Result<Selected, PathError> {
        let mut selector = Selector {
            now,
            relays: &self.relays,
            state: &mut self.state,
            charges: &self.charges,
            reach: &mut self.reach,
        };
        selector.select(destination, wish, rng)
    }

    fn path(
        &mut self,
        now: Timestamp,
        key: &IsolationKey,
        destination: &Destination,
        selected: Selected,
    ) -> Path {
        self.drawn += 1;
        Path {
            number: self.drawn,
            key: *key,
            hops: selected.hops,
            destination: destination.node,
            relaxed: selected.relaxed,
            drawn: now,
        }
    }

    fn hold(&mut self, held: Held) {
        if self.held.len() >= PATHS_MAX && !self.held.contains_key(&held.path.key) {
            // One-shot paths before subscriptions, the oldest first.
            let order = |held: &Held| (held.path_use == PathUse::Subscription, held.path.number);
            let oldest = self.held.iter().min_by_key(|(_, held)| order(held));
            if let Some(key) = oldest.map(|(key, _)| *key) {
                self.held.remove(&key);
            }
        }
        self.held.insert(held.path.key, held);
    }

    /// Forgets the hops and the counts of `key`: its errand is over.
    pub fn release(&mut self, key: &IsolationKey) {
        self.held.remove(key);
        self.backoffs.remove(key);
    }

    /// The destination answered over `path`.
    pub fn handle_success(&mut self, now: Timestamp, path: &Path) {
        self.reach.found(&path.guard(), now);
        self.reach.middle_found(&path.middle());
        self.count(path.guard(), 1, 0);
    }

    /// `path` failed. Its hops are not used again for its key, except where only the destination
    /// refused.
    pub fn handle_failure(&mut self, now: Timestamp, path: &Path, failure: Failure) {
        let mut charge = |hop, part| self.charges.add(path.node(hop), part, now);
        match failure {
            Failure::Edge(edge) => edge.ends().into_iter().for_each(|hop| charge(hop, FAILURE / 2)),
            Failure::Hop(FailedHop(hop)) => charge(hop, FAILURE),
            // Each of the three edges is as likely to have failed as the others.
            Failure::Silent => {
                for (hop, ends) in
                    [(Hop::Guard, 1), (Hop::Middle, 2), (Hop::Exit, 2), (Hop::Destination, 1)]
                {
                    charge(hop, FAILURE / 6 * ends);
                }
            }
        }
        match failure {
            Failure::Silent => self.count(path.guard(), 0, 1),
            Failure::Edge(FailedEdge::GuardToMiddle) | Failure::Hop(FailedHop(Hop::Guard)) => {
                self.reach.found(&path.guard(), now);
                self.count(path.guard(), 0, 1);
            }
            Failure::Edge(_) | Failure::Hop(_) => {
                self.reach.found(&path.guard(), now);
                self.reach.middle_found(&path.middle());
                self.count(path.guard(), 1, 0);
            }
        }
        if failure == Failure::Edge(FailedEdge::GuardToMiddle) {
            self.reach.middle_lost(path.middle(), now);
        }
        if failure != Failure::Hop(FailedHop(Hop::Destination)) {
            self.drop_held(path);
        }
    }

    /// The member closed the subscription on `path` in a sealed frame. The hops stay: a member
    /// that resets must not make the client draw hop after hop.
    pub fn handle_reset(
        &mut self,
        now: Timestamp,
        path: &Path,
        rng: &mut impl CryptoRng,
    ) -> Reopen {
        self.handle_success(now, path);
        self.ended(Ending::Reset, now, path, rng)
    }

    /// The subscription's path failed: as [`Self::handle_failure`], and says when to open it again.
    pub fn handle_break(
        &mut self,
        now: Timestamp,
        path: &Path,
        failure: Failure,
        rng: &mut impl CryptoRng,
    ) -> Reopen {
        self.handle_failure(now, path, failure);
        self.ended(Ending::Broken, now, path, rng)
    }

    fn ended(
        &mut self,
        ending: Ending,
        now: Timestamp,
        path: &Path,
        rng: &mut impl CryptoRng,
    ) -> Reopen {
        let mut unknown = Backoff::new(path.destination, now);
        let backoff = self.backoffs.get_mut(&path.key).unwrap_or(&mut unknown);
        backoff.ended(ending, path.destination, now, rng.next_u64())
    }

    /// The link to a guard could not be made, or broke. The next in the sample serves until it
    /// answers again.
    pub fn handle_guard_unreachable(&mut self, now: Timestamp, guard: NodeId) {
        if self.state.guards.iter().any(|member| member.node == guard) {
            self.reach.lost(guard, now);
        }
    }

    /// The link to a guard stands. It is in use again, ahead of those after it.
    pub fn handle_guard_reachable(&mut self, now: Timestamp, guard: NodeId) {
        self.reach.found(&guard, now);
    }

    /// The client's own connection changed, or came back: guards that were down are tried at once.
    pub fn handle_network_change(&mut self, now: Timestamp) {
        self.reach.network_changed(now);
    }

    /// The deadline of [`Self::poll_timeout`] has passed. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        self.refresh(now, rng);
        let room = 2usize.saturating_sub(self.guards_in_use().len()).max(1);
        for node in self.reach.due(&self.wanted(), room, now) {
            self.push(PathEvent::ProbeGuard { node });
        }
    }

    /// When [`Self::handle_timeout`] has something to do.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let probe = self.reach.next_due(&self.wanted());
        self.state.next_expiry().into_iter().chain(probe).min()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<PathEvent> {
        if let Some(event) = self.events.pop_front() {
            return Some(event);
        }
        if self.state == self.told_state {
            return None;
        }
        self.told_state.clone_from(&self.state);
        Some(PathEvent::StateChanged)
    }

    /// The guards that paths start at, in the sample's order: links to them are worth keeping up.
    pub fn guards_in_use(&self) -> Vec<NodeId> {
        let up = self.up();
        sample::in_use(&up).iter().map(|guard| guard.node).collect()
    }

    /// How much a node failed lately; 0 is best, 24 one whole failure. For choosing among the
    /// members of a swarm.
    pub fn charge(&self, now: Timestamp, node: &NodeId) -> u32 {
        self.charges.level(node, now)
    }

    /// What there is to show.
    pub fn status(&self) -> PathStatus {
        let active = sample::active(&self.state, &self.relays);
        let in_use = self.guards_in_use();
        let guard_use = |node: &NodeId| {
            if in_use.contains(node) {
                GuardUse::InUse
            } else if self.relays.get(node).is_none() {
                GuardUse::Unlisted
            } else if self.reach.is_down(node) {
                GuardUse::Unreachable
            } else if active.iter().any(|guard| guard.node == *node) {
                GuardUse::Waiting
            } else {
                GuardUse::Dormant
            }
        };
        let guards = self.state.guards.iter().map(|member| GuardStatus {
            node: member.node,
            guard_use: guard_use(&member.node),
            first_seen: member.first_seen,
            expires: member.expires,
            rate: self.rates.get(&member.node).map(|(rate, _)| *rate).unwrap_or_default(),
        });
        let middles = layer::listed(&self.state, &self.relays, &active);
        PathStatus {
            guards: guards.collect(),
            middles: middles.iter().map(|middle| middle.node).collect(),
            relays: self.relays.all().len(),
        }
    }

    /// Retires whose life is over and fills both layers.
    fn refresh(&mut self, now: Timestamp, rng: &mut impl CryptoRng) {
        let expired = self.state.expire(now);
        self.retired(&expired, Retired::Expired);
        sample::fill(&mut self.state, &self.relays, now, rng);
        let active = sample::active(&self.state, &self.relays);
        layer::fill(&mut self.state, &self.relays, &active, now, rng);
    }

    fn retired(&mut self, guards: &[NodeId], why: Retired) {
        for node in guards {
            self.reach.forget(node);
            self.rates.remove(node);
            self.push(PathEvent::GuardRetired { node: *node, why });
        }
    }

    /// Active guards that are not known to be down.
    fn up(&self) -> Vec<&Candidate> {
        let active = sample::active(&self.state, &self.relays);
        active.into_iter().filter(|guard| !self.reach.is_down(&guard.node)).collect()
    }

    /// The guards that are down and would be in use if they answered.
    fn wanted(&self) -> Vec<NodeId> {
        let active = sample::active(&self.state, &self.relays);
        let would_serve = |guard: &Candidate| {
            let usable = active
                .iter()
                .copied()
                .filter(|other| other.node == guard.node || !self.reach.is_down(&other.node));
            sample::in_use(&usable.collect::<Vec<_>>()).iter().any(|g| g.node == guard.node)
        };
        let down = active.iter().filter(|guard| self.reach.is_down(&guard.node));
        down.filter(|guard| would_serve(guard)).map(|guard| guard.node).collect()
    }

    fn count(&mut self, guard: NodeId, carried: u32, lost: u32) {
        if !self.state.guards.iter().any(|member| member.node == guard) {
            return;
        }
        let (rate, told) = self.rates.entry(guard).or_default();
        rate.count(carried, lost);
        let tell = rate.is_low() && *told == Told::No;
        *told = if rate.is_low() { Told::Yes } else { Told::No };
        let rate = *rate;
        if tell {
            self.push(PathEvent::GuardLowSuccess { node: guard, rate });
        }
    }

    fn drop_held(&mut self, path: &Path) {
        if self.held.get(&path.key).is_some_and(|held| held.path.number == path.number) {
            self.held.remove(&path.key);
        }
    }

    fn push(&mut self, event: PathEvent) {
        if self.events.len() >= EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

impl Held {
    /// Whether the hops may still be handed out. A clock that went back ends one-shot paths too.
    fn is_alive(&self, now: Timestamp) -> bool {
        self.path_use == PathUse::Subscription
            || (self.path.drawn <= now && now.saturating_since(self.path.drawn) < ONE_SHOT_LIFE)
    }
}
