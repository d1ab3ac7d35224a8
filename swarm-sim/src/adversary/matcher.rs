//! A matcher of flows that errs, and what its declarations are worth (Bayes' rule; the base-rate fallacy).

use super::{Adversary, Briefing, Matching, Observation, Posterior, Sends, Stores, Vantage};
use crate::scenario::Share;

/// Weighs the declared matches of every round in which the target sends, for a target with one partner.
///
/// If one of the round's flows to a mailbox with k flows, d of them declared, is the target's, what is seen has a likelihood
/// in proportion to d·tpr/fpr + (k − d)·(1 − tpr)/(1 − fpr): each of the k flows may be the one.
#[derive(Clone, Debug)]
pub struct Matcher {
    matching: Matching,
    genuine: f64,
    log_odds: Vec<f64>,
}

impl Matcher {
    /// Has weighed nothing.
    pub fn new(briefing: &Briefing, matching: Matching) -> Self {
        let genuine = briefing.genuine(Sends::Copies);
        Self { matching, genuine, log_odds: vec![0.0; briefing.candidates as usize] }
    }

    /// The likelihood of a round whose target's flow went to each mailbox, but for a factor.
    fn likelihoods(&self, mailboxes: &[u32], declared: &[u32]) -> Vec<f64> {
        let count = |of: &[u32]| {
            let mut counts = vec![0.0; self.log_odds.len()];
            of.iter().for_each(|mailbox| counts[*mailbox as usize] += 1.0);
            counts
        };
        let share = |share: Share| share.parts() as f64 / Share::WHOLE as f64;
        let (tpr, fpr) = (share(self.matching.tpr), share(self.matching.fpr));
        // Multiplied by fpr·(1 − fpr), so that both may be zero.
        let (yes, no) = (tpr * (1.0 - fpr), (1.0 - tpr) * fpr);
        let (flows, declared) = (count(mailboxes), count(declared));
        let of = |(k, d): (&f64, &f64)| d * yes + (k - d) * no;
        let found: Vec<f64> = flows.iter().zip(&declared).map(of).collect();
        // Nothing is left where no declaration tells anything: all flows are alike.
        if found.iter().any(|of| *of > 0.0) { found } else { flows }
    }
}

impl Adversary for Matcher {
    fn vantage(&self) -> Vantage {
        let matching = Some(self.matching);
        let sends = Some(Sends::Copies);
        Vantage { sends, stores: Stores::All, matching, ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        for gone in seen.gone {
            self.log_odds[*gone as usize] = f64::NEG_INFINITY;
        }
        let Some(stores) = seen.stores.filter(|_| seen.sent == Some(true)) else { return };
        let found = self.likelihoods(stores.mailboxes, stores.declared);
        let dummy = (1.0 - self.genuine) * found.iter().sum::<f64>() / found.len() as f64;
        let likelihoods = found.iter().map(|of| libm::log(self.genuine * of + dummy));
        for (odds, more) in self.log_odds.iter_mut().zip(likelihoods) {
            *odds += more;
        }
    }

    fn posterior(&self) -> Posterior {
        Posterior::from_log_odds(&self.log_odds, 1).unwrap_or_else(|| {
            Posterior::uniform(u32::try_from(self.log_odds.len()).unwrap_or(u32::MAX))
        })
    }
}
