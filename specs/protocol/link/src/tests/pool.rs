//! One link a peer.

use enjambre_protocol::link::BackoffConfig;

use super::*;
use crate::{Pool, PoolConfig};

on_both!(
    concurrent_requests_share_one_handshake,
    link_is_reused_and_made_again_when_it_is_closed,
    full_pool_lets_the_least_recently_used_idle_peer_go,
);

fn pool(endpoint: Endpoint, peers_max: usize) -> Pool {
    // No wait after a link that was closed at once: what is tested here is the link.
    let backoff = BackoffConfig { stable_after: Duration::ZERO, ..BackoffConfig::default() };
    Pool::new(endpoint, PoolConfig { peers_max, backoff }).unwrap()
}

async fn concurrent_requests_share_one_handshake(net: Net) {
    let mut server = net.node(1);
    let pool = pool(net.client(), 8);
    let mut asking = JoinSet::new();
    for _ in 0..20 {
        let (pool, node, addr) = (pool.clone(), server.node, server.addr);
        asking.spawn(async move { pool.link(node, &[addr]).await });
    }
    // One of those who wait gives up; the others get the link all the same.
    drop(tokio::time::timeout(Duration::ZERO, pool.link(server.node, &[server.addr])).await);
    let links = asking.join_all().await;
    assert!(links.iter().all(Result::is_ok));
    assert_eq!(pool.len(), 1);
    assert!(server.acceptor.accept().await.is_some());
    server.endpoint.close(Code::SHUTDOWN).await;
    assert!(server.acceptor.accept().await.is_none(), "there was a second link");
}

async fn link_is_reused_and_made_again_when_it_is_closed(net: Net) {
    let mut server = net.node(1);
    let pool = pool(net.client(), 8);
    let first = pool.link(server.node, &[server.addr]).await.unwrap();
    let theirs = server.acceptor.accept().await.unwrap();
    let same = pool.link(server.node, &[server.addr]).await.unwrap();
    assert_eq!(same.close_reason(), None);
    theirs.close(Code::SHUTDOWN);
    assert_eq!(first.closed().await, LinkError::Closed(Code::SHUTDOWN));
    assert_eq!(same.close_reason(), Some(LinkError::Closed(Code::SHUTDOWN)));
    assert!(pool.is_empty());
    let again = pool.link(server.node, &[server.addr]).await.unwrap();
    let theirs = server.acceptor.accept().await.unwrap();
    let serving = tokio::spawn(echo(theirs));
    assert_eq!(ask(&again, b"again").await, Ok(b"again".to_vec()));
    serving.abort();
}

async fn full_pool_lets_the_least_recently_used_idle_peer_go(net: Net) {
    let nodes: Vec<Served> = (1..=3).map(|n| net.node(n)).collect();
    let [one, two, three] = &nodes[..] else { unreachable!() };
    let pool = pool(net.client(), 2);
    let first = pool.link(one.node, &[one.addr]).await.unwrap();
    let second = pool.link(two.node, &[two.addr]).await.unwrap();
    pool.link(one.node, &[one.addr]).await.unwrap();
    // The second was used least recently, but it is in use: the first goes.
    let busy = second.open(StreamHead::Directory).await.unwrap();
    pool.link(three.node, &[three.addr]).await.unwrap();
    assert!(first.close_reason().is_some());
    assert_eq!(second.close_reason(), None);
    let third = pool.link(three.node, &[three.addr]).await.unwrap();
    let also_busy = third.open(StreamHead::Directory).await.unwrap();
    let full = pool.link(one.node, &[one.addr]).await.unwrap_err();
    assert_eq!(full, LinkError::Busy);
    drop((busy, also_busy));
    pool.link(one.node, &[one.addr]).await.unwrap();
    assert!(second.close_reason().is_some());
    assert_eq!(pool.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unreachable_peer_is_tried_again_only_after_a_growing_wait() {
    let network = Network::new();
    let net = Net::Memory(network.clone());
    let server = net.node(1);
    network.cut(server.addr);
    let pool = Pool::new(net.client(), PoolConfig::default()).unwrap();
    let mut waits = Vec::new();
    for _ in 0..6 {
        let failed = pool.link(server.node, &[server.addr]).await.unwrap_err();
        assert_eq!(failed, LinkError::Unreachable);
        let refused = pool.link(server.node, &[server.addr]).await.unwrap_err();
        let wait = refused.wait().unwrap();
        assert_eq!(refused, LinkError::BackingOff { wait, cause: Box::new(failed) });
        tokio::time::advance(wait).await;
        waits.push(wait);
    }
    // From 250 ms at most, doubling five times, of which at least a half is drawn.
    assert!(waits[0] <= Duration::from_millis(250));
    assert!(waits[5] >= Duration::from_millis(4000), "{waits:?}");
    network.heal(server.addr);
    pool.link(server.node, &[server.addr]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn peer_that_closes_each_link_at_once_is_not_tried_in_a_loop() {
    let net = Net::memory();
    let mut config = LinkConfig::new(Admission::everyone());
    config.clients_max = 0;
    let server = net.node_with(1, config);
    let pool = Pool::new(net.client(), PoolConfig::default()).unwrap();
    let link = pool.link(server.node, &[server.addr]).await.unwrap();
    assert_eq!(link.closed().await, LinkError::Busy);
    let refused = pool.link(server.node, &[server.addr]).await.unwrap_err();
    let wait = refused.wait().unwrap();
    assert_eq!(refused, LinkError::BackingOff { wait, cause: Box::new(LinkError::Busy) });
}
