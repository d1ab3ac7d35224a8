//! The two halves of a stream: exact reads, framed messages, and a drop that is a reset.

use std::sync::Arc;

use enjambre_protocol::link::frame::{self, PREFIX_LEN};
use enjambre_protocol::link::{Code, FRAME_WITHIN, HEAD_MAX, StreamHead};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use crate::error::LinkError;
use crate::transport::{Recv, Send};
use crate::unread::{Place, Standing, Unread};

/// The first piece of a message that is allocated before any of it has come, bytes: the smallest packet.
const FIRST_PIECE: usize = 2 << 10;

/// Bytes written together with the head, so that they leave in one datagram.
const HEAD_PIECE: usize = 1024;

/// The pieces in which a message that is a reply is written, bytes: the largest frame.
const REPLY_PIECE: usize = 128 << 10;

/// What a stream holds while either half lives.
#[derive(Debug)]
pub(crate) struct StreamPermit {
    _place: OwnedSemaphorePermit,
    _budget: Option<OwnedSemaphorePermit>,
    /// The streams of the link that stand.
    standing: Arc<Standing>,
}

impl StreamPermit {
    /// A place on the link and, for an accepted stream, one on the endpoint.
    pub(crate) const fn new(
        place: OwnedSemaphorePermit,
        budget: Option<OwnedSemaphorePermit>,
        standing: Arc<Standing>,
    ) -> Self {
        Self { _place: place, _budget: budget, standing }
    }
}

/// The sending half. Dropped before [`SendStream::finish`], it resets the stream.
///
/// Writes wait while the peer does not read. A write that is cancelled may have been done in
/// part: drop the stream then.
#[derive(Debug)]
pub struct SendStream {
    inner: Send,
    /// Written before anything else, together with what comes first.
    head: Vec<u8>,
    done: bool,
    permit: Arc<StreamPermit>,
}

impl SendStream {
    pub(crate) fn new(inner: Send, head: Option<StreamHead>, permit: Arc<StreamPermit>) -> Self {
        let mut bytes = Vec::with_capacity(HEAD_MAX);
        if let Some(head) = head {
            head.encode(&mut bytes);
        }
        Self { inner, head: bytes, done: false, permit }
    }

    /// Writes all of `bytes`.
    pub async fn write_all(&mut self, mut bytes: &[u8]) -> Result<(), LinkError> {
        if !self.head.is_empty() {
            let (with_head, rest) = bytes.split_at(bytes.len().min(HEAD_PIECE));
            let mut first = std::mem::take(&mut self.head);
            first.extend_from_slice(with_head);
            write_all(&mut self.inner, &first).await?;
            bytes = rest;
        }
        write_all(&mut self.inner, bytes).await
    }

    /// Writes a message with its length prefix, if it is not longer than `limit`.
    pub async fn write_message(&mut self, message: &[u8], limit: usize) -> Result<(), LinkError> {
        let prefix = frame::prefix(message.len(), limit)?;
        let (with_prefix, rest) = message.split_at(message.len().min(HEAD_PIECE));
        let mut first = Vec::with_capacity(HEAD_MAX + PREFIX_LEN + with_prefix.len());
        first.append(&mut self.head);
        first.extend_from_slice(&prefix);
        first.extend_from_slice(with_prefix);
        write_all(&mut self.inner, &first).await?;
        write_all(&mut self.inner, rest).await
    }

    /// As [`SendStream::write_message`], for a reply: in pieces, each of which is waited for as a
    /// frame is, see [`SendStream::write_frame`].
    pub async fn write_reply(&mut self, message: &[u8], limit: usize) -> Result<(), LinkError> {
        let prefix = frame::prefix(message.len(), limit)?;
        let (with_prefix, rest) = message.split_at(message.len().min(HEAD_PIECE));
        self.write_frame(&[&prefix[..], with_prefix].concat(), None).await?;
        for piece in rest.chunks(REPLY_PIECE) {
            self.write_frame(piece, None).await?;
        }
        Ok(())
    }

    /// Writes a frame of a reply. Where it is passed on, `source` is the link it came in by: while
    /// the peer does not take it, the stream there stands unread.
    ///
    /// The stream is reset with `deadline`, and [`LinkError::Reset`] says so, if no byte is taken
    /// for [`Timing::stall`](crate::Timing::stall), if the frame takes longer than
    /// [`FRAME_WITHIN`], or if too many streams of either link stand and this one does longest.
    pub async fn write_frame(
        &mut self,
        frame: &[u8],
        source: Option<&Unread>,
    ) -> Result<(), LinkError> {
        if !self.head.is_empty() {
            self.write_all(&[]).await?;
        }
        let ours = Arc::clone(&self.permit.standing);
        let mut wait = Wait { ours, source, began: None };
        let mut rest = frame;
        while !rest.is_empty() {
            tokio::select! {
                biased;
                written = self.inner.write(rest) => rest = &rest[written?..],
                () = wait.over() => {
                    self.reset(Code::DEADLINE);
                    return Err(LinkError::Reset(Code::DEADLINE));
                }
            }
        }
        Ok(())
    }

    /// Ends the stream: the peer reads to a clean end. Does not wait for it.
    pub async fn finish(&mut self) -> Result<(), LinkError> {
        if !self.head.is_empty() {
            self.write_all(&[]).await?;
        }
        self.inner.finish()?;
        self.done = true;
        Ok(())
    }

    /// Ends the stream with a code instead of an end.
    pub fn reset(&mut self, code: Code) {
        if !self.done {
            self.inner.reset(code);
            self.done = true;
        }
    }

    /// Waits until the peer has received everything up to the end (`Ok`), or wants no more: then
    /// the error says why. Before [`SendStream::finish`] only the latter can happen, so a relay
    /// learns here that the other side has gone away.
    pub async fn delivered(&mut self) -> Result<(), LinkError> {
        self.inner.delivered().await
    }
}

/// How long a frame waits to be taken.
struct Wait<'a> {
    ours: Arc<Standing>,
    source: Option<&'a Unread>,
    began: Option<Began>,
}

/// Places are kept to the end of the frame, however little is taken at a time: who takes a byte
/// now and then is not younger for it.
struct Began {
    until: Instant,
    ours: Place,
    source: Option<Place>,
}

impl Wait<'_> {
    /// Waits until it was too long. Begins when first polled: what is taken at once never stands.
    async fn over(&mut self) {
        let stalled = Instant::now() + self.ours.stall();
        let began = self.began.get_or_insert_with(|| Began {
            until: Instant::now() + FRAME_WITHIN,
            ours: self.ours.enter(),
            source: self.source.map(|source| source.0.enter()),
        });
        let at_source = async {
            match &began.source {
                Some(place) => place.displaced().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = began.ours.displaced() => {}
            () = at_source => {}
            () = sleep_until(stalled.min(began.until)) => {}
        }
    }
}

async fn write_all(inner: &mut Send, mut bytes: &[u8]) -> Result<(), LinkError> {
    while !bytes.is_empty() {
        let written = inner.write(bytes).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

impl Drop for SendStream {
    fn drop(&mut self) {
        self.reset(Code::CANCELLED);
    }
}

/// How a read of a fixed number of bytes ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fill {
    /// All bytes are there.
    Full,
    /// The stream ended before the first of them.
    End,
}

/// The receiving half. Dropped before the end, it tells the peer to stop.
#[derive(Debug)]
pub struct RecvStream {
    inner: Recv,
    done: bool,
    permit: Arc<StreamPermit>,
}

impl RecvStream {
    pub(crate) const fn new(inner: Recv, permit: Arc<StreamPermit>) -> Self {
        Self { inner, done: false, permit }
    }

    /// The link it comes in by, for who passes it on.
    pub fn unread(&self) -> Unread {
        Unread(Arc::clone(&self.permit.standing))
    }

    /// Reads what has come, at least one byte; `None` at the end. A cancelled read takes nothing.
    pub async fn read(&mut self, out: &mut [u8]) -> Result<Option<usize>, LinkError> {
        if self.done {
            return Ok(None);
        }
        let read = self.inner.read(out).await?;
        self.done = read.is_none();
        Ok(read)
    }

    /// Fills `out`. A cancelled call loses what it had read: see [`Frames`].
    pub async fn read_exact(&mut self, out: &mut [u8]) -> Result<(), LinkError> {
        match self.read_exact_or_end(out).await? {
            Fill::Full => Ok(()),
            Fill::End => Err(LinkError::Ended),
        }
    }

    /// Fills `out`, unless the stream ends before the first byte; an end within is an error.
    pub async fn read_exact_or_end(&mut self, out: &mut [u8]) -> Result<Fill, LinkError> {
        let mut filled = 0;
        while filled < out.len() {
            match self.read(&mut out[filled..]).await? {
                Some(read) => filled += read,
                None if filled == 0 => return Ok(Fill::End),
                None => return Err(LinkError::Ended),
            }
        }
        Ok(Fill::Full)
    }

    /// Reads a message with its length prefix, if it is not longer than `limit`. Memory is taken
    /// as the message arrives, never on the strength of its prefix.
    pub async fn read_message(&mut self, limit: usize) -> Result<Vec<u8>, LinkError> {
        self.read_message_with(limit, |_| Ok(())).await
    }

    /// As [`RecvStream::read_message`]; `grow` is told how many bytes more are about to be taken, and
    /// ends the read if it refuses.
    pub async fn read_message_with(
        &mut self,
        limit: usize,
        grow: impl FnMut(usize) -> Result<(), LinkError>,
    ) -> Result<Vec<u8>, LinkError> {
        let mut prefix = [0; PREFIX_LEN];
        self.read_exact(&mut prefix).await?;
        let len = frame::parse_prefix(prefix, limit)?;
        self.read_steps(len, grow).await
    }

    /// Reads `len` bytes. Memory is taken as they arrive, at most twice what has come and the smallest
    /// packet at first; `grow` is told of it before, and ends the read if it refuses.
    pub async fn read_steps(
        &mut self,
        len: usize,
        mut grow: impl FnMut(usize) -> Result<(), LinkError>,
    ) -> Result<Vec<u8>, LinkError> {
        let mut bytes = Vec::new();
        while bytes.len() < len {
            let filled = bytes.len();
            let next = len.min((filled * 2).max(FIRST_PIECE));
            grow(next - filled)?;
            bytes.reserve_exact(next - filled);
            bytes.resize(next, 0);
            self.read_exact(&mut bytes[filled..]).await?;
        }
        Ok(bytes)
    }

    /// Reads to the end, at most `limit` bytes.
    pub async fn read_to_end(&mut self, limit: usize) -> Result<Vec<u8>, LinkError> {
        let mut all = Vec::new();
        let mut piece = [0; 4096];
        while let Some(read) = self.read(&mut piece).await? {
            if all.len() + read > limit {
                return Err(frame::FrameError { len: all.len() + read, limit }.into());
            }
            all.extend_from_slice(&piece[..read]);
        }
        Ok(all)
    }

    /// Checks that the peer has ended the stream here.
    pub async fn expect_end(&mut self) -> Result<(), LinkError> {
        match self.read(&mut [0]).await? {
            None => Ok(()),
            Some(_) => Err(LinkError::Trailing),
        }
    }

    /// Tells the peer to send no more, and why.
    pub fn stop(&mut self, code: Code) {
        if !self.done {
            self.inner.stop(code);
            self.done = true;
        }
    }
}

impl Drop for RecvStream {
    fn drop(&mut self) {
        self.stop(Code::CANCELLED);
    }
}

/// Reads frames of one length, such as the reply to an onion packet.
///
/// [`Frames::next`] may be cancelled and called again: what has come of a frame is kept.
#[derive(Debug)]
pub struct Frames {
    recv: RecvStream,
    frame: Vec<u8>,
    filled: usize,
}

impl Frames {
    /// Frames of `len` bytes each.
    pub fn new(recv: RecvStream, len: usize) -> Self {
        Self { recv, frame: vec![0; len], filled: 0 }
    }

    /// The next frame, or `None` when the stream ended after a whole one.
    pub async fn next(&mut self) -> Result<Option<&mut [u8]>, LinkError> {
        while self.filled < self.frame.len() {
            match self.recv.read(&mut self.frame[self.filled..]).await? {
                Some(read) => self.filled += read,
                None if self.filled == 0 => return Ok(None),
                None => return Err(LinkError::Ended),
            }
        }
        self.filled = 0;
        Ok(Some(&mut self.frame))
    }

    /// The link they come in by, for who passes them on.
    pub fn unread(&self) -> Unread {
        self.recv.unread()
    }

    /// Tells the peer to send no more, and why.
    pub fn stop(&mut self, code: Code) {
        self.recv.stop(code);
    }
}
