//! How long messages take between two parties, and which of them vanish.

use core::time::Duration;

use crate::scenario::{Latency, Links};
use crate::stream::{Entity, Stream, Streams};

/// What became of a message that was put on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transit {
    /// It arrives after this time.
    Arrives(Duration),
    /// It never arrives and nobody is told.
    Lost,
}

/// The links between all parties of a network.
#[derive(Debug)]
pub struct Net {
    links: Links,
    streams: Streams,
    /// What each sender draws jitter and loss from.
    senders: Vec<Stream>,
}

impl Net {
    /// Links between parties that are numbered below `parties`.
    pub fn new(links: Links, streams: Streams, parties: u32) -> Self {
        let sender = |party| streams.stream(Entity::Pair(party, party), "transit");
        let senders = (0..parties).map(sender).collect();
        Self { links, streams, senders }
    }

    /// The time between two parties without jitter: the same both ways, and for the whole run.
    pub fn base(&self, a: u32, b: u32) -> Duration {
        match self.links.latency {
            Latency::Constant { mean } => mean,
            Latency::Gamma { mean, shape } => {
                let pair = Entity::Pair(a.min(b), a.max(b));
                self.streams.stream(pair, "latency").gamma(mean, shape)
            }
        }
    }

    /// Puts a message on the link.
    pub fn transit(&mut self, from: u32, to: u32) -> Transit {
        let jitter = self.jitter(from);
        let lost = self.senders[from as usize].chance(self.links.loss);
        if lost { Transit::Lost } else { Transit::Arrives(self.base(from, to) + jitter) }
    }

    /// How long a sign of life takes. It is repeated until it comes through, so it is never lost.
    pub fn sign(&mut self, from: u32, to: u32) -> Duration {
        let jitter = self.jitter(from);
        self.base(from, to) + jitter
    }

    /// After which time a sender knows that the other side is not there.
    pub const fn give_up(&self) -> Duration {
        self.links.give_up
    }

    fn jitter(&mut self, from: u32) -> Duration {
        self.senders[from as usize].up_to(self.links.jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Share;

    fn net(latency: Latency) -> Net {
        let give_up = Duration::from_secs(1);
        let links = Links { latency, jitter: Duration::ZERO, loss: Share::NONE, give_up };
        Net::new(links, Streams::new(1, "test", 0), 50)
    }

    #[test]
    fn latency_of_a_pair_is_the_same_both_ways_and_every_time() {
        let mean = Duration::from_millis(50);
        let mut gamma = net(Latency::Gamma { mean, shape: 3.0 });
        let base = gamma.base(3, 9);
        assert_eq!(gamma.transit(9, 3), Transit::Arrives(base));
        assert_eq!(gamma.transit(3, 9), Transit::Arrives(base));
        assert_ne!(gamma.base(3, 8), base);
        assert_eq!(net(Latency::Constant { mean }).base(0, 1), mean);
    }
}
