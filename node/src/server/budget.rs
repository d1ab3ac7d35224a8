//! The memory that a server gives to requests being read, to replies not yet written, and to the
//! frames that relayed replies come back in.
//!
//! What is read is taken as it comes, never on the strength of an announced length, so that whoever
//! sends a few bytes holds little. Beyond the budget the answer is busy. A quarter of it is for what
//! nodes say for themselves, not for what they relay, and one link of a client has a share: so clients
//! are in the way of each other at most.

use std::sync::Arc;

use enjambre_link::{LinkError, Peer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes of one server. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// For everybody.
    common: Arc<Semaphore>,
    /// For what nodes say for themselves, when `common` is used up.
    reserve: Arc<Semaphore>,
}

/// What a link may hold of a server's budget.
#[derive(Clone, Debug)]
pub(super) struct Share {
    first: Arc<Semaphore>,
    second: Option<Arc<Semaphore>>,
    /// Of one client's link.
    link: Option<Arc<Semaphore>>,
}

fn semaphore(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS)))
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        let reserve = bytes / 4;
        Self { common: semaphore(bytes - reserve), reserve: semaphore(reserve) }
    }

    /// The share of a link to `peer`, `client_bytes` at most for a client's.
    pub(super) fn share(&self, peer: Peer, client_bytes: usize) -> Share {
        let first = Arc::clone(&self.common);
        match peer {
            Peer::Node(_) => Share { first, second: Some(Arc::clone(&self.reserve)), link: None },
            Peer::Client => Share { first, second: None, link: Some(semaphore(client_bytes)) },
        }
    }
}

impl Share {
    /// What one request holds: nothing yet.
    pub(super) fn hold(&self) -> Held {
        Held { share: self.clone(), first: None, second: None, link: None }
    }
}

/// Bytes of a server's budget, given back when dropped.
#[derive(Debug)]
pub struct Held {
    share: Share,
    first: Option<OwnedSemaphorePermit>,
    second: Option<OwnedSemaphorePermit>,
    link: Option<OwnedSemaphorePermit>,
}

impl Held {
    /// Takes more bytes.
    ///
    /// # Errors
    ///
    /// `Busy` when there are not as many; what was held before is kept.
    pub fn grow(&mut self, more: usize) -> Result<(), LinkError> {
        let more = u32::try_from(more).map_err(|_| LinkError::Busy)?;
        let of_link = match &self.share.link {
            Some(link) => Some(take(link, more).ok_or(LinkError::Busy)?),
            None => None,
        };
        if let Some(taken) = take(&self.share.first, more) {
            merge(&mut self.first, taken);
        } else {
            let second = self.share.second.as_ref().and_then(|second| take(second, more));
            merge(&mut self.second, second.ok_or(LinkError::Busy)?);
        }
        if let Some(taken) = of_link {
            merge(&mut self.link, taken);
        }
        Ok(())
    }

    /// The same without the reserve: for what is relayed, which comes from clients in the end.
    pub fn relayed(mut self) -> Self {
        self.share.second = None;
        self
    }

    /// Leaves nothing here: what was held is held by what is returned.
    pub fn split(&mut self) -> Self {
        std::mem::replace(self, self.share.hold())
    }
}

fn take(bytes: &Arc<Semaphore>, more: u32) -> Option<OwnedSemaphorePermit> {
    Arc::clone(bytes).try_acquire_many_owned(more).ok()
}

fn merge(held: &mut Option<OwnedSemaphorePermit>, taken: OwnedSemaphorePermit) {
    match held {
        Some(held) => held.merge(taken),
        None => *held = Some(taken),
    }
}

#[cfg(test)]
mod tests {
    use enjambre_protocol::id::NodeId;

    use super::*;

    const NODE: Peer = Peer::Node(NodeId::from_bytes([1; 32]));

    #[test]
    fn what_one_holds_others_have_not_until_it_is_dropped() {
        let budget = Budget::new(16);
        let [mut one, mut other] = [(); 2].map(|()| budget.share(Peer::Client, 16).hold());
        one.grow(4).unwrap();
        one.grow(4).unwrap();
        assert_eq!(other.grow(5), Err(LinkError::Busy));
        other.grow(4).unwrap();
        drop(one);
        other.grow(8).unwrap();
        let before = other.split();
        assert_eq!(other.grow(1), Err(LinkError::Busy));
        drop(before);
        other.grow(12).unwrap();
    }

    #[test]
    fn quarter_is_for_nodes_when_clients_hold_the_rest() {
        let budget = Budget::new(16);
        let mut client = budget.share(Peer::Client, 16).hold();
        client.grow(12).unwrap();
        assert_eq!(client.grow(1), Err(LinkError::Busy));
        let mut node = budget.share(NODE, 0).hold();
        node.grow(3).unwrap();
        assert_eq!(node.grow(2), Err(LinkError::Busy));
        node.grow(1).unwrap();
        assert_eq!(budget.share(NODE, 0).hold().grow(1), Err(LinkError::Busy));
        drop(client);
        assert_eq!(budget.share(Peer::Client, 16).hold().grow(13), Err(LinkError::Busy));
        node.grow(12).unwrap();
        drop(node);
        // What a node relays is a client's.
        let mut relayed = budget.share(NODE, 0).hold().relayed();
        relayed.grow(12).unwrap();
        assert_eq!(relayed.grow(1), Err(LinkError::Busy));
        assert_eq!(relayed.split().share.hold().grow(1), Err(LinkError::Busy));
    }

    #[test]
    fn link_of_a_client_has_its_share_for_all_its_requests() {
        let budget = Budget::new(16);
        let share = budget.share(Peer::Client, 4);
        let [mut one, mut two] = [(); 2].map(|()| share.hold());
        one.grow(3).unwrap();
        assert_eq!(two.grow(2), Err(LinkError::Busy));
        // What was refused is held by nobody.
        two.grow(1).unwrap();
        assert_eq!(two.grow(1), Err(LinkError::Busy));
        drop(one);
        two.grow(3).unwrap();
        let mut others = budget.share(Peer::Client, 16).hold();
        others.grow(8).unwrap();
        assert_eq!(others.grow(1), Err(LinkError::Busy));
    }
}
