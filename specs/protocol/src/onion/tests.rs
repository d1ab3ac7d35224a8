//! Whole packets and whole replies, over all four hops.

#![allow(clippy::unwrap_used)]

mod bounds;
mod mutate;
mod round_trip;
mod vectors;
mod way_back;

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::id::{NetworkId, NodeId};

const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
const MINUTE: u32 = 29_300_000;
const NUMBER: OnionKeyNumber = OnionKeyNumber::new(7);

fn rng(seed: u64) -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(seed)
}

fn node(hop: Hop) -> NodeId {
    NodeId::from_bytes([0xa0 + hop.bits(); 32])
}

/// The current onion key of the node at `hop`.
fn secret(hop: Hop) -> OnionSecretKey {
    OnionSecretKey::from_bytes([0x40 + hop.bits(); 32])
}

fn keyring(hop: Hop) -> Keyring {
    Keyring::new(NUMBER, secret(hop), OnionSecretKey::from_bytes([0x50 + hop.bits(); 32]))
}

fn path() -> [HopTarget; HOPS] {
    Hop::ALL.map(|hop| HopTarget { node: node(hop), key_number: NUMBER, key: secret(hop).public() })
}

fn build_one(
    seed: u64,
    class: SizeClass,
    reply_class: SizeClass,
    request: &[u8],
) -> (Packet, ReplyOpener) {
    build(&mut rng(seed), &NETWORK, &path(), class, reply_class, MINUTE, request).unwrap()
}

/// A packet that went all the way: the three relays' ways back, and what was delivered.
struct Arrived {
    relays: Vec<ReplyRelay>,
    request: Vec<u8>,
    destination: ReplySealer,
}

fn deliver(packet: &[u8]) -> Arrived {
    let mut packet = packet.to_vec();
    let mut relays = Vec::new();
    for hop in Hop::ALL {
        let peeled = peel(&NETWORK, &keyring(hop), &packet, &mut rng(0)).unwrap();
        assert_eq!(peeled.view.hop, hop);
        match peeled.step {
            Step::Relay { next, packet: inner, reply } => {
                assert_eq!(Some(next), Hop::ALL.get(hop.index() + 1).map(|hop| node(*hop)));
                packet = inner;
                relays.push(reply);
            }
            Step::Deliver { request, reply } => {
                return Arrived { relays, request, destination: reply };
            }
        }
    }
    unreachable!("the destination's layer is the last");
}

/// Brings a frame from the hop behind `relays` to the client.
fn bring_back(relays: &mut [ReplyRelay], mut frame: Vec<u8>) -> Vec<u8> {
    for relay in relays.iter_mut().rev() {
        relay.relay(&mut frame).unwrap();
    }
    frame
}
