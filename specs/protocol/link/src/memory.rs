//! Links inside one process, under tokio's clock, which a test may pause.
//!
//! A [`Network`] connects endpoints by address. Keys are believed, not proven, and nothing is
//! encrypted; limits, resets, closes and time-outs are those of the real links. An address can be
//! cut off: what it sends and is sent is held back, and after the idle time both ends find the
//! link lost, as they do with QUIC.

mod line;
mod pipe;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::{Code, REPLY_WINDOW, STREAM_WINDOW};
use tokio::sync::{Notify, oneshot};

use crate::config::{Identity, Peer};
use crate::error::LinkError;
use crate::transport::{self, Accepted};

pub(crate) use line::Connection;
use line::Line;
pub(crate) use pipe::{Recv, Send};
use queue::Queue;

/// Connections that wait for one listener: beyond that it does not answer, as a full socket.
const BACKLOG: usize = 1024;

/// A network of endpoints in this process. Clones are the same network.
#[derive(Clone, Debug, Default)]
pub struct Network(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    /// Told whenever an address is bound or healed.
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    bound: BTreeMap<SocketAddr, Listener>,
    cut: BTreeSet<SocketAddr>,
    lines: Vec<Weak<Line>>,
    next_port: u16,
}

#[derive(Clone, Debug)]
struct Listener {
    node: Option<NodeId>,
    idle: Duration,
    backlog: Arc<Queue<Incoming>>,
}

impl Network {
    /// A network without endpoints.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cuts the endpoint at `addr` off from all others.
    pub fn cut(&self, addr: SocketAddr) {
        let mut state = self.state();
        state.cut.insert(addr);
        state.update_lines(addr);
    }

    /// Ends [`Network::cut`]: links that were not lost yet go on.
    pub fn heal(&self, addr: SocketAddr) {
        let mut state = self.state();
        state.cut.remove(&addr);
        state.update_lines(addr);
        drop(state);
        self.0.changed.notify_waiters();
    }

    pub(crate) fn bind(
        &self,
        mut addr: SocketAddr,
        identity: Identity<'_>,
        idle: Duration,
    ) -> Result<Socket, LinkError> {
        let node = match identity {
            Identity::Node(key) => Some(NodeId::from_bytes(*key.public().as_bytes())),
            Identity::Client => None,
        };
        let mut state = self.state();
        if addr.port() == 0 {
            addr.set_port(state.free_port(addr)?);
        }
        let backlog = Arc::new(Queue::new(BACKLOG));
        let listener = Listener { node, idle, backlog: backlog.clone() };
        if state.bound.contains_key(&addr) {
            return Err(LinkError::Socket("address is in use".to_owned()));
        }
        state.bound.insert(addr, listener);
        drop(state);
        self.0.changed.notify_waiters();
        Ok(Socket(Arc::new(Bound { network: self.clone(), addr, node, idle, backlog })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn free_port(&mut self, addr: SocketAddr) -> Result<u16, LinkError> {
        for _ in 0..u16::MAX {
            self.next_port = self.next_port.checked_add(1).unwrap_or(1);
            let candidate = SocketAddr::new(addr.ip(), self.next_port);
            if !self.bound.contains_key(&candidate) {
                return Ok(self.next_port);
            }
        }
        Err(LinkError::Socket("no free port".to_owned()))
    }

    fn reachable(&self, from: SocketAddr, to: SocketAddr) -> bool {
        !self.cut.contains(&from) && !self.cut.contains(&to)
    }

    /// Who listens at `to`, if packets get there.
    fn listener(&self, from: SocketAddr, to: SocketAddr) -> Option<Listener> {
        self.bound.get(&to).filter(|_| self.reachable(from, to)).cloned()
    }

    fn update_lines(&mut self, addr: SocketAddr) {
        self.lines.retain(|line| line.strong_count() > 0);
        for line in self.lines.iter().filter_map(Weak::upgrade) {
            let [a, b] = line.addrs();
            if a == addr || b == addr {
                line.set_reachable(self.reachable(a, b));
            }
        }
    }
}

/// An address of a network. Clones share it; the last one gives it back.
#[derive(Clone, Debug)]
pub(crate) struct Socket(Arc<Bound>);

#[derive(Debug)]
struct Bound {
    network: Network,
    addr: SocketAddr,
    node: Option<NodeId>,
    idle: Duration,
    backlog: Arc<Queue<Incoming>>,
}

impl Drop for Bound {
    fn drop(&mut self) {
        self.network.state().bound.remove(&self.addr);
    }
}

impl Socket {
    #[expect(clippy::unnecessary_wraps, reason = "the same signature as over QUIC")]
    pub(crate) fn local_addr(&self) -> Result<SocketAddr, LinkError> {
        Ok(self.0.addr)
    }

    pub(crate) async fn accept(&self) -> Option<Incoming> {
        self.0.backlog.pop().await
    }

    /// Waits without end while nobody is there.
    pub(crate) async fn connect(
        &self,
        node: NodeId,
        addr: SocketAddr,
    ) -> Result<Connection, LinkError> {
        let from = self.0.addr;
        let listener = loop {
            let changed = self.0.network.0.changed.notified();
            let found = self.0.network.state().listener(from, addr);
            if let Some(listener) = found {
                break listener;
            }
            changed.await;
        };
        if listener.node != Some(node) {
            return Err(LinkError::WrongKey);
        }
        let reply_window = if self.0.node.is_some() { REPLY_WINDOW } else { STREAM_WINDOW };
        let idle = self.0.idle.min(listener.idle);
        let line = Arc::new(Line::new([from, addr], idle, reply_window));
        self.0.network.state().lines.push(Arc::downgrade(&line));
        let [ours, theirs] = Connection::ends(&line);
        let peer = self.0.node.map_or(Peer::Client, Peer::Node);
        let (answer, answered) = oneshot::channel();
        if !listener.backlog.push(Incoming { connection: theirs, peer, answer }) {
            return Err(LinkError::Unreachable);
        }
        match answered.await {
            Ok(Verdict::Accepted) => Ok(ours),
            Ok(Verdict::Refused) => Err(LinkError::Busy),
            Err(_) => Err(LinkError::Unreachable),
        }
    }

    pub(crate) fn close(&self, code: Code) {
        let mut state = self.0.network.state();
        state.bound.remove(&self.0.addr);
        for line in state.lines.iter().filter_map(Weak::upgrade) {
            line.close_at(self.0.addr, code);
        }
        drop(state);
        self.0.backlog.close();
    }
}

/// A connection that was begun.
#[derive(Debug)]
pub(crate) struct Incoming {
    connection: Connection,
    peer: Peer,
    answer: oneshot::Sender<Verdict>,
}

#[derive(Debug)]
enum Verdict {
    Accepted,
    Refused,
}

impl Incoming {
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.connection.remote_addr()
    }

    pub(crate) fn refuse(self) {
        // Who began it may have given up by now.
        let _ = self.answer.send(Verdict::Refused);
    }

    pub(crate) fn handshake(self) -> Accepted {
        // As above: then the connection is closed already.
        let _ = self.answer.send(Verdict::Accepted);
        let connection = transport::Connection::Memory(self.connection);
        Accepted { connection, peer: self.peer }
    }
}
