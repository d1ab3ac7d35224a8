//! What waits for the mailbox thread, by who asks: a lane each, so that a flood of requests keeps
//! out neither what members pass on nor what they answered.

use std::time::Duration;

use crossbeam_channel::{Receiver, Select, Sender, TryRecvError, TrySendError, bounded};

/// Answers of members that may wait: several for each write in hand.
const INTERNAL_MAX: usize = 4096;

/// Writes of members that may wait, and as many requests of clients: at the largest message 200 MB
/// each, at the very worst.
const ASKED_MAX: usize = 2048;

/// Writes and requests taken into one commit: a batch of this size is a few milliseconds of work.
const BATCH_MAX: usize = 512;

/// How many of a batch members may have. Clients get what they leave, a quarter at least: a write
/// that was passed on has cost the path and another member's work already.
const BATCH_FORWARDS: usize = BATCH_MAX / 4 * 3;

/// The lane was full.
#[derive(Debug)]
pub(super) struct Full;

/// The ends at which inputs come. Clones share them.
#[derive(Debug)]
pub(super) struct Lanes<I, F, R> {
    internal: Sender<I>,
    forwards: Sender<F>,
    requests: Sender<R>,
}

/// The ends at which the thread takes them.
#[derive(Debug)]
pub(super) struct Waiting<I, F, R> {
    internal: Receiver<I>,
    forwards: Receiver<F>,
    requests: Receiver<R>,
}

/// What is taken into one commit.
#[derive(Debug)]
pub(super) struct Batch<I, F, R> {
    pub(super) internal: Vec<I>,
    pub(super) forwards: Vec<F>,
    pub(super) requests: Vec<R>,
}

impl<I, F, R> Batch<I, F, R> {
    pub(super) fn len(&self) -> usize {
        self.internal.len() + self.forwards.len() + self.requests.len()
    }
}

/// Empty lanes.
pub(super) fn lanes<I, F, R>() -> (Lanes<I, F, R>, Waiting<I, F, R>) {
    let (internal, internal_waiting) = bounded(INTERNAL_MAX);
    let (forwards, forwards_waiting) = bounded(ASKED_MAX);
    let (requests, requests_waiting) = bounded(ASKED_MAX);
    let waiting = Waiting {
        internal: internal_waiting,
        forwards: forwards_waiting,
        requests: requests_waiting,
    };
    (Lanes { internal, forwards, requests }, waiting)
}

impl<I, F, R> Clone for Lanes<I, F, R> {
    fn clone(&self) -> Self {
        Self {
            internal: self.internal.clone(),
            forwards: self.forwards.clone(),
            requests: self.requests.clone(),
        }
    }
}

impl<I, F, R> Lanes<I, F, R> {
    /// The answer of a member.
    pub(super) fn internal(&self, input: I) -> Result<(), Full> {
        offer(&self.internal, input)
    }

    /// Waits for room, which may block.
    pub(super) fn internal_blocking(&self, input: I) {
        // The thread may have ended; then nobody needs the input.
        let _ = self.internal.send(input);
    }

    /// A write that a member passes on.
    pub(super) fn forward(&self, input: F) -> Result<(), Full> {
        offer(&self.forwards, input)
    }

    /// A request of a client.
    pub(super) fn request(&self, input: R) -> Result<(), Full> {
        offer(&self.requests, input)
    }
}

/// An input for a thread that has ended is dropped: whoever waits for its answer learns it thereby.
fn offer<T>(lane: &Sender<T>, input: T) -> Result<(), Full> {
    match lane.try_send(input) {
        Ok(()) | Err(TrySendError::Disconnected(_)) => Ok(()),
        Err(TrySendError::Full(_)) => Err(Full),
    }
}

impl<I, F, R> Waiting<I, F, R> {
    /// Waits until there is something, no longer than `within`, and takes what goes into one commit,
    /// which may be nothing. `None` when all is taken and nothing can come any more.
    pub(super) fn take(&self, within: Duration) -> Option<Batch<I, F, R>> {
        let mut any = Select::new();
        any.recv(&self.internal);
        any.recv(&self.forwards);
        any.recv(&self.requests);
        let _ = any.ready_timeout(within);

        let mut internal = Vec::new();
        let may_come = loop {
            match self.internal.try_recv() {
                Ok(input) if internal.len() + 1 < INTERNAL_MAX => internal.push(input),
                Ok(input) => {
                    internal.push(input);
                    break true;
                }
                Err(TryRecvError::Empty) => break true,
                Err(TryRecvError::Disconnected) => break false,
            }
        };
        let forwards: Vec<F> = self.forwards.try_iter().take(BATCH_FORWARDS).collect();
        let requests = self.requests.try_iter().take(BATCH_MAX - forwards.len()).collect();
        let batch = Batch { internal, forwards, requests };
        (may_come || batch.len() > 0).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Long enough never to be waited out: something waits, or all senders are gone.
    const LONG: Duration = Duration::from_secs(600);

    #[test]
    fn full_lane_of_requests_keeps_out_neither_members_nor_their_answers() {
        let (lanes, waiting) = lanes();
        for n in 0..ASKED_MAX {
            lanes.request(n).unwrap();
        }
        assert!(lanes.request(ASKED_MAX).is_err());
        lanes.forward("write").unwrap();
        lanes.internal("answer").unwrap();
        let batch = waiting.take(LONG).unwrap();
        assert_eq!((batch.internal, batch.forwards), (vec!["answer"], vec!["write"]));
        assert_eq!(batch.requests, (0..BATCH_MAX - 1).collect::<Vec<_>>());
        // Room again, behind those that wait.
        lanes.request(ASKED_MAX).unwrap();
        let batch = waiting.take(LONG).unwrap();
        assert_eq!(batch.requests.first(), Some(&(BATCH_MAX - 1)));
        assert_eq!(batch.len(), BATCH_MAX);
    }

    #[test]
    fn clients_have_a_quarter_of_a_batch_when_members_flood() {
        let (lanes, waiting) = lanes();
        for n in 0..ASKED_MAX {
            lanes.forward(n).unwrap();
            lanes.request(n).unwrap();
        }
        for n in 0..INTERNAL_MAX {
            lanes.internal(n).unwrap();
        }
        assert!(lanes.forward(0).is_err());
        assert!(lanes.internal(0).is_err());
        let batch = waiting.take(LONG).unwrap();
        assert_eq!(batch.internal.len(), INTERNAL_MAX);
        assert_eq!(batch.forwards.len(), 384);
        assert_eq!(batch.requests.len(), 128);
    }

    #[test]
    fn all_that_waits_is_taken_before_the_end() {
        let (lanes, waiting) = lanes();
        for n in 0..BATCH_MAX + 1 {
            lanes.request(n).unwrap();
        }
        lanes.forward(()).unwrap();
        lanes.internal(()).unwrap();
        drop(lanes.clone());
        drop(lanes);
        let lens: Vec<usize> =
            std::iter::from_fn(|| waiting.take(LONG)).map(|batch| batch.len()).collect();
        assert_eq!(lens, [BATCH_MAX + 1, 2]);
        assert!(waiting.take(LONG).is_none());
    }

    #[test]
    fn nothing_is_taken_when_nothing_comes() {
        let (lanes, waiting) = lanes::<(), (), ()>();
        assert_eq!(waiting.take(Duration::ZERO).unwrap().len(), 0);
        drop(waiting);
        // The thread is gone: not full, but nobody will answer.
        lanes.request(()).unwrap();
    }
}
