//! Crashes at every point of the log, checked for signatures that contradict each other.

use super::network::Network;

/// Entries after which the victim is crashed, one run each. Of four authorities that is within the
/// first three heights; one alone writes less than half as many entries in all six.
const CRASHES: usize = 60;

fn crash_after(entries: usize, n: usize, lose_logs: bool) -> Network {
    let mut network = Network::new(n, 11);
    network.publish_each_height = true;
    network.lose_logs = lose_logs;
    network.nodes[1 % n].crash_at = Some(entries);
    network.run_to(6);
    network
}

#[test]
fn an_authority_that_crashed_after_any_log_entry_signs_nothing_contrary() {
    for n in [1, 4] {
        let mut crashes = 0;
        for entries in 1..=CRASHES {
            let network = crash_after(entries, n, false);
            crashes += network.crashes;
            network.agreed(0..n);
            assert!(network.accused.is_empty());
        }
        assert!(crashes >= 20, "{crashes} crashes, n = {n}");
    }
}

#[test]
fn crashes_amid_lost_messages_and_failing_rounds_are_no_different() {
    for seed in 0..3 {
        for entries in (3..90).step_by(6) {
            let mut network = Network::new(4, seed);
            network.loss_percent = 30;
            // A silent authority: every fourth height needs another round.
            network.down = [3].into();
            network.nodes[0].crash_at = Some(entries);
            network.run_to(8);
            network.agreed(0..3);
            assert!(network.accused.is_empty());
        }
    }
}

#[test]
fn the_checker_finds_what_an_authority_without_its_log_signs() {
    let contradicts = |entries| !crash_after(entries, 4, true).checker.contradictions.is_empty();
    assert!((1..=CRASHES).any(contradicts));
}

#[test]
fn an_authority_that_slept_for_many_heights_takes_the_documents_of_the_others() {
    let mut network = Network::new(4, 5);
    network.run_to(3);
    network.down = [2].into();
    network.run_to(15);
    network.restart(2);
    network.down = [].into();
    let height = network.height(0);
    network.run_to(height + 5);
    network.agreed(0..4);
}
