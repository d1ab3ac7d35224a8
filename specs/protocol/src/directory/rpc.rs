//! What is asked about the directory, and answered.

use serde::{Deserialize, Serialize};

use crate::crypto::Signed;
use crate::directory::{DocumentDiff, Genesis, SignedDocument};
use crate::id::Digest;

/// A question to a node or an authority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryRequest {
    /// The genesis, to be checked against the network id.
    Genesis,
    /// The newest document if it is above a height.
    Latest {
        /// The height of what the asker has; 0 for nothing.
        above: u64,
        /// The digest of a document the asker has, from which a difference may start.
        base: Option<Digest>,
    },
    /// Like `Latest`, but the answer waits until there is something newer, or half a minute.
    Wait {
        /// The height of what the asker has; 0 for nothing.
        above: u64,
        /// The digest of a document the asker has, from which a difference may start.
        base: Option<Digest>,
    },
    /// A node's descriptor, for an authority.
    Publish(Signed),
    /// The address the answerer sees the asker at.
    WhoAmI,
}

/// The answer to a [`DirectoryRequest`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DirectoryReply {
    /// The genesis.
    Genesis(Genesis),
    /// A whole document.
    Document(SignedDocument),
    /// A document as a difference from the base that was named.
    Diff(DocumentDiff),
    /// Nothing above the height that was named.
    Unchanged {
        /// The newest height here; 0 for none.
        height: u64,
    },
    /// The descriptor will be in the next report.
    Accepted,
    /// The asker's address and port as seen here.
    Seen(core::net::SocketAddr),
    /// The request is not answered here.
    Refused {
        /// One sentence for a person.
        reason: String,
    },
}
