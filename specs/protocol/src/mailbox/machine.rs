//! One member of a swarm: takes requests, passes writes on, answers when a majority has them.
//!
//! Whichever member a client reaches coordinates. It stamps a record, stages it, passes it to every
//! other member of the lists concerned, and answers when a majority of each list has it on disk,
//! itself counted like the others: if its own disk fails, the rest may still suffice. A member that
//! takes a write from a coordinator checks, stages, and answers after its own commit.
//!
//! # Contract
//!
//! Feed any number of [`MemberMachine::handle_request`] and [`MemberMachine::handle_forward`], then
//! call [`MemberMachine::commit`] once, then drain [`MemberMachine::poll_transmit`]; in between,
//! feed replies and time-outs as they come. Forwards may be sent before the commit; nothing that
//! acknowledges comes out before it. Reads are answered by the commit that follows them, from what
//! is on disk. Randomness is not needed; time comes in with every call.
//!
//! # Invariants
//!
//! - *Synced*, *Majority*: see [`crate::mailbox`].
//! - *Once*: every request and every forward gets exactly one answer, by its deadline.
//! - *Bounded*: at most [`MemberConfig::pending_max`] requests are in hand; more is `busy`.
//! - *Two clocks*: nothing is removed as expired by this member's clock alone; the directory must
//!   vouch for the time, so that a clock that jumps forward makes no receipt false.

mod admission;
mod coordinate;
mod serve;

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};

use crate::crypto::SecretKey;
use crate::id::{NetworkId, NodeId};
use crate::limits::RETRIEVE_MAX;
use crate::mailbox::verified::{CheckedCall, CheckedRead, CheckedRequest, Shape};
use crate::mailbox::{
    Answer, Clock, Counters, Forward, ForwardReply, MailboxError, Mailboxes, Quotas, Reply,
    Request, Response, StorageError, Store, Verified,
};
use crate::swarm::SwarmState;
use crate::time::{Instant, Timestamp};
use coordinate::Write;
use serve::Staged;

/// How long a coordinator waits for the others: the deployed network's limit for one peer.
pub const WRITE_DEADLINE: Duration = Duration::from_secs(5);

/// How often what has expired is removed.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Index entries handled in one sweep, so that it does not hold up requests: about 20 ms of disk.
const SWEEP_ROWS: usize = 2048;

/// The pause between sweeps while more is due.
const SWEEP_AGAIN: Duration = Duration::from_millis(100);

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub instant: Instant,
    /// For stamps and expiries: the directory's clock.
    pub clock: Timestamp,
}

/// The driver's name for a request or a forward that awaits its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub u64);

/// The machine's name for a write that it passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(pub u64);

/// Whether this member has reconciled since it joined or restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// It answers reads and signs receipts.
    Ready,
    /// It takes writes, and does neither.
    CatchingUp,
}

/// What a member knows of the directory.
#[derive(Clone, Debug)]
pub struct View {
    /// Height of the newest document.
    pub height: u64,
    /// When that document was made, by the authorities' clocks.
    pub made: Timestamp,
    /// How long after it was made a newer one may be missing on a healthy network: a few epochs.
    /// Nothing is removed as expired later than that, and a member whose clock is as far behind the
    /// document takes no write.
    pub late_after: Duration,
    /// How long members go on with it. A member whose clock is further on takes no write: either its
    /// clock or its directory is wrong.
    pub stale_after: Duration,
    /// Its swarms.
    pub swarms: Arc<SwarmState>,
    /// Whether this member may answer.
    pub readiness: Readiness,
}

/// Settings of a member.
#[derive(Clone, Copy, Debug)]
pub struct MemberConfig {
    /// The network.
    pub network: NetworkId,
    /// Shares of accounts and of the node.
    pub quotas: Quotas,
    /// How long a coordinator waits. [`WRITE_DEADLINE`] unless set.
    pub deadline: Duration,
    /// Requests and forwards in hand at most. 16 384 unless set: at 80 KiB each, 1.3 GiB at the
    /// very worst, and far less since most are small.
    pub pending_max: usize,
}

impl MemberConfig {
    /// The defaults on a network.
    pub fn new(network: NetworkId) -> Self {
        Self { network, quotas: Quotas::default(), deadline: WRITE_DEADLINE, pending_max: 16_384 }
    }
}

/// Something for the driver to send.
#[derive(Clone, Debug)]
pub enum Transmit {
    /// The answer to a client's request.
    Respond {
        /// Which.
        id: RequestId,
        /// What.
        response: Response,
    },
    /// The answer to a forward.
    Acknowledge {
        /// Which.
        id: RequestId,
        /// What.
        reply: ForwardReply,
    },
    /// A write for other members; each answer goes to [`MemberMachine::handle_answer`] under
    /// `call`, and where none can be had [`MemberMachine::handle_unreachable`] is told.
    Forward {
        /// Its name.
        call: CallId,
        /// To whom.
        to: Vec<NodeId>,
        /// What.
        forward: Arc<Forward>,
        /// Whether answers still count.
        interest: Interest,
    },
}

/// Whether the answers to a write that was passed on still count.
///
/// Checking an answer costs a signature's time. Once enough members have answered, or the write was
/// given up, the rest may go unread.
#[derive(Clone, Debug)]
pub struct Interest(Weak<()>);

impl Interest {
    /// False once the write is settled; it stays false.
    pub fn remains(&self) -> bool {
        self.0.strong_count() > 0
    }
}

/// A request of a client, part by part.
#[derive(Debug)]
struct Pending {
    shape: Shape,
    parts: Vec<Option<Result<Reply, MailboxError>>>,
    /// Bytes of payload that the response may still hold.
    room: usize,
}

/// One part of a client's request.
#[derive(Clone, Copy, Debug)]
struct Part {
    id: RequestId,
    index: usize,
}

/// A read that waits for the next commit.
#[derive(Debug)]
struct Queued {
    part: Part,
    read: Box<CheckedRead>,
}

/// One member of a swarm. See the module for its contract.
#[derive(Debug)]
pub struct MemberMachine<S> {
    config: MemberConfig,
    key: SecretKey,
    me: NodeId,
    mailboxes: Mailboxes<S>,
    view: Option<Directory>,
    pending: BTreeMap<RequestId, Pending>,
    writes: BTreeMap<CallId, Write>,
    deadlines: VecDeque<(Instant, CallId)>,
    staged: Vec<Staged>,
    reads: Vec<Queued>,
    transmits: VecDeque<Transmit>,
    next_call: u64,
    sweep_at: Instant,
}

/// A view with its rings computed once.
#[derive(Debug)]
struct Directory {
    view: View,
    stable_ring: Vec<crate::id::SwarmId>,
    target_ring: Vec<crate::id::SwarmId>,
}

impl<S: Store> MemberMachine<S> {
    /// A member with this key, on this store. It is not ready before [`Self::handle_view`].
    pub fn new(config: MemberConfig, key: SecretKey, store: S) -> Result<Self, StorageError> {
        let me = NodeId::from_bytes(*key.public().as_bytes());
        Ok(Self {
            mailboxes: Mailboxes::open(store, config.quotas)?,
            config,
            key,
            me,
            view: None,
            pending: BTreeMap::new(),
            writes: BTreeMap::new(),
            deadlines: VecDeque::new(),
            staged: Vec::new(),
            reads: Vec::new(),
            transmits: VecDeque::new(),
            next_call: 0,
            sweep_at: Instant::START,
        })
    }

    /// The directory has changed, or this member has caught up. Older heights are ignored.
    pub fn handle_view(&mut self, view: View) {
        if self.view.as_ref().is_some_and(|known| known.view.height > view.height) {
            return;
        }
        let (stable_ring, target_ring) = (view.swarms.stable_ring(), view.swarms.target_ring());
        self.view = Some(Directory { view, stable_ring, target_ring });
    }

    /// A client asks.
    pub fn handle_request(&mut self, now: Now, id: RequestId, request: Verified<Request>) {
        let CheckedRequest { shape, parts } = request.into_checked();
        let waiting =
            Pending { shape, parts: parts.iter().map(|_| None).collect(), room: RETRIEVE_MAX };
        let count = parts.len();
        self.pending.insert(id, waiting);
        let busy = self.in_hand() > self.config.pending_max;
        for (index, part) in parts.into_iter().enumerate() {
            let part_of = Part { id, index };
            match part {
                _ if busy => self.finish(part_of, Err(MailboxError::Busy)),
                Err(error) => self.finish(part_of, Err(error)),
                Ok(CheckedCall::Read(read)) => self.reads.push(Queued { part: part_of, read }),
                Ok(CheckedCall::Write(write)) => self.coordinate(now, part_of, &write),
            }
        }
        debug_assert!(count > 0, "a verified request has parts");
    }

    /// Another member passes on a write of a client of its own. `from` is whom the link
    /// authenticated.
    pub fn handle_forward(
        &mut self,
        now: Now,
        id: RequestId,
        from: NodeId,
        forward: Verified<Forward>,
    ) {
        if self.in_hand() > self.config.pending_max {
            return self.acknowledge(id, Err(MailboxError::Busy));
        }
        if let Err(error) = self.take_forward(now, id, from, &forward.into_checked()) {
            self.acknowledge(id, Err(error));
        }
    }

    /// Puts all that is staged on disk, with one sync, and answers what waited for it.
    pub fn commit(&mut self, now: Now) {
        let result = self.mailboxes.commit();
        if self.mailboxes.is_behind() {
            self.sweep_at = self.sweep_at.min(now.instant.saturating_add(SWEEP_AGAIN));
        }
        for staged in core::mem::take(&mut self.staged) {
            self.release(staged, &result);
        }
        for Queued { part, read } in core::mem::take(&mut self.reads) {
            let room = self.pending.get(&part.id).map_or(0, |pending| pending.room);
            let reply = self.serve(now.clock, *read, room);
            if let Some(pending) = self.pending.get_mut(&part.id) {
                pending.room = room.saturating_sub(reply.as_ref().map_or(0, Reply::payload));
            }
            self.finish(part, reply);
        }
    }

    /// A member answered a write that was passed on to it.
    pub fn handle_answer(&mut self, call: CallId, answer: Verified<Answer>) {
        let Answer { from, reply } = answer.into_checked();
        self.note(call, from, reply);
    }

    /// A member could not be reached, or will not answer any more.
    pub fn handle_unreachable(&mut self, call: CallId, member: NodeId) {
        self.note_silence(call, member);
    }

    /// Time has passed: gives up on writes that are due, and removes what has expired. Call
    /// [`Self::commit`] after it. Early calls do nothing.
    pub fn handle_timeout(&mut self, now: Now) {
        while let Some(&(at, call)) = self.deadlines.front()
            && at <= now.instant
        {
            self.deadlines.pop_front();
            self.give_up(call);
        }
        if self.sweep_at <= now.instant {
            let swept = self.mailboxes.sweep(self.certain(now.clock), SWEEP_ROWS);
            let pause = match swept {
                Ok(swept) if swept.more => SWEEP_AGAIN,
                // What it had staged is whole rows; the next sweep goes on where it broke off.
                Ok(_) | Err(_) => SWEEP_EVERY,
            };
            self.sweep_at = now.instant.saturating_add(pause);
        }
    }

    /// The next thing to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.transmits.pop_front()
    }

    /// When [`Self::handle_timeout`] is due.
    pub fn poll_timeout(&self) -> Instant {
        self.deadlines.front().map_or(self.sweep_at, |(at, _)| self.sweep_at.min(*at))
    }

    /// Whether something waits for [`Self::commit`].
    pub fn needs_commit(&self) -> bool {
        !self.staged.is_empty() || !self.reads.is_empty() || self.mailboxes.store().is_staged()
    }

    /// What is stored, in numbers that name nobody.
    pub const fn counters(&self) -> Counters {
        self.mailboxes.counters()
    }

    /// This member's node id.
    pub const fn id(&self) -> NodeId {
        self.me
    }

    /// The mailboxes.
    pub const fn mailboxes(&self) -> &Mailboxes<S> {
        &self.mailboxes
    }

    /// The store, for what only its own kind can do.
    pub const fn store_mut(&mut self) -> &mut S {
        self.mailboxes.store_mut()
    }

    /// Ends the machine; the store is given back with nothing staged.
    pub fn into_store(mut self) -> S {
        self.mailboxes.rollback();
        self.mailboxes.into_store()
    }

    /// The time that has certainly come: this member's clock, but not beyond what the directory
    /// vouches for. Without a directory none has, and nothing is swept.
    fn certain(&self, clock: Timestamp) -> Timestamp {
        let view = self.view.as_ref().map(|directory| &directory.view);
        let vouched = view.map(|view| view.made.saturating_add(view.late_after));
        vouched.unwrap_or_default().min(clock)
    }

    /// This member's clock with what is certain of it.
    fn clock(&self, now: Timestamp) -> Clock {
        Clock { now, certain: self.certain(now) }
    }

    fn in_hand(&self) -> usize {
        self.pending.len() + self.staged.len()
    }

    fn acknowledge(&mut self, id: RequestId, reply: ForwardReply) {
        self.transmits.push_back(Transmit::Acknowledge { id, reply });
    }

    /// One part of a request is answered; with the last the response leaves.
    fn finish(&mut self, part: Part, result: Result<Reply, MailboxError>) {
        let Part { id, index } = part;
        let Some(pending) = self.pending.get_mut(&id) else { return };
        if let Some(slot) = pending.parts.get_mut(index) {
            *slot = Some(result);
        }
        if pending.parts.iter().any(Option::is_none) {
            return;
        }
        let Some(Pending { shape, parts, .. }) = self.pending.remove(&id) else { return };
        let mut answers: Vec<_> = parts.into_iter().flatten().collect();
        let response = match (shape, answers.pop()) {
            (Shape::One, Some(only)) => Response::One(only),
            (Shape::One, None) => Response::One(Err(MailboxError::Malformed)),
            (Shape::Batch, last) => {
                answers.extend(last);
                Response::Batch(answers)
            }
        };
        self.transmits.push_back(Transmit::Respond { id, response });
    }
}
