//! Drives the agreement: transport, log and clock around [`AgreementMachine`].
//!
//! One task owns the machine. Messages of other authorities and descriptors of nodes come to it
//! over bounded channels; what it sends goes to one task for each other authority. Nothing is sent
//! before the log entries it follows from are synced.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use enjambre_link::Pool;
use enjambre_protocol::crypto::{SecretKey, Signed};
use enjambre_protocol::directory::agreement::{
    Admission, AgreementEvent, AgreementMachine, AgreementMessage, LogEntry, Recipient,
};
use enjambre_protocol::directory::{Descriptor, SignedDocument};
use enjambre_protocol::id::{AuthorityId, NodeId};
use enjambre_protocol::limits::AGREEMENT_MAX;
use enjambre_protocol::link::StreamHead;
use enjambre_protocol::wire;
use rand::rngs::StdRng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::log::Log;
use crate::clock;
use crate::directory::{Directory, catch_up};
use crate::metrics::Metrics;

/// Messages of one authority that wait for the machine: a status answer is at most one report of
/// each and a few proposals.
const RECEIVED_MAX: usize = 64;

/// Messages that wait for one other authority. What is dropped is made good by the next status.
const SENDING_MAX: usize = 64;

/// Descriptors that wait for the machine; the nodes that send more wait with them.
const PUBLISHED_MAX: usize = 64;

/// How long a message may take: a largest one over 1 Mbit/s.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of the answer to a message: it says only that it arrived.
const ANSWER_MAX: usize = 16;

/// Why a descriptor is not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PublishError {
    #[error(transparent)]
    Descriptor(#[from] enjambre_protocol::directory::DescriptorError),
    #[error("the network is full")]
    Full,
    #[error("it was made too long ago or in the future: check the clock of the node")]
    Stale,
    #[error("this authority is shutting down")]
    Stopped,
}

struct Received {
    from: AuthorityId,
    message: AgreementMessage,
    /// The sender's place in the queue.
    _place: OwnedSemaphorePermit,
}

struct Published {
    descriptor: Descriptor,
    answer: oneshot::Sender<Admission>,
}

/// What the process hands to the machine's task. Cheap to clone.
#[derive(Clone)]
pub(super) struct Agreement {
    id: AuthorityId,
    directory: Arc<Directory>,
    pool: Pool,
    /// The other authorities and the places each has left.
    others: Arc<BTreeMap<AuthorityId, Arc<Semaphore>>>,
    received: mpsc::Sender<Received>,
    published: mpsc::Sender<Published>,
}

impl Agreement {
    pub(super) const fn id(&self) -> &AuthorityId {
        &self.id
    }

    /// Whether this is another authority's key.
    pub(super) fn knows(&self, from: &NodeId) -> bool {
        self.others.contains_key(&AuthorityId::from_bytes(*from.as_bytes()))
    }

    /// A message that came over a link; the answer, or `None` to refuse it.
    pub(super) fn receive(&self, from: NodeId, message: &[u8]) -> Option<Vec<u8>> {
        let id = AuthorityId::from_bytes(*from.as_bytes());
        let place = Arc::clone(self.others.get(&id)?).try_acquire_owned().ok()?;
        let message = AgreementMessage::decode(message).ok()?;
        self.pool.heard(&from);
        self.received.try_send(Received { from: id, message, _place: place }).ok()?;
        Some(wire::encode(&()))
    }

    /// What a node says of itself.
    pub(super) async fn publish(&self, signed: Signed) -> Result<(), PublishError> {
        let descriptor = Descriptor::verify(signed, &self.directory.genesis().network())?;
        let (answer, admission) = oneshot::channel();
        let published = Published { descriptor, answer };
        self.published.send(published).await.map_err(|_| PublishError::Stopped)?;
        match admission.await {
            Ok(Admission::Newest | Admission::Known) => Ok(()),
            Ok(Admission::Full) => Err(PublishError::Full),
            Ok(Admission::Stale) => Err(PublishError::Stale),
            Err(_) => Err(PublishError::Stopped),
        }
    }
}

/// The task that owns the machine.
pub(super) struct AgreementDriver {
    machine: AgreementMachine,
    directory: Arc<Directory>,
    pool: Pool,
    log: Arc<Mutex<Log>>,
    received: mpsc::Receiver<Received>,
    published: mpsc::Receiver<Published>,
    senders: BTreeMap<AuthorityId, mpsc::Sender<Arc<[u8]>>>,
    /// At most one fetch of documents at a time.
    catching_up: Arc<Semaphore>,
    metrics: Metrics,
    tasks: TaskTracker,
    stop: CancellationToken,
    rng: StdRng,
}

/// Prepares the agreement of an authority: reads its log, starts a sender for each other one.
pub(super) fn prepare(
    key: &SecretKey,
    log: (Log, Vec<LogEntry>),
    directory: &Arc<Directory>,
    pool: &Pool,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> anyhow::Result<(Agreement, AgreementDriver)> {
    let genesis = Arc::clone(directory.genesis());
    let (now, today) = (clock::instant(), clock::now());
    let newest = directory.newest();
    let mut machine =
        AgreementMachine::new(Arc::clone(&genesis), key.clone(), newest, now, today).context(
            "this authority's key is not in the network file; use the file of the network it belongs to",
        )?;
    let (log, entries) = log;
    machine.restore(now, entries);
    let id = machine.id();
    let tasks = TaskTracker::new();
    let mut senders = BTreeMap::new();
    for other in genesis.authorities.iter().filter(|other| other.id != id) {
        let (sender, messages) = mpsc::channel(SENDING_MAX);
        let send = send_all(pool.clone(), other.id, other.addresses.clone(), messages);
        tasks.spawn(stop.clone().run_until_cancelled_owned(send));
        senders.insert(other.id, sender);
    }
    let others: BTreeMap<_, _> =
        senders.keys().map(|other| (*other, Arc::new(Semaphore::new(RECEIVED_MAX)))).collect();
    // Places enough for all that the semaphores let in.
    let (received_sender, received) = mpsc::channel(RECEIVED_MAX * others.len().max(1));
    let (published_sender, published) = mpsc::channel(PUBLISHED_MAX);
    let agreement = Agreement {
        id,
        directory: Arc::clone(directory),
        pool: pool.clone(),
        others: Arc::new(others),
        received: received_sender,
        published: published_sender,
    };
    let driver = AgreementDriver {
        machine,
        directory: Arc::clone(directory),
        pool: pool.clone(),
        log: Arc::new(Mutex::new(log)),
        received,
        published,
        senders,
        catching_up: Arc::new(Semaphore::new(1)),
        metrics: metrics.clone(),
        tasks,
        stop: stop.clone(),
        rng: rand::make_rng(),
    };
    Ok((agreement, driver))
}

impl AgreementDriver {
    /// Decides height after height until `stop`.
    ///
    /// # Errors
    ///
    /// When the log or a document cannot be kept: nothing may be signed without.
    pub(super) async fn run(mut self) -> anyhow::Result<()> {
        let stop = self.stop.clone();
        let mut newest = self.directory.subscribe();
        let result = loop {
            if let Err(error) = self.drain().await {
                break Err(error);
            }
            let due = self.machine.poll_timeout();
            let wait = due.map(|due| due.saturating_since(clock::instant()));
            tokio::select! {
                Some(received) = self.received.recv() => self.receive(received),
                Some(published) = self.published.recv() => {
                    let now = clock::instant();
                    let admission = self.machine.handle_descriptor(now, clock::now(), published.descriptor);
                    if admission == Admission::Full {
                        tracing::warn!("a node is not listed: the network is full");
                    }
                    // The node may have gone.
                    let _ = published.answer.send(admission);
                }
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {
                    let now = clock::instant();
                    self.machine.handle_timeout(now, clock::now(), &mut self.rng);
                }
                changed = newest.changed() => {
                    let document = newest.borrow_and_update().clone();
                    if let (Ok(()), Some(document)) = (changed, document)
                        && document.document().height >= self.machine.height()
                    {
                        let now = clock::instant();
                        self.machine.handle_document(now, clock::now(), document);
                        if let Err(error) = self.log().clear() {
                            break Err(error.into());
                        }
                    }
                }
                () = stop.cancelled() => break Ok(()),
            }
        };
        stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        result
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn receive(&mut self, received: Received) {
        let Received { from, message, _place } = received;
        if let Err(error) = self.machine.handle_message(clock::instant(), &from, message) {
            tracing::warn!(%error, authority = %from.short(), "a message is not accepted");
        }
    }

    /// Does what the machine says, in the order its contract demands.
    async fn drain(&mut self) -> anyhow::Result<()> {
        let entries: Vec<LogEntry> = std::iter::from_fn(|| self.machine.poll_persist()).collect();
        if !entries.is_empty() {
            let log = Arc::clone(&self.log);
            let appended = tokio::task::spawn_blocking(move || {
                log.lock().unwrap_or_else(PoisonError::into_inner).append(&entries)
            });
            appended.await?.with_context(|| {
                format!("the log {} cannot be kept", self.log().path().display())
            })?;
        }
        while let Some(transmit) = self.machine.poll_transmit() {
            let bytes: Arc<[u8]> = transmit.message.encode().into();
            let meant = |id: &AuthorityId| match transmit.to {
                Recipient::Others => true,
                Recipient::One(to) => to == *id,
            };
            for (id, sender) in self.senders.iter().filter(|(id, _)| meant(id)) {
                if sender.try_send(Arc::clone(&bytes)).is_err() {
                    tracing::debug!(authority = %id.short(), "a message is dropped: too many wait");
                }
            }
        }
        while let Some(event) = self.machine.poll_event() {
            self.hear(event).await?;
        }
        Ok(())
    }

    async fn hear(&mut self, event: AgreementEvent) -> anyhow::Result<()> {
        match event {
            AgreementEvent::Decided { document, .. } => self.keep(document).await,
            AgreementEvent::Behind { authority, height } => {
                self.catch_up(authority, height);
                Ok(())
            }
            AgreementEvent::Misbehaviour { authority, evidence } => {
                tracing::error!(%authority, ?evidence, "an authority contradicts itself");
                Ok(())
            }
        }
    }

    /// Makes a decided document durable; the change of the directory brings it to the machine.
    async fn keep(&self, document: SignedDocument) -> anyhow::Result<()> {
        let directory = Arc::clone(&self.directory);
        tokio::task::spawn_blocking(move || -> anyhow::Result<()> {
            let verified = document.verify(directory.genesis())?;
            directory.adopt(verified).context("the signed document cannot be kept")?;
            Ok(())
        })
        .await??;
        self.metrics.decisions.inc();
        Ok(())
    }

    /// Fetches the documents that an authority says it has.
    fn catch_up(&self, authority: AuthorityId, height: u64) {
        let Ok(turn) = Arc::clone(&self.catching_up).try_acquire_owned() else { return };
        tracing::info!(authority = %authority.short(), height, "behind: fetching the newest document");
        let addresses = self.addresses(&authority);
        let (directory, pool) = (Arc::clone(&self.directory), self.pool.clone());
        let fetch = async move {
            let source = NodeId::from_bytes(*authority.as_bytes());
            if let Err(error) = catch_up(&directory, &pool, source, &addresses).await {
                tracing::warn!(%error, authority = %authority.short(), "no newer document was had");
            }
            drop(turn);
        };
        self.tasks.spawn(self.stop.clone().run_until_cancelled_owned(fetch));
    }

    fn addresses(&self, authority: &AuthorityId) -> Vec<SocketAddr> {
        let mut authorities = self.directory.genesis().authorities.iter();
        let found = authorities.find(|entry| entry.id == *authority);
        found.map(|entry| entry.addresses.clone()).unwrap_or_default()
    }
}

/// Sends what comes to one authority, one message after the other.
async fn send_all(
    pool: Pool,
    to: AuthorityId,
    addresses: Vec<SocketAddr>,
    mut messages: mpsc::Receiver<Arc<[u8]>>,
) {
    let node = NodeId::from_bytes(*to.as_bytes());
    while let Some(message) = messages.recv().await {
        let sent = async {
            let link = pool.link(node, &addresses).await?;
            link.request(StreamHead::Peer, &message, AGREEMENT_MAX, ANSWER_MAX).await
        };
        match tokio::time::timeout(SEND_WITHIN, sent).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::debug!(%error, authority = %to.short(), "a message is lost");
            }
            Err(_) => tracing::debug!(authority = %to.short(), "a message takes too long"),
        }
    }
}
