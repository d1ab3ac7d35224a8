//! Requests to the swarm of an id: writes that a majority confirms, reads from as many members as
//! are needed.
//!
//! A member's word counts only as far as its signature goes: receipts are checked against the
//! directory here, and a write succeeds when they make it durable by the swarm's own rule.

mod reading;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::Retry;
use enjambre_protocol::directory::VerifiedDocument;
use enjambre_protocol::id::{Digest, NodeId, SwarmId};
use enjambre_protocol::limits::RETRIEVE_MAX;
use enjambre_protocol::mailbox::{
    Call, Confirmed, MailboxError, Receipt, ReceiptNonce, Reply, Request, Response, Written,
};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::swarm::{Configuration, Member, Point, read_quorum};
use rand::Rng;
use rand::seq::SliceRandom;
use tokio::task::JoinSet;

use crate::deadline::Deadline;
use crate::net::{Net, NetError, PathTaken, Terms, Waits};

pub(crate) use reading::{Answers, Teller};

/// Bytes of an answer: a full page of records, or a chunk, with its fields.
const REPLY_MAX: usize = RETRIEVE_MAX + (256 << 10);

/// A member that takes longer to store gets company: a write to disks takes milliseconds, a way
/// round a dead hop up to three seconds.
const HEDGE_AFTER: Duration = Duration::from_secs(3);

/// Members that are asked to store the same at a time.
const WRITES_AT_ONCE: usize = 3;

/// How long is looked for a newer directory when every member of a swarm failed.
const REFRESH_WITHIN: Duration = Duration::from_secs(6);

/// What is said where nothing else is known.
const NO_ANSWER: &str = "no answer in time";

/// One write to one swarm.
#[derive(Clone)]
struct Round {
    key: IsolationKey,
    swarm: Arc<Swarm>,
    subject: Subject,
}

/// What members answered that did not store. Those of whom nothing was heard, because they were not
/// done or not asked by the deadline, are missing as much as those whose silence came to an end.
#[derive(Debug, Default)]
struct Failures {
    answered: BTreeSet<NodeId>,
    refusals: usize,
    /// The one that says most: a member's count of confirmations before silence.
    best: Option<SwarmError>,
}

impl Failures {
    /// Takes note of a failure; gives it back where asking others is of no use.
    fn add(&mut self, member: NodeId, error: SwarmError) -> Result<(), SwarmError> {
        if !error.is_elsewhere() {
            // One member alone may lie about what can never be.
            if !matches!(error, SwarmError::Mailbox(_)) || self.refusals > 0 {
                return Err(error);
            }
            self.refusals += 1;
        }
        tracing::debug!(%error, "a member did not store");
        let is_silence = matches!(error, SwarmError::Net(_));
        if !is_silence {
            self.answered.insert(member);
        }
        let says_more = !is_silence || matches!(self.best, None | Some(SwarmError::Net(_)));
        if says_more {
            self.best = Some(error);
        }
        Ok(())
    }

    /// What to say of a write to a swarm of these members.
    fn into_error(self, members: &[Member]) -> SwarmError {
        let last = match self.best {
            Some(SwarmError::Net(error)) => error.to_string(),
            Some(error) => return error,
            None => NO_ANSWER.to_owned(),
        };
        let nodes = members.iter().map(|member| member.node);
        let missing = nodes.filter(|node| !self.answered.contains(node)).collect();
        SwarmError::Unanswered { missing, members: members.len(), last }
    }
}

/// What a write is about, for checking its receipts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    pub(crate) point: Point,
    pub(crate) written: Written,
    pub(crate) digest: Digest,
    pub(crate) nonce: ReceiptNonce,
}

/// A write that is durable in its swarm.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    /// Stable members that signed.
    pub(crate) copies: u32,
    /// Stable members.
    pub(crate) members: u32,
    pub(crate) swarm: SwarmId,
    pub(crate) path: PathTaken,
}

/// Why a swarm did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SwarmError {
    /// No member could be asked.
    #[error(transparent)]
    Net(#[from] NetError),
    /// A member said no.
    #[error("the swarm refused: {0}")]
    Mailbox(#[from] MailboxError),
    /// A member claimed more than its receipts show.
    #[error("only {copies} of {members} members gave a receipt that holds")]
    Receipts {
        /// Receipts that hold.
        copies: u32,
        /// Members of the swarm.
        members: u32,
    },
    /// Too many members gave no answer, by whatever way.
    #[error("{} of the swarm's {members} members gave no answer ({}): {last}",
        missing.len(), names(missing))]
    Unanswered {
        /// Members that gave none.
        missing: Vec<NodeId>,
        /// Members of the swarm.
        members: usize,
        /// What the last try ended in.
        last: String,
    },
    /// The directory lists no swarm.
    #[error("the network has no swarm yet")]
    NoSwarm,
}

impl SwarmError {
    /// What the caller can do.
    pub(crate) fn retry(&self) -> Retry {
        match self {
            Self::Net(error) => error.retry(),
            Self::Mailbox(error) => error.retry(),
            Self::Receipts { .. } | Self::Unanswered { .. } | Self::NoSwarm => Retry::Later,
        }
    }

    /// Whether another member may do better.
    fn is_elsewhere(&self) -> bool {
        match self {
            Self::Net(error) => {
                !matches!(error, NetError::Path(_) | NetError::TooLarge { .. } | NetError::Keep(_))
            }
            Self::Mailbox(error) => !matches!(error.retry(), Retry::Never),
            Self::Receipts { .. } | Self::Unanswered { .. } => true,
            Self::NoSwarm => false,
        }
    }
}

/// The members that answer reads of a point, as the directory has them.
#[derive(Clone, Debug)]
pub(crate) struct Swarm {
    document: Arc<VerifiedDocument>,
    point: Point,
    configuration: Configuration,
}

impl Swarm {
    /// Members that must answer before a read is complete.
    pub(crate) fn read_quorum(&self) -> usize {
        read_quorum(self.configuration.stable.len())
    }

    /// The members, in the directory's order.
    pub(crate) fn members(&self) -> &[Member] {
        &self.configuration.stable
    }

    /// The swarm.
    pub(crate) const fn id(&self) -> SwarmId {
        self.configuration.swarm
    }

    /// The distinct members whose receipts hold for `subject`.
    fn acknowledged(&self, net: &Net, subject: &Subject, receipts: &[Receipt]) -> Vec<Member> {
        let mut members: Vec<Member> = receipts
            .iter()
            .filter(|receipt| {
                let body = &receipt.body;
                body.point == subject.point
                    && body.written == subject.written
                    && body.subject == subject.digest
                    && body.nonce == subject.nonce
                    && receipt.verify(net.network()).is_ok()
            })
            .map(Receipt::member)
            .collect();
        members.sort_unstable();
        members.dedup();
        members
    }

    fn check(
        &self,
        net: &Net,
        subject: &Subject,
        confirmed: &Confirmed,
    ) -> Result<(u32, u32), SwarmError> {
        let acknowledged = self.acknowledged(net, subject, &confirmed.receipts);
        let stable = &self.configuration.stable;
        let copies = stable.iter().filter(|member| acknowledged.contains(member)).count();
        let (copies, members) = (count(copies), count(stable.len()));
        let route = self.document.document().swarms.route(self.point);
        match route {
            Some(route) if route.write_satisfied(&acknowledged) => Ok((copies, members)),
            Some(_) | None => Err(SwarmError::Receipts { copies, members }),
        }
    }
}

/// Nodes as people tell them apart.
fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(|node| node.short()).collect::<Vec<_>>().join(", ")
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Net {
    /// Who keeps a point, by a directory that is fresh enough.
    pub(crate) async fn swarm(
        &self,
        point: Point,
        deadline: Deadline,
    ) -> Result<Swarm, SwarmError> {
        let document = self.ensure_fresh(deadline).await?;
        let route = document.document().swarms.route(point).ok_or(SwarmError::NoSwarm)?;
        let configuration = route.stable.clone();
        Ok(Swarm { document: Arc::clone(&document), point, configuration })
    }

    /// The members of a swarm: those that failed least of late first, and else in random order.
    pub(crate) fn shuffled(&self, swarm: &Swarm) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = swarm.members().iter().map(|member| member.node).collect();
        self.with_rng(|rng| nodes.shuffle(rng));
        self.sort_by_charge(&mut nodes);
        nodes
    }

    /// A nonce for receipts.
    pub(crate) fn nonce(&self) -> ReceiptNonce {
        let mut bytes = [0; ReceiptNonce::LEN];
        self.with_rng(|rng| rng.fill_bytes(&mut bytes));
        ReceiptNonce::from_bytes(bytes)
    }

    /// Writes through one member until one shows that the write is durable: through the next where
    /// one fails, and beside one that is slow.
    pub(crate) async fn write(
        self: &Arc<Self>,
        key: &IsolationKey,
        subject: &Subject,
        call: &Call,
        deadline: Deadline,
    ) -> Result<Durable, SwarmError> {
        let mut swarm = Arc::new(self.swarm(subject.point, deadline).await?);
        let mut failures = Failures::default();
        // The second round is for a swarm that changed under way.
        for _ in 0..2 {
            let round = Round { key: *key, swarm: Arc::clone(&swarm), subject: *subject };
            if let Some(durable) = self.write_round(round, call, deadline, &mut failures).await? {
                return Ok(durable);
            }
            if deadline.has_passed() {
                break;
            }
            // Without a newer directory the swarm is what it was.
            let _ = self.refresh(deadline.within(REFRESH_WITHIN)).await;
            let newer = self.swarm(subject.point, deadline).await?;
            if newer.configuration == swarm.configuration {
                break;
            }
            swarm = Arc::new(newer);
        }
        Err(failures.into_error(swarm.members()))
    }

    /// Tries every member of a swarm once. `None` where none did it and another swarm may.
    async fn write_round(
        self: &Arc<Self>,
        round: Round,
        call: &Call,
        deadline: Deadline,
        failures: &mut Failures,
    ) -> Result<Option<Durable>, SwarmError> {
        let mut waiting = self.shuffled(&round.swarm).into_iter();
        let mut under_way = JoinSet::new();
        let mut room = 1;
        loop {
            while under_way.len() < room
                && !deadline.has_passed()
                && let Some(member) = waiting.next()
            {
                let (net, round, call) = (Arc::clone(self), round.clone(), call.clone());
                under_way.spawn(async move {
                    (member, net.write_at(&round, member, call, deadline).await)
                });
            }
            if under_way.is_empty() {
                return Ok(None);
            }
            let ended = match tokio::time::timeout(HEDGE_AFTER, under_way.join_next()).await {
                Ok(Some(Ok(ended))) => ended,
                Ok(Some(Err(_)) | None) => continue,
                Err(_) => {
                    room = (room + 1).min(WRITES_AT_ONCE);
                    continue;
                }
            };
            match ended {
                (_, Ok(durable)) => return Ok(Some(durable)),
                (member, Err(error)) => failures.add(member, error)?,
            }
        }
    }

    async fn write_at(
        &self,
        round: &Round,
        member: NodeId,
        call: Call,
        deadline: Deadline,
    ) -> Result<Durable, SwarmError> {
        let Round { key, swarm, subject } = round;
        let (reply, path) =
            self.call(key, member, call, Waits::Write, SizeClass::K2, deadline).await?;
        let (Reply::Stored(confirmed) | Reply::Changed(confirmed) | Reply::ChunkStored(confirmed)) =
            reply
        else {
            return Err(NetError::Malformed.into());
        };
        let (copies, members) = swarm.check(self, subject, &confirmed)?;
        Ok(Durable { copies, members, swarm: swarm.id(), path })
    }

    /// One call to one member.
    pub(crate) async fn call(
        &self,
        key: &IsolationKey,
        member: NodeId,
        call: Call,
        waits: Waits,
        reply_class: SizeClass,
        deadline: Deadline,
    ) -> Result<(Reply, PathTaken), SwarmError> {
        let request = ServiceRequest::Mailbox(Request::One(Box::new(call)));
        let terms = Terms { waits, reply_class, reply_max: REPLY_MAX, deadline };
        let answer = self.request(key, member, &request, terms).await?;
        match answer.reply {
            ServiceReply::Mailbox(Response::One(reply)) => Ok((reply?, answer.path)),
            _ => Err(NetError::Malformed.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use enjambre_protocol::id::StoreId;
    use enjambre_protocol::mailbox::Unconfirmed;

    use super::*;

    fn silent() -> SwarmError {
        NetError::Unreachable { node: node(1), last: NO_ANSWER.to_owned() }.into()
    }

    fn node(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    /// Members 1 to 6.
    fn six() -> Vec<Member> {
        let store = StoreId::from_bytes([1; 16]);
        (1..=6).map(|number| Member { node: node(number), store }).collect()
    }

    #[test]
    fn members_that_were_silent_to_the_end_are_missing_like_those_that_failed() {
        let mut failures = Failures::default();
        // Two failed, one of them in both rounds; one refused; of the rest nothing was heard.
        for member in [1, 2, 1] {
            failures.add(node(member), silent()).unwrap();
        }
        failures.answered.insert(node(6));
        let error = failures.into_error(&six());
        let named = [1, 2, 3, 4, 5].map(|number| node(number).short()).join(", ");
        let expected = format!("5 of the swarm's 6 members gave no answer ({named}): ");
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert_eq!(error.retry(), Retry::Later);
        let none_asked = Failures::default().into_error(&six()).to_string();
        assert!(none_asked.starts_with("6 of the swarm's 6"), "{none_asked}");
    }

    #[test]
    fn count_of_confirmations_says_more_than_silence() {
        let unconfirmed = || {
            let reason = Unconfirmed::NoAnswer;
            SwarmError::from(MailboxError::NotConfirmed { confirmed: 2, needed: 4, reason })
        };
        for errors in [[unconfirmed(), silent()], [silent(), unconfirmed()]] {
            let mut failures = Failures::default();
            errors.into_iter().for_each(|error| failures.add(node(1), error).unwrap());
            assert_eq!(failures.into_error(&six()).to_string(), unconfirmed().to_string());
        }
    }

    #[test]
    fn what_can_never_be_is_believed_of_two_members_not_of_one() {
        let never = || SwarmError::from(MailboxError::Malformed);
        assert_eq!(never().retry(), Retry::Never);
        let mut failures = Failures::default();
        assert!(failures.add(node(1), never()).is_ok());
        assert!(failures.add(node(2), never()).is_err());
    }
}
