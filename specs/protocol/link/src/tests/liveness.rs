//! Links that die, and how their ends notice.

use std::sync::mpsc;

use super::*;
use crate::{Pool, PoolConfig};

on_both!(close_tells_the_peer_why, dropping_the_last_handle_closes_the_link);

async fn close_tells_the_peer_why(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let mut stream = ours.open(StreamHead::Directory).await.unwrap();
    server.endpoint.close(Code::SHUTDOWN).await;
    assert_eq!(ours.closed().await, LinkError::Closed(Code::SHUTDOWN));
    assert_eq!(ours.close_reason(), Some(LinkError::Closed(Code::SHUTDOWN)));
    let read = stream.recv.read(&mut [0]).await;
    assert_eq!(read, Err(LinkError::Closed(Code::SHUTDOWN)));
    assert!(theirs.close_reason().is_some());
    assert!(server.acceptor.accept().await.is_none());
}

async fn dropping_the_last_handle_closes_the_link(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let again = ours.clone();
    drop(ours);
    assert_eq!(again.close_reason(), None);
    drop(again);
    assert_eq!(theirs.closed().await, LinkError::Closed(Code::CANCELLED));
}

#[tokio::test(start_paused = true)]
async fn peer_that_is_cut_off_is_lost_after_the_idle_time_at_both_ends() {
    let network = Network::new();
    let net = Net::Memory(network.clone());
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let idle = LinkConfig::client().timing.idle;
    network.cut(server.addr);
    let since = tokio::time::Instant::now();
    assert_eq!(ours.closed().await, LinkError::Lost);
    assert_eq!(since.elapsed(), idle);
    assert_eq!(theirs.closed().await, LinkError::Lost);
    assert_eq!(ours.open(StreamHead::Directory).await.unwrap_err(), LinkError::Lost);
}

#[tokio::test(start_paused = true)]
async fn link_that_is_healed_in_time_goes_on_and_delivers_what_was_held_back() {
    let network = Network::new();
    let net = Net::Memory(network.clone());
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let serving = tokio::spawn(echo(theirs));
    network.cut(server.addr);
    let asking = ask(&ours, b"patience");
    tokio::pin!(asking);
    let almost = LinkConfig::client().timing.idle - Duration::from_secs(1);
    assert!(tokio::time::timeout(almost, &mut asking).await.is_err());
    network.heal(server.addr);
    assert_eq!(asking.await, Ok(b"patience".to_vec()));
    serving.abort();
}

#[tokio::test]
async fn silent_peer_is_lost_over_quic_too() {
    let mut config = LinkConfig::client();
    config.timing.idle = Duration::from_millis(200);
    config.timing.keep_alive = Duration::from_millis(50);
    let client = Net::Loopback.bind(Identity::Client, config);
    let process = Process::start(1, LOOPBACK);
    let link = guarded(client.connect(process.node, &[process.addr])).await.unwrap();
    let _nobody_answers = process.kill();
    assert_eq!(guarded(link.closed()).await, LinkError::Lost);
}

#[tokio::test]
async fn opener_keeps_a_quiet_link_alive() {
    let mut config = LinkConfig::client();
    config.timing.keep_alive = Duration::from_millis(20);
    let client = Net::Loopback.bind(Identity::Client, config);
    let mut server = Net::Loopback.node(1);
    let (_ours, theirs) = guarded(server.link(&client)).await;
    let kept_alive = async {
        // Nothing tells of a keep-alive but its count.
        while theirs.pings_received() < 5 {
            tokio::task::yield_now().await;
        }
    };
    guarded(kept_alive).await;
    assert_eq!(theirs.close_reason(), None);
}

#[tokio::test]
async fn restarted_node_is_noticed_at_the_next_packet_and_the_link_made_again() {
    let client = Net::Loopback.client();
    let pool = Pool::new(client, PoolConfig::default()).unwrap();
    let process = Process::start(1, LOOPBACK);
    let (node, addr) = (process.node, process.addr);
    let before = guarded(pool.link(node, &[addr])).await.unwrap();
    assert_eq!(guarded(ask(&before, b"one")).await, Ok(b"one".to_vec()));
    drop(process.kill());
    let _process = Process::start(1, addr);
    // The idle time is 30 s; a stateless reset comes within a round trip of this request.
    assert_eq!(guarded(ask(&before, b"two")).await, Err(LinkError::Lost));
    // Lost soon after it was made, so the pool waits once: it says for how long.
    let refused = guarded(pool.link(node, &[addr])).await.unwrap_err();
    let LinkError::BackingOff { cause, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(*cause, LinkError::Lost);
    pool.heard(&node);
    let after = guarded(pool.link(node, &[addr])).await.unwrap();
    assert_eq!(guarded(ask(&after, b"three")).await, Ok(b"three".to_vec()));
}

/// A node on a thread and runtime of its own, that can vanish without a word.
struct Process {
    node: NodeId,
    addr: SocketAddr,
    /// Taken when it ends.
    runtime: Option<tokio::runtime::Runtime>,
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Process {
    fn start(n: u8, addr: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let (tell, told) = mpsc::channel();
        runtime.spawn(async move {
            let key = key(n);
            let config = LinkConfig::new(Admission::everyone());
            let endpoint = Endpoint::bind(addr, Identity::Node(&key), config).unwrap();
            let mut served = Served::new(&key, endpoint);
            tell.send((served.node, served.addr)).unwrap();
            let mut links = JoinSet::new();
            while let Some(link) = served.acceptor.accept().await {
                links.spawn(echo(link));
            }
        });
        let (node, addr) = told.recv().unwrap();
        Self { node, addr, runtime: Some(runtime) }
    }

    /// Ends it as SIGKILL would: nobody is told. Returns a socket that holds its address, so that
    /// packets to it are neither answered nor refused.
    fn kill(mut self) -> std::net::UdpSocket {
        // Tasks are dropped where they stand, the driver that would send the goodbye among them.
        let runtime = self.runtime.take().unwrap();
        let ended = std::thread::spawn(move || runtime.shutdown_timeout(Duration::from_secs(60)));
        ended.join().unwrap();
        std::net::UdpSocket::bind(self.addr).unwrap()
    }
}
