//! The client's side of the network: the directory it believes, the paths it takes, and requests
//! through them.
//!
//! Nothing here knows whose mailbox is asked: requests come with an isolation key and a
//! destination node. What must survive a restart (documents, guards) goes through [`Keep`].

mod attempt;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod chain;
mod directory;
mod documents;
mod pace;
mod patience;
mod probe;
mod transport;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use enjambre_link::{AskError, Endpoint, Identity, LinkConfig, LinkError, Pool, PoolConfig};
use enjambre_protocol::Retry;
use enjambre_protocol::directory::{Document, Genesis, VerifiedDocument};
use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::onion::OnionError;
use enjambre_protocol::path::{
    Destination, PathError, PathHealth, PathMachine, PathParams, PathState, Prefix,
};
use enjambre_protocol::time::Timestamp;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use self::documents::Documents;
use self::pace::Paces;
use crate::deadline::Deadline;
use crate::system as clock;

pub(crate) use documents::restore as restore_document;
pub(crate) use transport::{PathTaken, Terms, Waits};

/// What the network part keeps over a restart. Each call is durable when it returns.
pub(crate) trait Keep: Send + Sync {
    /// The newest signed document, encoded. A higher one that is there stays.
    fn keep_document(&self, bytes: &[u8]) -> Result<(), String>;
    /// The signed document that paths are drawn from, encoded. A higher one that is there stays.
    fn keep_anchor(&self, bytes: &[u8]) -> Result<(), String>;
    /// The anchor that waits to be drawn from, with its time, encoded.
    fn keep_pending(&self, bytes: &[u8]) -> Result<(), String>;
    /// Guards and second layer, encoded: `merge` makes of what is there what takes its place, in
    /// one step, for another process may have written it.
    fn keep_paths(&self, merge: &mut dyn FnMut(Option<&[u8]>) -> Vec<u8>) -> Result<(), String>;
    /// Who failed lately, encoded.
    fn keep_health(&self, bytes: &[u8]) -> Result<(), String>;
}

/// What was kept.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    pub(crate) document: Option<Vec<u8>>,
    pub(crate) anchor: Option<Vec<u8>>,
    pub(crate) pending: Option<Vec<u8>>,
    pub(crate) paths: Option<Vec<u8>>,
    pub(crate) health: Option<Vec<u8>>,
}

/// Why the network did not answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum NetError {
    /// A link could not be used.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A question about the directory had no answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// No path can be drawn.
    #[error(transparent)]
    Path(#[from] PathError),
    /// No directory could be had.
    #[error("no directory could be fetched: {0}")]
    NoDirectory(String),
    /// The directory is too old to be used.
    #[error(
        "by this system's clock the directory is {hours} hours old, and no newer one can be had"
    )]
    Stale {
        /// Its age.
        hours: u64,
    },
    /// A node says that the time in the packets of this client is not the present one.
    #[error("{}", off(*here, *directory))]
    Clock {
        /// This system's clock.
        here: Timestamp,
        /// The time of the newest document known.
        directory: Option<Timestamp>,
    },
    /// The destination is not in the directory.
    #[error("node {} is not in the directory", node.short())]
    UnknownNode {
        /// The node.
        node: NodeId,
    },
    /// The request fits no packet.
    #[error("the request of {len} bytes fits no packet")]
    TooLarge {
        /// Its length.
        len: usize,
    },
    /// The destination could not be reached, whichever way was tried.
    #[error("node {} does not answer: {last}", node.short())]
    Unreachable {
        /// The node.
        node: NodeId,
        /// What the last try ended in.
        last: String,
    },
    /// The destination said no at the onion layer.
    #[error("the node refused: {0}")]
    Refused(OnionError),
    /// The destination's answer is none.
    #[error("the node's answer is malformed")]
    Malformed,
    /// There was more than is read at a time.
    #[error("{pages} pages were read and there are more: try again to go on")]
    Endless {
        /// Pages that were read.
        pages: usize,
    },
    /// Guards or documents could not be kept.
    #[error("the local store failed: {0}")]
    Keep(String),
}

impl NetError {
    /// What the caller can do.
    pub(crate) const fn retry(&self) -> Retry {
        match self {
            Self::Link(error) => error.retry(),
            Self::Ask(error) => error.retry(),
            Self::Path(error) => error.retry(),
            Self::Refused(error) => error.retry(),
            Self::NoDirectory(_)
            | Self::Stale { .. }
            | Self::Clock { .. }
            | Self::Endless { .. }
            | Self::Keep(_) => Retry::Later,
            Self::UnknownNode { .. } | Self::Unreachable { .. } | Self::Malformed => {
                Retry::Elsewhere
            }
            Self::TooLarge { .. } => Retry::Never,
        }
    }
}

/// The time by the directory's clock, as far as a client can tell. Its own clock counts between the
/// time of the newest document and the end of that document's use: a device that starts in 1970, or a
/// year ahead, must not give up its guards for it.
fn directory_time(
    now: Timestamp,
    newest: Option<&VerifiedDocument>,
    genesis: &Genesis,
) -> Timestamp {
    newest.map_or(now, |newest| {
        let time = newest.document().time;
        now.clamp(time, time.saturating_add(genesis.params.stale_after()))
    })
}

/// Minutes for which a document may be the newest on a healthy network with the usual parameters:
/// two epochs.
const DOCUMENT_MINUTES: u64 = 20;

/// How far a clock is off, as far as a document shows it.
fn off(here: Timestamp, directory: Option<Timestamp>) -> String {
    let refused = "nodes refuse the time of this system's clock";
    let Some(directory) = directory else { return refused.to_owned() };
    let behind = directory.saturating_since(here).as_secs().div_ceil(60);
    let after = here.saturating_since(directory).as_secs() / 60;
    if behind > 0 {
        format!("this system's clock is at least {behind} minutes behind")
    } else if after > DOCUMENT_MINUTES {
        format!("{refused}, which is {after} minutes after the newest directory document")
    } else {
        refused.to_owned()
    }
}

/// A client in one network.
pub(crate) struct Net {
    genesis: Arc<Genesis>,
    network: NetworkId,
    endpoint: Endpoint,
    pool: Pool,
    documents: Mutex<Documents>,
    paths: Arc<Mutex<PathMachine>>,
    /// Guards and second layer as this process last read or wrote them.
    kept_paths: Mutex<PathState>,
    rng: Mutex<StdRng>,
    keep: Box<dyn Keep>,
    /// One refresh at a time, and how many have ended.
    refreshing: tokio::sync::Mutex<()>,
    rounds: AtomicU64,
    /// Until when what several sources said of a late document is believed.
    late_heard: Mutex<Option<Deadline>>,
    /// Whether the guards in use were all called once.
    warmed: AtomicBool,
    paces: Paces,
    /// Tries to reach guards that did not answer.
    probes: Mutex<JoinSet<()>>,
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").field("network", &self.network).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where to open the socket, so that a guard is reached by whichever family its address is of: a
/// socket for both, or for IPv4 alone where the system has no IPv6 or keeps the two apart.
fn any_address() -> SocketAddr {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0));
    // Connecting sends nothing; a socket that takes no IPv4 refuses it.
    let ipv4 = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), 9));
    let probed = UdpSocket::bind(both).and_then(|socket| socket.connect(ipv4));
    probed.map_or(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), |()| both)
}

impl Net {
    /// Opens a socket and takes up what was kept.
    pub(crate) fn open(
        genesis: Genesis,
        kept: &Kept,
        keep: Box<dyn Keep>,
    ) -> Result<Self, NetError> {
        let endpoint = Endpoint::bind(any_address(), Identity::Client, LinkConfig::client())?;
        let pool = Pool::new(endpoint.clone(), PoolConfig::default())?;
        let state = kept.paths.as_deref().and_then(|bytes| PathState::decode(bytes).ok());
        let state = state.unwrap_or_default();
        let kept_paths = state.clone();
        let mut rng: StdRng = rand::make_rng();
        let documents = Documents::open(kept, &genesis, clock::now(), &mut rng);
        let now = directory_time(clock::now(), documents.newest().map(Arc::as_ref), &genesis);
        let health = kept.health.as_deref().and_then(|bytes| PathHealth::decode(bytes).ok());
        let machine = PathMachine::new(state, now).with_health(health.unwrap_or_default(), now);
        let net = Self {
            network: genesis.network(),
            genesis: Arc::new(genesis),
            endpoint,
            pool,
            documents: Mutex::new(documents),
            paths: Arc::new(Mutex::new(machine)),
            kept_paths: Mutex::new(kept_paths),
            rng: Mutex::new(rng),
            keep,
            refreshing: tokio::sync::Mutex::new(()),
            rounds: AtomicU64::new(0),
            late_heard: Mutex::default(),
            warmed: AtomicBool::new(false),
            paces: Paces::default(),
            probes: Mutex::default(),
        };
        net.advance_anchor()?;
        Ok(net)
    }

    /// The network's id.
    pub(crate) const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The newest document, for swarm membership.
    pub(crate) fn newest(&self) -> Option<Arc<VerifiedDocument>> {
        lock(&self.documents).newest().cloned()
    }

    /// The time for everything that is held against the directory's: guards, anchors, packets.
    fn now(&self) -> Timestamp {
        directory_time(clock::now(), self.newest().as_deref(), &self.genesis)
    }

    /// Randomness for building packets and envelopes.
    pub(crate) fn with_rng<T>(&self, work: impl FnOnce(&mut StdRng) -> T) -> T {
        work(&mut lock(&self.rng))
    }

    /// Ends every link.
    pub(crate) async fn close(&self) {
        lock(&self.probes).abort_all();
        self.keep_health();
        self.endpoint.close(enjambre_protocol::link::Code::CANCELLED).await;
    }

    /// Sorts nodes by how much they failed lately; those alike stay in their order.
    pub(crate) fn sort_by_charge(&self, nodes: &mut [NodeId]) {
        let (now, paths) = (self.now(), lock(&self.paths));
        nodes.sort_by_key(|node| paths.charge(now, node));
    }

    fn path_params(&self) -> PathParams {
        PathParams {
            ipv4_prefix: self.genesis.params.path_prefix_v4,
            ipv6_prefix: self.genesis.params.path_prefix_v6,
        }
    }

    fn destination(&self, document: &Document, node: NodeId) -> Option<Destination> {
        let entry = document.node(&node)?;
        let prefix = Prefix::new(entry.addresses.first()?.ip(), &self.path_params());
        Some(Destination {
            node,
            swarm: document.swarms.swarm_of(node),
            family: entry.family,
            prefix,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use enjambre_link::Admission;
    use enjambre_protocol::crypto::SecretKey;

    use super::*;

    #[tokio::test]
    async fn nodes_are_reached_by_whichever_family_their_address_is_of() {
        let client = Endpoint::bind(any_address(), Identity::Client, LinkConfig::client()).unwrap();
        let hosts = ["127.0.0.1:0", "[::1]:0"].map(|host| host.parse::<SocketAddr>().unwrap());
        // A machine may lack either.
        for host in hosts.into_iter().filter(|host| UdpSocket::bind(host).is_ok()) {
            let key = SecretKey::from_seed(&[1; 32]);
            let config = LinkConfig::new(Admission::everyone());
            let node = Endpoint::bind(host, Identity::Node(&key), config).unwrap();
            let id = NodeId::from_bytes(*key.public().as_bytes());
            let linked = client.connect(id, &[node.local_addr().unwrap()]).await;
            assert!(linked.is_ok(), "{host}: {:?}", linked.err());
        }
    }

    #[test]
    fn clock_that_is_off_is_told_by_how_much() {
        let (early, late) = (Timestamp::from_secs(1_000_000), Timestamp::from_secs(1_001_830));
        let text = |here, directory| NetError::Clock { here, directory }.to_string();
        assert_eq!(text(early, Some(late)), "this system's clock is at least 31 minutes behind");
        let refused = "nodes refuse the time of this system's clock";
        let ahead = format!("{refused}, which is 30 minutes after the newest directory document");
        assert_eq!(text(late, Some(early)), ahead);
        assert_eq!(text(late, Some(late)), refused);
        assert_eq!(text(late, None), refused);
    }
}
