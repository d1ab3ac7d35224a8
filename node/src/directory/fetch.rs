//! Fetching the directory as anybody can: for commands.

use std::net::{Ipv4Addr, SocketAddr};

use enjambre_link::{AskError, Endpoint, Identity, LinkConfig, Pool, PoolConfig, ask};
use enjambre_protocol::directory::{
    DirectoryReply, DirectoryRequest, Genesis, VerifiedDocument, VerifyError,
};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::Code;

/// Why no document was had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No authority answered.
    #[error(
        "no authority of the network answers ({0}); check that this machine is online, and try again later"
    )]
    Ask(#[from] AskError),
    /// What came does not verify.
    #[error(
        "the document does not verify ({0}); get the network file or card anew from whoever runs the network"
    )]
    Verify(#[from] VerifyError),
    /// The network has no document yet.
    #[error(
        "the network has no document yet; its authorities may just have started, so try again in a minute"
    )]
    None,
}

/// Fetches the newest document from the authorities, the first that answers with one.
///
/// # Errors
///
/// See [`FetchError`]; the last one of several.
pub async fn fetch_latest(genesis: &Genesis) -> Result<VerifiedDocument, FetchError> {
    let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let endpoint =
        Endpoint::bind(any, Identity::Client, LinkConfig::client()).map_err(AskError::Link)?;
    let pool = Pool::new(endpoint.clone(), PoolConfig::default()).map_err(AskError::Link)?;
    let mut result = Err(FetchError::None);
    for authority in &genesis.authorities {
        let node = NodeId::from_bytes(*authority.id.as_bytes());
        let request = DirectoryRequest::Latest { above: 0, base: None };
        result = match ask(&pool, node, &authority.addresses, &request).await {
            Ok(DirectoryReply::Document(signed)) => {
                signed.verify(genesis).map_err(FetchError::Verify)
            }
            Ok(_) => Err(FetchError::None),
            Err(error) => Err(FetchError::Ask(error)),
        };
        if result.is_ok() {
            break;
        }
    }
    endpoint.close(Code::CANCELLED).await;
    result
}
