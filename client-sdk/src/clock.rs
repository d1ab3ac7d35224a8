//! The system's clock, read here and nowhere else in this crate.

use std::time::{SystemTime, UNIX_EPOCH};

use enjambre_protocol::time::Timestamp;

/// Calendar time now.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
