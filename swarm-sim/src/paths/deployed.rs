//! How the deployed network's clients choose, for comparison with the protocol's own rules.
//!
//! Written after a description of its desktop client: two paths of three hops, each with a guard of its own. Guards
//! alone outlive a restart of the client; when one of the two is gone, both are drawn anew. Nothing ends a path but a
//! node that is gone or a restart: then the hops behind the guard are drawn afresh. A hop behind the guard that is gone
//! is left out, those behind it move up, and a random node is put at the end. Nodes are drawn uniformly; the hops of a
//! path differ in prefix, but the guard's does not count, and no node stands in two paths. A request takes a random path without its destination.
//!
//! Where the description leaves room: a node is gone for a client when the directory no longer lists it, at its next look. Tests of guards before their
//! first use, failures counted on paths and nodes, and retries are not here.

use super::client::{Chooser, Contact, Hops};
use super::world::World;
use crate::scenario::{Paths, Selection};
use crate::stream::Stream;
use crate::stream::fast::{Fast, index};

/// Paths, each with its guard.
const PATHS: usize = 2;

/// Hops of a path behind the guard.
const BEHIND: usize = 2;

/// Draws before hops are taken in spite of their prefixes: where few prefixes exist, none may be left.
const TRIES: u32 = 1000;

/// A node of a path, with its number among all that ever were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Hop {
    node: u32,
    number: u32,
}

impl Hop {
    fn is_there(self, world: &World<'_>) -> bool {
        world.is_listed(self.node) && world.number(self.node) == self.number
    }
}

#[derive(Debug)]
struct Path {
    guard: Hop,
    behind: Vec<Hop>,
}

impl Path {
    fn hops(&self) -> impl Iterator<Item = &Hop> {
        [&self.guard].into_iter().chain(&self.behind)
    }

    fn has(&self, node: u32) -> bool {
        self.hops().any(|hop| hop.node == node)
    }
}

#[derive(Debug)]
pub(super) struct Deployed {
    fast: Fast,
    paths: Vec<Path>,
    /// Milliseconds from one start of the client to the next.
    restart: u64,
    next: u64,
}

impl Deployed {
    fn is_taken(&self, node: u32) -> bool {
        self.paths.iter().any(|path| path.has(node))
    }

    /// A node that stands in no path, if there is one with a prefix that these do not have.
    fn draw(&mut self, world: &World<'_>, apart_from: &[Hop]) -> Option<Hop> {
        let prefix = |node| world.candidate(node).map(|candidate| candidate.prefix);
        let mut found = None;
        for _ in 0..TRIES {
            let at = self.fast.below(world.listed_places.len() as u64);
            let node = *world.listed_places.get(usize::try_from(at).ok()?)?;
            if self.is_taken(node) {
                continue;
            }
            found = Some(Hop { node, number: world.number(node) });
            if !apart_from.iter().any(|hop| prefix(hop.node) == prefix(node)) {
                break;
            }
        }
        found
    }

    /// Puts nodes at the end of a path until it is whole.
    fn extend(&mut self, world: &World<'_>, at: usize) {
        while let Some(path) = self.paths.get(at).filter(|path| path.behind.len() < BEHIND) {
            let behind = path.behind.clone();
            let Some(hop) = self.draw(world, &behind) else { return };
            self.paths[at].behind.push(hop);
        }
    }

    /// Two paths with new guards.
    fn begin_anew(&mut self, world: &World<'_>) {
        self.paths.clear();
        for _ in 0..PATHS {
            let Some(guard) = self.draw(world, &[]) else { return };
            self.paths.push(Path { guard, behind: Vec::new() });
        }
        (0..PATHS).for_each(|at| self.extend(world, at));
    }
}

impl Chooser for Deployed {
    fn begin(paths: &Paths, _: u32, random: &Stream, world: &World<'_>, now: u64) -> Self {
        let restart = match paths.selection {
            Selection::Deployed { restart } => restart,
            Selection::Machine | Selection::Sampler(_) => u64::MAX - now,
        };
        let fast = Fast::from_stream(&mut random.clone());
        let mut chooser = Self { fast, paths: Vec::new(), restart, next: now + restart };
        chooser.begin_anew(world);
        chooser
    }

    fn next_change(&self) -> Option<u64> {
        Some(self.next)
    }

    /// The client starts again.
    fn change(&mut self, world: &World<'_>, now: u64) {
        self.next = now + self.restart;
        self.paths.iter_mut().for_each(|path| path.behind.clear());
        (0..self.paths.len()).for_each(|at| self.extend(world, at));
    }

    fn look(&mut self, world: &World<'_>, _now: u64) {
        let guards = self.paths.iter().filter(|path| path.guard.is_there(world)).count();
        if guards < PATHS {
            self.begin_anew(world);
            return;
        }
        for path in &mut self.paths {
            path.behind.retain(|hop| hop.is_there(world));
        }
        (0..self.paths.len()).for_each(|at| self.extend(world, at));
    }

    fn guards_in_use(&self, _world: &World<'_>, each: &mut dyn FnMut(u32)) {
        self.paths.iter().for_each(|path| each(path.guard.node));
    }

    fn choose(&mut self, world: &World<'_>, _now: u64, contacts: &[Contact]) -> Option<Hops> {
        let bits = self.fast.next().to_le_bytes();
        let half = |from: usize| {
            u32::from_le_bytes([bits[from], bits[from + 1], bits[from + 2], bits[from + 3]])
        };
        let group = contacts.get(index(half(0), contacts.len()))?.group;
        let members = world.members_of(group);
        let destination = *members.get(index(half(4), members.len()))?;
        let free = self.paths.iter().filter(|path| !path.has(destination));
        let free: Vec<&Path> = free.filter(|path| path.behind.len() == BEHIND).collect();
        let at = usize::try_from(self.fast.below(free.len() as u64)).ok()?;
        let path = *free.get(at)?;
        let [middle, exit] = [path.behind[0].node, path.behind[1].node];
        Some(Hops { guard: path.guard.node, middle, exit, destination })
    }
}

#[cfg(test)]
mod tests {
    use core::time::Duration;
    use std::collections::BTreeSet;

    use super::*;
    use crate::paths::client::Change;
    use crate::scenario::{Network, Owned, PathsChurn, Share, Weights};
    use crate::stream::{Entity, Streams};

    const DAY: u64 = 86_400_000;

    fn network(subnets: Option<u32>) -> Paths {
        let days = |days: u64| Duration::from_millis(days * DAY);
        let churn = PathsChurn {
            life: Some(days(60)),
            up_and_down: Some((days(30), days(1))),
            document: DAY,
            ..PathsChurn::default()
        };
        Paths {
            network: Network { nodes: 60, malicious: Share::NONE, subnets, families: None },
            weights: Weights::Equal,
            owned: Owned::Nodes,
            clients: 1,
            contacts: 1,
            every: DAY,
            join_within: 0,
            selection: Selection::Deployed { restart: 5 * DAY },
            churn: Some(churn),
            span: 400 * DAY,
        }
    }

    fn all(client: &Deployed) -> Vec<Hop> {
        client.paths.iter().flat_map(Path::hops).copied().collect()
    }

    fn check(client: &Deployed, world: &World<'_>) {
        let hops = all(client);
        assert_eq!(hops.len(), PATHS * (1 + BEHIND));
        assert!(hops.iter().all(|hop| hop.is_there(world)));
        assert_eq!(hops.iter().map(|hop| hop.node).collect::<BTreeSet<_>>().len(), hops.len());
        for path in &client.paths {
            let prefix = |at: usize| world.candidate(path.behind[at].node).map(|c| c.prefix);
            assert_ne!(prefix(0), prefix(1));
        }
        let mut guards = Vec::new();
        client.guards_in_use(world, &mut |node| guards.push(node));
        assert_eq!(guards, client.paths.iter().map(|p| p.guard.node).collect::<Vec<_>>());
    }

    /// So many clients in a network at its start.
    fn clients(paths: &Paths, world: &World<'_>, count: u32) -> Vec<Deployed> {
        let streams = Streams::new(2, "clients", 0);
        let random = |client| streams.stream(Entity::Client(client), "paths");
        (0..count).map(|at| Deployed::begin(paths, at, &random(at), world, 0)).collect()
    }

    #[test]
    fn paths_last_until_a_node_is_gone_or_the_client_starts_again() {
        let (paths, streams) = (network(Some(20)), Streams::new(1, "deployed", 0));
        let mut world = World::found(&paths, &streams);
        let random = streams.stream(Entity::Client(0), "paths");
        let mut client = Deployed::begin(&paths, 0, &random, &world, 0);
        let guards = |client: &Deployed| client.paths.iter().map(|p| p.guard).collect::<Vec<_>>();
        let behind =
            |client: &Deployed| client.paths.iter().map(|p| p.behind.clone()).collect::<Vec<_>>();
        let (mut anew, mut moved_up) = (0, 0);
        for day in 1..=400 {
            check(&client, &world);
            if day % 5 == 0 {
                let (before, hops) = (guards(&client), behind(&client));
                assert_eq!(client.next_change(), Some(day * DAY));
                client.change(&world, day * DAY);
                assert!(guards(&client) == before && behind(&client) != hops);
            }
            let (before, hops) = (guards(&client), behind(&client));
            if world.advance(day * DAY) == Change::None {
                continue;
            }
            client.look(&world, day * DAY);
            if !before.iter().all(|guard| guard.is_there(&world)) {
                // Neither is kept, but that one may be drawn again: one in sixty.
                anew += u32::from(guards(&client).iter().all(|guard| !before.contains(guard)));
                continue;
            }
            assert_eq!(guards(&client), before);
            for (old, new) in hops.iter().zip(behind(&client)) {
                let left: Vec<Hop> = old.iter().copied().filter(|h| h.is_there(&world)).collect();
                assert_eq!(new[..left.len()], left[..]);
                moved_up += u32::from(left.len() == 1 && left[0] == old[1]);
            }
        }
        // Two guards, each gone every 20 days: some 40 times; as often each hop behind them.
        assert!(anew > 20 && moved_up > 10, "{anew}, {moved_up}");
    }

    #[test]
    fn hops_are_taken_in_spite_of_their_prefix_where_there_is_but_one() {
        let (paths, streams) = (network(Some(1)), Streams::new(1, "deployed", 0));
        let world = World::found(&paths, &streams);
        let random = streams.stream(Entity::Client(0), "paths");
        assert_eq!(all(&Deployed::begin(&paths, 0, &random, &world, 0)).len(), 6);
    }

    #[test]
    fn every_node_is_drawn_equally_often_for_every_hop() {
        let paths = Paths { churn: None, ..network(None) };
        let streams = Streams::new(1, "deployed", 0);
        let world = World::found(&paths, &streams);
        let mut counts = [[0u32; 60]; 3];
        for path in clients(&paths, &world, 4000).iter().flat_map(|client| &client.paths) {
            for (count, hop) in counts.iter_mut().zip(path.hops()) {
                count[hop.node as usize] += 1;
            }
        }
        // 8000 paths over 60 nodes: 133.3, with a standard deviation below 11.5.
        assert!(counts.as_flattened().iter().all(|count| (76..=191).contains(count)), "{counts:?}");
    }

    #[test]
    fn prefix_of_the_guard_does_not_count() {
        let paths = Paths { churn: None, ..network(Some(2)) };
        let streams = Streams::new(1, "deployed", 0);
        let world = World::found(&paths, &streams);
        for client in clients(&paths, &world, 50) {
            // Of two prefixes each stands behind the guard once, so that one of the hops has the guard's.
            check(&client, &world);
        }
    }

    #[test]
    fn request_takes_either_path_to_any_member_of_any_contacts_swarm_but_not_through_it() {
        let paths = Paths { churn: None, ..network(None) };
        let streams = Streams::new(1, "deployed", 0);
        let world = World::found(&paths, &streams);
        let contacts: Vec<Contact> = (0..)
            .take_while(|group| world.is_swarm(*group))
            .map(|group| Contact { group })
            .collect();
        let mut client = clients(&paths, &world, 1).remove(0);
        let own: Vec<Vec<u32>> =
            client.paths.iter().map(|path| path.hops().map(|hop| hop.node).collect()).collect();
        let (mut to, mut free) = ([0u32; 60], [0u32; 2]);
        for _ in 0..24_000 {
            let hops = client.choose(&world, 0, &contacts).unwrap();
            let path = [hops.guard, hops.middle, hops.exit];
            let at = own.iter().position(|own| own[..] == path).unwrap();
            assert!(!path.contains(&hops.destination));
            to[hops.destination as usize] += 1;
            free[at] += u32::from(!own[1 - at].contains(&hops.destination));
        }
        for contact in &contacts {
            let members = world.members_of(contact.group);
            let mean = 24_000.0 / contacts.len() as f64 / members.len() as f64;
            for node in members {
                let count = f64::from(to[*node as usize]);
                assert!((count - mean).abs() < 5.0 * mean.sqrt(), "{count}, {mean}");
            }
        }
        let (half, all) = (f64::from(free[0]), f64::from(free[0] + free[1]));
        assert!((half - all / 2.0).abs() < 5.0 * all.sqrt() / 2.0, "{free:?}");
        assert!(own.concat().iter().any(|node| to[*node as usize] > 0));
    }

    #[test]
    fn path_that_cannot_be_whole_carries_nothing() {
        let mut paths = network(None);
        let ten = Duration::from_millis(10 * DAY);
        paths.network.nodes = 9;
        paths.churn = Some(PathsChurn {
            up_and_down: Some((ten, ten)),
            document: DAY,
            ..PathsChurn::default()
        });
        let streams = Streams::new(1, "deployed", 0);
        let mut world = World::found(&paths, &streams);
        let mut client = clients(&paths, &world, 1).remove(0);
        let (mut served, mut unserved, mut beside) = (0, 0, 0);
        for day in 1..=400 {
            if world.advance(day * DAY) != Change::None {
                client.look(&world, day * DAY);
            }
            let whole = client.paths.iter().filter(|path| path.behind.len() == BEHIND).count();
            match client.choose(&world, day * DAY, &[Contact { group: 0 }]) {
                Some(hops) => {
                    let all =
                        BTreeSet::from([hops.guard, hops.middle, hops.exit, hops.destination]);
                    assert!(all.len() == 4 && all.iter().all(|node| world.is_listed(*node)));
                    assert!(whole > 0);
                    served += 1;
                    beside += u32::from(whole < PATHS);
                }
                None => unserved += 1,
            }
        }
        assert!(served > 20 && unserved > 20 && beside > 5, "{served}, {unserved}, {beside}");
    }
}
