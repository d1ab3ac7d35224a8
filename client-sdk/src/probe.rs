//! Single requests for load measurements: the smallest one, and one message stored.
//!
//! Behind the feature `probe`, for `examples/load.rs`. They take the way of every other request
//! (three hops, a packet of its own, receipts checked) and leave out what an account adds: no home
//! is written, nothing is sealed end to end.

use std::sync::Arc;

use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::identity::AccountId;
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use rand::Rng;

use crate::client::{Client, DEADLINE};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::net::{Net, NetError, Terms, Waits};
use crate::send::record_call;

/// Bytes of an answer that carries no document.
const REPLY_MAX: usize = 64 << 10;

/// Sends requests through a client's paths. Clones share its links.
#[derive(Clone, Debug)]
pub struct Probe {
    net: Arc<Net>,
}

impl Client {
    /// A probe over this client's paths, with a directory at hand.
    pub async fn probe(&self) -> Result<Probe, Error> {
        let deadline = self.deadline();
        let net = self.net(deadline).await?;
        net.ensure_fresh(deadline).await?;
        Ok(Probe { net })
    }
}

impl Probe {
    /// The nodes of the directory, each a possible destination.
    pub fn nodes(&self) -> Vec<NodeId> {
        let newest = self.net.newest();
        newest.map_or_else(Vec::new, |newest| {
            newest.document().nodes.iter().map(|node| node.id).collect()
        })
    }

    /// Asks `destination` whether it has a newer directory than there can be: a request and an
    /// answer of one frame each, of the smallest class. Requests of one `lane` share their hops.
    pub async fn request(&self, lane: u64, destination: NodeId) -> Result<(), Error> {
        let key = IsolationKey::new(&lane.to_le_bytes(), destination.as_bytes(), "probe");
        let request = DirectoryRequest::Latest { above: u64::MAX, base: None };
        let request = ServiceRequest::Directory(Box::new(request));
        let terms = Terms {
            waits: Waits::Read,
            reply_class: SizeClass::K2,
            reply_max: REPLY_MAX,
            deadline: Deadline::after(DEADLINE),
        };
        let answer = self.net.request(&key, destination, &request, terms).await?;
        match answer.reply {
            ServiceReply::Directory(reply)
                if matches!(*reply, DirectoryReply::Unchanged { .. }) =>
            {
                Ok(())
            }
            _ => Err(NetError::Malformed.into()),
        }
    }

    /// Stores `len` random bytes in an account's inbox; returns when a majority of its swarm has
    /// signed that they are on disk.
    pub async fn store(&self, lane: u64, account: &AccountId, len: usize) -> Result<(), Error> {
        let mut data = vec![0; len];
        self.net.with_rng(|rng| rng.fill_bytes(&mut data));
        let key = IsolationKey::new(&lane.to_le_bytes(), &account.to_bytes(), "probe");
        let (call, subject) = record_call(account, data, &self.net);
        self.net.write(&key, &subject, &call, Deadline::after(DEADLINE)).await?;
        Ok(())
    }
}
