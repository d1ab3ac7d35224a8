//! The two sets of onion primitives beside each other, and what each makes of a layer: the gain of
//! the faster one, as the median of the ratios of rounds in which the two follow each other.
//!
//! Ed25519 stands here too, by both libraries. Signatures are checked by dalek alone, because its
//! strict rules are part of the protocol; the second figure says what that costs.
#![allow(clippy::unwrap_used)]

#[path = "../../benches/onion/table.rs"]
mod table;

use core::time::Duration;
use std::hint::black_box;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use criterion::Criterion;
use enjambre_link::AWS_LC;
use enjambre_protocol::crypto::{Secret, SecretKey, verify};
use enjambre_protocol::id::{NetworkId, NodeId};
use enjambre_protocol::onion::{
    Flow, Frame, FrameKind, HOPS, Hop, HopTarget, Keyring, OnionKeyNumber, OnionSecretKey,
    Primitives, RUST_CRYPTO, SizeClass, Step, build_with, peel, reply_capacity,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use table::{Table, name};

/// Rounds of short measurements: a burst of other work spoils one round and not a ratio.
const ROUNDS: usize = 5;

const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
const NUMBER: OnionKeyNumber = OnionKeyNumber::new(7);
const MINUTE: u32 = 29_300_000;

/// What is measured of either library.
const ROWS: [&str; 13] = [
    "X25519 exchange",
    "X25519 key made ready",
    "AES-256-GCM seal, 1 KiB",
    "AES-256-GCM seal, 64 KiB",
    "AES-256-GCM open, 2 KiB",
    "AES-256-CTR, 2 KiB",
    "Ed25519 sign",
    "Ed25519 verify",
    "peel, 2 KiB",
    "peel, 128 KiB",
    "build, 2 KiB",
    "frame seal, 2 KiB",
    "frame cover, 2 KiB",
];

fn of(library: &str, what: &str) -> String {
    format!("{what}, {library}")
}

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn secret(hop: Hop) -> OnionSecretKey {
    OnionSecretKey::from_bytes([0x40 + hop.bits(); 32])
}

fn path() -> [HopTarget; HOPS] {
    Hop::ALL.map(|hop| HopTarget {
        node: NodeId::from_bytes([0xa0 + hop.bits(); 32]),
        key_number: NUMBER,
        key: secret(hop).public(),
    })
}

fn ring(hop: Hop, primitives: &'static dyn Primitives) -> Keyring {
    let next = OnionSecretKey::from_bytes([0x50; 32]);
    Keyring::new(NUMBER, secret(hop), next).with_primitives(primitives)
}

fn packet(class: SizeClass) -> Vec<u8> {
    let built =
        build_with(&AWS_LC, &mut rng(1), &NETWORK, &path(), class, class, MINUTE, b"request");
    built.unwrap().0.into_bytes()
}

fn measure(
    criterion: &mut Criterion,
    round: usize,
    library: &str,
    primitives: &'static dyn Primitives,
) {
    let mut bench = |what: &str, work: &mut dyn FnMut()| {
        criterion.bench_function(&name(&of(library, what), round), |b| b.iter(&mut *work));
    };
    let key = primitives.exchange_key(&Secret::from_bytes([3; 32]));
    let theirs = OnionSecretKey::from_bytes([4; 32]).public();
    bench(ROWS[0], &mut || {
        black_box(key.exchange(black_box(&theirs)));
    });
    bench(ROWS[1], &mut || {
        black_box(primitives.exchange_key(black_box(&Secret::from_bytes([5; 32]))));
    });
    let key = Secret::from_bytes([9; 32]);
    for (what, len) in [(ROWS[2], 1024), (ROWS[3], 65_536)] {
        let mut buffer = vec![0; len];
        bench(what, &mut || {
            black_box(primitives.seal(&key, &[0; 12], &[], black_box(&mut buffer)));
        });
    }
    let mut buffer = vec![0; 2048];
    let tag = primitives.seal(&key, &[0; 12], &[], &mut buffer);
    let sealed = buffer.clone();
    bench(ROWS[4], &mut || {
        buffer.copy_from_slice(&sealed);
        assert!(primitives.open(&key, &[0; 12], &[], black_box(&mut buffer), &tag));
    });
    bench(ROWS[5], &mut || primitives.cover(&key, &[0; 8], black_box(&mut buffer)));
    let mut random = rng(3);
    for (what, class) in [(ROWS[8], SizeClass::K2), (ROWS[9], SizeClass::K128)] {
        let (packet, guard) = (packet(class), ring(Hop::Guard, primitives));
        bench(what, &mut || {
            black_box(peel(&NETWORK, &guard, black_box(&packet), &mut random).unwrap());
        });
    }
    let (path, class) = (path(), SizeClass::K2);
    bench(ROWS[10], &mut || {
        let (rng, request) = (&mut random, black_box(&[7; 1000]));
        let built = build_with(primitives, rng, &NETWORK, &path, class, class, MINUTE, request);
        black_box(built.unwrap());
    });
    measure_frames(&mut bench, primitives);
}

fn measure_frames(
    bench: &mut dyn FnMut(&str, &mut dyn FnMut()),
    primitives: &'static dyn Primitives,
) {
    let class = SizeClass::K2;
    let mut on_link = packet(class);
    for hop in Hop::ALL {
        match peel(&NETWORK, &ring(hop, primitives), &on_link, &mut rng(2)).unwrap().step {
            Step::Relay { packet, mut reply, .. } => {
                on_link = packet;
                if hop == Hop::Guard {
                    let mut frame = vec![0; class.bytes()];
                    bench(ROWS[12], &mut || reply.relay(black_box(&mut frame)).unwrap());
                }
            }
            Step::Deliver { mut reply, .. } => {
                let payload = vec![3; reply_capacity(class)];
                let frame = Frame { kind: FrameKind::Reply, flow: Flow::Whole, payload: &payload };
                bench(ROWS[11], &mut || {
                    black_box(reply.seal(black_box(&frame)).unwrap());
                });
            }
        }
    }
}

/// Signing and checking 100 bytes, by dalek as the protocol does it, and by AWS-LC.
fn measure_signatures(criterion: &mut Criterion, round: usize) {
    let mut bench = |library: &str, what: &str, work: &mut dyn FnMut()| {
        criterion.bench_function(&name(&of(library, what), round), |b| b.iter(&mut *work));
    };
    let (label, body) = ("enjambre/bench/1", [1; 51]);
    let key = SecretKey::from_seed(&[7; 32]);
    let (public, signature) = (key.public(), key.sign(label, &NETWORK, &body));
    bench(PORTABLE, ROWS[6], &mut || {
        black_box(key.sign(label, &NETWORK, black_box(&body)));
    });
    bench(PORTABLE, ROWS[7], &mut || {
        verify(&public, label, &NETWORK, black_box(&body), &signature).unwrap();
    });
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let message = [1; 100];
    let signature = pair.sign(&message);
    let public = UnparsedPublicKey::new(&ED25519, pair.public_key().as_ref().to_vec());
    bench(FAST, ROWS[6], &mut || {
        black_box(pair.sign(black_box(&message)));
    });
    bench(FAST, ROWS[7], &mut || public.verify(black_box(&message), signature.as_ref()).unwrap());
}

const PORTABLE: &str = "portable";
const FAST: &str = "AWS-LC";

fn main() {
    let results = table::results_dir();
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(30))
        .measurement_time(Duration::from_millis(120))
        .without_plots()
        .output_directory(&results)
        .configure_from_args();
    for round in 0..ROUNDS {
        measure(&mut criterion, round, PORTABLE, &RUST_CRYPTO);
        measure(&mut criterion, round, FAST, &AWS_LC);
        measure_signatures(&mut criterion, round);
    }
    let mut table = Table::new(results, ROUNDS, "ratio to portable");
    for what in ROWS {
        let portable = of(PORTABLE, what);
        table.time(&portable, None, "");
        let fast = of(FAST, what);
        let ratio = table.ratio(&fast, &[(1.0, &portable)]);
        let target = if what == "peel, 2 KiB" { "<= 32 us" } else { "" };
        table.time(&fast, ratio, target);
    }
    table.print();
    criterion.final_summary();
}
