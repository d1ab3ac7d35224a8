//! The predecessor attack: paths are built anew again and again, and now and then both ends are the adversary's (Wright,
//! Adler, Levine and Shields, An Analysis of the Degradation of Anonymous Protocols, 2002).

use super::{Adversary, Briefing, Ends, Observation, Posterior, Vantage};

/// Counts where the target's messages went, on paths both ends of which it holds.
#[derive(Clone, Debug)]
pub struct Predecessor {
    ends: Ends,
    counts: Vec<u64>,
}

impl Predecessor {
    /// Has counted nothing.
    pub fn new(briefing: &Briefing, ends: Ends) -> Self {
        Self { ends, counts: vec![0; briefing.candidates as usize] }
    }
}

impl Adversary for Predecessor {
    fn vantage(&self) -> Vantage {
        Vantage { ends: Some(self.ends), ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        if let Some(mailbox) = seen.followed {
            self.counts[mailbox as usize] += 1;
        }
    }

    /// In proportion to the counts.
    fn posterior(&self) -> Posterior {
        let counts = self.counts.iter().map(|count| *count as f64).collect();
        Posterior::from_weights(counts).unwrap_or_else(|| {
            Posterior::uniform(u32::try_from(self.counts.len()).unwrap_or(u32::MAX))
        })
    }
}
