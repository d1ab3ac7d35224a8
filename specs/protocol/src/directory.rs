//! The directory: a chain of signed documents that says who the nodes are and which swarm each
//! is in.
//!
//! A few authorities run by different people agree on each document. What they agree on is a
//! list of signed [`Report`]s; the document is a pure function of the previous document and of
//! that list ([`derive()`]), so every authority, a model check and the simulator compute the same
//! one. A document is valid when k of the n authorities of the [`Genesis`] signed its value id.
//!
//! How they agree is in [`agreement`]. Not here: its transport (the node crate), and which node a
//! client chooses ([`crate::path`]). Specified in 02 directory.
//!
//! # Invariants
//!
//! - *Pure*: a document is a function of its predecessor and the decided list, and of nothing else.
//! - *Bounded*: what is decoded has at most the sizes of [`crate::limits`].
//! - *Chain*: a document names the digest of its predecessor, and its height is one more.

pub mod agreement;
mod certificate;
mod derive;
mod descriptor;
mod diff;
mod document;
mod genesis;
mod network;
mod report;
mod rpc;
#[cfg(test)]
mod tests;

pub use certificate::{
    Certificate, CertificateEntry, PrecommitVote, SignedDocument, ValueId, VerifiedDocument,
    VerifyError, list_digest,
};
pub use derive::{DeriveError, derive};
pub use descriptor::{Descriptor, DescriptorError, DescriptorParts, NodeState};
pub use diff::{DiffError, DocumentDiff};
pub use document::{Document, DocumentError, NodeEntry};
pub use genesis::{
    AuthorityEntry, Genesis, GenesisError, NetworkFile, Params, threshold, tolerated,
};
pub use network::{CardError, Contact, NetworkCard};
pub use report::{Report, ReportError};
pub use rpc::{DirectoryReply, DirectoryRequest};
