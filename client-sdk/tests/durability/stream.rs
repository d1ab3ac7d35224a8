//! A stream of stores and deletes, and what was acknowledged of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use enjambre_protocol::id::{Digest, NodeId};
use enjambre_protocol::identity::{AccountKey, AccountSeed};
use enjambre_protocol::mailbox::{
    Call, ChangeCall, Confirmed, MessageHash, Namespace, Op, Receipt, ReceiptNonce, Reply, Scope,
    StoreCall, Written, changes_digest,
};
use enjambre_protocol::swarm::majority;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha20Rng;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::support::onion::{OnionClient, now};

/// Stores and deletes under way at a time.
const WORKERS: u64 = 16;

/// Acknowledgements after which a stream has had enough, at most.
const ACKNOWLEDGED_MAX: usize = 120;

/// How long a message lives, seconds: past the end of the test.
const TTL: u32 = 86_400;

/// What a member signed for, of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signed {
    /// That it has it.
    Kept,
    /// That it has it; a delete was under way at the end.
    InDoubt,
    /// That it has deleted it.
    Deleted,
}

/// What was acknowledged, by member.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    members: BTreeMap<NodeId, BTreeMap<MessageHash, Signed>>,
    acknowledged: usize,
}

/// A stream into one mailbox.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Whose mailbox it is.
    pub(crate) owner: AccountKey,
    ledger: Arc<Mutex<Ledger>>,
}

impl Stream {
    /// Stores and deletes through `client` until so many were acknowledged as the generator says;
    /// then, with others under way, does `end` and gives up the rest. `name` stands in failures.
    pub(crate) async fn run(
        client: &Arc<OnionClient>,
        rng: &mut ChaCha20Rng,
        name: &str,
        end: impl FnOnce(),
    ) -> Self {
        let owner = AccountSeed::generate(rng).key();
        let stream = Self { owner, ledger: Arc::default() };
        let enough = rng.random_range(1..=ACKNOWLEDGED_MAX);
        let reached = Arc::new(Notify::new());
        let mut workers = JoinSet::new();
        for worker in 0..WORKERS {
            let worker = Worker {
                client: Arc::clone(client),
                owner: AccountSeed::from_bytes(*stream.owner.seed().expose()).key(),
                ledger: Arc::clone(&stream.ledger),
                rng: ChaCha20Rng::from_rng(rng),
                own: Vec::new(),
                enough,
                reached: Arc::clone(&reached),
                name: format!("{name}, worker {worker}"),
            };
            workers.spawn(worker.run());
        }
        tokio::select! {
            () = reached.notified() => {}
            // A worker ends by a panic only.
            Some(ended) = workers.join_next() => ended.unwrap(),
        }
        end();
        workers.shutdown().await;
        stream
    }

    /// How many writes were acknowledged.
    pub(crate) fn acknowledged(&self) -> usize {
        self.ledger.lock().unwrap().acknowledged
    }

    /// Who signed for anything.
    pub(crate) fn members(&self) -> Vec<NodeId> {
        self.ledger.lock().unwrap().members.keys().copied().collect()
    }

    /// What a member signed for and does not hold to, if this is what it holds.
    pub(crate) fn unkept(&self, member: NodeId, held: &[MessageHash]) -> Vec<String> {
        let ledger = self.ledger.lock().unwrap();
        let signed = ledger.members.get(&member).into_iter().flatten();
        let wrong = signed.filter(|(hash, signed)| match signed {
            Signed::Kept => !held.contains(hash),
            Signed::Deleted => held.contains(hash),
            Signed::InDoubt => false,
        });
        wrong
            .map(|(hash, signed)| format!("{} signed {signed:?} for {hash:?}", member.short()))
            .collect()
    }
}

impl Ledger {
    fn count(&mut self, enough: usize, reached: &Notify) {
        self.acknowledged += 1;
        if self.acknowledged >= enough {
            reached.notify_one();
        }
    }
}

/// Stores and deletes, one after the other, and keeps the receipts.
struct Worker {
    client: Arc<OnionClient>,
    owner: AccountKey,
    ledger: Arc<Mutex<Ledger>>,
    rng: ChaCha20Rng,
    /// Its messages that were acknowledged and not deleted.
    own: Vec<MessageHash>,
    enough: usize,
    reached: Arc<Notify>,
    name: String,
}

impl Worker {
    async fn run(mut self) {
        loop {
            let delete = self.own.choose(&mut self.rng).copied();
            // One in eight is a delete, once there is something to delete.
            match delete.filter(|_| self.rng.random_range(0..8) == 0) {
                Some(hash) => self.delete(hash).await,
                None => self.store().await,
            }
        }
    }

    /// One call to a member that the generator chooses; what it cannot confirm claims nothing.
    async fn ask(&mut self, call: Call) -> Option<Confirmed> {
        let nodes = self.client.nodes();
        let to = *nodes.choose(&mut self.rng).unwrap();
        match self.client.call(&mut self.rng, to, call).await {
            Ok(Reply::Stored(confirmed) | Reply::Changed(confirmed)) => Some(confirmed),
            Ok(other) => panic!("{}: {other:?}", self.name),
            Err(_) => None,
        }
    }

    async fn store(&mut self) {
        let (account, namespace) = (self.owner.id(), Namespace::INBOX);
        let mut data = vec![0; self.rng.random_range(1..3000)];
        self.rng.fill_bytes(&mut data);
        let (hash, nonce) = (MessageHash::of(&account, namespace, &data), self.nonce());
        let data = data.into();
        let call = StoreCall { account, namespace, ttl: TTL, data, by: None, nonce };
        let Some(confirmed) = self.ask(Call::Store(call)).await else { return };
        let subject = Digest::from_bytes(*hash.as_bytes());
        let signers = self.signers(&confirmed, Written::Record, subject, nonce);
        let mut ledger = self.ledger.lock().unwrap();
        for signer in signers {
            ledger.members.entry(signer).or_default().insert(hash, Signed::Kept);
        }
        ledger.count(self.enough, &self.reached);
        drop(ledger);
        self.own.push(hash);
    }

    async fn delete(&mut self, hash: MessageHash) {
        self.own.retain(|own| *own != hash);
        for signed in self.ledger.lock().unwrap().members.values_mut() {
            signed.entry(hash).and_modify(|signed| *signed = Signed::InDoubt);
        }
        let nonce = self.nonce();
        let (key, network) = (self.owner.signer(), *self.client.network());
        let (account, scope) = (self.owner.id(), Scope::One(Namespace::INBOX));
        let ops = [Op::Delete { hash }];
        let change = ChangeCall::by_owner(key, &network, account, scope, now(), ops, nonce);
        let subject = changes_digest(&change.mutations());
        let Some(confirmed) = self.ask(Call::Change(change)).await else { return };
        let signers = self.signers(&confirmed, Written::Changes, subject, nonce);
        let mut ledger = self.ledger.lock().unwrap();
        for signer in signers {
            ledger.members.entry(signer).or_default().insert(hash, Signed::Deleted);
        }
        ledger.count(self.enough, &self.reached);
    }

    fn nonce(&mut self) -> ReceiptNonce {
        let mut bytes = [0; ReceiptNonce::LEN];
        self.rng.fill_bytes(&mut bytes);
        ReceiptNonce::from_bytes(bytes)
    }

    /// Who signed; a majority, each for this write.
    fn signers(
        &self,
        confirmed: &Confirmed,
        written: Written,
        subject: Digest,
        nonce: ReceiptNonce,
    ) -> Vec<NodeId> {
        let holds = |receipt: &&Receipt| {
            let body = &receipt.body;
            receipt.verify(self.client.network()).is_ok()
                && (body.written, body.subject, body.nonce) == (written, subject, nonce)
        };
        let receipts = confirmed.receipts.iter().filter(holds);
        let signers: BTreeSet<NodeId> = receipts.map(|receipt| receipt.node).collect();
        let members = usize::from(confirmed.members);
        assert!(signers.len() >= majority(members), "{}: {confirmed:?}", self.name);
        signers.into_iter().collect()
    }
}
