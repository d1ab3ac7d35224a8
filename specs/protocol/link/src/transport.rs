//! The two transports behind one set of types.
//!
//! An enum rather than a trait object: reads and writes are neither boxed nor generic, and the
//! types of either transport stay out of every signature.

use std::net::SocketAddr;

use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::Code;

use crate::config::Peer;
use crate::error::LinkError;
use crate::{memory, quic};

macro_rules! either {
    ($on:expr, $it:ident => $then:expr) => {
        match $on {
            Self::Quic($it) => $then,
            Self::Memory($it) => $then,
        }
    };
}

/// One socket.
#[derive(Clone, Debug)]
pub(crate) enum Socket {
    Quic(quic::Socket),
    Memory(memory::Socket),
}

impl Socket {
    pub(crate) fn local_addr(&self) -> Result<SocketAddr, LinkError> {
        either!(self, it => it.local_addr())
    }

    /// The next connection that someone begins; `None` when the socket is closed.
    pub(crate) async fn accept(&self) -> Option<Incoming> {
        match self {
            Self::Quic(socket) => socket.accept().await.map(Box::new).map(Incoming::Quic),
            Self::Memory(socket) => socket.accept().await.map(Incoming::Memory),
        }
    }

    /// Connects to one address. Waits without end where nobody answers.
    pub(crate) async fn connect(
        &self,
        node: NodeId,
        addr: SocketAddr,
    ) -> Result<Connection, LinkError> {
        match self {
            Self::Quic(socket) => socket.connect(node, addr).await.map(Connection::Quic),
            Self::Memory(socket) => socket.connect(node, addr).await.map(Connection::Memory),
        }
    }

    /// Closes every connection and waits until the peers were told.
    pub(crate) async fn close(&self, code: Code) {
        match self {
            Self::Quic(socket) => socket.close(code).await,
            Self::Memory(socket) => socket.close(code),
        }
    }
}

/// A connection that someone else begins.
#[derive(Debug)]
pub(crate) enum Incoming {
    Quic(Box<quic::Incoming>),
    Memory(memory::Incoming),
}

impl Incoming {
    /// Where its first packet says that it is from.
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        either!(self, it => it.remote_addr())
    }

    /// Turns it away: the peer learns that this endpoint is full.
    pub(crate) fn refuse(self) {
        either!(self, it => it.refuse());
    }

    /// Asks for a proof of address first, if there was none: gives the connection back if so.
    pub(crate) fn prove_address(self) -> Option<Self> {
        match self {
            Self::Quic(incoming) => incoming.prove_address().map(Box::new).map(Self::Quic),
            memory @ Self::Memory(_) => Some(memory),
        }
    }

    pub(crate) async fn handshake(self) -> Result<Accepted, LinkError> {
        match self {
            Self::Quic(incoming) => incoming.handshake().await,
            Self::Memory(incoming) => Ok(incoming.handshake()),
        }
    }
}

/// A connection whose handshake is done.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) connection: Connection,
    pub(crate) peer: Peer,
}

/// One connection. Dropping the last handle, streams included, closes it.
#[derive(Clone, Debug)]
pub(crate) enum Connection {
    Quic(quic::Connection),
    Memory(memory::Connection),
}

impl Connection {
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        either!(self, it => it.remote_addr())
    }

    /// Opens a stream; waits while the peer grants none.
    pub(crate) async fn open(&self) -> Result<Halves, LinkError> {
        either!(self, it => it.open().await)
    }

    /// The next stream that the peer opens.
    pub(crate) async fn accept(&self) -> Result<Halves, LinkError> {
        either!(self, it => it.accept().await)
    }

    /// Lets the peer have so many streams open.
    pub(crate) fn grant(&self, streams: u32) {
        either!(self, it => it.grant(streams));
    }

    /// Widens the windows to those of a link between nodes.
    pub(crate) fn widen(&self) {
        match self {
            Self::Quic(connection) => connection.widen(),
            Self::Memory(_) => {}
        }
    }

    pub(crate) fn close(&self, code: Code) {
        either!(self, it => it.close(code));
    }

    /// Why the connection is closed, if it is.
    pub(crate) fn close_reason(&self) -> Option<LinkError> {
        either!(self, it => it.close_reason())
    }

    /// Waits until the connection is closed.
    pub(crate) async fn closed(&self) -> LinkError {
        either!(self, it => it.closed().await)
    }
}

/// The two directions of a stream.
#[derive(Debug)]
pub(crate) struct Halves {
    pub(crate) send: Send,
    pub(crate) recv: Recv,
}

/// The sending half of a stream.
#[derive(Debug)]
pub(crate) enum Send {
    Quic(quic::Send),
    Memory(memory::Send),
}

impl Send {
    /// Writes some of `bytes`; takes nothing if cancelled.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        either!(self, it => it.write(bytes).await)
    }

    pub(crate) fn finish(&mut self) -> Result<(), LinkError> {
        either!(self, it => it.finish())
    }

    pub(crate) fn reset(&mut self, code: Code) {
        either!(self, it => it.reset(code));
    }

    /// Waits until the peer has everything up to the end, or wants no more.
    pub(crate) async fn delivered(&mut self) -> Result<(), LinkError> {
        either!(self, it => it.delivered().await)
    }
}

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) enum Recv {
    Quic(quic::Recv),
    Memory(memory::Recv),
}

impl Recv {
    /// Reads what is there; `None` at the end. Takes nothing if cancelled.
    pub(crate) async fn read(&mut self, out: &mut [u8]) -> Result<Option<usize>, LinkError> {
        either!(self, it => it.read(out).await)
    }

    pub(crate) fn stop(&mut self, code: Code) {
        either!(self, it => it.stop(code));
    }
}
