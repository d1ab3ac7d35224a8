//! One connection between two endpoints of a process.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use enjambre_protocol::link::{Code, NODE_STREAMS_MAX, STREAM_WINDOW, stream_credit};
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::{Instant, sleep_until};

use super::pipe::{Pipe, Recv, Send};
use super::queue::Queue;
use crate::error::LinkError;
use crate::transport::{self, Halves};

/// What both ends share. The first end connected and opens streams.
#[derive(Debug)]
pub(super) struct Line {
    addrs: [SocketAddr; 2],
    idle: Duration,
    health: [watch::Sender<Health>; 2],
    opened: Queue<Halves>,
    credit: Credit,
    /// Unread bytes of one reply.
    reply_window: u32,
}

/// Streams that the opener may still open.
#[derive(Debug)]
struct Credit {
    left: Arc<Semaphore>,
    given: AtomicU32,
}

/// How one end sees the line.
#[derive(Clone, Debug)]
enum Health {
    Up,
    /// Nothing gets through since then.
    Cut(Instant),
    Over(LinkError),
}

impl Line {
    pub(super) fn new(addrs: [SocketAddr; 2], idle: Duration, reply_window: u32) -> Self {
        let health = [watch::Sender::new(Health::Up), watch::Sender::new(Health::Up)];
        let opened =
            Queue::new(usize::try_from(stream_credit(NODE_STREAMS_MAX)).unwrap_or(usize::MAX));
        let credit = Credit { left: Arc::new(Semaphore::new(0)), given: AtomicU32::new(0) };
        Self { addrs, idle, health, opened, credit, reply_window }
    }

    pub(super) const fn addrs(&self) -> [SocketAddr; 2] {
        self.addrs
    }

    pub(super) fn set_reachable(&self, reachable: bool) {
        for health in &self.health {
            health.send_if_modified(|health| match (&*health, reachable) {
                (Health::Up, false) => {
                    *health = Health::Cut(Instant::now());
                    true
                }
                (Health::Cut(since), true) if since.elapsed() < self.idle => {
                    *health = Health::Up;
                    true
                }
                _ => false,
            });
        }
    }

    /// Closes the line by the end that has this address, if one has.
    pub(super) fn close_at(&self, addr: SocketAddr, code: Code) {
        if let Some(end) = self.addrs.iter().position(|a| *a == addr) {
            self.close(end, code);
        }
    }

    fn close(&self, end: usize, code: Code) {
        self.health[end].send_if_modified(|health| {
            let open = !matches!(health, Health::Over(_));
            if open {
                *health = Health::Over(LinkError::Closed(Code::CANCELLED));
            }
            open
        });
        // The other end is told, unless the line is cut: then it finds out by the idle time.
        self.health[1 - end].send_if_modified(|health| {
            let told = matches!(health, Health::Up);
            if told {
                *health = Health::Over(LinkError::of_close(code));
            }
            told
        });
    }
}

/// One end of a line. Dropping the last handle of an end, streams included, closes the line.
#[derive(Clone, Debug)]
pub(crate) struct Connection(Arc<End>);

#[derive(Debug)]
struct End {
    line: Arc<Line>,
    index: usize,
}

impl Drop for End {
    fn drop(&mut self) {
        self.line.close(self.index, Code::CANCELLED);
    }
}

impl Connection {
    pub(super) fn ends(line: &Arc<Line>) -> [Self; 2] {
        [0, 1].map(|index| Self(Arc::new(End { line: line.clone(), index })))
    }

    pub(crate) fn remote_addr(&self) -> SocketAddr {
        self.0.line.addrs[1 - self.0.index]
    }

    pub(crate) async fn open(&self) -> Result<Halves, LinkError> {
        if let Some(reason) = self.close_reason() {
            return Err(reason);
        }
        let credit = tokio::select! {
            error = self.closed() => return Err(error),
            credit = self.0.line.credit.left.clone().acquire_owned() => {
                Arc::new(credit.map_err(|_| LinkError::Lost)?)
            }
        };
        let (out, back) = (Pipe::new(STREAM_WINDOW), Pipe::new(self.0.line.reply_window));
        // The streams of the other end must not keep that end alive while nobody took them.
        let theirs = Halves {
            send: transport::Send::Memory(Send::new(back.clone()).for_credit(credit.clone())),
            recv: transport::Recv::Memory(Recv::new(out.clone()).for_credit(credit)),
        };
        if !self.0.line.opened.push(theirs) {
            return Err(LinkError::Busy);
        }
        Ok(Halves {
            send: transport::Send::Memory(Send::new(out).on(self.clone())),
            recv: transport::Recv::Memory(Recv::new(back).on(self.clone())),
        })
    }

    pub(crate) async fn accept(&self) -> Result<Halves, LinkError> {
        let opened = &self.0.line.opened;
        let halves = self.when(&opened.ready, || opened.try_pop()).await?;
        Ok(match halves {
            Halves { send: transport::Send::Memory(send), recv: transport::Recv::Memory(recv) } => {
                Halves {
                    send: transport::Send::Memory(send.on(self.clone())),
                    recv: transport::Recv::Memory(recv.on(self.clone())),
                }
            }
            other => other,
        })
    }

    pub(crate) fn grant(&self, streams: u32) {
        let credit = &self.0.line.credit;
        let more = stream_credit(streams);
        let given = credit.given.fetch_max(more, Ordering::Relaxed);
        credit.left.add_permits(usize::try_from(more.saturating_sub(given)).unwrap_or(0));
    }

    pub(crate) fn close(&self, code: Code) {
        self.0.line.close(self.0.index, code);
    }

    pub(crate) fn close_reason(&self) -> Option<LinkError> {
        match &*self.health().borrow() {
            Health::Over(error) => Some(error.clone()),
            Health::Cut(since) if since.elapsed() >= self.0.line.idle => Some(LinkError::Lost),
            Health::Up | Health::Cut(_) => None,
        }
    }

    pub(crate) async fn closed(&self) -> LinkError {
        match self.when(&Notify::new(), || None::<()>).await {
            Ok(()) => LinkError::Lost,
            Err(error) => error,
        }
    }

    /// What `ready` yields, asked again whenever `told` is notified and while the line is up.
    /// What had arrived before the line was over can still be taken.
    pub(super) async fn when<T>(
        &self,
        told: &Notify,
        mut ready: impl FnMut() -> Option<T>,
    ) -> Result<T, LinkError> {
        let mut health = self.health().subscribe();
        loop {
            let seen = health.borrow_and_update().clone();
            match seen {
                Health::Over(error) => return ready().ok_or(error),
                Health::Up => {
                    if let Some(value) = ready() {
                        return Ok(value);
                    }
                    tokio::select! {
                        () = told.notified() => {}
                        _ = health.changed() => {}
                    }
                }
                Health::Cut(since) => tokio::select! {
                    () = sleep_until(since + self.0.line.idle) => {
                        self.health().send_replace(Health::Over(LinkError::Lost));
                    }
                    _ = health.changed() => {}
                },
            }
        }
    }

    fn health(&self) -> &watch::Sender<Health> {
        &self.0.line.health[self.0.index]
    }
}
