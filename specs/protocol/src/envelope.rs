//! What two people's devices say to each other, sealed so that the network learns nothing of it.
//!
//! A message becomes one stored record of one of three sizes: a body sealed once, and slots that
//! each give one device of the recipient the body's key. Files are cut into sealed chunks of one
//! size, stored apart, and named in the message. Not here: the ratchet, for which slots have room,
//! and delivery. Specified in 07 end to end.
//!
//! # Invariants
//!
//! - *Three sizes*: a record's length is one of [`BUCKETS`], whatever is in it; its slot count
//!   follows from its length, and unused slots cannot be told from used ones.
//! - *Nothing before its checks*: [`open`] returns content only after its whole chain of signatures
//!   held: account, device list, device, content, recipient.
//! - *One key, one use*: a body key seals one body, a file key one file.

mod content;
mod file;
mod file_name;
mod hpke_slot;
mod kem;
mod padding;
mod seal;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod vectors;

pub use content::{
    Content, ContentError, ConversationId, FILES_MAX, Kind, MessageId, RECEIPT_MAX, ReceiptState,
    SignedContent, TEXT_MAX,
};
pub use file::{
    CHUNK_COUNTS, CHUNK_DATA, CHUNK_LEN, ChunkId, FILE_MAX, FileError, FileRef, FileSealer,
    SealedChunk,
};
pub use file_name::{FileName, FileNameError};
pub use hpke_slot::{SLOT_LEN, SLOT_PLAINTEXT};
pub use kem::{KemError, KemPublic, KemSecret};
pub use padding::{BUCKETS, Bucket, STORE_OVERHEAD};
pub use seal::{Address, DeviceOpener, OpenError, Opened, SealError, open, seal};
