//! Single requests for load measurements: the smallest one, one message stored, and a question for
//! messages where there are none.
//!
//! Behind the feature `probe`, for `examples/load.rs`. They take the way of every other request
//! (three hops, a packet of its own, receipts checked) and leave out what an account adds: no home
//! is written, nothing is sealed end to end.

use std::sync::Arc;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::identity::{AccountId, AccountKey, AccountSeed, Rights, SubAccountToken};
use enjambre_protocol::mailbox::{
    Author, Authorization, Call, Mutation, Namespace, Op, Reply, RetrieveCall, Scope,
};
use enjambre_protocol::onion::SizeClass;
use enjambre_protocol::path::IsolationKey;
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::swarm::point;
use rand::Rng;

use crate::client::{Client, DEADLINE};
use crate::deadline::Deadline;
use crate::error::Error;
use crate::net::{Net, NetError, Terms, Waits};
use crate::send::record_call;
use crate::system;

/// Bytes of records asked for in a poll.
const PAGE_BYTES: u32 = 1 << 20;

/// Bytes of an answer that carries no document.
const REPLY_MAX: usize = 64 << 10;

/// Sends requests through a client's paths. Clones share its links.
#[derive(Clone, Debug)]
pub struct Probe {
    net: Arc<Net>,
}

/// Who asks for an account's messages, and by which key.
#[derive(Debug)]
pub struct Poller {
    account: AccountKey,
    /// A device's key with its token; none where the account's own key signs.
    device: Option<(SecretKey, SubAccountToken)>,
}

impl Poller {
    /// By the account's own key: the node checks one signature.
    pub fn owner(seed: &AccountSeed) -> Self {
        Self { account: seed.key(), device: None }
    }

    /// By a device with a token of the account, as clients ask: the node checks two.
    pub fn device(seed: &AccountSeed, network: &NetworkId) -> Self {
        let (account, key) = (seed.key(), SecretKey::from_seed(&[0xde; 32]));
        let token = SubAccountToken::issue(&account, network, key.public(), Rights::ALL, 0);
        Self { account, device: Some((key, token)) }
    }

    /// Whose messages.
    pub fn account(&self) -> AccountId {
        self.account.id()
    }

    fn authorise(&self, network: &NetworkId, namespace: Namespace) -> Authorization {
        let public = self.account.public();
        let (key, author) = match &self.device {
            None => (self.account.signer(), Author::Owner(public)),
            Some((key, token)) => (key, Author::SubAccount { account: public, token: *token }),
        };
        let (account, scope) = (self.account(), Scope::One(namespace));
        Mutation::signed(key, author, network, &account, scope, system::now(), Op::Retrieve).by
    }
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

    /// The network.
    pub fn network(&self) -> NetworkId {
        *self.net.network()
    }

    /// The members that answer for an account.
    pub fn members(&self, account: AccountId) -> Vec<NodeId> {
        let Some(newest) = self.net.newest() else { return Vec::new() };
        let route = newest.document().swarms.route(point(account.key()));
        let stable = route.map(|route| route.stable.stable.iter().map(|member| member.node));
        stable.map(Iterator::collect).unwrap_or_default()
    }

    /// How many members each swarm has, ascending.
    pub fn swarm_sizes(&self) -> Vec<usize> {
        let Some(newest) = self.net.newest() else { return Vec::new() };
        let swarms = &newest.document().swarms.configurations;
        let mut sizes: Vec<usize> = swarms.iter().map(|swarm| swarm.stable.len()).collect();
        sizes.sort_unstable();
        sizes
    }

    /// Asks `member` for the messages of an account that has none.
    pub async fn poll(&self, lane: u64, poller: &Poller, member: NodeId) -> Result<(), Error> {
        let namespace = Namespace::INBOX;
        let by = Some(poller.authorise(self.net.network(), namespace));
        let (account, max_bytes) = (poller.account(), PAGE_BYTES);
        let call = RetrieveCall { account, namespace, after: None, max_bytes, by };
        let lane = IsolationKey::new(&lane.to_le_bytes(), member.as_bytes(), "probe");
        let class = SizeClass::K2;
        let (call, deadline) = (Call::Retrieve(call), Deadline::after(DEADLINE));
        match self.net.call(&lane, member, call, Waits::Read, class, deadline).await? {
            (Reply::Retrieved(page), _) if page.items.is_empty() => Ok(()),
            _ => Err(NetError::Malformed.into()),
        }
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
