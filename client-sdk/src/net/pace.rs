//! How fast a guard is asked: as fast as there is something to ask, until it says that it is busy.
//!
//! From then on its requests take turns, first at a little less than what nodes allow a client, then
//! slower as long as it says so, and slowly faster again. Without turns those that were refused often
//! would lose each place that comes free to those that were not.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use enjambre_protocol::id::NodeId;
use tokio::time::Instant;

use super::lock;

/// Between two turns at first: 80 requests a second, where nodes allow 100 unless set otherwise.
const FIRST: Duration = Duration::from_micros(12_500);

/// Between two turns at most.
const SLOWEST: Duration = Duration::from_secs(1);

/// A pace as fast as this is none any more.
const FASTEST: Duration = Duration::from_millis(2);

/// A guard that was not asked for this long after its last turn is asked as fast as at first: its
/// allowance is full by then.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10);

/// By what part of itself the time between turns shrinks with each request that is taken.
const RECOVERY: u32 = 256;

/// The pace of each guard that has been busy.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<BTreeMap<NodeId, Pace>>);

#[derive(Clone, Copy, Debug)]
struct Pace {
    each: Duration,
    /// The next turn that nobody has.
    next: Instant,
    slowed: Instant,
}

impl Paces {
    /// When the next request may go to `guard`, which takes that turn; `None`, and no turn is taken, if
    /// that is not before `until`.
    pub(super) fn turn(&self, guard: NodeId, now: Instant, until: Instant) -> Option<Instant> {
        let mut paces = lock(&self.0);
        let Some(pace) = paces.get_mut(&guard) else { return Some(now) };
        if now.saturating_duration_since(pace.next) > FORGOTTEN_AFTER {
            paces.remove(&guard);
            return Some(now);
        }
        let turn = pace.next.max(now);
        if turn >= until {
            return None;
        }
        pace.next = turn + pace.each;
        Some(turn)
    }

    /// The guard took no more when a request came that had taken its turn at `asked`. What had its
    /// turn before the guard was last slowed down for says nothing new.
    pub(super) fn busy(&self, guard: NodeId, asked: Instant, now: Instant) {
        let mut paces = lock(&self.0);
        let Some(pace) = paces.get_mut(&guard) else {
            paces.insert(guard, Pace { each: FIRST, next: now, slowed: now });
            return;
        };
        if asked > pace.slowed {
            pace.each = (pace.each * 2).min(SLOWEST);
            pace.slowed = now;
        }
    }

    /// The guard has taken a request.
    pub(super) fn taken(&self, guard: NodeId) {
        let mut paces = lock(&self.0);
        if let Some(pace) = paces.get_mut(&guard) {
            pace.each -= pace.each / RECOVERY;
            if pace.each <= FASTEST {
                paces.remove(&guard);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use super::super::transport::{BUSY_PAUSE, BUSY_WAITS};
    use super::*;

    const GUARD: NodeId = NodeId::from_bytes([1; 32]);

    /// What a node allows one client: four seconds' worth at once.
    struct Allowance {
        each: Duration,
        full_at: Instant,
    }

    impl Allowance {
        fn take(&mut self, now: Instant) -> bool {
            let full_at = self.full_at.max(now) + self.each;
            let fits = full_at.saturating_duration_since(now) <= Duration::from_secs(4);
            if fits {
                self.full_at = full_at;
            }
            fits
        }
    }

    /// When, which request, how often refused, and when it took its turn if it has.
    type Event = (Instant, usize, u32, Option<Instant>);

    /// So many requests at a time, each sent again when it was refused as the transport does it.
    /// Gives the most refusals of one request, and how long all took.
    fn run(per_second: u32, at_a_time: usize, requests: usize) -> (u32, Duration) {
        let (start, paces) = (Instant::now(), Paces::default());
        let never = start + Duration::from_secs(100_000);
        let each = Duration::from_secs(1) / per_second;
        let mut node = Allowance { each, full_at: start };
        let round_trip = Duration::from_millis(20);
        let mut events: BinaryHeap<Reverse<Event>> =
            (0..at_a_time).map(|number| Reverse((start, number, 0, None))).collect();
        let (mut begun, mut most, mut last) = (at_a_time, 0, start);
        while let Some(Reverse((now, number, refused, asked))) = events.pop() {
            last = now;
            let Some(asked) = asked else {
                let turn = paces.turn(GUARD, now, never).unwrap();
                events.push(Reverse((turn, number, refused, Some(now))));
                continue;
            };
            if node.take(now) {
                paces.taken(GUARD);
                if begun < requests {
                    events.push(Reverse((now + round_trip, begun, 0, None)));
                    begun += 1;
                }
            } else {
                paces.busy(GUARD, asked, now);
                most = most.max(refused + 1);
                let pause = BUSY_PAUSE * (1 << refused.min(BUSY_WAITS));
                events.push(Reverse((now + pause, number, refused + 1, None)));
            }
        }
        (most, last - start)
    }

    #[test]
    fn every_request_comes_through_within_its_waits_and_most_of_the_allowance_is_used() {
        for (per_second, at_a_time) in [(100, 64), (100, 4), (10, 64), (50, 64), (1000, 64)] {
            let requests = per_second as usize * 60;
            let (refusals, took) = run(per_second, at_a_time, requests);
            assert!(
                refusals <= BUSY_WAITS,
                "{per_second} a second, {at_a_time} at a time: {refusals} refusals of one request"
            );
            // The first four seconds' worth is taken at once.
            let ideal = Duration::from_secs(56);
            assert!(took < ideal * 3 / 2, "{per_second} a second, {at_a_time} at a time: {took:?}");
        }
    }

    #[test]
    fn guard_that_was_never_busy_is_asked_at_once() {
        let (paces, now) = (Paces::default(), Instant::now());
        let until = now + Duration::from_secs(1000);
        let turn = |guard, now| paces.turn(guard, now, until).unwrap();
        assert!((0..1000).all(|_| turn(GUARD, now) == now));
        paces.busy(GUARD, now, now);
        assert_eq!(turn(GUARD, now), now);
        assert_eq!(turn(GUARD, now), now + FIRST);
        assert_eq!(turn(NodeId::from_bytes([2; 32]), now), now);
        // Those that were under way say nothing new, and of those after them the first does.
        let (asked, later) = (now + FIRST, now + FIRST * 10);
        for _ in 0..100 {
            paces.busy(GUARD, now, later);
        }
        for _ in 0..100 {
            paces.busy(GUARD, asked, later);
        }
        let turns = [(); 2].map(|()| turn(GUARD, later));
        assert_eq!(turns[1] - turns[0], FIRST * 2);
        for _ in 0..2000 {
            paces.taken(GUARD);
        }
        assert_eq!(turn(GUARD, later), later);
    }

    #[test]
    fn turn_beyond_the_deadline_is_nobodys_and_a_quiet_guard_is_asked_at_once() {
        let (paces, now) = (Paces::default(), Instant::now());
        paces.busy(GUARD, now, now);
        assert_eq!(paces.turn(GUARD, now, now + FIRST), Some(now));
        assert_eq!(paces.turn(GUARD, now, now + FIRST), None);
        // Its turn is still free.
        assert_eq!(paces.turn(GUARD, now, now + FIRST * 2), Some(now + FIRST));
        let later = now + FIRST * 3 + FORGOTTEN_AFTER;
        let until = later + FIRST;
        assert!((0..100).all(|_| paces.turn(GUARD, later, until) == Some(later)));
    }
}
