//! TLS 1.3 with raw public keys (RFC 7250): no certificates, no names, no resumption.
//!
//! A node shows its Ed25519 key as a `SubjectPublicKeyInfo`, which for Ed25519 is a constant and
//! the key. Who connects accepts one key only; who accepts takes any Ed25519 key, or none.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::id::NodeId;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::{AlwaysResolvesClientRawPublicKeys, ResolvesClientCert, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{AlwaysResolvesServerRawPublicKeys, NoServerSessionStorage};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, NamedGroup, ServerConfig, SignatureScheme};
use zeroize::Zeroizing;

use crate::error::LinkError;

mod verify;

use verify::{AnyNode, OneNode};

/// What stands before the key in the `SubjectPublicKeyInfo` of an Ed25519 key (RFC 8410).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// What stands before the seed in the PKCS #8 form of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The key exchanges offered, best first: the hybrid of ML-KEM-768 and X25519, then X25519.
const GROUPS: [NamedGroup; 2] = [NamedGroup::X25519MLKEM768, NamedGroup::X25519];

/// What an endpoint needs for its handshakes.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    provider: Arc<CryptoProvider>,
    own: Option<Arc<CertifiedKey>>,
    alpn: Vec<Vec<u8>>,
}

impl Keys {
    /// Of a node with this key, or of a client.
    pub(super) fn new(key: Option<&SecretKey>, alpn: Vec<Vec<u8>>) -> Result<Self, LinkError> {
        let own = key.map(certified).transpose()?;
        Ok(Self { provider: Arc::new(provider(&GROUPS)), own, alpn })
    }

    /// For the links that others make.
    pub(super) fn server(&self) -> Result<QuicServerConfig, LinkError> {
        QuicServerConfig::try_from(self.server_config()?).map_err(refused)
    }

    /// For a link to `node`. `mismatch` is set if who answers has another key.
    pub(super) fn client(
        &self,
        node: NodeId,
        mismatch: Arc<AtomicBool>,
    ) -> Result<QuicClientConfig, LinkError> {
        QuicClientConfig::try_from(self.client_config(node, mismatch)?).map_err(refused)
    }

    fn server_config(&self) -> Result<ServerConfig, LinkError> {
        let own = self.own.clone().ok_or(LinkError::Stopped)?;
        let verifier = AnyNode::new(self.provider.signature_verification_algorithms);
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .with_client_cert_verifier(Arc::new(verifier))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(own)));
        config.alpn_protocols.clone_from(&self.alpn);
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        config.max_early_data_size = 0;
        Ok(config)
    }

    fn client_config(
        &self,
        node: NodeId,
        mismatch: Arc<AtomicBool>,
    ) -> Result<ClientConfig, LinkError> {
        let algorithms = self.provider.signature_verification_algorithms;
        let verifier = OneNode::new(spki(&node), mismatch, algorithms);
        let resolver: Arc<dyn ResolvesClientCert> = match &self.own {
            Some(own) => Arc::new(AlwaysResolvesClientRawPublicKeys::new(own.clone())),
            None => Arc::new(Anonymous),
        };
        let mut config = ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .map_err(refused)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(resolver);
        config.alpn_protocols.clone_from(&self.alpn);
        config.resumption = Resumption::disabled();
        config.enable_early_data = false;
        config.enable_sni = false;
        Ok(config)
    }
}

/// The node whose key the peer of a finished handshake has shown.
pub(super) fn shown_node(identity: &dyn Any) -> Result<NodeId, LinkError> {
    let shown = identity.downcast_ref::<Vec<CertificateDer<'_>>>();
    shown
        .and_then(|keys| node_of(keys.first()?))
        .ok_or_else(|| LinkError::Handshake("peer shows something else than a key".to_owned()))
}

fn spki(node: &NodeId) -> Vec<u8> {
    [&SPKI_PREFIX[..], node.as_bytes()].concat()
}

fn node_of(spki: &[u8]) -> Option<NodeId> {
    let key = spki.strip_prefix(&SPKI_PREFIX[..])?;
    key.try_into().ok().map(NodeId::from_bytes)
}

fn certified(key: &SecretKey) -> Result<Arc<CertifiedKey>, LinkError> {
    let seed = key.seed();
    let mut pkcs8 = Zeroizing::new([0; 48]);
    pkcs8[..16].copy_from_slice(&PKCS8_PREFIX);
    pkcs8[16..].copy_from_slice(seed.expose());
    let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(&pkcs8[..]));
    let signer = aws_lc_rs::sign::any_eddsa_type(match &der {
        PrivateKeyDer::Pkcs8(der) => der,
        _ => return Err(LinkError::Handshake("not a PKCS #8 key".to_owned())),
    })
    .map_err(refused)?;
    let node = NodeId::from_bytes(*key.public().as_bytes());
    Ok(Arc::new(CertifiedKey::new(vec![CertificateDer::from(spki(&node))], signer)))
}

/// The cryptography of rustls with these key exchanges, in this order.
fn provider(groups: &[NamedGroup]) -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let all = std::mem::take(&mut provider.kx_groups);
    provider.kx_groups = groups
        .iter()
        .filter_map(|name| all.iter().find(|group| group.name() == *name).copied())
        .collect();
    provider
}

fn refused(error: impl std::fmt::Display) -> LinkError {
    LinkError::Handshake(error.to_string())
}

/// A client without a key. It must still say that it speaks raw public keys, or a server that
/// asks for one refuses it.
#[derive(Debug)]
struct Anonymous;

impl ResolvesClientCert for Anonymous {
    fn resolve(
        &self,
        _root_hint_subjects: &[&[u8]],
        _sigschemes: &[SignatureScheme],
    ) -> Option<Arc<CertifiedKey>> {
        None
    }

    fn only_raw_public_keys(&self) -> bool {
        true
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
