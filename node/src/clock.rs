//! The system's clocks, read here and nowhere else in this crate.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use enjambre_protocol::time::{Instant, Timestamp};

/// Calendar time now.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Time since the process first asked.
pub fn instant() -> Instant {
    static START: OnceLock<std::time::Instant> = OnceLock::new();
    let since = START.get_or_init(std::time::Instant::now).elapsed();
    Instant::START.saturating_add(since)
}
