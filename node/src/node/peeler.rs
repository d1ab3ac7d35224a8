//! The pure part of a hop's work: keys, clock, replay set, body.
//!
//! # Invariants
//!
//! - *Once*: the keys of a packet's answer are used after the replay set has accepted it, so for one
//!   answer only. What is refused before that is told by a reset.
//! - *Together*: a packet is opened and remembered under one pair of keyring and replay set.

use std::sync::{Mutex, PoisonError, RwLock};

use enjambre_protocol::id::NetworkId;
use enjambre_protocol::onion::{Answer, Keyring, OpenedLayer, PeelError, Peeled, Step};
use enjambre_protocol::time::Timestamp;
use rand::rngs::StdRng;

use super::keys::{Journal, Keys};
use crate::files::FileError;

/// Whether a node's keys are others than before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    None,
    Changed,
}

/// The state that peeling needs.
pub(super) struct Peeler {
    network: NetworkId,
    keyring: RwLock<Keyring>,
    replays: Mutex<Journal>,
}

impl Peeler {
    pub(super) const fn new(network: NetworkId, keyring: Keyring, journal: Journal) -> Self {
        Self { network, keyring: RwLock::new(keyring), replays: Mutex::new(journal) }
    }

    /// Makes the next key the current one when the day of the present one is over. Draws all keys
    /// anew if the clock was set back so far that the replay set refuses what is built now. On an
    /// error this process serves on with the keys of before and their set, and a later call tries again.
    pub(super) fn renew(&self, keys: &mut Keys, now: Timestamp) -> Result<Renewal, FileError> {
        if self.is_ahead(now) {
            tracing::warn!("the clock was set back: new onion keys are drawn");
            let journal = keys.draw_anew(now)?;
            let mut keyring = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
            *self.replays.lock().unwrap_or_else(PoisonError::into_inner) = journal;
            *keyring = keys.keyring();
            return Ok(Renewal::Changed);
        }
        keys.correct(now);
        if now < keys.due() {
            return Ok(Renewal::None);
        }
        keys.rotate(&mut rand::make_rng::<StdRng>(), now)?;
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = keys.keyring();
        Ok(Renewal::Changed)
    }

    fn is_ahead(&self, now: Timestamp) -> bool {
        self.replays.lock().unwrap_or_else(PoisonError::into_inner).is_ahead(now)
    }

    /// Takes the layer off a packet that comes for the first time, at `now`.
    pub(super) fn peel(&self, packet: &[u8], now: Timestamp) -> Result<Step, Answer> {
        let opened = {
            let keyring = self.keyring.read().unwrap_or_else(PoisonError::into_inner);
            let opened = OpenedLayer::open(&self.network, &keyring, packet);
            let opened = opened.map_err(PeelError::answer)?;
            let view = opened.view();
            let mut replays = self.replays.lock().unwrap_or_else(PoisonError::into_inner);
            let accepted = replays.insert(view.minute, &view.ephemeral, now);
            accepted.map_err(|error| Answer::Reset(error.reset()))?;
            opened
        };
        let mut rng: StdRng = rand::make_rng();
        let Peeled { step, .. } = opened.peel(&mut rng).map_err(PeelError::answer)?;
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use enjambre_protocol::id::NodeId;
    use enjambre_protocol::onion::{HopTarget, ResetReason, SizeClass, build};

    use super::*;

    const NETWORK: NetworkId = NetworkId::from_bytes([3; 32]);

    /// A packet whose layers are all for `keys`, as built at `built`.
    fn packet(keys: &Keys, built: Timestamp) -> Vec<u8> {
        let target = |byte| HopTarget {
            node: NodeId::from_bytes([byte; 32]),
            key_number: keys.number(),
            key: keys.public(),
        };
        let path = [1, 2, 3, 4].map(target);
        let (class, mut rng) = (SizeClass::K2, rand::make_rng::<StdRng>());
        let built = build(&mut rng, &NETWORK, &path, class, class, built.minute(), b"request");
        built.unwrap().0.into_bytes()
    }

    /// A node with new keys, and a packet for it.
    fn opened(dir: &std::path::Path, built: Timestamp, now: Timestamp) -> (Peeler, Vec<u8>) {
        let (keys, journal) = Keys::open(dir, now).unwrap();
        let packet = packet(&keys, built);
        (Peeler::new(NETWORK, keys.keyring(), journal), packet)
    }

    #[test]
    fn nothing_is_sealed_for_a_packet_that_came_before() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let (peeler, packet) = opened(dir.path(), now, now);
        assert!(matches!(peeler.peel(&packet, now), Ok(Step::Relay { .. })));
        for _ in 0..2 {
            let again = peeler.peel(&packet, now);
            assert!(matches!(again, Err(Answer::Reset(ResetReason::Replayed))), "{again:?}");
        }
    }

    #[test]
    fn nothing_is_sealed_for_a_packet_whose_minute_may_come_later() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let ahead = Timestamp::from_secs(60_000_000 + 180);
        let (peeler, packet) = opened(dir.path(), ahead, now);
        let early = peeler.peel(&packet, now);
        assert!(matches!(early, Err(Answer::Reset(ResetReason::Clock))), "{early:?}");
        // And then it is accepted: an answer sealed before would have used up its keys.
        assert!(matches!(peeler.peel(&packet, ahead), Ok(Step::Relay { .. })));
        let late = peeler.peel(&packet, Timestamp::from_secs(60_000_000 + 3600));
        assert!(matches!(late, Err(Answer::Reset(ResetReason::Clock))), "{late:?}");
    }

    #[test]
    fn clock_that_is_set_back_means_new_keys_which_take_packets_of_now() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let ahead = Timestamp::from_secs(60_000_000 + 3600);
        let (mut keys, journal) = Keys::open(dir.path(), ahead).unwrap();
        let peeler = Peeler::new(NETWORK, keys.keyring(), journal);
        let old = packet(&keys, ahead);
        assert!(matches!(peeler.peel(&old, ahead), Ok(Step::Relay { .. })));
        let early = peeler.peel(&packet(&keys, now), now);
        assert!(matches!(early, Err(Answer::Reset(ResetReason::Clock))), "{early:?}");
        assert_eq!(peeler.renew(&mut keys, now).unwrap(), Renewal::Changed);
        assert!(matches!(peeler.peel(&packet(&keys, now), now), Ok(Step::Relay { .. })));
        let again = peeler.peel(&old, ahead);
        assert!(matches!(again, Err(Answer::Reset(ResetReason::KeyNumber))), "{again:?}");
        assert_eq!(peeler.renew(&mut keys, now).unwrap(), Renewal::None);
    }

    #[test]
    fn next_key_is_the_current_one_after_a_day_and_a_future_day_begins_now() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let ahead = Timestamp::from_secs(60_000_000 + 9 * 86_400);
        let (mut keys, journal) = Keys::open(dir.path(), now).unwrap();
        let peeler = Peeler::new(NETWORK, keys.keyring(), journal);
        let first = keys.number();
        assert_eq!(peeler.renew(&mut keys, now).unwrap(), Renewal::None);
        assert_eq!(peeler.renew(&mut keys, ahead).unwrap(), Renewal::Changed);
        assert_eq!(keys.number(), first.following());
        // No packet came by that clock.
        assert_eq!(peeler.renew(&mut keys, now).unwrap(), Renewal::None);
        let due = keys.due();
        assert_eq!(due, Timestamp::from_secs(60_000_000 + 86_400));
        assert_eq!(peeler.renew(&mut keys, due).unwrap(), Renewal::Changed);
        assert_eq!(keys.number(), first.following().following());
        assert!(matches!(peeler.peel(&packet(&keys, due), due), Ok(Step::Relay { .. })));
    }

    #[test]
    fn altered_body_uses_up_the_packet() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let (peeler, packet) = opened(dir.path(), now, now);
        let mut altered = packet.clone();
        altered[200] ^= 1;
        assert!(matches!(peeler.peel(&altered, now), Err(Answer::Frame(_))));
        let whole = peeler.peel(&packet, now);
        assert!(matches!(whole, Err(Answer::Reset(ResetReason::Replayed))), "{whole:?}");
    }
}
