//! What a caller can do about an error.

use crate::time::Timestamp;

/// The answer every error of this crate gives to "what now?".
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Retry {
    /// The same request will fail again, wherever it is sent.
    Never,
    /// Another member or node may answer.
    Elsewhere,
    /// The same request may succeed later, after a back-off.
    Later,
    /// The same request may succeed from the stated time on.
    At(Timestamp),
}
