//! Statistical disclosure: who receives more when the target sends (Danezis, Statistical Disclosure Attacks, 2003).

use super::{Adversary, Briefing, Observation, Posterior, Sends, Stores, Vantage};

/// What the mailboxes receive from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// The same at all of them, as the briefing lets expect.
    Uniform,
    /// At each its own mean over the rounds in which the target was silent.
    Estimated,
}

/// Takes the mean of what each mailbox receives in rounds in which the target sends, without the background, as the share
/// of the target's sends that go to it.
///
/// Its posterior takes each mean as normal around what a partner's would be or around what another's would be, with one
/// variance: a mailbox that it does not see keeps its first odds, and so its mass but for what others win and lose.
#[derive(Clone, Debug)]
pub struct Statistical {
    briefing: Briefing,
    background: Background,
    sends: Sends,
    stores: Stores,
    /// Rounds with and without a send of the target.
    rounds: [u64; 2],
    /// What each mailbox received in them.
    received: [Vec<u64>; 2],
    watched: Vec<bool>,
    gone: Vec<bool>,
}

impl Statistical {
    /// Watches all mailboxes.
    pub fn new(briefing: &Briefing, background: Background) -> Self {
        Self::between_swarms(briefing, background, Sends::Copies, Stores::All)
    }

    /// Sits in the target's swarm, which tells when the target sends, and watches the mailboxes in its sight.
    pub fn between_swarms(
        briefing: &Briefing,
        background: Background,
        sends: Sends,
        stores: Stores,
    ) -> Self {
        let candidates = briefing.candidates as usize;
        Self {
            briefing: *briefing,
            background,
            sends,
            stores,
            rounds: [0; 2],
            received: [vec![0; candidates], vec![0; candidates]],
            watched: vec![false; candidates],
            gone: vec![false; candidates],
        }
    }

    /// Rounds in which the target was seen to send.
    pub const fn observations(&self) -> u64 {
        self.rounds[0]
    }

    /// What a mailbox receives from others in a round, by Danezis' uniform others.
    fn others(&self) -> f64 {
        f64::from(self.briefing.batch - 1) / f64::from(self.briefing.candidates)
    }

    /// The estimated messages of the target to a mailbox in a round in which it sends; `None` for one that is not in sight,
    /// and as long as there were no rounds to tell from.
    pub fn estimate(&self, mailbox: usize) -> Option<f64> {
        let mean = |silent: usize| {
            let of = Some(self.rounds[silent]).filter(|rounds| *rounds > 0)?;
            Some(*self.received[silent].get(mailbox)? as f64 / of as f64)
        };
        let background = match self.background {
            Background::Uniform => Some(self.others()),
            Background::Estimated => mean(1),
        };
        self.watched.get(mailbox).filter(|watched| **watched)?;
        Some(mean(0)? - background?)
    }

    /// The variance of an estimate.
    fn variance(&self, of_one: f64) -> f64 {
        let silent = match self.background {
            Background::Uniform => 0.0,
            Background::Estimated => 1.0 / self.rounds[1] as f64,
        };
        of_one * (1.0 / self.rounds[0] as f64 + silent)
    }
}

impl Adversary for Statistical {
    fn vantage(&self) -> Vantage {
        Vantage { sends: Some(self.sends), stores: self.stores, ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        for gone in seen.gone {
            self.gone[*gone as usize] = true;
        }
        let (Some(sent), Some(stores)) = (seen.sent, seen.stores) else { return };
        if self.rounds == [0; 2] {
            self.watched.copy_from_slice(stores.watched);
        }
        let silent = usize::from(!sent);
        self.rounds[silent] += 1;
        for mailbox in stores.mailboxes {
            self.received[silent][*mailbox as usize] += 1;
        }
    }

    fn posterior(&self) -> Posterior {
        let n = f64::from(self.briefing.candidates);
        let genuine = self.briefing.genuine(self.sends);
        let to_partner = genuine / f64::from(self.briefing.partners);
        let dummies = (1.0 - genuine) / n;
        // Of others' messages and dummies, and half of what a partner's own adds, as one variance stands for both.
        let of_one = self.others() * (1.0 - 1.0 / n)
            + dummies * (1.0 - dummies)
            + to_partner * (1.0 - to_partner) / 2.0;
        let variance = self.variance(of_one);
        let odds = |mailbox: usize| {
            if self.gone[mailbox] {
                return f64::NEG_INFINITY;
            }
            self.estimate(mailbox).map_or(0.0, |estimate| {
                to_partner * (estimate - dummies - to_partner / 2.0) / variance
            })
        };
        let odds: Vec<f64> = (0..self.gone.len()).map(odds).collect();
        Posterior::from_log_odds(&odds, self.briefing.partners)
            .unwrap_or_else(|| Posterior::uniform(self.briefing.candidates))
    }
}
