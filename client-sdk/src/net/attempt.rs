//! One try: a packet to the guard, and what comes back.

use std::time::Duration;

use enjambre_link::{Frames, Link, LinkError, Stream};
use enjambre_protocol::link::{Code, StreamHead};
use enjambre_protocol::onion::{
    Hop as OnionHop, Item, OnionError, Packet, ReplyAssembler, ReplyOpener, ResetReason,
};
use enjambre_protocol::path::Path;

use super::patience::Patience;
use super::{Net, lock};

/// How long the guard's link may take to make.
///
/// Three seconds: a handshake with one lost packet on a line with half a second of delay.
pub(super) const LINK_WITHIN: Duration = Duration::from_secs(3);

/// What ended one try.
pub(super) enum Ended {
    /// The answer of the destination.
    Answered(Vec<u8>),
    /// The guard does not answer.
    GuardLost(LinkError),
    /// A hop told what failed.
    Told(OnionHop, OnionError),
    /// The guard reset the stream.
    Reset(ResetReason),
    /// The guard takes no more at present, of this client or of all.
    GuardBusy,
    /// Nobody told anything.
    Silent(&'static str),
    /// The caller's time was over before a hop could be blamed for being silent.
    OutOfTime,
}

impl Ended {
    /// The guard reset a half of the stream.
    fn reset(code: Code) -> Self {
        code.refusal().map_or(Self::Silent("the guard reset the stream"), Self::Reset)
    }
}

impl Net {
    /// Sends a packet once and waits for its answer.
    pub(super) async fn attempt(
        &self,
        path: &Path,
        packet: Packet,
        mut opener: ReplyOpener,
        mut patience: Patience,
        reply_max: usize,
    ) -> Ended {
        let guard = path.guard();
        let addresses = self
            .newest()
            .and_then(|newest| newest.document().node(&guard).map(|node| node.addresses.clone()))
            .unwrap_or_default();
        let linking = Patience::new(LINK_WITHIN, patience.deadline);
        let link = match linking.wait(self.pool.link(guard, &addresses)).await {
            Some(Ok(link)) => link,
            Some(Err(error)) => return Ended::GuardLost(error),
            None if patience.deadline.has_passed() => return Ended::OutOfTime,
            None => return Ended::GuardLost(LinkError::Unreachable),
        };
        patience = Patience::new(patience.within, patience.deadline);
        lock(&self.paths).handle_guard_reachable(self.now(), guard);
        let head = StreamHead::Onion(packet.class());
        let mut stream = match open_stream(&link, head, patience).await {
            Ok(stream) => stream,
            Err(ended) => return ended,
        };
        patience = Patience::new(patience.within, patience.deadline);
        let sent = async {
            stream.send.write_all(packet.as_bytes()).await?;
            stream.send.finish().await?;
            Ok::<_, LinkError>(stream)
        };
        let stream = match patience.wait(sent).await {
            Some(Ok(stream)) => stream,
            // Refused while it was being written.
            Some(Err(LinkError::Busy)) if link.close_reason().is_none() => {
                return Ended::GuardBusy;
            }
            Some(Err(LinkError::Reset(code))) => return Ended::reset(code),
            Some(Err(error)) => return Ended::GuardLost(error),
            None => return patience.over("the guard takes no packet"),
        };
        // The sending half is finished; it is held so that the stream keeps its place.
        let Stream { send: _sent, recv } = stream;
        let mut frames = Frames::new(recv, opener.reply_class().bytes());
        let mut assembler = ReplyAssembler::new(reply_max);
        loop {
            let frame = match patience.wait(frames.next()).await {
                Some(Ok(Some(frame))) => frame,
                Some(Ok(None)) => return Ended::Silent("the answer broke off"),
                Some(Err(LinkError::Reset(code))) => return Ended::reset(code),
                Some(Err(LinkError::Busy)) if link.close_reason().is_none() => {
                    return Ended::GuardBusy;
                }
                Some(Err(_)) => return Ended::Silent("the link to the guard broke"),
                None => return patience.over("no answer in time"),
            };
            let Ok(opened) = opener.open(frame) else {
                return Ended::Silent("a frame does not open");
            };
            let item = assembler.push(opened);
            if let Ok(item) = &item {
                patience.heard(item.as_ref());
            }
            match item {
                Ok(Some(Item::Reply(reply))) => return Ended::Answered(reply),
                Ok(Some(Item::Failed { from_hop, error })) => return Ended::Told(from_hop, error),
                Ok(Some(Item::Heartbeat(_)) | None) => {}
                Err(_) => return Ended::Silent("the answer is longer than agreed"),
            }
        }
    }
}

/// Opens a stream; where the link carries as many requests of this client as it may, waits for one
/// of them to end. That says nothing of the guard, which is blamed for what it does only: a guard
/// that grants no stream within the time of one wait is silent.
async fn open_stream(
    link: &Link,
    head: StreamHead,
    Patience { within, deadline, .. }: Patience,
) -> Result<Stream, Ended> {
    let place = match deadline.wait(link.place()).await {
        Some(Ok(place)) => place,
        Some(Err(error)) => return Err(Ended::GuardLost(error)),
        None => return Err(Ended::OutOfTime),
    };
    let patience = Patience::new(within, deadline);
    match patience.wait(link.open_in(place, head)).await {
        Some(Ok(stream)) => Ok(stream),
        Some(Err(error)) => Err(Ended::GuardLost(error)),
        None => Err(patience.over("the guard takes no stream")),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::SocketAddr;

    use enjambre_link::memory::Network;
    use enjambre_link::{Admission, Endpoint, Identity, LinkConfig};
    use enjambre_protocol::crypto::SecretKey;
    use enjambre_protocol::id::NodeId;
    use enjambre_protocol::link::CLIENT_STREAMS_MAX;

    use super::*;
    use crate::deadline::Deadline;

    const WITHIN: Duration = Duration::from_secs(1000);

    #[tokio::test(start_paused = true)]
    async fn link_full_of_own_requests_is_waited_for_and_is_no_lost_guard() {
        let network = Network::new();
        let [here, there] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 1)));
        let key = SecretKey::from_seed(&[1; 32]);
        let config = LinkConfig::new(Admission::everyone());
        let node = Endpoint::in_memory(&network, there, Identity::Node(&key), config).unwrap();
        let mut acceptor = node.take_acceptor().unwrap();
        let client =
            Endpoint::in_memory(&network, here, Identity::Client, LinkConfig::client()).unwrap();
        let id = NodeId::from_bytes(*key.public().as_bytes());
        let link = client.connect(id, &[there]).await.unwrap();
        let theirs = acceptor.accept().await.unwrap();
        let mut held = Vec::new();
        for _ in 0..CLIENT_STREAMS_MAX {
            held.push(link.open(StreamHead::Directory).await.unwrap());
        }
        let patience = Patience::new(WITHIN, Deadline::after(WITHIN * 2));
        {
            let mut opened = std::pin::pin!(open_stream(&link, StreamHead::Directory, patience));
            // The clock of this test goes on when nothing else can.
            let waited = Deadline::after(Duration::from_millis(20)).wait(opened.as_mut());
            assert!(waited.await.is_none(), "no place, and no error");
            held.pop();
            assert!(opened.await.is_ok());
        }
        // A node that closes the link for want of room is one to go round.
        theirs.close(Code::BUSY);
        link.closed().await;
        let opened =
            Deadline::after(WITHIN).wait(open_stream(&link, StreamHead::Directory, patience));
        assert!(matches!(opened.await.unwrap(), Err(Ended::GuardLost(LinkError::Busy))));
    }

    #[test]
    fn guard_that_says_why_it_resets_is_heard_and_others_are_silent() {
        for reason in [ResetReason::Clock, ResetReason::KeyNumber] {
            let ended = Ended::reset(Code::of_refusal(reason));
            assert!(matches!(ended, Ended::Reset(said) if said == reason));
        }
        assert!(matches!(Ended::reset(Code::DEADLINE), Ended::Silent(_)));
    }
}
