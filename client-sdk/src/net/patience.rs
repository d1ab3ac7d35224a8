//! How long one try waits.

use std::time::Duration;

use enjambre_protocol::onion::Item;

use super::attempt::Ended;
use crate::deadline::Deadline;

/// How long one try waits for its answer.
///
/// Every part of the answer gives it `within` more, a heartbeat does not: a one-shot request has
/// nothing to wait for that takes so long. Nothing gives it more than the deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    pub(super) within: Duration,
    silent_until: Deadline,
    pub(super) deadline: Deadline,
}

impl Patience {
    pub(super) fn new(within: Duration, deadline: Deadline) -> Self {
        Self { within, silent_until: Deadline::after(within), deadline }
    }

    /// What a frame gave; `None` for a part of something longer.
    pub(super) fn heard(&mut self, item: Option<&Item>) {
        if item.is_none() {
            self.silent_until = Deadline::after(self.within);
        }
    }

    /// What it means that its time is over.
    pub(super) fn over(self, what: &'static str) -> Ended {
        if self.deadline.has_passed() { Ended::OutOfTime } else { Ended::Silent(what) }
    }

    /// Waits for something until the time is over.
    pub(super) async fn wait<T>(self, work: impl Future<Output = T>) -> Option<T> {
        self.silent_until.min(self.deadline).wait(work).await
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const WITHIN: Duration = Duration::from_secs(1000);

    #[test]
    fn part_of_an_answer_gives_more_time_and_a_heartbeat_none() {
        let mut patience = Patience::new(WITHIN, Deadline::after(WITHIN * 2));
        // As if the time had begun long ago.
        let began = Deadline::after(Duration::from_secs(1));
        patience.silent_until = began;
        for _ in 0..100 {
            patience.heard(Some(&Item::Heartbeat(Vec::new())));
        }
        assert_eq!(patience.silent_until, began);
        patience.heard(None);
        assert!(patience.silent_until > began);
    }

    #[tokio::test]
    async fn nothing_is_waited_for_beyond_the_deadline_and_nobody_is_blamed_for_it() {
        let patience = Patience::new(WITHIN, Deadline::after(Duration::ZERO));
        assert!(patience.wait(std::future::pending::<()>()).await.is_none());
        assert!(matches!(patience.over("no answer in time"), Ended::OutOfTime));
    }

    #[tokio::test]
    async fn silence_before_the_deadline_is_blamed_on_the_path() {
        let patience = Patience::new(Duration::ZERO, Deadline::after(WITHIN));
        assert!(patience.wait(std::future::pending::<()>()).await.is_none());
        assert!(matches!(patience.over("no answer in time"), Ended::Silent(_)));
    }
}
