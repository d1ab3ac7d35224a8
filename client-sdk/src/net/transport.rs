//! One request through three hops, with as many tries as help.

use std::time::{Duration, Instant};

use enjambre_link::{Frames, LinkError};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::StreamHead;
use enjambre_protocol::onion::{
    Hop as OnionHop, HopTarget, Item, OnionError, Packet, ReplyAssembler, ReplyOpener, ResetReason,
    SizeClass, build,
};
use enjambre_protocol::path::{FailedEdge, FailedHop, Failure, Hop, IsolationKey, Path, Rule};
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::wire;

use super::{Net, NetError, lock};

/// Tries of one request: enough to get round two dead nodes of twelve.
const TRIES: usize = 6;

/// How long all tries of one request may take together: what one silent try takes, and as much
/// again for others.
const TRIES_FACTOR: u32 = 2;

/// Failures of the edge to the destination after which it counts as unreachable: two exits agree.
const DESTINATION_FAILURES: usize = 2;

/// How long the guard's link may take to make.
pub(super) const LINK_WITHIN: Duration = Duration::from_secs(5);

/// How long a read may take to begin, and each frame after it: three hops and a look into a
/// database, with room for a slow line.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// The same for a write: a member waits five seconds for the others before it says no.
const WRITE_WITHIN: Duration = Duration::from_secs(8);

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

/// What ended one try.
enum Ended {
    /// The answer of the destination.
    Answered(Vec<u8>),
    /// The guard does not answer.
    GuardLost(LinkError),
    /// A hop told what failed.
    Told(OnionHop, OnionError),
    /// The guard reset the stream.
    Reset(ResetReason),
    /// Nobody told anything.
    Silent(&'static str),
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waits {
    /// One node's look into its database.
    Read,
    /// A majority of a swarm.
    Write,
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
    /// Asks `destination` through a path that nothing with another `key` shares. `reply_max` bounds
    /// the answer in bytes; its frames are of `reply_class`.
    pub(crate) async fn request(
        &self,
        key: &IsolationKey,
        destination: NodeId,
        request: &ServiceRequest,
        waits: Waits,
        reply_class: SizeClass,
        reply_max: usize,
    ) -> Result<Answer, NetError> {
        let bytes = wire::encode(request);
        let class =
            SizeClass::for_request(bytes.len()).ok_or(NetError::TooLarge { len: bytes.len() })?;
        let mut last = String::new();
        let mut clock = None;
        let mut destination_failures = 0;
        let mut refreshed = false;
        let until = Instant::now() + waits.within() * TRIES_FACTOR;
        for number in 0..TRIES {
            if number > 0 && Instant::now() > until {
                break;
            }
            let path = self.draw(key, destination)?;
            let Some((packet, opener)) = self.build(&path, class, reply_class, &bytes) else {
                // A hop of the anchor that the newest document no longer lists.
                if !refreshed {
                    refreshed = true;
                    self.refresh().await?;
                }
                self.charge_unlisted(&path);
                "a hop has left the network".clone_into(&mut last);
                continue;
            };
            let began = Instant::now();
            let ended = self.attempt(&path, packet, opener, waits.within(), reply_max).await;
            let now = self.now();
            tracing::debug!(ms = began.elapsed().as_millis(), "one try");
            match ended {
                Ended::Answered(reply) => {
                    lock(&self.paths).handle_success(now, &path);
                    let reply = wire::decode(&reply, reply_max).map_err(|_| NetError::Malformed)?;
                    return Ok(Answer { reply, path: PathTaken::of(&path) });
                }
                Ended::GuardLost(error) => {
                    lock(&self.paths).handle_guard_unreachable(now, path.guard());
                    last = format!("guard: {error}");
                }
                Ended::Told(OnionHop::Destination, error) => return Err(NetError::Refused(error)),
                Ended::Told(hop, error) => {
                    last = error.to_string();
                    if let OnionError::Clock { now } = error {
                        clock = Some(now);
                    }
                    let failure = failure_of(hop, &error);
                    lock(&self.paths).handle_failure(now, &path, failure);
                    if hop == OnionHop::Exit && error.blames_next() {
                        destination_failures += 1;
                    }
                    if is_about_keys(&error) && !refreshed {
                        refreshed = true;
                        self.refresh().await?;
                    }
                }
                Ended::Reset(reason) => {
                    last = reason.to_string();
                    lock(&self.paths).handle_failure(
                        now,
                        &path,
                        Failure::Hop(FailedHop(Hop::Guard)),
                    );
                    if !refreshed {
                        refreshed = true;
                        self.refresh().await?;
                    }
                }
                Ended::Silent(what) => {
                    last = what.to_owned();
                    lock(&self.paths).handle_failure(now, &path, Failure::Silent);
                }
            }
            if destination_failures >= DESTINATION_FAILURES {
                break;
            }
        }
        match clock {
            Some(node) => Err(NetError::Clock { here: crate::system::now(), node }),
            None => Err(NetError::Unreachable { node: destination, last }),
        }
    }

    fn draw(&self, key: &IsolationKey, node: NodeId) -> Result<Path, NetError> {
        let newest = self.newest().ok_or_else(|| NetError::NoDirectory("none yet".to_owned()))?;
        let destination =
            self.destination(newest.document(), node).ok_or(NetError::UnknownNode { node })?;
        self.advance_anchor()?;
        self.tick();
        let path =
            self.with_rng(|rng| lock(&self.paths).draw(self.now(), key, &destination, rng))?;
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
            build(rng, &self.network, &targets, class, reply_class, minute, request).ok()
        })
    }

    async fn attempt(
        &self,
        path: &Path,
        packet: Packet,
        mut opener: ReplyOpener,
        within: Duration,
        reply_max: usize,
    ) -> Ended {
        let guard = path.guard();
        let addresses = self
            .newest()
            .and_then(|newest| newest.document().node(&guard).map(|node| node.addresses.clone()))
            .unwrap_or_default();
        let link = match tokio::time::timeout(LINK_WITHIN, self.pool.link(guard, &addresses)).await
        {
            Ok(Ok(link)) => link,
            Ok(Err(error)) => return Ended::GuardLost(error),
            Err(_) => return Ended::GuardLost(LinkError::Unreachable),
        };
        lock(&self.paths).handle_guard_reachable(self.now(), guard);
        let sent = async {
            let mut stream = link.open(StreamHead::Onion(packet.class())).await?;
            stream.send.write_all(packet.as_bytes()).await?;
            stream.send.finish().await?;
            Ok::<_, LinkError>(stream)
        };
        let stream = match tokio::time::timeout(within, sent).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Ended::GuardLost(error),
            Err(_) => return Ended::Silent("the guard takes no packet"),
        };
        // The sending half is finished; it is held so that the stream keeps its place.
        let enjambre_link::Stream { send: _sent, recv } = stream;
        let mut frames = Frames::new(recv, opener.reply_class().bytes());
        let mut assembler = ReplyAssembler::new(reply_max);
        loop {
            let frame = match tokio::time::timeout(within, frames.next()).await {
                Ok(Ok(Some(frame))) => frame,
                Ok(Ok(None)) => return Ended::Silent("the answer broke off"),
                Ok(Err(LinkError::Reset(code))) => {
                    return code
                        .refusal()
                        .map_or(Ended::Silent("the guard reset the stream"), Ended::Reset);
                }
                Ok(Err(LinkError::Busy)) => return Ended::Told(OnionHop::Guard, OnionError::Busy),
                Ok(Err(_)) => return Ended::Silent("the link to the guard broke"),
                Err(_) => return Ended::Silent("no answer in time"),
            };
            let Ok(opened) = opener.open(frame) else {
                return Ended::Silent("a frame does not open");
            };
            match assembler.push(opened) {
                Ok(Some(Item::Reply(reply))) => return Ended::Answered(reply),
                Ok(Some(Item::Failed { from_hop, error })) => return Ended::Told(from_hop, error),
                Ok(Some(Item::Heartbeat(_)) | None) => {}
                Err(_) => return Ended::Silent("the answer is longer than agreed"),
            }
        }
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
const fn is_about_keys(error: &OnionError) -> bool {
    matches!(error, OnionError::NextRefused { .. } | OnionError::NextUnknown)
}
