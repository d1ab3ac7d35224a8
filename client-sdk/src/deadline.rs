//! The end of an operation: one for all that it tries.

use std::time::{Duration, Instant};

/// How far away a deadline may be: a day, so that no sum overflows.
const FARTHEST: Duration = Duration::from_secs(24 * 60 * 60);

/// A moment by which an operation has ended, whatever it has tried by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Deadline(Instant);

impl Deadline {
    /// So long from now, at most a day.
    pub(crate) fn after(within: Duration) -> Self {
        Self(Instant::now() + within.min(FARTHEST))
    }

    /// This one, or so long from now if that is sooner.
    pub(crate) fn within(self, within: Duration) -> Self {
        self.min(Self::after(within))
    }

    /// What is left.
    pub(crate) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// When it is.
    pub(crate) fn instant(self) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.0)
    }

    /// Whether nothing is left.
    pub(crate) fn has_passed(self) -> bool {
        self.left().is_zero()
    }

    /// Waits for something until the time is over.
    pub(crate) async fn wait<T>(self, work: impl Future<Output = T>) -> Option<T> {
        tokio::time::timeout_at(self.instant(), work).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_time_ends_sooner_and_a_longer_one_not_later() {
        let deadline = Deadline::after(Duration::from_secs(60));
        assert!(deadline.within(Duration::from_secs(1)) < deadline);
        assert_eq!(deadline.within(Duration::from_secs(120)), deadline);
        assert!(Deadline::after(Duration::ZERO).has_passed());
        assert!(Deadline::after(Duration::MAX).left() <= FARTHEST);
    }
}
