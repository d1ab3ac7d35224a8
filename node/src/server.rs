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

    /// A message of another node; `None` refuses it.
    fn peer(
        self: Arc<Self>,
        _from: NodeId,
        _message: Vec<u8>,
    ) -> impl Future<Output = Option<Vec<u8>>> + Send {
        async { None }
    }
}

/// Serves every link that `acceptor` yields until `stop`; then lets running requests end.
pub async fn serve<S: Service>(mut acceptor: Acceptor, service: Arc<S>, stop: CancellationToken) {
    let tasks = TaskTracker::new();
    loop {
        let link = tokio::select! {
            link = acceptor.accept() => link,
            () = stop.cancelled() => break,
        };
        let Some(link) = link else { break };
        tasks.spawn(serve_link(link, Arc::clone(&service), tasks.clone(), stop.clone()));
    }
    tasks.close();
    tasks.wait().await;
}

async fn serve_link<S: Service>(
    link: Link,
    service: Arc<S>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let asker = link.remote_addr();
    loop {
        let stream = tokio::select! {
            stream = link.accept() => stream,
            () = stop.cancelled() => {
                link.close(Code::SHUTDOWN);
                return;
            }
        };
        // A closed link ends its task; why it closed concerns the one who made it.
        let Ok(stream) = stream else { return };
        let work = serve_stream(stream, asker, Arc::clone(&service));
        let stop = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn serve_stream<S: Service>(stream: IncomingStream, asker: SocketAddr, service: Arc<S>) {
    let Ok(Ok(request)) = tokio::time::timeout(REQUEST_WITHIN, stream.head()).await else { return };
    let Request { head, peer, stream } = request;
    let served = match head {
        StreamHead::Onion(class) => {
            service.onion(class, stream).await;
            Ok(())
        }
        StreamHead::Directory => serve_directory(stream, asker, service).await,
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
) -> Result<(), LinkError> {
    let bytes = read(&mut stream, DIRECTORY_REQUEST_MAX).await?;
    let Ok(request) = wire::decode(&bytes, DIRECTORY_REQUEST_MAX) else {
        stream.send.reset(Code::PROTOCOL);
        return Ok(());
    };
    let reply = service.directory(request, asker).await;
    stream.send.write_message(&wire::encode(&reply), 2 * DIRECTORY_MAX).await?;
    stream.send.finish().await
}

async fn serve_peer<S: Service>(
    mut stream: Stream,
    from: NodeId,
    service: Arc<S>,
) -> Result<(), LinkError> {
    let bytes = read(&mut stream, PEER_MESSAGE_MAX).await?;
    match service.peer(from, bytes).await {
        Some(reply) => {
            stream.send.write_message(&reply, PEER_MESSAGE_MAX).await?;
            stream.send.finish().await
        }
        None => {
            stream.send.reset(Code::NOT_ALLOWED);
            Ok(())
        }
    }
}
