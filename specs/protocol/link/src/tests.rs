//! Whole links: over QUIC on the loopback interface and, where it says so, in memory as well.
//!
//! Nothing here sleeps to wait for something; [`guarded`] only turns a hang into a failure.

mod admission;
mod handshake;
mod liveness;
mod pool;
mod streams;
mod unread;

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::{Code, StreamHead};
use tokio::task::JoinSet;

use crate::memory::Network;
use crate::{Acceptor, Admission, Endpoint, Identity, Link, LinkConfig, LinkError, Peer, Stream};

/// Messages in tests are not longer than this.
const MAX: usize = 1 << 20;

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Fails what would otherwise hang.
async fn guarded<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), future).await.expect("hangs")
}

fn key(n: u8) -> SecretKey {
    SecretKey::from_seed(&[n; 32])
}

fn id(key: &SecretKey) -> NodeId {
    NodeId::from_bytes(*key.public().as_bytes())
}

/// Where endpoints meet.
enum Net {
    Loopback,
    Memory(Network),
}

impl Net {
    fn memory() -> Self {
        Self::Memory(Network::new())
    }

    fn bind(&self, identity: Identity<'_>, config: LinkConfig) -> Endpoint {
        match self {
            Self::Loopback => Endpoint::bind(LOOPBACK, identity, config),
            Self::Memory(network) => Endpoint::in_memory(network, LOOPBACK, identity, config),
        }
        .unwrap()
    }

    fn client(&self) -> Endpoint {
        self.bind(Identity::Client, LinkConfig::client())
    }

    fn node(&self, n: u8) -> Served {
        self.node_with(n, LinkConfig::new(Admission::everyone()))
    }

    fn node_with(&self, n: u8, config: LinkConfig) -> Served {
        let key = key(n);
        let endpoint = self.bind(Identity::Node(&key), config);
        Served::new(&key, endpoint)
    }
}

/// A node that accepts.
struct Served {
    node: NodeId,
    addr: SocketAddr,
    endpoint: Endpoint,
    acceptor: Acceptor,
}

impl Served {
    fn new(key: &SecretKey, endpoint: Endpoint) -> Self {
        let addr = endpoint.local_addr().unwrap();
        let acceptor = endpoint.take_acceptor().unwrap();
        Self { node: id(key), addr, endpoint, acceptor }
    }

    /// A link from `from` to this node, seen from both ends.
    async fn link(&mut self, from: &Endpoint) -> (Link, Link) {
        let ours = from.connect(self.node, &[self.addr]).await.unwrap();
        let theirs = self.acceptor.accept().await.unwrap();
        (ours, theirs)
    }
}

/// Answers every message on `link` with itself, until the link is closed.
async fn echo(link: Link) {
    let mut requests = JoinSet::new();
    while let Ok(incoming) = link.accept().await {
        requests.spawn(async move {
            let Stream { mut send, mut recv } = incoming.head().await?.stream;
            let message = recv.read_message(MAX).await?;
            send.write_message(&message, MAX).await?;
            send.finish().await?;
            send.delivered().await
        });
    }
}

async fn ask(link: &Link, message: &[u8]) -> Result<Vec<u8>, LinkError> {
    link.request(StreamHead::Directory, message, MAX, MAX).await
}

/// Runs a scenario over QUIC, and in memory under a paused clock.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod on_loopback {
            $(#[tokio::test]
            async fn $name() {
                crate::tests::guarded(super::$name(crate::tests::Net::Loopback)).await;
            })*
        }
        mod in_memory {
            $(#[tokio::test(start_paused = true)]
            async fn $name() {
                crate::tests::guarded(super::$name(crate::tests::Net::memory())).await;
            })*
        }
    };
}
use on_both;
