//! Why a member did not do what it was asked.

use serde::{Deserialize, Serialize};

use crate::mailbox::StorageError;
use crate::retry::Retry;
use crate::time::Timestamp;

/// The kinds of [`MailboxError`], without their fields: what scripts and clients switch on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// See [`MailboxError::WrongSwarm`].
    WrongSwarm,
    /// See [`MailboxError::OldConfiguration`].
    OldConfiguration,
    /// See [`MailboxError::NotReady`].
    NotReady,
    /// See [`MailboxError::Ttl`].
    Ttl,
    /// See [`MailboxError::TooLarge`].
    TooLarge,
    /// See [`MailboxError::Clock`].
    Clock,
    /// See [`MailboxError::Unauthorised`].
    Unauthorised,
    /// See [`MailboxError::Quota`].
    Quota,
    /// See [`MailboxError::Disk`].
    Disk,
    /// See [`MailboxError::StoreFailed`].
    StoreFailed,
    /// See [`MailboxError::Deleted`].
    Deleted,
    /// See [`MailboxError::Superseded`].
    Superseded,
    /// See [`MailboxError::NotFound`].
    NotFound,
    /// See [`MailboxError::NotConfirmed`].
    NotConfirmed,
    /// See [`MailboxError::Busy`].
    Busy,
    /// See [`MailboxError::Malformed`].
    Malformed,
}

impl ErrorKind {
    /// The name in kebab case, as it stands in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::WrongSwarm => "wrong-swarm",
            Self::OldConfiguration => "old-configuration",
            Self::NotReady => "not-ready",
            Self::Ttl => "ttl",
            Self::TooLarge => "too-large",
            Self::Clock => "clock",
            Self::Unauthorised => "unauthorised",
            Self::Quota => "quota",
            Self::Disk => "disk",
            Self::StoreFailed => "store-failed",
            Self::Deleted => "deleted",
            Self::Superseded => "superseded",
            Self::NotFound => "not-found",
            Self::NotConfirmed => "not-confirmed",
            Self::Busy => "busy",
            Self::Malformed => "malformed",
        }
    }
}

/// Why too few members confirmed a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Unconfirmed {
    /// The others did not answer in time, or could not be reached.
    NoAnswer,
    /// At least one refused; this is the first refusal.
    Refused(ErrorKind),
}

/// Why a member did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum MailboxError {
    /// The account's point belongs to another swarm.
    #[error("this account's mailbox is in another swarm: fetch directory height {height}")]
    WrongSwarm {
        /// The newest directory height the member knows.
        height: u64,
    },
    /// A member spoke for an older configuration of the swarm.
    #[error("this swarm has a newer configuration, {number}: fetch directory height {height}")]
    OldConfiguration {
        /// The configuration in force.
        number: u32,
        /// The newest directory height the member knows.
        height: u64,
    },
    /// The member has joined or restarted and has not caught up.
    #[error("this node is still catching up: ask another member")]
    NotReady,
    /// The lifetime is not allowed in this namespace.
    #[error("a lifetime of {secs} s is not allowed here")]
    Ttl {
        /// What was asked for, seconds.
        secs: u32,
    },
    /// More than a record, a list or a batch may hold.
    #[error("{len} where at most {limit} are accepted")]
    TooLarge {
        /// What was sent: bytes or entries.
        len: u64,
        /// What is accepted.
        limit: u64,
    },
    /// The signed time lies outside the window around the member's clock.
    #[error("the signed time is more than a minute off; this node's clock says {member}")]
    Clock {
        /// The member's clock.
        member: Timestamp,
    },
    /// A signature is missing or does not hold, or a token lacks the right or is revoked.
    #[error("not authorised")]
    Unauthorised,
    /// The account's share is used up.
    #[error("the account's share of this node is used up")]
    Quota,
    /// The node is out of room.
    #[error("this node is out of disk space: ask another member")]
    Disk,
    /// The node's disk or database failed.
    #[error("this node's store failed: ask another member")]
    StoreFailed,
    /// The owner has deleted this record.
    #[error("the owner has deleted this record")]
    Deleted,
    /// The outbox holds a newer value.
    #[error("the outbox holds a newer value, signed at {newest}")]
    Superseded {
        /// The signed time of the newer value.
        newest: Timestamp,
    },
    /// No such record or chunk here.
    #[error("not found")]
    NotFound,
    /// Fewer members than needed have it on disk; it may still be kept.
    #[error("only {confirmed} of {needed} needed members confirmed")]
    NotConfirmed {
        /// Members that confirmed, of the set that falls short.
        confirmed: u16,
        /// Members needed, of that set.
        needed: u16,
        /// Why the others did not.
        reason: Unconfirmed,
    },
    /// The member has too much to do.
    #[error("this node is busy")]
    Busy,
    /// Not a request.
    #[error("malformed request")]
    Malformed,
}

impl MailboxError {
    /// The kind, without fields.
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::WrongSwarm { .. } => ErrorKind::WrongSwarm,
            Self::OldConfiguration { .. } => ErrorKind::OldConfiguration,
            Self::NotReady => ErrorKind::NotReady,
            Self::Ttl { .. } => ErrorKind::Ttl,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Clock { .. } => ErrorKind::Clock,
            Self::Unauthorised => ErrorKind::Unauthorised,
            Self::Quota => ErrorKind::Quota,
            Self::Disk => ErrorKind::Disk,
            Self::StoreFailed => ErrorKind::StoreFailed,
            Self::Deleted => ErrorKind::Deleted,
            Self::Superseded { .. } => ErrorKind::Superseded,
            Self::NotFound => ErrorKind::NotFound,
            Self::NotConfirmed { .. } => ErrorKind::NotConfirmed,
            Self::Busy => ErrorKind::Busy,
            Self::Malformed => ErrorKind::Malformed,
        }
    }

    /// What the caller can do. A write that is not confirmed may be sent again as it is: the same
    /// record twice is one record.
    pub const fn retry(&self) -> Retry {
        match self {
            Self::WrongSwarm { .. }
            | Self::OldConfiguration { .. }
            | Self::NotReady
            | Self::Disk
            | Self::StoreFailed
            | Self::NotFound => Retry::Elsewhere,
            Self::NotConfirmed { .. } | Self::Busy | Self::Quota | Self::Clock { .. } => {
                Retry::Later
            }
            Self::Ttl { .. }
            | Self::TooLarge { .. }
            | Self::Unauthorised
            | Self::Deleted
            | Self::Superseded { .. }
            | Self::Malformed => Retry::Never,
        }
    }
}

impl From<StorageError> for MailboxError {
    fn from(error: StorageError) -> Self {
        match error {
            StorageError::Full { .. } => Self::Disk,
            StorageError::Failed { .. } | StorageError::Damaged { .. } => Self::StoreFailed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_of_a_kind_is_what_stands_in_json() {
        for kind in [ErrorKind::WrongSwarm, ErrorKind::NotConfirmed, ErrorKind::Ttl] {
            let json = serde_json::to_value(kind).ok();
            assert_eq!(json.as_ref().and_then(|v| v.as_str()), Some(kind.name()));
        }
    }
}
