//! Servers over real sockets, and in memory under a paused clock where time matters.

use enjambre_link::memory::Network;
use enjambre_link::{Admission, AskError, Endpoint, Identity, LinkConfig, Pool, PoolConfig, ask};
use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::link::STALL_MAX;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

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
        let server =
            tokio::spawn(serve(acceptor, Arc::clone(&service), Limits::default(), stop.clone()));
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

/// A server in memory and a link to it, for tests under a paused clock.
struct Timed {
    link: Link,
    _server: AbortOnDropHandle<()>,
    _endpoints: [Endpoint; 2],
}

impl Timed {
    async fn new(service: impl Service, from: Identity<'_>, limits: Limits) -> Self {
        let network = Network::new();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let key = SecretKey::from_seed(&[7; 32]);
        let config = LinkConfig::new(Admission::everyone());
        let server =
            Endpoint::in_memory(&network, any, Identity::Node(&key), config.clone()).unwrap();
        let acceptor = server.take_acceptor().unwrap();
        let serving = serve(acceptor, Arc::new(service), limits, CancellationToken::new());
        let _server = AbortOnDropHandle::new(tokio::spawn(serving));
        let asker = Endpoint::in_memory(&network, any, from, config).unwrap();
        let node = NodeId::from_bytes(*key.public().as_bytes());
        let link = asker.connect(node, &[server.local_addr().unwrap()]).await.unwrap();
        Self { link, _server, _endpoints: [server, asker] }
    }
}

/// Answers messages of the nodes that it knows with a message of this length.
struct Talkative {
    knows: Vec<NodeId>,
    says: usize,
}

impl Service for Talkative {
    async fn directory(self: Arc<Self>, _: DirectoryRequest, _: SocketAddr) -> DirectoryReply {
        DirectoryReply::Accepted
    }

    fn takes_from(&self, from: &NodeId) -> bool {
        self.knows.contains(from)
    }

    async fn peer(self: Arc<Self>, _: NodeId, _: Vec<u8>) -> Option<Vec<u8>> {
        Some(vec![0; self.says])
    }
}

fn asker() -> (SecretKey, NodeId) {
    let key = SecretKey::from_seed(&[8; 32]);
    let node = NodeId::from_bytes(*key.public().as_bytes());
    (key, node)
}

#[tokio::test(start_paused = true)]
async fn messages_of_a_node_that_is_not_known_are_not_read() {
    let (key, _) = asker();
    let service = Talkative { knows: Vec::new(), says: 0 };
    let timed = Timed::new(service, Identity::Node(&key), Limits::default()).await;
    let mut stream = timed.link.open(StreamHead::Peer).await.unwrap();
    // Head and length alone: who reads the message before it refuses waits for it in vain.
    stream.send.write_all(&100_u32.to_le_bytes()).await.unwrap();
    let refused = stream.recv.read_message(PEER_MESSAGE_MAX).await;
    assert!(matches!(refused, Err(LinkError::Reset(Code::NOT_ALLOWED))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn reply_that_is_not_taken_in_time_is_given_up() {
    let (key, node) = asker();
    let service = Talkative { knows: vec![node], says: PEER_MESSAGE_MAX };
    let timed = Timed::new(service, Identity::Node(&key), Limits::default()).await;
    let ask = || async {
        let mut stream = timed.link.open(StreamHead::Peer).await.unwrap();
        stream.send.write_message(b"tell", PEER_MESSAGE_MAX).await.unwrap();
        stream.send.finish().await.unwrap();
        stream.recv.read_exact(&mut [0]).await.unwrap();
        until_all_wait().await;
        stream
    };
    for (pause, is_in_time) in [(STALL_MAX / 2, true), (STALL_MAX * 2, false)] {
        let mut stream = ask().await;
        tokio::time::advance(pause).await;
        until_all_wait().await;
        // The rest of the length, then as much of the message as there is.
        let rest = stream.recv.read_to_end(PEER_MESSAGE_MAX + 3).await;
        match rest {
            Ok(rest) => assert!(is_in_time && rest.len() == PEER_MESSAGE_MAX + 3),
            Err(error) => assert!(!is_in_time && error == LinkError::Reset(Code::DEADLINE)),
        }
    }
    // Who takes a little each second is never still for long, but holds the rest for too long.
    let mut stream = ask().await;
    let mut seconds = 0;
    let ended = loop {
        tokio::time::advance(Duration::from_secs(1)).await;
        match stream.recv.read_exact(&mut [0; 16 << 10]).await {
            Ok(()) => seconds += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(ended, LinkError::Reset(Code::DEADLINE));
    assert!(seconds <= REPLY_WITHIN.as_secs(), "{seconds} s");
}

/// Virtual time, which passes only when nobody has anything left to do.
async fn until_all_wait() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn requests_that_are_being_read_share_a_budget_and_take_of_it_what_has_come() {
    let (key, node) = asker();
    let service = Talkative { knows: vec![node], says: 0 };
    let limits = Limits { held_bytes: 8 << 10, ..Limits::default() };
    let timed = Timed::new(service, Identity::Node(&key), limits).await;
    let ask = |len: usize| {
        let (link, message) = (timed.link.clone(), vec![0; len]);
        let (head, max) = (StreamHead::Peer, PEER_MESSAGE_MAX);
        async move { link.request(head, &message, max, max).await }
    };
    // The length of the longest message and nothing of it: 2 KiB are held.
    let mut slow = timed.link.open(StreamHead::Peer).await.unwrap();
    let length = u32::try_from(PEER_MESSAGE_MAX).unwrap();
    slow.send.write_all(&length.to_le_bytes()).await.unwrap();
    until_all_wait().await;
    assert!(ask(6 << 10).await.is_ok());
    // With the first 2 KiB of it, 4 are.
    slow.send.write_all(&[0; 3 << 10]).await.unwrap();
    until_all_wait().await;
    assert_eq!(ask(6 << 10).await, Err(LinkError::Busy));
    assert!(ask(4 << 10).await.is_ok());
    drop(slow);
    until_all_wait().await;
    assert!(ask(6 << 10).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn reply_beyond_the_budget_is_not_kept() {
    let (key, node) = asker();
    let service = Talkative { knows: vec![node], says: 6 << 10 };
    let limits = Limits { held_bytes: 6 << 10, ..Limits::default() };
    let timed = Timed::new(service, Identity::Node(&key), limits).await;
    let (head, max) = (StreamHead::Peer, PEER_MESSAGE_MAX);
    assert_eq!(timed.link.request(head, b"tell", max, max).await, Err(LinkError::Busy));
}

#[tokio::test(start_paused = true)]
async fn link_of_a_client_has_its_share_of_the_budget_and_a_node_what_is_left() {
    let question = wire::encode(&QUESTION);
    let (key, _) = asker();
    for (from, is_answered) in [(Identity::Client, false), (Identity::Node(&key), true)] {
        let limits = Limits { client_bytes: 1 << 10, ..Limits::default() };
        let timed = Timed::new(Talkative { knows: Vec::new(), says: 0 }, from, limits).await;
        // Most of a packet of the smallest class, for which its whole length is taken.
        let mut slow = timed.link.open(StreamHead::Directory).await.unwrap();
        slow.send.write_all(&1020_u32.to_le_bytes()).await.unwrap();
        until_all_wait().await;
        let (head, max) = (StreamHead::Directory, 2 * DIRECTORY_MAX);
        let answer = timed.link.request(head, &question, DIRECTORY_REQUEST_MAX, max).await;
        assert_eq!(answer.err(), (!is_answered).then_some(LinkError::Busy));
        drop(slow);
        until_all_wait().await;
        timed.link.request(head, &question, DIRECTORY_REQUEST_MAX, max).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn client_beyond_its_allowance_is_answered_busy_and_a_node_is_not() {
    let limits = Limits { client_requests: 1, ..Limits::default() };
    let (key, _) = asker();
    let question = wire::encode(&QUESTION);
    for (from, allowed) in [(Identity::Client, 4), (Identity::Node(&key), 20)] {
        let timed = Timed::new(Talkative { knows: Vec::new(), says: 0 }, from, limits).await;
        let ask = || {
            let (head, max) = (StreamHead::Directory, 2 * DIRECTORY_MAX);
            timed.link.request(head, &question, DIRECTORY_REQUEST_MAX, max)
        };
        let mut answered = 0;
        for _ in 0..20 {
            match ask().await {
                Ok(_) => answered += 1,
                Err(error) => assert_eq!(error, LinkError::Busy),
            }
        }
        assert_eq!(answered, allowed);
        tokio::time::advance(Duration::from_secs(1)).await;
        ask().await.unwrap();
    }
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
