//! Who an endpoint is, who may link to it, and how much it takes on.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link;

/// What an endpoint shows of itself to those it connects to.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    /// A node: its key is shown both ways, and others may link to it.
    Node(&'a SecretKey),
    /// A client: shows nothing, accepts nothing.
    Client,
}

/// Who is at the other end of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Whoever holds this node's key.
    Node(NodeId),
    /// Someone who showed no key.
    Client,
}

impl Peer {
    /// Replies that may stand on a link that this peer made, for want of its reading.
    pub(crate) const fn standing_max(self) -> u32 {
        match self {
            Self::Node(_) => link::NODE_STANDING_MAX,
            Self::Client => link::CLIENT_STANDING_MAX,
        }
    }

    /// Streams that this peer may have open on a link it made.
    pub const fn streams_max(self) -> u32 {
        match self {
            Self::Node(_) => link::NODE_STREAMS_MAX,
            Self::Client => link::CLIENT_STREAMS_MAX,
        }
    }
}

/// Decides which nodes may link to this one, and from where nodes are expected. Clients are not asked
/// about: they have no name.
///
/// It is asked once a handshake each, so it must answer from memory. Any Ed25519 key makes a valid
/// handshake; without a list of nodes everyone can appear as one and get a node's limits.
#[derive(Clone)]
pub struct Admission {
    admits: Arc<dyn Fn(&NodeId) -> bool + Send + Sync>,
    expects: Arc<dyn Fn(IpAddr) -> bool + Send + Sync>,
}

impl Admission {
    /// Lets in the nodes for which `admits` is true.
    pub fn new(admits: impl Fn(&NodeId) -> bool + Send + Sync + 'static) -> Self {
        Self { admits: Arc::new(admits), expects: Arc::new(|_| false) }
    }

    /// Counts handshakes with addresses for which `expects` is true apart from the others of their
    /// network, so that a neighbour of a node cannot keep it out. Its argument is never an IPv4
    /// address in IPv6 form.
    #[must_use]
    pub fn expecting(self, expects: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self { expects: Arc::new(expects), ..self }
    }

    /// Lets in every key: for networks in which all who can reach the socket are trusted.
    pub fn everyone() -> Self {
        Self::new(|_| true)
    }

    pub(crate) fn admits(&self, node: &NodeId) -> bool {
        (self.admits)(node)
    }

    pub(crate) fn expects(&self, ip: IpAddr) -> bool {
        (self.expects)(ip)
    }
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Admission(..)")
    }
}

/// The times of a link. Both ends of a link take the shorter idle time of the two.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// See [`link::KEEP_ALIVE`].
    pub keep_alive: Duration,
    /// See [`link::IDLE_TIMEOUT`].
    pub idle: Duration,
    /// See [`link::HANDSHAKE_TIMEOUT`].
    pub handshake: Duration,
    /// See [`link::STALL_MAX`].
    pub stall: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            keep_alive: link::KEEP_ALIVE,
            idle: link::IDLE_TIMEOUT,
            handshake: link::HANDSHAKE_TIMEOUT,
            stall: link::STALL_MAX,
        }
    }
}

/// Whether handshakes of peers on this machine count towards their network's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoopbackPeers {
    /// They do not: many processes on one machine share 127.0.0.0/24, and nobody elsewhere can
    /// send from there.
    Exempt,
    /// They do, as any other.
    Counted,
}

/// What becomes of nodes that [`Admission`] does not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strangers {
    /// They are told so, and the link ends.
    Refused,
    /// They get what a client gets, and count as one: for an endpoint that nodes must reach before
    /// anybody lists them.
    AsClients,
}

/// The limits of one endpoint. Change what differs from [`LinkConfig::new`].
#[derive(Clone, Debug)]
pub struct LinkConfig {
    /// Which nodes are let in.
    pub admission: Admission,
    /// What the others are. Refused unless set.
    pub strangers: Strangers,
    /// Accepted links at a time, handshakes included. 8192: with nothing but hostile clients that
    /// is 2 GiB of windows filled and not read.
    pub links_max: usize,
    /// Accepted links of clients at a time. 6144: the rest stays free for nodes.
    pub clients_max: usize,
    /// Accepted links of clients from one address (IPv6: one /64). 256: a large household or
    /// office behind one router, not a machine that takes every place.
    pub clients_per_address_max: u32,
    /// Accepted links of one node. 4: one in use, and those of before a restart.
    pub links_per_node_max: u32,
    /// Handshakes in hand at a time. 256: each holds a few KiB and a signature's time. From a
    /// quarter of it on, a peer must first show that it receives at its address; the last quarter is
    /// for addresses that [`Admission`] expects.
    pub handshakes_max: usize,
    /// Handshakes under way at a time with one IPv4 /24 or IPv6 /48, or with one expected address. 16: a sixteenth of all of them,
    /// and more than an office begins within a round trip. From half of it on, a peer there must
    /// first show that it receives at its address.
    pub handshakes_per_prefix_max: u32,
    /// Whether peers on this machine count there. They do not unless set.
    pub loopback: LoopbackPeers,
    /// Accepted streams at a time, over all links. 131 072: a stream is a task and a few KiB.
    pub streams_max: usize,
    /// Largest UDP payload that the path search tries, bytes; every path carries 1200. 1452: what
    /// Ethernet carries of IPv6.
    pub udp_payload_max: u16,
    /// Keep-alive, idle and handshake times.
    pub timing: Timing,
    /// Protocol names offered, newest first.
    pub(crate) alpn: Vec<Vec<u8>>,
}

impl LinkConfig {
    /// The defaults, with the given admission.
    pub fn new(admission: Admission) -> Self {
        Self {
            admission,
            strangers: Strangers::Refused,
            links_max: 8192,
            clients_max: 6144,
            clients_per_address_max: 256,
            links_per_node_max: 4,
            handshakes_max: 256,
            handshakes_per_prefix_max: 16,
            loopback: LoopbackPeers::Exempt,
            streams_max: 131_072,
            udp_payload_max: 1452,
            timing: Timing::default(),
            alpn: link::alpn(),
        }
    }

    /// For an endpoint that accepts nothing: a client.
    pub fn client() -> Self {
        Self::new(Admission::new(|_| false))
    }
}
