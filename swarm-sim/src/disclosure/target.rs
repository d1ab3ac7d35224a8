//! One target from its first round to its last, and what came of it.

use super::DisclosureError;
use super::round::World;
use super::sight::{Matches, Sight};
use crate::adversary::{Adversary, Observation, Posterior};
use crate::scenario::{Disclosure, Share};
use crate::stream::Streams;
use crate::trace::Trace;

/// What came of one target.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Record {
    /// Rounds until it left or the run ended.
    pub(super) watched: u32,
    /// Messages to its partners.
    pub(super) messages: u32,
    /// Dummies.
    pub(super) dummies: u32,
    /// When it was identified.
    pub(super) identified: Option<Identified>,
    /// What the adversary believed at the end.
    pub(super) end: Belief,
    /// Declared matches.
    pub(super) matches: Matches,
}

/// When a target was identified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identified {
    /// Rounds until then.
    pub(super) rounds: u32,
    /// Messages to its partners until then.
    pub(super) messages: u32,
}

/// The relative difference up to which two masses count as equal.
const ROUNDING: f64 = 1e-9;

/// A posterior, held against the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Belief {
    /// Shannon's entropy, in bits.
    pub(super) shannon: f64,
    /// Min-entropy, in bits.
    pub(super) min: f64,
    /// Candidates that are not ruled out.
    pub(super) candidates: u32,
    /// Others that are more likely than the least likely partner.
    pub(super) above: u32,
    /// Others that are as likely as it.
    pub(super) beside: u32,
    /// Probability of all partners together.
    pub(super) partners: f64,
}

impl Belief {
    pub(super) fn of(posterior: &Posterior, partners: &[u32]) -> Self {
        let masses = posterior.masses();
        let of_partner = |partner: &u32| masses[*partner as usize];
        let least = partners.iter().map(of_partner).fold(f64::INFINITY, f64::min);
        let (mut above, mut beside) = (0, 0);
        // Equal odds may have masses that differ by what rounding makes of them.
        let (low, high) = (least * (1.0 - ROUNDING), least * (1.0 + ROUNDING));
        for (user, mass) in (0..).zip(masses) {
            if *mass >= low && !partners.contains(&user) {
                *(if *mass > high { &mut above } else { &mut beside }) += 1;
            }
        }
        Self {
            shannon: posterior.shannon(),
            min: posterior.min_entropy(),
            candidates: u32::try_from(posterior.candidates()).unwrap_or(u32::MAX),
            above,
            beside,
            partners: partners.iter().map(of_partner).sum(),
        }
    }

    /// Whether the partners are likelier than all others.
    pub(super) const fn is_first(&self) -> bool {
        self.above == 0 && self.beside == 0
    }

    /// The rank of the least likely partner among the others, from 1; equals share their ranks.
    pub(super) fn rank(&self) -> f64 {
        1.0 + f64::from(self.above) + f64::from(self.beside) / 2.0
    }

    /// Whether the adversary knows: the partners are first, and hold so much of the mass.
    fn is_sure(&self, sure: Share) -> bool {
        // What sums of some thousand masses may be short of a whole.
        let needed = sure.parts() as f64 / Share::WHOLE as f64 - 1e-9;
        self.is_first() && self.partners >= needed
    }
}

/// Watches the target with this index through an adversary's eyes.
pub(super) fn watch(
    disclosure: &Disclosure,
    streams: &Streams,
    index: u32,
    mut adversary: Box<dyn Adversary>,
    trace: &mut Trace,
) -> Result<Record, DisclosureError> {
    let mut world = World::found(disclosure, streams, index);
    let mut sight = Sight::new(adversary.vantage(), disclosure.users, streams, index);
    let partners = world.partners.clone();
    let believed = |adversary: &dyn Adversary| {
        let posterior = adversary.posterior();
        let (found, candidates) = (posterior.masses().len(), disclosure.users);
        if found == candidates as usize {
            return Ok(Belief::of(&posterior, &partners));
        }
        Err(DisclosureError::Candidates { target: index, found, candidates })
    };
    let (mut watched, mut messages, mut dummies, mut identified) = (0, 0, 0, None);
    for number in 0..disclosure.rounds {
        let round = world.next(number);
        messages += u32::from(round.sent.is_some_and(|sent| sent.genuine));
        dummies += u32::from(round.sent.is_some_and(|sent| !sent.genuine));
        watched += 1;
        let seen = sight.of(round);
        if let Some(seen) = &seen {
            note(trace, index, seen);
            adversary.observe(seen);
        }
        let looks = seen.is_some() && watched % disclosure.look_every == 0;
        if looks && identified.is_none() && believed(&*adversary)?.is_sure(disclosure.sure) {
            identified = Some(Identified { rounds: watched, messages });
        }
        if round.last {
            break;
        }
    }
    let end = believed(&*adversary)?;
    Ok(Record { watched, messages, dummies, identified, end, matches: sight.matches })
}

/// Takes an observation into the digest.
fn note(trace: &mut Trace, index: u32, seen: &Observation<'_>) {
    let list =
        |list: &[u32]| list.iter().flat_map(|entry| entry.to_le_bytes()).collect::<Vec<u8>>();
    let Observation { round, sent, stores, online, followed, gone } = *seen;
    let sent = sent.map_or(2, u8::from);
    let followed = followed.map_or(u64::MAX, u64::from);
    trace.event(&[
        &index.to_le_bytes(),
        &round.to_le_bytes(),
        &[sent],
        &list(stores.map_or(&[], |stores| stores.mailboxes)),
        &list(stores.map_or(&[], |stores| stores.declared)),
        &list(online.unwrap_or(&[])),
        &followed.to_le_bytes(),
        &list(gone),
    ]);
}
