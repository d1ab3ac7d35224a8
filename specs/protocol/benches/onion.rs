//! What the protocol costs on one core: onion packets and frames, swarm transitions, the directory,
//! envelopes, path draws.
//!
//! Absolute figures move with the machine and its other work. So each costly operation stands
//! beside the primitives it cannot avoid, measured in the same round, and the table at the end
//! shows the median of the rounds' ratios. Not here: links, databases and whole requests, which
//! `client-sdk/examples/load.rs` measures.
#![allow(clippy::unwrap_used)]

#[path = "onion/world.rs"]
mod world;

#[path = "onion/packets.rs"]
mod packets;

#[path = "onion/network.rs"]
mod network;

#[path = "onion/table.rs"]
mod table;

use core::time::Duration;

use criterion::Criterion;

use table::Table;

/// Rounds of short measurements rather than one long one: a burst of other work on the machine
/// then spoils one round and not a ratio.
const ROUNDS: usize = 5;

fn main() {
    let results = table::results_dir();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(200))
        .without_plots()
        .output_directory(&results)
        .configure_from_args();
    for round in 0..ROUNDS {
        packets::measure(&mut criterion, round);
        network::measure(&mut criterion, round);
    }
    let mut table = Table::new(results, ROUNDS, "ratio to its primitives");
    packets::rows(&mut table);
    network::rows(&mut table);
    table.print();
    criterion.final_summary();
}
