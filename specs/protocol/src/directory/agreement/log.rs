//! The write-ahead log: what an authority must remember to never contradict itself.
//!
//! Logged is what the engine was told from outside, in order, and what was signed. The engine is a
//! function of the former, so replaying the log brings back round, lock and votes; what was signed
//! is kept beside it, so that even a changed engine could not sign something else.

use serde::{Deserialize, Serialize};

use super::engine::Wait;
use super::message::{Polka, SignedVote, Vote};
use crate::crypto::Signed;
use crate::id::Digest;
use crate::limits::{AGREEMENT_MAX, DIRECTORY_MAX};
use crate::wire;

/// Bytes of an entry: a proposal and the document it gives.
const ENTRY_MAX: usize = AGREEMENT_MAX + DIRECTORY_MAX + 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Entry {
    /// A descriptor that our next report names: whoever reads the report may ask for it.
    Descriptor(Signed),
    /// A height began, with our report.
    Start { height: u64, previous: Digest, report: Signed },
    /// We propose this.
    Value { round: u32, list: Vec<Signed>, document: Vec<u8> },
    /// A proposal came and was evaluated.
    Proposal { head: Signed, body: Body },
    /// A vote of another came.
    Vote(SignedVote),
    /// k prevotes came as one.
    Polka(Polka),
    /// A wait was over.
    Timeout { wait: Wait, round: u32 },
    /// We signed a vote.
    Signed(Vote),
}

/// What a logged proposal contains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Body {
    /// Its list gives no document, or another value.
    Invalid,
    /// Its list was in an earlier entry.
    Known,
    /// Its list and the document.
    New { list: Vec<Signed>, document: Vec<u8> },
}

/// An entry of the write-ahead log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry(pub(super) Entry);

impl LogEntry {
    /// The bytes to store.
    pub fn encode(&self) -> Vec<u8> {
        wire::encode(&self.0)
    }

    /// Reads stored bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, wire::DecodeError> {
        wire::decode(bytes, ENTRY_MAX).map(Self)
    }
}
