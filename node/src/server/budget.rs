//! The memory that a server gives to requests being read and to replies not yet written.
//!
//! What is taken is taken as it is needed, never on the strength of an announced length, so that whoever
//! sends a few bytes holds little. Beyond the budget the answer is busy.

use std::sync::Arc;

use enjambre_link::LinkError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of one server. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    /// What one request holds: nothing yet.
    pub(super) fn hold(&self) -> Held {
        Held { budget: self.clone(), bytes: None }
    }
}

/// Bytes of a server's budget, given back when dropped.
#[derive(Debug)]
pub struct Held {
    budget: Budget,
    bytes: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes more bytes.
    ///
    /// # Errors
    ///
    /// `Busy` when there are not as many; what was held before is kept.
    pub fn grow(&mut self, more: usize) -> Result<(), LinkError> {
        let more = u32::try_from(more).map_err(|_| LinkError::Busy)?;
        let free = Arc::clone(&self.budget.0);
        let taken = free.try_acquire_many_owned(more).map_err(|_| LinkError::Busy)?;
        match &mut self.bytes {
            Some(bytes) => bytes.merge(taken),
            None => self.bytes = Some(taken),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_holds_others_have_not_until_it_is_dropped() {
        let budget = Budget::new(10);
        let (mut one, mut other) = (budget.hold(), budget.hold());
        one.grow(4).unwrap();
        one.grow(4).unwrap();
        assert_eq!(other.grow(3), Err(LinkError::Busy));
        other.grow(2).unwrap();
        drop(one);
        other.grow(8).unwrap();
    }
}
