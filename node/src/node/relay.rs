//! Onion packets on a node: one layer off, then on to the next node or to the service.
//!
//! After peeling, what goes over the next link is a function of class, reply class and hop alone,
//! and the frames that come back are covered one by one as they arrive. Whatever goes wrong with a
//! packet that the replay set has accepted is told to the client in a sealed frame; before that, by
//! a reset.

use std::sync::Arc;
use std::time::Duration;

use enjambre_link::{Frames, Link, LinkError, Pool, Stream};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::link::{Code, StreamHead};
use enjambre_protocol::onion::{
    Answer, Flow, Keyring, OnionError, ReplyRelay, ReplySealer, SizeClass, Step, frames_for,
};

use super::keys::{Journal, Keys};
use super::peeler::{Peeler, Renewal};
use crate::clock;
use crate::directory::Directory;
use crate::files::FileError;
use crate::metrics::Metrics;
use crate::server::{Held, REQUEST_WITHIN};

/// How long a link to the next node may take to make.
const LINK_WITHIN: Duration = Duration::from_secs(3);

/// How long the next node may be silent: the longest wait of a directory request, and a margin.
const SILENT_WITHIN: Duration = Duration::from_secs(35);

/// What packets pass through.
pub(crate) struct Relay {
    peeler: Peeler,
    directory: Arc<Directory>,
    pool: Pool,
    metrics: Metrics,
}

impl Relay {
    pub(crate) fn new(
        keyring: Keyring,
        journal: Journal,
        directory: Arc<Directory>,
        pool: Pool,
        metrics: Metrics,
    ) -> Self {
        let network = directory.genesis().network();
        Self { peeler: Peeler::new(network, keyring, journal), directory, pool, metrics }
    }

    /// Looks after the onion keys: see [`Peeler::renew`].
    pub(super) fn renew(&self, keys: &mut Keys) -> Result<Renewal, FileError> {
        self.peeler.renew(keys, clock::now())
    }

    /// Reads one packet, and either relays it, or gives the request with the means to answer. What it
    /// keeps meanwhile is taken from `held`.
    pub(crate) async fn handle(
        &self,
        class: SizeClass,
        mut stream: Stream,
        mut held: Held,
    ) -> Option<Delivery> {
        let read = stream.recv.read_steps(class.bytes(), |more| held.grow(more));
        let read = tokio::time::timeout(REQUEST_WITHIN, read).await;
        let Ok(Ok(packet)) = read else {
            let is_busy = matches!(read, Ok(Err(LinkError::Busy)));
            let code = if is_busy { Code::BUSY } else { Code::DEADLINE };
            // Both halves: who still writes is told why.
            stream.recv.stop(code);
            stream.send.reset(code);
            return None;
        };
        let peeled = self.peeler.peel(&packet, clock::now());
        drop(packet);
        match peeled {
            Ok(Step::Relay { next, packet, reply }) => {
                self.count("relayed");
                // What came is on its way as soon as it is written; a frame of the reply is kept to the end.
                let mut frame = held;
                let packet_held = frame.split();
                if frame.grow(reply.reply_class().bytes()).is_err() {
                    stream.send.reset(Code::BUSY);
                    return None;
                }
                match self.forward(next, class, packet, packet_held).await {
                    Ok(onward) => bring_back(onward, reply, stream).await,
                    Err(error) => say(&mut stream, &reply.fail(&error)).await,
                }
                None
            }
            Ok(Step::Deliver { request, reply }) => {
                self.count("delivered");
                Some(Delivery { request, reply, stream, held })
            }
            Err(Answer::Frame(frame)) => {
                self.count("refused");
                say(&mut stream, &frame).await;
                None
            }
            Err(Answer::Reset(reason)) => {
                self.count("refused");
                stream.send.reset(Code::of_refusal(reason));
                None
            }
        }
    }

    fn count(&self, outcome: &str) {
        self.metrics.onion_layers.with_label_values(&[outcome]).inc();
    }

    /// Sends a packet on; then neither it nor its place in the budget is held any longer.
    async fn forward(
        &self,
        next: NodeId,
        class: SizeClass,
        packet: Vec<u8>,
        _held: Held,
    ) -> Result<Stream, OnionError> {
        let newest = self.directory.newest();
        let entry = newest.as_ref().and_then(|newest| newest.document().node(&next));
        let entry = entry.ok_or(OnionError::NextUnknown)?;
        let send = async {
            let link: Link = self.pool.link(next, &entry.addresses).await?;
            let mut onward = link.open(StreamHead::Onion(class)).await?;
            onward.send.write_all(&packet).await?;
            onward.send.finish().await?;
            Ok(onward)
        };
        match tokio::time::timeout(LINK_WITHIN, send).await {
            Ok(Ok(onward)) => Ok(onward),
            Ok(Err(LinkError::Busy)) => Err(OnionError::NextBusy),
            Ok(Err(_)) | Err(_) => Err(OnionError::NextUnreachable),
        }
    }
}

/// Sends one last frame.
async fn say(stream: &mut Stream, frame: &[u8]) {
    // Whoever asked may have gone; then nobody has to be told.
    if stream.send.write_frame(frame, None).await.is_ok() {
        let _ = stream.send.finish().await;
    }
}

/// Covers and passes on the frames of the reply until it ends on either side. What the client's
/// side does not take in time ends both: unread, it would use up the window of the link onward.
async fn bring_back(onward: Stream, mut reply: ReplyRelay, mut stream: Stream) {
    // The sending half is finished; holding it open until the end keeps the place on the link.
    let Stream { send: _sent, recv } = onward;
    let mut frames = Frames::new(recv, reply.reply_class().bytes());
    let unread = frames.unread();
    loop {
        let failure = tokio::select! {
            // The client's side is gone: dropping the stream tells the next node.
            _ = stream.send.delivered() => return,
            next = tokio::time::timeout(SILENT_WITHIN, frames.next()) => match next {
                Ok(Ok(Some(frame))) => match reply.relay(frame) {
                    Ok(()) => match stream.send.write_frame(frame, Some(&unread)).await {
                        Ok(()) => continue,
                        Err(LinkError::Reset(Code::DEADLINE)) => {
                            return frames.stop(Code::DEADLINE);
                        }
                        Err(_) => return,
                    },
                    Err(_) => OnionError::NextBroke,
                },
                Ok(Ok(None)) => {
                    // A clean end; whether the last frame had come is for the client to see.
                    let _ = stream.send.finish().await;
                    return;
                }
                Ok(Err(error)) => next_failed(&error),
                Err(_) => OnionError::NextTimedOut,
            },
        };
        drop(frames);
        return say(&mut stream, &reply.fail(&failure)).await;
    }
}

fn next_failed(error: &LinkError) -> OnionError {
    match error {
        LinkError::Busy => OnionError::NextBusy,
        LinkError::Reset(code) => code
            .refusal()
            .map_or(OnionError::NextBroke, |reason| OnionError::NextRefused { reason }),
        _ => OnionError::NextBroke,
    }
}

/// A request that arrived at its destination.
#[derive(Debug)]
pub(crate) struct Delivery {
    /// The request's bytes.
    pub(crate) request: Vec<u8>,
    reply: ReplySealer,
    stream: Stream,
    held: Held,
}

impl Delivery {
    /// Answers with as many frames as it takes.
    pub(crate) async fn answer(mut self, reply: &[u8]) {
        if self.held.grow(reply.len()).is_err() {
            return self.stream.send.reset(Code::BUSY);
        }
        let class = self.reply.reply_class();
        let mut frames = frames_for(class, reply, Flow::Last);
        let send = async {
            for frame in &mut frames {
                let Ok(sealed) = self.reply.seal(&frame) else { return Ok(()) };
                self.stream.send.write_frame(&sealed, None).await?;
            }
            self.stream.send.finish().await
        };
        // The client resumes on another path what it did not get.
        let _ = tokio::time::timeout(SILENT_WITHIN, send).await;
    }

    /// Answers with an error of the onion layer.
    pub(crate) async fn fail(self, error: &OnionError) {
        let Self { reply, mut stream, .. } = self;
        if let Some(frame) = reply.fail(error) {
            say(&mut stream, &frame).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use enjambre_link::memory::Network;
    use enjambre_link::{Admission, Endpoint, Identity, LinkConfig, PoolConfig};
    use enjambre_protocol::crypto::SecretKey;
    use enjambre_protocol::directory::{AuthorityEntry, Genesis, Params};
    use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
    use enjambre_protocol::id::AuthorityId;
    use enjambre_protocol::onion::{Hop, HopTarget, Item, ReplyAssembler, build};
    use rand::rngs::StdRng;
    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::server::{self, Limits};

    /// A node that relays and knows nobody.
    struct Alone(Relay);

    impl server::Service for Alone {
        async fn directory(self: Arc<Self>, _: DirectoryRequest, _: SocketAddr) -> DirectoryReply {
            DirectoryReply::Accepted
        }

        async fn onion(self: Arc<Self>, class: SizeClass, stream: Stream, held: Held) {
            assert!(self.0.handle(class, stream, held).await.is_none(), "it is only to relay");
        }
    }

    /// What the guard says to a packet of 2 KiB whose answer comes in frames of 32 KiB, if a client
    /// may hold so many bytes of it.
    async fn said(client_bytes: usize) -> Result<(Hop, OnionError), LinkError> {
        let network = Network::new();
        let [here, there] = [1, 2].map(|host| SocketAddr::from(([10, 0, 0, host], 1)));
        let key = SecretKey::from_seed(&[1; 32]);
        let id = AuthorityId::from_bytes(*key.public().as_bytes());
        let authorities = vec![AuthorityEntry { id, addresses: vec![here] }];
        let genesis = Arc::new(Genesis::new(1, authorities, Params::devnet()).unwrap());
        let dir = tempfile::tempdir().unwrap();
        let directory = Arc::new(Directory::open(dir.path(), Arc::clone(&genesis)).unwrap());
        let (keys, journal) = Keys::open(dir.path(), clock::now()).unwrap();

        let config = LinkConfig::new(Admission::everyone());
        let endpoint = Endpoint::in_memory(&network, there, Identity::Node(&key), config).unwrap();
        let acceptor = endpoint.take_acceptor().unwrap();
        let pool = Pool::new(endpoint.clone(), PoolConfig::default()).unwrap();
        let metrics = Metrics::new().unwrap();
        let relay = Relay::new(keys.keyring(), journal, directory, pool, metrics);
        let limits = Limits { client_bytes, ..Limits::default() };
        let stop = CancellationToken::new();
        let serving =
            tokio::spawn(server::serve(acceptor, Arc::new(Alone(relay)), limits, stop.clone()));

        let target = |byte| HopTarget {
            node: NodeId::from_bytes([byte; 32]),
            key_number: keys.number(),
            key: keys.public(),
        };
        let path = [1, 2, 3, 4].map(target);
        let mut rng = rand::make_rng::<StdRng>();
        let (class, reply_class) = (SizeClass::K2, SizeClass::K32);
        let minute = clock::now().minute();
        let (packet, mut opener) =
            build(&mut rng, &genesis.network(), &path, class, reply_class, minute, b"ask").unwrap();
        let client =
            Endpoint::in_memory(&network, here, Identity::Client, LinkConfig::client()).unwrap();
        let node = NodeId::from_bytes(*key.public().as_bytes());
        let link = client.connect(node, &[there]).await.unwrap();
        let mut stream = link.open(StreamHead::Onion(class)).await.unwrap();
        stream.send.write_all(packet.as_bytes()).await.unwrap();
        stream.send.finish().await.unwrap();
        let mut frames = Frames::new(stream.recv, reply_class.bytes());
        let frame = frames.next().await;
        stop.cancel();
        serving.await.unwrap();
        match ReplyAssembler::new(1 << 20).push(opener.open(frame?.unwrap()).unwrap()).unwrap() {
            Some(Item::Failed { from_hop, error }) => Ok((from_hop, error)),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn frame_of_the_reply_is_held_before_a_packet_is_passed_on() {
        let (packet, frame) = (SizeClass::K2.bytes(), SizeClass::K32.bytes());
        assert_eq!(said(packet + frame).await, Ok((Hop::Guard, OnionError::NextUnknown)));
        assert_eq!(said(packet + frame - 1).await, Err(LinkError::Busy));
    }
}
