//! What a stream carries, and how it ends.

use enjambre_protocol::link::frame::FrameError;
use enjambre_protocol::link::{CLIENT_STREAMS_MAX, HeadError, StreamKind};
use enjambre_protocol::onion::SizeClass;

use super::*;
use crate::{Fill, Frames, RecvStream};

on_both!(
    messages_up_to_the_limit_come_back_and_longer_ones_are_not_sent,
    announced_length_over_the_limit_is_refused_before_a_byte_of_it,
    onion_packet_goes_out_whole_and_frames_come_back_to_a_clean_end,
    dropped_half_is_a_reset_and_never_an_end,
    stopped_writer_learns_why,
    client_may_not_open_a_peer_stream_and_unknown_heads_are_refused,
    accepting_side_opens_no_streams,
    cancelled_frame_read_loses_nothing,
    bytes_after_a_message_are_refused,
    full_link_is_waited_for_until_a_stream_ends_or_it_is_closed,
);

/// A stream from `from` to `to`, seen from both ends, its head read.
async fn stream(from: &Link, to: &Link, head: StreamHead) -> (Stream, Stream) {
    let mut ours = from.open(head).await.unwrap();
    ours.send.write_all(&[]).await.unwrap();
    let request = to.accept().await.unwrap().head().await.unwrap();
    assert_eq!(request.head, head);
    (ours, request.stream)
}

async fn messages_up_to_the_limit_come_back_and_longer_ones_are_not_sent(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let serving = tokio::spawn(echo(theirs));
    for len in [0, 1, 1023, 1024, 1025, 16 << 10, (16 << 10) + 1, 300_000, MAX] {
        let message: Vec<u8> = (0..len).map(|i| u8::try_from(i % 251).unwrap()).collect();
        assert_eq!(ask(&ours, &message).await, Ok(message), "{len} bytes");
    }
    let long = vec![0; MAX + 1];
    let error = FrameError { len: MAX + 1, limit: MAX };
    assert_eq!(ask(&ours, &long).await, Err(LinkError::TooLarge(error)));
    let reply = ours.request(StreamHead::Directory, b"four", 4, 3).await;
    assert_eq!(reply, Err(LinkError::TooLarge(FrameError { len: 4, limit: 3 })));
    serving.abort();
}

async fn announced_length_over_the_limit_is_refused_before_a_byte_of_it(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let (mut ours, mut theirs) = stream(&ours, &theirs, StreamHead::Directory).await;
    ours.send.write_all(&u32::MAX.to_le_bytes()).await.unwrap();
    let len = usize::try_from(u32::MAX).unwrap();
    let refused = theirs.recv.read_message(4096).await;
    assert_eq!(refused, Err(LinkError::TooLarge(FrameError { len, limit: 4096 })));
    theirs.recv.stop(Code::TOO_LARGE);
    assert_eq!(ours.send.delivered().await, Err(LinkError::Reset(Code::TOO_LARGE)));
}

async fn onion_packet_goes_out_whole_and_frames_come_back_to_a_clean_end(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    for class in SizeClass::ALL {
        let packet: Vec<u8> = (0..class.bytes()).map(|i| u8::try_from(i % 253).unwrap()).collect();
        let asking = async {
            let mut stream = ours.open(StreamHead::Onion(class)).await.unwrap();
            stream.send.write_all(&packet).await.unwrap();
            stream.send.finish().await.unwrap();
            let mut frames = Frames::new(stream.recv, SizeClass::K8.bytes());
            let mut read = 0;
            while let Some(frame) = frames.next().await.unwrap() {
                assert!(frame.iter().all(|byte| *byte == 7));
                read += 1;
            }
            read
        };
        let answering = async {
            let request = theirs.accept().await.unwrap().head().await.unwrap();
            assert_eq!(request.head, StreamHead::Onion(class));
            let Stream { mut send, mut recv } = request.stream;
            let mut received = vec![0; class.bytes()];
            recv.read_exact(&mut received).await.unwrap();
            recv.expect_end().await.unwrap();
            assert!(received == packet);
            for _ in 0..40 {
                send.write_all(&vec![7; SizeClass::K8.bytes()]).await.unwrap();
            }
            send.finish().await.unwrap();
            send.delivered().await.unwrap();
        };
        let (frames, ()) = tokio::join!(asking, answering);
        assert_eq!(frames, 40);
    }
}

async fn dropped_half_is_a_reset_and_never_an_end(net: Net) {
    let mut server = net.node(1);
    let (link, theirs) = server.link(&net.client()).await;
    let (mut ours, mut other) = stream(&link, &theirs, StreamHead::Directory).await;
    ours.send.write_all(b"abc").await.unwrap();
    drop(ours.send);
    let mut out = [0; 8];
    // What was sent before a reset may or may not still arrive; an end never does.
    let outcome = loop {
        match other.recv.read(&mut out).await {
            Ok(Some(_)) => {}
            ended => break ended,
        }
    };
    assert_eq!(outcome, Err(LinkError::Reset(Code::CANCELLED)));

    let (ours, mut other) = stream(&link, &theirs, StreamHead::Directory).await;
    drop(ours.recv);
    assert_eq!(other.send.delivered().await, Err(LinkError::Reset(Code::CANCELLED)));

    let (mut ours, mut other) = stream(&link, &theirs, StreamHead::Directory).await;
    ours.send.write_all(b"abc").await.unwrap();
    ours.send.finish().await.unwrap();
    assert_eq!(ours.send.write_all(b"more").await, Err(LinkError::Finished));
    drop(ours.send);
    assert_eq!(other.recv.read_exact_or_end(&mut out[..3]).await, Ok(Fill::Full));
    assert_eq!(other.recv.read_exact_or_end(&mut out[..3]).await, Ok(Fill::End));

    let (mut ours, mut other) = stream(&link, &theirs, StreamHead::Directory).await;
    ours.send.write_all(b"abc").await.unwrap();
    ours.send.finish().await.unwrap();
    assert_eq!(other.recv.read_exact(&mut out).await, Err(LinkError::Ended));
}

async fn stopped_writer_learns_why(net: Net) {
    let mut server = net.node(1);
    let (link, theirs) = server.link(&net.client()).await;
    let (mut ours, mut other) = stream(&link, &theirs, StreamHead::Directory).await;
    other.recv.stop(Code::DEADLINE);
    let outcome = loop {
        match ours.send.write_all(&[0; 1000]).await {
            Ok(()) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(outcome, LinkError::Reset(Code::DEADLINE));
}

async fn client_may_not_open_a_peer_stream_and_unknown_heads_are_refused(net: Net) {
    let mut server = net.node(1);
    let client = net.client();
    let (ours, theirs) = server.link(&client).await;
    let cases: [(&[u8], LinkError, Code); 5] = [
        (&[3], LinkError::NotAllowed(StreamKind::Peer), Code::NOT_ALLOWED),
        (&[0], LinkError::Head(HeadError::Kind(0)), Code::PROTOCOL),
        (&[4], LinkError::Head(HeadError::Kind(4)), Code::PROTOCOL),
        (&[1, 4], LinkError::Head(HeadError::Class(4)), Code::PROTOCOL),
        (&[1, 255], LinkError::Head(HeadError::Class(255)), Code::PROTOCOL),
    ];
    for (bytes, error, code) in cases {
        let mut raw = ours.open_raw().await.unwrap();
        assert_eq!(raw.send.write(bytes).await, Ok(bytes.len()));
        let head = theirs.accept().await.unwrap().head().await;
        assert_eq!(head.map(|request| request.head), Err(error));
        assert_eq!(raw.recv.read(&mut [0]).await, Err(LinkError::Reset(code)));
    }
    // Ended where the class should stand.
    let mut raw = ours.open_raw().await.unwrap();
    assert_eq!(raw.send.write(&[1]).await, Ok(1));
    raw.send.finish().unwrap();
    let head = theirs.accept().await.unwrap().head().await;
    assert_eq!(head.map(|request| request.head), Err(LinkError::Ended));

    let node = net.node(2);
    let (ours, theirs) = server.link(&node.endpoint).await;
    stream(&ours, &theirs, StreamHead::Peer).await;
}

async fn accepting_side_opens_no_streams(net: Net) {
    let mut server = net.node(1);
    let node = net.node(2);
    let (ours, theirs) = server.link(&node.endpoint).await;
    assert_eq!(theirs.open(StreamHead::Peer).await.unwrap_err(), LinkError::Finished);
    assert_eq!(ours.accept().await.unwrap_err(), LinkError::Finished);
}

async fn cancelled_frame_read_loses_nothing(net: Net) {
    let mut server = net.node(1);
    let (link, theirs) = server.link(&net.client()).await;
    let (ours, other) = stream(&link, &theirs, StreamHead::Directory).await;
    let Stream { mut send, recv: _recv } = other;
    let mut frames = Frames::new(ours.recv, 4);
    send.write_all(b"ab").await.unwrap();
    send.write_all(b"").await.unwrap();
    // Polled until the first half is in, then cancelled.
    let cancelled = tokio::select! {
        biased;
        _ = frames.next() => false,
        () = half_is_read(&link, &theirs) => true,
    };
    assert!(cancelled);
    send.write_all(b"cdefgh").await.unwrap();
    send.finish().await.unwrap();
    assert_eq!(frames.next().await.unwrap(), Some(&mut b"abcd"[..].to_vec()[..]));
    assert_eq!(frames.next().await.unwrap(), Some(&mut b"efgh"[..].to_vec()[..]));
    assert_eq!(frames.next().await.unwrap(), None);
}

/// Done after a round trip that began later than the bytes before it were sent.
async fn half_is_read(ours: &Link, theirs: &Link) {
    let (mut asking, mut answering) = stream(ours, theirs, StreamHead::Directory).await;
    answering.send.write_all(b"!").await.unwrap();
    asking.recv.read_exact(&mut [0]).await.unwrap();
}

async fn bytes_after_a_message_are_refused(net: Net) {
    let mut server = net.node(1);
    let (link, theirs) = server.link(&net.client()).await;
    let answering = async {
        let request = theirs.accept().await.unwrap().head().await.unwrap();
        let Stream { mut send, mut recv } = request.stream;
        recv.read_message(MAX).await.unwrap();
        send.write_message(b"reply", MAX).await.unwrap();
        send.write_all(b"!").await.unwrap();
        send.finish().await.unwrap();
        read_out(recv).await;
    };
    let (reply, ()) = tokio::join!(ask(&link, b"request"), answering);
    assert_eq!(reply, Err(LinkError::Trailing));
}

async fn read_out(mut recv: RecvStream) {
    assert_eq!(recv.read_to_end(MAX).await, Ok(vec![]));
}

async fn full_link_is_waited_for_until_a_stream_ends_or_it_is_closed(net: Net) {
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let head = StreamHead::Directory;
    let mut held = Vec::new();
    for _ in 0..CLIENT_STREAMS_MAX {
        held.push(ours.open(head).await.unwrap());
    }
    assert_eq!(ours.open(head).await.err(), Some(LinkError::Busy));
    {
        let mut waiting = std::pin::pin!(ours.place());
        let is_waiting = std::future::poll_fn(|cx| {
            std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending())
        });
        assert!(is_waiting.await, "no place, and no error");
        held.pop();
        held.push(ours.open_in(waiting.await.unwrap(), head).await.unwrap());
    }
    let waiting = ours.place();
    theirs.close(Code::SHUTDOWN);
    assert_eq!(waiting.await.err(), Some(LinkError::Closed(Code::SHUTDOWN)));
    // And the side that opens no streams does not wait for a place.
    assert_eq!(theirs.place().await.err(), Some(LinkError::Finished));
}
