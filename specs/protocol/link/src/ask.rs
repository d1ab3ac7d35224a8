//! Questions about the directory over a link: what nodes, authorities and clients ask alike.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use enjambre_protocol::Retry;
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest, Genesis, NetworkCard};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::limits::DIRECTORY_MAX;
use enjambre_protocol::link::{Code, DIRECTORY_REQUEST_MAX, StreamHead};
use enjambre_protocol::wire;

use crate::config::{Identity, LinkConfig};
use crate::endpoint::Endpoint;
use crate::error::LinkError;
use crate::pool::{Pool, PoolConfig};

/// How long a source may take to answer: links included, and longer than it may wait for news.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// How long it may take when the answer is at hand.
const ANSWER_AT_ONCE_WITHIN: Duration = Duration::from_secs(6);

/// Bytes of a reply: a document and its certificate, or a difference, which is shorter.
const REPLY_MAX: usize = 2 * DIRECTORY_MAX;

/// Why a question had no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// No link, or it broke.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The source took too long.
    #[error("no answer within {} s", within.as_secs())]
    Late {
        /// How long was waited.
        within: Duration,
    },
    /// The answer is none.
    #[error("the answer is malformed")]
    Malformed,
    /// No contact of a card serves the network that the card names.
    #[error("no contact of the network card serves that network")]
    OtherNetwork,
}

impl AskError {
    /// What the caller can do.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Link(error) => error.retry(),
            Self::Late { .. } | Self::Malformed => Retry::Elsewhere,
            Self::OtherNetwork => Retry::Never,
        }
    }
}

/// Asks one node or authority.
pub async fn ask(
    pool: &Pool,
    node: NodeId,
    addresses: &[SocketAddr],
    request: &DirectoryRequest,
) -> Result<DirectoryReply, AskError> {
    let within = match request {
        DirectoryRequest::Wait { .. } => ANSWER_WITHIN,
        _ => ANSWER_AT_ONCE_WITHIN,
    };
    let bytes = wire::encode(request);
    let answer = async {
        let link = pool.link(node, addresses).await?;
        link.request(StreamHead::Directory, &bytes, DIRECTORY_REQUEST_MAX, REPLY_MAX).await
    };
    let answer =
        tokio::time::timeout(within, answer).await.map_err(|_| AskError::Late { within })??;
    wire::decode(&answer, REPLY_MAX).map_err(|_| AskError::Malformed)
}

/// Fetches the genesis that a card names from one of its contacts, as an anonymous client. Must
/// be called within a tokio runtime.
pub async fn fetch_genesis(card: &NetworkCard) -> Result<Genesis, AskError> {
    let mut last = AskError::OtherNetwork;
    for contact in &card.contacts {
        match ask_contact(NodeId::from_bytes(contact.key), contact.address).await {
            Ok(DirectoryReply::Genesis(genesis)) if card.matches(&genesis) => return Ok(genesis),
            Ok(_) => last = AskError::OtherNetwork,
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Asks over a socket of its own: one of IPv4 reaches no contact of IPv6, nor the other way round.
async fn ask_contact(node: NodeId, address: SocketAddr) -> Result<DirectoryReply, AskError> {
    let any = unspecified_for(address);
    let endpoint = Endpoint::bind(any, Identity::Client, LinkConfig::client())?;
    let pool = Pool::new(endpoint.clone(), PoolConfig::default())?;
    let answer = ask(&pool, node, &[address], &DirectoryRequest::Genesis).await;
    endpoint.close(Code::CANCELLED).await;
    answer
}

/// Where to bind to reach `peer`.
fn unspecified_for(peer: SocketAddr) -> SocketAddr {
    match peer {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_is_of_the_family_of_whom_it_is_to_reach() {
        for (peer, own) in [("192.0.2.1:9", "0.0.0.0:0"), ("[2001:db8::1]:9", "[::]:0")] {
            assert_eq!(unspecified_for(peer.parse().unwrap()), own.parse().unwrap());
        }
    }
}
