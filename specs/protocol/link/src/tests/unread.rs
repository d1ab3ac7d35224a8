//! Replies that a client does not take: they end, and the others on the link go on.

use enjambre_protocol::link::{
    CLIENT_STANDING_MAX, CLIENT_STREAMS_MAX, FRAME_WITHIN, ONWARD_STANDING_MAX, STALL_MAX,
};
use enjambre_protocol::onion::SizeClass;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::*;
use crate::{Frames, SendStream};

const CLASS: SizeClass = SizeClass::K128;

/// Frames of one reply: more than all windows between its two ends hold.
const FRAMES: usize = 4;

/// Answers every request on `link` with frames that fill with zeros.
async fn answer_all(link: Link) {
    let mut replies = JoinSet::new();
    while let Ok(incoming) = link.accept().await {
        replies.spawn(async move {
            let mut stream = incoming.head().await?.stream;
            for _ in 0..FRAMES {
                stream.send.write_all(&vec![0; CLASS.bytes()]).await?;
            }
            stream.send.finish().await?;
            stream.send.delivered().await
        });
    }
}

/// Relays every request on `from` by `onward`, and says how each ended.
async fn relay_all(from: Link, onward: Link, ended: mpsc::UnboundedSender<Result<(), LinkError>>) {
    let mut relayed = JoinSet::new();
    while let Ok(incoming) = from.accept().await {
        let (onward, ended) = (onward.clone(), ended.clone());
        relayed.spawn(async move {
            let mut stream = incoming.head().await.unwrap().stream;
            let outcome = relay(&mut stream.send, &onward).await;
            let _ = ended.send(outcome);
        });
    }
}

async fn relay(to: &mut SendStream, onward: &Link) -> Result<(), LinkError> {
    let mut onward = onward.open(StreamHead::Onion(CLASS)).await?;
    onward.send.finish().await?;
    let mut frames = Frames::new(onward.recv, CLASS.bytes());
    let unread = frames.unread();
    while let Some(frame) = frames.next().await? {
        to.write_frame(frame, Some(&unread)).await?;
    }
    to.finish().await
}

/// Opens a request and reads nothing.
async fn request(link: &Link) -> Stream {
    let mut stream = link.open(StreamHead::Onion(CLASS)).await.unwrap();
    stream.send.finish().await.unwrap();
    stream
}

#[tokio::test]
async fn replies_that_clients_do_not_take_leave_their_link_to_the_others() {
    guarded(async {
        let net = Net::Loopback;
        // Only a place that another takes ends a reply here, never the time.
        let mut config = LinkConfig::new(Admission::everyone());
        config.timing.stall = Duration::from_secs(3600);
        let mut destination = net.node(1);
        let mut guard = net.node_with(2, config);
        let (onward, at_destination) = destination.link(&guard.endpoint).await;
        let mut tasks = JoinSet::new();
        tasks.spawn(answer_all(at_destination));
        let (ended, mut endings) = mpsc::unbounded_channel();

        // Enough clients to fill the link onward, and all that they do not read stands.
        let hostile = ONWARD_STANDING_MAX / CLIENT_STANDING_MAX;
        let mut held = Vec::new();
        for _ in 0..hostile {
            let (ours, theirs) = guard.link(&net.client()).await;
            tasks.spawn(relay_all(theirs, onward.clone(), ended.clone()));
            for _ in 0..CLIENT_STREAMS_MAX {
                held.push(request(&ours).await);
            }
        }
        for _ in 0..hostile * (CLIENT_STREAMS_MAX - CLIENT_STANDING_MAX) {
            let outcome = endings.recv().await.unwrap();
            assert!(matches!(outcome, Err(LinkError::Reset(Code::DEADLINE))), "{outcome:?}");
        }

        let (ours, theirs) = guard.link(&net.client()).await;
        tasks.spawn(relay_all(theirs, onward.clone(), ended.clone()));
        let mut frames = Frames::new(request(&ours).await.recv, CLASS.bytes());
        for _ in 0..FRAMES {
            assert!(frames.next().await.unwrap().is_some());
        }
        assert!(frames.next().await.unwrap().is_none());
    })
    .await;
}

/// One reply on its way, in memory: how its writer ends, and after how long.
async fn write_to(reader: impl AsyncFnOnce(Stream)) -> (Result<(), LinkError>, Duration) {
    let net = Net::memory();
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let stream = request(&ours).await;
    let mut answering = theirs.accept().await.unwrap().head().await.unwrap().stream;
    let writing = async {
        let since = Instant::now();
        loop {
            // Each begins where the last was taken.
            let began = since.elapsed();
            if let Err(error) = answering.send.write_frame(&vec![0; CLASS.bytes()], None).await {
                return (Err(error), since.elapsed() - began);
            }
        }
    };
    tokio::select! {
        outcome = writing => outcome,
        () = async {
            reader(stream).await;
            std::future::pending::<()>().await;
        } => unreachable!("pending"),
    }
}

#[tokio::test(start_paused = true)]
async fn reply_of_which_nothing_is_taken_is_reset_after_the_stall_time() {
    let (outcome, after) = write_to(async |stream| {
        let mut stream = stream;
        let mut end = [0; 4096];
        // Some of it, then nothing; the stream stays open.
        stream.recv.read_exact(&mut end).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(outcome, Err(LinkError::Reset(Code::DEADLINE)));
    assert_eq!(after, STALL_MAX);
}

#[tokio::test(start_paused = true)]
async fn reply_of_which_a_byte_is_taken_now_and_then_is_reset_after_the_frame_time() {
    let (outcome, after) = write_to(async |mut stream| {
        loop {
            stream.recv.read_exact(&mut [0]).await.unwrap();
            sleep(STALL_MAX / 2).await;
        }
    })
    .await;
    assert_eq!(outcome, Err(LinkError::Reset(Code::DEADLINE)));
    assert_eq!(after, FRAME_WITHIN);
}

#[tokio::test(start_paused = true)]
async fn slow_reader_that_takes_each_frame_in_time_gets_all() {
    let net = Net::memory();
    let mut server = net.node(1);
    let (ours, theirs) = server.link(&net.client()).await;
    let mut stream = request(&ours).await;
    let mut answering = theirs.accept().await.unwrap().head().await.unwrap().stream;
    let writing = async {
        for _ in 0..FRAMES {
            answering.send.write_frame(&vec![0; CLASS.bytes()], None).await.unwrap();
        }
        answering.send.finish().await.unwrap();
    };
    let reading = async {
        // A sixteenth of a frame every second: 16 s a frame.
        let mut piece = vec![0; CLASS.bytes() / 16];
        for _ in 0..16 * FRAMES {
            sleep(Duration::from_secs(1)).await;
            stream.recv.read_exact(&mut piece).await.unwrap();
        }
        stream.recv.expect_end().await.unwrap();
    };
    tokio::join!(writing, reading);
}
