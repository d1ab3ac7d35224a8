//! What a client asks of a destination, inside the innermost layer of an onion packet; and what
//! nodes ask of each other on their links.
//!
//! One request, one reply, both encoded by [`crate::wire`]. Specified in 05 onion, section
//! "Services".

use serde::{Deserialize, Serialize};

use crate::directory::{DirectoryReply, DirectoryRequest};
use crate::mailbox::{Forward, ForwardReply, Request, Response};

/// A request to the destination of an onion packet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceRequest {
    /// To a member of a mailbox's swarm.
    Mailbox(Request),
    /// To any node: the directory as it knows it.
    Directory(Box<DirectoryRequest>),
}

/// The answer of the destination.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceReply {
    /// From a member of a mailbox's swarm.
    Mailbox(Response),
    /// The directory as the node knows it.
    Directory(Box<DirectoryReply>),
}

/// A request of one node to another, on a stream of kind *peer*.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerRequest {
    /// A write that a member coordinates, for another member of the swarm.
    Forward(Forward),
}

/// The answer to a [`PeerRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerReply {
    /// To a write that was passed on.
    Forward(ForwardReply),
}
