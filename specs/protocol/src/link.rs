//! What both ends of a link agree on: version, stream heads, codes, frames, limits, back-off.
//!
//! A link is one QUIC connection between a client and a node or between two nodes. The side that
//! connected opens streams, one a request; the other side answers. Everything here is pure: the
//! sockets are in the crate `enjambre-link`, which has no constant or layout of its own.
//! Specified in 04 links; the test vectors are `specs/vectors/links.json`.
//!
//! # Invariants
//!
//! - *Bounded first*: every length from the wire is compared with a limit before it is used.
//! - *One opener*: only the side that connected opens streams.

pub mod backoff;
pub mod code;
pub mod frame;
pub mod head;
mod refusal;
#[cfg(test)]
mod vectors;

use core::time::Duration;

pub use backoff::{Backoff, BackoffConfig};
pub use code::Code;
pub use frame::FrameError;
pub use head::{HEAD_MAX, HeadError, StreamHead, StreamKind};

/// The link version this build speaks.
pub const VERSION: u8 = 1;

/// The oldest link version this build still speaks: the one before [`VERSION`], once there is one.
pub const VERSION_MIN: u8 = 1;

const ALPN_PREFIX: &[u8] = b"enjambre/";

/// The protocol names offered in the handshake, newest first.
pub fn alpn() -> Vec<Vec<u8>> {
    (VERSION_MIN..=VERSION).rev().map(alpn_of).collect()
}

/// The protocol name of one version.
pub fn alpn_of(version: u8) -> Vec<u8> {
    let mut name = ALPN_PREFIX.to_vec();
    name.extend_from_slice(version.to_string().as_bytes());
    name
}

/// The version that a negotiated protocol name stands for, if this build speaks it.
pub fn version_of(alpn: &[u8]) -> Option<u8> {
    (VERSION_MIN..=VERSION).find(|&version| alpn_of(version) == alpn)
}

/// Streams that a node may have open on its link to a node: one for each subscription that is
/// relayed there, and the requests in flight. More than that is answered [`Code::BUSY`].
pub const NODE_STREAMS_MAX: u32 = 16_384;

/// Streams granted to a node when its link is made, doubled as they are used up to
/// [`NODE_STREAMS_MAX`]: every stream granted costs the acceptor about 68 bytes, used or not.
pub const NODE_STREAMS_FIRST: u32 = 1024;

/// Streams that a client may have open on its link: two subscriptions an identity, some requests.
pub const CLIENT_STREAMS_MAX: u32 = 64;

/// The credit that an acceptor gives for `streams` streams to be open at a time.
///
/// An acceptor may hold back the news of freed streams until they are an eighth of its credit, so
/// that credit for exactly `streams` would let an opener with seven eighths of them open wait
/// without end. With a seventh more, held-back news never keep it below `streams`.
pub const fn stream_credit(streams: u32) -> u32 {
    streams.saturating_add(streams / 7).saturating_add(1)
}

/// A silent link is kept alive by its opener this often: below the mapping time of home routers.
pub const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A link on which nothing was heard for this long is dead: three keep-alives.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A handshake that takes longer is given up: five round trips on the slowest paths.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// The next address of a peer is tried this long after the one before it, if that is silent.
pub const ADDRESS_STAGGER: Duration = Duration::from_millis(300);

/// Unread bytes a peer may have in flight on one stream: the largest packet with its head, so
/// that a packet never waits for credit, rounded up to 16 KiB.
pub const STREAM_WINDOW: u32 = 144 << 10;

/// Unread bytes of one reply on a link that a node made: half a frame of the largest class, which a
/// relay takes in as it comes. 640 KB/s over 100 ms, and a hundred replies that nobody takes leave
/// more than half of [`NODE_WINDOW`] to the others.
pub const REPLY_WINDOW: u32 = 64 << 10;

/// Replies that may stand unread on a link that a node made because their other side does not take
/// them: half of [`NODE_WINDOW`]. Beyond it the one that stands longest is reset.
pub const ONWARD_STANDING_MAX: u32 = NODE_WINDOW / 2 / REPLY_WINDOW;

/// Replies that a client may leave untaken: what a client says it holds unread, in pieces of
/// [`REPLY_WINDOW`], is twice that. Beyond it the one that stands longest is reset.
pub const CLIENT_STANDING_MAX: u32 = 16;

/// Replies that a node may leave untaken: it alone cannot fill [`ONWARD_STANDING_MAX`].
pub const NODE_STANDING_MAX: u32 = ONWARD_STANDING_MAX / 2;

/// A reply of which no byte is taken for this long is reset. Longer than phones lose a network
/// that comes back, and no more: what stands is held by every relay of the path.
pub const STALL_MAX: Duration = Duration::from_secs(3);

/// How long one frame of a reply may take: the largest one at 52 kbit/s.
pub const FRAME_WITHIN: Duration = Duration::from_secs(20);

/// Unread bytes a client may have in flight on its link: almost two of the largest packets.
pub const CLIENT_WINDOW: u32 = 256 << 10;

/// Unread bytes a node may have in flight on its link: 16 MiB fill 1 Gbit/s over 130 ms.
pub const NODE_WINDOW: u32 = 16 << 20;

/// A request for directory documents, bytes: heights and digests only.
pub const DIRECTORY_REQUEST_MAX: usize = 4096;

/// One message between nodes, bytes: a proposal of 1 MiB and as much again for what goes with it.
pub const PEER_MESSAGE_MAX: usize = 2 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offered_names_are_newest_first_and_only_they_are_understood() {
        assert_eq!(alpn(), [b"enjambre/1".to_vec()]);
        assert_eq!(version_of(b"enjambre/1"), Some(1));
        let others: [&[u8]; 6] =
            [b"", b"enjambre/", b"enjambre/0", b"enjambre/2", b"enjambre/01", b"h3"];
        for other in others {
            assert_eq!(version_of(other), None);
        }
    }

    #[test]
    fn credit_suffices_though_the_news_of_an_eighth_of_it_are_held_back() {
        for streams in (0..1000).chain([NODE_STREAMS_FIRST, NODE_STREAMS_MAX]) {
            let credit = stream_credit(streams);
            assert!(credit - credit / 8 >= streams, "{streams} streams, credit {credit}");
            assert!(credit <= streams + streams / 7 + 1);
        }
    }

    #[test]
    fn a_largest_packet_fits_its_windows_and_the_version_before_is_spoken() {
        const { assert!(STREAM_WINDOW > (128 << 10) + 2) };
        const { assert!(CLIENT_WINDOW > STREAM_WINDOW && NODE_WINDOW > CLIENT_WINDOW) };
        const { assert!(ONWARD_STANDING_MAX * REPLY_WINDOW <= NODE_WINDOW / 2) };
        const { assert!(CLIENT_STANDING_MAX < NODE_STANDING_MAX) };
        const { assert!(STALL_MAX.as_secs() < FRAME_WITHIN.as_secs()) };
        const { assert!(VERSION_MIN >= 1 && VERSION_MIN + 1 >= VERSION) };
        const { assert!(IDLE_TIMEOUT.as_secs() >= 3 * KEEP_ALIVE.as_secs()) };
    }
}
