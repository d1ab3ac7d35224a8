//! One client over months: it asks its contacts' swarms again and again, and its guards come and go.

use enjambre_protocol::swarm::point;

use super::machine::Machine;
use super::sampler::Sampler;
use super::world::World;
use crate::scenario::{Paths, Selection};
use crate::stream::fast::Fast;
use crate::stream::{Entity, Streams};

/// A mailbox that the client asks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Contact {
    /// The number of its swarm.
    pub(super) group: u32,
}

/// The four nodes of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hops {
    pub(super) guard: u32,
    pub(super) middle: u32,
    pub(super) exit: u32,
    pub(super) destination: u32,
}

/// How a client chooses: the path machine, or the sampler. Times are milliseconds since the start.
pub(super) trait Chooser {
    /// When a kept node's life ends.
    fn next_change(&self) -> Option<u64>;
    /// Gives up what has come to its end, and chooses others.
    fn change(&mut self, world: &World, now: u64);
    /// The guards that paths start at.
    fn guards_in_use(&self, world: &World, each: &mut dyn FnMut(u32));
    /// A path to one of the contacts.
    fn choose(&mut self, world: &World, now: u64, contacts: &[Contact]) -> Option<Hops>;
}

/// What a client lived through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// When it began, and how long it was watched, in milliseconds.
    pub(super) began: u64,
    pub(super) watched: u64,
    pub(super) requests: u64,
    /// Guards in use at one time or another, counted again when chosen again.
    pub(super) guards: u64,
    /// Requests whose guard was malicious.
    pub(super) guard_malicious: u64,
    /// Requests whose guard and exit, or guard and destination, were.
    pub(super) both_ends: u64,
    /// Milliseconds from its beginning until a malicious guard was in use.
    pub(super) first_guard: Option<u64>,
    /// Until a request with both ends observed.
    pub(super) first_both: Option<u64>,
    /// All hops of all requests, folded.
    pub(super) fold: u64,
}

/// Why a client's life was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    NoPath,
    NotFour,
}

/// Lets the client with this index live.
pub(super) fn live(
    paths: &Paths,
    world: &World,
    streams: &Streams,
    index: u32,
) -> Result<Record, Broken> {
    let entity = Entity::Client(index);
    let mut pace = streams.stream(entity, "pace");
    let mut accounts = streams.stream(entity, "contacts");
    let contacts = (0..paths.contacts).map(|_| world.keepers(point(&accounts.bytes())));
    let contacts: Option<Vec<Contact>> =
        contacts.map(|group| group.map(|group| Contact { group })).collect();
    let contacts = contacts.ok_or(Broken::NoPath)?;
    let began = pace.below(paths.join_within + 1);
    let first = began + pace.below(paths.every);
    let span = Span { began, first, every: paths.every, end: paths.span };
    let random = streams.stream(entity, "paths");
    match paths.selection {
        Selection::Machine => {
            watch(Machine::new(index, random, world, began), world, &contacts, span)
        }
        Selection::Sampler(settings) => {
            let fast = Fast::from_stream(&mut { random });
            watch(Sampler::new(settings, fast, world, began), world, &contacts, span)
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Span {
    began: u64,
    first: u64,
    every: u64,
    end: u64,
}

/// Guards in use, to see who is new among them.
#[derive(Debug, Default)]
struct Guards(Vec<u32>);

impl Guards {
    fn look(&mut self, chooser: &impl Chooser, world: &World, record: &mut Record, now: u64) {
        let mut there = Vec::with_capacity(self.0.len());
        chooser.guards_in_use(world, &mut |node| there.push(node));
        record.guards += there.iter().filter(|node| !self.0.contains(node)).count() as u64;
        if there.iter().any(|node| world.is_malicious(*node)) {
            record.first_guard.get_or_insert(now - record.began);
        }
        self.0 = there;
    }
}

fn watch(
    mut chooser: impl Chooser,
    world: &World,
    contacts: &[Contact],
    span: Span,
) -> Result<Record, Broken> {
    let watched = span.end.saturating_sub(span.began);
    let mut record = Record { began: span.began, watched, ..Record::default() };
    let mut guards = Guards::default();
    guards.look(&chooser, world, &mut record, span.began);
    let mut now = span.first;
    loop {
        while let Some(change) = chooser.next_change().filter(|at| *at <= now.min(span.end)) {
            chooser.change(world, change);
            guards.look(&chooser, world, &mut record, change);
        }
        if now > span.end {
            return Ok(record);
        }
        let hops = chooser.choose(world, now, contacts).ok_or(Broken::NoPath)?;
        record.take(world, hops, now)?;
        now += span.every;
    }
}

impl Record {
    #[inline]
    fn take(&mut self, world: &World, hops: Hops, now: u64) -> Result<(), Broken> {
        let Hops { guard, middle, exit, destination } = hops;
        let four = guard != middle
            && guard != exit
            && guard != destination
            && middle != exit
            && middle != destination
            && exit != destination;
        if !four {
            return Err(Broken::NotFour);
        }
        self.requests += 1;
        for node in [guard, middle, exit, destination] {
            // Any mixing would do: it tells two runs apart and is not for security.
            self.fold =
                (self.fold ^ u64::from(node)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        }
        if world.is_malicious(guard) {
            self.guard_malicious += 1;
            // A guard outside of those in use serves where no other is allowed.
            self.first_guard.get_or_insert(now - self.began);
            if world.is_malicious(exit) || world.is_malicious(destination) {
                self.both_ends += 1;
                self.first_both.get_or_insert(now - self.began);
            }
        }
        Ok(())
    }
}
