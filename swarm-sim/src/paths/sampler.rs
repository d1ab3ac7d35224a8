//! The fast sampler: the path machine's choices where no two nodes share a family or a prefix and whoever is listed
//! answers, with settings for what the machine has fixed. That both choose alike is tested by chi-square.
//!
//! Guards stand in different swarms and outlive the choice of others; the second layer is two members in each of two
//! swarms (reserves count as one). Who is not listed is kept, but not used, for a week. A draw costs a few random numbers
//! and a look into the alias table.

use super::client::{Chooser, Contact, Hops};
use super::world::World;
use crate::scenario::{Paths, Sampler as Settings, SecondLayer, Selection};
use crate::stream::Stream;
use crate::stream::fast::{Fast, index};

/// Members of a full second layer.
const LAYER: usize = 4;

/// Guards that are kept at most, listed or not (05 paths, section 4).
const GUARDS_KEPT: usize = 20;

/// Members of the second layer that are kept at most, listed or not (05 paths, section 5).
const MIDDLES_KEPT: usize = 16;

/// Milliseconds after which one that is not listed is given up: 7 days.
const MISSING_FOR: u64 = 7 * 86_400_000;

/// A node that is kept until a time, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Kept {
    node: u32,
    /// Of the place, the node that was chosen.
    number: u32,
    /// Its group; no group's while it is not listed.
    group: u32,
    until: u64,
    missing_since: Option<u64>,
}

impl Kept {
    const fn is_listed(&self) -> bool {
        self.missing_since.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Sampler {
    settings: Settings,
    fast: Fast,
    /// All guards that are kept, in the order of their choice, and those of them that paths start at.
    guards: Vec<Kept>,
    in_use: Vec<Kept>,
    /// All members of the second layer that are kept, and those of them that are listed.
    layer: Vec<Kept>,
    middles: Vec<Kept>,
    /// The group of all guards in use, and of all listed middles, where that is one.
    guards_in: Option<u32>,
    middles_in: Option<u32>,
    /// When the first of their lives ends.
    next: u64,
}

/// The group that all share.
fn one_group(kept: &[Kept]) -> Option<u32> {
    let group = kept.first()?.group;
    kept.iter().all(|other| other.group == group).then_some(group)
}

/// Two halves of 64 random bits.
#[expect(clippy::cast_possible_truncation, reason = "halves")]
const fn halves(bits: u64) -> (u32, u32) {
    (bits as u32, (bits >> 32) as u32)
}

/// The guards that paths start at, of those that are active, in their order: as many as are wanted, in different swarms
/// as far as there are such.
fn in_use(active: &[Kept], wanted: usize, world: &World<'_>) -> Vec<Kept> {
    let mut chosen: Vec<Kept> = Vec::with_capacity(wanted);
    let shares = |a: &Kept, b: &Kept| a.group == b.group && world.is_swarm(a.group);
    for guard in active {
        if chosen.len() < wanted && !chosen.iter().any(|other| shares(guard, other)) {
            chosen.push(*guard);
        }
    }
    for guard in active {
        if chosen.len() < wanted && !chosen.iter().any(|other| other.node == guard.node) {
            chosen.push(*guard);
        }
    }
    chosen
}

impl Sampler {
    pub(super) fn new(settings: Settings, fast: Fast, world: &World<'_>, now: u64) -> Self {
        let mut sampler = Self {
            settings,
            fast,
            guards: Vec::new(),
            in_use: Vec::new(),
            layer: Vec::new(),
            middles: Vec::new(),
            guards_in: None,
            middles_in: None,
            next: 0,
        };
        sampler.fill(world, now);
        sampler
    }

    fn until(&mut self, now: u64, least: u64, most: u64) -> u64 {
        now + least + self.fast.below(most - least + 1)
    }

    fn is_kept(&self, node: u32, world: &World<'_>) -> bool {
        // A node that is gone may be kept from the same place.
        let mut kept = self.guards.iter().chain(&self.layer).filter(|kept| kept.node == node);
        kept.any(|kept| kept.number == world.number(node))
    }

    /// Draws by weight among all that are listed, allowed and not kept.
    fn draw(&mut self, world: &World<'_>, allowed: impl Fn(&Self, u32) -> bool) -> Option<Kept> {
        let mut fast = self.fast.clone();
        let own = &*self;
        let node =
            world.draw(&mut fast, |node, group| allowed(own, group) && !own.is_kept(node, world));
        self.fast = fast;
        node.map(|node| Kept::of(world, node))
    }

    fn fill(&mut self, world: &World<'_>, now: u64) {
        let active = self.fill_guards(world, now);
        self.in_use = in_use(&active, self.settings.guards, world);
        self.fill_layer(world, now);
        self.middles = self.layer.iter().copied().filter(Kept::is_listed).collect();
        self.guards_in = one_group(&self.in_use);
        self.middles_in = one_group(&self.middles);
        let ends = self.guards.iter().chain(&self.layer).map(|kept| kept.until);
        self.next = ends.min().unwrap_or(u64::MAX);
    }

    /// The listed guards that the sizes of their swarms bear: half of each.
    fn active(&self, world: &World<'_>) -> Vec<Kept> {
        let mut active: Vec<Kept> = Vec::with_capacity(self.guards.len());
        for guard in self.guards.iter().filter(|guard| guard.is_listed()) {
            let mates = active.iter().filter(|other| other.group == guard.group).count();
            if mates < (world.members_of(guard.group).len() / 2).max(1) {
                active.push(*guard);
            }
        }
        active
    }

    /// Draws guards until enough are active, in more than one swarm if more than one is wanted, and gives the active ones.
    fn fill_guards(&mut self, world: &World<'_>, now: u64) -> Vec<Kept> {
        loop {
            let active = self.active(world);
            let first = active.first().map_or(0, |guard| guard.group);
            let one_swarm =
                world.is_swarm(first) && active.iter().all(|guard| guard.group == first);
            let wanted = self.settings.guards;
            let enough = active.len() >= wanted && (wanted == 1 || !one_swarm);
            if enough || self.guards.len() >= GUARDS_KEPT {
                return active;
            }
            let guard = self.draw(world, |_, group| {
                let mates = active.iter().filter(|guard| guard.group == group).count();
                // At most half of the reserves, and one of a swarm.
                let most = if world.is_swarm(group) {
                    1
                } else {
                    (world.members_of(group).len() / 2).max(1)
                };
                mates < most
            });
            let Some(guard) = guard else { return active };
            let until = self.until(now, self.settings.guard_life.0, self.settings.guard_life.1);
            self.guards.push(Kept { until, ..guard });
        }
    }

    fn fill_layer(&mut self, world: &World<'_>, now: u64) {
        let SecondLayer::Pairs { life } = self.settings.second_layer else { return };
        while self.layer.iter().filter(|middle| middle.is_listed()).count() < LAYER {
            let middle = self.partner(world).or_else(|| {
                self.draw(world, |own, group| {
                    let mut listed = own.layer.iter().filter(|middle| middle.is_listed());
                    !listed.any(|middle| middle.group == group)
                })
            });
            let Some(middle) = middle else { return };
            let until = self.until(now, life.0, life.1);
            self.add_middle(Kept { until, ..middle });
        }
    }

    /// Where too many are kept, the one missing longest makes room.
    fn add_middle(&mut self, middle: Kept) {
        if self.layer.len() >= MIDDLES_KEPT {
            let missing = |(at, kept): (usize, &Kept)| Some((kept.missing_since?, at));
            if let Some((_, at)) = self.layer.iter().enumerate().filter_map(missing).min() {
                self.layer.remove(at);
            }
        }
        self.layer.push(middle);
    }

    /// A partner for the oldest listed member that has none and whose group has one left to give.
    fn partner(&mut self, world: &World<'_>) -> Option<Kept> {
        let listed = || self.layer.iter().filter(|middle| middle.is_listed());
        let mates = |group| listed().filter(|middle| middle.group == group).count();
        let free = |group| {
            let members = world.members_of(group).iter().copied();
            members.filter(|node| !self.is_kept(*node, world))
        };
        let single =
            |middle: &&Kept| mates(middle.group) == 1 && free(middle.group).next().is_some();
        let group = listed().find(single)?.group;
        let free: Vec<u32> = free(group).collect();
        world.pick(&mut self.fast, &free).map(|node| Kept::of(world, node))
    }

    /// Guard, and with a single guard possibly another destination: the client asks another member then. None if there
    /// is no other.
    #[inline(always)]
    fn guard(&mut self, members: &[u32], group: u32, destination: &mut u32) -> Option<u32> {
        if self.in_use.len() < 2 || self.guards_in == Some(group) {
            let only = self.in_use.first()?.node;
            if members == [only] {
                return None;
            }
            while *destination == only {
                let (low, _) = halves(self.fast.next());
                *destination = members[index(low, members.len())];
            }
            return Some(only);
        }
        loop {
            let (low, high) = halves(self.fast.next());
            let [a, b] = [low, high].map(|bits| self.in_use[index(bits, self.in_use.len())]);
            if a.group != group {
                return Some(a.node);
            }
            if b.group != group {
                return Some(b.node);
            }
        }
    }

    /// A member of the second layer outside of the destination's swarm; where there is none, one more is drawn. None if
    /// there is no other.
    #[inline(always)]
    fn middle(&mut self, world: &World<'_>, now: u64, life: (u64, u64), group: u32) -> Option<u32> {
        if self.middles.is_empty() || self.middles_in == Some(group) {
            let middle = self.draw(world, |_, other| other != group)?;
            let until = self.until(now, life.0, life.1);
            self.add_middle(Kept { until, ..middle });
            self.middles = self.layer.iter().copied().filter(Kept::is_listed).collect();
            self.middles_in = one_group(&self.middles);
            self.next = self.next.min(until);
            return Some(middle.node);
        }
        loop {
            let (low, high) = halves(self.fast.next());
            let [a, b] = [low, high].map(|bits| self.middles[index(bits, self.middles.len())]);
            if a.group != group {
                return Some(a.node);
            }
            if b.group != group {
                return Some(b.node);
            }
        }
    }
}

impl Kept {
    /// A node that is listed, just chosen.
    fn of(world: &World<'_>, node: u32) -> Self {
        let (number, group) = (world.number(node), world.group_of(node));
        Self { node, number, group, until: 0, missing_since: None }
    }

    /// Looks for it in the directory.
    fn look(&mut self, world: &World<'_>, now: u64) {
        let is_there = world.number(self.node) == self.number && world.is_listed(self.node);
        self.missing_since = if is_there { None } else { self.missing_since.or(Some(now)) };
        self.group = if is_there { world.group_of(self.node) } else { u32::MAX };
    }

    fn is_given_up(&self, now: u64) -> bool {
        self.missing_since.is_some_and(|since| now - since >= MISSING_FOR)
    }
}

impl Chooser for Sampler {
    fn begin(paths: &Paths, _: u32, random: &Stream, world: &World<'_>, now: u64) -> Self {
        let settings = match paths.selection {
            Selection::Sampler(settings) => settings,
            Selection::Machine | Selection::Deployed { .. } => Settings::PROTOCOL,
        };
        Self::new(settings, Fast::from_stream(&mut random.clone()), world, now)
    }

    fn next_change(&self) -> Option<u64> {
        Some(self.next)
    }

    fn change(&mut self, world: &World<'_>, now: u64) {
        self.guards.retain(|kept| kept.until > now);
        self.layer.retain(|kept| kept.until > now);
        self.fill(world, now);
    }

    fn look(&mut self, world: &World<'_>, now: u64) {
        for kept in self.guards.iter_mut().chain(&mut self.layer) {
            kept.look(world, now);
        }
        self.guards.retain(|kept| !kept.is_given_up(now));
        self.layer.retain(|kept| !kept.is_given_up(now));
        self.change(world, now);
    }

    fn guards_in_use(&self, _world: &World<'_>, each: &mut dyn FnMut(u32)) {
        self.in_use.iter().for_each(|guard| each(guard.node));
    }

    #[inline(always)]
    fn choose(&mut self, world: &World<'_>, now: u64, contacts: &[Contact]) -> Option<Hops> {
        let (low, high) = halves(self.fast.next());
        let group = contacts.get(index(low, contacts.len()))?.group;
        let members = world.members_of(group);
        let mut destination = *members.get(index(high, members.len()))?;
        let guard = self.guard(members, group, &mut destination)?;
        let middle = match self.settings.second_layer {
            SecondLayer::Pairs { life } => self.middle(world, now, life, group)?,
            SecondLayer::None => {
                world.draw(&mut self.fast, |node, of| of != group && node != guard)?
            }
        };
        let exit = world
            .draw(&mut self.fast, |node, of| of != group && node != guard && node != middle)?;
        Some(Hops { guard, middle, exit, destination })
    }
}
