//! One client over months: it asks its contacts' swarms again and again, and its guards come and go.

use std::collections::BTreeSet;

use enjambre_protocol::swarm::{Point, point};

use super::world::World;
use crate::scenario::Paths;
use crate::stream::{Entity, Stream, Streams};

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
pub(super) trait Chooser: Sized {
    /// A client's choices from when it begins, with a stream of its own.
    fn begin(paths: &Paths, index: u32, random: &Stream, world: &World<'_>, now: u64) -> Self;
    /// When a kept node's life ends.
    fn next_change(&self) -> Option<u64>;
    /// Gives up what has come to its end, and chooses others.
    fn change(&mut self, world: &World<'_>, now: u64);
    /// The directory has changed.
    fn look(&mut self, world: &World<'_>, now: u64);
    /// The guards that paths start at.
    fn guards_in_use(&self, world: &World<'_>, each: &mut dyn FnMut(u32));
    /// A path to one of the contacts; none if no member of its swarm, or too few others, are listed.
    fn choose(&mut self, world: &World<'_>, now: u64, contacts: &[Contact]) -> Option<Hops>;
}

/// What a client lived through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Record {
    /// When it began, and how long it was watched, in milliseconds.
    pub(super) began: u64,
    pub(super) watched: u64,
    pub(super) requests: u64,
    /// Requests for which too few nodes were listed.
    pub(super) unserved: u64,
    /// Different guards that were in use at one time or another.
    pub(super) guards: u64,
    /// Requests whose guard was malicious.
    pub(super) guard_malicious: u64,
    /// Requests whose guard and exit, or guard and destination, were.
    pub(super) both_ends: u64,
    /// Milliseconds from its beginning until a malicious guard was in use.
    pub(super) first_guard: Option<u64>,
    /// Until a request with a malicious middle, who sees the guard.
    pub(super) first_middle: Option<u64>,
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

/// A client that lives through one stretch of time after the other.
#[derive(Debug)]
pub(super) struct Client<C> {
    index: u32,
    /// Where its contacts' mailboxes are.
    points: Vec<Point>,
    contacts: Vec<Contact>,
    /// None before it begins.
    chooser: Option<C>,
    guards: Guards,
    record: Record,
    /// When it asks next.
    next: u64,
    /// Time between two requests.
    every: u64,
    end: u64,
    random: Stream,
}

impl<C: Chooser> Client<C> {
    pub(super) fn new(paths: &Paths, streams: &Streams, index: u32) -> Self {
        let entity = Entity::Client(index);
        let mut pace = streams.stream(entity, "pace");
        let mut accounts = streams.stream(entity, "contacts");
        let points = (0..paths.contacts).map(|_| point(&accounts.bytes())).collect();
        let began = pace.below(paths.join_within + 1);
        let watched = paths.span.saturating_sub(began);
        Self {
            index,
            points,
            contacts: Vec::new(),
            chooser: None,
            guards: Guards::default(),
            record: Record { began, watched, ..Record::default() },
            next: began + pace.below(paths.every),
            every: paths.every,
            end: paths.span,
            random: streams.stream(entity, "paths"),
        }
    }

    /// Lives through the time from a look at the directory until just before the next one.
    pub(super) fn live(
        &mut self,
        paths: &Paths,
        world: &World<'_>,
        from: u64,
        until: u64,
        change: Change,
    ) -> Result<(), Broken> {
        if self.record.began >= until {
            return Ok(());
        }
        if self.chooser.is_none() || change == Change::Swarms {
            let groups = self.points.iter().filter_map(|point| world.keepers(*point));
            self.contacts = groups.map(|group| Contact { group }).collect();
        }
        let mut chooser = match self.chooser.take() {
            Some(mut chooser) => {
                if change != Change::None {
                    chooser.look(world, from);
                    self.guards.look(&chooser, world, &mut self.record, from);
                }
                chooser
            }
            None => {
                let began = self.record.began;
                let chooser = C::begin(paths, self.index, &self.random, world, began);
                self.guards.look(&chooser, world, &mut self.record, began);
                chooser
            }
        };
        let last = self.end.min(until - 1);
        loop {
            let until = self.next.min(last);
            while let Some(change) = chooser.next_change().filter(|at| *at <= until) {
                chooser.change(world, change);
                self.guards.look(&chooser, world, &mut self.record, change);
            }
            if self.next > last {
                self.chooser = Some(chooser);
                return Ok(());
            }
            match chooser.choose(world, self.next, &self.contacts) {
                Some(hops) => self.record.take(world, hops, self.next)?,
                None if paths.churn.is_none() => return Err(Broken::NoPath),
                None => self.record.miss(),
            }
            self.next += self.every;
        }
    }

    /// What it lived through.
    pub(super) const fn record(&self) -> Record {
        self.record
    }
}

/// What is another in the directory than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    None,
    /// Who is listed, of nodes and swarms that are the same.
    Listed,
    /// Nodes, and so perhaps swarms.
    Swarms,
}

/// All guards that were ever in use, by number.
#[derive(Debug, Default)]
struct Guards(BTreeSet<u32>);

impl Guards {
    fn look(&mut self, chooser: &impl Chooser, world: &World<'_>, record: &mut Record, now: u64) {
        let mut is_malicious = false;
        chooser.guards_in_use(world, &mut |node| {
            self.0.insert(world.number(node));
            is_malicious |= world.is_malicious(node);
        });
        record.guards = self.0.len() as u64;
        if is_malicious {
            record.first_guard.get_or_insert(now - record.began);
        }
    }
}

impl Record {
    /// A request for which too few nodes were listed.
    const fn miss(&mut self) {
        self.unserved += 1;
        self.fold = !self.fold.rotate_left(29);
    }

    #[inline(always)]
    fn take(&mut self, world: &World<'_>, hops: Hops, now: u64) -> Result<(), Broken> {
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
        // Places are below 10 000. Any mixing would do: it tells two runs apart and is not for security.
        let hops = [guard, middle, exit, destination];
        let packed = hops.iter().fold(0, |packed: u64, hop| packed << 16 | u64::from(*hop));
        self.fold = (self.fold ^ packed).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        if self.first_middle.is_none() && world.is_malicious(middle) {
            self.first_middle = Some(now - self.began);
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
