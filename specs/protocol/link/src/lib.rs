//! Enjambre's links: authenticated connections between clients and nodes, and between nodes.
//!
//! An [`Endpoint`] is one UDP socket. [`Endpoint::connect`] makes a [`Link`] to a node whose key
//! is known, [`Acceptor::accept`] yields the links that others made; a [`Pool`] keeps one link a
//! peer, made again with back-off when it is lost. Each request is one [`Stream`] of its own,
//! opened by the side that connected.
//!
//! The transport is QUIC with TLS 1.3, a hybrid post-quantum key exchange and raw public keys;
//! quinn and rustls stand in the module `quic` and in no signature. A second transport,
//! [`memory::Network`], carries the same links inside one process, for tests under a paused clock
//! and with cut lines. What both ends must agree on (versions, heads, codes, limits, back-off) is
//! in [`enjambre_protocol::link`]. Specified in 04 links.
//!
//! Since the cryptography under the links is that of AWS-LC, its onion primitives are here too:
//! [`AWS_LC`], which nodes peel by.
//!
//! Not here: what a request says, who is let in (an [`Admission`] decides), which peer to ask.
//!
//! # Invariants
//!
//! - *Pinned*: a link that was made leads to the node whose key was asked for.
//! - *Unlinkable*: a client leaves nothing with a node by which its next link is recognised.
//! - *Bounded*: links, handshakes, streams, windows and messages have limits, checked first.
//! - *No silent wait*: beyond a limit the answer is `busy`, at once.
//! - *No false end*: a stream that was dropped unfinished ends in a reset, never as if complete.
#![forbid(unsafe_code)]

mod ask;
mod config;
mod endpoint;
mod error;
mod gate;
mod link;
pub mod memory;
mod pool;
mod primitives;
mod quic;
mod stream;
mod transport;
mod unread;

#[cfg(test)]
mod tests;

pub use ask::{AskError, ask, fetch_genesis};
pub use config::{Admission, Identity, LinkConfig, LoopbackPeers, Peer, Strangers, Timing};
pub use endpoint::{Acceptor, Endpoint};
pub use error::LinkError;
pub use link::{IncomingStream, Link, Place, Request, Stream};
pub use pool::{Pool, PoolConfig};
pub use primitives::{AWS_LC, AwsLc};
pub use stream::{Fill, Frames, RecvStream, SendStream};
pub use unread::Unread;
