//! The documents a client holds: the newest, for swarm membership, and the anchors, for paths.
//!
//! Which anchor is drawn from, and when a newer one takes its place, is said by the protocol's
//! [`AnchorMachine`]; here the documents themselves are held for it, over restarts too. Specified
//! in 05 paths, section 2.

use std::sync::Arc;

use enjambre_protocol::directory::{Genesis, Params, SignedDocument, VerifiedDocument};
use enjambre_protocol::limits::DIRECTORY_MAX;
use enjambre_protocol::path::{Anchor, AnchorMachine, AnchorParams};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};

use super::{Kept, directory_time};

/// Bytes of a kept document with its signatures.
const KEPT_MAX: usize = 2 * DIRECTORY_MAX;

/// The longest time within which an anchor is adopted is this part of the distance between two.
const ADOPT_PART: u64 = 12;

/// An anchor that waits, as it is kept: it survives a restart with its time.
#[derive(Serialize, Deserialize)]
struct KeptPending {
    at: Timestamp,
    document: SignedDocument,
}

/// What has to be kept after a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Changed {
    /// The anchor in use, encoded.
    pub(super) anchor: Option<Vec<u8>>,
    /// The anchor that waits, encoded with its time.
    pub(super) pending: Option<Vec<u8>>,
}

/// The documents in use.
#[derive(Debug)]
pub(super) struct Documents {
    newest: Option<Arc<VerifiedDocument>>,
    anchor: Option<Arc<VerifiedDocument>>,
    pending: Option<Arc<VerifiedDocument>>,
    /// The height of the waiting anchor that is on disk.
    kept_pending: Option<u64>,
    machine: AnchorMachine,
}

/// How anchors are adopted in a network: within five minutes, or a twelfth of their distance where
/// that is less.
pub(super) fn anchor_params(params: &Params) -> AnchorParams {
    let distance = params.epoch_ms.saturating_mul(params.anchor_every.into());
    let most = AnchorParams::default().adopt_within_ms;
    let adopt_within_ms = u32::try_from(distance / ADOPT_PART).map_or(most, |part| part.min(most));
    AnchorParams { every: params.anchor_every.into(), adopt_within_ms }
}

/// Takes up a kept document; one that cannot be used is said so and fetched again.
pub(crate) fn restore(kept: Option<&[u8]>, genesis: &Genesis) -> Option<Arc<VerifiedDocument>> {
    let signed = wire::decode::<SignedDocument>(kept?, KEPT_MAX).map_err(|error| told(&error));
    let verified = signed.ok()?.verify(genesis).map_err(|error| told(&error));
    verified.ok().map(Arc::new)
}

fn told(error: &dyn std::error::Error) {
    tracing::warn!(%error, "a kept directory document is not used, and is fetched anew");
}

fn described(document: &VerifiedDocument) -> Anchor {
    let document = document.document();
    Anchor { height: document.height, relays: document.nodes.len() }
}

impl Documents {
    /// Takes up what was kept.
    pub(super) fn open(
        kept: &Kept,
        genesis: &Genesis,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) -> Self {
        let newest = restore(kept.document.as_deref(), genesis);
        let now = directory_time(now, newest.as_deref(), genesis);
        let anchor = restore(kept.anchor.as_deref(), genesis);
        let params = anchor_params(&genesis.params);
        let mut machine = AnchorMachine::new(params, anchor.as_deref().map(described));
        let pending = kept.pending.as_deref().and_then(|bytes| {
            let pending = wire::decode::<KeptPending>(bytes, KEPT_MAX);
            let KeptPending { at, document } = pending.map_err(|error| told(&error)).ok()?;
            let document = document.verify(genesis).map_err(|error| told(&error)).ok()?;
            Some((at, Arc::new(document)))
        });
        if let Some((at, document)) = &pending {
            machine.restore_pending(now, described(document), *at);
        }
        let pending = pending.map(|(_, document)| document);
        let kept_pending = pending.as_ref().map(|pending| pending.document().height);
        let mut documents = Self { newest: None, anchor, pending, kept_pending, machine };
        if let Some(newest) = newest {
            documents.take(newest, now, rng);
        }
        documents
    }

    pub(super) const fn newest(&self) -> Option<&Arc<VerifiedDocument>> {
        self.newest.as_ref()
    }

    pub(super) const fn anchor(&self) -> Option<&Arc<VerifiedDocument>> {
        self.anchor.as_ref()
    }

    /// Takes a document that is newer than the newest.
    pub(super) fn take(
        &mut self,
        document: Arc<VerifiedDocument>,
        now: Timestamp,
        rng: &mut impl CryptoRng,
    ) {
        let described = described(&document);
        self.machine.handle_document(now, described, rng);
        if self.machine.pending() == Some(described.height) {
            self.pending = Some(Arc::clone(&document));
        }
        self.newest = Some(document);
    }

    /// Changes to the anchor whose time has come, and says what is to be kept.
    pub(super) fn advance(&mut self, now: Timestamp) -> Changed {
        self.machine.handle_timeout(now);
        let mut changed = Changed::default();
        if let Some(height) = self.machine.poll_adopted() {
            let held = [&self.anchor, &self.pending, &self.newest];
            let of_height =
                |document: &&Arc<VerifiedDocument>| document.document().height == height;
            let adopted = held.into_iter().flatten().find(of_height).map(Arc::clone);
            if let Some(adopted) = adopted {
                changed.anchor = Some(wire::encode(adopted.signed()));
                self.anchor = Some(adopted);
            }
        }
        let waits = self.machine.pending();
        self.pending.take_if(|pending| Some(pending.document().height) != waits);
        if let (Some(pending), Some(at)) = (&self.pending, self.machine.poll_timeout()) {
            let height = pending.document().height;
            if self.kept_pending.replace(height) != Some(height) {
                let document = pending.signed().clone();
                changed.pending = Some(wire::encode(&KeptPending { at, document }));
            }
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::super::chain::Chain;
    use super::*;

    fn at(secs: u64) -> Timestamp {
        Timestamp::from_secs(1_800_000_000 + secs)
    }

    /// A client that draws from height 1 while height 2, an anchor too, waits; and what it kept.
    fn waiting() -> (Chain, Documents, Kept) {
        // Anchors 600 s apart are adopted within 50 s.
        let mut chain = Chain::new(Params { anchor_every: 1, ..Params::default() });
        let mut rng = StdRng::seed_from_u64(1);
        let mut documents = Documents::open(&Kept::default(), &chain.genesis, at(0), &mut rng);
        documents.take(Arc::new(chain.next(at(0))), at(0), &mut rng);
        let first = documents.advance(at(0));
        assert!(first.anchor.is_some() && first.pending.is_none());
        let second = chain.next(at(600));
        let document = Some(wire::encode(second.signed()));
        documents.take(Arc::new(second), at(600), &mut rng);
        let changed = documents.advance(at(600));
        assert!(changed.anchor.is_none() && changed.pending.is_some());
        assert_eq!(documents.advance(at(600)), Changed::default(), "written once");
        let (anchor, pending) = (first.anchor, changed.pending);
        let kept = Kept { document, anchor, pending, ..Kept::default() };
        (chain, documents, kept)
    }

    fn heights(documents: &Documents) -> (u64, u64) {
        let height = |held: Option<&Arc<VerifiedDocument>>| held.unwrap().document().height;
        (height(documents.newest()), height(documents.anchor()))
    }

    #[test]
    fn newer_anchor_is_drawn_from_at_its_time_and_not_before() {
        let (_, mut documents, _) = waiting();
        let due = documents.machine.poll_timeout().unwrap();
        assert!(due > at(600) && due <= at(650), "{due:?}");
        documents.advance(due.saturating_sub(Duration::from_millis(1)));
        assert_eq!(heights(&documents), (2, 1));
        let changed = documents.advance(due);
        assert_eq!(heights(&documents), (2, 2));
        assert!(changed.anchor.is_some() && changed.pending.is_none());
        assert_eq!(documents.advance(due), Changed::default());
    }

    #[test]
    fn anchor_that_waits_survives_a_restart_with_its_time() {
        let (chain, documents, kept) = waiting();
        let due = documents.machine.poll_timeout();
        let mut rng = StdRng::seed_from_u64(2);
        let mut again = Documents::open(&kept, &chain.genesis, at(600), &mut rng);
        assert_eq!((again.machine.poll_timeout(), heights(&again)), (due, (2, 1)));
        again.advance(due.unwrap());
        assert_eq!(heights(&again), (2, 2));
        let mut late = Documents::open(&kept, &chain.genesis, at(5000), &mut rng);
        assert!(late.advance(at(5000)).anchor.is_some());
        assert_eq!(heights(&late), (2, 2));
    }

    #[test]
    fn anchor_whose_plan_was_lost_is_planned_anew() {
        let (chain, _, kept) = waiting();
        let kept = Kept { pending: None, ..kept };
        let mut rng = StdRng::seed_from_u64(3);
        let mut again = Documents::open(&kept, &chain.genesis, at(700), &mut rng);
        assert!(again.machine.poll_timeout().is_some_and(|due| due <= at(750)));
        assert!(again.advance(at(700)).pending.is_some());
    }

    #[test]
    fn own_clock_counts_only_while_the_newest_document_is_in_use() {
        let mut chain = Chain::new(Params::default());
        let document = chain.next(at(0));
        let time = |now| directory_time(now, Some(&document), &chain.genesis);
        let end = at(0).saturating_add(chain.genesis.params.stale_after());
        assert_eq!(time(Timestamp::EPOCH), at(0));
        assert_eq!(time(at(60)), at(60));
        assert_eq!(time(end.saturating_add(Duration::from_millis(1))), end);
        assert_eq!(directory_time(at(9), None, &chain.genesis), at(9));
    }

    #[test]
    fn what_was_kept_and_does_not_verify_is_left() {
        let (_, _, kept) = waiting();
        let other = Chain::new(Params::devnet());
        let mut rng = StdRng::seed_from_u64(4);
        let documents = Documents::open(&kept, &other.genesis, at(700), &mut rng);
        assert!(documents.newest().is_none() && documents.anchor().is_none());
        assert_eq!(documents.machine.pending(), None);
    }

    #[test]
    fn anchors_are_adopted_within_a_twelfth_of_their_distance() {
        let ordinary = anchor_params(&Params::default());
        assert_eq!(ordinary, AnchorParams { every: 6, adopt_within_ms: 300_000 });
        // One height of 2 s: 166 ms.
        let devnet = anchor_params(&Params::devnet());
        assert_eq!(devnet, AnchorParams { every: 1, adopt_within_ms: 166 });
        let slow = Params { epoch_ms: 86_400_000, anchor_every: 1000, ..Params::default() };
        assert_eq!(anchor_params(&slow).adopt_within_ms, 300_000);
    }
}
