//! A network of authorities whose time, losses and crashes are a function of a seed.

use core::net::SocketAddr;
use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::crypto::{self, SecretKey};
use crate::directory::agreement::engine::proposer;
use crate::directory::agreement::{
    AgreementEvent, AgreementMachine, AgreementMessage, AgreementTransmit, LogEntry, ProposalHead,
    Recipient, SignedVote, VoteKind,
};
use crate::directory::{
    AuthorityEntry, Descriptor, DescriptorParts, Genesis, NodeState, Params, Report,
    VerifiedDocument,
};
use crate::id::{AuthorityId, Digest, NodeId, StoreId};
use crate::onion::{OnionKeyNumber, OnionPublicKey};
use crate::time::{Instant, Timestamp};

/// When the virtual clocks start.
const BIRTH: u64 = 1_000_000;

/// Longest way of a message. A devnet's shortest wait is 250 ms.
const DELAY_MAX_MS: u64 = 60;

pub(super) struct Node {
    pub(super) machine: AgreementMachine,
    pub(super) key: SecretKey,
    pub(super) place: usize,
    /// What is on its disk.
    pub(super) log: Vec<Vec<u8>>,
    pub(super) chain: Vec<Arc<VerifiedDocument>>,
    pub(super) persisted: usize,
    /// Crashes as soon as this many entries were written.
    pub(super) crash_at: Option<usize>,
    /// A copy of another authority: what it sends reaches each other one by chance.
    twin: bool,
    rng: ChaCha12Rng,
    /// Its clock is wrong by this much.
    skew: Duration,
}

enum Delivery {
    Message(usize, AgreementMessage),
    Documents(usize),
}

pub(super) struct Network {
    pub(super) genesis: Arc<Genesis>,
    pub(super) nodes: Vec<Node>,
    pub(super) now: Instant,
    pub(super) down: BTreeSet<usize>,
    /// Which side of a division each authority is on.
    pub(super) side: Vec<u8>,
    pub(super) loss_percent: u64,
    pub(super) double_percent: u64,
    pub(super) publish_each_height: bool,
    pub(super) accused: BTreeSet<usize>,
    pub(super) checker: Checker,
    /// Whether a crash takes the log with it.
    pub(super) lose_logs: bool,
    pub(super) crashes: usize,
    published: u64,
    queue: BTreeMap<(Instant, u64), (usize, Delivery)>,
    sequence: u64,
    rng: ChaCha12Rng,
    trace: Vec<u8>,
    seed: u64,
}

/// Author, height, round and kind of what may be signed once.
type Slot = (u8, u64, u32, u8);

/// Notes what every authority signed and finds what it may not have signed both.
#[derive(Default)]
pub(super) struct Checker {
    signed: BTreeMap<Slot, Vec<u8>>,
    /// Whose signatures contradict each other.
    pub(super) contradictions: BTreeSet<usize>,
}

impl Checker {
    fn check(&mut self, genesis: &Genesis, message: &AgreementMessage) -> Option<()> {
        let (slot, what): (Slot, _) = match message {
            AgreementMessage::Report(signed) => {
                let report = Report::verify(signed, genesis).ok()?;
                let author = genesis.index(&report.author)?;
                ((author, report.height, 0, 0), signed.bytes.clone())
            }
            AgreementMessage::Proposal(proposal) => {
                let head = ProposalHead::read(&proposal.head).ok()?;
                let author = proposer(genesis.authorities.len(), head.height, head.round);
                ((author, head.height, head.round, 1), proposal.head.bytes.clone())
            }
            AgreementMessage::Vote(SignedVote { author, vote, .. }) => {
                let kind = 2 + u8::from(vote.kind == VoteKind::Precommit);
                ((*author, vote.height, vote.round, kind), crate::wire::encode(vote))
            }
            _ => return None,
        };
        let known = self.signed.entry(slot).or_insert_with(|| what.clone());
        if *known != what {
            self.contradictions.insert(usize::from(slot.0));
        }
        Some(())
    }
}

impl Network {
    pub(super) fn new(authorities: usize, seed: u64) -> Self {
        let mut keys: Vec<SecretKey> = (0..authorities)
            .map(|place| SecretKey::from_seed(&[u8::try_from(place + 1).unwrap(); 32]))
            .collect();
        keys.sort_by_key(SecretKey::public);
        let entries = keys.iter().map(|key| AuthorityEntry {
            id: AuthorityId::from_bytes(*key.public().as_bytes()),
            addresses: vec![SocketAddr::from(([127, 0, 0, 1], 4000))],
        });
        let genesis = Arc::new(Genesis::new(1, entries.collect(), Params::devnet()).unwrap());
        let mut network = Self {
            genesis,
            nodes: Vec::new(),
            now: Instant::START,
            down: BTreeSet::new(),
            side: vec![0; authorities],
            loss_percent: 0,
            double_percent: 5,
            publish_each_height: false,
            accused: BTreeSet::new(),
            checker: Checker::default(),
            lose_logs: false,
            crashes: 0,
            published: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            rng: ChaCha12Rng::seed_from_u64(seed),
            trace: Vec::new(),
            seed,
        };
        for (place, key) in keys.into_iter().enumerate() {
            network.add(place, key, false);
        }
        network
    }

    fn add(&mut self, place: usize, key: SecretKey, twin: bool) {
        let skew = Duration::from_millis(self.rng.next_u64() % 50);
        let clock = Timestamp::from_millis(BIRTH).saturating_add(skew);
        let genesis = Arc::clone(&self.genesis);
        let machine = AgreementMachine::new(genesis, key.clone(), None, self.now, clock).unwrap();
        let rng = ChaCha12Rng::seed_from_u64(self.rng.next_u64());
        self.nodes.push(Node {
            machine,
            key,
            place,
            log: Vec::new(),
            chain: Vec::new(),
            persisted: 0,
            crash_at: None,
            twin,
            rng,
            skew,
        });
    }

    /// A second process with the key of an authority; neither reaches all others.
    pub(super) fn add_twin(&mut self, place: usize) {
        let key = self.nodes[place].key.clone();
        self.nodes[place].twin = true;
        self.add(place, key, true);
    }

    pub(super) fn height(&self, node: usize) -> u64 {
        self.nodes[node].chain.len() as u64
    }

    pub(super) fn trace(&self) -> Digest {
        crypto::digest("enjambre/test/1", &[&self.trace])
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.next_u64() % 100 < percent
    }

    /// The documents that all of these have; fails if two differ or an honest one contradicted
    /// itself.
    pub(super) fn agreed(
        &self,
        nodes: impl IntoIterator<Item = usize>,
    ) -> Vec<Arc<VerifiedDocument>> {
        let copied: BTreeSet<usize> =
            self.nodes.iter().filter(|node| node.twin).map(|node| node.place).collect();
        let liars = &self.checker.contradictions;
        assert!(liars.is_subset(&copied), "double signatures of {liars:?}, seed {}", self.seed);
        let chains: Vec<_> = nodes.into_iter().map(|node| &self.nodes[node].chain).collect();
        let shortest = chains.iter().map(|chain| chain.len()).min().unwrap();
        for chain in &chains {
            for (one, other) in chain.iter().zip(chains[0]) {
                assert_eq!(one.digest(), other.digest(), "seed {}", self.seed);
            }
        }
        chains[0][..shortest].to_vec()
    }

    /// Runs until every authority that is up has this height; a copied one need not.
    pub(super) fn run_to(&mut self, height: u64) {
        let end = self.now.saturating_add(Duration::from_secs(20 * (height + 10)));
        while self.now < end {
            let waits = |node: &&Node| !node.twin && !self.down.contains(&node.place);
            if self.nodes.iter().filter(waits).all(|node| node.chain.len() as u64 >= height) {
                return;
            }
            self.step();
        }
        let heights: Vec<_> =
            self.nodes.iter().map(|node| (node.chain.len(), node.machine.round())).collect();
        panic!("height {height} is not reached, seed {}: {heights:?}", self.seed);
    }

    pub(super) fn run_for_epochs(&mut self, epochs: u32) {
        let end = self.now.saturating_add(self.genesis.params.epoch() * epochs);
        while self.now < end {
            self.step();
        }
    }

    pub(super) fn step(&mut self) {
        let timers = self.nodes.iter().enumerate();
        let timer = timers.filter_map(|(node, of)| Some((of.machine.poll_timeout()?, node))).min();
        let delivery = self.queue.first_key_value().map(|((at, _), _)| *at);
        match (timer, delivery) {
            (Some((at, node)), delivery) if delivery.is_none_or(|delivery| at < delivery) => {
                self.now = self.now.max(at);
                let clock = self.clock(node);
                let of = &mut self.nodes[node];
                of.machine.handle_timeout(self.now, clock, &mut of.rng);
                self.drain(node);
            }
            (_, Some(_)) => self.deliver(),
            (_, None) => panic!("nobody waits for anything"),
        }
    }

    fn clock(&self, node: usize) -> Timestamp {
        self.time().saturating_add(self.nodes[node].skew)
    }

    /// What a clock without a skew shows.
    fn time(&self) -> Timestamp {
        let since = self.now.saturating_since(Instant::START);
        Timestamp::from_millis(BIRTH).saturating_add(since)
    }

    fn deliver(&mut self) {
        let Some(((at, _), (from, delivery))) = self.queue.pop_first() else { return };
        self.now = self.now.max(at);
        match delivery {
            Delivery::Message(to, message) => {
                if !self.connected(from, to) {
                    return;
                }
                let bytes = message.encode();
                self.trace.extend_from_slice(&self.now.as_nanos().to_le_bytes());
                self.trace.extend_from_slice(crypto::digest("t", &[&bytes]).as_bytes());
                let message = AgreementMessage::decode(&bytes).unwrap();
                let id = self.nodes[from].machine.id();
                let handled = self.nodes[to].machine.handle_message(self.now, &id, message);
                let copied = self.nodes.iter().any(|node| node.twin);
                assert!(copied || handled.is_ok() || self.lose_logs, "{handled:?}");
                self.drain(to);
            }
            Delivery::Documents(to) => {
                let known = self.nodes[to].chain.len();
                let missing: Vec<_> = self.nodes[from].chain.iter().skip(known).cloned().collect();
                if self.connected(from, to) {
                    for document in missing {
                        self.adopt(to, document);
                    }
                    self.drain(to);
                }
            }
        }
    }

    fn connected(&self, from: usize, to: usize) -> bool {
        let (from, to) = (self.nodes[from].place, self.nodes[to].place);
        !self.down.contains(&from) && !self.down.contains(&to) && self.side[from] == self.side[to]
    }

    fn adopt(&mut self, node: usize, document: Arc<VerifiedDocument>) {
        let clock = self.clock(node);
        let of = &mut self.nodes[node];
        if document.document().height == of.chain.len() as u64 + 1 {
            of.chain.push(Arc::clone(&document));
            of.log.clear();
            of.machine.handle_document(self.now, clock, document);
            if self.publish_each_height && self.height(node) > self.published {
                self.publish();
            }
        }
    }

    /// A new node sends its descriptor to more than f authorities, not to all.
    fn publish(&mut self) {
        self.published += 1;
        let mut seed = [9; 32];
        seed[..8].copy_from_slice(&self.published.to_le_bytes());
        let key = SecretKey::from_seed(&seed);
        let [.., a, b] = self.published.to_be_bytes();
        let parts = DescriptorParts {
            node: NodeId::from_bytes(*key.public().as_bytes()),
            sequence: self.time().as_millis(),
            state: NodeState::Active,
            onion_number: OnionKeyNumber::new(1),
            onion_key: OnionPublicKey::from_bytes(seed),
            addresses: vec![SocketAddr::from(([10, a, b, 1], 4000))],
            store: StoreId::from_bytes([a ^ b; 16]),
            family: None,
            capacity: 100,
        };
        let descriptor = Descriptor::sign(&key, &self.genesis.network(), parts);
        let n = self.genesis.authorities.len();
        let first = usize::try_from(self.rng.next_u64() % n as u64).unwrap();
        // With one liar among those asked there must still be more than f.
        let told = (2 * self.genesis.faulty() + 1).min(n);
        for node in 0..self.nodes.len() {
            let place = self.nodes[node].place;
            if (place + n - first) % n < told {
                let clock = self.clock(node);
                let of = &mut self.nodes[node];
                of.machine.handle_descriptor(self.now, clock, descriptor.clone());
                self.drain(node);
            }
        }
    }

    /// Does what the machine says, in the order its contract demands.
    pub(super) fn drain(&mut self, node: usize) {
        loop {
            let mut idle = true;
            while let Some(entry) = self.nodes[node].machine.poll_persist() {
                idle = false;
                let of = &mut self.nodes[node];
                of.log.push(entry.encode());
                of.persisted += 1;
                if of.crash_at == Some(of.persisted) {
                    self.restart(node);
                    return;
                }
            }
            while let Some(transmit) = self.nodes[node].machine.poll_transmit() {
                idle = false;
                self.send(node, &transmit);
            }
            while let Some(event) = self.nodes[node].machine.poll_event() {
                idle = false;
                self.hear(node, event);
            }
            if idle {
                return;
            }
        }
    }

    /// The process dies; what was not written and not sent is gone.
    pub(super) fn restart(&mut self, node: usize) {
        self.crashes += 1;
        let clock = self.clock(node);
        let lost = self.lose_logs;
        let of = &mut self.nodes[node];
        if lost {
            of.log.clear();
        }
        of.crash_at = None;
        let entries: Vec<LogEntry> =
            of.log.iter().map(|bytes| LogEntry::decode(bytes).unwrap()).collect();
        let (key, newest) = (of.key.clone(), of.chain.last().cloned());
        let genesis = Arc::clone(&self.genesis);
        of.machine = AgreementMachine::new(genesis, key, newest, self.now, clock).unwrap();
        of.machine.restore(self.now, entries);
        self.drain(node);
    }

    fn send(&mut self, node: usize, transmit: &AgreementTransmit) {
        let place = self.nodes[node].place;
        let twin = self.nodes[node].twin;
        self.checker.check(&self.genesis, &transmit.message);
        for to in 0..self.nodes.len() {
            let other = &self.nodes[to];
            let meant = match transmit.to {
                Recipient::Others => other.place != place,
                Recipient::One(id) => other.machine.id() == id,
            };
            let lost = if twin { 50 } else { self.loss_percent };
            if !meant || self.chance(lost) || !self.connected(node, to) {
                continue;
            }
            let copies = 1 + u64::from(self.chance(self.double_percent));
            for _ in 0..copies {
                self.post(node, Delivery::Message(to, transmit.message.clone()));
            }
        }
    }

    fn post(&mut self, from: usize, delivery: Delivery) {
        let way = Duration::from_micros(1000 + self.rng.next_u64() % (DELAY_MAX_MS * 1000));
        self.sequence += 1;
        let at = (self.now.saturating_add(way), self.sequence);
        self.queue.insert(at, (from, delivery));
    }

    fn hear(&mut self, node: usize, event: AgreementEvent) {
        match event {
            AgreementEvent::Decided { document, reports } => {
                assert!(reports.len() >= self.genesis.threshold());
                let verified = document.verify(&self.genesis).unwrap();
                self.adopt(node, Arc::new(verified));
            }
            AgreementEvent::Behind { authority, .. } => {
                let source = self.nodes.iter().position(|node| node.machine.id() == authority);
                self.post(source.unwrap(), Delivery::Documents(node));
            }
            AgreementEvent::Misbehaviour { authority, .. } => {
                let place = self.nodes.iter().find(|node| node.machine.id() == authority);
                self.accused.insert(place.unwrap().place);
            }
        }
    }
}
