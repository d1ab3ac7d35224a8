//! A client that chooses every hop and sees every answer: requests over three hops to one node, by
//! what apps use underneath.
//!
//! The SDK asks a swarm and tells what came of it. Whether a certain member holds a certain message
//! is for tests that speak to that member.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Mutex;
use std::time::Duration;

use enjambre_link::{Endpoint, Frames, Identity, Link, LinkConfig, LinkError};
use enjambre_node::directory::fetch_latest;
use enjambre_protocol::directory::{Genesis, NodeEntry};
use enjambre_protocol::id::{NetworkId, NodeId, StoreId};
use enjambre_protocol::identity::AccountKey;
use enjambre_protocol::link::StreamHead;
use enjambre_protocol::mailbox::{
    Author, Call, MailboxError, MessageHash, Mutation, Namespace, Op, Reply, Request, Response,
    Rest, RetrieveCall, Scope,
};
use enjambre_protocol::onion::{
    HopTarget, Item, Packet, ReplyAssembler, ReplyOpener, SizeClass, build,
};
use enjambre_protocol::service::{ServiceReply, ServiceRequest};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha20Rng;

/// Bytes of an answer that are read: a full page and its fields.
const REPLY_MAX: usize = 2 << 20;

/// How long an answer may take: longer than any deadline on the way.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Why a request was not answered.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The way there or back failed.
    Way(String),
    /// The member refused.
    Mailbox(MailboxError),
}

#[derive(Clone, Debug)]
struct Listed {
    hop: HopTarget,
    addresses: Vec<SocketAddr>,
    store: StoreId,
}

/// A client with a directory of its own, as it was when the client was made.
#[derive(Debug)]
pub(crate) struct OnionClient {
    network: NetworkId,
    endpoint: Endpoint,
    nodes: BTreeMap<NodeId, Listed>,
    links: Mutex<BTreeMap<NodeId, Link>>,
}

/// A packet, its guard, and what opens the answer.
pub(crate) struct Sealed {
    guard: NodeId,
    packet: Packet,
    opener: ReplyOpener,
}

impl OnionClient {
    /// Fetches the newest document.
    pub(crate) async fn new(genesis: &Genesis) -> Self {
        let newest = fetch_latest(genesis).await.unwrap();
        let nodes = newest.document().nodes.iter().map(|node| {
            let (hop, addresses) = (hop_of(node), node.addresses.clone());
            (node.id, Listed { hop, addresses, store: node.store })
        });
        let any = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let endpoint = Endpoint::bind(any, Identity::Client, LinkConfig::client()).unwrap();
        Self {
            network: genesis.network(),
            endpoint,
            nodes: nodes.collect(),
            links: Mutex::new(BTreeMap::new()),
        }
    }

    /// The network.
    pub(crate) const fn network(&self) -> &NetworkId {
        &self.network
    }

    /// The nodes of the document.
    pub(crate) fn nodes(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// The database of each node, as the document names it.
    pub(crate) fn stores(&self) -> BTreeMap<NodeId, StoreId> {
        self.nodes.iter().map(|(node, listed)| (*node, listed.store)).collect()
    }

    /// Seals a request to `to` over three others; all of it follows from the generator's state and
    /// the minute.
    pub(crate) fn seal(
        &self,
        rng: &mut ChaCha20Rng,
        to: NodeId,
        request: &Request,
        reply_class: SizeClass,
        minute: u32,
    ) -> Sealed {
        let request = wire::encode(&ServiceRequest::Mailbox(request.clone()));
        let mut others: Vec<NodeId> = self.nodes().into_iter().filter(|node| *node != to).collect();
        others.shuffle(rng);
        let path = [others[0], others[1], others[2], to].map(|node| self.nodes[&node].hop);
        let class = SizeClass::for_request(request.len()).unwrap();
        let (packet, opener) =
            build(rng, &self.network, &path, class, reply_class, minute, &request).unwrap();
        Sealed { guard: path[0].node, packet, opener }
    }

    /// Sends a packet and reads what is answered, by whomever.
    pub(crate) async fn item(&self, sealed: Sealed) -> Result<Item, LinkError> {
        let sent = tokio::time::timeout(ANSWER_WITHIN, self.try_send(sealed)).await;
        sent.unwrap_or(Err(LinkError::Unreachable))
    }

    /// Sends a packet and reads the answer of its destination.
    pub(crate) async fn send(&self, sealed: Sealed) -> Result<Response, Failure> {
        let item = self.item(sealed).await.map_err(|error| Failure::Way(error.to_string()))?;
        let Item::Reply(reply) = item else { return Err(Failure::Way(format!("{item:?}"))) };
        match wire::decode(&reply, REPLY_MAX) {
            Ok(ServiceReply::Mailbox(response)) => Ok(response),
            other => Err(Failure::Way(format!("{other:?}"))),
        }
    }

    async fn try_send(&self, sealed: Sealed) -> Result<Item, LinkError> {
        let Sealed { guard, packet, opener } = sealed;
        exchange(&self.link(guard).await?, &packet, opener, REPLY_MAX).await
    }

    async fn link(&self, node: NodeId) -> Result<Link, LinkError> {
        let known = self.links.lock().unwrap().get(&node).cloned();
        if let Some(link) = known.filter(|link| link.close_reason().is_none()) {
            return Ok(link);
        }
        let link = self.endpoint.connect(node, &self.nodes[&node].addresses).await?;
        self.links.lock().unwrap().insert(node, link.clone());
        Ok(link)
    }

    /// One call to one node.
    pub(crate) async fn call(
        &self,
        rng: &mut ChaCha20Rng,
        to: NodeId,
        call: Call,
    ) -> Result<Reply, Failure> {
        let reply_class = match call {
            Call::Retrieve(_) => SizeClass::K32,
            _ => SizeClass::K2,
        };
        let request = Request::One(Box::new(call));
        let sealed = self.seal(rng, to, &request, reply_class, now().minute());
        match self.send(sealed).await? {
            Response::One(reply) => reply.map_err(Failure::Mailbox),
            Response::Batch(_) => Err(Failure::Way("a batch for one call".to_owned())),
        }
    }

    /// The names of all records that one member holds in the inbox of `owner`.
    pub(crate) async fn held(
        &self,
        rng: &mut ChaCha20Rng,
        member: NodeId,
        owner: &AccountKey,
    ) -> Result<Vec<MessageHash>, Failure> {
        let (mut held, mut after) = (Vec::new(), None);
        loop {
            let author = Author::Owner(owner.public());
            let (account, namespace, scope) =
                (owner.id(), Namespace::INBOX, Scope::One(Namespace::INBOX));
            let by = Mutation::signed(
                owner.signer(),
                author,
                &self.network,
                &account,
                scope,
                now(),
                Op::Retrieve,
            )
            .by;
            let max_bytes = u32::MAX;
            let call = RetrieveCall { account, namespace, after, max_bytes, by: Some(by) };
            let Reply::Retrieved(page) = self.call(rng, member, Call::Retrieve(call)).await? else {
                return Err(Failure::Way("another reply than a page".to_owned()));
            };
            for item in &page.items {
                // Under its name lies what the name was made of.
                assert_eq!(MessageHash::of(&account, namespace, item.data.as_bytes()), item.hash);
                held.push(item.hash);
            }
            if page.rest == Rest::Done {
                return Ok(held);
            }
            after = Some(page.cursor);
        }
    }
}

/// A node of a document as a hop.
pub(crate) fn hop_of(node: &NodeEntry) -> HopTarget {
    HopTarget { node: node.id, key_number: node.onion_number, key: node.onion_key }
}

/// Sends a packet to its guard and reads what is answered, by whomever, up to `reply_max` bytes.
pub(crate) async fn exchange(
    link: &Link,
    packet: &Packet,
    mut opener: ReplyOpener,
    reply_max: usize,
) -> Result<Item, LinkError> {
    let mut stream = link.open(StreamHead::Onion(packet.class())).await?;
    stream.send.write_all(packet.as_bytes()).await?;
    stream.send.finish().await?;
    let mut frames = Frames::new(stream.recv, opener.reply_class().bytes());
    let mut assembler = ReplyAssembler::new(reply_max);
    while let Some(frame) = frames.next().await? {
        let opened = opener.open(frame).unwrap();
        if let Some(item) = assembler.push(opened).unwrap() {
            return Ok(item);
        }
    }
    Err(LinkError::Ended)
}

/// The clock that requests are signed by.
pub(crate) fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}
