//! `specs/vectors/onion.json`: written here when asked to, and otherwise compared byte for byte.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::layer::{Header, LayerKeys};
use super::super::size::{BODY_AT, LENGTH_LEN};
use super::bounds::{forge, forge_flagged};
use super::*;
use crate::id::{from_hex, to_hex};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../vectors/onion.json");

const RECIPE: &[&str] = &[
    "Bytes are hex. Chapter 05-onion.md says how each is made; hops are listed guard first.",
    "packets: build(network, nodes, class, reply_class, minute, request) with the ephemeral secrets given. \
     header is the clear header, layer_front the first 87 bytes of the layer, layer_sha256 the SHA-256 of \
     the whole layer, without filler.",
    "packet: the whole packet for the guard, for the smallest class only.",
    "replies: to the first packet. sealed_sha256 is the SHA-256 of the frame as its speaker sealed it, \
     frame what the guard hands to the client. opens is false where the client must refuse.",
    "refused: the first packet with edits (offset, bytes that stand there instead), cut to length where \
     one is given, or a whole packet in hex. It is peeled with the onion secret and network given. \
     outcome names the reset reason, or the malformation that is answered with a sealed error.",
];

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Vectors {
    recipe: Vec<String>,
    network: String,
    minute: u32,
    nodes: Vec<NodeVector>,
    packets: Vec<PacketVector>,
    replies: Vec<ReplyVector>,
    refused: Vec<RefusedVector>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct NodeVector {
    hop: Hop,
    node: String,
    key_number: u8,
    onion_secret: String,
    onion_public: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct PacketVector {
    class: usize,
    reply_class: usize,
    request: String,
    layers: Vec<LayerVector>,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LayerVector {
    hop: Hop,
    layer_len: usize,
    ephemeral_secret: String,
    ephemeral_public: String,
    shared_secret: String,
    fwd_header: String,
    fwd_body: String,
    back_ctr: String,
    back_seal: String,
    header: String,
    layer_front: String,
    layer_sha256: String,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ReplyVector {
    name: String,
    frames: Vec<FrameVector>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct FrameVector {
    from_hop: Hop,
    flags: u8,
    payload: String,
    sealed_sha256: String,
    frame: String,
    opens: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct RefusedVector {
    name: String,
    network: String,
    onion_secret: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    packet: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    edits: Vec<(usize, String)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<usize>,
    outcome: String,
}

fn sha256(bytes: &[u8]) -> String {
    to_hex(&Sha256::digest(bytes))
}

fn bytes_of(hex: &str) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
}

const REQUEST: &[u8] = b"request of the onion vectors";

/// Class, reply class, and the seed that is also the packet's number.
const PACKETS: [(SizeClass, SizeClass, u64); 4] = [
    (SizeClass::K2, SizeClass::K2, 0),
    (SizeClass::K8, SizeClass::K32, 1),
    (SizeClass::K32, SizeClass::K128, 2),
    (SizeClass::K128, SizeClass::K8, 3),
];

fn packet_vector((class, reply_class, seed): (SizeClass, SizeClass, u64)) -> PacketVector {
    let (packet, _) = build_one(seed, class, reply_class, REQUEST);
    let smallest = class == SizeClass::K2;
    let whole = smallest.then(|| to_hex(packet.as_bytes()));
    // The draws of `build`: destination first.
    let mut draws = rng(seed);
    let mut ephemerals = Hop::ALL.map(|_| OnionSecretKey::generate(&mut draws));
    ephemerals.reverse();
    let mut on_link = packet.into_bytes();
    let layers = Hop::ALL.into_iter().zip(ephemerals).map(|(hop, ephemeral)| {
        let onion_key = secret(hop).public();
        let shared = ephemeral.exchange(&onion_key).unwrap();
        let keys = LayerKeys::derive(&NETWORK, &shared, &ephemeral.public(), &onion_key);
        let next = Hop::ALL.get(hop.index() + 1).map(|hop| node(*hop));
        let header = Header { hop, reply_class, next, minute: MINUTE };
        let layer_len = layer_len(class, hop);
        let layer = on_link[..layer_len].to_vec();
        let peeled = peel(&NETWORK, &keyring(hop), &on_link, &mut rng(0)).unwrap();
        if let Step::Relay { packet, .. } = peeled.step {
            on_link = packet;
        }
        LayerVector {
            hop,
            layer_len,
            ephemeral_secret: to_hex(ephemeral.to_secret().expose()),
            ephemeral_public: ephemeral.public().to_string(),
            shared_secret: to_hex(shared.expose()),
            fwd_header: to_hex(keys.forward_header.expose()),
            fwd_body: to_hex(keys.forward_body.expose()),
            back_ctr: to_hex(keys.back.ctr.expose()),
            back_seal: to_hex(keys.back.seal.expose()),
            header: to_hex(&header.to_bytes()),
            layer_front: to_hex(&layer[..BODY_AT]),
            layer_sha256: sha256(&layer),
        }
    });
    let (class, reply_class) = (class.bytes(), reply_class.bytes());
    PacketVector {
        class,
        reply_class,
        request: to_hex(REQUEST),
        layers: layers.collect(),
        packet: whole,
    }
}

/// The first packet delivered, and its client waiting.
fn first_waiting() -> (Arrived, ReplyOpener) {
    let (class, reply_class, seed) = PACKETS[0];
    let (packet, opener) = build_one(seed, class, reply_class, REQUEST);
    (deliver(packet.as_bytes()), opener)
}

fn frame_vector(
    from_hop: Hop,
    flags: u8,
    payload: &[u8],
    sealed: Vec<u8>,
    before: &mut [ReplyRelay],
) -> FrameVector {
    FrameVector {
        from_hop,
        flags,
        payload: to_hex(payload),
        sealed_sha256: sha256(&sealed),
        frame: to_hex(&bring_back(before, sealed)),
        opens: true,
    }
}

/// The first `count` of: a part of an item, a heartbeat, the item's other part.
fn frames_of_the_destination(arrived: &mut Arrived, count: usize) -> Vec<FrameVector> {
    let part = |flow, payload| Frame { kind: FrameKind::Reply, flow, payload };
    let frames = [
        (4, part(Flow::More, b"first part, ")),
        (2, Frame::heartbeat(b"alive")),
        (8, part(Flow::Last, b"second part")),
    ];
    let made = frames.iter().take(count).map(|(flags, frame)| {
        let sealed = arrived.destination.seal(frame).unwrap();
        let relays = &mut arrived.relays;
        frame_vector(Hop::Destination, *flags, frame.payload, sealed, relays)
    });
    made.collect()
}

fn reply_vectors() -> Vec<ReplyVector> {
    let reply = |name: &str, frames: Vec<FrameVector>| ReplyVector { name: name.into(), frames };
    let refused = |frame: FrameVector| FrameVector { opens: false, ..frame };
    let first = |count| frames_of_the_destination(&mut first_waiting().0, count);
    // The n-th frame a second time.
    let again = |n: usize| refused(first(n + 1).remove(n));
    let mut replies = vec![reply("three frames of the destination", first(3))];

    let mut arrived = first_waiting().0;
    let mut frames = frames_of_the_destination(&mut arrived, 2);
    let exit = arrived.relays.remove(Hop::Exit.index());
    let error = OnionError::NextRefused { reason: ResetReason::KeyNumber };
    let sealed = exit.fail(&error);
    frames.push(frame_vector(Hop::Exit, 9, &error.to_bytes(), sealed, &mut arrived.relays));
    replies.push(reply("error of the exit after two frames", frames));

    let mut arrived = first_waiting().0;
    let error = OnionError::TooLarge;
    let sealed = arrived.destination.fail(&error).unwrap();
    let payload = error.to_bytes();
    let failed = frame_vector(Hop::Destination, 9, &payload, sealed, &mut arrived.relays);
    replies.push(reply("error of the destination", vec![failed]));

    let mut arrived = first_waiting().0;
    let sealed = arrived.relays.remove(0).fail(&OnionError::NextBusy);
    let failed = frame_vector(Hop::Guard, 9, &OnionError::NextBusy.to_bytes(), sealed, &mut []);
    replies.push(reply("error of the guard", vec![failed]));

    replies.push(reply("first frame left out", vec![again(1)]));
    replies.push(reply("first frame doubled", [first(1), vec![again(0)]].concat()));
    replies.push(reply("frame after the last", [first(3), vec![again(2)]].concat()));
    let mut altered = again(1);
    // The flags stand in the first byte.
    let digit = if altered.frame.starts_with('0') { "1" } else { "0" };
    altered.frame.replace_range(..1, digit);
    replies.push(reply("second frame altered", [first(1), vec![altered]].concat()));
    replies
}

fn peel_outcome(network: &NetworkId, key: OnionSecretKey, packet: &[u8]) -> String {
    let next = OnionSecretKey::from_bytes([0x50; 32]);
    let ring = Keyring::new(NUMBER, key, next);
    match peel(network, &ring, packet, &mut rng(0)).unwrap_err() {
        PeelError::Content { what, .. } => format!("malformed: {what}"),
        error => match error.answer() {
            Answer::Reset(reason) => format!("reset {}: {reason}", reason.code()),
            Answer::Frame(_) => unreachable!("content was matched above"),
        },
    }
}

fn edited(packet: &[u8], edits: &[(usize, String)], length: Option<usize>) -> Vec<u8> {
    let mut packet = packet.to_vec();
    for (at, bytes) in edits {
        let bytes = bytes_of(bytes);
        packet[*at..][..bytes.len()].copy_from_slice(&bytes);
    }
    packet.truncate(length.unwrap_or(packet.len()));
    packet
}

fn refused_vectors() -> Vec<RefusedVector> {
    let first = build_one(PACKETS[0].2, PACKETS[0].0, PACKETS[0].1, REQUEST).0.into_bytes();
    let base = |name: &str| RefusedVector {
        name: name.into(),
        network: NETWORK.to_string(),
        onion_secret: to_hex(secret(Hop::Guard).to_secret().expose()),
        packet: None,
        edits: Vec::new(),
        length: None,
        outcome: String::new(),
    };
    let edit = |name: &str, at: usize, bytes: &[u8]| RefusedVector {
        edits: vec![(at, to_hex(bytes))],
        ..base(name)
    };
    let flip = |name: &str, at: usize, mask: u8| edit(name, at, &[first[at] ^ mask]);
    let whole = |name: &str, hop: Hop, header: Header, body: &dyn Fn(&mut [u8])| RefusedVector {
        packet: Some(to_hex(&forge(hop, header, body).0)),
        onion_secret: to_hex(secret(hop).to_secret().expose()),
        ..base(name)
    };
    let header = |hop: Hop, next| Header { hop, reply_class: SizeClass::K2, next, minute: MINUTE };
    let length =
        |len: u32| move |body: &mut [u8]| body[..LENGTH_LEN].copy_from_slice(&len.to_le_bytes());
    let (last, next) = (header(Hop::Destination, None), Some(node(Hop::Guard)));
    let mut cases = vec![
        flip("bit of the suite", 0, 0x02),
        flip("bit of the key number: a key that the node does not have", 1, 0x80),
        edit("key number of the node's next key", 1, &[NUMBER.get() + 1]),
        flip("bit of the ephemeral key", 2, 0x01),
        flip("highest bit of the ephemeral key: the same point", 33, 0x80),
        edit("ephemeral key of zeros", 2, &[0; 32]),
        flip("bit of the sealed role", 34, 0x01),
        flip("bit of the sealed next node", 35, 0x01),
        flip("bit of the sealed minute", 70, 0x01),
        flip("bit of the header's tag", 71, 0x01),
        flip("first bit of the body", 87, 0x01),
        flip("last bit of the body", 2_031, 0x80),
        flip("bit of the body's tag", 2_047, 0x01),
        RefusedVector { length: Some(2_047), ..base("one byte cut off") },
        RefusedVector { length: Some(0), ..base("empty") },
        RefusedVector {
            network: NetworkId::from_bytes([0x12; 32]).to_string(),
            ..base("another network")
        },
        RefusedVector {
            onion_secret: to_hex(secret(Hop::Middle).to_secret().expose()),
            ..base("another node's key under the same number")
        },
        whole("request longer than its place", Hop::Destination, last, &length(1_633)),
        whole("length of 2^32 - 1", Hop::Destination, last, &length(u32::MAX)),
        whole("first byte of the padding is not zero", Hop::Destination, last, &|body| {
            body[..5].copy_from_slice(&[0, 0, 0, 0, 1]);
        }),
        whole("last byte of the padding is not zero", Hop::Destination, last, &|body| {
            body[1_635] = 1;
        }),
        whole(
            "destination with a next node",
            Hop::Destination,
            header(Hop::Destination, next),
            &|_| {},
        ),
        whole("relay without a next node", Hop::Guard, header(Hop::Guard, None), &|_| {}),
    ];
    let (flagged, _) = forge_flagged(Hop::Guard, header(Hop::Guard, next), 1, |_| {});
    cases.push(RefusedVector {
        packet: Some(to_hex(&flagged)),
        ..base("unknown flag in the header")
    });
    // A guard's layer whose length is a guard's and whose header says middle.
    let (mut wrong, _) = forge(Hop::Guard, header(Hop::Middle, next), |_| {});
    wrong[1_929..].fill(0);
    cases.push(RefusedVector {
        packet: Some(to_hex(&wrong)),
        ..base("middle's header before a body that does not end where a middle's does")
    });
    for case in &mut cases {
        case.outcome = run(&first, case);
    }
    cases
}

fn run(first: &[u8], case: &RefusedVector) -> String {
    let packet = case.packet.as_deref().map_or_else(|| first.to_vec(), bytes_of);
    let packet = edited(&packet, &case.edits, case.length);
    let key = OnionSecretKey::from_bytes(from_hex(&case.onion_secret).unwrap());
    peel_outcome(&case.network.parse().unwrap(), key, &packet)
}

fn vectors() -> Vectors {
    let nodes = Hop::ALL.map(|hop| NodeVector {
        hop,
        node: node(hop).to_string(),
        key_number: NUMBER.get(),
        onion_secret: to_hex(secret(hop).to_secret().expose()),
        onion_public: secret(hop).public().to_string(),
    });
    Vectors {
        recipe: RECIPE.iter().map(|line| (*line).to_owned()).collect(),
        network: NETWORK.to_string(),
        minute: MINUTE,
        nodes: nodes.into(),
        packets: PACKETS.map(packet_vector).into(),
        replies: reply_vectors(),
        refused: refused_vectors(),
    }
}

#[test]
fn vectors_are_what_this_code_makes() {
    let mut made = serde_json::to_string_pretty(&vectors()).unwrap();
    made.push('\n');
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some() {
        std::fs::write(FILE, &made).unwrap();
    }
    let kept = std::fs::read_to_string(FILE).unwrap();
    assert!(made == kept, "onion.json is not what this code makes");
}

#[test]
fn packets_of_the_vectors_are_peeled_and_refused_as_they_say() {
    let kept: Vectors = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let first = bytes_of(kept.packets[0].packet.as_deref().unwrap());
    assert_eq!(deliver(&first).request, bytes_of(&kept.packets[0].request));
    for case in &kept.refused {
        assert_eq!(run(&first, case), case.outcome, "{}", case.name);
    }
    let of =
        |start: &str| kept.refused.iter().filter(|case| case.outcome.starts_with(start)).count();
    // Every reset reason, and more malformations than one.
    assert!(["reset 1", "reset 2", "reset 3", "reset 4"].into_iter().all(|reason| of(reason) > 0));
    assert_eq!(of("reset") + of("malformed"), kept.refused.len());
}

#[test]
fn frames_of_the_vectors_open_and_are_refused_as_they_say() {
    let kept: Vectors = serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    for reply in &kept.replies {
        let (_, mut opener) = first_waiting();
        for vector in &reply.frames {
            match opener.open(&bytes_of(&vector.frame)) {
                Ok(opened) => {
                    assert!(vector.opens, "{}", reply.name);
                    assert_eq!(opened.from_hop, vector.from_hop, "{}", reply.name);
                    assert_eq!(to_hex(&opened.payload), vector.payload, "{}", reply.name);
                    assert_eq!(opened.is_last(), vector.flags & 8 != 0, "{}", reply.name);
                }
                Err(error) => assert!(!vector.opens, "{}: {error}", reply.name),
            }
        }
    }
}
