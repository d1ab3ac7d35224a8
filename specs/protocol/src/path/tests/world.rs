//! Small made-up networks, and a client that sends through them.

use core::time::Duration;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};

use crate::id::{FamilyId, NodeId, SwarmId};
use crate::path::{
    Candidate, Destination, FailedEdge, Failure, IsolationKey, Path, PathEvent, PathMachine,
    PathParams, PathState, Prefix,
};
use crate::time::Timestamp;

pub(super) fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

pub(super) fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + secs)
}

pub(super) const DAY: u64 = 24 * 60 * 60;

pub(super) fn days(days: u64) -> Timestamp {
    at(days * DAY)
}

pub(super) fn node(i: usize) -> NodeId {
    let mut bytes = [0; 32];
    bytes[..4].copy_from_slice(&u32::try_from(i).unwrap().to_be_bytes());
    NodeId::from_bytes(bytes)
}

pub(super) fn key(i: u64) -> IsolationKey {
    IsolationKey::new(&i.to_le_bytes(), b"mailbox", "test")
}

pub(super) fn prefix(i: u16) -> Prefix {
    let [high, low] = i.to_be_bytes();
    Prefix::new(Ipv4Addr::new(high, low, 1, 1).into(), &PathParams::default())
}

pub(super) fn swarm(i: usize) -> Option<SwarmId> {
    SwarmId::new(i as u64)
}

/// `n` relays that share nothing but their `swarms` swarms, which take turns.
pub(super) fn diverse(n: usize, swarms: usize) -> Vec<Candidate> {
    let relay = |i: usize| Candidate {
        node: node(i),
        family: None,
        prefix: prefix(u16::try_from(i).unwrap()),
        swarm: swarm(i % swarms),
        weight: 100,
    };
    (0..n).map(relay).collect()
}

/// How alike the relays of a random network are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) relays: usize,
    pub(super) swarms: u64,
    /// Families, of which one more part of the relays has none.
    pub(super) families: u64,
    pub(super) prefixes: u64,
}

/// One relay of a random network.
pub(super) fn random_relay(i: usize, shape: Shape, rng: &mut ChaCha20Rng) -> Candidate {
    let mut below = |n: u64| rng.next_u64() % n;
    let family = below(shape.families + 1);
    let place = below(shape.swarms + 1);
    let reserve = place == shape.swarms && below(2) == 0;
    Candidate {
        node: node(i),
        family: (family > 0).then(|| FamilyId::from_bytes([u8::try_from(family).unwrap(); 32])),
        prefix: prefix(u16::try_from(below(shape.prefixes)).unwrap()),
        swarm: if reserve { None } else { SwarmId::new(place % shape.swarms) },
        weight: u32::try_from(below(1_000)).unwrap(),
    }
}

pub(super) fn random(shape: Shape, rng: &mut ChaCha20Rng) -> Vec<Candidate> {
    (0..shape.relays).map(|i| random_relay(i, shape, rng)).collect()
}

/// A machine that has seen `relays` at `now`.
pub(super) fn machine(relays: &[Candidate], now: Timestamp, rng: &mut ChaCha20Rng) -> PathMachine {
    let mut machine = PathMachine::new(PathState::default(), now);
    machine.handle_directory(now, relays, rng);
    machine
}

pub(super) fn events(machine: &mut PathMachine) -> Vec<PathEvent> {
    core::iter::from_fn(|| machine.poll_event()).collect()
}

/// Sends one packet over `path` where the nodes of `dead` do not answer, and tells the machine.
pub(super) fn send(
    machine: &mut PathMachine,
    now: Timestamp,
    path: &Path,
    dead: &BTreeSet<NodeId>,
) -> Result<(), ()> {
    let [guard, middle, exit] = path.hops;
    if dead.contains(&guard) {
        machine.handle_guard_unreachable(now, guard);
        return Err(());
    }
    machine.handle_guard_reachable(now, guard);
    for (to, edge) in [
        (middle, FailedEdge::GuardToMiddle),
        (exit, FailedEdge::MiddleToExit),
        (path.destination, FailedEdge::ExitToDestination),
    ] {
        if dead.contains(&to) {
            machine.handle_failure(now, path, Failure::Edge(edge));
            return Err(());
        }
    }
    machine.handle_success(now, path);
    Ok(())
}

/// Draws and sends until one packet arrives; a second passes for each try. The number of tries,
/// or `None` after `most`.
pub(super) fn tries(
    machine: &mut PathMachine,
    now: Timestamp,
    key: &IsolationKey,
    destination: &Destination,
    dead: &BTreeSet<NodeId>,
    most: u64,
    rng: &mut ChaCha20Rng,
) -> Option<u64> {
    (1..=most).find(|try_| {
        let now = now.saturating_add(Duration::from_secs(*try_));
        let path = machine.draw(now, key, destination, rng).unwrap();
        send(machine, now, &path, dead).is_ok()
    })
}
