//! What happens next in virtual time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use enjambre_protocol::time::Instant;

/// An event that can wait in a queue.
pub trait Event {
    /// Which of the events of one instant come first: those of the lower kind.
    fn kind(&self) -> u8;
}

/// The place of an event in the order of events, different for any two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// When.
    pub at: Instant,
    /// See [`Event::kind`].
    pub kind: u8,
    /// The entity that caused it.
    pub source: u32,
    /// How many events that entity caused before. Counted for each by itself, so that nobody
    /// else's events change the order of its own.
    pub counter: u64,
}

#[derive(Debug)]
struct Entry<E> {
    key: EventKey,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.key.cmp(&other.key)
    }
}

/// Events in the order of their keys.
#[derive(Debug)]
pub struct EventQueue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    counters: Vec<u64>,
    now: Instant,
}

impl<E: Event> EventQueue<E> {
    /// An empty queue at the start of time, for sources numbered below `sources`.
    pub fn new(sources: usize) -> Self {
        Self { heap: BinaryHeap::new(), counters: vec![0; sources], now: Instant::START }
    }

    /// The time of the event taken last.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Puts an event in. Time does not run backwards: one of the past happens now.
    ///
    /// # Panics
    ///
    /// If the source's number is not below the one given to [`Self::new`].
    pub fn push(&mut self, at: Instant, source: u32, event: E) {
        let counter = &mut self.counters[source as usize];
        let key = EventKey { at: at.max(self.now), kind: event.kind(), source, counter: *counter };
        *counter += 1;
        self.heap.push(Reverse(Entry { key, event }));
    }

    /// Takes the next event and moves time on to it.
    pub fn pop(&mut self) -> Option<(EventKey, E)> {
        let Reverse(Entry { key, event }) = self.heap.pop()?;
        self.now = key.at;
        Some((key, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Marked(u8, &'static str);

    impl Event for Marked {
        fn kind(&self) -> u8 {
            self.0
        }
    }

    fn drain(queue: &mut EventQueue<Marked>) -> Vec<&'static str> {
        core::iter::from_fn(|| queue.pop()).map(|(_, Marked(_, name))| name).collect()
    }

    #[test]
    fn events_come_by_time_then_kind_then_source_then_counter() {
        let mut queue = EventQueue::new(3);
        let at = Instant::from_nanos;
        queue.push(at(5), 2, Marked(0, "e"));
        queue.push(at(5), 1, Marked(0, "c"));
        queue.push(at(5), 1, Marked(0, "d"));
        queue.push(at(5), 0, Marked(1, "f"));
        queue.push(at(4), 2, Marked(9, "b"));
        queue.push(at(3), 2, Marked(9, "a"));
        assert_eq!(drain(&mut queue), ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn order_of_insertion_by_different_sources_does_not_show() {
        let order = |sources: [u32; 3]| {
            let mut queue = EventQueue::new(3);
            let names = ["zero", "one", "two"];
            for source in sources {
                queue.push(Instant::from_nanos(1), source, Marked(0, names[source as usize]));
            }
            drain(&mut queue)
        };
        assert_eq!(order([0, 1, 2]), order([2, 0, 1]));
    }

    #[test]
    fn event_of_the_past_happens_now() {
        let mut queue = EventQueue::new(1);
        queue.push(Instant::from_nanos(9), 0, Marked(0, "first"));
        assert!(queue.pop().is_some());
        queue.push(Instant::from_nanos(1), 0, Marked(0, "late"));
        assert_eq!(queue.pop().map(|(key, _)| key.at), Some(Instant::from_nanos(9)));
    }
}
