//! The mailbox of a node: one thread that owns the member machine and its store.
//!
//! Requests are checked on the cores that received them and then wait in one queue. The thread
//! drains what waits, commits once, and releases that batch's answers: one disk sync a batch,
//! never one a message. What the machine wants passed on goes to the other members meanwhile.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::mailbox::{
    Answer, CallId, Forward, ForwardReply, Interest, MailboxError, MemberMachine, Now, Request,
    RequestId, Response, Store, Transmit, Verified, Verify, View,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics::Metrics;

/// Requests that wait for the thread: more, and the answer is busy. At the largest message 400 MB
/// at the very worst.
const QUEUE_MAX: usize = 4096;

/// Inputs taken into one commit: a batch of this size is a few milliseconds of work.
const BATCH_MAX: usize = 512;

/// A write to be passed on to other members.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) call: CallId,
    pub(crate) to: Vec<NodeId>,
    pub(crate) forward: Arc<Forward>,
    pub(crate) interest: Interest,
}

enum Input {
    Request { request: Verified<Request>, reply: oneshot::Sender<Response> },
    Forward { from: NodeId, forward: Box<Verified<Forward>>, reply: oneshot::Sender<ForwardReply> },
    Answer { call: CallId, answer: Verified<Answer> },
    Unreachable { call: CallId, member: NodeId },
    View(Box<View>),
}

/// Asks the mailbox thread. Clones share it; the thread ends when all are dropped.
#[derive(Clone)]
pub(crate) struct Mailbox {
    network: NetworkId,
    inputs: SyncSender<Input>,
    kept: Arc<Kept>,
}

impl std::fmt::Debug for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Mailbox(..)")
    }
}

/// What is stored, as last published by the thread.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    messages: AtomicU64,
    bytes: AtomicU64,
    is_full: AtomicBool,
    damaged: AtomicU64,
}

impl Kept {
    pub(crate) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Whether the disk has no room for more.
    pub(crate) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    fn publish<S: Store>(&self, machine: &MemberMachine<S>) {
        let counters = machine.counters();
        self.messages.store(counters.messages, Ordering::Relaxed);
        let bytes = counters.messages_bytes.saturating_add(counters.chunks_bytes);
        self.bytes.store(bytes, Ordering::Relaxed);
        let damaged = machine.mailboxes().damaged();
        if self.damaged.swap(damaged, Ordering::Relaxed) < damaged {
            tracing::error!(damaged, "rows of the database are damaged and were passed over");
        }
        let is_full = !machine.mailboxes().store().has_room();
        match (self.is_full.swap(is_full, Ordering::Relaxed), is_full) {
            (false, true) => tracing::error!(
                "out of disk: messages are refused until there is room again; free some space"
            ),
            (true, false) => tracing::info!("there is room on the disk again"),
            (false, false) | (true, true) => {}
        }
    }
}

impl Mailbox {
    /// Starts the thread; what is to be passed on comes out of the channel, and `ended` is cancelled
    /// when the thread is no more.
    pub(crate) fn start<S: Store + Send + 'static>(
        machine: MemberMachine<S>,
        network: NetworkId,
        metrics: Metrics,
        ended: CancellationToken,
    ) -> std::io::Result<(Self, mpsc::UnboundedReceiver<Onward>)> {
        let (inputs, waiting) = sync_channel(QUEUE_MAX);
        // Bounded by what the machine has in hand, which the queue and its own limit bound.
        let (onward, passed_on) = mpsc::unbounded_channel();
        let kept = Arc::new(Kept::default());
        kept.publish(&machine);
        let driver = Driver {
            machine,
            waiting,
            onward,
            kept: Arc::clone(&kept),
            metrics,
            responses: HashMap::new(),
            acknowledgements: HashMap::new(),
            next: 0,
        };
        std::thread::Builder::new().name("mailbox".to_owned()).spawn(move || {
            // Told also when the thread panics: without it the node is of no use.
            let _told = ended.drop_guard();
            driver.run();
        })?;
        Ok((Self { network, inputs, kept }, passed_on))
    }

    /// What is stored.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// A client asks. The signatures are checked here, on the caller's core.
    pub(crate) async fn request(&self, request: Request) -> Response {
        let checked = match request.verify(&self.network) {
            Ok(checked) => checked,
            Err(error) => return Response::One(Err(error)),
        };
        let (reply, answer) = oneshot::channel();
        match self.inputs.try_send(Input::Request { request: checked, reply }) {
            Ok(()) => answer.await.unwrap_or(Response::One(Err(MailboxError::Busy))),
            Err(_) => Response::One(Err(MailboxError::Busy)),
        }
    }

    /// Another member passes on a write.
    pub(crate) async fn forward(&self, from: NodeId, forward: Forward) -> ForwardReply {
        let forward = Box::new(forward.verify(&self.network)?);
        let (reply, answer) = oneshot::channel();
        match self.inputs.try_send(Input::Forward { from, forward, reply }) {
            Ok(()) => answer.await.unwrap_or(Err(MailboxError::Busy)),
            Err(_) => Err(MailboxError::Busy),
        }
    }

    /// What a member answered to a write that was passed on to it; `None` if it did not.
    pub(crate) fn answered(&self, call: CallId, member: NodeId, reply: Option<ForwardReply>) {
        let answer = reply.map(|reply| Answer { from: member, reply }.verify(&self.network));
        let input = match answer {
            Some(Ok(answer)) => Input::Answer { call, answer },
            Some(Err(_)) | None => Input::Unreachable { call, member },
        };
        // A full queue loses the answer of one member; the write then counts it as silent.
        if let Err(TrySendError::Full(_)) = self.inputs.try_send(input) {
            tracing::warn!("the mailbox queue is full");
        }
    }

    /// The directory has changed. Waits for room: a view must not be lost.
    pub(crate) async fn view(&self, view: View) {
        let (inputs, view) = (self.inputs.clone(), Box::new(view));
        // The thread may have ended; then nobody needs the view.
        let _ = tokio::task::spawn_blocking(move || inputs.send(Input::View(view)).is_ok()).await;
    }
}

struct Driver<S> {
    machine: MemberMachine<S>,
    waiting: Receiver<Input>,
    onward: mpsc::UnboundedSender<Onward>,
    kept: Arc<Kept>,
    metrics: Metrics,
    responses: HashMap<RequestId, oneshot::Sender<Response>>,
    acknowledgements: HashMap<RequestId, oneshot::Sender<ForwardReply>>,
    next: u64,
}

impl<S: Store> Driver<S> {
    fn run(mut self) {
        loop {
            let due = self.machine.poll_timeout().saturating_since(clock::instant());
            let mut taken = 0_u32;
            match self.waiting.recv_timeout(due.min(Duration::from_secs(1))) {
                Ok(input) => {
                    taken += self.handle(input);
                    while usize::try_from(taken).is_ok_and(|taken| taken < BATCH_MAX)
                        && let Ok(input) = self.waiting.try_recv()
                    {
                        taken += self.handle(input);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.machine.handle_timeout(now());
            // What goes to other members leaves before our own sync, so that the two overlap.
            self.transmit();
            if self.machine.needs_commit() {
                self.machine.commit(now());
                self.metrics.commit_batch.observe(f64::from(taken));
                self.transmit();
            }
            self.kept.publish(&self.machine);
        }
    }

    fn handle(&mut self, input: Input) -> u32 {
        let id = RequestId(self.next);
        match input {
            Input::Request { request, reply } => {
                self.next += 1;
                self.responses.insert(id, reply);
                self.machine.handle_request(now(), id, request);
            }
            Input::Forward { from, forward, reply } => {
                self.next += 1;
                self.acknowledgements.insert(id, reply);
                self.machine.handle_forward(now(), id, from, *forward);
            }
            Input::Answer { call, answer } => self.machine.handle_answer(call, answer),
            Input::Unreachable { call, member } => self.machine.handle_unreachable(call, member),
            Input::View(view) => self.machine.handle_view(*view),
        }
        1
    }

    fn transmit(&mut self) {
        while let Some(transmit) = self.machine.poll_transmit() {
            // A receiver that is gone has given up waiting; there is nobody to tell.
            match transmit {
                Transmit::Respond { id, response } => {
                    if let Some(reply) = self.responses.remove(&id) {
                        let _ = reply.send(response);
                    }
                }
                Transmit::Acknowledge { id, reply } => {
                    if let Some(waiting) = self.acknowledgements.remove(&id) {
                        let _ = waiting.send(reply);
                    }
                }
                Transmit::Forward { call, to, forward, interest } => {
                    let _ = self.onward.send(Onward { call, to, forward, interest });
                }
            }
        }
    }
}

fn now() -> Now {
    Now { instant: clock::instant(), clock: clock::now() }
}
