//! One socket: links made and links accepted.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use enjambre_protocol::id::NodeId;
use enjambre_protocol::limits::ADDRESSES_MAX;
use enjambre_protocol::link::{ADDRESS_STAGGER, Code};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};

use crate::config::{Identity, LinkConfig, Peer, Timing};
use crate::error::LinkError;
use crate::gate::{Address, Begun, Gate};
use crate::link::Link;
use crate::transport::{Connection, Incoming, Socket};
use crate::{memory, quic};

/// Accepted links that wait to be taken. More than that wait at their handshake's task, each with its
/// place among the links, and are closed when the time of a handshake is over.
const ACCEPTED_QUEUE: usize = 64;

/// A socket that makes links and, on a node, accepts them. Clones share it.
#[derive(Clone, Debug)]
pub struct Endpoint(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    socket: Socket,
    own_streams_max: u32,
    timing: Timing,
    acceptor: Mutex<Option<Acceptor>>,
    driver: Option<AbortHandle>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

impl Endpoint {
    /// Opens a UDP socket. Must be called within a tokio runtime.
    pub fn bind(
        addr: SocketAddr,
        identity: Identity<'_>,
        config: LinkConfig,
    ) -> Result<Self, LinkError> {
        let socket = quic::Socket::bind(addr, identity, &config)?;
        Ok(Self::start(Socket::Quic(socket), identity, config))
    }

    /// Takes an address of a network inside this process. Must be called within a tokio runtime.
    pub fn in_memory(
        network: &memory::Network,
        addr: SocketAddr,
        identity: Identity<'_>,
        config: LinkConfig,
    ) -> Result<Self, LinkError> {
        let socket = network.bind(addr, identity, config.timing.idle)?;
        Ok(Self::start(Socket::Memory(socket), identity, config))
    }

    fn start(socket: Socket, identity: Identity<'_>, config: LinkConfig) -> Self {
        let timing = config.timing;
        let (own_streams_max, acceptor, driver) = match identity {
            Identity::Client => (Peer::Client.streams_max(), None, None),
            Identity::Node(key) => {
                let own = Peer::Node(NodeId::from_bytes(*key.public().as_bytes()));
                let (links, accepted) = mpsc::channel(ACCEPTED_QUEUE);
                let driver = tokio::spawn(accept_all(socket.clone(), config, links));
                let acceptor = Acceptor { accepted };
                (own.streams_max(), Some(acceptor), Some(driver.abort_handle()))
            }
        };
        let acceptor = Mutex::new(acceptor);
        Self(Arc::new(Inner { socket, own_streams_max, timing, acceptor, driver }))
    }

    /// The address of the socket.
    pub fn local_addr(&self) -> Result<SocketAddr, LinkError> {
        self.0.socket.local_addr()
    }

    /// What yields the links that others make. `None` on a client, and the second time.
    pub fn take_acceptor(&self) -> Option<Acceptor> {
        self.0.acceptor.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Makes a link to `node`, at the first of its addresses that answers with its key. The
    /// addresses are tried in order, each a little after the one before. A [`crate::Pool`] shares
    /// and keeps links; this makes a new one.
    pub async fn connect(&self, node: NodeId, addrs: &[SocketAddr]) -> Result<Link, LinkError> {
        let within = self.0.timing.handshake;
        let connection =
            timeout(within, self.race(node, addrs)).await.unwrap_or(Err(LinkError::Unreachable))?;
        let (streams_max, stall) = (self.0.own_streams_max, self.0.timing.stall);
        Ok(Link::opener(connection, Peer::Node(node), streams_max, stall))
    }

    async fn race(&self, node: NodeId, addrs: &[SocketAddr]) -> Result<Connection, LinkError> {
        let mut waiting = addrs.iter().take(ADDRESSES_MAX).copied();
        let mut attempts = JoinSet::new();
        let mut failure = LinkError::NoAddress;
        let mut start = |attempts: &mut JoinSet<_>| match waiting.next() {
            Some(addr) => {
                let socket = self.0.socket.clone();
                attempts.spawn(async move { socket.connect(node, addr).await });
                true
            }
            None => false,
        };
        let mut more = start(&mut attempts);
        while !attempts.is_empty() {
            tokio::select! {
                Some(ended) = attempts.join_next() => {
                    match ended {
                        Ok(Ok(connection)) => return Ok(connection),
                        Ok(Err(error)) => failure = worse(failure, error),
                        // Only a panic inside the transport ends up here.
                        Err(error) => failure = LinkError::Socket(error.to_string()),
                    }
                    more = start(&mut attempts);
                }
                () = sleep(ADDRESS_STAGGER), if more => more = start(&mut attempts),
            }
        }
        Err(failure)
    }

    /// Closes every link with `code` and waits until the peers were told; accepts no more.
    pub async fn close(&self, code: Code) {
        if let Some(driver) = &self.0.driver {
            driver.abort();
        }
        self.0.socket.close(code).await;
    }
}

/// Of two failures the one that says more: an answer rather than silence, silence rather than an
/// address that could not be used.
fn worse(a: LinkError, b: LinkError) -> LinkError {
    let rank = |error: &LinkError| match error {
        LinkError::NoAddress => 0,
        LinkError::Unreachable => 1,
        _ => 2,
    };
    if rank(&b) >= rank(&a) { b } else { a }
}

/// Yields the links that others make.
#[derive(Debug)]
pub struct Acceptor {
    accepted: mpsc::Receiver<Link>,
}

impl Acceptor {
    /// The next link; `None` once the endpoint is closed. A cancelled call loses nothing.
    pub async fn accept(&mut self) -> Option<Link> {
        self.accepted.recv().await
    }
}

/// Drives the handshakes of one endpoint, as many at a time as the [`Gate`] lets begin.
async fn accept_all(socket: Socket, config: LinkConfig, links: mpsc::Sender<Link>) {
    let within = config.timing.handshake;
    let gate = Arc::new(Gate::new(config));
    let mut handshakes = JoinSet::new();
    loop {
        tokio::select! {
            incoming = socket.accept() => {
                let Some(incoming) = incoming else { break };
                let Some(begun) = gate.begin(incoming.remote_addr()) else {
                    incoming.refuse();
                    continue;
                };
                let incoming = match begun.address {
                    Address::Believed => Some(incoming),
                    Address::ToBeProven => incoming.prove_address(),
                };
                let Some(incoming) = incoming else { continue };
                let accept = accept_one(incoming, begun, gate.clone(), links.clone());
                handshakes.spawn(timeout(within, accept));
            }
            Some(_) = handshakes.join_next() => {}
        }
    }
}

async fn accept_one(incoming: Incoming, begun: Begun, gate: Arc<Gate>, links: mpsc::Sender<Link>) {
    let Begun { entry, handshake, .. } = begun;
    let ended = incoming.handshake().await;
    // The link may wait to be taken; others need not wait for that with their handshakes.
    drop(handshake);
    let mut accepted = match ended {
        Ok(accepted) => accepted,
        Err(error) => return tracing::debug!(%error, "handshake of a peer failed"),
    };
    accepted.peer = gate.standing(accepted.peer);
    let remote = accepted.connection.remote_addr();
    match gate.admit(entry, accepted.peer, remote) {
        Ok(permit) => {
            // Fails when the endpoint is going down; the link closes then.
            let _ = links.send(Link::acceptor(accepted, gate, permit)).await;
        }
        Err(code) => accepted.connection.close(code),
    }
}
