//! What every set of [`Primitives`] must do, as one suite that all implementations run in their
//! tests: the published vectors, what must be refused, and the same bytes as [`RUST_CRYPTO`] for
//! keys, seals, covers and whole packets. It panics with the broken rule.

use rand_core::CryptoRng;

use super::{
    Flow, Frame, FrameKind, HOPS, Hop, HopTarget, Keyring, OnionKeyNumber, OnionPublicKey,
    OnionSecretKey, Primitives, RUST_CRYPTO, ReplyOpener, ReplyRelay, ReplySealer, SizeClass, Step,
    TAG_LEN, build_with, peel,
};
use crate::crypto::Secret;
use crate::id::{NetworkId, NodeId, from_hex};

const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
const MINUTE: u32 = 29_300_000;
const NUMBER: OnionKeyNumber = OnionKeyNumber::new(7);

/// The orders 1, 2, 4 and 8 of X25519 and their second encodings: every point, as bytes, with
/// which each secret is zero (RFC 7748, section 6.1).
const SMALL_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

/// Runs every check. `seeded` makes a generator that draws the same for the same seed, so that two
/// sides can be given the same randomness.
///
/// # Panics
///
/// With the rule that the primitives break.
pub fn check<R: CryptoRng>(primitives: &'static dyn Primitives, seeded: impl Fn(u64) -> R) {
    exchange_gives_the_shared_secret_of_rfc_7748(primitives);
    points_that_give_zero_are_refused(primitives);
    seal_is_aes_256_gcm(primitives);
    cover_is_aes_256_in_counter_mode(primitives);
    bytes_are_those_of_the_portable_primitives(primitives, &mut seeded(0));
    for class in SizeClass::ALL {
        packets_and_frames_are_those_of_the_portable_primitives(primitives, class, &seeded);
    }
}

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    match from_hex(hex) {
        Ok(bytes) => bytes,
        Err(error) => panic!("the suite's own constant: {error}"),
    }
}

fn random<const N: usize>(rng: &mut impl CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn exchange_gives_the_shared_secret_of_rfc_7748(primitives: &dyn Primitives) {
    let key = |hex| primitives.exchange_key(&Secret::from_bytes(bytes(hex)));
    let alice = key("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    let bob = key("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    let public = "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a";
    assert_eq!(alice.public(), OnionPublicKey::from_bytes(bytes(public)), "public half");
    let shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742";
    let shared = Some(Secret::from_bytes(bytes(shared)));
    assert_eq!(alice.exchange(&bob.public()), shared, "shared secret");
    assert_eq!(bob.exchange(&alice.public()), shared, "shared secret of the other side");
}

fn points_that_give_zero_are_refused(primitives: &dyn Primitives) {
    let key = primitives.exchange_key(&Secret::from_bytes([7; 32]));
    for hex in SMALL_ORDER {
        let mut point: [u8; 32] = bytes(hex);
        assert_eq!(key.exchange(&OnionPublicKey::from_bytes(point)), None, "{hex}");
        // The highest bit does not count.
        point[31] |= 0x80;
        assert_eq!(key.exchange(&OnionPublicKey::from_bytes(point)), None, "{hex}, high bit");
    }
}

fn seal_is_aes_256_gcm(primitives: &dyn Primitives) {
    // Test case 14 of the GCM submission: key, nonce and one block of plaintext all zero.
    let (zero, mut block) = (Secret::from_bytes([0; 32]), [0; 16]);
    let tag = primitives.seal(&zero, &[0; 12], &[], &mut block);
    assert_eq!(block, bytes("cea7403d4d606b6e074ec5d3baf39d18"), "ciphertext");
    assert_eq!(tag, bytes("d0d1c8a799996bf0265b98b5d48ab919"), "tag");
    assert!(!primitives.open(&zero, &[0; 12], &[1], &mut block.clone(), &tag), "associated data");
    assert!(!primitives.open(&zero, &[1; 12], &[], &mut block.clone(), &tag), "nonce");
    for bit in 0..8 * TAG_LEN {
        let mut tag = tag;
        tag[bit / 8] ^= 1 << (bit % 8);
        assert!(!primitives.open(&zero, &[0; 12], &[], &mut block.clone(), &tag), "tag bit {bit}");
    }
    assert!(primitives.open(&zero, &[0; 12], &[], &mut block, &tag), "own seal");
    assert_eq!(block, [0; 16], "plaintext");
}

fn cover_is_aes_256_in_counter_mode(primitives: &dyn Primitives) {
    let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    let key = Secret::from_bytes(bytes(key));
    let mut buffer = [0; 32];
    primitives.cover(&key, &bytes("f0f1f2f3f4f5f6f7"), &mut buffer);
    // Two blocks as another implementation of AES gives them.
    let stream = "db0cbab250d1c2ff6edd19dbe8eb2ee5715896cfbf80df8c10223beeb74b78b9";
    assert_eq!(buffer, bytes(stream), "key stream");
}

fn bytes_are_those_of_the_portable_primitives(
    primitives: &dyn Primitives,
    rng: &mut impl CryptoRng,
) {
    for len in [0, 1, 15, 16, 17, 1636, 2032, 131_072] {
        let (secret, key) = (Secret::generate(rng), Secret::generate(rng));
        let theirs = OnionPublicKey::from_bytes(random(rng));
        let (fast, portable) =
            (primitives.exchange_key(&secret), RUST_CRYPTO.exchange_key(&secret));
        assert_eq!(fast.public(), portable.public(), "public half");
        assert_eq!(fast.exchange(&theirs), portable.exchange(&theirs), "shared secret");
        let (nonce, associated) = (random(rng), random::<87>(rng));
        let mut clear = vec![0; len];
        rng.fill_bytes(&mut clear);
        let (mut ours, mut other) = (clear.clone(), clear.clone());
        let tag = primitives.seal(&key, &nonce, &associated, &mut ours);
        assert_eq!(tag, RUST_CRYPTO.seal(&key, &nonce, &associated, &mut other), "tag, {len}");
        assert_eq!(ours, other, "sealed, {len} bytes");
        assert!(primitives.open(&key, &nonce, &associated, &mut other, &tag), "opened, {len}");
        assert_eq!(other, clear, "opened, {len} bytes");
        let prefix = random(rng);
        primitives.cover(&key, &prefix, &mut ours);
        primitives.cover(&key, &prefix, &mut ours);
        primitives.cover(&key, &prefix, &mut ours);
        primitives.seal(&key, &nonce, &associated, &mut other);
        RUST_CRYPTO.cover(&key, &prefix, &mut other);
        assert_eq!(ours, other, "covered, {len} bytes");
    }
}

fn packets_and_frames_are_those_of_the_portable_primitives<R: CryptoRng>(
    primitives: &'static dyn Primitives,
    class: SizeClass,
    seeded: &impl Fn(u64) -> R,
) {
    let secrets = Hop::ALL.map(|hop| OnionSecretKey::from_bytes([0x40 + hop.bits(); 32]));
    let path: [HopTarget; HOPS] = Hop::ALL.map(|hop| HopTarget {
        node: NodeId::from_bytes([0xa0 + hop.bits(); 32]),
        key_number: NUMBER,
        key: secrets[hop.index()].public(),
    });
    let build = |primitives| {
        let rng = &mut seeded(class.bits().into());
        build_with(primitives, rng, &NETWORK, &path, class, class, MINUTE, b"request")
    };
    let (Ok((packet, mut opener)), Ok((same, _))) = (build(primitives), build(&RUST_CRYPTO)) else {
        panic!("a packet is built, {class}")
    };
    assert_eq!(packet, same, "packet, {class}");
    let (mut on_link, mut relays) = (packet.into_bytes(), Vec::new());
    for (hop, secret) in Hop::ALL.into_iter().zip(&secrets) {
        let ring = Keyring::new(NUMBER, secret.clone(), OnionSecretKey::from_bytes([0x50; 32]));
        let peeled = |ring: &Keyring| peel(&NETWORK, ring, &on_link, &mut seeded(99));
        let portable = peeled(&ring);
        let (Ok(ours), Ok(portable)) = (peeled(&ring.with_primitives(primitives)), portable) else {
            panic!("the layer of the {hop:?} opens, {class}")
        };
        assert_eq!(ours.view, portable.view, "view of the {hop:?}, {class}");
        match (ours.step, portable.step) {
            (
                Step::Relay { next, packet, reply },
                Step::Relay { next: same_next, packet: same, reply: other },
            ) => {
                assert_eq!((next, &packet), (same_next, &same), "relayed by the {hop:?}");
                relays.push((reply, other));
                on_link = packet;
            }
            (Step::Deliver { request, reply }, Step::Deliver { request: same, reply: other }) => {
                assert_eq!((&request[..], &same[..]), (&b"request"[..], &b"request"[..]));
                return way_back(relays, (reply, other), &mut opener);
            }
            _ => panic!("the {hop:?} does the same, {class}"),
        }
    }
    panic!("the packet is delivered, {class}");
}

/// Two frames of the destination, over the relays of both sides, to the client.
fn way_back(
    mut relays: Vec<(ReplyRelay, ReplyRelay)>,
    (mut sealer, mut portable): (ReplySealer, ReplySealer),
    opener: &mut ReplyOpener,
) {
    for flow in [Flow::More, Flow::Last] {
        let frame = Frame { kind: FrameKind::Reply, flow, payload: b"reply" };
        let (Ok(mut ours), Ok(mut theirs)) = (sealer.seal(&frame), portable.seal(&frame)) else {
            panic!("a frame is sealed")
        };
        for (relay, portable) in relays.iter_mut().rev() {
            assert_eq!(ours, theirs, "frame");
            assert!(relay.relay(&mut ours).is_ok() && portable.relay(&mut theirs).is_ok());
        }
        assert_eq!(ours, theirs, "covered frame");
        let opened = opener.open(&ours).map(|frame| frame.payload);
        assert_eq!(opened.as_deref(), Ok(&b"reply"[..]), "opened frame");
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    #[test]
    fn portable_primitives_conform() {
        check(&RUST_CRYPTO, ChaCha20Rng::seed_from_u64);
    }
}
