//! Who is whom, and what a handshake refuses.

use std::net::UdpSocket;

use rand::{Rng, SeedableRng};

use super::*;
use crate::LoopbackPeers;

on_both!(
    client_is_anonymous_and_node_is_known_by_its_key,
    holder_of_another_key_is_refused,
    second_address_is_tried_when_the_first_is_silent,
);

async fn client_is_anonymous_and_node_is_known_by_its_key(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    assert_eq!(ours.peer(), Peer::Node(server.node));
    assert_eq!(theirs.peer(), Peer::Client);
    let other = net.node(2);
    let (ours, theirs) = server.link(&other.endpoint).await;
    assert_eq!(ours.peer(), Peer::Node(server.node));
    assert_eq!(theirs.peer(), Peer::Node(other.node));
    assert_eq!(theirs.remote_addr(), other.addr);
}

async fn holder_of_another_key_is_refused(net: Net) {
    let mut server = net.node(1);
    let node = net.node(2);
    for from in [net.client(), node.endpoint] {
        let refused = from.connect(id(&key(3)), &[server.addr]).await.unwrap_err();
        assert_eq!(refused, LinkError::WrongKey);
    }
    let (_ours, theirs) = server.link(&net.client()).await;
    assert_eq!(theirs.peer(), Peer::Client, "nothing of the refused ones was accepted before");
}

async fn second_address_is_tried_when_the_first_is_silent(net: Net) {
    let mut server = net.node(1);
    // Bound, so that nothing else gets its packets, and read by nobody.
    let silent = UdpSocket::bind(LOOPBACK).unwrap();
    let addrs = [silent.local_addr().unwrap(), server.addr];
    let link = net.client().connect(server.node, &addrs).await.unwrap();
    assert_eq!(link.remote_addr(), server.addr);
    assert!(server.acceptor.accept().await.is_some());
    let none = net.client().connect(server.node, &[]).await.unwrap_err();
    assert_eq!(none, LinkError::NoAddress);
}

#[tokio::test]
async fn silent_peer_is_unreachable() {
    let mut config = LinkConfig::client();
    config.timing.handshake = Duration::from_millis(50);
    let client = Net::Loopback.bind(Identity::Client, config);
    let silent = UdpSocket::bind(LOOPBACK).unwrap();
    let addrs = [silent.local_addr().unwrap()];
    let connect = client.connect(id(&key(1)), &addrs);
    assert_eq!(guarded(connect).await.unwrap_err(), LinkError::Unreachable);
}

fn speaking(mut config: LinkConfig, names: &[&[u8]]) -> LinkConfig {
    config.alpn = names.iter().map(|name| name.to_vec()).collect();
    config
}

#[tokio::test]
async fn peer_of_no_common_version_is_told_apart() {
    let config = speaking(LinkConfig::new(Admission::everyone()), &[b"enjambre/3", b"enjambre/2"]);
    let server = Net::Loopback.node_with(1, config);
    let connect = Net::Loopback.client();
    let refused = guarded(connect.connect(server.node, &[server.addr])).await.unwrap_err();
    assert_eq!(refused, LinkError::Version);
}

#[tokio::test]
async fn next_version_still_talks_to_this_one() {
    let config = speaking(LinkConfig::new(Admission::everyone()), &[b"enjambre/2", b"enjambre/1"]);
    let mut server = Net::Loopback.node_with(1, config);
    guarded(server.link(&Net::Loopback.client())).await;
}

#[tokio::test]
async fn garbage_datagrams_change_nothing() {
    let mut server = Net::Loopback.node(1);
    let client = Net::Loopback.client();
    let (ours, theirs) = guarded(server.link(&client)).await;
    let serving = tokio::spawn(echo(theirs));
    let noise = UdpSocket::bind(LOOPBACK).unwrap();
    let mut rng = rand::rngs::StdRng::seed_from_u64(1);
    for n in 0..500usize {
        let mut bytes = vec![0; n * 3 % 1472];
        rng.fill_bytes(&mut bytes);
        if let Some(first) = bytes.first_mut() {
            // In turn: any, the form of a first packet of version 1, that of a later packet.
            *first = [*first, 0xc0 | (*first & 0x3f), 0x40 | (*first & 0x3f)][n % 3];
        }
        if n % 3 == 1 && bytes.len() > 6 {
            bytes[1..6].copy_from_slice(&[0, 0, 0, 1, 8]);
        }
        noise.send_to(&bytes, server.addr).unwrap();
    }
    assert_eq!(guarded(ask(&ours, b"still there?")).await, Ok(b"still there?".to_vec()));
    let (_ours, theirs) = guarded(server.link(&client)).await;
    assert_eq!(theirs.peer(), Peer::Client);
    serving.abort();
}

#[tokio::test]
async fn crowded_node_asks_for_a_proof_of_address_and_lets_in_who_gives_it() {
    let mut config = LinkConfig::new(Admission::everyone());
    config.handshakes_max = 3; // A quarter of it is none: every peer is asked.
    let mut server = Net::Loopback.node_with(1, config);
    let (ours, theirs) = guarded(server.link(&Net::Loopback.client())).await;
    let serving = tokio::spawn(echo(theirs));
    assert_eq!(guarded(ask(&ours, b"in")).await, Ok(b"in".to_vec()));
    serving.abort();
}

/// The first datagram of a connection that `client` begins, taken out of its way.
async fn first_datagram(client: &Endpoint) -> Vec<u8> {
    let trap = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
    let addrs = [trap.local_addr().unwrap()];
    let mut datagram = vec![0; 1500];
    let len = tokio::select! {
        received = trap.recv(&mut datagram) => received.unwrap(),
        _ = client.connect(id(&key(1)), &addrs) => panic!("nobody answers there"),
    };
    datagram.truncate(len);
    datagram
}

#[tokio::test]
async fn network_with_half_open_handshakes_proves_its_addresses_and_is_let_in() {
    let mut config = LinkConfig::new(Admission::everyone());
    config.loopback = LoopbackPeers::Counted;
    config.handshakes_per_prefix_max = 4;
    let mut server = Net::Loopback.node_with(1, config);
    let mut answers = Vec::new();
    for _ in 0..3 {
        // Each begins a handshake and never goes on with it.
        let hello = guarded(first_datagram(&Net::Loopback.client())).await;
        let socket = tokio::net::UdpSocket::bind(LOOPBACK).await.unwrap();
        socket.send_to(&hello, server.addr).await.unwrap();
        let mut answer = [0; 1500];
        guarded(socket.recv(&mut answer)).await.unwrap();
        // The two bits of the type in a long header: 0 is Initial, 3 is Retry (RFC 9000, 17.2).
        answers.push(answer[0] >> 4 & 3);
    }
    assert_eq!(answers, [0, 0, 3]);
    let (_ours, theirs) = guarded(server.link(&Net::Loopback.client())).await;
    assert_eq!(theirs.peer(), Peer::Client);
}

#[tokio::test(start_paused = true)]
async fn handshake_that_has_ended_holds_up_no_other_while_its_link_waits_to_be_taken() {
    let mut config = LinkConfig::new(Admission::everyone());
    config.handshakes_max = 1;
    let net = Net::memory();
    let server = net.node_with(1, config);
    let client = net.client();
    let mut links = Vec::new();
    // More than wait in the queue of accepted links, of which none is taken.
    for _ in 0..70 {
        links.push(client.connect(server.node, &[server.addr]).await.unwrap());
    }
    assert!(links.iter().all(|link| link.close_reason().is_none()));
}

#[tokio::test(start_paused = true)]
async fn endpoint_does_not_stay_open_for_a_peer_that_never_answered() {
    let client = Net::Loopback.client();
    first_datagram(&client).await;
    let closed = tokio::time::timeout(Duration::from_secs(1), client.close(Code::SHUTDOWN));
    assert!(closed.await.is_ok(), "it waits for three probe times");
}
