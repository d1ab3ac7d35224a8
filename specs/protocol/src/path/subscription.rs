//! When a subscription that ended is opened again, and with whom.

use core::time::Duration;

use crate::id::NodeId;
use crate::time::Timestamp;

/// Resets by one member after which the subscription goes to another.
pub const RESETS_MAX: u8 = 3;

/// The first wait after a subscription ended.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// The longest wait: what a mailbox may stay unwatched while its swarm is well again.
const BACKOFF_LAST: Duration = Duration::from_secs(300);

/// A subscription that stood this long starts its count anew.
const STEADY_FOR: Duration = Duration::from_secs(600);

/// What to do about a subscription that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reopen {
    /// Not before this.
    pub at: Timestamp,
    /// Which member of the swarm to ask.
    pub member: ReopenAt,
    /// Resets in a row by the member that was asked.
    pub resets: u8,
}

/// Which member of a swarm to ask next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReopenAt {
    /// The same, over the same hops if they still serve.
    SameMember,
    /// Another: this one reset [`RESETS_MAX`] times in a row.
    AnotherMember,
}

/// How a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// The member closed it, in a sealed frame.
    Reset,
    /// The path broke.
    Broken,
}

/// The count behind [`Reopen`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    member: NodeId,
    resets: u8,
    endings: u32,
    opened: Timestamp,
}

impl Backoff {
    pub(super) const fn new(member: NodeId, now: Timestamp) -> Self {
        Self { member, resets: 0, endings: 0, opened: now }
    }

    pub(super) fn opened(&mut self, now: Timestamp) {
        self.opened = now;
    }

    /// Counts an ending. `jitter` is random; it spreads the clients of a member that restarts
    /// over the second half of the wait.
    pub(super) fn ended(
        &mut self,
        ending: Ending,
        member: NodeId,
        now: Timestamp,
        jitter: u64,
    ) -> Reopen {
        if now.saturating_since(self.opened) >= STEADY_FOR {
            *self = Self::new(member, now);
        }
        if self.member != member {
            self.member = member;
            self.resets = 0;
        }
        self.endings = self.endings.saturating_add(1);
        if ending == Ending::Reset {
            self.resets = self.resets.saturating_add(1);
        }
        let doublings = self.endings.saturating_sub(1).min(16);
        let wait = BACKOFF_FIRST.saturating_mul(1 << doublings).min(BACKOFF_LAST);
        let half = wait / 2;
        let spread = u64::try_from(half.as_millis()).unwrap_or(0) + 1;
        let at = now.saturating_add(half + Duration::from_millis(jitter % spread));
        let member =
            if self.resets >= RESETS_MAX { ReopenAt::AnotherMember } else { ReopenAt::SameMember };
        Reopen { at, member, resets: self.resets }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: NodeId = NodeId::from_bytes([1; 32]);
    const B: NodeId = NodeId::from_bytes([2; 32]);

    #[test]
    fn third_reset_by_one_member_sends_to_another_whose_count_starts_at_one() {
        let now = Timestamp::from_secs(1_000);
        let mut backoff = Backoff::new(A, now);
        let mut reset = |member| backoff.ended(Ending::Reset, member, now, 0).member;
        assert_eq!([reset(A), reset(A)], [ReopenAt::SameMember; 2]);
        assert_eq!(reset(A), ReopenAt::AnotherMember);
        assert_eq!([reset(B), reset(B)], [ReopenAt::SameMember; 2]);
        assert_eq!(reset(B), ReopenAt::AnotherMember);
    }

    #[test]
    fn waits_double_to_five_minutes_and_start_anew_after_steady_service() {
        let mut now = Timestamp::from_secs(1_000);
        let mut backoff = Backoff::new(A, now);
        let mut waits = Vec::new();
        for _ in 0..12 {
            let reopen = backoff.ended(Ending::Broken, A, now, u64::MAX);
            let wait = reopen.at.saturating_since(now);
            waits.push(wait);
            assert_eq!((reopen.resets, reopen.member), (0, ReopenAt::SameMember));
            now = reopen.at;
            backoff.opened(now);
        }
        // 1, 2, 4 … 256 s, then 300 s; each within its second half.
        for (i, wait) in waits.into_iter().enumerate() {
            let full = Duration::from_secs(1 << i).min(BACKOFF_LAST);
            assert!(wait >= full / 2 && wait <= full, "{i}: {wait:?}");
        }
        let later = now.saturating_add(STEADY_FOR);
        let reopen = backoff.ended(Ending::Reset, A, later, 0);
        assert_eq!(reopen.at, later.saturating_add(BACKOFF_FIRST / 2));
        assert_eq!(reopen.resets, 1);
    }
}
