//! How much of a server one client may use, and how long a peer may take.

use std::time::Duration;

use tokio::time::Instant;

/// Seconds of requests that a link may ask for at once after a pause: a file is fetched in one go.
const BURST_SECS: u32 = 4;

/// What a server allows those who ask.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Requests a second on one link of a client, after a first four seconds' worth at once; no
    /// limit if 0. Links of nodes carry the requests of many and have none.
    pub client_requests: u32,
    /// How long a peer may take to send a request once it has opened a stream.
    pub request_within: Duration,
    /// How long a peer may take to take a reply.
    pub reply_within: Duration,
    /// Bytes of requests being read, of replies not yet written, and of frames of relayed replies,
    /// together. A quarter is for what nodes say for themselves.
    pub held_bytes: usize,
    /// The part of it that one link of a client may hold.
    pub client_bytes: usize,
}

impl Limits {
    /// Requests a second on one link of a client: a file of 10 MB in a few seconds, and with the most
    /// links from one address no more than a core or two can peel.
    pub const CLIENT_REQUESTS: u32 = 100;

    /// Bytes held for requests and replies: 256 MiB, which is 2048 of the largest packets, or the
    /// smallest packet for each stream that an endpoint accepts.
    pub const HELD_BYTES: usize = 256 << 20;

    /// Bytes held for one link of a client: 16 MiB, which is the largest packet and the largest frame for
    /// each stream that it may have open.
    pub const CLIENT_BYTES: usize = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_requests: Self::CLIENT_REQUESTS,
            request_within: super::REQUEST_WITHIN,
            reply_within: super::REPLY_WITHIN,
            held_bytes: Self::HELD_BYTES,
            client_bytes: Self::CLIENT_BYTES,
        }
    }
}

/// A token bucket, kept as the instant at which it is full again.
#[derive(Debug)]
pub(super) struct Allowance {
    /// What one request takes; nothing if there is no limit.
    each: Duration,
    full_at: Instant,
}

impl Allowance {
    /// A full one, for so many requests a second.
    pub(super) fn new(per_second: u32, now: Instant) -> Self {
        let each = Duration::from_secs(1).checked_div(per_second).unwrap_or_default();
        Self { each, full_at: now }
    }

    /// Whether one more request may be made now; if so, it is counted.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let full_at = self.full_at.max(now) + self.each;
        let fits = full_at.saturating_duration_since(now) <= Duration::from_secs(BURST_SECS.into());
        if fits {
            self.full_at = full_at;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_seconds_of_requests_are_allowed_at_once_and_then_one_each_interval() {
        let start = Instant::now();
        let mut allowance = Allowance::new(10, start);
        let at_once = (0..100).filter(|_| allowance.take(start)).count();
        assert_eq!(at_once, 40);
        let tenth = Duration::from_millis(100);
        assert!(!allowance.take(start + tenth / 2));
        assert!(allowance.take(start + tenth));
        assert!(!allowance.take(start + tenth));
        // A pause of any length fills it and no more.
        let later = start + Duration::from_secs(3600);
        assert_eq!((0..100).filter(|_| allowance.take(later)).count(), 40);
    }

    #[test]
    fn zero_is_no_limit() {
        let start = Instant::now();
        let mut allowance = Allowance::new(0, start);
        assert!((0..100_000).all(|_| allowance.take(start)));
    }
}
