//! AWS-LC beside the portable primitives, and over the onion vectors.

#![allow(clippy::unwrap_used)]

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use enjambre_protocol::id::{NetworkId, from_hex};
use enjambre_protocol::onion::{
    Answer, Flow, Frame, FrameKind, Keyring, OnionKeyNumber, PeelError, ReplySealer, Step,
    conformance, peel,
};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Deserialize;

use super::*;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../vectors/onion.json");

#[test]
fn aws_lc_conforms() {
    conformance::check(&AWS_LC, ChaCha20Rng::seed_from_u64);
}

#[derive(Deserialize)]
struct Vectors {
    network: String,
    nodes: Vec<Node>,
    packets: Vec<PacketVector>,
    replies: Vec<Reply>,
    refused: Vec<Refused>,
}

#[derive(Deserialize)]
struct Node {
    node: String,
    key_number: u8,
    onion_secret: String,
    onion_public: String,
}

#[derive(Deserialize)]
struct PacketVector {
    class: usize,
    reply_class: usize,
    request: String,
    layers: Vec<Layer>,
    packet: Option<String>,
}

#[derive(Deserialize)]
struct Layer {
    layer_len: usize,
    ephemeral_secret: String,
    ephemeral_public: String,
    shared_secret: String,
    layer_sha256: String,
}

#[derive(Deserialize)]
struct Reply {
    name: String,
    frames: Vec<FrameVector>,
}

#[derive(Deserialize)]
struct FrameVector {
    from_hop: String,
    flags: u8,
    payload: String,
    sealed_sha256: String,
    frame: String,
}

#[derive(Deserialize)]
struct Refused {
    name: String,
    network: String,
    onion_secret: String,
    packet: Option<String>,
    #[serde(default)]
    edits: Vec<(usize, String)>,
    length: Option<usize>,
    outcome: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap()
}

fn bytes(hex: &str) -> Vec<u8> {
    HEXLOWER.decode(hex.as_bytes()).unwrap()
}

fn sha256(bytes: &[u8]) -> String {
    HEXLOWER.encode(digest(&SHA256, bytes).as_ref())
}

fn ring(number: u8, secret: &str) -> Keyring {
    let secret = OnionSecretKey::from_bytes(from_hex(secret).unwrap());
    let next = OnionSecretKey::from_bytes([0x50; 32]);
    Keyring::new(OnionKeyNumber::new(number), secret, next).with_primitives(&AWS_LC)
}

fn network(hex: &str) -> NetworkId {
    hex.parse().unwrap()
}

#[test]
fn exchanges_of_the_vectors_give_their_secrets() {
    let kept = vectors();
    for layer in kept.packets.iter().flat_map(|packet| packet.layers.iter().zip(&kept.nodes)) {
        let (layer, node) = layer;
        let secret = Secret::from_bytes(from_hex(&layer.ephemeral_secret).unwrap());
        let key = AWS_LC.exchange_key(&secret);
        assert_eq!(key.public().to_string(), layer.ephemeral_public);
        let public = OnionPublicKey::from_bytes(from_hex(&node.onion_public).unwrap());
        let shared = Secret::from_bytes(from_hex(&layer.shared_secret).unwrap());
        assert_eq!(key.exchange(&public), Some(shared));
    }
}

/// The first packet delivered: what its relays keep, and what its destination seals with.
fn delivered(kept: &Vectors) -> (Vec<enjambre_protocol::onion::ReplyRelay>, ReplySealer) {
    let first = &kept.packets[0];
    let mut packet = bytes(first.packet.as_deref().unwrap());
    let (mut relays, mut rng) = (Vec::new(), ChaCha20Rng::seed_from_u64(0));
    for (i, (node, layer)) in kept.nodes.iter().zip(&first.layers).enumerate() {
        assert_eq!(sha256(&packet[..layer.layer_len]), layer.layer_sha256);
        let ring = ring(node.key_number, &node.onion_secret);
        let peeled = peel(&network(&kept.network), &ring, &packet, &mut rng).unwrap();
        assert_eq!(peeled.view.hop.index(), i);
        assert_eq!(
            (peeled.view.class.bytes(), peeled.view.reply_class.bytes()),
            (first.class, first.reply_class)
        );
        match peeled.step {
            Step::Relay { next, packet: inner, reply } => {
                assert_eq!(next.to_string(), kept.nodes[i + 1].node);
                packet = inner;
                relays.push(reply);
            }
            Step::Deliver { request, reply } => {
                assert_eq!(request, bytes(&first.request));
                return (relays, reply);
            }
        }
    }
    unreachable!("the last hop delivers")
}

#[test]
fn replies_of_the_vectors_are_sealed_and_covered_as_they_say() {
    let kept = vectors();
    let reply = &kept.replies[0];
    assert_eq!(reply.name, "three frames of the destination");
    let (mut relays, mut sealer) = delivered(&kept);
    for vector in &reply.frames {
        assert_eq!(vector.from_hop, kept.replies[2].frames[0].from_hop, "the destination");
        let payload = bytes(&vector.payload);
        let (kind, flow) = match vector.flags {
            4 => (FrameKind::Reply, Flow::More),
            8 => (FrameKind::Reply, Flow::Last),
            2 => (FrameKind::Heartbeat, Flow::Whole),
            other => panic!("flags {other}"),
        };
        let mut frame = sealer.seal(&Frame { kind, flow, payload: &payload }).unwrap();
        assert_eq!(sha256(&frame), vector.sealed_sha256);
        relays.iter_mut().rev().for_each(|relay| relay.relay(&mut frame).unwrap());
        assert_eq!(HEXLOWER.encode(&frame), vector.frame);
    }
}

#[test]
fn packets_of_the_vectors_are_refused_as_they_say() {
    let kept = vectors();
    let first = kept.packets[0].packet.as_deref().unwrap();
    for case in &kept.refused {
        let mut packet = bytes(case.packet.as_deref().unwrap_or(first));
        for (at, edit) in &case.edits {
            let edit = bytes(edit);
            packet[*at..][..edit.len()].copy_from_slice(&edit);
        }
        packet.truncate(case.length.unwrap_or(packet.len()));
        let ring = ring(kept.nodes[0].key_number, &case.onion_secret);
        let mut rng = ChaCha20Rng::seed_from_u64(0);
        let outcome = match peel(&network(&case.network), &ring, &packet, &mut rng).unwrap_err() {
            PeelError::Content { what, .. } => format!("malformed: {what}"),
            error => match error.answer() {
                Answer::Reset(reason) => format!("reset {}: {reason}", reason.code()),
                Answer::Frame(_) => unreachable!("content was matched above"),
            },
        };
        assert_eq!(outcome, case.outcome, "{}", case.name);
    }
    assert!(kept.refused.len() > 20, "the vectors lost cases");
}
