//! The two places where a process listens, and what to do when it cannot.

use std::net::SocketAddr;

use enjambre_link::{Acceptor, Endpoint, Identity, LinkConfig};
use tokio::net::TcpListener;

/// Why a process cannot listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Links: UDP.
    #[error(
        "cannot listen on {address} (UDP): {reason}; free the port, or set another `listen` in config.toml"
    )]
    Links {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
    /// Metrics and status: HTTP.
    #[error(
        "cannot serve HTTP on {address} (TCP): {reason}; free the port, or set another `http` in config.toml"
    )]
    Http {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        reason: String,
    },
}

/// Listens for links of other nodes and of clients.
pub(crate) fn listen(
    address: SocketAddr,
    identity: Identity<'_>,
    config: LinkConfig,
) -> Result<(Endpoint, Acceptor), ListenError> {
    let failed = |reason: String| ListenError::Links { address, reason };
    let endpoint =
        Endpoint::bind(address, identity, config).map_err(|error| failed(error.to_string()))?;
    let acceptor = endpoint.take_acceptor().ok_or_else(|| failed("nothing is accepted".into()))?;
    Ok((endpoint, acceptor))
}

/// Listens for HTTP.
pub(crate) async fn listen_http(address: SocketAddr) -> Result<TcpListener, ListenError> {
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| ListenError::Http { address, reason: error.to_string() })
}
