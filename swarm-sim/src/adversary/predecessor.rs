//! The predecessor attack: paths are built anew again and again, and now and then both ends are the adversary's (Wright,
//! Adler, Levine and Shields, An Analysis of the Degradation of Anonymous Protocols, 2002).

use super::{Adversary, Briefing, Ends, Observation, Posterior, Sends, Vantage};

/// The logarithm of odds that stands for certainty.
const CERTAIN: f64 = 1e6;

/// Follows what the target sends on paths both ends of which it holds.
///
/// A message goes to one of m partners, a dummy to any of n candidates. If a share g of what is sent are messages, each time
/// that something is followed to a candidate makes it 1 + g·n / (m·(1 − g)) times as likely as before that it is a partner.
#[derive(Clone, Debug)]
pub struct Predecessor {
    ends: Ends,
    partners: u32,
    /// Of what is followed once, the logarithm.
    each: f64,
    log_odds: Vec<f64>,
}

impl Predecessor {
    /// Has followed nothing.
    pub fn new(briefing: &Briefing, ends: Ends) -> Self {
        let genuine = briefing.genuine(Sends::Copies);
        let (candidates, partners) = (briefing.candidates, briefing.partners);
        let times = genuine * f64::from(candidates) / (f64::from(partners) * (1.0 - genuine));
        let each = if genuine < 1.0 { libm::log1p(times) } else { CERTAIN };
        Self { ends, partners, each, log_odds: vec![0.0; candidates as usize] }
    }
}

impl Adversary for Predecessor {
    fn vantage(&self) -> Vantage {
        Vantage { ends: Some(self.ends), ..Vantage::NOTHING }
    }

    fn observe(&mut self, seen: &Observation<'_>) {
        if let Some(mailbox) = seen.followed {
            self.log_odds[mailbox as usize] += self.each;
        }
    }

    fn posterior(&self) -> Posterior {
        Posterior::from_log_odds(&self.log_odds, self.partners).unwrap_or_else(|| {
            Posterior::uniform(u32::try_from(self.log_odds.len()).unwrap_or(u32::MAX))
        })
    }
}
