//! What a process acknowledged is on its disk: power cuts of real processes.
//!
//! Four nodes make one swarm, and a path needs four, so every process of the network is on the disk
//! of `support/disk.rs`, and all die at once in the middle of a stream of stores and deletes. What
//! was not synced is then taken away, and each member that signed a receipt is asked by itself
//! whether it holds what it signed for.
//!
//! That this finds losses is shown on every run by a disk that says "synced" and does nothing, and
//! by `make durability` with a build of the node that leaves the syncs out.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(clippy::unwrap_used)]

mod support;

#[path = "durability/rack.rs"]
mod rack;
#[path = "durability/stream.rs"]
mod stream;

use std::path::Path;

use enjambre_link::LinkError;
use enjambre_node::devnet::{Process, Role};
use enjambre_protocol::onion::{Item, ResetReason};
use rack::{Rack, SEED};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use stream::Stream;
use support::disk::{Loss, Lost};
use support::until;

/// Power cuts of the rack, unless `ENJAMBRE_POWER_CUTS` says otherwise.
const RACK_ROUNDS: u64 = 20;

/// Power cuts of an authority, unless the same says otherwise. Each waits until the others speak to
/// the restarted one again, some seconds.
const AUTHORITY_ROUNDS: u64 = 4;

/// Power cuts until an authority that forgets is caught, at most.
const FORGETFUL_ROUNDS: u64 = 5;

fn rounds(unless_set: u64) -> u64 {
    std::env::var("ENJAMBRE_POWER_CUTS").map_or(unless_set, |rounds| {
        rounds.parse().expect("ENJAMBRE_POWER_CUTS is a number of power cuts")
    })
}

fn loss_of(round: u64) -> Loss {
    if round % 2 == 1 { Loss::Whole } else { Loss::Torn }
}

#[test]
fn acknowledged_writes_are_with_each_signer_after_every_power_cut() {
    let rounds = rounds(RACK_ROUNDS);
    let rack = Rack::start();
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    let (mut streams, mut lost): (Vec<Stream>, _) = (Vec::new(), Lost::default());
    let stores = rack.client().stores();
    for round in 1..=rounds {
        let (client, loss) = (rack.client(), loss_of(round));
        let taken = rack.take_packet(&client, round);
        let (stream, heights) = rack.stream_and_kill(&client, round, &mut rng);
        lost += rack.lose(&rack.network.processes(), loss, &mut rng);
        let place = format!("seed {SEED:#x}, round {round}, {loss:?}");
        assert_eq!(rack.behind(&heights), [""; 0], "{place}: documents");
        rack.disk.reboot(round);
        rack.start_all();

        let client = rack.client();
        assert_eq!(rack.unkept(&client, &stream), [""; 0], "{place}");
        assert_eq!(client.stores(), stores, "{place}: other members than before");
        // Another boot, other keys: the packet opens nowhere.
        let again = rack.block_on(client.item(taken()));
        assert!(is_sealed_for_other_keys(&again), "{place}: {again:?}");
        streams.push(stream);
    }
    let client = rack.client();
    for (number, stream) in (1..).zip(&streams) {
        let unkept = rack.unkept(&client, stream);
        assert_eq!(unkept, [""; 0], "seed {SEED:#x}, round {number} at the end");
    }
    let acknowledged: usize = streams.iter().map(Stream::acknowledged).sum();
    assert!(acknowledged >= streams.len() && lost.log_bytes > 0, "{lost:?}");
    println!("{acknowledged} writes acknowledged in {rounds} rounds; unsynced and lost: {lost:?}");
}

#[test]
fn disk_that_does_not_sync_is_caught_with_lost_messages_and_a_packet_taken_twice() {
    let mut rack = Rack::start();
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    rack.kill(&rack.network.processes());
    rack.lose(&rack.network.processes(), Loss::Whole, &mut rng);
    rack.stop_syncing();
    rack.start_all();

    let client = rack.client();
    let taken = rack.take_packet(&client, 0);
    let (stream, heights) = rack.stream_and_kill(&client, 0, &mut rng);
    rack.lose(&rack.network.processes(), Loss::Whole, &mut rng);
    assert_eq!(rack.behind(&heights).len(), rack.network.processes().len());
    // The same boot, and so the same keys, with a journal that lost the packet.
    rack.start_all();
    let client = rack.client();
    assert!(rack.unkept(&client, &stream).len() >= 3, "a majority signed, and lost it");
    let again = rack.block_on(client.item(taken()));
    assert!(matches!(again, Ok(Item::Reply(_))), "{again:?}");
}

#[test]
#[ignore = "needs a build of the node without syncs: make durability"]
fn build_that_does_not_sync_is_caught() {
    let unsynced = std::env::var_os("ENJAMBRE_UNSYNCED_NODE")
        .expect("ENJAMBRE_UNSYNCED_NODE names a node that was built with the feature `unsynced`");
    for loss in [Loss::Whole, Loss::Torn] {
        let rack = Rack::start_with(Path::new(&unsynced), 1);
        let mut rng = ChaCha20Rng::seed_from_u64(SEED);
        let (stream, _) = rack.stream_and_kill(&rack.client(), 1, &mut rng);
        rack.lose(&rack.network.processes(), loss, &mut rng);
        rack.disk.reboot(1);
        rack.start_all();
        let unkept = rack.unkept(&rack.client(), &stream);
        assert!(!unkept.is_empty(), "seed {SEED:#x}, {loss:?}: not caught");
        println!("{loss:?}: caught, of {} writes: {}", stream.acknowledged(), unkept.len());
    }
}

#[test]
fn nodes_killed_in_the_middle_take_no_packet_twice() {
    let rack = Rack::start();
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    for round in 1..=3 {
        let client = rack.client();
        let taken = rack.take_packet(&client, round);
        let (stream, _) = rack.stream_and_kill(&client, round, &mut rng);
        rack.start_all();
        let client = rack.client();
        let again = rack.block_on(client.item(taken()));
        assert!(is_replayed(&again), "round {round}: {again:?}");
        assert_eq!(rack.unkept(&client, &stream), [""; 0], "seed {SEED:#x}, round {round}");
    }
}

#[test]
fn authority_contradicts_nothing_it_signed_before_a_power_cut() {
    let rack = Rack::start_with(&support::program("enjambre-node"), 4);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    for round in 1..=rounds(AUTHORITY_ROUNDS) {
        cut_one_authority(&rack, round, &mut rng);
        let place = format!("seed {SEED:#x}, round {round}, {:?}", loss_of(round));
        assert_eq!(accusations(&rack), [""; 0], "{place}");
    }
}

#[test]
fn authority_whose_disk_does_not_sync_is_caught() {
    let mut rack = Rack::start_with(&support::program("enjambre-node"), 4);
    let mut rng = ChaCha20Rng::seed_from_u64(SEED);
    rack.stop_syncing();
    let mut rounds = 1..=FORGETFUL_ROUNDS;
    let is_caught = rounds.any(|round| {
        cut_one_authority(&rack, 2 * round + 1, &mut rng);
        !accusations(&rack).is_empty()
    });
    assert!(is_caught, "seed {SEED:#x}: it forgot its reports, and nobody noticed");
}

/// Of four authorities two are stopped, so that the height stays undecided, and one is killed after
/// it signed its report; the fourth, which has it, sees what the restarted one signs.
fn cut_one_authority(rack: &Rack, round: u64, rng: &mut ChaCha20Rng) {
    let all = rack.network.processes();
    let authorities: Vec<&Process> = all.iter().filter(|p| p.role == Role::Authority).collect();
    let [victim, _witness, stopped @ ..] = authorities.as_slice() else { panic!("{all:?}") };
    for authority in stopped {
        rack.network.devnet(&["stop", &authority.name]);
    }
    // The log is empty from a document until the next height begins with a report.
    let log = victim.dir.join("agreement.wal");
    until("the next height has begun", || log.metadata().is_ok_and(|log| log.len() > 0));
    let victims = [Process::clone(victim)];
    let heights = rack.kill(&victims);
    rack.lose(&victims, loss_of(round), rng);
    rack.network.devnet(&["start", &victim.name]);
    for authority in stopped {
        rack.network.devnet(&["cont", &authority.name]);
    }
    let above = heights.values().max().unwrap() + 1;
    for process in rack.network.processes() {
        until("the chain goes on", || rack.network.height(&process) > above);
    }
}

/// What authorities wrote of others that contradicted themselves.
fn accusations(rack: &Rack) -> Vec<String> {
    let logs = rack.dirs().into_iter().map(|dir| std::fs::read_to_string(dir.join("log")).unwrap());
    let lines = logs.flat_map(|log| log.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter(|line| line.contains("contradicts itself")).collect()
}

/// Whether a packet was known to the node that it was sent to.
fn is_replayed(answer: &Result<Item, LinkError>) -> bool {
    let Err(LinkError::Reset(code)) = answer else { return false };
    code.refusal() == Some(ResetReason::Replayed)
}

/// Whether a packet opened nowhere, because it was sealed for keys that are no more.
fn is_sealed_for_other_keys(answer: &Result<Item, LinkError>) -> bool {
    let Err(LinkError::Reset(code)) = answer else { return false };
    // New keys may have the number of old ones, and open nothing of theirs.
    matches!(code.refusal(), Some(ResetReason::KeyNumber | ResetReason::Header))
}
