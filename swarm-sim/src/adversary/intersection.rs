//! The intersection attack: who was there every time the target sent (Berthold and Langos, Dummy Traffic Against Long Term
//! Intersection Attacks, 2003).

use super::{Adversary, Briefing, Observation, Posterior, Sends, Stores, Vantage};

/// The sets that are intersected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sets {
    /// Those who received something in the round.
    Receivers,
    /// Those who were online in it.
    Online,
}

/// Suspects, evenly, all who were in the set of every round in which the target sent.
///
/// Nobody can be in all of them where dummies are sent. When the last suspect falls out, the evidence contradicts
/// itself, and it begins anew with the round's set.
#[derive(Clone, Debug)]
pub struct Intersection {
    sets: Sets,
    suspects: Vec<bool>,
    gone: Vec<bool>,
}

impl Intersection {
    /// Suspects everyone.
    pub fn new(briefing: &Briefing, sets: Sets) -> Self {
        let candidates = briefing.candidates as usize;
        Self { sets, suspects: vec![true; candidates], gone: vec![false; candidates] }
    }
}

impl Adversary for Intersection {
    fn vantage(&self) -> Vantage {
        let stores = if self.sets == Sets::Receivers { Stores::All } else { Stores::None };
        let presence = self.sets == Sets::Online;
        Vantage { sends: Some(Sends::Copies), stores, presence, ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        for gone in seen.gone {
            self.gone[*gone as usize] = true;
        }
        let set = match self.sets {
            Sets::Receivers => seen.stores.map(|stores| stores.mailboxes),
            Sets::Online => seen.online,
        };
        let Some(set) = set.filter(|_| seen.sent == Some(true)) else { return };
        let mut there = vec![false; self.suspects.len()];
        for candidate in set {
            there[*candidate as usize] = true;
        }
        let left = there.iter().zip(&self.suspects).zip(&self.gone);
        let left: Vec<bool> = left.map(|((there, was), gone)| *there && *was && !gone).collect();
        self.suspects = if left.contains(&true) { left } else { there };
    }

    fn posterior(&self) -> Posterior {
        let mass = |suspect: &bool| if *suspect { 1.0 } else { 0.0 };
        let all = Posterior::uniform(u32::try_from(self.gone.len()).unwrap_or(0));
        let even = Posterior::from_weights(self.suspects.iter().map(mass).collect());
        let left = even.and_then(|even| even.without(|at| self.gone[at]));
        // The last suspects may have left for good: then everyone who has not is one again.
        left.or_else(|| all.clone().without(|at| self.gone[at])).unwrap_or(all)
    }
}
