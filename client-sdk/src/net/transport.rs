//! One request through three hops, with as many tries as help.

use std::time::{Duration, Instant};

use enjambre_link::AWS_LC;
use enjambre_protocol::id::NodeId;
use enjambre_protocol::onion::{
    Hop as OnionHop, HopTarget, OnionError, Packet, Primitives, RUST_CRYPTO, ReplyOpener,
    ResetReason, SizeClass, build_with,
};
use enjambre_protocol::path::{FailedEdge, FailedHop, Failure, Hop, IsolationKey, Path, Rule};
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::wire;

use super::attempt::Ended;
use super::patience::Patience;
use super::{Net, NetError, lock};
use crate::deadline::Deadline;

/// Tries of one request: enough to get round half of twelve nodes.
const TRIES: usize = 8;

/// How long all tries of one request may take together: what one silent try takes, and twice as
/// much again for others.
const TRIES_FACTOR: u32 = 3;

/// Failures of the edge to the destination after which it counts as unreachable: two exits agree.
const DESTINATION_FAILURES: usize = 2;

/// How long a read may take to begin, and each part after it; heartbeats are no part of it. Three
/// hops and a look into a database, with room for a slow line.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// The same for a write: a member waits five seconds for the others before it says no.
const WRITE_WITHIN: Duration = Duration::from_secs(8);

/// The pause of a request after a guard said that it is busy, doubled each time.
pub(super) const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How often a request waits for a busy guard before that is held against it: 6.35 s in all.
pub(super) const BUSY_WAITS: u32 = 7;

/// What packets are built by: the portable primitives, or with the feature `aws-lc` the faster ones.
fn primitives() -> &'static dyn Primitives {
    if cfg!(feature = "aws-lc") { &AWS_LC } else { &RUST_CRYPTO }
}

/// Where a request went. The guard is shown only on request: it knows who asks.
#[derive(Clone, Debug)]
pub(crate) struct PathTaken {
    pub(crate) guard: NodeId,
    /// Middle, exit, destination.
    pub(crate) hops: [NodeId; 3],
    /// Rules that could not be kept.
    pub(crate) relaxed: Vec<Rule>,
}

/// An answer and the way it came.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reply: ServiceReply,
    pub(crate) path: PathTaken,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// One node's look into its database.
    Read,
    /// A majority of a swarm.
    Write,
}

/// On which terms a request is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    pub(crate) waits: Waits,
    /// The class of the frames that the answer comes in.
    pub(crate) reply_class: SizeClass,
    /// Bytes of the answer at most.
    pub(crate) reply_max: usize,
    /// When it has ended.
    pub(crate) deadline: Deadline,
}

impl Waits {
    const fn within(self) -> Duration {
        match self {
            Self::Read => READ_WITHIN,
            Self::Write => WRITE_WITHIN,
        }
    }
}

impl Net {
    /// Asks `destination` through a path that nothing with another `key` shares.
    pub(crate) async fn request(
        &self,
        key: &IsolationKey,
        destination: NodeId,
        request: &ServiceRequest,
        terms: Terms,
    ) -> Result<Answer, NetError> {
        let mut tries = 0;
        let result = self.try_request(key, destination, request, terms, &mut tries).await;
        if tries > 1 || result.is_err() {
            self.keep_health();
        }
        result
    }

    async fn try_request(
        &self,
        key: &IsolationKey,
        destination: NodeId,
        request: &ServiceRequest,
        terms: Terms,
        tries: &mut usize,
    ) -> Result<Answer, NetError> {
        let bytes = wire::encode(request);
        let class =
            SizeClass::for_request(bytes.len()).ok_or(NetError::TooLarge { len: bytes.len() })?;
        let mut last = String::new();
        let mut wrong_clock = false;
        let mut destination_failures = 0;
        let mut refreshed = false;
        let mut busy = 0;
        let within = terms.waits.within();
        let deadline = terms.deadline.within(within * TRIES_FACTOR);
        while *tries < TRIES && !deadline.has_passed() {
            *tries += 1;
            let path = self.draw(key, destination)?;
            let guard = path.guard();
            let asked = tokio::time::Instant::now();
            let Some(turn) = self.paces.turn(guard, asked, deadline.instant()) else {
                "the guard is busy for longer than there is time".clone_into(&mut last);
                break;
            };
            tokio::time::sleep_until(turn).await;
            let Some((packet, opener)) = self.build(&path, class, terms.reply_class, &bytes) else {
                // A hop of the anchor that the newest document no longer lists.
                if !refreshed {
                    refreshed = true;
                    self.refresh(deadline).await?;
                }
                self.charge_unlisted(&path);
                "a hop has left the network".clone_into(&mut last);
                continue;
            };
            let began = Instant::now();
            let patience = Patience::new(within, deadline);
            let ended = self.attempt(&path, packet, opener, patience, terms.reply_max).await;
            let now = self.now();
            tracing::debug!(ms = began.elapsed().as_millis(), "one try");
            match ended {
                Ended::GuardBusy => self.paces.busy(guard, asked, tokio::time::Instant::now()),
                Ended::Answered(_) | Ended::Told(..) => self.paces.taken(guard),
                _ => {}
            }
            match ended {
                Ended::Answered(reply) => {
                    lock(&self.paths).handle_success(now, &path);
                    let reply =
                        wire::decode(&reply, terms.reply_max).map_err(|_| NetError::Malformed)?;
                    return Ok(Answer { reply, path: PathTaken::of(&path) });
                }
                Ended::GuardLost(error) => {
                    lock(&self.paths).handle_guard_unreachable(now, path.guard());
                    self.call_guards();
                    last = format!("guard: {error}");
                    wrong_clock = false;
                }
                // Likely too many requests of this client at once: the same guard a little later.
                Ended::GuardBusy if busy < BUSY_WAITS => {
                    last = "the guard is busy".to_owned();
                    wrong_clock = false;
                    *tries -= 1;
                    let _ = deadline.wait(tokio::time::sleep(BUSY_PAUSE * (1 << busy))).await;
                    busy += 1;
                }
                Ended::GuardBusy => {
                    last = "the guard is busy".to_owned();
                    wrong_clock = false;
                    let guard = Failure::Hop(FailedHop(Hop::Guard));
                    lock(&self.paths).handle_failure(now, &path, guard);
                }
                Ended::Told(OnionHop::Destination, error) => return Err(NetError::Refused(error)),
                Ended::Told(hop, error) => {
                    last = error.to_string();
                    wrong_clock = error == OnionError::NextRefused { reason: ResetReason::Clock };
                    let failure = failure_of(hop, &error);
                    lock(&self.paths).handle_failure(now, &path, failure);
                    if hop == OnionHop::Exit && error.blames_next() {
                        destination_failures += 1;
                    }
                    if is_about_directory(&error) && !refreshed {
                        refreshed = true;
                        // Without a newer one the tries that are left may still do.
                        let _ = self.refresh(deadline).await;
                    }
                }
                Ended::Reset(reason) => {
                    last = reason.to_string();
                    wrong_clock = reason == ResetReason::Clock;
                    lock(&self.paths).handle_failure(
                        now,
                        &path,
                        Failure::Hop(FailedHop(Hop::Guard)),
                    );
                    if is_old_directory(reason) && !refreshed {
                        refreshed = true;
                        let _ = self.refresh(deadline).await;
                    }
                }
                Ended::OutOfTime => break,
                Ended::Silent(what) => {
                    last = what.to_owned();
                    wrong_clock = false;
                    lock(&self.paths).handle_failure(now, &path, Failure::Silent);
                }
            }
            if destination_failures >= DESTINATION_FAILURES {
                break;
            }
        }
        if wrong_clock {
            let directory = self.newest().map(|newest| newest.document().time);
            return Err(NetError::Clock { here: crate::system::now(), directory });
        }
        if last.is_empty() {
            "no answer in time".clone_into(&mut last);
        }
        Err(NetError::Unreachable { node: destination, last })
    }

    fn draw(&self, key: &IsolationKey, node: NodeId) -> Result<Path, NetError> {
        let newest = self.newest().ok_or_else(|| NetError::NoDirectory("none yet".to_owned()))?;
        let destination =
            self.destination(newest.document(), node).ok_or(NetError::UnknownNode { node })?;
        self.advance_anchor()?;
        self.tick();
        self.warm();
        let draw =
            || self.with_rng(|rng| lock(&self.paths).draw(self.now(), key, &destination, rng));
        let path = draw()?;
        self.keep_paths()?;
        let is_kept = |path: &Path| {
            let paths = lock(&self.paths);
            let mut guards = paths.state().guards().iter();
            guards.any(|guard| guard.node == path.guard())
        };
        if is_kept(&path) {
            return Ok(path);
        }
        // Another process has filled the sample at the same moment: its guards serve.
        lock(&self.paths).release(key);
        let path = draw()?;
        self.keep_paths()?;
        Ok(path)
    }

    /// Builds the packet with the keys of the newest document; `None` if it lacks a hop.
    fn build(
        &self,
        path: &Path,
        class: SizeClass,
        reply_class: SizeClass,
        request: &[u8],
    ) -> Option<(Packet, ReplyOpener)> {
        let newest = self.newest()?;
        let target = |node: NodeId| {
            let entry = newest.document().node(&node)?;
            Some(HopTarget { node, key_number: entry.onion_number, key: entry.onion_key })
        };
        let [guard, middle, exit] = path.hops;
        let targets = [target(guard)?, target(middle)?, target(exit)?, target(path.destination)?];
        let minute = self.now().minute();
        self.with_rng(|rng| {
            let network = &self.network;
            build_with(primitives(), rng, network, &targets, class, reply_class, minute, request)
                .ok()
        })
    }
}

impl PathTaken {
    fn of(path: &Path) -> Self {
        let [guard, middle, exit] = path.hops;
        Self { guard, hops: [middle, exit, path.destination], relaxed: path.relaxed.clone() }
    }
}

/// What a hop's error means for the path.
fn failure_of(hop: OnionHop, error: &OnionError) -> Failure {
    let hop = match hop {
        OnionHop::Guard => Hop::Guard,
        OnionHop::Middle => Hop::Middle,
        OnionHop::Exit => Hop::Exit,
        OnionHop::Destination => Hop::Destination,
    };
    match FailedEdge::named_by(hop) {
        Some(edge) if error.blames_next() => Failure::Edge(edge),
        _ => Failure::Hop(FailedHop(hop)),
    }
}

/// Whether a newer directory may help: a node drew new keys, or is not known to another.
fn is_about_directory(error: &OnionError) -> bool {
    match error {
        OnionError::NextRefused { reason } => is_old_directory(*reason),
        other => *other == OnionError::NextUnknown,
    }
}

/// Whether a node that refuses a packet so may have been asked by an old directory. A node without
/// room has enough to do, and what it has seen before is no newer for that.
const fn is_old_directory(reason: ResetReason) -> bool {
    !matches!(reason, ResetReason::Busy | ResetReason::Replayed)
}
