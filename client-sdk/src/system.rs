//! The system's clock and randomness: the only place where the SDK reads either.

use std::time::{SystemTime, UNIX_EPOCH};

use enjambre_protocol::Retry;
use enjambre_protocol::time::Timestamp;
use rand::SeedableRng;
use rand::rngs::{StdRng, SysRng};

use crate::error::{Error, ErrorKind};

/// Calendar time by the system's clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A generator seeded by the system.
pub(crate) fn rng() -> Result<StdRng, Error> {
    StdRng::try_from_rng(&mut SysRng).map_err(|error| {
        let text = "the system gives no random numbers: try again later";
        Error::new(ErrorKind::HomeUnusable, text).with_retry(Retry::Later).with_source(error)
    })
}
