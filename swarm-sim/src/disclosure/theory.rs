//! Closed forms for the scenarios that they hold for.

use crate::adversary::{Background, Draw, Ends, Matching};
use crate::scenario::{Disclosure, Kind, Share};
use crate::theory::Query;

/// What theory says about a scenario.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Theory<'a>(&'a Disclosure);

fn part(share: Share) -> f64 {
    share.parts() as f64 / Share::WHOLE as f64
}

/// 1 − (1 − p)^n.
fn at_least_once(p: f64, n: f64) -> f64 {
    if p >= 1.0 && n > 0.0 { 1.0 } else { -libm::expm1(n * libm::log1p(-p)) }
}

/// The value of a closed form; `None` where it has none for these parameters.
fn form(name: &str, args: &[(&str, String)]) -> Option<f64> {
    let words: Vec<String> = args.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Query::parse(name, &words).ok()?.values().first().copied()
}

impl<'a> Theory<'a> {
    pub(crate) const fn of(disclosure: &'a Disclosure) -> Self {
        Self(disclosure)
    }

    /// Whether every send is a message.
    fn is_plain(self) -> bool {
        self.0.cover == Share::NONE || part(self.0.sends) >= 1.0
    }

    /// The chance that another user is in a round's set.
    fn in_set(self) -> Option<f64> {
        let (users, others) = (f64::from(self.0.users), f64::from(self.0.batch - 1));
        match self.0.adversary {
            Kind::Intersection => Some(at_least_once(1.0 / users, others)),
            Kind::Presence => self.0.presence.map(part),
            _ => None,
        }
    }

    /// The mean number of suspects at the end of intersections: `presence-set`, and the same with the chance to receive
    /// of `intersection-rounds`. Rounds without a message leave all in, so that 1 − s(1 − q) takes the place of q; and
    /// targets that never sent are not counted, which takes their share (1 − s)^t out of both sides.
    pub(crate) fn candidates_left(self) -> Option<f64> {
        let Disclosure { users, rounds, sends, .. } = *self.0;
        let nobody_leaves =
            self.0.users_leave == Share::NONE && self.0.target_leaves == Share::NONE;
        if !nobody_leaves || !self.is_plain() {
            return None;
        }
        let stays = 1.0 - part(sends) * (1.0 - self.in_set()?);
        let silent = libm::pow(1.0 - part(sends), rounds.into());
        let left = (libm::pow(stays, rounds.into()) - silent) / (1.0 - silent);
        Some(1.0 + f64::from(users - 1) * left)
    }

    /// The probability that both ends of a path are the adversary's.
    fn both_ends(self) -> Option<f64> {
        let Kind::Predecessor(Ends { nodes, malicious, draw }) = self.0.adversary else {
            return None;
        };
        let (n, c) = (f64::from(nodes), f64::from(malicious));
        Some(match draw {
            Draw::Independent => (c / n) * (c / n),
            Draw::Distinct => c * (c - 1.0).max(0.0) / (n * (n - 1.0)),
        })
    }

    /// The probability that a target is identified by so many rounds: that both ends were held once
    /// (`fresh-paths-compromise`), or that nobody else was online all the time.
    pub(crate) fn identified_by(self, rounds: u32) -> Option<f64> {
        let looked = f64::from(rounds - rounds % self.0.look_every);
        let sends = part(self.0.sends);
        if !self.is_plain() || self.0.partners > 1 {
            return None;
        }
        if let Some(both) = self.both_ends() {
            return Some(at_least_once(sends * both, looked));
        }
        // Each of the others is in all sets or not, independently of each other: not so for receivers.
        let all_there = |presence: Share| libm::pow(part(presence), looked);
        let holds =
            self.0.adversary == Kind::Presence && sends >= 1.0 && self.0.users_leave == Share::NONE;
        let others = f64::from(self.0.users - 1);
        let presence = self.0.presence.filter(|_| holds)?;
        Some(libm::pow(1.0 - all_there(presence), others))
    }

    /// The share of declared matches that are the target's.
    pub(crate) fn declared_right(self) -> Option<f64> {
        let Kind::Bayes(Matching { tpr, fpr }) = self.0.adversary else { return None };
        let args = [
            ("tpr", part(tpr).to_string()),
            ("fpr", part(fpr).to_string()),
            ("flows", self.0.batch.to_string()),
        ];
        form("bayes-detection", &args).filter(|_| self.0.users_leave == Share::NONE)
    }

    /// Messages after which an intersection is expected to hold one user beside the partner.
    pub(crate) fn intersection_messages(self) -> Option<f64> {
        let args = [("users", self.0.users.to_string()), ("batch", self.0.batch.to_string())];
        let nobody_leaves = self.0.users_leave == Share::NONE;
        let holds = self.0.adversary == Kind::Intersection && self.is_plain() && nobody_leaves;
        form("intersection-rounds", &args).filter(|_| holds)
    }

    /// Messages after which partners and others are `confidence` standard deviations from where they are told apart.
    pub(crate) fn statistical_messages(self, confidence: u32) -> Option<f64> {
        let args = [
            ("senders", self.0.users.to_string()),
            ("batch", self.0.batch.to_string()),
            ("partners", self.0.partners.to_string()),
            ("confidence", confidence.to_string()),
        ];
        let holds = match self.0.adversary {
            Kind::Statistical { background } | Kind::Swarms { background, .. } => {
                background == Background::Uniform && self.is_plain()
            }
            _ => false,
        };
        form("sda-observations", &args).filter(|_| holds)
    }

    /// Messages after which both ends were held once with probability 1 − 1/nodes.
    pub(crate) fn predecessor_messages(self) -> Option<f64> {
        let Kind::Predecessor(Ends { nodes, malicious, draw: Draw::Independent }) =
            self.0.adversary
        else {
            return None;
        };
        let args = [("nodes", nodes.to_string()), ("malicious", malicious.to_string())];
        form("predecessor-rounds", &args)
    }
}
