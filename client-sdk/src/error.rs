//! The one error of the SDK: opaque, with a kind, what can be done, and a sentence.
//!
//! Callers branch on [`Error::kind`] and [`Error::retry`]; people read the `Display` text, which is
//! one sentence that says what to do next. The causes stay reachable by `source`.

use std::error::Error as StdError;
use std::fmt;

use enjambre_protocol::Retry;
use serde::{Serialize, Serializer};

/// What went wrong, in kebab-case where scripts read it. More may be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A card, id, phrase, name or option is not one.
    InvalidInput,
    /// This home has no account yet.
    NoAccount,
    /// This home has an account already.
    AccountExists,
    /// The account was made, but its keys are not published yet.
    NotPublished,
    /// No network was joined.
    NoNetwork,
    /// A card or file belongs to another network than this home.
    OtherNetwork,
    /// No contact has this name or id.
    UnknownContact,
    /// Another contact has this name.
    NameTaken,
    /// A contact shows other keys than those remembered.
    ContactChanged,
    /// No message has this id.
    UnknownMessage,
    /// Another process holds what is needed of this home for too long.
    HomeInUse,
    /// The home or a file in it cannot be used as it is.
    HomeUnusable,
    /// The database was written by a newer version of this program.
    StoreNewer,
    /// The key in the home does not open the database.
    StoreKey,
    /// The database failed.
    StoreFailed,
    /// A picture holds no code that can be read, or several.
    QrUnreadable,
    /// A text is too long for a code.
    QrTooLong,
    /// A file cannot be read or written.
    File,
    /// A text or a file is larger than can be sent.
    TooLarge,
    /// The network has too few nodes for a path.
    TooFewNodes,
    /// No node could be reached.
    Unreachable,
    /// This system's clock and that of the network differ.
    Clock,
    /// The recipient's keys could not be had from a majority of its swarm.
    NoKeys,
    /// No majority of the swarm has confirmed it; it may have arrived all the same.
    NotConfirmed,
    /// The swarm's nodes are out of disk space.
    Disk,
    /// The swarm refused it.
    Refused,
}

impl ErrorKind {
    /// The name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid-input",
            Self::NoAccount => "no-account",
            Self::AccountExists => "account-exists",
            Self::NotPublished => "not-published",
            Self::NoNetwork => "no-network",
            Self::OtherNetwork => "other-network",
            Self::UnknownContact => "unknown-contact",
            Self::NameTaken => "name-taken",
            Self::ContactChanged => "contact-changed",
            Self::UnknownMessage => "unknown-message",
            Self::HomeInUse => "home-in-use",
            Self::HomeUnusable => "home-unusable",
            Self::StoreNewer => "store-newer",
            Self::StoreKey => "store-key",
            Self::StoreFailed => "store-failed",
            Self::QrUnreadable => "qr-unreadable",
            Self::QrTooLong => "qr-too-long",
            Self::File => "file",
            Self::TooLarge => "too-large",
            Self::TooFewNodes => "too-few-nodes",
            Self::Unreachable => "unreachable",
            Self::Clock => "clock",
            Self::NoKeys => "no-keys",
            Self::NotConfirmed => "not-confirmed",
            Self::Disk => "disk",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why an operation of the SDK failed.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    retry: Retry,
    text: String,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error that trying again does not help. `text` is one sentence that says what to do.
    pub fn new(kind: ErrorKind, text: impl Into<String>) -> Self {
        let text = text.into();
        Self(Box::new(Inner { kind, retry: Retry::Never, text, source: None }))
    }

    /// States what can be done.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Keeps the cause.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What can be done.
    pub fn retry(&self) -> Retry {
        self.0.retry
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.text)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, retry, text, source } = &*self.0;
        f.debug_struct("Error")
            .field("kind", kind)
            .field("retry", retry)
            .field("text", text)
            .field("source", source)
            .finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_says_its_sentence_and_keeps_its_cause() {
        let error = Error::new(ErrorKind::File, "cannot read `a`: name another file")
            .with_retry(Retry::Later)
            .with_source(std::io::Error::other("broken"));
        assert_eq!(error.to_string(), "cannot read `a`: name another file");
        assert_eq!((error.kind(), error.retry()), (ErrorKind::File, Retry::Later));
        assert_eq!(error.source().map(ToString::to_string), Some("broken".to_owned()));
    }

    #[test]
    fn kinds_are_kebab_case_in_json() {
        let json = serde_json::to_string(&ErrorKind::UnknownContact).ok();
        assert_eq!(json.as_deref(), Some("\"unknown-contact\""));
    }
}
