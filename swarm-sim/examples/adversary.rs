//! An adversary to start from: it sees who receives whenever the target sends, and counts. Run with
//! `cargo run --release -p swarm-sim --example adversary`.

use std::num::NonZeroUsize;

use swarm_sim::adversary::{Adversary, Briefing, Observation, Posterior, Sends, Stores, Vantage};
use swarm_sim::run::RunConfig;
use swarm_sim::scenario::{Engine, Scenario};

#[derive(Debug)]
struct Counter(Vec<f64>);

impl Adversary for Counter {
    fn vantage(&self) -> Vantage {
        Vantage { sends: Some(Sends::Copies), stores: Stores::All, ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        let stores = seen.stores.filter(|_| seen.sent == Some(true));
        for mailbox in stores.map_or(&[][..], |stores| stores.mailboxes) {
            self.0[*mailbox as usize] += 1.0;
        }
    }

    fn posterior(&self) -> Posterior {
        Posterior::from_log_odds(&self.0, 3).unwrap_or(Posterior::uniform(1000))
    }
}

pub(crate) fn main() -> Result<(), Box<dyn std::error::Error>> {
    let scenario = Scenario::load("disclosure")?;
    let Engine::Disclosure(world) = scenario.engine else { return Err("another engine".into()) };
    let config = RunConfig { seed: 1, replicates: 2, threads: NonZeroUsize::MIN };
    let plug_in = |b: &Briefing| Box::new(Counter(vec![0.0; b.candidates as usize])) as Box<_>;
    let found = swarm_sim::disclosure::run_against(&world, "counter", &config, &plug_in)?;
    let median = found.metric("messages_to_identified_p50").and_then(|metric| metric.value);
    println!("messages until half of the targets are identified: {median:?}");
    Ok(())
}
