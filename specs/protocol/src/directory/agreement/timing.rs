//! How long an authority waits for the others.

use core::time::Duration;

use super::engine::Wait;
use crate::directory::Params;

/// Longest of the waits that grow with the round: a network that was cut for long must not need
/// long to go on.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// The waits of a network, from its epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    /// For the reports beyond k, before the proposer of the first round goes without them.
    pub(super) collect: Duration,
    /// Between two [`super::Status`] messages of an undecided height.
    pub(super) resend: Duration,
    propose: Duration,
    vote: Duration,
}

impl Timing {
    /// An eighth of the epoch for votes and late reports, a quarter for a proposal; at most 5 and
    /// 10 s, which is enough for a proposal of the largest size over a slow link.
    pub(super) fn new(params: &Params) -> Self {
        let vote = (params.epoch() / 8).min(Duration::from_secs(5));
        let propose = vote + (params.epoch() / 4).min(Duration::from_secs(10));
        Self { collect: vote, resend: 2 * vote, propose, vote }
    }

    /// A wait of a round. Each round waits longer by half, so that slow networks get there too.
    pub(super) fn wait(&self, wait: Wait, round: u32) -> Duration {
        let base = match wait {
            Wait::Propose => self.propose,
            Wait::Prevote | Wait::Precommit => self.vote,
        };
        base.saturating_add((base / 2).saturating_mul(round)).min(WAIT_MAX.max(base))
    }
}
