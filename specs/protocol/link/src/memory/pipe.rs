//! One direction of a stream: bytes in order, with an end, a reset and a stop.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enjambre_protocol::link::Code;
use tokio::sync::{Notify, OwnedSemaphorePermit};

use super::line::Connection;
use crate::error::LinkError;

#[derive(Debug)]
pub(super) struct Pipe {
    /// Unread bytes that it holds.
    window: usize,
    state: Mutex<State>,
    readable: Notify,
    writable: Notify,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    end: Option<End>,
    stopped: Option<Code>,
}

#[derive(Clone, Copy, Debug)]
enum End {
    Finished,
    Reset(Code),
}

impl Pipe {
    pub(super) fn new(window: u32) -> Arc<Self> {
        let window = usize::try_from(window).unwrap_or(usize::MAX);
        Arc::new(Self {
            window,
            state: Mutex::default(),
            readable: Notify::new(),
            writable: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self, end: End) -> Result<(), LinkError> {
        let mut state = self.state();
        if state.end.is_some() {
            return Err(LinkError::Finished);
        }
        if let End::Reset(_) = end {
            state.bytes.clear();
        }
        state.end = Some(end);
        drop(state);
        self.readable.notify_one();
        self.writable.notify_one();
        Ok(())
    }
}

/// The sending half.
#[derive(Debug)]
pub(crate) struct Send {
    pipe: Arc<Pipe>,
    connection: Option<Connection>,
    /// Of the end that did not open the stream: its place, given back with both halves.
    credit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Send {
    pub(super) const fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, connection: None, credit: None }
    }

    pub(super) fn for_credit(mut self, credit: Arc<OwnedSemaphorePermit>) -> Self {
        self.credit = Some(credit);
        self
    }

    pub(super) fn on(mut self, connection: Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        let pipe = &self.pipe;
        let connection = self.connection.as_ref().ok_or(LinkError::Lost)?;
        let written = connection.when(&pipe.writable, || {
            let mut state = pipe.state();
            if let Some(code) = state.stopped {
                return Some(Err(LinkError::of_reset(code)));
            }
            if state.end.is_some() {
                return Some(Err(LinkError::Finished));
            }
            let room = pipe.window.saturating_sub(state.bytes.len()).min(bytes.len());
            if room == 0 {
                return None;
            }
            state.bytes.extend(&bytes[..room]);
            drop(state);
            pipe.readable.notify_one();
            Some(Ok(room))
        });
        written.await?
    }

    pub(crate) fn finish(&mut self) -> Result<(), LinkError> {
        self.pipe.end(End::Finished)
    }

    pub(crate) fn reset(&mut self, code: Code) {
        // Only fails where the stream is over already.
        let _ = self.pipe.end(End::Reset(code));
    }

    pub(crate) async fn delivered(&mut self) -> Result<(), LinkError> {
        let pipe = &self.pipe;
        let connection = self.connection.as_ref().ok_or(LinkError::Lost)?;
        let outcome = connection.when(&pipe.writable, || {
            let state = pipe.state();
            match (state.stopped, state.end) {
                (_, Some(End::Finished)) => Some(Ok(())),
                (Some(code), _) => Some(Err(LinkError::of_reset(code))),
                (None, Some(End::Reset(_))) => Some(Err(LinkError::Finished)),
                (None, None) => None,
            }
        });
        outcome.await?
    }
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct Recv {
    pipe: Arc<Pipe>,
    connection: Option<Connection>,
    /// Of the end that did not open the stream: its place, given back with both halves.
    credit: Option<Arc<OwnedSemaphorePermit>>,
}

impl Recv {
    pub(super) const fn new(pipe: Arc<Pipe>) -> Self {
        Self { pipe, connection: None, credit: None }
    }

    pub(super) fn for_credit(mut self, credit: Arc<OwnedSemaphorePermit>) -> Self {
        self.credit = Some(credit);
        self
    }

    pub(super) fn on(mut self, connection: Connection) -> Self {
        self.connection = Some(connection);
        self
    }

    pub(crate) async fn read(&mut self, out: &mut [u8]) -> Result<Option<usize>, LinkError> {
        let pipe = &self.pipe;
        let connection = self.connection.as_ref().ok_or(LinkError::Lost)?;
        let read = connection.when(&pipe.readable, || {
            let mut state = pipe.state();
            if !state.bytes.is_empty() {
                let n = state.bytes.len().min(out.len());
                for (to, byte) in out.iter_mut().zip(state.bytes.drain(..n)) {
                    *to = byte;
                }
                drop(state);
                pipe.writable.notify_one();
                return Some(Ok(Some(n)));
            }
            match state.end {
                Some(End::Finished) => Some(Ok(None)),
                Some(End::Reset(code)) => Some(Err(LinkError::of_reset(code))),
                None => None,
            }
        });
        read.await?
    }

    pub(crate) fn stop(&mut self, code: Code) {
        let mut state = self.pipe.state();
        state.stopped.get_or_insert(code);
        state.bytes.clear();
        drop(state);
        self.pipe.writable.notify_one();
    }
}
