//! Networks of authorities in virtual time, with the faults they must bear.
#![allow(clippy::unwrap_used)]

mod crash;
mod descriptors;
mod forged;
mod network;

use std::collections::BTreeSet;

use self::network::Network;

/// Heights that the good case is run for.
const HEIGHTS: u64 = 50;

#[test]
fn all_authorities_decide_the_same_documents() {
    for n in [1, 4, 7] {
        let mut network = Network::new(n, 1);
        network.publish_each_height = true;
        network.run_to(HEIGHTS);
        let chain = network.agreed(0..n);
        assert!(chain.len() as u64 >= HEIGHTS);
        let last = chain.last().unwrap().document();
        // One node was published at each of the first heights; the last ones may be on their way.
        assert!(last.nodes.len() as u64 >= HEIGHTS - 2, "{} nodes", last.nodes.len());
        // An epoch apart on the authorities' own clocks.
        let epoch = network.genesis.params.epoch();
        for pair in chain.windows(2) {
            assert!(pair[1].document().time >= pair[0].document().time.saturating_add(epoch));
        }
    }
}

#[test]
fn lost_and_doubled_messages_delay_but_do_not_divide() {
    for seed in 0..5 {
        let mut network = Network::new(4, seed);
        network.publish_each_height = true;
        network.loss_percent = 20;
        network.double_percent = 20;
        network.run_to(20);
        network.agreed(0..4);
    }
}

#[test]
fn silent_authorities_within_the_tolerance_are_passed_over() {
    for (n, silent) in [(4, vec![1]), (7, vec![2, 5])] {
        let mut network = Network::new(n, 2);
        network.down = silent.into_iter().collect();
        network.run_to(20);
        let up = (0..n).filter(|place| !network.down.contains(place)).collect::<Vec<_>>();
        let chain = network.agreed(up);
        // Whoever is down was the proposer of a first round, so some height took another round.
        assert!(chain.iter().any(|document| document.signed().certificate.round > 0));
    }
}

#[test]
fn one_more_silent_authority_stops_the_chain_until_it_returns() {
    for (n, silent) in [(4, vec![1, 2]), (7, vec![0, 2, 5])] {
        let mut network = Network::new(n, 3);
        network.run_to(5);
        network.down = silent.into_iter().collect();
        let up = (0..n).find(|place| !network.down.contains(place)).unwrap();
        network.run_for_epochs(10);
        // What was decided when they fell silent may still be completed.
        let stopped = network.height(up);
        assert!(stopped <= 6, "{stopped}");
        network.run_for_epochs(10);
        assert_eq!(network.height(up), stopped);
        network.down = BTreeSet::new();
        network.run_to(15);
        network.agreed(0..n);
    }
}

#[test]
fn a_divided_network_goes_on_on_the_side_with_k_and_heals() {
    for seed in 0..5 {
        let mut network = Network::new(7, seed);
        network.run_to(3);
        network.side = vec![0, 1, 0, 0, 1, 0, 0];
        network.run_for_epochs(15);
        assert!(network.height(0) > 10);
        assert!(network.height(1) <= 4);
        // No side has k.
        network.side = vec![0, 1, 0, 1, 1, 0, 0];
        network.run_for_epochs(2);
        let stopped = network.height(0);
        network.run_for_epochs(10);
        assert_eq!(network.height(0), stopped);
        network.side = vec![0; 7];
        network.run_to(stopped + 5);
        network.agreed(0..7);
    }
}

#[test]
fn two_copies_of_one_authority_do_not_divide_the_others() {
    let mut accused = false;
    for seed in 0..8 {
        for (n, twin) in [(4, 0), (7, 3)] {
            let mut network = Network::new(n, seed);
            network.publish_each_height = true;
            network.add_twin(twin);
            network.run_to(12);
            network.agreed((0..n).filter(|place| *place != twin));
            assert!(network.accused.iter().all(|place| *place == twin), "an honest one is accused");
            accused |= !network.accused.is_empty();
        }
    }
    assert!(accused, "the copies contradict each other and somebody sees it");
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = |seed| {
        let mut network = Network::new(4, seed);
        network.publish_each_height = true;
        network.loss_percent = 10;
        network.run_to(10);
        network.trace()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
