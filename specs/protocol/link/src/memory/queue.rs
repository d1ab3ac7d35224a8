//! A bounded queue with one consumer.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

#[derive(Debug)]
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    pub(super) ready: Notify,
    max: usize,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(max: usize) -> Self {
        let state = State { items: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), ready: Notify::new(), max }
    }

    /// Whether there was room for `item`.
    pub(super) fn push(&self, item: T) -> bool {
        let mut state = self.state();
        let room = !state.closed && state.items.len() < self.max;
        if room {
            state.items.push_back(item);
            self.ready.notify_one();
        }
        room
    }

    pub(super) fn try_pop(&self) -> Option<T> {
        self.state().items.pop_front()
    }

    /// The next item; `None` once the queue is closed.
    pub(super) async fn pop(&self) -> Option<T> {
        loop {
            {
                let mut state = self.state();
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    pub(super) fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        state.items.clear();
        self.ready.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
