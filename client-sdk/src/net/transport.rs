//! One request through three hops, with as many tries as help.

use std::time::{Duration, Instant};

use enjambre_link::{AWS_LC, Frames, Link, LinkError, Stream};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::StreamHead;
use enjambre_protocol::onion::{
    Hop as OnionHop, HopTarget, Item, OnionError, Packet, Primitives, RUST_CRYPTO, ReplyAssembler,
    ReplyOpener, ResetReason, SizeClass, build_with,
};
use enjambre_protocol::path::{FailedEdge, FailedHop, Failure, Hop, IsolationKey, Path, Rule};
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::wire;

use super::{Net, NetError, lock};
use crate::deadline::Deadline;

/// Tries of one request: enough to get round half of twelve nodes.
const TRIES: usize = 8;

/// How long all tries of one request may take together: what one silent try takes, and twice as
/// much again for others.
const TRIES_FACTOR: u32 = 3;

/// Failures of the edge to the destination after which it counts as unreachable: two exits agree.
const DESTINATION_FAILURES: usize = 2;

/// How long the guard's link may take to make.
///
/// Three seconds: a handshake with one lost packet on a line with half a second of delay.
pub(super) const LINK_WITHIN: Duration = Duration::from_secs(3);

/// How long a read may take to begin, and each part after it; heartbeats are no part of it. Three
/// hops and a look into a database, with room for a slow line.
const READ_WITHIN: Duration = Duration::from_secs(4);

/// The same for a write: a member waits five seconds for the others before it says no.
const WRITE_WITHIN: Duration = Duration::from_secs(8);

/// The pause after a guard said that it is busy, doubled each time: a guard gives a client 100
/// requests a second.
const BUSY_PAUSE: Duration = Duration::from_millis(50);

/// How often a request waits for a busy guard before that is held against it: 6.35 s in all.
const BUSY_WAITS: u32 = 7;

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
    /// The guard takes no more at present, of this client or of all.
    GuardBusy,
    /// Nobody told anything.
    Silent(&'static str),
    /// The caller's time was over before a hop could be blamed for being silent.
    OutOfTime,
}

/// How long one try waits for its answer.
///
/// Every part of the answer gives it `within` more, a heartbeat does not: a one-shot request has
/// nothing to wait for that takes so long. Nothing gives it more than the deadline.
#[derive(Clone, Copy, Debug)]
struct Patience {
    within: Duration,
    silent_until: Deadline,
    deadline: Deadline,
}

impl Patience {
    fn new(within: Duration, deadline: Deadline) -> Self {
        Self { within, silent_until: Deadline::after(within), deadline }
    }

    /// What a frame gave; `None` for a part of something longer.
    fn heard(&mut self, item: Option<&Item>) {
        if item.is_none() {
            self.silent_until = Deadline::after(self.within);
        }
    }

    /// What it means that its time is over.
    fn over(self, what: &'static str) -> Ended {
        if self.deadline.has_passed() { Ended::OutOfTime } else { Ended::Silent(what) }
    }

    /// Waits for something until the time is over.
    async fn wait<T>(self, work: impl Future<Output = T>) -> Option<T> {
        self.silent_until.min(self.deadline).wait(work).await
    }
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

    async fn attempt(
        &self,
        path: &Path,
        packet: Packet,
        mut opener: ReplyOpener,
        mut patience: Patience,
        reply_max: usize,
    ) -> Ended {
        let guard = path.guard();
        let addresses = self
            .newest()
            .and_then(|newest| newest.document().node(&guard).map(|node| node.addresses.clone()))
            .unwrap_or_default();
        let linking = Patience::new(LINK_WITHIN, patience.deadline);
        let link = match linking.wait(self.pool.link(guard, &addresses)).await {
            Some(Ok(link)) => link,
            Some(Err(error)) => return Ended::GuardLost(error),
            None if patience.deadline.has_passed() => return Ended::OutOfTime,
            None => return Ended::GuardLost(LinkError::Unreachable),
        };
        patience = Patience::new(patience.within, patience.deadline);
        lock(&self.paths).handle_guard_reachable(self.now(), guard);
        let head = StreamHead::Onion(packet.class());
        let mut stream = match open_stream(&link, head, patience).await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        patience = Patience::new(patience.within, patience.deadline);
        let sent = async {
            stream.send.write_all(packet.as_bytes()).await?;
            stream.send.finish().await?;
            Ok::<_, LinkError>(stream)
        };
        let stream = match patience.wait(sent).await {
            Some(Ok(stream)) => stream,
            // Refused while it was being written.
            Some(Err(LinkError::Busy)) if link.close_reason().is_none() => {
                return Ended::GuardBusy;
            }
            Some(Err(LinkError::Reset(_))) => return Ended::Silent("the guard reset the stream"),
            Some(Err(error)) => return Ended::GuardLost(error),
            None => return patience.over("the guard takes no packet"),
        };
        // The sending half is finished; it is held so that the stream keeps its place.
        let Stream { send: _sent, recv } = stream;
        let mut frames = Frames::new(recv, opener.reply_class().bytes());
        let mut assembler = ReplyAssembler::new(reply_max);
        loop {
            let frame = match patience.wait(frames.next()).await {
                Some(Ok(Some(frame))) => frame,
                Some(Ok(None)) => return Ended::Silent("the answer broke off"),
                Some(Err(LinkError::Reset(code))) => {
                    return code
                        .refusal()
                        .map_or(Ended::Silent("the guard reset the stream"), Ended::Reset);
                }
                Some(Err(LinkError::Busy)) => return Ended::GuardBusy,
                Some(Err(_)) => return Ended::Silent("the link to the guard broke"),
                None => return patience.over("no answer in time"),
            };
            let Ok(opened) = opener.open(frame) else {
                return Ended::Silent("a frame does not open");
            };
            let item = assembler.push(opened);
            if let Ok(item) = &item {
                patience.heard(item.as_ref());
            }
            match item {
                Ok(Some(Item::Reply(reply))) => return Ended::Answered(reply),
                Ok(Some(Item::Failed { from_hop, error })) => return Ended::Told(from_hop, error),
                Ok(Some(Item::Heartbeat(_)) | None) => {}
                Err(_) => return Ended::Silent("the answer is longer than agreed"),
            }
        }
    }
}

/// Opens a stream; where the link carries as many requests of this client as it may, waits for one
/// of them to end. That says nothing of the guard, which is blamed for what it does only: a guard
/// that grants no stream within the time of one wait is silent.
async fn open_stream(
    link: &Link,
    head: StreamHead,
    Patience { within, deadline, .. }: Patience,
) -> Result<Stream, Ended> {
    let place = match deadline.wait(link.place()).await {
        Some(Ok(place)) => place,
        Some(Err(error)) => return Err(Ended::GuardLost(error)),
        None => return Err(Ended::OutOfTime),
    };
    let patience = Patience::new(within, deadline);
    match patience.wait(link.open_in(place, head)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => Err(Ended::GuardLost(error)),
        None => Err(patience.over("the guard takes no stream")),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use enjambre_link::memory::Network;
    use enjambre_link::{Admission, Endpoint, Identity, LinkConfig};
    use enjambre_protocol::crypto::SecretKey;
    use enjambre_protocol::link::CLIENT_STREAMS_MAX;

    use super::*;

    const WITHIN: Duration = Duration::from_secs(1000);

    #[tokio::test(start_paused = true)]
    async fn link_full_of_own_requests_is_waited_for_and_is_no_lost_guard() {
        let network = Network::new();
        let [here, there] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 1)));
        let key = SecretKey::from_seed(&[1; 32]);
        let config = LinkConfig::new(Admission::everyone());
        let node = Endpoint::in_memory(&network, there, Identity::Node(&key), config).unwrap();
        let mut acceptor = node.take_acceptor().unwrap();
        let client =
            Endpoint::in_memory(&network, here, Identity::Client, LinkConfig::client()).unwrap();
        let id = NodeId::from_bytes(*key.public().as_bytes());
        let link = client.connect(id, &[there]).await.unwrap();
        let theirs = acceptor.accept().await.unwrap();
        let mut held = Vec::new();
        for _ in 0..CLIENT_STREAMS_MAX {
            held.push(link.open(StreamHead::Directory).await.unwrap());
        }
        let patience = Patience::new(WITHIN, Deadline::after(WITHIN * 2));
        {
            let mut opened = std::pin::pin!(open_stream(&link, StreamHead::Directory, patience));
            // The clock of this test goes on when nothing else can.
            let waited = Deadline::after(Duration::from_millis(20)).wait(opened.as_mut());
            assert!(waited.await.is_none(), "no place, and no error");
            held.pop();
            assert!(opened.await.is_ok());
        }
        // A node that closes the link for want of room is one to go round.
        theirs.close(enjambre_protocol::link::Code::BUSY);
        link.closed().await;
        let opened =
            Deadline::after(WITHIN).wait(open_stream(&link, StreamHead::Directory, patience));
        assert!(matches!(opened.await.unwrap(), Err(Ended::GuardLost(LinkError::Busy))));
    }

    #[test]
    fn part_of_an_answer_gives_more_time_and_a_heartbeat_none() {
        let mut patience = Patience::new(WITHIN, Deadline::after(WITHIN * 2));
        // As if the time had begun long ago.
        let began = Deadline::after(Duration::from_secs(1));
        patience.silent_until = began;
        for _ in 0..100 {
            patience.heard(Some(&Item::Heartbeat(Vec::new())));
        }
        assert_eq!(patience.silent_until, began);
        patience.heard(None);
        assert!(patience.silent_until > began);
    }

    #[tokio::test]
    async fn nothing_is_waited_for_beyond_the_deadline_and_nobody_is_blamed_for_it() {
        let patience = Patience::new(WITHIN, Deadline::after(Duration::ZERO));
        assert!(patience.wait(std::future::pending::<()>()).await.is_none());
        assert!(matches!(patience.over("no answer in time"), Ended::OutOfTime));
    }

    #[tokio::test]
    async fn silence_before_the_deadline_is_blamed_on_the_path() {
        let patience = Patience::new(Duration::ZERO, Deadline::after(WITHIN));
        assert!(patience.wait(std::future::pending::<()>()).await.is_none());
        assert!(matches!(patience.over("no answer in time"), Ended::Silent(_)));
    }
}
