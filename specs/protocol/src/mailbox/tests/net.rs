//! A swarm in one process: machines, a wire with a delay, and a client.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::crypto::{SecretKey, Signature};
use crate::id::{NetworkId, NodeId, StoreId, SwarmId};
use crate::identity::AccountId;
use crate::mailbox::{
    Answer, Author, Authorization, Call, CallId, ChangeCall, Cursor, FaultyStore, Forward,
    ForwardReply, MailboxError, MemberConfig, MemberMachine, Mutation, Namespace, Now, Op, Page,
    Readiness, ReceiptNonce, Reply, Request, RequestId, Response, RetrieveCall, Scope, StoreCall,
    Transmit, Verify, View,
};
use crate::swarm::{Configuration, Member, Phase, SwarmState, Target};
use crate::time::{Instant, Timestamp};
use crate::{identity, wire};

pub(super) const NETWORK: NetworkId = NetworkId::from_bytes([3; 32]);
pub(super) const DAY: u32 = 86_400;
const DELAY: Duration = Duration::from_millis(20);
/// Three epochs of ten minutes.
pub(super) const LATE_AFTER: Duration = Duration::from_secs(3 * 600);
pub(super) const STALE_AFTER: Duration = Duration::from_secs(86_400);
const START: Timestamp = Timestamp::from_secs(1_800_000_000);

/// An account with its key.
pub(super) struct Owner {
    pub(super) key: SecretKey,
    pub(super) id: AccountId,
}

pub(super) fn owner(seed: u8) -> Owner {
    let key = SecretKey::from_seed(&[seed; 32]);
    let id = AccountId::of_account(&key.public()).unwrap();
    Owner { key, id }
}

impl Owner {
    pub(super) fn sign(&self, scope: impl Into<Scope>, at: Timestamp, op: Op) -> Mutation {
        let author = Author::Owner(self.key.public());
        Mutation::signed(&self.key, author, &NETWORK, &self.id, scope.into(), at, op)
    }

    pub(super) fn authorize(&self, namespace: Namespace, at: Timestamp, op: Op) -> Authorization {
        self.sign(namespace, at, op).by
    }

    pub(super) fn change(&self, scope: impl Into<Scope>, at: Timestamp, ops: &[Op]) -> Call {
        let ops = ops.iter().copied();
        let nonce = ReceiptNonce::from_bytes([9; 16]);
        let call = ChangeCall::by_owner(&self.key, &NETWORK, self.id, scope.into(), at, ops, nonce);
        Call::Change(call)
    }

    /// A store into an inbox, which needs no signature.
    pub(super) fn post(&self, data: &[u8]) -> Call {
        self.post_for(data, DAY)
    }

    pub(super) fn post_for(&self, data: &[u8], ttl: u32) -> Call {
        Call::Store(StoreCall {
            account: self.id,
            namespace: Namespace::INBOX,
            ttl,
            data: data.to_vec().into(),
            by: None,
            nonce: ReceiptNonce::from_bytes([5; 16]),
        })
    }

    /// A store signed by the owner.
    pub(super) fn publish(&self, namespace: Namespace, at: Timestamp, data: &[u8]) -> Call {
        let hash = crate::mailbox::MessageHash::of(&self.id, namespace, data);
        Call::Store(StoreCall {
            account: self.id,
            namespace,
            ttl: DAY,
            data: data.to_vec().into(),
            by: Some(self.authorize(namespace, at, Op::Store { hash, ttl: DAY })),
            nonce: ReceiptNonce::from_bytes([5; 16]),
        })
    }

    pub(super) fn retrieve(&self, namespace: Namespace, at: Timestamp) -> Call {
        self.retrieve_after(namespace, at, None, 1 << 20)
    }

    pub(super) fn retrieve_after(
        &self,
        namespace: Namespace,
        at: Timestamp,
        after: Option<Cursor>,
        max_bytes: u32,
    ) -> Call {
        let by = Some(self.authorize(namespace, at, Op::Retrieve));
        Call::Retrieve(RetrieveCall { account: self.id, namespace, after, max_bytes, by })
    }
}

enum Event {
    Request { id: RequestId, request: Request },
    Forward { from: NodeId, call: CallId, forward: Arc<Forward> },
    Answer { from: NodeId, call: CallId, reply: ForwardReply },
}

/// Where an answer to a forward goes back to.
struct Origin {
    to: usize,
    call: CallId,
}

pub(super) struct Net {
    pub(super) machines: Vec<MemberMachine<FaultyStore>>,
    pub(super) keys: Vec<SecretKey>,
    pub(super) down: BTreeSet<usize>,
    /// Nodes whose answers are lost: they take writes but nobody hears it.
    pub(super) mute: BTreeSet<usize>,
    pub(super) config: MemberConfig,
    pub(super) responses: BTreeMap<RequestId, Response>,
    pub(super) state: SwarmState,
    /// Whether the authorities make documents; each member then has one of now.
    pub(super) has_authorities: bool,
    /// How far each member's clock is ahead.
    pub(super) ahead: Vec<Duration>,
    /// How far it is behind.
    pub(super) behind: Vec<Duration>,
    views: Vec<View>,
    elapsed: Duration,
    queue: BTreeMap<(Duration, u64), (usize, Event)>,
    origins: BTreeMap<(usize, RequestId), Origin>,
    counter: u64,
}

fn store_id(index: usize) -> StoreId {
    StoreId::from_bytes([u8::try_from(index).unwrap() + 1; 16])
}

pub(super) fn node_key(index: usize) -> SecretKey {
    SecretKey::from_seed(&[100 + u8::try_from(index).unwrap(); 32])
}

fn node_id(key: &SecretKey) -> NodeId {
    NodeId::from_bytes(*key.public().as_bytes())
}

fn view(swarms: Arc<SwarmState>, made: Timestamp, readiness: Readiness) -> View {
    let (late_after, stale_after) = (LATE_AFTER, STALE_AFTER);
    View { height: 12, made, late_after, stale_after, swarms, readiness }
}

impl Net {
    /// One swarm of `n` members, all stable.
    pub(super) fn new(n: usize) -> Self {
        Self::with(n, n, MemberConfig::new(NETWORK))
    }

    /// `n` nodes of which the first `stable` are stable; the others are joiners, in the target
    /// with all but the first.
    pub(super) fn with(n: usize, stable: usize, config: MemberConfig) -> Self {
        let keys: Vec<SecretKey> = (0..n).map(node_key).collect();
        let machine = |(index, key): (usize, &SecretKey)| {
            MemberMachine::new(config, key.clone(), FaultyStore::new(store_id(index))).unwrap()
        };
        let machines = keys.iter().enumerate().map(machine).collect();
        let member = |index: usize| Member { node: node_id(&keys[index]), store: store_id(index) };
        let list = |range: core::ops::Range<usize>| {
            let mut members: Vec<Member> = range.map(member).collect();
            members.sort();
            members
        };
        let target = (n > stable).then(|| Target { members: list(1..n), since: Timestamp::EPOCH });
        let configuration = Configuration {
            swarm: SwarmId::new(7).unwrap(),
            number: 4,
            phase: Phase::Owner,
            stable: list(0..stable),
            target,
            unread_since: None,
            loss_possible: None,
        };
        let state = SwarmState { configurations: vec![configuration], retired: 0 };
        let mut net = Self {
            machines,
            keys,
            down: BTreeSet::new(),
            mute: BTreeSet::new(),
            config,
            responses: BTreeMap::new(),
            state,
            has_authorities: true,
            ahead: vec![Duration::ZERO; n],
            behind: vec![Duration::ZERO; n],
            views: Vec::new(),
            elapsed: Duration::ZERO,
            queue: BTreeMap::new(),
            origins: BTreeMap::new(),
            counter: 0,
        };
        let swarms = Arc::new(net.state.clone());
        net.views = vec![view(swarms, START, Readiness::Ready); n];
        for index in 0..n {
            net.show_view(index, Readiness::Ready);
        }
        net
    }

    pub(super) fn show_view(&mut self, index: usize, readiness: Readiness) {
        let swarms = Arc::new(self.state.clone());
        let made = self.views[index].made;
        self.views[index] = view(swarms, made, readiness);
        self.machines[index].handle_view(self.views[index].clone());
    }

    /// Gives a member the document of now, and says what its clocks show.
    fn clocks(&mut self, index: usize) -> Now {
        let now = self.now();
        if self.has_authorities {
            self.views[index].made = now.clock;
            self.machines[index].handle_view(self.views[index].clone());
        }
        let clock = now.clock.saturating_add(self.ahead[index]).saturating_sub(self.behind[index]);
        Now { clock, ..now }
    }

    pub(super) fn now(&self) -> Now {
        Now {
            instant: Instant::START.saturating_add(self.elapsed),
            clock: START.saturating_add(self.elapsed),
        }
    }

    pub(super) fn clock(&self) -> Timestamp {
        self.now().clock
    }

    fn post(&mut self, to: usize, event: Event) {
        self.counter += 1;
        self.queue.insert((self.elapsed + DELAY, self.counter), (to, event));
    }

    /// Sends a request; the answer is in `responses` when it came.
    pub(super) fn send(&mut self, to: usize, request: Request) -> RequestId {
        self.counter += 1;
        let id = RequestId(self.counter);
        self.post(to, Event::Request { id, request });
        id
    }

    /// Lets everything happen that happens within `span`.
    pub(super) fn run(&mut self, span: Duration) {
        let end = self.elapsed + span;
        loop {
            let due = |index: &usize| {
                let at = self.machines[*index].poll_timeout();
                (at.saturating_since(Instant::START), *index)
            };
            let timer =
                (0..self.machines.len()).filter(|i| !self.down.contains(i)).map(|i| due(&i)).min();
            let message = self.queue.keys().next().map(|(at, _)| *at);
            let timer_first = timer.is_some_and(|(at, _)| message.is_none_or(|m| at <= m));
            let at = if timer_first { timer.map(|(at, _)| at) } else { message };
            let Some(at) = at.filter(|at| *at <= end) else { break };
            self.elapsed = self.elapsed.max(at);
            if timer_first {
                let (_, index) = timer.unwrap();
                let now = self.clocks(index);
                self.machines[index].handle_timeout(now);
                self.commit(index);
            } else {
                let (_, (to, event)) = self.queue.pop_first().unwrap();
                self.deliver(to, event);
            }
        }
        self.elapsed = end;
    }

    fn deliver(&mut self, to: usize, event: Event) {
        if self.down.contains(&to) {
            return;
        }
        let now = self.clocks(to);
        match event {
            Event::Request { id, request } => {
                let bytes = wire::encode(&request);
                let request: Request = wire::decode(&bytes, 1 << 20).unwrap();
                match request.verify(&NETWORK) {
                    Ok(request) => self.machines[to].handle_request(now, id, request),
                    Err(error) => {
                        self.responses.insert(id, Response::One(Err(error)));
                    }
                }
            }
            Event::Forward { from, call, forward } => {
                self.counter += 1;
                let id = RequestId(self.counter);
                let origin = self.index_of(from);
                self.origins.insert((to, id), Origin { to: origin, call });
                let bytes = wire::encode(&*forward);
                let forward: Forward = wire::decode(&bytes, 1 << 20).unwrap();
                match forward.verify(&NETWORK) {
                    Ok(forward) => self.machines[to].handle_forward(now, id, from, forward),
                    Err(error) => {
                        let from = self.machines[to].id();
                        self.post(origin, Event::Answer { from, call, reply: Err(error) });
                    }
                }
            }
            Event::Answer { from, call, reply } => {
                let answer = Answer { from, reply }.verify(&NETWORK).unwrap();
                self.machines[to].handle_answer(call, answer);
            }
        }
        self.commit(to);
    }

    fn index_of(&self, node: NodeId) -> usize {
        self.machines.iter().position(|machine| machine.id() == node).unwrap()
    }

    fn commit(&mut self, index: usize) {
        let now = self.clocks(index);
        if self.machines[index].needs_commit() {
            self.machines[index].commit(now);
        }
        while let Some(transmit) = self.machines[index].poll_transmit() {
            match transmit {
                Transmit::Respond { id, response } => {
                    let twice = self.responses.insert(id, response);
                    assert!(twice.is_none(), "one answer a request");
                }
                Transmit::Acknowledge { id, reply } => {
                    let Origin { to, call } = self.origins.remove(&(index, id)).unwrap();
                    let from = self.machines[index].id();
                    if !self.mute.contains(&index) {
                        self.post(to, Event::Answer { from, call, reply });
                    }
                }
                Transmit::Forward { call, to, forward, .. } => {
                    let from = self.machines[index].id();
                    for node in to {
                        let to = self.index_of(node);
                        self.post(to, Event::Forward { from, call, forward: forward.clone() });
                    }
                }
            }
        }
    }

    /// Asks one thing and waits for the answer.
    pub(super) fn ask(&mut self, to: usize, call: Call) -> Result<Reply, MailboxError> {
        let id = self.send(to, Request::One(Box::new(call)));
        self.run(Duration::from_secs(6));
        match self.responses.remove(&id) {
            Some(Response::One(result)) => result,
            other => panic!("no single answer: {other:?}"),
        }
    }

    /// What one member returns of a drawer.
    pub(super) fn read(&mut self, to: usize, owner: &Owner, namespace: Namespace) -> Vec<Vec<u8>> {
        let call = owner.retrieve(namespace, self.clock());
        let page = page(self.ask(to, call));
        page.items.into_iter().map(|item| item.data.into_bytes()).collect()
    }

    /// Kills a member: what it had not committed is gone, and so is what it had in hand.
    pub(super) fn restart(&mut self, index: usize) {
        let key = self.keys[index].clone();
        let spare = MemberMachine::new(self.config, key.clone(), FaultyStore::new(store_id(index)));
        let old = core::mem::replace(&mut self.machines[index], spare.unwrap());
        let mut store = old.into_store();
        store.crash();
        self.machines[index] = MemberMachine::new(self.config, key, store).unwrap();
        self.show_view(index, Readiness::Ready);
        // Its connections broke: what was on the way to it is gone.
        self.queue.retain(|_, (to, _)| *to != index);
    }
}

pub(super) fn page(reply: Result<Reply, MailboxError>) -> Page {
    match reply {
        Ok(Reply::Retrieved(page)) => page,
        other => panic!("no page: {other:?}"),
    }
}

/// Receipts of a confirmed write, each checked, from distinct members.
pub(super) fn receipts(reply: Result<Reply, MailboxError>) -> usize {
    let Ok(Reply::Stored(done) | Reply::Changed(done) | Reply::ChunkStored(done)) = reply else {
        panic!("not confirmed: {reply:?}");
    };
    let members: BTreeSet<Member> = done.receipts.iter().map(|r| r.member()).collect();
    assert_eq!(members.len(), done.receipts.len(), "one receipt a member");
    for receipt in &done.receipts {
        assert_eq!(receipt.verify(&NETWORK), Ok(()));
        let mut forged = *receipt;
        forged.body.nonce = ReceiptNonce::from_bytes([0xee; 16]);
        assert!(forged.verify(&NETWORK).is_err());
        forged = *receipt;
        forged.signature = Signature::from_bytes([0; 64]);
        assert!(forged.verify(&NETWORK).is_err());
    }
    done.receipts.len()
}

/// A device of `owner` with a token.
pub(super) fn device(
    seed: u8,
    rights: identity::Rights,
) -> (identity::AccountKey, SecretKey, identity::SubAccountToken) {
    let account = identity::AccountSeed::from_bytes([seed; 16]).key();
    let device = SecretKey::from_seed(&[seed ^ 0xff; 32]);
    let token = identity::SubAccountToken::issue(&account, &NETWORK, device.public(), rights, 1);
    (account, device, token)
}
