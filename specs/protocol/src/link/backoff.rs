//! When to try a peer again: exponential back-off with jitter.
//!
//! One [`Backoff`] watches the connection attempts to one peer. Feed what happened by `handle_*`;
//! ask [`Backoff::check`] before an attempt. A link that is lost soon after it was made counts as
//! a failed attempt, or a peer that accepts and closes at once would be tried in a tight loop.
//!
//! # Invariants
//!
//! - *Bounded*: no wait is longer than [`BackoffConfig::max`].
//! - *Spread*: after the n-th failure in a row the wait is drawn from the upper half of
//!   `first · 2ⁿ⁻¹`, so that peers of a node that fell do not come back in step.

use core::time::Duration;

use rand_core::CryptoRng;

use crate::time::Instant;

/// The waits of a [`Backoff`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackoffConfig {
    /// Longest wait after the first failure. 250 ms: a process that was restarted is back by then.
    pub first: Duration,
    /// Longest wait at all. 30 s: then a dead peer costs two handshakes a minute.
    pub max: Duration,
    /// A link that lived this long was a success: its loss costs no wait. 30 s.
    pub stable_after: Duration,
}

impl Default for BackoffConfig {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            max: Duration::from_secs(30),
            stable_after: Duration::from_secs(30),
        }
    }
}

/// Decides when a peer may be tried again.
#[derive(Clone, Debug)]
pub struct Backoff {
    config: BackoffConfig,
    failures: u32,
    not_before: Instant,
    up_since: Instant,
}

impl Backoff {
    /// A peer that has not been tried yet.
    pub const fn new(config: BackoffConfig) -> Self {
        Self { config, failures: 0, not_before: Instant::START, up_since: Instant::START }
    }

    /// Failures in a row so far.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// Zero if an attempt may be made now, or else how long to wait for it.
    pub const fn check(&self, now: Instant) -> Duration {
        self.not_before.saturating_since(now)
    }

    /// An attempt failed.
    pub fn handle_failed(&mut self, now: Instant, rng: &mut impl CryptoRng) {
        self.failures = self.failures.saturating_add(1);
        let factor = 1u32 << (self.failures - 1).min(31);
        let longest = self.config.first.saturating_mul(factor).min(self.config.max);
        let half = longest / 2;
        let spread = u64::try_from((longest - half).as_nanos()).unwrap_or(u64::MAX);
        let jitter = Duration::from_nanos(rng.next_u64() % spread.saturating_add(1).max(1));
        self.not_before = now.saturating_add(half + jitter);
    }

    /// An attempt succeeded: a link is up.
    pub const fn handle_connected(&mut self, now: Instant) {
        self.up_since = now;
        self.not_before = now;
    }

    /// The link that was up is gone.
    pub fn handle_lost(&mut self, now: Instant, rng: &mut impl CryptoRng) {
        if now.saturating_since(self.up_since) >= self.config.stable_after {
            self.failures = 0;
            self.not_before = now;
        } else {
            self.handle_failed(now, rng);
        }
    }

    /// The peer showed by itself that it is there: it may be tried at once.
    pub const fn handle_heard(&mut self, now: Instant) {
        self.failures = 0;
        self.not_before = now;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    const CONFIG: BackoffConfig = BackoffConfig {
        first: Duration::from_millis(100),
        max: Duration::from_secs(10),
        stable_after: Duration::from_secs(30),
    };

    fn at(millis: u64) -> Instant {
        Instant::from_nanos(millis * 1_000_000)
    }

    proptest! {
        #[test]
        fn wait_doubles_stays_in_its_upper_half_and_under_the_maximum(seed: u64) {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let mut backoff = Backoff::new(CONFIG);
            for n in 0..40u32 {
                backoff.handle_failed(at(5), &mut rng);
                let longest = CONFIG.first.saturating_mul(1 << n.min(20)).min(CONFIG.max);
                let wait = backoff.check(at(5));
                prop_assert!(wait >= longest / 2 && wait <= longest, "{wait:?} of {longest:?}");
            }
        }
    }

    #[test]
    fn peers_of_one_failed_node_spread_out() {
        let waits: std::collections::BTreeSet<_> = (0..100)
            .map(|seed| {
                let mut backoff = Backoff::new(CONFIG);
                backoff.handle_failed(at(0), &mut ChaCha20Rng::seed_from_u64(seed));
                backoff.check(at(0))
            })
            .collect();
        assert!(waits.len() > 90, "{} different waits", waits.len());
    }

    #[test]
    fn link_lost_at_once_counts_as_failure_and_a_stable_one_does_not() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut backoff = Backoff::new(CONFIG);
        for n in 1..=3 {
            backoff.handle_connected(at(0));
            assert_eq!(backoff.check(at(0)), Duration::ZERO);
            backoff.handle_lost(at(1), &mut rng);
            assert_eq!(backoff.failures(), n);
            assert!(backoff.check(at(1)) > Duration::ZERO);
        }
        backoff.handle_connected(at(0));
        backoff.handle_lost(at(30_000), &mut rng);
        assert_eq!(backoff.failures(), 0);
        assert_eq!(backoff.check(at(30_000)), Duration::ZERO);
    }

    #[test]
    fn peer_that_was_heard_may_be_tried_at_once() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut backoff = Backoff::new(CONFIG);
        backoff.handle_failed(at(0), &mut rng);
        assert!(backoff.check(at(1)) > Duration::ZERO);
        backoff.handle_heard(at(1));
        assert_eq!(backoff.check(at(1)), Duration::ZERO);
    }
}
