//! One link a peer, shared, kept, and made again with back-off.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::{Backoff, BackoffConfig, Code};
use enjambre_protocol::time;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::endpoint::Endpoint;
use crate::error::LinkError;
use crate::link::Link;

/// The limits of a [`Pool`].
#[derive(Clone, Copy, Debug)]
pub struct PoolConfig {
    /// Peers remembered at a time. 1024: a node talks to its swarm, to the authorities and, as a
    /// relay, to everyone in turn; a client needs few.
    pub peers_max: usize,
    /// The waits after failures.
    pub backoff: BackoffConfig,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self { peers_max: 1024, backoff: BackoffConfig::default() }
    }
}

/// The links that an endpoint has made. Clones share them.
///
/// Requests to one peer share one link and, while there is none, one attempt to make it. A link
/// that is gone is noticed at the next request and made again; attempts that failed are spaced by
/// [`Backoff`]. When the pool is full the peer that was used least recently gives way, unless it
/// has streams open.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    endpoint: Endpoint,
    config: PoolConfig,
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    peers: BTreeMap<NodeId, Entry>,
    rng: StdRng,
    uses: u64,
    attempts: JoinSet<()>,
}

#[derive(Debug)]
struct Entry {
    backoff: Backoff,
    slot: Slot,
    last_use: u64,
}

/// What an attempt ended in; `None` while it is under way.
type Outcome = Option<Result<Link, LinkError>>;

#[derive(Debug)]
enum Slot {
    /// No link, and why the last one or the last attempt ended.
    Down(LinkError),
    Connecting(watch::Receiver<Outcome>),
    Up(Link),
}

impl Pool {
    /// A pool of the links of `endpoint`.
    pub fn new(endpoint: Endpoint, config: PoolConfig) -> Result<Self, LinkError> {
        let rng = StdRng::try_from_rng(&mut SysRng)
            .map_err(|error| LinkError::Socket(format!("no randomness: {error}")))?;
        let state = State { peers: BTreeMap::new(), rng, uses: 0, attempts: JoinSet::new() };
        let start = Instant::now();
        Ok(Self(Arc::new(Shared { endpoint, config, start, state: Mutex::new(state) })))
    }

    /// The link to `node`: the one there is, or a new one at one of `addrs`. A cancelled call does
    /// not cancel the attempt, which others may wait for.
    pub async fn link(&self, node: NodeId, addrs: &[SocketAddr]) -> Result<Link, LinkError> {
        let mut outcome = match self.0.find(node, addrs)? {
            Found::Link(link) => return Ok(link),
            Found::Attempt(outcome) => outcome,
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone().unwrap_or(Err(LinkError::Stopped)),
            Err(_) => Err(LinkError::Stopped),
        }
    }

    /// The peer has shown by itself that it is there, for instance by a link of its own: forgets
    /// that it failed.
    pub fn heard(&self, node: &NodeId) {
        let now = self.0.now();
        if let Some(entry) = self.0.state().peers.get_mut(node) {
            entry.backoff.handle_heard(now);
        }
    }

    /// Links that are up.
    pub fn len(&self) -> usize {
        let state = self.0.state();
        state.peers.values().filter(|entry| entry.link().is_some()).count()
    }

    /// Whether no link is up.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes all links and gives up all attempts.
    pub fn close(&self, code: Code) {
        let mut state = self.0.state();
        state.attempts.abort_all();
        for (_, entry) in std::mem::take(&mut state.peers) {
            if let Slot::Up(link) = entry.slot {
                link.close(code);
            }
        }
    }
}

enum Found {
    Link(Link),
    Attempt(watch::Receiver<Outcome>),
}

impl Shared {
    fn find(self: &Arc<Self>, node: NodeId, addrs: &[SocketAddr]) -> Result<Found, LinkError> {
        let now = self.now();
        let mut state = self.state();
        let State { peers, rng, uses, attempts } = &mut *state;
        *uses += 1;
        if !peers.contains_key(&node) {
            make_room(peers, self.config.peers_max)?;
        }
        let entry = peers.entry(node).or_insert_with(|| Entry {
            backoff: Backoff::new(self.config.backoff),
            slot: Slot::Down(LinkError::Unreachable),
            last_use: 0,
        });
        entry.last_use = *uses;
        if let Slot::Up(link) = &entry.slot
            && let Some(reason) = link.close_reason()
        {
            entry.backoff.handle_lost(now, rng);
            entry.slot = Slot::Down(reason);
        }
        match &entry.slot {
            Slot::Up(link) => Ok(Found::Link(link.clone())),
            Slot::Connecting(outcome) => Ok(Found::Attempt(outcome.clone())),
            Slot::Down(cause) => {
                let wait = entry.backoff.check(now);
                if !wait.is_zero() {
                    return Err(LinkError::BackingOff { wait, cause: Box::new(cause.clone()) });
                }
                let (tell, outcome) = watch::channel(None);
                let attempt = attempt(Arc::downgrade(self), node, addrs.to_vec(), tell);
                while attempts.try_join_next().is_some() {}
                attempts.spawn(attempt);
                entry.slot = Slot::Connecting(outcome.clone());
                Ok(Found::Attempt(outcome))
            }
        }
    }

    /// Notes what an attempt ended in.
    fn attempted(&self, node: &NodeId, outcome: &Result<Link, LinkError>) {
        let now = self.now();
        let mut state = self.state();
        let State { peers, rng, .. } = &mut *state;
        let Some(entry) = peers.get_mut(node) else { return };
        entry.slot = match outcome {
            Ok(link) => {
                entry.backoff.handle_connected(now);
                Slot::Up(link.clone())
            }
            Err(error) => {
                entry.backoff.handle_failed(now, rng);
                Slot::Down(error.clone())
            }
        };
    }

    fn now(&self) -> time::Instant {
        time::Instant::START.saturating_add(self.start.elapsed())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn attempt(
    pool: Weak<Shared>,
    node: NodeId,
    addrs: Vec<SocketAddr>,
    tell: watch::Sender<Outcome>,
) {
    let Some(endpoint) = pool.upgrade().map(|pool| pool.endpoint.clone()) else { return };
    let outcome = endpoint.connect(node, &addrs).await;
    if let Some(pool) = pool.upgrade() {
        pool.attempted(&node, &outcome);
    }
    tell.send_replace(Some(outcome));
}

impl Entry {
    /// The link, if it is up.
    fn link(&self) -> Option<&Link> {
        match &self.slot {
            Slot::Up(link) if link.close_reason().is_none() => Some(link),
            Slot::Up(_) | Slot::Down(_) | Slot::Connecting(_) => None,
        }
    }

    /// Whether it may be forgotten to make room, and how gladly: those without a link first.
    fn dispensable(&self) -> Option<(bool, u64)> {
        match &self.slot {
            Slot::Connecting(_) => None,
            Slot::Down(_) => Some((false, self.last_use)),
            Slot::Up(link) if link.open_streams() > 0 => None,
            Slot::Up(_) => Some((self.link().is_some(), self.last_use)),
        }
    }
}

/// Forgets peers until there is room for one more.
fn make_room(peers: &mut BTreeMap<NodeId, Entry>, max: usize) -> Result<(), LinkError> {
    while peers.len() >= max {
        let candidates =
            peers.iter().filter_map(|(node, entry)| Some((entry.dispensable()?, *node)));
        let (_, node) = candidates.min().ok_or(LinkError::Busy)?;
        if let Some(Entry { slot: Slot::Up(link), .. }) = peers.remove(&node) {
            link.close(Code::UNUSED);
        }
    }
    Ok(())
}
