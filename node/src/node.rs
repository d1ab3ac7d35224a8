//! A service node: relays onion packets, keeps its swarm's mailboxes, serves the directory.

mod keys;
mod mailbox;
mod peeler;
mod relay;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use enjambre_link::{Identity, LinkConfig, Pool, PoolConfig, Stream};
use enjambre_protocol::directory::{
    DescriptorParts, DirectoryReply, DirectoryRequest, NodeState, VerifiedDocument,
};
use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::identity::KeyPurpose;
use enjambre_protocol::link::{Code, PEER_MESSAGE_MAX, StreamHead};
use enjambre_protocol::mailbox::{
    Forward, ForwardReply, MemberConfig, MemberMachine, Quotas, Readiness, Store, View,
};
use enjambre_protocol::onion::{OnionError, SizeClass};
use enjambre_protocol::service::{PeerReply, PeerRequest, ServiceReply, ServiceRequest};
use enjambre_protocol::wire;
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::keys::Keys;
use self::mailbox::{Mailbox, Onward};
use self::peeler::Renewal;
use self::relay::Relay;
use crate::config::{DATABASE_DIR, KEY_FILE, NETWORK_FILE, NodeConfig};
use crate::directory::{Directory, OnionKeyEntry, Publication, follow};
use crate::family::FamilyConsent;
use crate::http::{self, Shown};
use crate::metrics::Metrics;
use crate::sockets::{listen, listen_http};
use crate::store::{RocksStore, free_bytes};
use crate::{clock, files, server};

/// How long another member may take to answer a write that was passed on: the coordinator's own
/// limit, and no longer.
const FORWARD_WITHIN: Duration = enjambre_protocol::mailbox::WRITE_DEADLINE;

/// Share of the offered disk that file chunks may take, in fifths: the rest is for messages.
const CHUNK_FIFTHS: u64 = 2;

/// How often the onion keys are looked at, and the pause after they could not be kept.
const KEY_CHECK: Duration = Duration::from_secs(60);

/// What an ordinary node declares as its capacity.
const ORDINARY_CAPACITY: u32 = 100;

struct Node {
    id: NodeId,
    config: NodeConfig,
    database: PathBuf,
    onion_key: watch::Sender<OnionKeyEntry>,
    directory: Arc<Directory>,
    mailbox: Mailbox,
    relay: Relay,
    pool: Pool,
    metrics: Metrics,
}

impl Node {
    /// Listed with the keys it has now: packets for it can be built.
    fn is_listed(&self, newest: &VerifiedDocument) -> bool {
        let current = self.onion_key.borrow().key;
        newest.document().node(&self.id).is_some_and(|node| node.onion_key == current)
    }

    async fn serve(&self, request: &[u8]) -> Result<Vec<u8>, OnionError> {
        let request: ServiceRequest =
            wire::decode(request, SizeClass::K128.bytes()).map_err(|_| OnionError::Malformed)?;
        let reply = match request {
            ServiceRequest::Mailbox(request) => {
                self.metrics.requests.with_label_values(&["mailbox"]).inc();
                let began = clock::instant();
                let response = self.mailbox.request(request).await;
                let took = clock::instant().saturating_since(began);
                self.metrics.request_seconds.observe(took.as_secs_f64());
                ServiceReply::Mailbox(response)
            }
            ServiceRequest::Directory(request) => {
                self.metrics.requests.with_label_values(&["directory"]).inc();
                // Whoever asks through a path has no address here.
                let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
                let reply = match *request {
                    DirectoryRequest::WhoAmI => None,
                    other => self.directory.answer(&other, nobody).await,
                };
                ServiceReply::Directory(Box::new(reply.unwrap_or_else(not_here)))
            }
        };
        Ok(wire::encode(&reply))
    }

    /// Sends a write on to one other member.
    async fn forward(&self, member: NodeId, message: &[u8]) -> Option<ForwardReply> {
        let newest = self.directory.newest()?;
        let addresses = &newest.document().node(&member)?.addresses;
        let asked = async {
            let link = self.pool.link(member, addresses).await?;
            link.request(StreamHead::Peer, message, PEER_MESSAGE_MAX, PEER_MESSAGE_MAX).await
        };
        let reply = match tokio::time::timeout(FORWARD_WITHIN, asked).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => {
                tracing::debug!(%error, member = %member.short(), "a write was not passed on");
                return None;
            }
            Err(_) => return None,
        };
        match wire::decode(&reply, PEER_MESSAGE_MAX) {
            Ok(PeerReply::Forward(reply)) => Some(reply),
            Err(_) => None,
        }
    }
}

fn not_here() -> DirectoryReply {
    DirectoryReply::Refused { reason: "not answered here".to_owned() }
}

impl server::Service for Node {
    async fn directory(
        self: Arc<Self>,
        request: DirectoryRequest,
        asker: SocketAddr,
    ) -> DirectoryReply {
        self.directory.answer(&request, asker).await.unwrap_or_else(not_here)
    }

    async fn onion(self: Arc<Self>, class: SizeClass, stream: Stream, held: server::Held) {
        let Some(delivery) = self.relay.handle(class, stream, held).await else { return };
        match self.serve(&delivery.request).await {
            Ok(reply) => delivery.answer(&reply).await,
            Err(error) => delivery.fail(&error).await,
        }
    }

    fn takes_from(&self, from: &NodeId) -> bool {
        self.directory.newest().is_some_and(|newest| newest.document().node(from).is_some())
    }

    async fn peer(self: Arc<Self>, from: NodeId, message: Vec<u8>) -> Option<Vec<u8>> {
        let request: PeerRequest = wire::decode(&message, PEER_MESSAGE_MAX).ok()?;
        let reply = match request {
            PeerRequest::Forward(forward) => {
                PeerReply::Forward(self.mailbox.forward(from, forward).await)
            }
        };
        Some(wire::encode(&reply))
    }
}

impl Shown for Node {
    fn status(&self) -> Value {
        let newest = self.directory.newest();
        let swarm = newest.as_ref().and_then(|newest| {
            let swarms = &newest.document().swarms;
            swarms.configuration(swarms.swarm_of(self.id)?)
        });
        let members: Vec<NodeId> = swarm
            .map(|swarm| swarm.stable.iter().map(|member| member.node).collect())
            .unwrap_or_default();
        json!({
            "id": self.id, "height": self.directory.height(),
            "epoch": self.directory.genesis().params.epoch_ms,
            "swarm": swarm.map(|swarm| swarm.swarm), "members": members,
            "ready": self.is_ready(),
            "stored_messages": self.mailbox.kept().messages(),
            "stored_bytes": self.mailbox.kept().bytes(),
            "limit_bytes": self.config.storage.bytes(),
            "disk": if self.mailbox.kept().is_full() { "full" } else { "ok" },
            "free_bytes": free_bytes(&self.database),
            "headroom_bytes": self.config.headroom.bytes(),
            "version": env!("CARGO_PKG_VERSION"),
        })
    }

    fn is_ready(&self) -> bool {
        self.directory.newest().is_some_and(|newest| self.is_listed(&newest))
    }

    fn metrics(&self) -> &Metrics {
        let set = |gauge: &prometheus::IntGauge, value: u64| {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        set(&self.metrics.directory_height, self.directory.height());
        set(&self.metrics.stored_messages, self.mailbox.kept().messages());
        set(&self.metrics.stored_bytes, self.mailbox.kept().bytes());
        set(&self.metrics.limit_bytes, self.config.storage.bytes());
        set(&self.metrics.disk_full, u64::from(self.mailbox.kept().is_full()));
        set(&self.metrics.free_bytes, free_bytes(&self.database).unwrap_or(u64::MAX));
        &self.metrics
    }
}

/// Runs the node of a directory until `stop`.
///
/// # Errors
///
/// When it cannot start.
pub async fn run(dir: PathBuf, stop: CancellationToken) -> anyhow::Result<()> {
    let config = NodeConfig::load(&dir)?;
    let _lock = files::lock_directory(&dir)?;
    let genesis = Arc::new(files::load_network(&dir.join(NETWORK_FILE))?);
    let key = files::load_key(&dir.join(KEY_FILE), KeyPurpose::Node)?;
    let id = NodeId::from_bytes(*key.public().as_bytes());
    check_family(&config, &genesis.network(), &id)?;
    let metrics = Metrics::new()?;
    let database = dir.join(DATABASE_DIR);
    let store = RocksStore::open_with_headroom(&database, config.headroom.bytes())?;
    let store_id = store.id();
    let network = genesis.network();
    let directory = Arc::new(Directory::open(&dir, Arc::clone(&genesis))?);

    let admission = directory.admission();
    let limits = server::Limits { client_requests: config.client_requests, ..Default::default() };
    let link = LinkConfig::new(admission);
    let (endpoint, acceptor) = listen(config.listen, Identity::Node(&key), link)?;
    let listener = listen_http(config.http).await?;
    let pool = Pool::new(endpoint.clone(), PoolConfig::default())?;

    let member = MemberConfig { quotas: quotas(&config), ..MemberConfig::new(network) };
    let mailbox_ended = CancellationToken::new();
    let machine = MemberMachine::new(member, key.clone(), store)?;
    let (mailbox, onward) =
        Mailbox::start(machine, network, metrics.clone(), mailbox_ended.clone())?;

    let (keys, journal) = Keys::open(&dir, clock::now())?;
    let (onion_number, onion_key) = (keys.number(), keys.public());
    let family = config.family.as_ref().map(FamilyConsent::parts);
    let publication = Publication {
        key,
        parts: DescriptorParts {
            node: id,
            sequence: 0,
            state: NodeState::Active,
            onion_number,
            onion_key,
            addresses: config.advertised(),
            store: store_id,
            family,
            capacity: ORDINARY_CAPACITY,
        },
    };
    let (onion_key_sender, onion_keys) =
        watch::channel(OnionKeyEntry { number: onion_number, key: onion_key });
    let relay =
        Relay::new(keys.keyring(), journal, Arc::clone(&directory), pool.clone(), metrics.clone());
    tracing::info!(node = %id.short(), %network, listen = %config.listen, "service node");
    let node = Arc::new(Node {
        id,
        config,
        database,
        onion_key: onion_key_sender,
        directory: Arc::clone(&directory),
        mailbox,
        relay,
        pool: pool.clone(),
        metrics,
    });

    let tasks = TaskTracker::new();
    // What running requests need goes on until they have ended.
    let served = CancellationToken::new();
    tasks.spawn(http::serve(listener, Arc::clone(&node) as Arc<dyn Shown>, stop.clone()));
    tasks.spawn(pass_on(Arc::clone(&node), onward, tasks.clone(), served.clone()));
    tasks.spawn(show_views(Arc::clone(&node), served.clone()));
    tasks.spawn(follow(Arc::clone(&directory), pool.clone(), stop.clone()));
    tasks.spawn(publication.run(directory, pool, onion_keys, stop.clone()));
    tasks.spawn(rotate_keys(Arc::clone(&node), keys, stop.clone()));
    let failed = tokio::select! {
        () = server::serve(acceptor, node, limits, stop.clone()) => false,
        () = mailbox_ended.cancelled() => true,
    };
    stop.cancel();
    served.cancel();
    endpoint.close(Code::SHUTDOWN).await;
    tasks.close();
    tasks.wait().await;
    anyhow::ensure!(!failed, "the mailbox thread failed: see the log before this line");
    Ok(())
}

/// A consent that does not hold would make every authority refuse the node.
fn check_family(config: &NodeConfig, network: &NetworkId, node: &NodeId) -> anyhow::Result<()> {
    let holds = config.family.as_ref().is_none_or(|family| family.holds(network, node));
    anyhow::ensure!(
        holds,
        "the family in config.toml has not consented to this node in this network; remove the \
         line, or make the directory anew with `enjambre-node init --family KEYFILE`"
    );
    Ok(())
}

fn quotas(config: &NodeConfig) -> Quotas {
    let chunks_bytes = config.storage.bytes() / 5 * CHUNK_FIFTHS;
    let defaults = Quotas::default();
    let account = config.account_quota.bytes();
    let limited = |quota: enjambre_protocol::mailbox::Quota| enjambre_protocol::mailbox::Quota {
        bytes: quota.bytes.min(account),
        ..quota
    };
    Quotas {
        inbox: limited(defaults.inbox),
        outbox: limited(defaults.outbox),
        own: limited(defaults.own),
        messages_bytes: config.storage.bytes() - chunks_bytes,
        chunks_bytes,
    }
}

/// Makes the next onion key the current one each day. A node's day begins when its first key was
/// drawn, so nodes change at different times. Draws all keys anew if the clock was set back so far
/// that the replay set refuses what is built now.
async fn rotate_keys(node: Arc<Node>, mut keys: Keys, stop: CancellationToken) {
    let mut least = Duration::ZERO;
    loop {
        let due = keys.due().saturating_since(clock::now());
        tokio::select! {
            () = tokio::time::sleep(due.clamp(least, KEY_CHECK)) => {}
            () = stop.cancelled() => return,
        }
        least = Duration::ZERO;
        match node.relay.renew(&mut keys) {
            Ok(Renewal::None) => {}
            Ok(Renewal::Changed) => {
                let entry = OnionKeyEntry { number: keys.number(), key: keys.public() };
                node.onion_key.send_replace(entry);
            }
            Err(error) => {
                tracing::error!(%error, "the onion key is not changed");
                least = KEY_CHECK;
            }
        }
    }
}

/// Tells the mailbox of each newer document.
async fn show_views(node: Arc<Node>, stop: CancellationToken) {
    let mut newest = node.directory.subscribe();
    let params = node.directory.genesis().params.clone();
    loop {
        let view = newest.borrow_and_update().as_ref().map(|newest| View {
            height: newest.document().height,
            made: newest.document().time,
            late_after: params.late_after(),
            stale_after: params.stale_after(),
            swarms: Arc::new(newest.document().swarms.clone()),
            readiness: Readiness::Ready,
        });
        if let Some(view) = view {
            node.mailbox.view(view).await;
        }
        tokio::select! {
            changed = newest.changed() => if changed.is_err() { return },
            () = stop.cancelled() => return,
        }
    }
}

/// Passes writes on to the other members, each in a task of its own.
async fn pass_on(
    node: Arc<Node>,
    mut onward: mpsc::UnboundedReceiver<Onward>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    loop {
        let Onward { call, to, forward, interest } = tokio::select! {
            next = onward.recv() => match next {
                Some(next) => next,
                None => return,
            },
            () = stop.cancelled() => return,
        };
        let message: Arc<[u8]> =
            wire::encode(&PeerRequest::Forward(Forward::clone(&forward))).into();
        for member in to {
            let (node, message) = (Arc::clone(&node), Arc::clone(&message));
            let interest = interest.clone();
            tasks.spawn(async move {
                let reply = node.forward(member, &message).await;
                // The receipts beyond the majority are not worth a signature check.
                if interest.remains() {
                    node.mailbox.answered(call, member, reply);
                }
            });
        }
    }
}
