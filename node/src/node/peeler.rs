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

use super::keys::Journal;

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

    /// Peels with other keys from now on.
    pub(super) fn set_keyring(&self, keyring: Keyring) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = keyring;
    }

    /// Peels with keys that were never used and the empty set that belongs to them.
    pub(super) fn renew(&self, keyring: Keyring, journal: Journal) {
        let mut keys = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        *self.replays.lock().unwrap_or_else(PoisonError::into_inner) = journal;
        *keys = keyring;
    }

    /// Whether packets of now are refused because the clock was ahead, so that new keys are due.
    pub(super) fn is_ahead(&self, now: Timestamp) -> bool {
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

    use super::super::keys::Keys;
    use super::*;

    const NETWORK: NetworkId = NetworkId::from_bytes([3; 32]);

    /// A packet whose layers are all for the keys in `dir`, as built at `built`.
    fn opened(dir: &std::path::Path, built: Timestamp, now: Timestamp) -> (Peeler, Vec<u8>) {
        let (keys, journal) = Keys::open(dir, now).unwrap();
        let target = |byte| HopTarget {
            node: NodeId::from_bytes([byte; 32]),
            key_number: keys.number(),
            key: keys.public(),
        };
        let path = [1, 2, 3, 4].map(target);
        let (class, mut rng) = (SizeClass::K2, rand::make_rng::<StdRng>());
        let built = build(&mut rng, &NETWORK, &path, class, class, built.minute(), b"request");
        let (packet, _) = built.unwrap();
        (Peeler::new(NETWORK, keys.keyring(), journal), packet.into_bytes())
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
    fn renewed_keys_take_packets_of_a_clock_that_was_set_back() {
        let (dir, now) = (tempfile::tempdir().unwrap(), Timestamp::from_secs(60_000_000));
        let ahead = Timestamp::from_secs(60_000_000 + 3600);
        let (peeler, packet) = opened(dir.path(), ahead, ahead);
        assert!(matches!(peeler.peel(&packet, ahead), Ok(Step::Relay { .. })));
        assert!(peeler.is_ahead(now));
        let other = tempfile::tempdir().unwrap();
        let (keys, journal) = Keys::open(other.path(), now).unwrap();
        peeler.renew(keys.keyring(), journal);
        assert!(!peeler.is_ahead(now));
        let (_, packet) = opened(other.path(), now, now);
        assert!(matches!(peeler.peel(&packet, now), Ok(Step::Relay { .. })));
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
