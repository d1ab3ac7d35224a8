//! Accepts links and streams and hands each request to the process's service.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use enjambre_link::{Acceptor, IncomingStream, Link, LinkError, Peer, Request, Stream};
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::limits::DIRECTORY_MAX;
use enjambre_protocol::link::{Code, DIRECTORY_REQUEST_MAX, PEER_MESSAGE_MAX, StreamHead};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::wire;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a peer may take to send a request once it has opened a stream.
pub const REQUEST_WITHIN: Duration = Duration::from_secs(20);

/// How long a peer may take to take a reply: the largest directory there can be, 4 MiB, at 210 kB/s.
const REPLY_WITHIN: Duration = Duration::from_secs(20);

/// How long requests that run when a process is stopped may take to end: a write waits five seconds
/// for the other members. With [`LINGER`] less than a process has in all.
const DRAIN_WITHIN: Duration = Duration::from_millis(7000);

/// How long links stay open after the last request, so that the end of its answer arrives, even when
/// it is lost once: closing a link gives up what was not yet acknowledged.
const LINGER: Duration = Duration::from_millis(500);

/// What a process answers on its links. What it does not serve is refused.
pub trait Service: Send + Sync + 'static {
    /// A question about the directory.
    fn directory(
        self: Arc<Self>,
        request: DirectoryRequest,
        asker: SocketAddr,
    ) -> impl Future<Output = DirectoryReply> + Send;

    /// An onion packet of a class.
    fn onion(
        self: Arc<Self>,
        _class: SizeClass,
        mut stream: Stream,
    ) -> impl Future<Output = ()> + Send {
        stream.send.reset(Code::NOT_ALLOWED);
        async {}
    }

    /// Whether messages of this node are wanted at all; asked before one is read.
    fn takes_from(&self, _from: &NodeId) -> bool {
        false
    }

    /// A message of another node; `None` refuses it.
    fn peer(
        self: Arc<Self>,
        _from: NodeId,
        _message: Vec<u8>,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send {
        async { None }
    }
}

/// Serves every link that `acceptor` yields until `stop`. Then nothing new is accepted, and what runs
/// is let end: it returns when all requests have ended, at once when there are none, and after
/// seven seconds in any case.
pub async fn serve<S: Service>(mut acceptor: Acceptor, service: Arc<S>, stop: CancellationToken) {
    let (links, requests) = (TaskTracker::new(), TaskTracker::new());
    let life = Life { stop: stop.clone(), drained: CancellationToken::new() };
    loop {
        let link = tokio::select! {
            link = acceptor.accept() => link,
            () = stop.cancelled() => break,
        };
        let Some(link) = link else { break };
        links.spawn(serve_link(link, Arc::clone(&service), requests.clone(), life.clone()));
    }
    let was_busy = !requests.is_empty();
    requests.close();
    if tokio::time::timeout(DRAIN_WITHIN, requests.wait()).await.is_err() {
        tracing::warn!(count = requests.len(), "requests are cut off");
    }
    if was_busy {
        tokio::time::sleep(LINGER).await;
    }
    life.drained.cancel();
    links.close();
    links.wait().await;
    requests.wait().await;
}

/// How far a server is on its way to its end.
#[derive(Clone, Debug)]
struct Life {
    /// Nothing new is accepted.
    stop: CancellationToken,
    /// What still runs is cut off.
    drained: CancellationToken,
}

async fn serve_link<S: Service>(link: Link, service: Arc<S>, requests: TaskTracker, life: Life) {
    let asker = link.remote_addr();
    loop {
        let stream = tokio::select! {
            biased;
            () = life.drained.cancelled() => {
                link.close(Code::SHUTDOWN);
                return;
            }
            stream = link.accept() => stream,
        };
        // A closed link ends its task; why it closed concerns the one who made it.
        let Ok(stream) = stream else { return };
        if life.stop.is_cancelled() {
            stream.refuse(Code::SHUTDOWN);
            continue;
        }
        let work = serve_stream(stream, asker, Arc::clone(&service), life.stop.clone());
        let drained = life.drained.clone();
        requests.spawn(async move {
            tokio::select! {
                () = work => {}
                () = drained.cancelled() => {}
            }
        });
    }
}

async fn serve_stream<S: Service>(
    stream: IncomingStream,
    asker: SocketAddr,
    service: Arc<S>,
    stop: CancellationToken,
) {
    let Ok(Ok(request)) = tokio::time::timeout(REQUEST_WITHIN, stream.head()).await else { return };
    let Request { head, peer, stream } = request;
    let served = match head {
        StreamHead::Onion(class) => {
            service.onion(class, stream).await;
            Ok(())
        }
        StreamHead::Directory => serve_directory(stream, asker, service, &stop).await,
        StreamHead::Peer => match peer {
            Peer::Node(from) => serve_peer(stream, from, service).await,
            Peer::Client => Ok(()),
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a request was not answered");
    }
}

async fn read(stream: &mut Stream, limit: usize) -> Result<Vec<u8>, LinkError> {
    let read = stream.recv.read_message(limit);
    match tokio::time::timeout(REQUEST_WITHIN, read).await {
        Ok(read) => read,
        Err(_) => {
            stream.send.reset(Code::DEADLINE);
            Err(LinkError::Reset(Code::DEADLINE))
        }
    }
}

async fn serve_directory<S: Service>(
    mut stream: Stream,
    asker: SocketAddr,
    service: Arc<S>,
    stop: &CancellationToken,
) -> Result<(), LinkError> {
    let bytes = read(&mut stream, DIRECTORY_REQUEST_MAX).await?;
    let Ok(request) = wire::decode(&bytes, DIRECTORY_REQUEST_MAX) else {
        stream.send.reset(Code::PROTOCOL);
        return Ok(());
    };
    // Who waits for the next document waits elsewhere when this process ends.
    let is_patient = matches!(request, DirectoryRequest::Wait { .. });
    let reply = tokio::select! {
        reply = service.directory(request, asker) => reply,
        () = stop.cancelled(), if is_patient => {
            stream.send.reset(Code::SHUTDOWN);
            return Ok(());
        }
    };
    answer(&mut stream, &wire::encode(&reply), 2 * DIRECTORY_MAX).await
}

/// Sends a reply and its end. A peer that does not take it is waited for no longer than one that sends
/// its request: what it is to get stays in memory meanwhile.
async fn answer(stream: &mut Stream, reply: &[u8], limit: usize) -> Result<(), LinkError> {
    let sent = async {
        stream.send.write_message(reply, limit).await?;
        stream.send.finish().await
    };
    match tokio::time::timeout(REPLY_WITHIN, sent).await {
        Ok(sent) => sent,
        Err(_) => {
            stream.send.reset(Code::DEADLINE);
            Err(LinkError::Reset(Code::DEADLINE))
        }
    }
}

async fn serve_peer<S: Service>(
    mut stream: Stream,
    from: NodeId,
    service: Arc<S>,
) -> Result<(), LinkError> {
    // Anybody can make a key: whose messages are not wanted has none read.
    if !service.takes_from(&from) {
        stream.send.reset(Code::NOT_ALLOWED);
        stream.recv.stop(Code::NOT_ALLOWED);
        return Ok(());
    }
    let bytes = read(&mut stream, PEER_MESSAGE_MAX).await?;
    match service.peer(from, bytes).await {
        Some(reply) => answer(&mut stream, &reply, PEER_MESSAGE_MAX).await,
        None => {
            stream.send.reset(Code::NOT_ALLOWED);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use enjambre_link::{
        Admission, AskError, Endpoint, Identity, LinkConfig, Pool, PoolConfig, ask,
    };
    use enjambre_protocol::crypto::SecretKey;
    use tokio::sync::Semaphore;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::sockets::listen;

    /// Answers a question about the directory when it is allowed to.
    struct Slow {
        arrived: Semaphore,
        allowed: Semaphore,
    }

    impl Service for Slow {
        async fn directory(self: Arc<Self>, _: DirectoryRequest, _: SocketAddr) -> DirectoryReply {
            self.arrived.add_permits(1);
            if let Ok(permit) = self.allowed.acquire().await {
                permit.forget();
            }
            DirectoryReply::Accepted
        }
    }

    struct Served {
        service: Arc<Slow>,
        stop: CancellationToken,
        server: JoinHandle<()>,
        pool: Pool,
        node: NodeId,
        addr: SocketAddr,
        _endpoint: Endpoint,
    }

    impl Served {
        fn new() -> Self {
            let key = SecretKey::from_seed(&[7; 32]);
            let node = NodeId::from_bytes(*key.public().as_bytes());
            let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
            let config = LinkConfig::new(Admission::everyone());
            let (endpoint, acceptor) = listen(loopback, Identity::Node(&key), config).unwrap();
            let addr = endpoint.local_addr().unwrap();
            let client = Endpoint::bind(loopback, Identity::Client, LinkConfig::client()).unwrap();
            let pool = Pool::new(client, PoolConfig::default()).unwrap();
            let service = Arc::new(Slow { arrived: Semaphore::new(0), allowed: Semaphore::new(0) });
            let stop = CancellationToken::new();
            let server = tokio::spawn(serve(acceptor, Arc::clone(&service), stop.clone()));
            Self { service, stop, server, pool, node, addr, _endpoint: endpoint }
        }

        fn ask(&self, request: DirectoryRequest) -> JoinHandle<Result<DirectoryReply, AskError>> {
            let (pool, node, addr) = (self.pool.clone(), self.node, self.addr);
            tokio::spawn(async move { ask(&pool, node, &[addr], &request).await })
        }

        async fn arrived(&self) {
            self.service.arrived.acquire().await.unwrap().forget();
        }
    }

    const QUESTION: DirectoryRequest = DirectoryRequest::Latest { above: 0, base: None };

    #[tokio::test]
    async fn running_request_is_answered_after_the_stop_and_new_ones_are_refused() {
        let served = Served::new();
        let running = served.ask(QUESTION);
        served.arrived().await;
        served.stop.cancel();
        let refused = served.ask(QUESTION).await.unwrap();
        assert!(
            matches!(refused, Err(AskError::Link(LinkError::Reset(Code::SHUTDOWN)))),
            "{refused:?}"
        );
        assert!(!running.is_finished() && !served.server.is_finished());
        served.service.allowed.add_permits(1);
        let answer = running.await.unwrap();
        assert!(matches!(answer, Ok(DirectoryReply::Accepted)), "{answer:?}");
        served.server.await.unwrap();
    }

    #[tokio::test]
    async fn messages_of_a_node_that_is_not_known_are_not_read() {
        let served = Served::new();
        let key = SecretKey::from_seed(&[8; 32]);
        let config = LinkConfig::new(Admission::everyone());
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let endpoint = Endpoint::bind(loopback, Identity::Node(&key), config).unwrap();
        let pool = Pool::new(endpoint, PoolConfig::default()).unwrap();
        let link = pool.link(served.node, &[served.addr]).await.unwrap();
        // More than a window: sent whole only to somebody who reads.
        let message = vec![0; PEER_MESSAGE_MAX];
        let asked = link.request(StreamHead::Peer, &message, PEER_MESSAGE_MAX, PEER_MESSAGE_MAX);
        let refused = asked.await;
        assert!(matches!(refused, Err(LinkError::Reset(Code::NOT_ALLOWED))), "{refused:?}");
    }

    #[tokio::test]
    async fn idle_links_and_those_who_wait_for_news_hold_no_stop() {
        let served = Served::new();
        served.service.allowed.add_permits(1);
        served.ask(QUESTION).await.unwrap().unwrap();
        served.arrived().await;
        let waiting = served.ask(DirectoryRequest::Wait { above: 0, base: None });
        served.arrived().await;
        served.stop.cancel();
        // Nothing is allowed any more, so this ends only because nobody is waited for.
        served.server.await.unwrap();
        assert!(waiting.await.unwrap().is_err());
    }
}
