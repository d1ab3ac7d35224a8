//! Nodes that go down and come back, and nodes that leave for ever.
//!
//! The network has a fixed number of places. When the node of a place leaves, another with an identity and a weight of
//! its own takes the place at once and works for the same side, so that the adversary's share stays what it is. Times
//! are exponential and the start is in equilibrium: a place begins down as often as it is down at any time.
//!
//! # Invariants
//!
//! - *Own streams*: what happens at a place is drawn from streams of its nodes alone.

use core::time::Duration;

use crate::scenario::PathsChurn;
use crate::stream::{Entity, Stream, Streams};

/// Where nodes of one number follow another.
#[derive(Debug)]
pub(super) struct Place {
    index: u32,
    /// Nodes that were here before.
    generation: u32,
    is_up: bool,
    leaves_at: u64,
    turns_at: u64,
    stream: Stream,
}

/// What happened at a place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Another node has the place.
    pub(super) replaced: bool,
    /// It went down, came back, or another has it.
    pub(super) any: bool,
}

fn after(stream: &mut Stream, mean: Duration) -> u64 {
    u64::try_from(stream.exponential(mean).as_millis()).unwrap_or(u64::MAX).max(1)
}

impl Place {
    /// A place at the start, with a node that may never go.
    pub(super) fn new(index: u32, churn: Option<&PathsChurn>, streams: &Streams) -> Self {
        let stream = streams.stream(Entity::Node(index), "churn");
        let (leaves_at, turns_at) = (u64::MAX, u64::MAX);
        let mut place = Self { index, generation: 0, is_up: true, leaves_at, turns_at, stream };
        if let Some(churn) = churn {
            if let Some((up, down)) = churn.up_and_down {
                // Down ends by coming back, or by another node, which is up.
                let lives = churn.life.map_or(0.0, |life| life.as_secs_f64().recip());
                let (fails, comes) = (up.as_secs_f64().recip(), down.as_secs_f64().recip());
                place.is_up = place.stream.unit() * (fails + comes + lives) <= comes + lives;
            }
            place.begin(churn, 0);
        }
        place
    }

    /// Draws when the node leaves, and when it next goes down or comes back.
    fn begin(&mut self, churn: &PathsChurn, now: u64) {
        let life = churn.life.map(|life| now.saturating_add(after(&mut self.stream, life)));
        self.leaves_at = life.unwrap_or(u64::MAX);
        self.turn(churn, now);
    }

    fn turn(&mut self, churn: &PathsChurn, now: u64) {
        let Some((up, down)) = churn.up_and_down else { return };
        let mean = if self.is_up { up } else { down };
        self.turns_at = now.saturating_add(after(&mut self.stream, mean));
    }

    /// Lets time pass.
    pub(super) fn advance(
        &mut self,
        churn: &PathsChurn,
        nodes: u32,
        streams: &Streams,
        to: u64,
    ) -> Change {
        let mut change = Change::default();
        loop {
            let next = self.leaves_at.min(self.turns_at);
            if next > to {
                return change;
            }
            change.any = true;
            if self.leaves_at == next {
                change.replaced = true;
                self.generation += 1;
                self.stream = streams.stream(Entity::Node(self.number(nodes)), "churn");
                self.is_up = true;
                self.begin(churn, next);
            } else {
                self.is_up = !self.is_up;
                self.turn(churn, next);
            }
        }
    }

    /// The number of the node that has the place, of all that ever were.
    pub(super) const fn number(&self, nodes: u32) -> u32 {
        self.generation.wrapping_mul(nodes).wrapping_add(self.index)
    }

    pub(super) const fn is_up(&self) -> bool {
        self.is_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const PLACES: u32 = 2000;

    fn churn(life: Option<u64>, up_and_down: Option<(u64, u64)>) -> PathsChurn {
        let hours = |count: u64| Duration::from_secs(3600 * count);
        PathsChurn {
            life: life.map(hours),
            up_and_down: up_and_down.map(|(up, down)| (hours(up), hours(down))),
            ..PathsChurn::default()
        }
    }

    #[test]
    fn as_many_are_down_at_the_start_as_at_any_time() {
        let (churn, streams) = (churn(None, Some((30, 10))), Streams::new(1, "churn", 0));
        let mut places: Vec<Place> =
            (0..PLACES).map(|index| Place::new(index, Some(&churn), &streams)).collect();
        for hours in [0, 3, 40, 400] {
            for place in &mut places {
                assert!(!place.advance(&churn, PLACES, &streams, hours * HOUR).replaced);
            }
            // A quarter of 2000, with a standard deviation of 19.4.
            let down = places.iter().filter(|place| !place.is_up()).count();
            assert!(down.abs_diff(500) < 97, "{down} after {hours} h");
        }
    }

    #[test]
    fn newcomers_are_up_which_counts_from_the_start() {
        let (churn, streams) = (churn(Some(20), Some((20, 20))), Streams::new(1, "churn", 0));
        let mut places: Vec<Place> =
            (0..PLACES).map(|index| Place::new(index, Some(&churn), &streams)).collect();
        for hours in [0, 3, 40, 400] {
            for place in &mut places {
                place.advance(&churn, PLACES, &streams, hours * HOUR);
            }
            // Rates of 1/20 each: down are 1 of 3 of 2000, with a standard deviation of 21.1.
            let down = places.iter().filter(|place| !place.is_up()).count();
            assert!(down.abs_diff(667) < 106, "{down} after {hours} h");
        }
    }

    #[test]
    fn lives_have_their_mean_and_every_node_a_number_of_its_own() {
        let (churn, streams) = (churn(Some(100), None), Streams::new(1, "churn", 0));
        let mut numbers = std::collections::BTreeSet::new();
        let mut replaced = 0;
        for index in 0..PLACES {
            let mut place = Place::new(index, Some(&churn), &streams);
            assert!(numbers.insert(place.number(PLACES)));
            for hour in 1..=500 {
                let change = place.advance(&churn, PLACES, &streams, hour * HOUR);
                assert_eq!(change.any, change.replaced);
                if change.replaced {
                    replaced += 1;
                    assert!(numbers.insert(place.number(PLACES)));
                }
            }
        }
        // Departures: 5 a place, 10 000 with a deviation of 100; an hour hides the first of two in it, 1 in 200.
        assert!((9450..=10_450).contains(&replaced), "{replaced}");
    }

    #[test]
    fn node_lives_as_its_own_stream_says_whoever_was_there_before_it() {
        let (churn, streams) = (churn(Some(100), None), Streams::new(1, "churn", 0));
        for index in 0..10 {
            let mut place = Place::new(index, Some(&churn), &streams);
            let leaves = place.leaves_at;
            assert!(!place.advance(&churn, PLACES, &streams, leaves - 1).replaced);
            assert!(place.advance(&churn, PLACES, &streams, leaves).replaced);
            // The next one's number in a network that began with it.
            let alone = Place::new(PLACES + index, Some(&churn), &streams);
            assert_eq!(place.leaves_at - leaves, alone.leaves_at);
        }
    }
}
