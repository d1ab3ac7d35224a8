//! A client: draws paths, sends, waits, tries again.

use core::time::Duration;
use std::collections::BTreeMap;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::onion::{
    HOPS, Hop, HopTarget, Item, ReplyAssembler, ReplyOpener, SizeClass, build, reply_capacity,
};
use enjambre_protocol::path::{
    self, Destination, FailedEdge, FailedHop, Failure, IsolationKey, Path, PathEvent, PathMachine,
    PathState, Rule,
};
use enjambre_protocol::swarm::{Point, point};
use enjambre_protocol::time::Instant;

use super::message::{Action, Message, StreamId, Tag};
use super::world::{World, answer, calendar, moment};
use super::{MARKER_LEN, OnionSimError};
use crate::scenario::Clients;
use crate::stream::{Entity, Stream, Streams};

/// A mailbox that the client writes to.
#[derive(Debug)]
struct Contact {
    point: Point,
    key: IsolationKey,
}

/// Which ends of a path are malicious.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ends {
    pub(super) guard: bool,
    pub(super) exit: bool,
    pub(super) destination: bool,
}

impl Ends {
    fn of(path: &Path, world: &World) -> Self {
        let malicious = |hop| world.is_malicious(&path.node(hop));
        Self {
            guard: malicious(path::Hop::Guard),
            exit: malicious(path::Hop::Exit),
            destination: malicious(path::Hop::Destination),
        }
    }

    /// Whether the client's address and the node that is asked can be joined by timing.
    pub(super) const fn both(self) -> bool {
        self.guard && (self.exit || self.destination)
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Delivered,
    /// All tries failed, or there was no path.
    GivenUp,
}

/// A request with all that became of it.
#[derive(Debug)]
pub(super) struct Request {
    contact: usize,
    bytes: Vec<u8>,
    pub(super) sent: Instant,
    pub(super) tries: u32,
    pub(super) ended: Option<(Instant, Ending)>,
    /// Of the first path.
    pub(super) first: Option<Ends>,
    /// Whether any try had both ends malicious.
    pub(super) ever_both: bool,
    /// Rules that the first path broke.
    pub(super) relaxed: Vec<Rule>,
}

#[derive(Debug)]
struct Attempt {
    request: u32,
    path: Path,
    opener: ReplyOpener,
}

/// How tries failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Failures {
    pub(super) guard_unreachable: u64,
    pub(super) edge: u64,
    pub(super) hop: u64,
    pub(super) silent: u64,
    pub(super) no_path: u64,
}

#[derive(Debug)]
pub(super) struct Client {
    /// Among all parties.
    party: u32,
    /// Among clients.
    index: u32,
    settings: Clients,
    random: Stream,
    pub(super) pace: Stream,
    machine: PathMachine,
    contacts: Vec<Contact>,
    attempts: BTreeMap<u64, Attempt>,
    probes: BTreeMap<u64, NodeId>,
    streams: u64,
    wake_at: Option<Instant>,
    pub(super) requests: Vec<Request>,
    pub(super) failures: Failures,
}

/// Places of the two numberings of hops.
const fn place(hop: Hop) -> path::Hop {
    match hop {
        Hop::Guard => path::Hop::Guard,
        Hop::Middle => path::Hop::Middle,
        Hop::Exit => path::Hop::Exit,
        Hop::Destination => path::Hop::Destination,
    }
}

impl Client {
    pub(super) fn new(
        party: u32,
        index: u32,
        settings: &Clients,
        world: &World,
        streams: &Streams,
    ) -> Self {
        let mut random = streams.stream(Entity::Client(index), "paths");
        let mut accounts = streams.stream(Entity::Client(index), "contacts");
        let now = calendar(Instant::START);
        let mut machine = PathMachine::new(PathState::default(), now);
        machine.handle_directory(now, &world.candidates, random.rng());
        let contacts = (0..settings.contacts).map(|_| {
            let account: [u8; 32] = accounts.bytes();
            let key = IsolationKey::new(&index.to_le_bytes(), &account, "send");
            Contact { point: point(&account), key }
        });
        Self {
            party,
            index,
            settings: settings.clone(),
            contacts: contacts.collect(),
            random,
            pace: streams.stream(Entity::Client(index), "pace"),
            machine,
            attempts: BTreeMap::new(),
            probes: BTreeMap::new(),
            streams: 0,
            wake_at: None,
            requests: Vec::new(),
            failures: Failures::default(),
        }
    }

    /// The bytes of a request that must stand in no packet.
    pub(super) fn marker(&self, request: u32) -> Option<&[u8]> {
        let request = self.requests.get(usize::try_from(request).ok()?)?;
        request.bytes.get(..MARKER_LEN)
    }

    /// Guards in the sample.
    pub(super) fn guards(&self) -> usize {
        self.machine.status().guards.len()
    }

    /// Sends a new request to one of the contacts.
    pub(super) fn handle_request(
        &mut self,
        world: &World,
        now: Instant,
    ) -> Result<Vec<Action>, OnionSimError> {
        let mut bytes = vec![0; self.settings.request];
        for chunk in bytes.chunks_mut(32) {
            let random: [u8; 32] = self.pace.bytes();
            chunk.copy_from_slice(&random[..chunk.len()]);
        }
        let contact = self.pace.index(self.contacts.len());
        let number = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        self.requests.push(Request {
            contact,
            bytes,
            sent: now,
            tries: 0,
            ended: None,
            first: None,
            ever_both: false,
            relaxed: Vec::new(),
        });
        self.start_try(world, now, number)
    }

    /// The members of a mailbox's swarm that failed least lately, one of them at random.
    fn destination(&mut self, world: &World, now: Instant, point: Point) -> Option<Destination> {
        let keepers = world.keepers(point);
        let charge = |node: &NodeId| self.machine.charge(calendar(now), node);
        let least = keepers.iter().map(|keeper| charge(&keeper.node)).min()?;
        let best: Vec<_> = keepers.iter().filter(|k| charge(&k.node) == least).collect();
        let chosen = self.random.index(best.len());
        best.get(chosen).map(|candidate| Destination::from(**candidate))
    }

    fn draw(&mut self, world: &World, now: Instant, contact: usize) -> Option<Path> {
        let Contact { point, key } = self.contacts.get(contact)?;
        let (point, key) = (*point, *key);
        let destination = self.destination(world, now, point)?;
        self.machine.draw(calendar(now), &key, &destination, self.random.rng()).ok()
    }

    /// Tries a request once more, or gives it up.
    fn start_try(
        &mut self,
        world: &World,
        now: Instant,
        number: u32,
    ) -> Result<Vec<Action>, OnionSimError> {
        let at = usize::try_from(number).unwrap_or(usize::MAX);
        let Some(request) = self.requests.get(at) else { return Ok(Vec::new()) };
        let path = if request.tries < self.settings.tries {
            let path = self.draw(world, now, request.contact);
            self.failures.no_path += u64::from(path.is_none());
            path
        } else {
            None
        };
        let request = &mut self.requests[at];
        let Some(path) = path else {
            request.ended = Some((now, Ending::GivenUp));
            return Ok(Vec::new());
        };
        let ends = Ends::of(&path, world);
        if request.first.is_none() {
            request.first = Some(ends);
            request.relaxed.clone_from(&path.relaxed);
        }
        request.tries += 1;
        request.ever_both |= ends.both();
        let targets = self.targets(world, &path)?;
        let reply_class = self.reply_class();
        let request = &self.requests[at];
        let (packet, opener) = build(
            self.random.rng(),
            &world.network,
            &targets,
            SizeClass::for_request(request.bytes.len()).unwrap_or(SizeClass::K128),
            reply_class,
            calendar(now).minute(),
            &request.bytes,
        )?;
        let to = world.index(&path.guard()).ok_or(OnionSimError::NoSuchNode)?;
        let stream = self.open_stream();
        let tag = Tag { client: self.index, request: number };
        self.attempts.insert(stream.number, Attempt { request: number, path, opener });
        let message = Message::Packet { bytes: packet.into_bytes(), tag };
        let time = self.settings.timeout;
        Ok(vec![Action::Send { to, stream, message }, Action::Wait { stream, time }])
    }

    /// The four nodes with their keys.
    fn targets(&self, world: &World, path: &Path) -> Result<[HopTarget; HOPS], OnionSimError> {
        let nodes = Hop::ALL.map(|hop| path.node(place(hop)));
        if nodes.iter().enumerate().any(|(at, node)| nodes[..at].contains(node)) {
            return Err(OnionSimError::FourNodes { client: self.index });
        }
        let mut targets = Vec::with_capacity(HOPS);
        for node in nodes {
            targets.push(world.listed(&node).ok_or(OnionSimError::NoSuchNode)?.target);
        }
        targets.try_into().map_err(|_| OnionSimError::NoSuchNode)
    }

    /// The smallest class that takes the reply in one frame, else the largest.
    fn reply_class(&self) -> SizeClass {
        let fits = |class: &SizeClass| reply_capacity(*class) >= self.settings.reply;
        SizeClass::ALL.into_iter().find(fits).unwrap_or(SizeClass::K128)
    }

    const fn open_stream(&mut self) -> StreamId {
        let number = self.streams;
        self.streams += 1;
        StreamId { opener: self.party, number }
    }

    /// The answer to a try. One that comes after its deadline is not looked at.
    pub(super) fn handle_frames(
        &mut self,
        world: &World,
        now: Instant,
        number: u64,
        frames: &[Vec<u8>],
    ) -> Result<Vec<Action>, OnionSimError> {
        let Some(mut attempt) = self.attempts.remove(&number) else { return Ok(Vec::new()) };
        let mut assembler = ReplyAssembler::new(self.settings.reply);
        let mut item = None;
        for frame in frames {
            let Ok(opened) = attempt.opener.open(frame) else { break };
            let Ok(found) = assembler.push(opened) else { break };
            item = found.or(item);
        }
        let failure = match item.filter(|_| attempt.opener.has_ended()) {
            Some(Item::Reply(reply)) => {
                self.delivered(now, &attempt, &reply)?;
                return Ok(Vec::new());
            }
            Some(Item::Failed { from_hop, error }) => {
                let hop = place(from_hop);
                let edge = FailedEdge::named_by(hop).filter(|_| error.blames_next());
                edge.map_or(Failure::Hop(FailedHop(hop)), Failure::Edge)
            }
            Some(Item::Heartbeat(_)) | None => Failure::Silent,
        };
        self.failed(world, now, &attempt, failure)
    }

    fn delivered(
        &mut self,
        now: Instant,
        attempt: &Attempt,
        reply: &[u8],
    ) -> Result<(), OnionSimError> {
        self.machine.handle_success(calendar(now), &attempt.path);
        let at = usize::try_from(attempt.request).unwrap_or(usize::MAX);
        let wrong = OnionSimError::Whole { client: self.index };
        let Some(request) = self.requests.get_mut(at) else { return Err(wrong) };
        if answer(&request.bytes, self.settings.reply) != reply {
            return Err(wrong);
        }
        request.ended = Some((now, Ending::Delivered));
        Ok(())
    }

    fn failed(
        &mut self,
        world: &World,
        now: Instant,
        attempt: &Attempt,
        failure: Failure,
    ) -> Result<Vec<Action>, OnionSimError> {
        match failure {
            Failure::Edge(_) => self.failures.edge += 1,
            Failure::Hop(_) => self.failures.hop += 1,
            Failure::Silent => self.failures.silent += 1,
        }
        self.machine.handle_failure(calendar(now), &attempt.path, failure);
        self.start_try(world, now, attempt.request)
    }

    /// A try was not answered in time.
    pub(super) fn handle_deadline(
        &mut self,
        world: &World,
        now: Instant,
        number: u64,
    ) -> Result<Vec<Action>, OnionSimError> {
        let Some(attempt) = self.attempts.remove(&number) else { return Ok(Vec::new()) };
        self.failed(world, now, &attempt, Failure::Silent)
    }

    /// The guard did not accept the packet.
    pub(super) fn handle_reset(
        &mut self,
        world: &World,
        now: Instant,
        number: u64,
    ) -> Result<Vec<Action>, OnionSimError> {
        let Some(attempt) = self.attempts.remove(&number) else { return Ok(Vec::new()) };
        self.failed(world, now, &attempt, Failure::Hop(FailedHop(path::Hop::Guard)))
    }

    /// A guard is not there.
    pub(super) fn handle_unreachable(
        &mut self,
        world: &World,
        now: Instant,
        number: u64,
    ) -> Result<Vec<Action>, OnionSimError> {
        if let Some(guard) = self.probes.remove(&number) {
            self.machine.handle_guard_unreachable(calendar(now), guard);
        }
        let Some(attempt) = self.attempts.remove(&number) else { return Ok(Vec::new()) };
        self.failures.guard_unreachable += 1;
        self.machine.handle_guard_unreachable(calendar(now), attempt.path.guard());
        self.start_try(world, now, attempt.request)
    }

    /// A guard that was asked is there.
    pub(super) fn handle_pong(&mut self, now: Instant, number: u64) {
        if let Some(guard) = self.probes.remove(&number) {
            self.machine.handle_guard_reachable(calendar(now), guard);
        }
    }

    /// The path machine's time has come.
    pub(super) fn handle_wake(&mut self, now: Instant) {
        self.machine.handle_timeout(calendar(now), self.random.rng());
    }

    /// After anything else: what the path machine wants, and when it wants to be woken, if it has
    /// not said so yet.
    pub(super) fn settle(&mut self, world: &World, now: Instant) -> (Vec<Action>, Option<Instant>) {
        let mut actions = Vec::new();
        while let Some(event) = self.machine.poll_event() {
            if let PathEvent::ProbeGuard { node } = event
                && let Some(to) = world.index(&node)
            {
                let stream = self.open_stream();
                self.probes.insert(stream.number, node);
                actions.push(Action::Send { to, stream, message: Message::Ping });
            }
        }
        // At least a millisecond ahead, the calendar's resolution, so that time goes on.
        let soonest = now.saturating_add(Duration::from_millis(1));
        let wanted = self.machine.poll_timeout().map(|time| moment(time).max(soonest));
        let pending = self.wake_at.filter(|at| *at > now);
        let wake = wanted.filter(|wanted| pending.is_none_or(|pending| *wanted < pending));
        self.wake_at = wake.or(pending);
        (actions, wake)
    }

    /// Whether a request is not at its end yet.
    pub(super) fn is_busy(&self) -> bool {
        !self.attempts.is_empty()
    }
}
