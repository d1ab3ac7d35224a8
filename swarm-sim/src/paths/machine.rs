//! The protocol's own path machine as a client's chooser.

use enjambre_protocol::path::{Destination, IsolationKey, PathMachine, PathState};

use super::client::{Chooser, Contact, Hops};
use super::world::{World, calendar, since_start};
use crate::scenario::Paths;
use crate::stream::Stream;

#[derive(Debug)]
pub(super) struct Machine {
    machine: PathMachine,
    random: Stream,
    index: u32,
}

impl Machine {
    pub(super) fn new(index: u32, mut random: Stream, world: &World<'_>, now: u64) -> Self {
        let mut machine = PathMachine::new(PathState::default(), calendar(now));
        machine.handle_directory(calendar(now), &world.listed, random.rng());
        Self { machine, random, index }
    }
}

impl Chooser for Machine {
    fn begin(_: &Paths, index: u32, random: &Stream, world: &World<'_>, now: u64) -> Self {
        Self::new(index, random.clone(), world, now)
    }

    fn next_change(&self) -> Option<u64> {
        self.machine.poll_timeout().map(since_start)
    }

    fn change(&mut self, _world: &World<'_>, now: u64) {
        self.machine.handle_timeout(calendar(now), self.random.rng());
        while self.machine.poll_event().is_some() {}
    }

    fn look(&mut self, world: &World<'_>, now: u64) {
        self.machine.handle_directory(calendar(now), &world.listed, self.random.rng());
        while self.machine.poll_event().is_some() {}
    }

    fn guards_in_use(&self, world: &World<'_>, each: &mut dyn FnMut(u32)) {
        self.machine.guards_in_use().iter().filter_map(|node| world.index(node)).for_each(each);
    }

    fn choose(&mut self, world: &World<'_>, now: u64, contacts: &[Contact]) -> Option<Hops> {
        let at = self.random.index(contacts.len());
        let members = world.members_of(contacts.get(at)?.group);
        let member = *members.get(self.random.index(members.len()))?;
        let destination = Destination::from(world.candidate(member)?);
        let contact = u64::try_from(at).unwrap_or(u64::MAX);
        let key = IsolationKey::new(&self.index.to_le_bytes(), &contact.to_le_bytes(), "send");
        let path = self.machine.draw(calendar(now), &key, &destination, self.random.rng()).ok()?;
        let hop = |node| world.index(&node);
        Some(Hops {
            guard: hop(path.guard())?,
            middle: hop(path.middle())?,
            exit: hop(path.exit())?,
            destination: member,
        })
    }
}
