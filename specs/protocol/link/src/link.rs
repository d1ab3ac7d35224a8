//! One connection to one peer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use enjambre_protocol::link::head::Decoded;
use enjambre_protocol::link::{
    Code, NODE_STREAMS_FIRST, ONWARD_STANDING_MAX, StreamHead, stream_credit,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::config::Peer;
use crate::error::LinkError;
use crate::gate::{Gate, LinkPermit};
use crate::stream::{RecvStream, SendStream, StreamPermit};
use crate::transport::{Accepted, Connection};
use crate::unread::Standing;

/// A link to a peer. Clones share it; when the last one and the last stream are dropped it closes.
#[derive(Clone, Debug)]
pub struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connection: Connection,
    peer: Peer,
    side: Side,
    standing: Arc<Standing>,
}

/// Who opens streams: the side that connected.
#[derive(Debug)]
enum Side {
    Opener { streams: Arc<Semaphore>, max: u32 },
    Acceptor(Acceptor),
}

#[derive(Debug)]
struct Acceptor {
    gate: Arc<Gate>,
    /// Streams of this link that live.
    places: Arc<Semaphore>,
    max: u32,
    granted: AtomicU32,
    _permit: LinkPermit,
}

/// A request under way: what is sent and what comes back.
#[derive(Debug)]
pub struct Stream {
    /// Carries the request.
    pub send: SendStream,
    /// Carries the reply.
    pub recv: RecvStream,
}

/// A place for a stream on a link that we made, free again when dropped.
#[derive(Debug)]
pub struct Place(OwnedSemaphorePermit);

impl Link {
    /// A link that we made: `streams_max` is what the peer lets us have open.
    pub(crate) fn opener(
        connection: Connection,
        peer: Peer,
        streams_max: u32,
        stall: Duration,
    ) -> Self {
        let side = Side::Opener { streams: semaphore(streams_max), max: streams_max };
        let standing = Standing::new(ONWARD_STANDING_MAX, stall);
        Self(Arc::new(Inner { connection, peer, side, standing }))
    }

    /// A link that the peer made.
    pub(crate) fn acceptor(accepted: Accepted, gate: Arc<Gate>, permit: LinkPermit) -> Self {
        let stall = gate.stall();
        let Accepted { connection, peer } = accepted;
        let max = peer.streams_max();
        let granted = max.min(NODE_STREAMS_FIRST);
        if let Peer::Node(_) = peer {
            connection.widen();
        }
        connection.grant(granted);
        let granted = AtomicU32::new(granted);
        let places = semaphore(stream_credit(max));
        let side = Side::Acceptor(Acceptor { gate, places, max, granted, _permit: permit });
        let standing = Standing::new(peer.standing_max(), stall);
        Self(Arc::new(Inner { connection, peer, side, standing }))
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer {
        self.0.peer
    }

    /// Where the other end is. A client's address belongs in no log and no metric.
    pub fn remote_addr(&self) -> SocketAddr {
        self.0.connection.remote_addr()
    }

    /// Streams open on this link, ours or the peer's.
    pub fn open_streams(&self) -> usize {
        let (places, max) = match &self.0.side {
            Side::Opener { streams, max } => (streams, *max),
            Side::Acceptor(acceptor) => (&acceptor.places, stream_credit(acceptor.max)),
        };
        usize::try_from(max).unwrap_or(usize::MAX).saturating_sub(places.available_permits())
    }

    /// Opens a stream. `Busy` at once if as many are open as the peer allows; on a link that the
    /// peer made, `Finished`.
    pub async fn open(&self, head: StreamHead) -> Result<Stream, LinkError> {
        match self.places()?.clone().try_acquire_owned() {
            Ok(permit) => self.open_in(Place(permit), head).await,
            Err(_) => Err(self.close_reason().unwrap_or(LinkError::Busy)),
        }
    }

    /// A place for a stream, to be opened by [`Self::open_in`]. If as many are open as the peer
    /// allows, waits until one of them has ended, in turn, or the link is closed.
    pub async fn place(&self) -> Result<Place, LinkError> {
        let places = self.places()?.clone();
        tokio::select! {
            biased;
            reason = self.closed() => Err(reason),
            // The places of a link are never taken away.
            permit = places.acquire_owned() => permit.map(Place).map_err(|_| LinkError::Busy),
        }
    }

    /// Opens a stream in a place of this link. A peer that has granted fewer than it allows is
    /// waited for.
    pub async fn open_in(&self, place: Place, head: StreamHead) -> Result<Stream, LinkError> {
        let permit = Arc::new(StreamPermit::new(place.0, None, self.standing()));
        let halves = self.0.connection.open().await?;
        Ok(Stream {
            send: SendStream::new(halves.send, Some(head), permit.clone()),
            recv: RecvStream::new(halves.recv, permit),
        })
    }

    fn places(&self) -> Result<&Arc<Semaphore>, LinkError> {
        match &self.0.side {
            Side::Opener { streams, .. } => Ok(streams),
            Side::Acceptor(_) => Err(LinkError::Finished),
        }
    }

    /// Keep-alives that came over QUIC.
    #[cfg(test)]
    pub(crate) fn pings_received(&self) -> u64 {
        match &self.0.connection {
            Connection::Quic(connection) => connection.pings_received(),
            Connection::Memory(_) => 0,
        }
    }

    /// A stream without a head, to be misused.
    #[cfg(test)]
    pub(crate) async fn open_raw(&self) -> Result<crate::transport::Halves, LinkError> {
        self.0.connection.open().await
    }

    /// Sends one message and reads the one that answers it, with the limit of each.
    pub async fn request(
        &self,
        head: StreamHead,
        request: &[u8],
        request_max: usize,
        reply_max: usize,
    ) -> Result<Vec<u8>, LinkError> {
        let mut stream = self.open(head).await?;
        let sent = async {
            stream.send.write_message(request, request_max).await?;
            stream.send.finish().await
        };
        // A peer that does not want all of a request may have said why in its reset.
        let sent = sent.await;
        if let Err(error @ (LinkError::TooLarge(_) | LinkError::Finished)) = sent {
            return Err(error);
        }
        let reply = stream.recv.read_message(reply_max).await?;
        stream.recv.expect_end().await?;
        Ok(reply)
    }

    /// The next stream that the peer opens, once its first byte is there. Streams beyond a limit
    /// are answered `busy` here and not returned.
    ///
    /// Fails when the link is closed, and on a link that we made. A cancelled call loses nothing.
    pub async fn accept(&self) -> Result<IncomingStream, LinkError> {
        let Side::Acceptor(acceptor) = &self.0.side else {
            return Err(LinkError::Finished);
        };
        loop {
            let mut halves = self.0.connection.accept().await?;
            let place = acceptor.places.clone().try_acquire_owned().ok();
            let (Some(place), Some(budget)) = (place, acceptor.gate.stream()) else {
                halves.send.reset(Code::BUSY);
                halves.recv.stop(Code::BUSY);
                continue;
            };
            self.grow(acceptor);
            let permit = Arc::new(StreamPermit::new(place, Some(budget), self.standing()));
            return Ok(IncomingStream {
                send: SendStream::new(halves.send, None, permit.clone()),
                recv: RecvStream::new(halves.recv, permit),
                peer: self.0.peer,
            });
        }
    }

    fn standing(&self) -> Arc<Standing> {
        Arc::clone(&self.0.standing)
    }

    /// Doubles the streams granted when half of them are in use.
    fn grow(&self, acceptor: &Acceptor) {
        let granted = acceptor.granted.load(Ordering::Relaxed);
        let open = u32::try_from(self.open_streams()).unwrap_or(u32::MAX);
        if granted < acceptor.max && open >= granted / 2 {
            let more = granted.saturating_mul(2).min(acceptor.max);
            acceptor.granted.store(more, Ordering::Relaxed);
            self.0.connection.grant(more);
        }
    }

    /// Closes the link; open streams on either side end in [`LinkError::Closed`].
    pub fn close(&self, code: Code) {
        self.0.connection.close(code);
    }

    /// Why the link is closed, if it is.
    pub fn close_reason(&self) -> Option<LinkError> {
        self.0.connection.close_reason()
    }

    /// Waits until the link is closed, and says why.
    pub async fn closed(&self) -> LinkError {
        self.0.connection.closed().await
    }
}

fn semaphore(permits: u32) -> Arc<Semaphore> {
    let permits = usize::try_from(permits).unwrap_or(usize::MAX);
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// A stream that the peer opened, before its head was read.
#[derive(Debug)]
pub struct IncomingStream {
    send: SendStream,
    recv: RecvStream,
    peer: Peer,
}

/// A stream whose head was read: a request to answer.
#[derive(Debug)]
pub struct Request {
    /// What the stream carries.
    pub head: StreamHead,
    /// Who opened it.
    pub peer: Peer,
    /// Carries the request in and the reply out.
    pub stream: Stream,
}

impl IncomingStream {
    /// Reads the head. A head that is not understood, or a kind that the peer may not use, is
    /// answered with its code. Waits for the peer: set a deadline, and read each stream's head in
    /// a task of its own.
    pub async fn head(mut self) -> Result<Request, LinkError> {
        match self.read_head().await {
            Ok(head) => {
                let Self { send, recv, peer } = self;
                Ok(Request { head, peer, stream: Stream { send, recv } })
            }
            Err(error) => {
                self.refuse(error.code());
                Err(error)
            }
        }
    }

    async fn read_head(&mut self) -> Result<StreamHead, LinkError> {
        let mut byte = [0];
        self.recv.read_exact(&mut byte).await?;
        let head = match StreamHead::decode(byte[0])? {
            Decoded::Head(head) => head,
            Decoded::NeedsClass => {
                self.recv.read_exact(&mut byte).await?;
                StreamHead::decode_class(byte[0])?
            }
        };
        if head.kind().needs_node() && self.peer == Peer::Client {
            return Err(LinkError::NotAllowed(head.kind()));
        }
        Ok(head)
    }

    /// Answers with a code and nothing else, such as [`Code::BUSY`].
    pub fn refuse(mut self, code: Code) {
        self.send.reset(code);
        self.recv.stop(code);
    }
}

impl Request {
    /// Answers with a code and nothing else, such as [`Code::BUSY`].
    pub fn refuse(mut self, code: Code) {
        self.stream.send.reset(code);
        self.stream.recv.stop(code);
    }
}
