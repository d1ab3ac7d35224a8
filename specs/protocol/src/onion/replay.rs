//! Packets that were here before: the minute window and the exact set of ephemeral keys.

use std::collections::{BTreeMap, BTreeSet};

use super::error::ResetReason;
use super::key::OnionPublicKey;
use crate::Retry;
use crate::limits::REPLAY_ENTRIES_MAX;

/// Minutes that a packet may be old, by the directory's clock: a slow path and a slow clock.
pub const MINUTES_BACK: u32 = 10;

/// Minutes that a packet may be ahead: the other side of a minute's change, and a fast clock.
pub const MINUTES_AHEAD: u32 = 1;

/// Minutes for which a node whose clock was set back waits, refusing packets, before it draws new
/// onion keys.
///
/// Two: new keys cost each client a fetch of the directory, which takes about as long to tell them.
pub const MINUTES_LOST_MAX: u32 = 2;

/// Why a packet is not accepted now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// Its ephemeral key was here before.
    #[error("packet was received before")]
    Replayed,
    /// The set is full until its oldest minute has passed.
    #[error("no room to remember the packet")]
    Busy,
    /// Built too long ago, or in a minute whose entries are dropped.
    #[error("packet is too old")]
    TooOld,
    /// Built in the future.
    #[error("packet is from the future")]
    TooNew,
}

impl ReplayError {
    /// What the client can do, with a packet built anew.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Replayed | Self::Busy | Self::TooOld | Self::TooNew => Retry::Later,
        }
    }

    /// With what the stream is reset.
    ///
    /// Nothing sealed, although the hop has the keys: a packet that is not accepted may have been
    /// answered before, or be accepted later, and no key seals two texts under one nonce.
    pub const fn reset(&self) -> ResetReason {
        match self {
            Self::Replayed => ResetReason::Replayed,
            Self::Busy => ResetReason::Busy,
            Self::TooOld | Self::TooNew => ResetReason::Clock,
        }
    }
}

/// Whether a packet built in `minute` may come in `now_minute`.
pub const fn check_minute(minute: u32, now_minute: u32) -> Result<(), ReplayError> {
    if minute < now_minute.saturating_sub(MINUTES_BACK) {
        Err(ReplayError::TooOld)
    } else if minute > now_minute.saturating_add(MINUTES_AHEAD) {
        Err(ReplayError::TooNew)
    } else {
        Ok(())
    }
}

/// What is kept of a packet: the first half of its ephemeral key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplayEntry([u8; Self::LEN]);

impl ReplayEntry {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// The entry of a packet with this ephemeral key.
    pub fn of(ephemeral: &OnionPublicKey) -> Self {
        let mut entry = [0; Self::LEN];
        entry.copy_from_slice(&ephemeral.as_bytes()[..Self::LEN]);
        Self(entry)
    }

    /// From a journal.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// For a journal.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }
}

/// The ephemeral keys of all packets that could come a second time.
///
/// A node that loses its set, whole or in part, draws new onion keys: under the old ones packets
/// could come again. The set is one for all keys of a [`Keyring`](super::Keyring).
///
/// # Invariants
///
/// - *Exact*: an entry that was inserted is found until its minute is refused as too old.
/// - *No way back*: a minute whose entries were dropped is refused for ever, even if the clock is
///   set back.
/// - *Bounded*: at most [`REPLAY_ENTRIES_MAX`] entries.
#[derive(Clone, Debug)]
pub struct ReplaySet {
    minutes: BTreeMap<u32, BTreeSet<ReplayEntry>>,
    /// Entries in all minutes.
    len: usize,
    limit: usize,
    /// The first minute that is not refused for ever.
    floor: u32,
}

impl Default for ReplaySet {
    fn default() -> Self {
        Self::new()
    }
}

impl ReplaySet {
    /// An empty set, for onion keys that have peeled nothing yet.
    pub const fn new() -> Self {
        Self::with_limit(REPLAY_ENTRIES_MAX)
    }

    /// An empty set of at most `limit` entries, where memory is scarce.
    pub const fn with_limit(limit: usize) -> Self {
        Self { minutes: BTreeMap::new(), len: 0, limit, floor: 0 }
    }

    /// Puts in what a journal kept, at a node's start: the floor it was last rewritten with, and
    /// its entries. Entries of minutes that cannot come any more are left out.
    ///
    /// [`ReplayError::Busy`] if there is no room for the rest: then the set is of no use, and new
    /// onion keys are needed.
    pub fn restore(
        &mut self,
        floor: u32,
        entries: impl IntoIterator<Item = (u32, ReplayEntry)>,
        now_minute: u32,
    ) -> Result<(), ReplayError> {
        self.floor = self.floor.max(floor);
        self.forget(now_minute);
        for (minute, entry) in entries {
            // The clock was at least here when this entry was made, whatever it says now.
            self.forget(minute.saturating_sub(MINUTES_AHEAD));
            if minute < self.floor {
                continue;
            }
            match self.put(minute, entry) {
                Ok(()) | Err(ReplayError::Replayed) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes note of a packet, or says why it must not be acted on. What is to survive a crash
    /// goes to the journal before the packet is acted on.
    pub fn insert(
        &mut self,
        minute: u32,
        ephemeral: &OnionPublicKey,
        now_minute: u32,
    ) -> Result<(), ReplayError> {
        self.forget(now_minute);
        check_minute(minute, now_minute)?;
        if minute < self.floor {
            return Err(ReplayError::TooOld);
        }
        self.put(minute, ReplayEntry::of(ephemeral))
    }

    /// Every entry with its minute, oldest minute first, to write a journal anew.
    pub fn entries(&self) -> impl Iterator<Item = (u32, ReplayEntry)> {
        self.minutes
            .iter()
            .flat_map(|(minute, entries)| entries.iter().map(|entry| (*minute, *entry)))
    }

    /// Entries held.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no entry is held.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first minute that is not refused for ever. A journal that is rewritten keeps it, and
    /// nothing of earlier minutes.
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// Whether the clock that dropped minutes was far ahead of what it is now, so that packets built
    /// now are refused for longer than [`MINUTES_LOST_MAX`]. New onion keys and an empty set are the
    /// way out.
    pub const fn is_ahead(&self, now_minute: u32) -> bool {
        self.floor > now_minute.saturating_add(MINUTES_LOST_MAX)
    }

    fn put(&mut self, minute: u32, entry: ReplayEntry) -> Result<(), ReplayError> {
        if self.minutes.get(&minute).is_some_and(|entries| entries.contains(&entry)) {
            return Err(ReplayError::Replayed);
        }
        if self.len >= self.limit {
            return Err(ReplayError::Busy);
        }
        self.minutes.entry(minute).or_default().insert(entry);
        self.len += 1;
        Ok(())
    }

    /// Drops the minutes that cannot come any more at `now_minute` or later.
    fn forget(&mut self, now_minute: u32) {
        self.floor = self.floor.max(now_minute.saturating_sub(MINUTES_BACK));
        while let Some(oldest) = self.minutes.first_entry() {
            if *oldest.key() >= self.floor {
                break;
            }
            self.len -= oldest.remove().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(n: u64) -> OnionPublicKey {
        let mut bytes = [0xee; 32];
        bytes[..8].copy_from_slice(&n.to_le_bytes());
        OnionPublicKey::from_bytes(bytes)
    }

    #[test]
    fn window_is_ten_minutes_back_and_one_ahead() {
        assert_eq!(check_minute(989, 1_000), Err(ReplayError::TooOld));
        assert_eq!(check_minute(990, 1_000), Ok(()));
        assert_eq!(check_minute(1_001, 1_000), Ok(()));
        assert_eq!(check_minute(1_002, 1_000), Err(ReplayError::TooNew));
        assert_eq!(check_minute(0, 5), Ok(()));
        assert_eq!(check_minute(u32::MAX, u32::MAX), Ok(()));
    }

    #[test]
    fn packet_is_accepted_once_and_then_too_old() {
        let mut set = ReplaySet::new();
        assert_eq!(set.insert(100, &key(1), 100), Ok(()));
        assert_eq!(set.insert(100, &key(2), 100), Ok(()));
        for now in 100..=110 {
            assert_eq!(set.insert(100, &key(1), now), Err(ReplayError::Replayed));
        }
        assert_eq!(set.insert(100, &key(1), 111), Err(ReplayError::TooOld));
        assert!(set.is_empty());
    }

    #[test]
    fn dropped_minute_stays_refused_when_the_clock_is_set_back() {
        let mut set = ReplaySet::new();
        assert_eq!(set.insert(100, &key(1), 100), Ok(()));
        assert_eq!(set.insert(120, &key(2), 120), Ok(()));
        assert_eq!(set.floor(), 110);
        assert_eq!(set.insert(100, &key(1), 100), Err(ReplayError::TooOld));
        assert_eq!(set.insert(110, &key(3), 112), Ok(()));
    }

    #[test]
    fn set_is_ahead_when_no_packet_of_the_next_minutes_can_come() {
        let mut set = ReplaySet::new();
        assert!(!set.is_ahead(0));
        assert_eq!(set.insert(1_000, &key(1), 1_000), Ok(()));
        assert_eq!(set.floor(), 990);
        assert!(!set.is_ahead(988));
        assert!(set.is_ahead(987));
    }

    #[test]
    fn full_set_is_busy_but_still_knows_replays_until_a_minute_passes() {
        let mut set = ReplaySet::with_limit(2);
        assert_eq!(set.insert(100, &key(1), 100), Ok(()));
        assert_eq!(set.insert(101, &key(2), 100), Ok(()));
        assert_eq!(set.insert(101, &key(3), 100), Err(ReplayError::Busy));
        assert_eq!(set.insert(101, &key(2), 110), Err(ReplayError::Replayed));
        assert_eq!(set.insert(101, &key(3), 111), Ok(()));
    }

    #[test]
    fn restored_set_refuses_what_the_first_one_took() {
        let mut first = ReplaySet::new();
        for n in 0..50u8 {
            assert_eq!(first.insert(100 + u32::from(n % 11 == 0), &key(n.into()), 100), Ok(()));
        }
        let journal: Vec<_> = first.entries().collect();
        let mut second = ReplaySet::new();
        assert_eq!(second.restore(0, journal.iter().copied(), 105), Ok(()));
        assert_eq!(second.len(), 50);
        for n in 0..50u8 {
            let minute = 100 + u32::from(n % 11 == 0);
            assert_eq!(second.insert(minute, &key(n.into()), 105), Err(ReplayError::Replayed));
        }
        let mut small = ReplaySet::with_limit(49);
        assert_eq!(small.restore(0, journal, 105), Err(ReplayError::Busy));
    }

    #[test]
    fn restore_with_a_clock_set_back_keeps_to_the_journal() {
        let mut set = ReplaySet::new();
        let entry = ReplayEntry::of(&key(1));
        // Minute 200 was accepted, so the clock was at 199 at least and minute 188 was dropped.
        assert_eq!(set.restore(0, [(200, entry)], 150), Ok(()));
        assert_eq!(set.insert(150, &key(9), 150), Err(ReplayError::TooOld));
        assert_eq!(set.insert(188, &key(9), 188), Err(ReplayError::TooOld));
        assert_eq!(set.insert(189, &key(9), 189), Ok(()));
    }

    proptest! {
        /// Whatever clocks and packets come, no packet is accepted twice, and a restart from the
        /// journal at any point changes nothing about that.
        #[test]
        fn no_packet_is_accepted_twice(
            steps in proptest::collection::vec(
                (0u32..40, 0u32..40, 0u64..20, proptest::bool::weighted(0.05)), 0..300,
            ),
            limit in 1usize..60,
        ) {
            let mut set = ReplaySet::with_limit(limit);
            let mut accepted = BTreeSet::new();
            for (now, minute, n, restart) in steps {
                if restart {
                    let journal: Vec<_> = set.entries().collect();
                    let floor = set.floor();
                    set = ReplaySet::with_limit(limit);
                    prop_assert_eq!(set.restore(floor, journal, now), Ok(()));
                }
                if set.insert(minute, &key(n), now).is_ok() {
                    prop_assert!(check_minute(minute, now).is_ok());
                    prop_assert!(accepted.insert((minute, n)), "accepted twice");
                }
                prop_assert!(set.len() <= limit);
                prop_assert_eq!(set.entries().count(), set.len());
            }
        }
    }
}
