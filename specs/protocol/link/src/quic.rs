//! Links over QUIC: the only module that knows quinn, with its TLS in [`tls`].
//!
//! What of QUIC is not used is switched off: resumption, 0-RTT, address tokens that outlive a
//! connection, migration, datagrams, unidirectional streams, the spin bit. A client that comes
//! back is a stranger.

mod config;
mod convert;
mod reset;
mod stream;
mod tls;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::{Code, NODE_WINDOW, stream_credit};
use quinn::VarInt;

use crate::config::{Identity, LinkConfig, Peer};
use crate::error::LinkError;
use crate::transport::{self, Accepted, Halves};

use convert::{of_connect, of_connection, of_handshake, varint};
pub(crate) use stream::{Recv, Send};

/// The name that TLS asks for. It is a constant and not sent: nodes are known by their keys.
const SERVER_NAME: &str = "enjambre";

/// How long a closing socket waits to answer peers that had not heard of it yet. They are told at once;
/// QUIC would wait for three of its probe times more, 3 s where a peer never answered.
const CLOSE_WITHIN: Duration = Duration::from_millis(300);

/// One UDP socket with its connections.
#[derive(Clone, Debug)]
pub(crate) struct Socket {
    endpoint: quinn::Endpoint,
    keys: tls::Keys,
    transport: Arc<quinn::TransportConfig>,
}

impl Socket {
    /// Opens the socket. Needs a running tokio runtime.
    pub(crate) fn bind(
        addr: SocketAddr,
        identity: Identity<'_>,
        config: &LinkConfig,
    ) -> Result<Self, LinkError> {
        let socket_error = |error: std::io::Error| LinkError::Socket(error.to_string());
        let socket = std::net::UdpSocket::bind(addr).map_err(socket_error)?;
        let key: Option<&SecretKey> = match identity {
            Identity::Node(key) => Some(key),
            Identity::Client => None,
        };
        let keys = tls::Keys::new(key, config.alpn.clone())?;
        let server = match key {
            Some(_) => Some(config::server(keys.server()?, config)?),
            None => None,
        };
        let endpoint = quinn::Endpoint::new(
            config::endpoint(key, config)?,
            server,
            socket,
            Arc::new(quinn::TokioRuntime),
        )
        .map_err(socket_error)?;
        let transport = Arc::new(config::opener_transport(key.is_some(), config)?);
        Ok(Self { endpoint, keys, transport })
    }

    pub(crate) fn local_addr(&self) -> Result<SocketAddr, LinkError> {
        self.endpoint.local_addr().map_err(|error| LinkError::Socket(error.to_string()))
    }

    pub(crate) async fn accept(&self) -> Option<Incoming> {
        self.endpoint.accept().await.map(Incoming)
    }

    pub(crate) async fn connect(
        &self,
        node: NodeId,
        addr: SocketAddr,
    ) -> Result<Connection, LinkError> {
        let mismatch = Arc::new(AtomicBool::new(false));
        let tls = self.keys.client(node, mismatch.clone())?;
        let mut config = quinn::ClientConfig::new(Arc::new(tls));
        config.transport_config(self.transport.clone());
        config.token_store(Arc::new(quinn::NoneTokenStore));
        let connecting =
            self.endpoint.connect_with(config, addr, SERVER_NAME).map_err(|e| of_connect(&e))?;
        match connecting.await {
            Ok(connection) => Ok(Connection(connection)),
            Err(_) if mismatch.load(Ordering::Relaxed) => Err(LinkError::WrongKey),
            Err(error) => Err(of_handshake(&error)),
        }
    }

    pub(crate) async fn close(&self, code: Code) {
        self.endpoint.close(varint(code), b"");
        let _ = tokio::time::timeout(CLOSE_WITHIN, self.endpoint.wait_idle()).await;
    }
}

/// A connection of which the first packet has come.
#[derive(Debug)]
pub(crate) struct Incoming(quinn::Incoming);

impl Incoming {
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.0.remote_address()
    }

    pub(crate) fn refuse(self) {
        self.0.refuse();
    }

    pub(crate) fn prove_address(self) -> Option<Self> {
        if self.0.remote_address_validated() {
            return Some(self);
        }
        match self.0.retry() {
            Ok(()) => None,
            Err(error) => Some(Self(error.into_incoming())),
        }
    }

    pub(crate) async fn handshake(self) -> Result<Accepted, LinkError> {
        let connecting = self.0.accept().map_err(|error| of_handshake(&error))?;
        let connection = connecting.await.map_err(|error| of_handshake(&error))?;
        let peer = match connection.peer_identity() {
            None => Peer::Client,
            Some(identity) => Peer::Node(tls::shown_node(identity.as_ref())?),
        };
        Ok(Accepted { connection: transport::Connection::Quic(Connection(connection)), peer })
    }
}

/// One QUIC connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection(quinn::Connection);

impl Connection {
    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.0.remote_address()
    }

    pub(crate) async fn open(&self) -> Result<Halves, LinkError> {
        let (send, recv) = self.0.open_bi().await.map_err(|error| of_connection(&error))?;
        Ok(halves(send, recv))
    }

    pub(crate) async fn accept(&self) -> Result<Halves, LinkError> {
        let (send, recv) = self.0.accept_bi().await.map_err(|error| of_connection(&error))?;
        Ok(halves(send, recv))
    }

    pub(crate) fn grant(&self, streams: u32) {
        self.0.set_max_concurrent_bi_streams(VarInt::from_u32(stream_credit(streams)));
    }

    pub(crate) fn widen(&self) {
        self.0.set_receive_window(VarInt::from_u32(NODE_WINDOW));
        self.0.set_send_window(u64::from(NODE_WINDOW));
    }

    #[cfg(test)]
    pub(crate) fn pings_received(&self) -> u64 {
        self.0.stats().frame_rx.ping
    }

    pub(crate) fn close(&self, code: Code) {
        self.0.close(varint(code), b"");
    }

    pub(crate) fn close_reason(&self) -> Option<LinkError> {
        self.0.close_reason().map(|error| of_connection(&error))
    }

    pub(crate) async fn closed(&self) -> LinkError {
        of_connection(&self.0.closed().await)
    }
}

const fn halves(send: quinn::SendStream, recv: quinn::RecvStream) -> Halves {
    Halves {
        send: transport::Send::Quic(Send::new(send)),
        recv: transport::Recv::Quic(Recv::new(recv)),
    }
}
