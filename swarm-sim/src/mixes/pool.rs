//! Threshold and pool mixes, round after round. A threshold mix is a pool that keeps nothing.

use super::belief::Rounds;
use super::{Record, exponential, note_arrival, note_departure};
use crate::scenario::Mixes;
use crate::stream::{Entity, Streams};
use crate::trace::Trace;
use enjambre_protocol::time::Instant;

/// A message in the pool.
#[derive(Clone, Copy, Debug)]
struct Held {
    number: u64,
    arrived: u64,
    /// The round that it entered in, counted from 1.
    round: u64,
    is_counted: bool,
}

/// Runs until all messages that count have left; they are given in the order of leaving. The pool starts with as many
/// messages as it keeps.
pub(super) fn run(
    mixes: &Mixes,
    enter: u32,
    kept: u32,
    streams: &Streams,
    trace: &mut Trace,
) -> Vec<Record> {
    let mut arrivals = streams.stream(Entity::World, "arrivals");
    let mut choice = streams.stream(Entity::Node(0), "choice");
    let gap = mixes.gap();
    let warm_up = Instant::START.saturating_add(mixes.warm_up);
    let wanted = u64::from(mixes.messages).next_multiple_of(u64::from(enter));
    let mut rounds = Rounds::new(enter, kept);
    let start = |number| Held { number, arrived: 0, round: 0, is_counted: false };
    let mut inside: Vec<Held> = (0..u64::from(kept)).map(start).collect();
    let (mut now, mut number, mut counted) = (Instant::START, u64::from(kept), 0);
    let (mut round, mut records) = (0, Vec::new());
    while (records.len() as u64) < wanted {
        round += 1;
        let mut is_counted = None;
        for _ in 0..enter {
            now = now.saturating_add(exponential(gap, &mut arrivals));
            let is_counted = *is_counted.get_or_insert(now >= warm_up && counted < wanted);
            counted += u64::from(is_counted);
            note_arrival(trace, number, now.as_nanos());
            inside.push(Held { number, arrived: now.as_nanos(), round, is_counted });
            number += 1;
        }
        rounds.advance();
        for _ in 0..enter {
            let held = inside.len() as u64;
            let message = inside.swap_remove(choice.index(inside.len()));
            let belief = rounds.belief(message.round);
            let (number, left) = (message.number, now.as_nanos());
            note_departure(trace, number, left, message.is_counted.then_some(belief));
            if message.is_counted {
                records.push(Record {
                    number,
                    arrived: message.arrived,
                    left,
                    inside: held,
                    belief,
                });
            }
        }
    }
    records
}
