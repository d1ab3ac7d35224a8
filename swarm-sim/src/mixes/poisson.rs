//! Poisson mixes, one or a cascade, in virtual time.

use core::time::Duration;

use enjambre_protocol::time::Instant;

use super::belief::{Ages, Belief, Stayed, uniform};
use super::{MixesError, Record, exponential, note_arrival, note_departure};
use crate::queue::{Event, EventQueue};
use crate::scenario::{Mixes, View};
use crate::stream::{Entity, Stream, Streams};
use crate::trace::Trace;

/// The source of arrivals; the hops come after it.
const SENDERS: u32 = 0;

/// The shortest delay: a message does not leave in the nanosecond that it came.
const DELAY_MIN: Duration = Duration::from_nanos(1);

/// Settings of the mixes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) mean_delay: Duration,
    pub(super) hops: u32,
    pub(super) view: View,
}

#[derive(Clone, Copy, Debug)]
enum Happens {
    /// The next message arrives.
    Arrives,
    /// A message leaves the hop of this number, counted from 1.
    Leaves { hop: u32, number: u64, arrived: u64 },
}

impl Event for Happens {
    fn kind(&self) -> u8 {
        match self {
            Self::Arrives => 0,
            Self::Leaves { .. } => 1,
        }
    }
}

/// What the adversary keeps.
#[derive(Debug)]
enum Observer {
    /// Sees all departures and knows who is inside: each is equally likely.
    Departures,
    /// Sees all departures.
    Times(Stayed),
    /// Sees one departure.
    Departure(Ages),
}

struct Cascade {
    queue: EventQueue<Happens>,
    arrivals: Stream,
    delays: Vec<Stream>,
    gap: f64,
    mean: f64,
    observer: Observer,
    /// Messages that arrived.
    arrived: u64,
    inside: u64,
}

/// Runs until all messages that count have left; they are given in the order of leaving.
pub(super) fn run(
    mixes: &Mixes,
    settings: Settings,
    streams: &Streams,
    trace: &mut Trace,
) -> Result<Vec<Record>, MixesError> {
    let mean = settings.mean_delay.as_nanos() as f64;
    let mut cascade = Cascade {
        queue: EventQueue::new(settings.hops as usize + 1),
        arrivals: streams.stream(Entity::World, "arrivals"),
        delays: (0..settings.hops).map(|hop| streams.stream(Entity::Node(hop), "delay")).collect(),
        gap: mixes.gap(),
        mean,
        observer: match settings.view {
            View::Departures => Observer::Departures,
            View::Times => Observer::Times(Stayed::new()),
            View::Departure => Observer::Departure(Ages::new(settings.hops, mean)),
        },
        arrived: 0,
        inside: 0,
    };
    let warm_up = Instant::START.saturating_add(mixes.warm_up);
    let wanted = mixes.messages as usize;
    let (mut first, mut records) = (None, Vec::with_capacity(wanted));
    cascade.expect_arrival();
    while let Some((key, happens)) = cascade.queue.pop() {
        let now = key.at.as_nanos();
        match happens {
            Happens::Arrives => {
                if key.at >= warm_up {
                    first.get_or_insert(cascade.arrived);
                }
                note_arrival(trace, cascade.arrived, now);
                cascade.arrive(now);
            }
            Happens::Leaves { hop, number, arrived } if hop < settings.hops => {
                trace.event(&[&[2], &hop.to_le_bytes(), &number.to_le_bytes(), &now.to_le_bytes()]);
                cascade.delay(hop + 1, number, arrived);
            }
            Happens::Leaves { number, arrived, .. } => {
                let place = first.and_then(|first: u64| number.checked_sub(first));
                let is_counted = place.is_some_and(|place| place < u64::from(mixes.messages));
                let belief = is_counted.then(|| cascade.conclude(now, number, arrived));
                note_departure(trace, number, now, belief.flatten());
                let inside = cascade.inside;
                cascade.depart();
                if let Some(belief) = belief {
                    let belief = belief.ok_or(MixesError::RuledOut { message: number })?;
                    records.push(Record { number, arrived, left: now, inside, belief });
                }
                if records.len() == wanted {
                    break;
                }
            }
        }
    }
    Ok(records)
}

impl Cascade {
    fn expect_arrival(&mut self) {
        let at = self.queue.now().saturating_add(exponential(self.gap, &mut self.arrivals));
        self.queue.push(at, SENDERS, Happens::Arrives);
    }

    fn arrive(&mut self, now: u64) {
        let number = self.arrived;
        self.arrived += 1;
        self.inside += 1;
        match &mut self.observer {
            Observer::Departures => {}
            Observer::Times(stayed) => stayed.arrive(),
            Observer::Departure(ages) => ages.arrive(now),
        }
        self.delay(1, number, now);
        self.expect_arrival();
    }

    /// The message is held by that hop from now on.
    fn delay(&mut self, hop: u32, number: u64, arrived: u64) {
        let Some(stream) = self.delays.get_mut(hop as usize - 1) else { return };
        let delay = exponential(self.mean, stream).max(DELAY_MIN);
        let at = self.queue.now().saturating_add(delay);
        self.queue.push(at, hop, Happens::Leaves { hop, number, arrived });
    }

    /// What the adversary concludes about a message that leaves the last hop.
    fn conclude(&mut self, now: u64, number: u64, arrived: u64) -> Option<Belief> {
        match &mut self.observer {
            Observer::Departures => (self.inside > 0).then(|| uniform(self.inside)),
            Observer::Times(stayed) => stayed.belief(number),
            Observer::Departure(ages) => ages.belief(now, arrived),
        }
    }

    /// A message leaves the last hop.
    fn depart(&mut self) {
        self.inside = self.inside.saturating_sub(1);
        if let Observer::Times(stayed) = &mut self.observer {
            stayed.depart();
        }
    }
}
