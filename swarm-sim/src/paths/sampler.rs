//! The fast sampler: the path machine's choices where nothing fails and no two nodes share a family or a prefix, with
//! settings for what the machine has fixed. That both choose alike is tested by chi-square.
//!
//! Guards stand in different swarms and outlive the choice of others; the second layer is two members in each of two
//! swarms (reserves count as one). A draw costs a few random numbers and a look into the alias table.

use super::client::{Chooser, Contact, Hops};
use super::world::World;
use crate::scenario::{Sampler as Settings, SecondLayer};
use crate::stream::fast::{Fast, index};

/// Members of a full second layer.
const LAYER: usize = 4;

/// A node that is kept until a time, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Kept {
    node: u32,
    group: u32,
    until: u64,
}

#[derive(Debug)]
pub(super) struct Sampler {
    settings: Settings,
    fast: Fast,
    guards: Vec<Kept>,
    middles: Vec<Kept>,
    /// When the first of their lives ends.
    next: u64,
}

/// Two halves of 64 random bits.
#[expect(clippy::cast_possible_truncation, reason = "halves")]
const fn halves(bits: u64) -> (u32, u32) {
    (bits as u32, (bits >> 32) as u32)
}

impl Sampler {
    pub(super) fn new(settings: Settings, fast: Fast, world: &World, now: u64) -> Self {
        let mut sampler = Self { settings, fast, guards: Vec::new(), middles: Vec::new(), next: 0 };
        sampler.fill(world, now);
        sampler
    }

    fn until(&mut self, now: u64, least: u64, most: u64) -> u64 {
        now + least + self.fast.below(most - least + 1)
    }

    fn is_kept(&self, node: u32) -> bool {
        self.guards.iter().chain(&self.middles).any(|kept| kept.node == node)
    }

    /// Draws by weight among all nodes until one is allowed.
    fn draw(&mut self, world: &World, allowed: impl Fn(&Self, u32, u32) -> bool) -> Kept {
        loop {
            let node = world.table.draw(&mut self.fast);
            let group = world.group_of(node);
            if allowed(self, node, group) {
                return Kept { node, group, until: 0 };
            }
        }
    }

    fn fill(&mut self, world: &World, now: u64) {
        self.fill_layers(world, now);
        let ends = self.guards.iter().chain(&self.middles).map(|kept| kept.until);
        self.next = ends.min().unwrap_or(u64::MAX);
    }

    /// Guards first, then the second layer, as the machine does.
    fn fill_layers(&mut self, world: &World, now: u64) {
        while self.guards.len() < self.settings.guards {
            let guard = self.draw(world, |own, node, group| {
                let mates = own.guards.iter().filter(|guard| guard.group == group).count();
                // At most half of the reserves, and one of a swarm.
                let most = if world.is_swarm(group) {
                    1
                } else {
                    (world.members_of(group).len() / 2).max(1)
                };
                mates < most && !own.is_kept(node)
            });
            let until = self.until(now, self.settings.guard_life.0, self.settings.guard_life.1);
            self.guards.push(Kept { until, ..guard });
        }
        let SecondLayer::Pairs { life } = self.settings.second_layer else { return };
        while self.middles.len() < LAYER {
            let middle = match self.partner(world) {
                Some(partner) => partner,
                None => self.draw(world, |own, node, group| {
                    !own.is_kept(node) && !own.middles.iter().any(|m| m.group == group)
                }),
            };
            let until = self.until(now, life.0, life.1);
            self.middles.push(Kept { until, ..middle });
        }
    }

    /// A partner for the oldest member that has none and whose group has one left to give.
    fn partner(&mut self, world: &World) -> Option<Kept> {
        let mates = |group| self.middles.iter().filter(|middle| middle.group == group).count();
        let free =
            |group| world.members_of(group).iter().copied().filter(|node| !self.is_kept(*node));
        let single =
            |middle: &&Kept| mates(middle.group) == 1 && free(middle.group).next().is_some();
        let group = self.middles.iter().find(single)?.group;
        let free: Vec<u32> = free(group).collect();
        let mut left = self.fast.below(free.iter().map(|node| world.weight_of(*node)).sum());
        for node in free {
            let own = world.weight_of(node);
            if left < own {
                return Some(Kept { node, group, until: 0 });
            }
            left -= own;
        }
        None
    }

    /// Guard, and with a single guard possibly another destination: the client asks another member then.
    fn guard(&mut self, members: &[u32], group: u32, destination: &mut u32) -> u32 {
        if let [only] = self.guards[..] {
            while *destination == only.node {
                let (low, _) = halves(self.fast.next());
                *destination = members[index(low, members.len())];
            }
            return only.node;
        }
        loop {
            let (low, high) = halves(self.fast.next());
            let [a, b] = [low, high].map(|bits| self.guards[index(bits, self.guards.len())]);
            if a.group != group {
                return a.node;
            }
            if b.group != group {
                return b.node;
            }
        }
    }
}

impl Chooser for Sampler {
    fn next_change(&self) -> Option<u64> {
        Some(self.next)
    }

    fn change(&mut self, world: &World, now: u64) {
        self.guards.retain(|kept| kept.until > now);
        self.middles.retain(|kept| kept.until > now);
        self.fill(world, now);
    }

    fn guards_in_use(&self, _world: &World, each: &mut dyn FnMut(u32)) {
        self.guards.iter().for_each(|guard| each(guard.node));
    }

    #[inline]
    fn choose(&mut self, world: &World, _now: u64, contacts: &[Contact]) -> Option<Hops> {
        let (low, high) = halves(self.fast.next());
        let group = contacts.get(index(low, contacts.len()))?.group;
        let members = world.members_of(group);
        let mut destination = *members.get(index(high, members.len()))?;
        let guard = self.guard(members, group, &mut destination);
        let middle = if self.middles.is_empty() {
            loop {
                let node = world.table.draw(&mut self.fast);
                if world.group_of(node) != group && node != guard {
                    break node;
                }
            }
        } else {
            loop {
                let (low, high) = halves(self.fast.next());
                let [a, b] = [low, high].map(|bits| self.middles[index(bits, self.middles.len())]);
                if a.group != group {
                    break a.node;
                }
                if b.group != group {
                    break b.node;
                }
            }
        };
        let exit = loop {
            let node = world.table.draw(&mut self.fast);
            if world.group_of(node) != group && node != guard && node != middle {
                break node;
            }
        };
        Some(Hops { guard, middle, exit, destination })
    }
}
