//! Four authorities whose messages pass through the fuzzer's hands, one operation every four bytes:
//! it delivers, holds back, doubles, alters and makes up messages, lets time pass, and kills
//! authorities, which come back with their log. In half of the runs it has nobody's key; in the
//! others that of one, as many as may lie, and signs with it what contradicts itself.
//!
//! Oracle: nobody honest signs two things of which only one may be signed, or is accused; every
//! decided document is valid, lists nobody but the nodes that published themselves, and is the only
//! one of its height. What decodes is what its own encoding decodes to. Left alone again, all that
//! are honest come to the next height.
#![no_main]

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::directory::agreement::{
    AgreementEvent, AgreementMachine, AgreementMessage, LogEntry, ProposalHead, Recipient,
    SignedVote, VoteKind,
};
use enjambre_protocol::directory::{
    Descriptor, Genesis, NodeState, Report, SignedDocument, VerifiedDocument,
};
use enjambre_protocol::id::NodeId;
use enjambre_protocol::time::{Instant, Timestamp};
use enjambre_protocol::wire;
use enjambre_protocol_fuzz::directory::{AUTHORITIES, BIRTH, authority, descriptor, network};
use enjambre_protocol_fuzz::edit::{edit, splice};
use enjambre_protocol_fuzz::liar::{LIAR, Liar, Standing};
use libfuzzer_sys::fuzz_target;
use rand_chacha::ChaCha12Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

/// Operations of one run: enough for some heights, few enough to be quick.
const OPERATIONS_MAX: usize = 96;

/// Undisturbed steps before the first operation, so that short inputs reach the second height.
const UNDISTURBED_MAX: usize = 9;

/// Steps in which all must have come to the next height: some rounds of each authority's waits.
const RECOVERY_STEPS_MAX: usize = 400;

/// Messages delivered at once when all go their way.
const DELIVERIES_MAX: usize = 64;

/// Messages on their way; the oldest are lost.
const PENDING_MAX: usize = 256;

/// Nodes that publish themselves.
const NODES: u8 = 3;

struct Message {
    from: usize,
    to: usize,
    bytes: Vec<u8>,
}

struct Authority {
    key: SecretKey,
    machine: AgreementMachine,
    log: Vec<Vec<u8>>,
    chain: Vec<Arc<VerifiedDocument>>,
    rng: ChaCha12Rng,
}

struct Network {
    genesis: Arc<Genesis>,
    authorities: Vec<Authority>,
    published: Vec<NodeId>,
    liar: Option<Liar>,
    now: Instant,
    pending: VecDeque<Message>,
    /// Bytes of every message that was sent.
    sent: Vec<Vec<u8>>,
    /// By author and by what may be signed once: what was signed.
    signed: BTreeMap<(usize, Vec<u8>), Vec<u8>>,
    /// The decided document of each height.
    decided: BTreeMap<u64, Vec<u8>>,
}

fuzz_target!(|data: &[u8]| {
    let Some((&before, mut data)) = data.split_first() else { return };
    let mut network = Network::new(before & 0x40 != 0);
    for _ in 0..usize::from(before & 0x3f) % UNDISTURBED_MAX {
        network.go_on();
    }
    for _ in 0..OPERATIONS_MAX {
        let Some((operation, rest)) = data.split_first_chunk() else { break };
        data = rest;
        network.operate(*operation, &mut data);
    }
    if before & 0x80 != 0 {
        network.recover();
    }
});

/// The next bytes of the input, at most `len`.
fn next<'a>(data: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (bytes, rest) = data.split_at(data.len().min(len));
    *data = rest;
    bytes
}

impl Network {
    fn new(with_liar: bool) -> Self {
        let (keys, genesis) = network();
        let nodes: Vec<Descriptor> =
            (1..=NODES).map(|number| descriptor(&genesis, number, BIRTH, NodeState::Active)).collect();
        let key = keys.get(LIAR).filter(|_| with_liar);
        let liar = key.map(|key| Liar::new(key.clone(), Arc::clone(&genesis), &nodes));
        let mut authorities = Vec::new();
        for (place, key) in (0..).zip(keys) {
            let (genesis, clock) = (Arc::clone(&genesis), Timestamp::from_millis(BIRTH));
            let mut machine =
                AgreementMachine::new(genesis, key.clone(), None, Instant::START, clock)
                    .expect("the key is in the genesis");
            // Each node is known to two authorities, one more than may lie: the others must ask.
            for (number, node) in nodes.iter().enumerate() {
                if (place + AUTHORITIES - number) % AUTHORITIES < 2 {
                    machine.handle_descriptor(Instant::START, clock, node.clone());
                }
            }
            let rng = ChaCha12Rng::seed_from_u64(place as u64);
            authorities.push(Authority { key, machine, log: Vec::new(), chain: Vec::new(), rng });
        }
        Self {
            genesis,
            authorities,
            published: nodes.iter().map(|node| node.parts().node).collect(),
            liar,
            now: Instant::START,
            pending: VecDeque::new(),
            sent: Vec::new(),
            signed: BTreeMap::new(),
            decided: BTreeMap::new(),
        }
    }

    /// One operation; some read more of the input.
    fn operate(&mut self, [what, a, b, c]: [u8; 4], data: &mut &[u8]) {
        let to = usize::from(a) % AUTHORITIES;
        match what % 20 {
            0 | 1 => self.go_on(),
            2 | 3 => self.deliver_all(),
            4 | 5 => self.deliver(usize::from(b)),
            6 => drop(self.take(usize::from(b))),
            7..=9 => self.timeout(to),
            10 => self.restart(to),
            11 => {
                // A message on its way, altered.
                let edits = next(data, 4 + 4 * usize::from(c % 4));
                if let Some(Message { from, to, mut bytes }) = self.take(usize::from(b)) {
                    edit(&mut bytes, edits);
                    self.receive(from, to, &bytes);
                }
            }
            16.. => self.lie(what % 20, to, [b, c]),
            forgery => {
                let from = usize::from(a >> 2) % AUTHORITIES;
                if let Some(bytes) = self.forge(forgery, [b, c], data) {
                    self.receive(from, to, &bytes);
                }
            }
        }
    }

    /// A message to be sent to anybody in anybody's name.
    fn forge(&self, kind: u8, [b, c]: [u8; 2], data: &mut &[u8]) -> Option<Vec<u8>> {
        if kind == 15 {
            // Bytes that nobody sent.
            return Some([&[wire::VERSION], next(data, b.into())].concat());
        }
        // Once more as it was, or altered, or two made into one.
        let mut bytes = self.earlier(b, c)?.clone();
        match kind {
            13 => edit(&mut bytes, next(data, 8)),
            14 => {
                let (&[high, at, start, len], rest) = data.split_first_chunk()?;
                *data = rest;
                let other = self.earlier(high, at)?;
                splice(&mut bytes, at.into(), other, start.into(), len.into());
            }
            _ => {}
        }
        Some(bytes)
    }

    /// The liar tells an authority something that it signed; without one, time passes.
    fn lie(&mut self, what: u8, to: usize, choice: [u8; 2]) {
        let Some(liar) = &mut self.liar else { return self.go_on() };
        let of = &self.authorities[to];
        let newest = of.chain.last().map(Arc::as_ref);
        let standing = Standing { newest, round: of.machine.round().unwrap_or(0) };
        let message = match what {
            16 | 17 => Some(liar.vote(standing, choice)),
            18 => Some(liar.report(standing, choice)),
            _ => liar.proposal(standing, choice),
        };
        if let Some(message) = message {
            let bytes = message.encode();
            self.receive(LIAR, to, &bytes);
            self.sent.push(bytes);
        }
    }

    fn lies(&self, place: usize) -> bool {
        self.liar.is_some() && place == LIAR
    }

    /// Undisturbed again, all honest ones come to the next height.
    fn recover(&mut self) {
        let goal = 1 + self.authorities.iter().map(|of| of.chain.len()).max().unwrap_or(0);
        for _ in 0..RECOVERY_STEPS_MAX {
            let there =
                |(place, of): (usize, &Authority)| of.chain.len() >= goal || self.lies(place);
            if self.authorities.iter().enumerate().all(there) {
                return;
            }
            self.go_on();
        }
        let machines: Vec<_> = self.authorities.iter().map(|of| &of.machine).collect();
        panic!("height {goal} is not reached: {machines:?}");
    }

    fn clock(&self) -> Timestamp {
        let since = self.now.saturating_since(Instant::START);
        Timestamp::from_millis(BIRTH).saturating_add(since)
    }

    fn take(&mut self, place: usize) -> Option<Message> {
        let place = place.checked_rem(self.pending.len())?;
        self.pending.remove(place)
    }

    fn earlier(&self, high: u8, low: u8) -> Option<&Vec<u8>> {
        let place = usize::from(u16::from_be_bytes([high, low]));
        self.sent.get(place.checked_rem(self.sent.len())?)
    }

    /// The next thing that waits for its time happens, and everything on its way arrives.
    fn go_on(&mut self) {
        let due = self.authorities.iter().map(|of| of.machine.poll_timeout());
        let next = due.zip(0..).filter_map(|(due, place)| Some((due?, place))).min();
        if let Some((_, place)) = next {
            self.timeout(place);
        }
        self.deliver_all();
    }

    fn deliver_all(&mut self) {
        for _ in 0..DELIVERIES_MAX.min(self.pending.len()) {
            self.deliver(0);
        }
    }

    /// The message at `place` of those on their way arrives.
    fn deliver(&mut self, place: usize) {
        if let Some(Message { from, to, bytes }) = self.take(place) {
            self.receive(from, to, &bytes);
        }
    }

    /// What a link brings: as the node does with it.
    fn receive(&mut self, from: usize, to: usize, bytes: &[u8]) {
        let Ok(message) = AgreementMessage::decode(bytes) else { return };
        assert_eq!(AgreementMessage::decode(&message.encode()).as_ref(), Ok(&message));
        let from = authority(&self.authorities[from].key);
        // What is refused has no effect that the oracle would not see.
        let _ = self.authorities[to].machine.handle_message(self.now, &from, message);
        self.drain(to);
    }

    fn timeout(&mut self, place: usize) {
        let Some(due) = self.authorities[place].machine.poll_timeout() else { return };
        self.now = self.now.max(due);
        let clock = self.clock();
        let of = &mut self.authorities[place];
        of.machine.handle_timeout(self.now, clock, &mut of.rng);
        self.drain(place);
    }

    /// The process dies and comes back with its log and its documents.
    fn restart(&mut self, place: usize) {
        let clock = self.clock();
        let (now, genesis) = (self.now, Arc::clone(&self.genesis));
        let of = &mut self.authorities[place];
        let entries: Vec<LogEntry> = of
            .log
            .iter()
            .map(|bytes| LogEntry::decode(bytes).expect("it is read as it was written"))
            .collect();
        let newest = of.chain.last().cloned();
        of.machine = AgreementMachine::new(genesis, of.key.clone(), newest, now, clock)
            .expect("the key is in the genesis");
        of.machine.restore(now, entries);
        self.drain(place);
    }

    /// Does what the machine says, in the order its contract demands.
    fn drain(&mut self, place: usize) {
        loop {
            let of = &mut self.authorities[place];
            while let Some(entry) = of.machine.poll_persist() {
                of.log.push(entry.encode());
            }
            if let Some(transmit) = self.authorities[place].machine.poll_transmit() {
                self.send(place, transmit.to, &transmit.message);
            } else if let Some(event) = self.authorities[place].machine.poll_event() {
                self.hear(place, event);
            } else {
                return;
            }
        }
    }

    fn send(&mut self, place: usize, recipient: Recipient, message: &AgreementMessage) {
        self.note_signed(place, message);
        if let Some(liar) = &mut self.liar {
            liar.hear(message);
        }
        let bytes = message.encode();
        for (to, other) in self.authorities.iter().enumerate() {
            let meant = match recipient {
                Recipient::Others => to != place,
                Recipient::One(id) => id == authority(&other.key),
            };
            if meant {
                let bytes = bytes.clone();
                self.pending.push_back(Message { from: place, to, bytes });
            }
        }
        self.sent.push(bytes);
        let over = self.pending.len().saturating_sub(PENDING_MAX);
        self.pending.drain(..over);
    }

    /// Notes what was signed and passed on: whoever signed it, it does not contradict what the same
    /// authority signed before.
    fn note_signed(&mut self, place: usize, message: &AgreementMessage) {
        match message {
            AgreementMessage::Report(signed) => {
                let report = Report::verify(signed, &self.genesis).expect("it was checked");
                let author = self.genesis.index(&report.author).expect("an authority");
                self.note(author.into(), &(0u8, report.height), signed.bytes.clone());
            }
            AgreementMessage::Proposal(proposal) => {
                let bytes = &proposal.head.bytes;
                let head: ProposalHead = wire::decode(bytes, bytes.len()).expect("it was checked");
                // The chapter's order of proposers.
                let author = (head.height + u64::from(head.round)) % AUTHORITIES as u64;
                let author = usize::try_from(author).expect("a small number");
                self.note(author, &(1u8, head.height, head.round), bytes.clone());
            }
            AgreementMessage::Vote(vote) => {
                assert_eq!(usize::from(vote.author), place, "others' votes go with a status");
                self.note_vote(vote);
            }
            AgreementMessage::Status(status) => {
                status.votes.iter().for_each(|vote| self.note_vote(vote));
            }
            AgreementMessage::Fetch(_) | AgreementMessage::Descriptors(_) => {}
        }
    }

    fn note_vote(&mut self, SignedVote { author, vote, signature }: &SignedVote) {
        let author = usize::from(*author);
        let kind = 2 + u8::from(vote.kind == VoteKind::Precommit);
        if self.note(author, &(kind, vote.height, vote.round), wire::encode(vote)) {
            let id = authority(&self.authorities[author].key);
            vote.verify(&id, &self.genesis.network(), signature).expect("its author signed it");
        }
    }

    /// Whether it is the first of its kind and place.
    fn note(&mut self, author: usize, place: &impl Serialize, what: Vec<u8>) -> bool {
        match self.signed.entry((author, wire::encode(place))) {
            Entry::Vacant(free) => {
                free.insert(what);
                true
            }
            Entry::Occupied(known) => {
                let same = *known.get() == what;
                assert!(same || self.lies(author), "authority {author} contradicts itself");
                !same
            }
        }
    }

    fn hear(&mut self, place: usize, event: AgreementEvent) {
        match event {
            AgreementEvent::Decided { document, reports } => {
                assert!(reports.len() >= self.genesis.threshold());
                let document = self.decided(document);
                self.adopt(place, document);
            }
            AgreementEvent::Behind { authority: other, .. } => {
                // The height may be made up; what the other has is what there is.
                let others = self.authorities.iter();
                let source = others.into_iter().find(|of| authority(&of.key) == other);
                let known = self.authorities[place].chain.len();
                let chain = source.map_or_else(Vec::new, |source| source.chain.clone());
                chain.into_iter().skip(known).for_each(|document| self.adopt(place, document));
            }
            AgreementEvent::Misbehaviour { authority, evidence } => {
                let accused = self.genesis.index(&authority).map(usize::from);
                assert!(
                    accused.is_some_and(|accused| self.lies(accused)),
                    "{authority} is accused and is honest: {evidence:?}"
                );
            }
        }
    }

    fn decided(&mut self, signed: SignedDocument) -> Arc<VerifiedDocument> {
        let verified = signed.verify(&self.genesis).expect("what is decided is valid");
        let document = verified.document();
        assert!(document.nodes.iter().all(|node| self.published.contains(&node.id)));
        assert!(document.time <= self.clock(), "no clock was ahead");
        let bytes = &verified.signed().document;
        let known = self.decided.entry(document.height).or_insert_with(|| bytes.clone());
        assert_eq!(known, bytes, "two documents of height {}", document.height);
        Arc::new(verified)
    }

    fn adopt(&mut self, place: usize, document: Arc<VerifiedDocument>) {
        let clock = self.clock();
        let of = &mut self.authorities[place];
        if document.document().height == of.chain.len() as u64 + 1 {
            of.chain.push(Arc::clone(&document));
            of.log.clear();
            of.machine.handle_document(self.now, clock, document);
        }
    }
}
