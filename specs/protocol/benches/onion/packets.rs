//! Packets and frames beside X25519, HKDF-SHA256 and AES-256-GCM over the same bytes.

use std::hint::black_box;

use criterion::{BatchSize, Criterion};
use enjambre_protocol::crypto::{Secret, derive};
use enjambre_protocol::onion::{
    ExchangeKey, Flow, Frame, FrameKind, HOPS, Hop, HopTarget, Keyring, OnionKeyNumber,
    OnionSecretKey, Primitives, RUST_CRYPTO, ReplyOpener, ReplyRelay, ReplySealer, SizeClass, Step,
    build, peel, reply_capacity,
};

use crate::table::{Table, name};
use crate::world::{NETWORK, node, rng};

const EXCHANGE: &str = "X25519 exchange";
const KEY: &str = "X25519 key generation";
const HKDF: &str = "HKDF-SHA256, four keys";

const MINUTE: u32 = 29_300_000;
const NUMBER: OnionKeyNumber = OnionKeyNumber::new(7);

fn of(what: &str, class: SizeClass) -> String {
    format!("{what}, {class}")
}

fn aead(class: SizeClass) -> String {
    of("AES-256-GCM", class)
}

fn secret(hop: Hop) -> OnionSecretKey {
    OnionSecretKey::from_bytes([0x40 + hop.bits(); 32])
}

fn keyring(hop: Hop) -> Keyring {
    Keyring::new(NUMBER, secret(hop), OnionSecretKey::from_bytes([0x50 + hop.bits(); 32]))
}

fn path() -> [HopTarget; HOPS] {
    Hop::ALL.map(|hop| HopTarget {
        node: node(hop.index()),
        key_number: NUMBER,
        key: secret(hop).public(),
    })
}

fn packet(class: SizeClass) -> (Vec<u8>, ReplyOpener) {
    let (packet, opener) =
        build(&mut rng(1), &NETWORK, &path(), class, class, MINUTE, b"request").unwrap();
    (packet.into_bytes(), opener)
}

/// The ways back of one packet: the relays', the destination's, and the client's.
fn way_back(class: SizeClass) -> (Vec<ReplyRelay>, ReplySealer, ReplyOpener) {
    let (mut packet, opener) = packet(class);
    let mut relays = Vec::new();
    for hop in Hop::ALL {
        match peel(&NETWORK, &keyring(hop), &packet, &mut rng(2)).unwrap().step {
            Step::Relay { packet: inner, reply, .. } => {
                packet = inner;
                relays.push(reply);
            }
            Step::Deliver { reply, .. } => return (relays, reply, opener),
        }
    }
    unreachable!("the last hop delivers")
}

pub(crate) fn measure(criterion: &mut Criterion, round: usize) {
    let (ours, theirs) = (secret(Hop::Guard), secret(Hop::Exit).public());
    let (mut random, mut random_build) = (rng(3), rng(4));
    let guard = keyring(Hop::Guard);
    for class in SizeClass::ALL {
        // The asymmetric part again beside each class: a ratio needs neighbours in time.
        if class == SizeClass::K2 {
            criterion.bench_function(&name(KEY, round), |b| {
                b.iter(|| OnionSecretKey::generate(&mut random));
            });
            criterion.bench_function(&name(HKDF, round), |b| {
                let info: [&[u8]; 2] = [&[1; 33], &[2; 64]];
                b.iter(|| derive::<128>("enjambre/bench/1", black_box(&[5; 32]), &info));
            });
        }
        criterion.bench_function(&name(&of(EXCHANGE, class), round), |b| {
            b.iter(|| black_box(&ours).exchange(black_box(&theirs)));
        });
        criterion.bench_function(&name(&aead(class), round), |b| {
            let (key, mut buffer) = (Secret::from_bytes([9; 32]), vec![0; class.bytes()]);
            b.iter(|| RUST_CRYPTO.seal(&key, &[0; 12], &[], black_box(&mut buffer)));
        });
        let (sealed, _) = packet(class);
        criterion.bench_function(&name(&of("peel", class), round), |b| {
            b.iter(|| peel(&NETWORK, &guard, black_box(&sealed), &mut random).unwrap());
        });
        let request = vec![7; 1000];
        let nodes = path();
        criterion.bench_function(&name(&of("build", class), round), |b| {
            b.iter(|| {
                let rng = &mut random_build;
                build(rng, &NETWORK, &nodes, class, class, MINUTE, black_box(&request)).unwrap()
            });
        });
        measure_frames(criterion, class, round);
    }
}

fn measure_frames(criterion: &mut Criterion, class: SizeClass, round: usize) {
    let payload = vec![3; reply_capacity(class)];
    let frame = Frame { kind: FrameKind::Reply, flow: Flow::Whole, payload: &payload };
    let (mut relays, mut sealer, _) = way_back(class);
    criterion.bench_function(&name(&of("frame seal", class), round), |b| {
        b.iter(|| sealer.seal(black_box(&frame)).unwrap());
    });
    let mut bytes = vec![0; class.bytes()];
    criterion.bench_function(&name(&of("frame cover", class), round), |b| {
        b.iter(|| relays[0].relay(black_box(&mut bytes)).unwrap());
    });
    criterion.bench_function(&name(&of("frame open", class), round), |b| {
        let first = || {
            let (mut relays, mut sealer, opener) = way_back(class);
            let mut bytes = sealer.seal(&frame).unwrap();
            relays.iter_mut().rev().for_each(|relay| relay.relay(&mut bytes).unwrap());
            (bytes, opener)
        };
        b.iter_batched(first, |(bytes, mut opener)| opener.open(&bytes), BatchSize::SmallInput);
    });
}

pub(crate) fn rows(table: &mut Table) {
    for what in [KEY, HKDF] {
        table.time(what, None, "");
    }
    for class in SizeClass::ALL {
        let (exchange, aead) = (of(EXCHANGE, class), aead(class));
        table.time(&exchange, None, "");
        table.time(&aead, None, "");
        let what = of("peel", class);
        let floor: [(f64, &str); 3] = [(1.0, &exchange), (1.0, &aead), (1.0, HKDF)];
        let ratio = table.ratio(&what, &floor);
        let target =
            if class == SizeClass::K2 { "ratio <= 1.15, <= 32 us" } else { "ratio <= 1.15" };
        table.time(&what, ratio, target);
        let what = of("build", class);
        let floor: [(f64, &str); 4] = [(4.0, KEY), (4.0, &exchange), (4.0, &aead), (4.0, HKDF)];
        let ratio = table.ratio(&what, &floor);
        table.time(&what, ratio, "ratio <= 1.15");
        for (what, times) in [("frame seal", 1.0), ("frame cover", 1.0), ("frame open", 4.0)] {
            let what = of(what, class);
            // Opening tries up to four seals and takes three covers off; of these the seals alone
            // count as unavoidable.
            let ratio = table.ratio(&what, &[(times, &aead)]);
            table.time(&what, ratio, "");
        }
    }
}
