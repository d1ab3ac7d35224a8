//! Which directory document paths are drawn from, and when a client changes to the next.
//!
//! Were each client to draw from the newest document it has, the relays it uses would tell when it
//! was last online. So all draw from the same few documents, the anchors, and change over at
//! random times. The newest document serves for swarm membership only, which is not handled here.

use core::time::Duration;

use rand_core::CryptoRng;
use serde::{Deserialize, Serialize};

use super::pick;
use crate::time::Timestamp;

/// Relays an anchor must list to be drawn from: the nodes of one path.
const RELAYS_MIN: usize = 4;

/// Which documents are anchors, and how slowly they are adopted: parameters of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorParams {
    /// Every so many heights a document is an anchor; 0 counts as 1.
    pub every: u64,
    /// Adoption is at a uniformly random time within this of its arrival, in milliseconds.
    pub adopt_within_ms: u32,
}

impl Default for AnchorParams {
    /// Each sixth document, an hour apart, adopted within five minutes.
    fn default() -> Self {
        Self { every: 6, adopt_within_ms: 300_000 }
    }
}

/// A document as far as adoption goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its height in the chain.
    pub height: u64,
    /// The relays it lists.
    pub relays: usize,
}

/// Says from which height paths are drawn.
///
/// Feed every verified document to [`Self::handle_document`] and every passed deadline to
/// [`Self::handle_timeout`]; after each, ask [`Self::poll_adopted`] for a height to hand to
/// [`super::PathMachine::handle_directory`], and keep the document of [`Self::pending`] until then.
#[derive(Clone, Debug)]
pub struct AnchorMachine {
    params: AnchorParams,
    /// The height in use, and whether it is an anchor that lists enough.
    current: Option<(u64, Standing)>,
    pending: Option<Pending>,
    adopted: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// A full anchor: only another full anchor takes its place.
    Anchor,
    /// The newest document, while no anchor lists four nodes.
    Stopgap,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    height: u64,
    at: Timestamp,
}

impl AnchorMachine {
    /// Starts with the anchor that was in use before, if one was stored.
    pub fn new(params: AnchorParams, stored: Option<Anchor>) -> Self {
        let mut machine = Self { params, current: None, pending: None, adopted: None };
        if let Some(stored) = stored {
            machine.adopt(stored.height, machine.standing(stored));
        }
        machine
    }

    fn standing(&self, document: Anchor) -> Standing {
        let on_height = document.height.is_multiple_of(self.params.every.max(1));
        if on_height && document.relays >= RELAYS_MIN {
            Standing::Anchor
        } else {
            Standing::Stopgap
        }
    }

    fn adopt(&mut self, height: u64, standing: Standing) {
        self.current = Some((height, standing));
        self.adopted = Some(height);
        self.pending = self.pending.filter(|pending| pending.height > height);
    }

    /// A verified document arrived. Documents may come in any order; none leads from an anchor to
    /// an older one. A client that starts feeds the newest anchor first, the newest document then.
    pub fn handle_document(&mut self, now: Timestamp, document: Anchor, rng: &mut impl CryptoRng) {
        let standing = self.standing(document);
        match (self.current, standing) {
            (None, _) => self.adopt(document.height, standing),
            // There was no anchor to draw from, and every client changes at this one.
            (Some((_, Standing::Stopgap)), Standing::Anchor) => {
                self.adopt(document.height, standing);
            }
            (Some((height, Standing::Stopgap)), Standing::Stopgap) if document.height > height => {
                self.adopt(document.height, standing);
            }
            (Some((height, Standing::Anchor)), Standing::Anchor) if document.height > height => {
                self.schedule(now, document.height, rng);
            }
            (Some(_), _) => {}
        }
    }

    /// Plans the change to a newer anchor. One that arrives while another waits takes its time, so
    /// that anchors in quick succession cannot put the change off for ever.
    fn schedule(&mut self, now: Timestamp, height: u64, rng: &mut impl CryptoRng) {
        if let Some(pending) = &mut self.pending {
            pending.height = pending.height.max(height);
            return;
        }
        let within = Duration::from_millis(self.params.adopt_within_ms.into());
        let at = now.saturating_add(pick::between(rng, Duration::ZERO, within));
        self.pending = Some(Pending { height, at });
        self.handle_timeout(now);
    }

    /// Takes up a change that was planned before a restart, at its time; one that lies farther ahead
    /// than any could have been planned is cut to that.
    pub fn restore_pending(&mut self, now: Timestamp, document: Anchor, at: Timestamp) {
        let is_newer = self.current.is_some_and(|(height, _)| document.height > height);
        if is_newer && self.standing(document) == Standing::Anchor {
            let within = Duration::from_millis(self.params.adopt_within_ms.into());
            let at = at.min(now.saturating_add(within));
            self.pending = Some(Pending { height: document.height, at });
            self.handle_timeout(now);
        }
    }

    /// The deadline of [`Self::poll_timeout`] may have passed. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        if let Some(pending) = self.pending.filter(|pending| pending.at <= now) {
            self.adopt(pending.height, Standing::Anchor);
        }
    }

    /// When the waiting anchor is adopted.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        self.pending.map(|pending| pending.at)
    }

    /// The height to draw paths from, once after each change.
    pub fn poll_adopted(&mut self) -> Option<u64> {
        self.adopted.take()
    }

    /// The height paths are drawn from.
    pub fn current(&self) -> Option<u64> {
        self.current.map(|(height, _)| height)
    }

    /// The height of the anchor that waits to be adopted.
    pub fn pending(&self) -> Option<u64> {
        self.pending.map(|pending| pending.height)
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_000_000 + secs)
    }

    fn document(height: u64) -> Anchor {
        Anchor { height, relays: 12 }
    }

    #[test]
    fn only_anchors_are_adopted_and_within_the_stated_time() {
        let mut adopted_after = Vec::new();
        for seed in 0..200 {
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let mut machine = AnchorMachine::new(AnchorParams::default(), Some(document(6)));
            assert_eq!(machine.poll_adopted(), Some(6));
            for height in 7..=11 {
                machine.handle_document(at(0), document(height), &mut rng);
                assert_eq!((machine.pending(), machine.poll_adopted()), (None, None));
            }
            machine.handle_document(at(0), document(12), &mut rng);
            let due = machine.poll_timeout().map_or(at(0), |due| due);
            machine.handle_timeout(due.saturating_sub(Duration::from_millis(1)));
            assert!(due == at(0) || machine.current() == Some(6));
            machine.handle_timeout(due);
            assert_eq!((machine.poll_adopted(), machine.pending()), (Some(12), None));
            adopted_after.push(due.saturating_since(at(0)).as_secs());
        }
        // 200 uniform draws from 0 to 300 s: some in the first and in the last fifth.
        assert!(adopted_after.iter().all(|secs| *secs <= 300));
        assert!(adopted_after.iter().any(|secs| *secs < 60));
        assert!(adopted_after.iter().any(|secs| *secs > 240));
    }

    #[test]
    fn anchors_faster_than_adoption_do_not_put_it_off() {
        let mut rng = ChaCha20Rng::seed_from_u64(3);
        let params = AnchorParams { every: 1, adopt_within_ms: 300_000 };
        let mut machine = AnchorMachine::new(params, Some(document(1)));
        machine.handle_document(at(0), document(2), &mut rng);
        let due = machine.poll_timeout();
        for height in 3..20 {
            machine.handle_document(at(height), document(height), &mut rng);
            assert!(machine.pending().is_none() || machine.poll_timeout() == due);
        }
        machine.handle_timeout(at(300));
        assert_eq!(machine.current(), Some(19));
    }

    #[test]
    fn newest_serves_until_an_anchor_lists_four_nodes() {
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let mut machine = AnchorMachine::new(AnchorParams::default(), None);
        let mut feed = |height, relays| {
            machine.handle_document(at(height), Anchor { height, relays }, &mut rng);
            machine.poll_adopted()
        };
        assert_eq!(feed(0, 0), Some(0));
        assert_eq!(feed(4, 5), Some(4));
        assert_eq!(feed(6, 3), Some(6));
        assert_eq!(feed(5, 9), None);
        assert_eq!(feed(7, 9), Some(7));
        assert_eq!(feed(12, 4), Some(12));
        assert_eq!(feed(13, 9), None);
    }

    #[test]
    fn no_document_leads_backwards_from_an_anchor() {
        let mut rng = ChaCha20Rng::seed_from_u64(5);
        let mut machine = AnchorMachine::new(AnchorParams::default(), Some(document(12)));
        machine.poll_adopted();
        for height in [6, 12, 11] {
            machine.handle_document(at(0), document(height), &mut rng);
        }
        machine.handle_document(at(0), Anchor { height: 18, relays: 3 }, &mut rng);
        assert_eq!((machine.current(), machine.pending()), (Some(12), None));
    }

    #[test]
    fn planned_change_survives_a_restart_with_its_time() {
        let restarted = |now, planned| {
            let mut machine = AnchorMachine::new(AnchorParams::default(), Some(document(6)));
            machine.restore_pending(at(now), document(12), at(planned));
            machine
        };
        let waits = restarted(10, 70);
        assert_eq!((waits.current(), waits.poll_timeout()), (Some(6), Some(at(70))));
        assert_eq!(restarted(70, 70).current(), Some(12));
        // A clock that was ahead then: five minutes from now, and no more.
        assert_eq!(restarted(10, 100_000).poll_timeout(), Some(at(310)));
        let mut older = AnchorMachine::new(AnchorParams::default(), Some(document(12)));
        older.restore_pending(at(0), document(6), at(0));
        assert_eq!((older.current(), older.pending()), (Some(12), None));
    }

    #[test]
    fn hostile_parameters_and_heights_do_not_panic() {
        let mut rng = ChaCha20Rng::seed_from_u64(6);
        let params = AnchorParams { every: 0, adopt_within_ms: u32::MAX };
        let mut machine = AnchorMachine::new(params, Some(document(u64::MAX - 1)));
        let end = Timestamp::from_millis(u64::MAX);
        machine.handle_document(end, document(u64::MAX), &mut rng);
        machine.handle_timeout(end);
        assert_eq!(machine.current(), Some(u64::MAX));
    }
}
