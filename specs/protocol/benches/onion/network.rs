//! What is computed from a directory of 2 000 nodes, and envelopes.

use core::time::Duration;
use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use enjambre_protocol::crypto::{SecretKey, verify};
use enjambre_protocol::directory::{Document, DocumentDiff, NodeEntry};
use enjambre_protocol::envelope::{
    Address, Content, ConversationId, DeviceOpener, Kind, MessageId, SignedContent, open, seal,
};
use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::{
    AccountId, AccountKey, AccountSeed, Bundle, BundleSecret, DeviceKeys, DeviceList,
    DeviceListDraft,
};
use enjambre_protocol::onion::{ExchangeKey, OnionPublicKey, OnionSecretKey};
use enjambre_protocol::path::{
    Candidate, Destination, IsolationKey, PathMachine, PathParams, PathState, Prefix,
};
use enjambre_protocol::wire;

use crate::table::{Table, name};
use crate::world::{NETWORK, NODES, NOW, World, rng};

const SIGN: &str = "Ed25519 sign";
const VERIFY: &str = "Ed25519 verify, strict";
const EXCHANGE: &str = "X25519 exchange";
const TRANSITION: &str = "swarm transition, 2 000 nodes, 1 % change";
const DOCUMENT: &str = "directory of 2 000 nodes, verified";
const APPLY: &str = "difference at 1 % change, applied and verified";
const DRAW: &str = "path drawn of 2 000 relays";
const SEAL: &str = "envelope sealed for one device, 100 bytes";
const OPEN: &str = "envelope opened";

pub(crate) fn measure(criterion: &mut Criterion, round: usize) {
    let key = SecretKey::from_seed(&[7; 32]);
    let signature = key.sign("enjambre/bench/1", &NETWORK, &[1; 64]);
    criterion.bench_function(&name(SIGN, round), |b| {
        b.iter(|| key.sign("enjambre/bench/1", &NETWORK, black_box(&[1; 64])));
    });
    criterion.bench_function(&name(VERIFY, round), |b| {
        let public = key.public();
        b.iter(|| verify(&public, "enjambre/bench/1", &NETWORK, black_box(&[1; 64]), &signature));
    });
    criterion.bench_function(&name(EXCHANGE, round), |b| {
        let secret = OnionSecretKey::from_bytes([3; 32]);
        let public: OnionPublicKey = OnionSecretKey::from_bytes([4; 32]).public();
        b.iter(|| black_box(&secret).exchange(black_box(&public)));
    });
    measure_directory(criterion, round);
    measure_envelopes(criterion, round);
}

fn measure_directory(criterion: &mut Criterion, round: usize) {
    let world = World::new();
    criterion.bench_function(&name(TRANSITION, round), |b| {
        b.iter(|| black_box(&world.swarms).next());
    });
    criterion.bench_function(&name(DOCUMENT, round), |b| {
        let signed = || world.before.signed().clone();
        b.iter_batched(signed, |signed| signed.verify(&world.genesis), BatchSize::SmallInput);
    });
    criterion.bench_function(&name(APPLY, round), |b| {
        let diff = || DocumentDiff::between(&world.before, &world.after);
        b.iter_batched(
            diff,
            |diff| diff.apply(&world.before, &world.genesis).unwrap(),
            BatchSize::SmallInput,
        );
    });
    let (relays, destination) = relays(world.before.document());
    criterion.bench_function(&name(DRAW, round), |b| {
        let mut rng = rng(5);
        let mut machine = PathMachine::new(PathState::default(), NOW);
        machine.handle_directory(NOW, &relays, &mut rng);
        let mut errand = 0u64;
        b.iter(|| {
            // A key of its own for each, so that no path is found again.
            errand += 1;
            let key = IsolationKey::new(&errand.to_le_bytes(), b"mailbox", "bench");
            machine.draw(NOW, &key, &destination, &mut rng).unwrap()
        });
    });
}

fn relays(document: &Document) -> (Vec<Candidate>, Destination) {
    let candidate = |node: &NodeEntry| Candidate {
        node: node.id,
        family: node.family,
        prefix: Prefix::new(node.addresses[0].ip(), &PathParams::default()),
        swarm: document.swarms.swarm_of(node.id),
        weight: node.weight,
    };
    let relays: Vec<Candidate> = document.nodes.iter().map(candidate).collect();
    let Candidate { node, family, prefix, swarm, .. } = relays[NODES / 2];
    (relays, Destination { node, swarm, family, prefix })
}

/// An account with one device that has published a bundle.
struct Party {
    account: AccountKey,
    device: DeviceKeys,
    secret: BundleSecret,
    list: DeviceList,
}

impl Party {
    fn new(seed: u8) -> Self {
        let mut rng = rng(seed.into());
        let account = AccountSeed::from_bytes([seed; 16]).key();
        let device = DeviceKeys::generate(&mut rng);
        let secret = BundleSecret::generate(&mut rng, 1, NOW);
        let until = NOW.saturating_add(Duration::from_secs(365 * 86_400));
        let draft = DeviceListDraft::first(vec![device.device()], until);
        let list = draft.sign(&account, &NETWORK).unwrap();
        Self { account, device, secret, list }
    }

    fn id(&self) -> AccountId {
        self.account.id()
    }

    fn bundle(&self) -> Bundle {
        let signed = self.secret.publish(&self.device, self.id(), &NETWORK);
        Bundle::verify(&signed, &NETWORK, &self.id(), &self.device.device().key).unwrap()
    }
}

fn measure_envelopes(criterion: &mut Criterion, round: usize) {
    let (ana, ben) = (Party::new(1), Party::new(2));
    let address = Address { network: NETWORK, account: ben.id(), namespace: 0 };
    let content = Content {
        id: MessageId::from_bytes([7; 16]),
        recipient: ben.id(),
        device: ana.device.device().key,
        list_version: ana.list.version(),
        list_digest: ana.list.digest(),
        conversation: ConversationId::from_bytes([8; 16]),
        counter: 0,
        previous: Digest::from_bytes([0; 32]),
        sent: NOW,
        kind: Kind::Message { text: "x".repeat(100), files: Vec::new() },
    };
    let signed = SignedContent::sign(&ana.device, &ana.list, &NETWORK, &content).unwrap();
    let (bundles, mut rng) = ([ben.bundle()], rng(9));
    criterion.bench_function(&name(SEAL, round), |b| {
        b.iter(|| seal(&mut rng, &address, black_box(&signed), &bundles, NOW).unwrap());
    });
    let record = seal(&mut rng, &address, &signed, &bundles, NOW).unwrap();
    let secrets = [ben.secret];
    let opener = DeviceOpener { device: ben.device.device().key, bundles: &secrets };
    criterion.bench_function(&name(OPEN, round), |b| {
        b.iter(|| open(&address, &opener, black_box(&record), NOW).unwrap());
    });
}

pub(crate) fn rows(table: &mut Table) {
    for what in [SIGN, VERIFY, EXCHANGE, TRANSITION] {
        table.time(what, None, "");
    }
    let signatures = table.ratio(DOCUMENT, &[(3.0, VERIFY)]);
    table.time(DOCUMENT, signatures, "<= 5 000 us");
    table.time(APPLY, None, "");
    let world = World::new();
    let bytes = wire::encode(world.before.signed()).len();
    let a_node = bytes as f64 / NODES as f64;
    table.row(
        "directory of 2 000 nodes, size",
        format!("{bytes} B, {a_node:.0} B a node"),
        String::new(),
        "<= 160 B a node",
    );
    let diff = wire::encode(&DocumentDiff::between(&world.before, &world.after)).len();
    table.row("difference at 1 % change, size", format!("{diff} B"), String::new(), "<= 8 000 B");
    table.time(DRAW, None, "");
    table.time(SEAL, None, "");
    table.time(OPEN, None, "");
}
