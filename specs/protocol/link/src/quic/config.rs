//! quinn's settings, each chosen on purpose.

use std::sync::Arc;
use std::time::Duration;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::link::{
    CLIENT_STREAMS_MAX, CLIENT_WINDOW, NODE_WINDOW, REPLY_WINDOW, STREAM_WINDOW, stream_credit,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{EndpointConfig, IdleTimeout, VarInt};

use super::reset::{RandomIds, ResetKey, fresh_seed};
use crate::config::LinkConfig;
use crate::error::LinkError;

/// UDP payload that every path carries (RFC 9000): where the search begins and falls back to.
const PAYLOAD_MIN: u16 = 1200;

/// UDP payload of an Ethernet frame: what is received at least.
const PAYLOAD_ETHERNET: u16 = 1472;

/// Unread bytes that a client lets a node have in flight: two replies of the largest size.
const CLIENT_RECEIVE_WINDOW: u32 = 2 << 20;

/// Bytes buffered of handshakes that wait to be looked at: one and all. A hello has 1.5 KiB.
const HELLO_BUFFER: u64 = 8 << 10;
const HELLO_BUFFER_TOTAL: u64 = 4 << 20;

/// Least time between stateless resets: after a restart five thousand peers learn of it within 25
/// seconds. Each is smaller than the packet it answers, so that it amplifies nothing.
const RESET_INTERVAL: Duration = Duration::from_millis(5);

/// What the socket does whatever the connection.
pub(super) fn endpoint(
    key: Option<&SecretKey>,
    config: &LinkConfig,
) -> Result<EndpointConfig, LinkError> {
    let mut endpoint = match key {
        Some(key) => {
            let mut endpoint = EndpointConfig::new(ResetKey::of(key));
            let seed = fresh_seed()?;
            endpoint.cid_generator(move || Box::new(RandomIds::from_seed(seed)));
            endpoint.min_reset_interval(RESET_INTERVAL);
            endpoint
        }
        // A client draws new keys at each start: nothing of one run is seen in the next.
        None => EndpointConfig::default(),
    };
    endpoint
        .max_udp_payload_size(config.udp_payload_max.max(PAYLOAD_ETHERNET))
        .map_err(|error| LinkError::Socket(error.to_string()))?;
    Ok(endpoint)
}

/// How a node accepts.
pub(super) fn server(
    tls: QuicServerConfig,
    config: &LinkConfig,
) -> Result<quinn::ServerConfig, LinkError> {
    let mut server = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let mut tokens = quinn::ValidationTokenConfig::default();
    tokens.sent(0).log(Arc::new(quinn::NoneTokenLog));
    server
        .transport_config(Arc::new(acceptor_transport(config)?))
        .validation_token_config(tokens)
        .migration(false)
        .max_incoming(config.handshakes_max)
        .incoming_buffer_size(HELLO_BUFFER)
        .incoming_buffer_size_total(HELLO_BUFFER_TOTAL);
    Ok(server)
}

/// The transport of links that others make: a client's limits, until a node has shown its key.
fn acceptor_transport(config: &LinkConfig) -> Result<quinn::TransportConfig, LinkError> {
    let mut transport = transport(config)?;
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(stream_credit(CLIENT_STREAMS_MAX)))
        .receive_window(VarInt::from_u32(CLIENT_WINDOW))
        .send_window(u64::from(CLIENT_RECEIVE_WINDOW));
    Ok(transport)
}

/// The transport of links that we make: the peer opens no streams, and we keep the link alive.
pub(super) fn opener_transport(
    is_node: bool,
    config: &LinkConfig,
) -> Result<quinn::TransportConfig, LinkError> {
    let (window, reply) =
        if is_node { (NODE_WINDOW, REPLY_WINDOW) } else { (CLIENT_RECEIVE_WINDOW, STREAM_WINDOW) };
    let mut transport = transport(config)?;
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .receive_window(VarInt::from_u32(window))
        .stream_receive_window(VarInt::from_u32(reply))
        .send_window(u64::from(window))
        .keep_alive_interval(Some(config.timing.keep_alive));
    Ok(transport)
}

fn transport(config: &LinkConfig) -> Result<quinn::TransportConfig, LinkError> {
    let idle = IdleTimeout::try_from(config.timing.idle)
        .map_err(|error| LinkError::Socket(format!("idle time: {error}")))?;
    let mut search = quinn::MtuDiscoveryConfig::default();
    search.upper_bound(config.udp_payload_max.max(PAYLOAD_MIN));
    let mut transport = quinn::TransportConfig::default();
    transport
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .max_idle_timeout(Some(idle))
        .datagram_receive_buffer_size(None)
        .allow_spin(false)
        .initial_mtu(PAYLOAD_MIN)
        .min_mtu(PAYLOAD_MIN)
        .mtu_discovery_config(Some(search));
    Ok(transport)
}
