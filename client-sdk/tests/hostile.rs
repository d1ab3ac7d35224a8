//! A running node, over real links, against clients and a node that keep to no rule.
//!
//! Packets with flipped bits, cut short, of random bytes, or with layers that lead nowhere;
//! directory, mailbox and peer requests that are garbage or forged; streams that are given up
//! half-way. Each gets an error or a reset, no process ends, memory stays where it was, and the
//! node still serves. Heads of unknown kinds are tried where they can be sent, in enjambre-link.
//!
//! `ENJAMBRE_HOSTILE_COUNT` sets the number of requests; `make hostile` asks for 100 000. Every
//! request is a function of its worker and number, which a failure names.
#![cfg(feature = "cli")]
#![allow(clippy::unwrap_used)]

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use enjambre_link::{
    Admission, Endpoint, Frames, Identity, Link, LinkConfig, LinkError, Pool, PoolConfig,
};
use enjambre_node::devnet::Process;
use enjambre_node::{directory, files};
use enjambre_protocol::crypto::{SecretKey, Signed};
use enjambre_protocol::directory::{DirectoryReply, DirectoryRequest};
use enjambre_protocol::id::{NetworkId, NodeId, SwarmId};
use enjambre_protocol::identity::{AccountSeed, KeyPurpose};
use enjambre_protocol::link::{DIRECTORY_REQUEST_MAX, PEER_MESSAGE_MAX, StreamHead};
use enjambre_protocol::mailbox::{
    Author, Call, ChangeCall, ChunkHash, ConfigurationId, Forward, Mutation, Namespace, Op,
    PutChunkCall, ReceiptNonce, Reply, Request, Response, RetrieveCall, Scope, StoreCall,
};
use enjambre_protocol::onion::{
    Hop, HopTarget, Item, OnionError, OnionPublicKey, Packet, ReplyAssembler, ReplyOpener,
    SizeClass, build,
};
use enjambre_protocol::service::{PeerReply, PeerRequest, ServiceReply, ServiceRequest};
use enjambre_protocol::time::Timestamp;
use enjambre_protocol::wire;
use rand::seq::SliceRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use support::Network;

/// Requests without the environment variable: about ten seconds on two cores.
const COUNT: u64 = 20_000;

/// Workers, each with links of its own and one request at a time.
const WORKERS: u64 = 48;

/// How long an answer may take: longer than any deadline on the way.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// What memory may grow by after the first fifth of the requests, KiB: 64 MiB.
const GROWTH_MAX: u64 = 64 << 10;

/// Bytes of an answer that are read.
const REPLY_MAX: usize = 4 << 20;

/// A node as the document lists it.
#[derive(Clone, Debug)]
struct Listed {
    hop: HopTarget,
    addresses: Vec<SocketAddr>,
}

/// What all workers share.
struct Field {
    network: NetworkId,
    /// The node under attack first.
    nodes: Vec<Listed>,
    /// Links under the key of a listed node that turned hostile; all workers share them, for a
    /// node may have few.
    traitor: Pool,
    swarms: Vec<SwarmId>,
    /// Bad mailbox calls that reached the node under attack and were answered there.
    answered: AtomicU64,
}

impl Field {
    /// Which node a worker links to when the one under attack is the destination.
    fn guard(&self, worker: u64) -> usize {
        let others = u64::try_from(self.nodes.len()).unwrap() - 1;
        usize::try_from(1 + worker % others).unwrap()
    }
}

/// What came back.
#[derive(Debug)]
enum Answer {
    /// A reset, or a link that was closed.
    Refused(LinkError),
    /// Bytes and a clean end.
    Bytes(Vec<u8>),
}

type Judged = Result<(), String>;

#[test]
fn node_survives_hostile_requests_answers_each_and_still_serves() {
    let count = std::env::var("ENJAMBRE_HOSTILE_COUNT").map_or(COUNT, |count| {
        count.parse().expect("ENJAMBRE_HOSTILE_COUNT is a number of requests")
    });
    let network = Network::start(1);
    network.account("ana");
    let ben = network.account("ben");
    let processes = network.nodes();
    let (traitor, processes) = processes.split_last().unwrap();
    let target = &processes[0];
    let genesis = files::load_network(&network.file()).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let field = runtime.block_on(async {
        let newest = directory::fetch_latest(&genesis).await.unwrap();
        let document = newest.document();
        let mut nodes: Vec<Listed> = document
            .nodes
            .iter()
            .filter(|node| node.id.to_string() != traitor.id)
            .map(|node| Listed {
                hop: HopTarget {
                    node: node.id,
                    key_number: node.onion_number,
                    key: node.onion_key,
                },
                addresses: node.addresses.clone(),
            })
            .collect();
        let at = nodes.iter().position(|node| node.hop.node.to_string() == target.id).unwrap();
        nodes.swap(0, at);
        let key = files::load_key(&traitor.dir.join("identity.key"), KeyPurpose::Node).unwrap();
        let config = LinkConfig::new(Admission::everyone());
        let endpoint = Endpoint::bind(any_address(), Identity::Node(&key), config).unwrap();
        Field {
            network: genesis.network(),
            nodes,
            traitor: Pool::new(endpoint, PoolConfig::default()).unwrap(),
            swarms: document.swarms.stable_ring(),
            answered: AtomicU64::new(0),
        }
    });
    network.devnet(&["kill", &traitor.name]);
    let field = Arc::new(field);
    let attack = |from: u64, to: u64| {
        runtime.block_on(async {
            let done = Arc::new(AtomicU64::new(from));
            let mut workers = tokio::task::JoinSet::new();
            for number in 0..WORKERS {
                let (field, done) = (Arc::clone(&field), Arc::clone(&done));
                workers.spawn(async move {
                    let mut worker = Worker::new(number + from * WORKERS, field);
                    while done.fetch_add(1, Ordering::Relaxed) < to {
                        worker.step().await;
                    }
                });
            }
            while let Some(ended) = workers.join_next().await {
                ended.unwrap();
            }
        });
    };

    attack(0, count / 5);
    let before: Vec<u64> = processes.iter().map(resident).collect();
    attack(count / 5, count);
    // A tenth of the requests are bad mailbox calls over three hops.
    assert!(field.answered.load(Ordering::Relaxed) > count / 20);
    for (process, before) in processes.iter().zip(before) {
        let after = resident(process);
        assert!(after < before + GROWTH_MAX, "{} grew from {before} to {after} KiB", process.name);
    }
    runtime.block_on(async {
        let mut client = Worker::new(u64::MAX, Arc::clone(&field));
        let request = ServiceRequest::Mailbox(Request::One(Box::new(Call::Info)));
        let Ok(Ok(Item::Reply(reply))) = client.by_path(&wire::encode(&request)).await else {
            panic!("the node does not serve any more");
        };
        let reply = wire::decode(&reply, REPLY_MAX);
        let Ok(ServiceReply::Mailbox(Response::One(Ok(Reply::Info(_))))) = reply else {
            panic!("the node serves something else: {reply:?}");
        };
    });
    network.user("ana", &["send", &ben, "Hola"]);
    assert_eq!(network.receive("ben"), ["Hola"]);
    for process in processes {
        assert!(process.is_alive(), "{} ended", process.name);
    }
}

/// Memory that a process has in use, KiB. Fails if it does not run.
fn resident(process: &Process) -> u64 {
    assert!(process.is_alive(), "{} ended", process.name);
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid)).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// Makes one request after another and judges every answer.
struct Worker {
    number: u64,
    field: Arc<Field>,
    rng: ChaCha20Rng,
    client: Endpoint,
    steps: u64,
    /// To the node under attack and to another one, as a client.
    links: [Option<Link>; 2],
    /// A packet that the node under attack would relay, to be damaged.
    packet: Option<(Packet, u32)>,
}

/// As whom a link is made, and to whom.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// A client's, to the node under attack.
    Direct,
    /// A client's, to another node.
    Guard,
    /// The hostile node's, to the node under attack.
    AsNode,
}

impl Worker {
    fn new(number: u64, field: Arc<Field>) -> Self {
        let config = LinkConfig::client();
        let client = Endpoint::bind(any_address(), Identity::Client, config).unwrap();
        let rng = ChaCha20Rng::seed_from_u64(number);
        Self { number, field, rng, client, steps: 0, links: [None, None], packet: None }
    }

    async fn step(&mut self) {
        self.steps += 1;
        let kind = self.rng.random_range(0..100);
        let (name, judged) = match kind {
            0..30 => ("a packet with a flipped bit", self.flipped_packet().await),
            30..45 => ("a packet of random bytes", self.random_packet().await),
            45..50 => ("a packet cut short", self.short_packet().await),
            50..58 => ("a packet that leads nowhere", self.misled_packet().await),
            58..68 => ("bad mailbox calls through a path", self.bad_calls().await),
            68..72 => ("a garbage request through a path", self.garbage_request().await),
            72..82 => ("a garbage directory request", self.garbage_question().await),
            82..86 => ("a false length", self.false_length().await),
            86..90 => ("a peer request of a client", self.peer_request_of_client().await),
            90..96 => ("a forged forward of a node", self.forged_forward().await),
            _ => ("a stream given up", self.given_up().await),
        };
        if let Err(error) = judged {
            panic!("worker {}, request {}, {name}: {error}", self.number, self.steps);
        }
    }

    async fn link(&mut self, way: Way) -> Link {
        let (slot, to) = match way {
            Way::Direct => (&mut self.links[0], &self.field.nodes[0]),
            Way::Guard => (&mut self.links[1], &self.field.nodes[self.field.guard(self.number)]),
            Way::AsNode => {
                let to = &self.field.nodes[0];
                return self.field.traitor.link(to.hop.node, &to.addresses).await.unwrap();
            }
        };
        if let Some(link) = slot.as_ref().filter(|link| link.close_reason().is_none()) {
            return link.clone();
        }
        slot.insert(self.client.connect(to.hop.node, &to.addresses).await.unwrap()).clone()
    }

    /// Sends raw bytes behind a head, ends, and reads what comes.
    async fn send(&mut self, way: Way, head: StreamHead, bytes: &[u8]) -> Result<Answer, String> {
        let link = self.link(way).await;
        let asked = async {
            let mut stream = link.open(head).await?;
            // A peer that has seen enough may reset before all is written; its answer counts.
            if stream.send.write_all(bytes).await.is_ok() {
                let _ = stream.send.finish().await;
            }
            stream.recv.read_to_end(REPLY_MAX).await
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Ok(bytes)) => Ok(Answer::Bytes(bytes)),
            Ok(Err(error)) => Ok(Answer::Refused(error)),
            Err(_) => Err("no answer".to_owned()),
        }
    }

    /// Sends a packet over a path and gives what the client would see.
    async fn onion(
        &mut self,
        way: Way,
        packet: &Packet,
        mut opener: ReplyOpener,
    ) -> Result<Result<Item, LinkError>, String> {
        let link = self.link(way).await;
        let asked = async {
            let mut stream = link.open(StreamHead::Onion(packet.class())).await?;
            stream.send.write_all(packet.as_bytes()).await?;
            stream.send.finish().await?;
            let mut frames = Frames::new(stream.recv, opener.reply_class().bytes());
            let mut assembler = ReplyAssembler::new(REPLY_MAX);
            while let Some(frame) = frames.next().await? {
                let opened = opener.open(frame).unwrap();
                if let Some(item) = assembler.push(opened).unwrap() {
                    return Ok(item);
                }
            }
            Err(LinkError::Ended)
        };
        tokio::time::timeout(ANSWER_WITHIN, asked).await.map_err(|_| "no answer".to_owned())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.rng.fill_bytes(&mut bytes);
        bytes
    }

    /// Small classes mostly: the large ones cost their length.
    fn class(&mut self) -> SizeClass {
        match self.rng.random_range(0..64) {
            0 => SizeClass::K128,
            1..4 => SizeClass::K32,
            4..16 => SizeClass::K8,
            _ => SizeClass::K2,
        }
    }

    /// The node under attack and three others.
    fn path(&mut self) -> [HopTarget; 4] {
        let mut others: Vec<usize> = (1..self.field.nodes.len()).collect();
        others.shuffle(&mut self.rng);
        let hop = |at: usize| self.field.nodes[at].hop;
        [hop(0), hop(others[0]), hop(others[1]), hop(others[2])]
    }

    /// A path to the node under attack, whose guard is the one this worker has a link to.
    fn path_to_target(&mut self) -> [HopTarget; 4] {
        let guard = self.field.guard(self.number);
        let mut rest: Vec<usize> =
            (1..self.field.nodes.len()).filter(|place| *place != guard).collect();
        rest.shuffle(&mut self.rng);
        let hop = |at: usize| self.field.nodes[at].hop;
        [hop(guard), hop(rest[0]), hop(rest[1]), hop(0)]
    }

    fn build(
        &mut self,
        path: &[HopTarget; 4],
        class: SizeClass,
        request: &[u8],
    ) -> (Packet, ReplyOpener) {
        let (network, minute) = (self.field.network, now().minute());
        build(&mut self.rng, &network, path, class, SizeClass::K2, minute, request).unwrap()
    }

    async fn flipped_packet(&mut self) -> Judged {
        let minute = now().minute();
        if self.packet.as_ref().is_none_or(|(_, built)| *built != minute) {
            let (path, class) = (self.path(), self.class());
            self.packet = Some((self.build(&path, class, b"x").0, minute));
        }
        let (packet, _) = self.packet.as_ref().unwrap();
        let (class, mut bytes) = (packet.class(), packet.as_bytes().to_vec());
        let at = self.rng.random_range(0..bytes.len());
        bytes[at] ^= 1 << self.rng.random_range(0..8);
        one_frame_or_reset(&self.send(Way::Direct, StreamHead::Onion(class), &bytes).await?)
    }

    async fn random_packet(&mut self) -> Judged {
        let class = self.class();
        let mut bytes = self.bytes(class.bytes());
        if self.rng.random() {
            // As far as the key: suite and key number of the node.
            bytes[..2].copy_from_slice(&[1, self.field.nodes[0].hop.key_number.get()]);
        }
        one_frame_or_reset(&self.send(Way::Direct, StreamHead::Onion(class), &bytes).await?)
    }

    async fn short_packet(&mut self) -> Judged {
        let (class, path) = (self.class(), self.path());
        let (packet, _) = self.build(&path, class, b"x");
        let len = self.rng.random_range(0..class.bytes());
        let head = StreamHead::Onion(class);
        refused(&self.send(Way::Direct, head, &packet.as_bytes()[..len]).await?)
    }

    /// The node under attack relays it to a node that cannot read its layer, or that is none.
    async fn misled_packet(&mut self) -> Judged {
        let (class, mut path) = (self.class(), self.path());
        let hop = self.rng.random_range(1..4);
        let random = self.bytes(32).try_into().unwrap();
        if self.rng.random() {
            path[hop].key = OnionPublicKey::from_bytes(random);
        } else {
            path[hop].node = NodeId::from_bytes(random);
        }
        let (packet, opener) = self.build(&path, class, b"x");
        match self.onion(Way::Direct, &packet, opener).await? {
            // By the hop before, or by one that could not pass it on.
            Ok(Item::Failed { error, .. }) if error.blames_next() => Ok(()),
            other => Err(format!("{other:?}")),
        }
    }

    /// Sends a request to the node under attack over a path.
    async fn by_path(&mut self, request: &[u8]) -> Result<Result<Item, LinkError>, String> {
        let path = self.path_to_target();
        let class = SizeClass::for_request(request.len()).ok_or("the request fits no packet")?;
        let (packet, opener) = self.build(&path, class, request);
        self.onion(Way::Guard, &packet, opener).await
    }

    async fn bad_calls(&mut self) -> Judged {
        let request = if self.rng.random() {
            Request::One(Box::new(self.bad_call()))
        } else {
            // More than twenty are refused as a whole.
            let calls = self.rng.random_range(0..25);
            Request::Batch((0..calls).map(|_| self.bad_call()).collect())
        };
        let bytes = wire::encode(&ServiceRequest::Mailbox(request));
        let reply = match self.by_path(&bytes).await? {
            Ok(Item::Reply(reply)) => reply,
            // A hop with too much to do; how often that may be is asserted at the end.
            Ok(Item::Failed { error, .. }) if error.blames_next() => return Ok(()),
            other => return Err(format!("{other:?}")),
        };
        self.field.answered.fetch_add(1, Ordering::Relaxed);
        match wire::decode(&reply, REPLY_MAX) {
            Ok(ServiceReply::Mailbox(Response::One(Err(_)))) => Ok(()),
            Ok(ServiceReply::Mailbox(Response::Batch(replies)))
                if replies.iter().all(Result::is_err) =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    }

    async fn garbage_request(&mut self) -> Judged {
        let len = self.rng.random_range(0..1000);
        let mut bytes = self.bytes(len);
        if let Some(version) = bytes.first_mut() {
            *version = wire::VERSION;
        }
        let reply = self.by_path(&bytes).await?;
        match (wire::decode::<ServiceRequest>(&bytes, 1000), reply) {
            (
                Err(_),
                Ok(Item::Failed { from_hop: Hop::Destination, error: OnionError::Malformed }),
            ) => Ok(()),
            (_, Ok(Item::Failed { error, .. })) if error.blames_next() => Ok(()),
            // Few random bytes may be a request, such as one for the genesis.
            (Ok(_), Ok(Item::Reply(_))) => Ok(()),
            (_, other) => Err(format!("{other:?}")),
        }
    }

    async fn garbage_question(&mut self) -> Judged {
        let question = match self.rng.random_range(0..4) {
            0 => {
                let key = SecretKey::generate(&mut self.rng);
                let body = self.bytes(300);
                let signed = Signed::new(&key, "enjambre/garbage/1", &self.field.network, body);
                wire::encode(&DirectoryRequest::Publish(signed))
            }
            1 => self.bytes(DIRECTORY_REQUEST_MAX + 1),
            _ => {
                let len = self.rng.random_range(0..200);
                let mut bytes = self.bytes(len);
                if let Some(version) = bytes.first_mut() {
                    *version = wire::VERSION;
                }
                bytes
            }
        };
        let answer = self.send(Way::Direct, StreamHead::Directory, &framed(&question)).await?;
        match (wire::decode(&question, DIRECTORY_REQUEST_MAX), &answer) {
            (Err(_), _) => refused(&answer),
            (Ok(DirectoryRequest::Publish(_)), Answer::Bytes(reply)) => {
                match wire::decode(&reply[4..], REPLY_MAX) {
                    Ok(DirectoryReply::Refused { .. }) => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            }
            (Ok(_), Answer::Bytes(_)) => Ok(()),
            (Ok(_), other) => Err(format!("{other:?}")),
        }
    }

    /// A prefix that promises more than comes, or more than anybody may send.
    async fn false_length(&mut self) -> Judged {
        let mut bytes = if self.rng.random() {
            u32::MAX.to_le_bytes().to_vec()
        } else {
            1000_u32.to_le_bytes().to_vec()
        };
        let len = self.rng.random_range(0..900);
        bytes.extend(self.bytes(len));
        let (way, head) = if self.rng.random() {
            (Way::Direct, StreamHead::Directory)
        } else {
            (Way::AsNode, StreamHead::Peer)
        };
        refused(&self.send(way, head, &bytes).await?)
    }

    async fn peer_request_of_client(&mut self) -> Judged {
        let len = self.rng.random_range(0..2000);
        let bytes = self.bytes(len);
        refused(&self.send(Way::Direct, StreamHead::Peer, &framed(&bytes)).await?)
    }

    async fn forged_forward(&mut self) -> Judged {
        let swarm = self.field.swarms[self.rng.random_range(0..self.field.swarms.len())];
        let configuration = ConfigurationId { swarm, number: self.rng.random_range(0..3) };
        let call = self.bad_call();
        let forward = Forward { configurations: [configuration; 2], stamp: None, call };
        let mut bytes = wire::encode(&PeerRequest::Forward(forward));
        if self.rng.random() {
            let at = self.rng.random_range(0..bytes.len());
            bytes[at] ^= 1 << self.rng.random_range(0..8);
        }
        match self.send(Way::AsNode, StreamHead::Peer, &framed(&bytes)).await? {
            Answer::Refused(_) => Ok(()),
            Answer::Bytes(reply) => match wire::decode(&reply[4..], PEER_MESSAGE_MAX) {
                Ok(PeerReply::Forward(Err(_))) => Ok(()),
                other => Err(format!("{other:?}")),
            },
        }
    }

    /// Nobody waits for the answer, and often not all of the request comes.
    async fn given_up(&mut self) -> Judged {
        let (class, path) = (self.class(), self.path());
        let (packet, _) = self.build(&path, class, b"x");
        let len = self.rng.random_range(0..=class.bytes());
        let link = self.link(Way::Direct).await;
        let mut stream = match link.open(StreamHead::Onion(class)).await {
            Ok(stream) => stream,
            Err(error) => return Err(error.to_string()),
        };
        // Whether it still took the bytes is nobody's concern.
        let _ = stream.send.write_all(&packet.as_bytes()[..len]).await;
        Ok(())
    }

    /// A call that no member may carry out, whichever swarm the account is in.
    fn bad_call(&mut self) -> Call {
        let owner = AccountSeed::generate(&mut self.rng).key();
        let (account, network) = (owner.id(), self.field.network);
        let (own, inbox) = (Namespace::new(3), Namespace::INBOX);
        let nonce = ReceiptNonce::from_bytes(self.bytes(ReceiptNonce::LEN).try_into().unwrap());
        let forger = SecretKey::generate(&mut self.rng);
        let forged = |namespace, op| {
            let author = Author::Owner(owner.public());
            let scope = Scope::One(namespace);
            Mutation::signed(&forger, author, &network, &account, scope, now(), op).by
        };
        match self.rng.random_range(0..8) {
            // A lifetime that is on no list.
            0 => {
                let len = self.rng.random_range(0..300);
                let data = self.bytes(len).into();
                Call::Store(StoreCall { account, namespace: inbox, ttl: 7, data, by: None, nonce })
            }
            1 => {
                let data = self.bytes(100).into();
                Call::Store(StoreCall { account, namespace: own, ttl: 3600, data, by: None, nonce })
            }
            2 => {
                let data = self.bytes(100);
                let hash = enjambre_protocol::mailbox::MessageHash::of(&account, own, &data);
                let by = Some(forged(own, Op::Store { hash, ttl: 3600 }));
                let data = data.into();
                Call::Store(StoreCall { account, namespace: own, ttl: 3600, data, by, nonce })
            }
            3 => {
                let by = Some(forged(inbox, Op::Retrieve));
                let max_bytes = self.rng.random();
                Call::Retrieve(RetrieveCall {
                    account,
                    namespace: inbox,
                    after: None,
                    max_bytes,
                    by,
                })
            }
            4 => Call::Retrieve(RetrieveCall {
                account,
                namespace: inbox,
                after: None,
                max_bytes: u32::MAX,
                by: None,
            }),
            5 => {
                let scope = Scope::One(inbox);
                let ops = [Op::DeleteAll];
                let author = Author::Owner(owner.public());
                let change = ChangeCall::signed(
                    &forger,
                    author,
                    &network,
                    account,
                    scope,
                    now(),
                    ops,
                    nonce,
                );
                Call::Change(change)
            }
            6 => {
                let len = self.rng.random_range(0..300);
                let data = self.bytes(len).into();
                Call::PutChunk(PutChunkCall { ttl: 3600, data, nonce })
            }
            _ => Call::GetChunk(ChunkHash::from_bytes(self.bytes(32).try_into().unwrap())),
        }
    }
}

fn any_address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], 0))
}

fn now() -> Timestamp {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    Timestamp::from_millis(u64::try_from(since.as_millis()).unwrap())
}

/// A message with its length prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let len = u32::try_from(message.len()).unwrap();
    [len.to_le_bytes().as_slice(), message].concat()
}

fn refused(answer: &Answer) -> Judged {
    match answer {
        Answer::Refused(LinkError::Reset(_)) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

/// A guard that cannot use a packet says so in one sealed frame, or resets where it has no key.
fn one_frame_or_reset(answer: &Answer) -> Judged {
    match answer {
        Answer::Bytes(bytes) if bytes.len() == SizeClass::K2.bytes() => Ok(()),
        other => refused(other),
    }
}
