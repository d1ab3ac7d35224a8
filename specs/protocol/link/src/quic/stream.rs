//! The halves of a QUIC stream.

use enjambre_protocol::link::Code;

use super::convert::{code, of_connection, varint};
use crate::error::LinkError;

#[derive(Debug)]
pub(crate) struct Send(quinn::SendStream);

impl Send {
    pub(super) const fn new(inner: quinn::SendStream) -> Self {
        Self(inner)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<usize, LinkError> {
        self.0.write(bytes).await.map_err(|error| match error {
            quinn::WriteError::Stopped(number) => LinkError::of_reset(code(number)),
            quinn::WriteError::ConnectionLost(error) => of_connection(&error),
            quinn::WriteError::ClosedStream | quinn::WriteError::ZeroRttRejected => {
                LinkError::Finished
            }
        })
    }

    pub(crate) fn finish(&mut self) -> Result<(), LinkError> {
        self.0.finish().map_err(|_| LinkError::Finished)
    }

    pub(crate) fn reset(&mut self, code: Code) {
        // Only fails where the stream is over already.
        let _ = self.0.reset(varint(code));
    }

    pub(crate) async fn delivered(&mut self) -> Result<(), LinkError> {
        match self.0.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(number)) => Err(LinkError::of_reset(code(number))),
            Err(quinn::StoppedError::ConnectionLost(error)) => Err(of_connection(&error)),
            Err(quinn::StoppedError::ZeroRttRejected) => Err(LinkError::Finished),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Recv(quinn::RecvStream);

impl Recv {
    pub(super) const fn new(inner: quinn::RecvStream) -> Self {
        Self(inner)
    }

    pub(crate) async fn read(&mut self, out: &mut [u8]) -> Result<Option<usize>, LinkError> {
        self.0.read(out).await.map_err(|error| match error {
            quinn::ReadError::Reset(number) => LinkError::of_reset(code(number)),
            quinn::ReadError::ConnectionLost(error) => of_connection(&error),
            quinn::ReadError::ClosedStream
            | quinn::ReadError::IllegalOrderedRead
            | quinn::ReadError::ZeroRttRejected => LinkError::Finished,
        })
    }

    pub(crate) fn stop(&mut self, code: Code) {
        // Only fails where the stream is over already.
        let _ = self.0.stop(varint(code));
    }
}
