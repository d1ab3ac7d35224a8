//! Requests to the swarm of an id: writes that a majority confirms, reads from as many members as
//! are needed.
//!
//! A member's word counts only as far as its signature goes: receipts are checked against the
//! directory here, and a write succeeds when they make it durable by the swarm's own rule.

use std::sync::Arc;
use std::time::{Duration, Instant};

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

use crate::net::{Net, NetError, PathTaken, Waits};

/// Bytes of an answer: a full page of records, or a chunk, with its fields.
const REPLY_MAX: usize = RETRIEVE_MAX + (256 << 10);

/// How long the members of a swarm are tried one after another.
const WRITE_WITHIN: Duration = Duration::from_secs(30);

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
            Self::Receipts { .. } | Self::NoSwarm => Retry::Later,
        }
    }

    /// Whether another member may do better.
    fn is_elsewhere(&self) -> bool {
        match self {
            Self::Net(error) => {
                !matches!(error, NetError::Path(_) | NetError::TooLarge { .. } | NetError::Keep(_))
            }
            Self::Mailbox(error) => !matches!(error.retry(), Retry::Never),
            Self::Receipts { .. } => true,
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

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

impl Net {
    /// Who keeps a point, by a directory that is fresh enough.
    pub(crate) async fn swarm(&self, point: Point) -> Result<Swarm, SwarmError> {
        let document = self.ensure_fresh().await?;
        let route = document.document().swarms.route(point).ok_or(SwarmError::NoSwarm)?;
        let configuration = route.stable.clone();
        Ok(Swarm { document: Arc::clone(&document), point, configuration })
    }

    /// The members of a swarm in random order.
    pub(crate) fn shuffled(&self, swarm: &Swarm) -> Vec<NodeId> {
        let mut nodes: Vec<NodeId> = swarm.members().iter().map(|member| member.node).collect();
        self.with_rng(|rng| nodes.shuffle(rng));
        nodes
    }

    /// A nonce for receipts.
    pub(crate) fn nonce(&self) -> ReceiptNonce {
        let mut bytes = [0; ReceiptNonce::LEN];
        self.with_rng(|rng| rng.fill_bytes(&mut bytes));
        ReceiptNonce::from_bytes(bytes)
    }

    /// Writes through one member after another until one shows that the write is durable.
    pub(crate) async fn write(
        &self,
        key: &IsolationKey,
        subject: &Subject,
        call: &Call,
    ) -> Result<Durable, SwarmError> {
        let mut swarm = self.swarm(subject.point).await?;
        let (mut last, mut refusals) = (None, 0);
        let until = Instant::now() + WRITE_WITHIN;
        // The second round is for a swarm that changed under way.
        for _ in 0..2 {
            for member in self.shuffled(&swarm) {
                let result = self.write_at(key, &swarm, member, subject, call).await;
                match result {
                    Ok(durable) => return Ok(durable),
                    Err(error) if error.is_elsewhere() => {
                        tracing::debug!(%error, "a member did not store");
                        last = Some(error);
                        if Instant::now() > until {
                            return Err(last.unwrap_or(SwarmError::NoSwarm));
                        }
                    }
                    // One member alone may lie about what can never be.
                    Err(error @ SwarmError::Mailbox(_)) if refusals == 0 => {
                        refusals += 1;
                        last = Some(error);
                    }
                    Err(error) => return Err(error),
                }
            }
            // Without a newer directory the swarm is what it was.
            let _ = self.refresh().await;
            let newer = self.swarm(subject.point).await?;
            if newer.configuration == swarm.configuration {
                break;
            }
            swarm = newer;
        }
        Err(last.unwrap_or(SwarmError::NoSwarm))
    }

    async fn write_at(
        &self,
        key: &IsolationKey,
        swarm: &Swarm,
        member: NodeId,
        subject: &Subject,
        call: &Call,
    ) -> Result<Durable, SwarmError> {
        let (reply, path) =
            self.call(key, member, call.clone(), Waits::Write, SizeClass::K2).await?;
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
    ) -> Result<(Reply, PathTaken), SwarmError> {
        let request = ServiceRequest::Mailbox(Request::One(Box::new(call)));
        let answer = self.request(key, member, &request, waits, reply_class, REPLY_MAX).await?;
        match answer.reply {
            ServiceReply::Mailbox(Response::One(reply)) => Ok((reply?, answer.path)),
            _ => Err(NetError::Malformed.into()),
        }
    }
}
