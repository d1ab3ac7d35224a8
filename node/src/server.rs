//! Accepts links and streams and hands each request to the process's service.

mod budget;
mod limits;

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
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::budget::Budget;
pub use self::budget::Held;
use self::limits::Allowance;
pub use self::limits::Limits;

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

    /// An onion packet of a class, which is read on account of `_held`, as the reply is kept.
    fn onion(
        self: Arc<Self>,
        _class: SizeClass,
        mut stream: Stream,
        _held: Held,
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
pub async fn serve<S: Service>(
    mut acceptor: Acceptor,
    service: Arc<S>,
    limits: Limits,
    stop: CancellationToken,
) {
    let (links, requests) = (TaskTracker::new(), TaskTracker::new());
    let budget = Budget::new(limits.held_bytes);
    let life = Life { stop: stop.clone(), drained: CancellationToken::new(), limits, budget };
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

/// How far a server is on its way to its end, and what it allows until then.
#[derive(Clone, Debug)]
struct Life {
    /// Nothing new is accepted.
    stop: CancellationToken,
    /// What still runs is cut off.
    drained: CancellationToken,
    /// What is allowed until then.
    limits: Limits,
    budget: Budget,
}

async fn serve_link<S: Service>(link: Link, service: Arc<S>, requests: TaskTracker, life: Life) {
    let asker = link.remote_addr();
    let per_second = match link.peer() {
        Peer::Client => life.limits.client_requests,
        Peer::Node(_) => 0,
    };
    let mut allowance = Allowance::new(per_second, Instant::now());
    let share = life.budget.share(link.peer(), life.limits.client_bytes);
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
        if !allowance.take(Instant::now()) {
            stream.refuse(Code::BUSY);
            continue;
        }
        let (service, life, held) = (Arc::clone(&service), life.clone(), share.hold());
        requests.spawn(async move {
            tokio::select! {
                () = serve_stream(stream, asker, service, held, &life) => {}
                () = life.drained.cancelled() => {}
            }
        });
    }
}

async fn serve_stream<S: Service>(
    stream: IncomingStream,
    asker: SocketAddr,
    service: Arc<S>,
    held: Held,
    life: &Life,
) {
    let within = life.limits.request_within;
    let Ok(Ok(request)) = tokio::time::timeout(within, stream.head()).await else { return };
    let Request { head, peer, stream } = request;
    let served = match head {
        StreamHead::Onion(class) => {
            service.onion(class, stream, held.relayed()).await;
            Ok(())
        }
        StreamHead::Directory => serve_directory(stream, asker, service, held, life).await,
        StreamHead::Peer => match peer {
            Peer::Node(from) => serve_peer(stream, from, service, held, life).await,
            Peer::Client => Ok(()),
        },
    };
    if let Err(error) = served {
        tracing::debug!(%error, "a request was not answered");
    }
}

async fn read(
    stream: &mut Stream,
    limit: usize,
    life: &Life,
    held: &mut Held,
) -> Result<Vec<u8>, LinkError> {
    let read = stream.recv.read_message_with(limit, |more| held.grow(more));
    match tokio::time::timeout(life.limits.request_within, read).await {
        Ok(Err(LinkError::Busy)) => {
            stream.send.reset(Code::BUSY);
            stream.recv.stop(Code::BUSY);
            Err(LinkError::Busy)
        }
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
    mut held: Held,
    life: &Life,
) -> Result<(), LinkError> {
    let bytes = read(&mut stream, DIRECTORY_REQUEST_MAX, life, &mut held).await?;
    let Ok(request) = wire::decode(&bytes, DIRECTORY_REQUEST_MAX) else {
        stream.send.reset(Code::PROTOCOL);
        return Ok(());
    };
    // Who waits for the next document waits elsewhere when this process ends.
    let is_patient = matches!(request, DirectoryRequest::Wait { .. });
    let reply = tokio::select! {
        reply = service.directory(request, asker) => reply,
        () = life.stop.cancelled(), if is_patient => {
            stream.send.reset(Code::SHUTDOWN);
            return Ok(());
        }
    };
    answer(&mut stream, &wire::encode(&reply), 2 * DIRECTORY_MAX, life, &mut held).await
}

/// Sends a reply and its end. Who takes nothing of it for a while, or not all of it in time, is waited
/// for no longer: what it is to get stays in memory meanwhile.
async fn answer(
    stream: &mut Stream,
    reply: &[u8],
    limit: usize,
    life: &Life,
    held: &mut Held,
) -> Result<(), LinkError> {
    if let Err(error) = held.grow(reply.len()) {
        stream.send.reset(Code::BUSY);
        return Err(error);
    }
    let sent = async {
        stream.send.write_reply(reply, limit).await?;
        stream.send.finish().await
    };
    match tokio::time::timeout(life.limits.reply_within, sent).await {
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
    mut held: Held,
    life: &Life,
) -> Result<(), LinkError> {
    // Anybody can make a key: whose messages are not wanted has none read.
    if !service.takes_from(&from) {
        stream.send.reset(Code::NOT_ALLOWED);
        stream.recv.stop(Code::NOT_ALLOWED);
        return Ok(());
    }
    let bytes = read(&mut stream, PEER_MESSAGE_MAX, life, &mut held).await?;
    match service.peer(from, bytes).await {
        Some(reply) => answer(&mut stream, &reply, PEER_MESSAGE_MAX, life, &mut held).await,
        None => {
            stream.send.reset(Code::NOT_ALLOWED);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests;
