//! What comes out of the machine: messages to send, events, and why a message was refused.

use super::message::{AgreementMessage, SignedVote};
use crate::crypto::{BadSignature, Signed};
use crate::directory::{ReportError, SignedDocument};
use crate::id::AuthorityId;
use crate::wire;

/// Why a message is not accepted. All but the first are misdeeds of the author or the sender.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// The sender is no authority of this network.
    #[error("the sender is no authority of this network")]
    Stranger,
    /// Not an encoding.
    #[error(transparent)]
    Decode(#[from] wire::DecodeError),
    /// Not signed by whom it names.
    #[error(transparent)]
    Signature(#[from] BadSignature),
    /// Not a report.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Its parts contradict each other or the chain.
    #[error("the message contradicts itself or the chain of documents")]
    Inconsistent,
    /// More than is kept or answered.
    #[error("more than is kept of one authority")]
    TooMany,
}

/// The key is not that of an authority of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this key is no authority of the network")]
pub struct NotAnAuthority;

/// To whom a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipient {
    /// To every other authority.
    Others,
    /// To one.
    One(AuthorityId),
}

/// A message to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementTransmit {
    /// To whom.
    pub to: Recipient,
    /// What.
    pub message: AgreementMessage,
}

/// Two things that an honest authority never signs both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// Two reports of one height: void for our proposals.
    Reports(Signed, Signed),
    /// The heads of two proposals of one round.
    Proposals(Signed, Signed),
    /// Two votes of one kind in one round.
    Votes(SignedVote, SignedVote),
}

/// What the authority must hear of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AgreementEvent {
    /// A height is decided. Keep the document, then give it to
    /// `AgreementMachine::handle_document`.
    Decided {
        /// The document and its certificate.
        document: SignedDocument,
        /// The decided list of signed reports.
        reports: Vec<Signed>,
    },
    /// Another authority is at a greater height: fetch the documents in between.
    Behind {
        /// The other.
        authority: AuthorityId,
        /// Its height.
        height: u64,
    },
    /// An authority contradicted itself; told once for each authority and height.
    Misbehaviour {
        /// Who.
        authority: AuthorityId,
        /// The proof.
        evidence: Box<Evidence>,
    },
}
