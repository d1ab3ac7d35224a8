//! Replies that nobody takes must not stop the others on their link.
//!
//! All streams of a link share its window. A relay that waits for the other side of a reply leaves
//! its own side unread, and enough of those would use the window up for everyone. So each link
//! counts the streams that stand like this, and beyond its limit the one that stands longest gives
//! way. Specified in 04 links, section 5.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// The streams of one link that stand.
#[derive(Debug)]
pub(crate) struct Standing {
    max: usize,
    /// How long one may stand without a byte being taken.
    stall: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// By number: the one that stands longest is the first.
    places: BTreeMap<u64, Arc<Notify>>,
}

impl Standing {
    pub(crate) fn new(max: u32, stall: Duration) -> Arc<Self> {
        let max = usize::try_from(max).unwrap_or(usize::MAX).max(1);
        Arc::new(Self { max, stall, state: Mutex::default() })
    }

    pub(crate) const fn stall(&self) -> Duration {
        self.stall
    }

    /// A place for a stream that begins to stand; beyond the limit the oldest one loses its own.
    pub(crate) fn enter(self: &Arc<Self>) -> Place {
        let mut state = self.state();
        if state.places.len() >= self.max
            && let Some((_, oldest)) = state.places.pop_first()
        {
            oldest.notify_one();
        }
        let (number, displaced) = (state.next, Arc::new(Notify::new()));
        state.next += 1;
        state.places.insert(number, Arc::clone(&displaced));
        drop(state);
        Place { standing: Arc::clone(self), number, displaced }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One stream that stands, until dropped.
#[derive(Debug)]
pub(crate) struct Place {
    standing: Arc<Standing>,
    number: u64,
    displaced: Arc<Notify>,
}

impl Place {
    /// Waits until another stream needs the place.
    pub(crate) async fn displaced(&self) {
        self.displaced.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.standing.state().places.remove(&self.number);
    }
}

/// The link that a reply comes in by, for [`crate::SendStream::write_frame`]: while the frame is
/// not taken, the reply's stream stands there.
#[derive(Clone, Debug)]
pub struct Unread(pub(crate) Arc<Standing>);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_one_that_stands_longest_gives_way_and_a_dropped_place_is_free() {
        let standing = Standing::new(2, Duration::from_secs(1));
        let oldest = standing.enter();
        let middle = standing.enter();
        drop(middle);
        let second = standing.enter();
        let third = standing.enter();
        oldest.displaced().await;
        assert_eq!(standing.state().places.len(), 2);
        drop(oldest);
        assert_eq!(standing.state().places.len(), 2, "its place was another's by then");
        drop((second, third));
        assert!(standing.state().places.is_empty());
    }
}
