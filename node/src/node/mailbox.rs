//! The mailbox of a node: one thread that owns the member machine and its store.
//!
//! Requests are checked on the cores that received them and then wait in lanes, see [`lanes`]. The
//! thread takes what waits, commits once, and releases that batch's answers: one disk sync a batch,
//! never one a message. What the machine wants passed on goes to the other members meanwhile.

mod lanes;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::mailbox::{
    Answer, CallId, Forward, ForwardReply, Interest, MailboxError, MemberMachine, Now, Request,
    RequestId, Response, Store, Transmit, Verified, Verify, View,
};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use self::lanes::{Batch, Full, Lanes, Waiting};
use crate::clock;
use crate::metrics::Metrics;

/// A write to be passed on to other members.
#[derive(Debug)]
pub(crate) struct Onward {
    pub(crate) call: CallId,
    pub(crate) to: Vec<NodeId>,
    pub(crate) forward: Arc<Forward>,
    pub(crate) interest: Interest,
}

/// A client asks.
struct Asked {
    request: Verified<Request>,
    reply: oneshot::Sender<Response>,
}

/// A member passes on a write.
struct PassedOn {
    from: NodeId,
    forward: Box<Verified<Forward>>,
    reply: oneshot::Sender<ForwardReply>,
}

/// What this node waits for itself.
enum Internal {
    Answer { call: CallId, answer: Verified<Answer> },
    Unreachable { call: CallId, member: NodeId },
    View(Box<View>),
}

/// Asks the mailbox thread. Clones share it; the thread ends when all are dropped.
#[derive(Clone)]
pub(crate) struct Mailbox {
    network: NetworkId,
    lanes: Lanes<Internal, PassedOn, Asked>,
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
        let (lanes, waiting) = lanes::lanes();
        // Bounded by what the machine has in hand, which the lanes and its own limit bound.
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
        Ok((Self { network, lanes, kept }, passed_on))
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
        match self.lanes.request(Asked { request: checked, reply }) {
            Ok(()) => answer.await.unwrap_or(Response::One(Err(MailboxError::Busy))),
            Err(Full) => Response::One(Err(MailboxError::Busy)),
        }
    }

    /// Another member passes on a write.
    pub(crate) async fn forward(&self, from: NodeId, forward: Forward) -> ForwardReply {
        let forward = Box::new(forward.verify(&self.network)?);
        let (reply, answer) = oneshot::channel();
        match self.lanes.forward(PassedOn { from, forward, reply }) {
            Ok(()) => answer.await.unwrap_or(Err(MailboxError::Busy)),
            Err(Full) => Err(MailboxError::Busy),
        }
    }

    /// What a member answered to a write that was passed on to it; `None` if it did not.
    pub(crate) fn answered(&self, call: CallId, member: NodeId, reply: Option<ForwardReply>) {
        let answer = reply.map(|reply| Answer { from: member, reply }.verify(&self.network));
        let input = match answer {
            Some(Ok(answer)) => Internal::Answer { call, answer },
            Some(Err(_)) | None => Internal::Unreachable { call, member },
        };
        // A full lane loses the answer of one member; the write then counts it as silent.
        if let Err(Full) = self.lanes.internal(input) {
            tracing::warn!("more answers of members wait than the mailbox can take");
        }
    }

    /// The directory has changed. Waits for room: a view must not be lost.
    pub(crate) async fn view(&self, view: View) {
        let (lanes, view) = (self.lanes.clone(), Internal::View(Box::new(view)));
        // Fails only when the runtime ends.
        let _ = tokio::task::spawn_blocking(move || lanes.internal_blocking(view)).await;
    }
}

struct Driver<S> {
    machine: MemberMachine<S>,
    waiting: Waiting<Internal, PassedOn, Asked>,
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
            let Some(batch) = self.waiting.take(due.min(Duration::from_secs(1))) else { return };
            let taken = batch.len();
            self.handle(batch);
            self.machine.handle_timeout(now());
            // What goes to other members leaves before our own sync, so that the two overlap.
            self.transmit();
            if self.machine.needs_commit() {
                self.machine.commit(now());
                self.metrics
                    .commit_batch
                    .observe(f64::from(u32::try_from(taken).unwrap_or(u32::MAX)));
                self.transmit();
            }
            self.kept.publish(&self.machine);
        }
    }

    fn handle(&mut self, batch: Batch<Internal, PassedOn, Asked>) {
        for input in batch.internal {
            match input {
                Internal::Answer { call, answer } => self.machine.handle_answer(call, answer),
                Internal::Unreachable { call, member } => {
                    self.machine.handle_unreachable(call, member);
                }
                Internal::View(view) => self.machine.handle_view(*view),
            }
        }
        for PassedOn { from, forward, reply } in batch.forwards {
            let id = self.next_id();
            self.acknowledgements.insert(id, reply);
            self.machine.handle_forward(now(), id, from, *forward);
        }
        for Asked { request, reply } in batch.requests {
            let id = self.next_id();
            self.responses.insert(id, reply);
            self.machine.handle_request(now(), id, request);
        }
    }

    const fn next_id(&mut self) -> RequestId {
        let id = RequestId(self.next);
        self.next += 1;
        id
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
