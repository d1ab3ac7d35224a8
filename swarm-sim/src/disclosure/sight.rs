//! What an adversary is shown of a round: the one place at which truth becomes observation.

use super::round::{Round, below, chance};
use crate::adversary::{Draw, Ends, Matching, Observation, Sends, Stored, Stores, Vantage};
use crate::stream::fast::Fast;
use crate::stream::{Entity, Stream, Streams};

/// The swarm that keeps the target's own mailbox.
const OWN_SWARM: u32 = 0;

/// One adversary's sight of one target.
#[derive(Debug)]
pub(super) struct Sight {
    vantage: Vantage,
    /// Of each candidate: whether its stores are watched.
    watched: Vec<bool>,
    sensor: Fast,
    stored: Vec<u32>,
    declared: Vec<u32>,
    gone: Vec<u32>,
    /// Declared matches so far, and true ones among them.
    pub(super) matches: Matches,
}

/// Declared matches, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Matches {
    pub(super) declared: u64,
    pub(super) right: u64,
}

fn watched(stores: Stores, candidates: u32, stream: &mut Stream) -> Vec<bool> {
    match stores {
        Stores::None => vec![false; candidates as usize],
        Stores::All => vec![true; candidates as usize],
        Stores::Swarms { swarms, seen } => {
            let others = swarms.saturating_sub(1) as usize;
            let mut seen_swarms = vec![false; others + 1];
            seen_swarms[OWN_SWARM as usize] = true;
            for other in stream.choose(seen.of(others), others) {
                seen_swarms[other + 1] = true;
            }
            (0..candidates).map(|_| seen_swarms[stream.index(others + 1)]).collect()
        }
    }
}

/// Whether both ends of a fresh path are the adversary's: its nodes have the first numbers.
fn holds_both(ends: &Ends, sensor: &mut Fast) -> bool {
    let first = below(sensor, ends.nodes);
    let last = match ends.draw {
        Draw::Independent => below(sensor, ends.nodes),
        Draw::Distinct => {
            let other = below(sensor, ends.nodes.saturating_sub(1));
            if other >= first { other + 1 } else { other }
        }
    };
    first < ends.malicious && last < ends.malicious
}

impl Sight {
    pub(super) fn new(vantage: Vantage, candidates: u32, streams: &Streams, index: u32) -> Self {
        let stream = |purpose| streams.stream(Entity::Client(index), purpose);
        Self {
            vantage,
            watched: watched(vantage.stores, candidates, &mut stream("swarms")),
            sensor: Fast::from_stream(&mut stream("sensor")),
            stored: Vec::new(),
            declared: Vec::new(),
            gone: Vec::new(),
            matches: Matches::default(),
        }
    }

    /// The part of a round that the vantage covers; `None` for who watches nothing.
    pub(super) fn of<'a>(&'a mut self, round: &'a Round) -> Option<Observation<'a>> {
        let Vantage { sends, stores, presence, ends, matching } = self.vantage;
        let watches_stores = stores != Stores::None;
        if sends.is_none() && !watches_stores && !presence && ends.is_none() {
            return None;
        }
        let sent = round.sent;
        let shows_sent = sends.map(|by| match by {
            Sends::Copies => sent.is_some(),
            Sends::Receipts => sent.is_some_and(|sent| sent.genuine),
        });
        if watches_stores {
            self.look_at_stores(round, matching.filter(|_| shows_sent == Some(true)));
        }
        self.gone.clear();
        let shows = |user: &&u32| presence || self.watched[**user as usize];
        self.gone.extend(round.gone.iter().filter(shows));
        let held = ends.is_some_and(|ends| holds_both(&ends, &mut self.sensor));
        Some(Observation {
            round: round.number,
            sent: shows_sent,
            stores: watches_stores.then_some(Stored {
                mailboxes: &self.stored,
                declared: &self.declared,
                watched: &self.watched,
            }),
            online: presence.then_some(&round.online),
            followed: sent.filter(|_| held).map(|sent| sent.to),
            gone: &self.gone,
        })
    }

    /// Sorted, so that neither their order nor a declaration's tells whose they are.
    fn look_at_stores(&mut self, round: &Round, matching: Option<Matching>) {
        self.stored.clear();
        self.declared.clear();
        let own = round.sent.filter(|sent| sent.arrives).map(|sent| (sent.to, true));
        let flows = round.others.iter().map(|to| (*to, false)).chain(own);
        for (to, is_own) in flows.filter(|(to, _)| self.watched[*to as usize]) {
            self.stored.push(to);
            let rate = matching.map(|matching| if is_own { matching.tpr } else { matching.fpr });
            if rate.is_some_and(|rate| chance(&mut self.sensor, rate)) {
                self.declared.push(to);
                self.matches.declared += 1;
                self.matches.right += u64::from(is_own);
            }
        }
        self.stored.sort_unstable();
        self.declared.sort_unstable();
    }
}
