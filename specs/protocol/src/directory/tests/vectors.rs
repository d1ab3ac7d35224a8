//! `specs/vectors/directory.json`: written when `ENJAMBRE_WRITE_VECTORS=1`, else compared; and read
//! back, without the keys that made it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::*;
use crate::id::{NetworkId, to_hex};
use crate::{crypto, wire};

/// A changed byte lies in the beacon: network, height, predecessor and time come before it.
const BEACON_AT: usize = 1 + 32 + 1 + 32 + 2;

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors/directory.json")
}

fn unhex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(value.as_str().unwrap().as_bytes()).unwrap()
}

fn read<T: serde::de::DeserializeOwned>(value: &Value) -> T {
    wire::decode(&unhex(value), 1 << 20).unwrap()
}

/// What a signature covers, put together as the chapter says.
fn covered(label: &str, network: &NetworkId, body: &[u8]) -> Vec<u8> {
    let len = [u8::try_from(label.len()).unwrap()];
    [&len, label.as_bytes(), network.as_bytes(), body].concat()
}

/// A network of four authorities whose first two documents list seven and then six nodes.
fn world() -> World {
    let mut world = World::new(4);
    let first: Vec<Digest> =
        (1..=7).map(|i| world.descriptor(i, 1000, NodeState::Active)).collect();
    world.advance(5000, &first);
    let news = [
        world.descriptor(8, 2000, NodeState::Active),
        world.descriptor(3, 2000, NodeState::Retired),
        world.descriptor(4, 2000, NodeState::Retired),
    ];
    world.advance(7000, &news);
    world
}

fn genesis(world: &World) -> Value {
    let genesis = &world.genesis;
    let ids: Vec<AuthorityId> = genesis.authorities.iter().map(|of| of.id).collect();
    let covered = wire::encode(&(genesis.created_ms, &ids, &genesis.params));
    json!({
        "bytes": to_hex(&wire::encode(genesis)), "authorities": ids, "k": genesis.threshold(),
        "covered_by_the_network_id": to_hex(&covered), "network": genesis.network(),
    })
}

fn signed(signed: &Signed) -> Value {
    json!({ "bytes": to_hex(&signed.bytes), "signature": signed.signature })
}

fn document(world: &World, of: &VerifiedDocument) -> Value {
    let network = world.genesis.network();
    let (document, SignedDocument { document: bytes, certificate }) = (of.document(), of.signed());
    let (height, previous) = (document.height, &document.previous);
    let value = ValueId::new(&network, height, previous, of.digest(), &certificate.list);
    let body = wire::encode(&(height, certificate.round, value));
    json!({
        "height": height, "previous": previous, "time_ms": document.time.as_millis(),
        "beacon": document.beacon, "nodes": document.nodes.len(), "bytes": to_hex(bytes),
        "digest": of.digest(), "list": certificate.list, "value": value,
        "precommit_covers": to_hex(&covered("enjambre/precommit/1", &network, &body)),
        "certificate": {
            "bytes": to_hex(&wire::encode(certificate)), "round": certificate.round,
            "signatures": certificate.signatures.iter()
                .map(|entry| json!({ "authority": entry.authority, "signature": entry.signature }))
                .collect::<Vec<_>>(),
        },
        "signed": to_hex(&wire::encode(of.signed())),
    })
}

fn must_fail(world: &World) -> Value {
    let network = world.genesis.network();
    let [first, second] = &world.chain[..] else { panic!("two documents") };
    let good = second.signed();
    let changed = |change: &dyn Fn(&mut SignedDocument)| {
        let mut signed = good.clone();
        change(&mut signed);
        to_hex(&wire::encode(&signed))
    };
    let signatures = |change: &dyn Fn(&mut Vec<CertificateEntry>)| {
        changed(&|signed| change(&mut signed.certificate.signatures))
    };
    let mut difference = DocumentDiff::between(first, second);
    difference.forge_beacon(Digest::from_bytes([9; 32]));
    let descriptor = world.descriptors.values().find(|of| of.parts().sequence == 2000).unwrap();
    let mut moved = descriptor.signed().clone();
    *moved.bytes.last_mut().unwrap() ^= 1;
    let mut stranger = world.report(0, 9000, &[]);
    stranger.author = AuthorityId::from_bytes(*key(2, 1).public().as_bytes());
    let again = DocumentDiff::between(second, second);
    json!([
        { "what": "signed", "name": "a byte of the beacon changed", "error": "signature",
          "bytes": changed(&|signed| signed.document[BEACON_AT] ^= 1) },
        { "what": "signed", "name": "version 1", "error": "document",
          "bytes": changed(&|signed| signed.document[0] = 1) },
        { "what": "signed", "name": "the last byte missing", "error": "document",
          "bytes": changed(&|signed| signed.document.truncate(signed.document.len() - 1)) },
        { "what": "signed", "name": "a byte more", "error": "document",
          "bytes": changed(&|signed| signed.document.push(0)) },
        { "what": "signed", "name": "another round in the certificate", "error": "signature",
          "bytes": changed(&|signed| signed.certificate.round = 1) },
        { "what": "signed", "name": "two of four signatures", "error": "signatures",
          "bytes": signatures(&|list| list.truncate(2)) },
        { "what": "signed", "name": "two of four, one of them twice", "error": "order",
          "bytes": signatures(&|list| list[2] = list[1]) },
        { "what": "signed", "name": "two of four, one again in another's place",
          "error": "signature",
          "bytes": signatures(&|list| list[2].signature = list[1].signature) },
        { "what": "signed", "name": "three of four, descending", "error": "order",
          "bytes": signatures(&|list| list.reverse()) },
        { "what": "signed", "name": "a document of the network made at 2 ms", "error": "network",
          "bytes": to_hex(&wire::encode(&elsewhere(world))) },
        { "what": "difference", "name": "another beacon", "error": "signature",
          "bytes": to_hex(&wire::encode(&difference)) },
        { "what": "difference", "name": "starts from the second document", "error": "base",
          "bytes": to_hex(&wire::encode(&again)) },
        { "what": "descriptor", "name": "the last byte changed", "error": "signature",
          "bytes": to_hex(&wire::encode(&moved)) },
        { "what": "report", "name": "by a node", "error": "stranger",
          "bytes": to_hex(&wire::encode(&stranger.sign(&key(2, 1), &network))) },
        { "what": "report", "name": "in the name of authority 0, signed by authority 1",
          "error": "signature",
          "bytes": to_hex(&wire::encode(
              &world.report(0, 9000, &[]).sign(&world.authorities[1], &network))) },
    ])
}

/// The first document of another network of the same authorities.
fn elsewhere(world: &World) -> SignedDocument {
    let mut other = World::new(4);
    other.genesis = Genesis::new(2, world.genesis.authorities.clone(), Params::devnet()).unwrap();
    other.advance(5000, &[]);
    other.chain[0].signed().clone()
}

#[test]
fn vectors_are_what_this_code_makes() {
    let world = world();
    let [first, second] = &world.chain[..] else { panic!("two documents") };
    let descriptor = world.descriptors.values().find(|of| of.parts().sequence == 1000).unwrap();
    let report = world.report(0, 9000, &[descriptor.digest()]);
    let report = report.sign(&world.authorities[0], &world.genesis.network());
    let value = json!({
        "recipe": {
            "keys": "Ed25519 seeds. Authorities: 01 (32 times) with the first byte n, n = 1 to 4, then ascending by public key. Nodes: 02 (32 times) with the first byte n.",
            "genesis": "made at 1 ms, the parameters of a devnet, every authority at 127.0.0.1:4000. The network id is digest(\"enjambre/genesis/1\", [covered_by_the_network_id]).",
            "descriptor": "of one of the nodes 1 to 7: sequence 1000, active, onion key number 1, onion key n (32 times), address 127.n.0.1:4000, store n (16 times), no family, capacity 100.",
            "report": "of authority 0 for height 3: its clock 9000 ms, share 00 (32 times), naming the descriptor.",
            "documents": "from one report of each authority i, whose share is i (32 times). Height 1: clocks 5000 ms, nodes 1 to 7. Height 2: clocks 7000 ms, node 8 comes, 3 and 4 retire, with sequence 2000. Decided in round 0; signed by the authorities 0, 1 and 2. precommit_covers is what each of them signs.",
            "difference": "from the first document to the second.",
            "bytes": "signed is the encoding of document bytes and certificate; in must_fail a report or descriptor is the encoding of its bytes and signature, and a difference is applied to the first document.",
        },
        "genesis": genesis(&world),
        "descriptor": { "name": descriptor.digest(), "signed": signed(descriptor.signed()) },
        "report": signed(&report),
        "documents": [document(&world, first), document(&world, second)],
        "difference": {
            "base": first.digest(),
            "bytes": to_hex(&wire::encode(&DocumentDiff::between(first, second))),
        },
        "must_fail": must_fail(&world),
    });
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(path(), &text).unwrap();
    }
    let found = std::fs::read_to_string(path()).unwrap();
    assert!(found == text, "{} differs from what this code makes", path().display());
}

/// The vectors as a stranger reads them.
fn stored() -> (Value, Genesis, VerifiedDocument) {
    let text = std::fs::read_to_string(path()).unwrap();
    let value: Value = serde_json::from_str(&text).unwrap();
    let genesis: Genesis = read(&value["genesis"]["bytes"]);
    genesis.check().unwrap();
    let first: SignedDocument = read(&value["documents"][0]["signed"]);
    let first = first.verify(&genesis).unwrap();
    (value, genesis, first)
}

fn stored_signed(value: &Value) -> Signed {
    let signature = serde_json::from_value(value["signature"].clone()).unwrap();
    Signed { bytes: unhex(&value["bytes"]), signature }
}

#[test]
fn genesis_descriptor_and_report_of_the_vectors_hold() {
    let (value, genesis, _) = stored();
    let network = genesis.network();
    assert_eq!(json!(network), value["genesis"]["network"]);
    let covered = unhex(&value["genesis"]["covered_by_the_network_id"]);
    assert_eq!(crypto::digest("enjambre/genesis/1", &[&covered]).as_bytes(), network.as_bytes());
    assert_eq!(json!(genesis.threshold()), value["genesis"]["k"]);
    let descriptor =
        Descriptor::verify(stored_signed(&value["descriptor"]["signed"]), &network).unwrap();
    assert_eq!(json!(descriptor.digest()), value["descriptor"]["name"]);
    let report = Report::verify(&stored_signed(&value["report"]), &genesis).unwrap();
    assert_eq!((report.height, report.descriptors), (3, vec![descriptor.digest()]));
    assert_eq!(json!(report.previous), value["documents"][1]["digest"]);
}

#[test]
fn documents_of_the_vectors_are_certified_as_they_say() {
    let (value, genesis, first) = stored();
    for stored in value["documents"].as_array().unwrap() {
        let signed: SignedDocument = read(&stored["signed"]);
        assert_eq!(signed.document, unhex(&stored["bytes"]));
        assert_eq!(wire::encode(&signed.certificate), unhex(&stored["certificate"]["bytes"]));
        let verified = signed.verify(&genesis).unwrap();
        assert_eq!(document_facts(&verified), facts(stored));
        // Without our code: the bytes that were signed, and Ed25519.
        let covered = unhex(&stored["precommit_covers"]);
        let signatures = stored["certificate"]["signatures"].as_array().unwrap();
        assert_eq!(signatures.len(), 3);
        for entry in signatures {
            let place = usize::try_from(entry["authority"].as_u64().unwrap()).unwrap();
            let key = genesis.authorities[place].id;
            let key = ed25519_dalek::VerifyingKey::from_bytes(key.as_bytes()).unwrap();
            let signature: [u8; 64] = unhex(&entry["signature"]).try_into().unwrap();
            key.verify_strict(&covered, &signature.into()).unwrap();
        }
    }
    let difference: DocumentDiff = read(&value["difference"]["bytes"]);
    let second = difference.apply(&first, &genesis).unwrap();
    assert_eq!(second.signed().document, unhex(&value["documents"][1]["bytes"]));
}

fn document_facts(of: &VerifiedDocument) -> [Value; 5] {
    let document = of.document();
    let list = &of.signed().certificate.list;
    [
        json!(document.height),
        json!(document.previous),
        json!(of.digest()),
        json!(document.nodes.len()),
        json!(list),
    ]
}

fn facts(stored: &Value) -> [Value; 5] {
    ["height", "previous", "digest", "nodes", "list"].map(|name| stored[name].clone())
}

fn kind(error: &VerifyError) -> &'static str {
    match error {
        VerifyError::Document(_) => "document",
        VerifyError::Network { .. } => "network",
        VerifyError::Signatures { .. } => "signatures",
        VerifyError::Order => "order",
        VerifyError::Signature { .. } => "signature",
    }
}

fn refusal(case: &Value, genesis: &Genesis, first: &VerifiedDocument) -> Option<&'static str> {
    let bytes = &case["bytes"];
    match case["what"].as_str().unwrap() {
        "signed" => {
            let error = read::<SignedDocument>(bytes).verify(genesis).err()?;
            Some(kind(&error))
        }
        "difference" => match read::<DocumentDiff>(bytes).apply(first, genesis).err()? {
            DiffError::Base => Some("base"),
            DiffError::Verify(error) => Some(kind(&error)),
        },
        "descriptor" => match Descriptor::verify(read(bytes), &genesis.network()).err()? {
            DescriptorError::Signature(_) => Some("signature"),
            DescriptorError::Decode(_) => Some("decode"),
            DescriptorError::Addresses => Some("addresses"),
        },
        "report" => match Report::verify(&read(bytes), genesis).err()? {
            ReportError::Stranger { .. } => Some("stranger"),
            ReportError::Signature(_) => Some("signature"),
            ReportError::Decode(_) => Some("decode"),
            ReportError::Descriptors => Some("descriptors"),
        },
        what => panic!("no {what} here"),
    }
}

#[test]
fn what_must_fail_in_the_vectors_is_refused_as_they_say() {
    let (value, genesis, first) = stored();
    let cases = value["must_fail"].as_array().unwrap();
    assert_eq!(cases.len(), 15);
    for case in cases {
        let refused = refusal(case, &genesis, &first);
        assert_eq!(refused, case["error"].as_str(), "{}", case["name"]);
    }
}
