//! Limits on links and streams: beyond them the answer is busy.

use enjambre_protocol::link::{CLIENT_STREAMS_MAX, NODE_STREAMS_FIRST};

use super::*;
use crate::Strangers;

on_both!(
    full_node_refuses_links_until_one_is_gone,
    client_beyond_its_share_is_told_busy_while_nodes_get_in,
    node_that_is_not_let_in_is_told_so,
    node_that_is_not_let_in_may_get_what_a_client_gets,
    client_has_64_streams_and_the_next_is_busy_at_once,
    node_has_far_more_streams_than_it_was_granted_first,
    stream_beyond_the_endpoints_budget_is_answered_busy,
);

async fn full_node_refuses_links_until_one_is_gone(net: Net) {
    let mut config = LinkConfig::new(Admission::everyone());
    config.links_max = 1;
    let mut server = net.node_with(1, config);
    let client = net.client();
    let (first, theirs) = server.link(&client).await;
    let refused = client.connect(server.node, &[server.addr]).await.unwrap_err();
    assert_eq!(refused, LinkError::Busy);
    first.close(Code::CANCELLED);
    theirs.closed().await;
    drop(theirs);
    server.link(&client).await;
}

async fn client_beyond_its_share_is_told_busy_while_nodes_get_in(net: Net) {
    let mut config = LinkConfig::new(Admission::everyone());
    config.clients_max = 1;
    let mut server = net.node_with(1, config);
    let client = net.client();
    let _first = server.link(&client).await;
    let second = client.connect(server.node, &[server.addr]).await.unwrap();
    assert_eq!(second.closed().await, LinkError::Busy);
    assert_eq!(second.open(StreamHead::Directory).await.unwrap_err(), LinkError::Busy);
    let node = net.node(2);
    let (_ours, theirs) = server.link(&node.endpoint).await;
    assert_eq!(theirs.peer(), Peer::Node(node.node));
}

async fn node_that_is_not_let_in_is_told_so(net: Net) {
    let (known, unknown) = (net.node(2), net.node(3));
    let listed = known.node;
    let mut server = net.node_with(1, LinkConfig::new(Admission::new(move |n| *n == listed)));
    let refused = unknown.endpoint.connect(server.node, &[server.addr]).await.unwrap();
    assert_eq!(refused.closed().await, LinkError::Closed(Code::NOT_ALLOWED));
    let (_ours, theirs) = server.link(&known.endpoint).await;
    assert_eq!(theirs.peer(), Peer::Node(listed));
}

async fn node_that_is_not_let_in_may_get_what_a_client_gets(net: Net) {
    let (known, unknown) = (net.node(2), net.node(3));
    let listed = known.node;
    let mut config = LinkConfig::new(Admission::new(move |n| *n == listed));
    config.strangers = Strangers::AsClients;
    config.clients_max = 1;
    let mut server = net.node_with(1, config);
    let (ours, theirs) = server.link(&unknown.endpoint).await;
    assert_eq!(theirs.peer(), Peer::Client);
    let serving = tokio::spawn(echo(theirs));
    assert_eq!(ask(&ours, b"as anybody").await, Ok(b"as anybody".to_vec()));
    let second = net.client().connect(server.node, &[server.addr]).await.unwrap();
    assert_eq!(second.closed().await, LinkError::Busy);
    let (_ours, theirs) = server.link(&known.endpoint).await;
    assert_eq!(theirs.peer(), Peer::Node(listed));
    serving.abort();
}

async fn client_has_64_streams_and_the_next_is_busy_at_once(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let serving = tokio::spawn(echo(theirs));
    let mut open = Vec::new();
    for _ in 0..CLIENT_STREAMS_MAX {
        open.push(ours.open(StreamHead::Directory).await.unwrap());
    }
    assert_eq!(open.len(), 64);
    assert_eq!(ours.open(StreamHead::Directory).await.unwrap_err(), LinkError::Busy);
    open.pop();
    assert_eq!(ask(&ours, b"one is free").await, Ok(b"one is free".to_vec()));
    serving.abort();
}

async fn node_has_far_more_streams_than_it_was_granted_first(net: Net) {
    let mut server = net.node(1);
    let node = net.node(2);
    let (ours, theirs) = server.link(&node.endpoint).await;
    let count = usize::try_from(2 * NODE_STREAMS_FIRST + 500).unwrap();
    // Each stream is held open on both sides until all of them are.
    let opening = async {
        let mut open = Vec::new();
        for _ in 0..count {
            let mut stream = ours.open(StreamHead::Peer).await.unwrap();
            stream.send.write_message(b"subscribe", MAX).await.unwrap();
            open.push(stream);
        }
        open
    };
    let accepting = async {
        let mut open = Vec::new();
        for _ in 0..count {
            let mut stream = theirs.accept().await.unwrap().head().await.unwrap().stream;
            assert_eq!(stream.recv.read_message(MAX).await, Ok(b"subscribe".to_vec()));
            open.push(stream);
        }
        open
    };
    let (mut opened, accepted) = tokio::join!(opening, accepting);
    assert_eq!((ours.open_streams(), theirs.open_streams()), (count, count));
    for mut stream in accepted {
        stream.send.write_message(b"news", MAX).await.unwrap();
        stream.send.finish().await.unwrap();
    }
    for stream in &mut opened {
        assert_eq!(stream.recv.read_message(MAX).await, Ok(b"news".to_vec()));
    }
    drop(opened);
    assert_eq!((ours.open_streams(), theirs.open_streams()), (0, 0));
}

async fn stream_beyond_the_endpoints_budget_is_answered_busy(net: Net) {
    let mut config = LinkConfig::new(Admission::everyone());
    config.streams_max = 1;
    let mut server = net.node_with(1, config);
    let (ours, theirs) = server.link(&net.client()).await;
    let mut held = ours.open(StreamHead::Directory).await.unwrap();
    held.send.write_all(b"half a message").await.unwrap();
    let first = theirs.accept().await.unwrap();
    let serving = tokio::spawn(echo(theirs));
    assert_eq!(ask(&ours, b"too many").await, Err(LinkError::Busy));
    drop(first);
    assert_eq!(ask(&ours, b"one is free").await, Ok(b"one is free".to_vec()));
    serving.abort();
}
