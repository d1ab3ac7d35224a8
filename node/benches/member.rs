//! A member of a swarm of one on its database: what it stores a second with every batch synced, and
//! what a message takes on disk.
//!
//! One thread checks what waits, stamps, stages, syncs once and signs the receipts, as a node's
//! mailbox does. Links and onion layers are not in it: `client-sdk/examples/load.rs` measures those
//! with it, on swarms of several.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use enjambre_node::clock;
use enjambre_node::store::RocksStore;
use enjambre_protocol::crypto::SecretKey;
use enjambre_protocol::id::{NetworkId, NodeId, SwarmId};
use enjambre_protocol::identity::{AccountKey, AccountSeed};
use enjambre_protocol::mailbox::{
    Author, Call, MemberConfig, MemberMachine, MessageHash, Mutation, Namespace, Now, Op,
    Readiness, ReceiptNonce, Request, RequestId, Response, Scope, Store, StoreCall, Transmit,
    Verify, View,
};
use enjambre_protocol::swarm::{Configuration, Member, Phase, SwarmState};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const NETWORK: NetworkId = NetworkId::from_bytes([3; 32]);

/// Bytes of a message.
const MESSAGE: usize = 1024;

/// How long each rate is measured.
const LASTS: Duration = Duration::from_secs(3);

/// Accounts that messages are for.
const ACCOUNTS: u8 = 200;

/// Messages behind a figure of bytes: enough that what a database has anyway does not show.
const STORED: u32 = 40_000;

/// What a deployed server (2.8, C++) stores a second, eight in flight and not synced; bytes on its
/// disk for a message. Taken on a machine of this kind, not in this run.
const THEIR_STORES: f64 = 2_479.0;
const THEIR_BYTES: f64 = 1_523.0;

const DAY: u32 = 86_400;

/// One member with everything it asks for.
struct Bench {
    machine: MemberMachine<RocksStore>,
    accounts: Vec<AccountKey>,
    rng: StdRng,
    next: u64,
}

impl Bench {
    fn new(dir: &Path) -> Self {
        let store = RocksStore::open(&dir.join("db")).unwrap();
        let key = SecretKey::from_seed(&[1; 32]);
        let member =
            Member { node: NodeId::from_bytes(*key.public().as_bytes()), store: store.id() };
        let configuration = Configuration {
            swarm: SwarmId::new(7).unwrap(),
            number: 1,
            phase: Phase::Owner,
            stable: vec![member],
            target: None,
            unread_since: None,
            loss_possible: None,
        };
        let state = SwarmState { configurations: vec![configuration], retired: 0 };
        let mut machine = MemberMachine::new(MemberConfig::new(NETWORK), key, store).unwrap();
        let (swarms, readiness) = (Arc::new(state), Readiness::Ready);
        let (made, day) = (clock::now(), Duration::from_secs(DAY.into()));
        let (late_after, stale_after) = (day, day);
        machine.handle_view(View { height: 1, made, late_after, stale_after, swarms, readiness });
        let accounts = (0..ACCOUNTS).map(|i| AccountSeed::from_bytes([i; 16]).key()).collect();
        Self { machine, accounts, rng: StdRng::seed_from_u64(1), next: 0 }
    }

    /// A message for the next account, signed by it where the namespace wants that.
    fn message(&mut self, namespace: Namespace) -> Request {
        let mut data = vec![0; MESSAGE];
        self.rng.fill_bytes(&mut data);
        let at = usize::try_from(self.next).unwrap() % self.accounts.len();
        let (account, ttl) = (&self.accounts[at], DAY);
        let by = (namespace != Namespace::INBOX).then(|| {
            let op = Op::Store { hash: MessageHash::of(&account.id(), namespace, &data), ttl };
            let (author, scope) = (Author::Owner(account.public()), Scope::One(namespace));
            let (key, id) = (account.signer(), account.id());
            Mutation::signed(key, author, &NETWORK, &id, scope, clock::now(), op).by
        });
        let nonce = ReceiptNonce::from_bytes([5; 16]);
        let (account, data) = (account.id(), data.into());
        Request::One(Box::new(Call::Store(StoreCall { account, namespace, ttl, data, by, nonce })))
    }

    /// Stores these in one batch.
    fn store(&mut self, batch: Vec<Request>) {
        let (now, count) = (now(), batch.len());
        for request in batch {
            let request = request.verify(&NETWORK).unwrap();
            self.machine.handle_request(now, RequestId(self.next), request);
            self.next += 1;
        }
        self.machine.commit(now);
        let mut stored = 0;
        while let Some(transmit) = self.machine.poll_transmit() {
            match transmit {
                Transmit::Respond { response: Response::One(Ok(_)), .. } => stored += 1,
                other => panic!("not stored: {other:?}"),
            }
        }
        assert_eq!(stored, count);
    }
}

fn now() -> Now {
    Now { instant: clock::instant(), clock: clock::now() }
}

/// Stores with so many in flight: a second, and how long the slowest of a hundred took.
fn rate(in_flight: usize) {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    let (mut took, mut spent) = (Vec::new(), Duration::ZERO);
    while spent < LASTS {
        // The clients' work is not the member's.
        let batch = (0..in_flight).map(|_| bench.message(Namespace::INBOX)).collect();
        let began = Instant::now();
        bench.store(batch);
        took.push(began.elapsed());
        spent += began.elapsed();
    }
    took.sort_unstable();
    let a_second = (took.len() * in_flight) as f64 / spent.as_secs_f64();
    let millis = |percent: usize| took[(took.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    let figure = format!("{a_second:.0}/s, p50 {:.2} ms, p99 {:.2} ms", millis(50), millis(99));
    let ratio = format!("{:.2} x its {THEIR_STORES:.0}/s", a_second / THEIR_STORES);
    let target = ">= 2 x a deployed server's, p99 <= 8 ms";
    row(&format!("store, swarm of one, synced, {in_flight} in flight"), &figure, target, &ratio);
}

/// Bytes in tables for a message, once they are written out.
fn disk(what: &str, namespace: Namespace, target: &str) {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::new(dir.path());
    for _ in 0..STORED / 100 {
        let batch = (0..100).map(|_| bench.message(namespace)).collect();
        bench.store(batch);
    }
    drop(bench.machine);
    // Opening it writes out what was in the log, which is bounded and not counted.
    drop(RocksStore::open(&dir.path().join("db")).unwrap());
    let tables = std::fs::read_dir(dir.path().join("db")).unwrap().map(|file| file.unwrap());
    let is_table = |file: &std::fs::DirEntry| {
        Path::new(&file.file_name()).extension().is_some_and(|end| end == "sst" || end == "blob")
    };
    let bytes: u64 = tables.filter(is_table).map(|file| file.metadata().unwrap().len()).sum();
    let each = bytes as f64 / f64::from(STORED);
    let ratio = format!("{:.2} x its {THEIR_BYTES:.0} B", each / THEIR_BYTES);
    row(
        &format!("disk for a message of {MESSAGE} B, {what}"),
        &format!("{each:.0} B"),
        target,
        &ratio,
    );
}

fn row(what: &str, figure: &str, target: &str, ratio: &str) {
    println!("| {what:<52} | {figure:<38} | {target:<39} | {ratio:<17} |");
}

fn main() {
    println!(
        "\nA member of a swarm of one on its database, without links. Ratios are to a deployed"
    );
    println!("server that does not sync.\n");
    row("what", "figure", "target", "ratio");
    let [a, b, c, d] = [52, 38, 39, 17].map(|width| "-".repeat(width));
    println!("| {a} | {b} | {c} | {d} |");
    for in_flight in [1, 8, 48] {
        rate(in_flight);
    }
    disk("public namespace", Namespace::INBOX, "<= 1 250 B");
    disk("own namespace, signed", Namespace::new(2), "<= 1 420 B");
}
