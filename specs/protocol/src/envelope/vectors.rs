//! `specs/vectors/envelope.json`: written when `ENJAMBRE_WRITE_VECTORS=1`, else compared.
#![allow(clippy::unwrap_used)]

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::crypto::{Secret, SecretKey};
use crate::id::{Digest, NetworkId, to_hex};
use crate::identity::vectors::check_file;
use crate::identity::{AccountSeed, Bundle, BundleSecret, DeviceKeys, DeviceListDraft};
use crate::time::Timestamp;

const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const END: Timestamp = Timestamp::from_secs(1_830_000_000);

fn device(byte: u8) -> DeviceKeys {
    let ratchet = Secret::from_bytes([byte + 1; 32]);
    DeviceKeys::from_secrets(SecretKey::from_seed(&[byte; 32]), ratchet)
}

fn message() -> Value {
    let (sender, recipient) =
        (AccountSeed::from_bytes([0x22; 16]).key(), AccountSeed::from_bytes([0x23; 16]).key());
    let (from, to) = (device(0x33), device(0x43));
    let list = DeviceListDraft::first(vec![from.device()], END).sign(&sender, &NETWORK).unwrap();
    let content = Content {
        id: MessageId::from_bytes([0x71; 16]),
        recipient: recipient.id(),
        device: from.device().key,
        list_version: 1,
        list_digest: list.digest(),
        conversation: ConversationId::from_bytes([0x72; 16]),
        counter: 3,
        previous: Digest::from_bytes([0x73; 32]),
        sent: NOW,
        kind: Kind::Message { text: "¿Qué tal?".to_owned(), files: Vec::new() },
    };
    let signed = SignedContent::sign(&from, &list, &NETWORK, &content).unwrap();
    let mut rng = ChaCha20Rng::from_seed([0x55; 32]);
    let secrets = [BundleSecret::generate(&mut rng, 7, NOW)];
    let published = secrets[0].publish(&to, recipient.id(), &NETWORK);
    let key = to.device().key;
    let bundle = Bundle::verify(&published, &NETWORK, &recipient.id(), &key).unwrap();
    let address = Address { network: NETWORK, account: recipient.id(), namespace: 0 };
    let mut rng = ChaCha20Rng::from_seed([0x56; 32]);
    let record = seal(&mut rng, &address, &signed, &[bundle], NOW).unwrap();

    let opener = DeviceOpener { device: key, bundles: &secrets };
    assert_eq!(open(&address, &opener, &record, NOW).unwrap().content, content);
    let refused = |why: &str, address: &Address, at: Option<usize>| {
        let mut record = record.clone();
        if let Some(at) = at {
            record[at] ^= 1;
        }
        let error = open(address, &opener, &record, NOW).unwrap_err();
        json!({ "why": why, "flip_lowest_bit_of_byte": at, "namespace": address.namespace,
            "network": address.network, "error": error.to_string() })
    };
    let elsewhere = Address { network: NetworkId::from_bytes([0x12; 32]), ..address };
    let used = (0..4).find(|place| {
        let mut broken = record.clone();
        broken[2 + place * SLOT_LEN] ^= 1;
        open(&address, &opener, &broken, NOW).is_err()
    });
    let used = used.unwrap();
    json!({
        "recipe": "sender: account seed 22…, device signing seed 33…, list 1 to 1830000000 s; \
                   recipient: account seed 23…, device signing seed 43…; bundle version 7 made at \
                   1800000000 s from ChaCha20 seeded with 55… (fallback secret, X-Wing seed); \
                   sealed at that time with ChaCha20 seeded with 56…: body key, places, slots",
        "network": NETWORK,
        "account_id": recipient.id(),
        "namespace": 0,
        "device": key,
        "bundle_version": 7,
        "bundle_kem_seed": to_hex(secrets[0].kem.secret().expose()),
        "content": {
            "id": content.id, "recipient": content.recipient, "device": content.device,
            "list_version": 1, "list_digest": content.list_digest,
            "conversation": content.conversation, "counter": 3, "previous": content.previous,
            "sent": NOW.as_millis(), "text": "¿Qué tal?",
        },
        "content_digest": signed.digest(&NETWORK),
        "used_slot": used,
        "record": to_hex(&record),
        "must_fail": [
            refused("another namespace", &Address { namespace: 1, ..address }, None),
            refused("another network", &elsewhere, None),
            refused("format changed", &address, Some(0)),
            refused("suite changed", &address, Some(1)),
            refused("encapsulated key changed", &address, Some(2 + used * SLOT_LEN)),
            refused("slot's tag changed", &address, Some(1 + (used + 1) * SLOT_LEN)),
            refused("body changed", &address, Some(2 + 4 * SLOT_LEN)),
            refused("body's tag changed", &address, Some(record.len() - 1)),
        ],
    })
}

fn file() -> Value {
    let data: Vec<u8> = (0..CHUNK_DATA + 3).map(|i| (i % 251).to_le_bytes()[0]).collect();
    let mut rng = ChaCha20Rng::from_seed([0x57; 32]);
    let mut sealer = FileSealer::new(&mut rng, &NETWORK, data.len() as u64).unwrap();
    let (first, rest) = data.split_at(CHUNK_DATA);
    let chunks = [sealer.seal_next(first).unwrap(), sealer.seal_next(rest).unwrap()];
    let file = sealer.finish(FileName::new("a.bin").unwrap(), END).unwrap();
    let ends = |chunk: &SealedChunk| {
        let (head, tail) = (&chunk.bytes[..16], &chunk.bytes[CHUNK_LEN - 16..]);
        json!({ "id": chunk.id, "first_16": to_hex(head), "tag": to_hex(tail) })
    };
    let mut changed = chunks[1].bytes.clone();
    changed[0] ^= 1;
    let wrong = file.open_chunk(&NETWORK, 1, &changed).unwrap_err();
    let place = file.open_chunk(&NETWORK, 0, &chunks[1].bytes).unwrap_err();
    json!({
        "recipe": "byte i of the file is i mod 251; key: 32 bytes of ChaCha20 seeded with 57…; \
                   chunks of 130032 bytes of file, the last padded with zeros",
        "network": NETWORK,
        "size": data.len(),
        "reference": to_hex(&crate::wire::encode(&file)),
        "chunks": chunks.iter().map(ends).collect::<Vec<_>>(),
        "must_fail": [
            { "why": "lowest bit of the first byte of chunk 1 flipped", "error": wrong.to_string() },
            { "why": "chunk 1 in the place of chunk 0", "error": place.to_string() },
        ],
    })
}

#[test]
fn vectors_of_envelopes_are_what_this_build_makes() {
    let bucket =
        |b: &Bucket| json!({ "data": b.data, "slots": b.slots, "content": b.content_max() });
    let value = json!({
        "what": "A sealed message, a sealed file, the sizes of records; hex bytes. Chapter 07.",
        "sizes": {
            "slot": SLOT_LEN, "slot_plaintext": SLOT_PLAINTEXT, "chunk": CHUNK_LEN,
            "chunk_data": CHUNK_DATA, "chunk_counts": CHUNK_COUNTS,
            "buckets": BUCKETS.iter().map(bucket).collect::<Vec<_>>(),
        },
        "message": message(),
        "file": file(),
    });
    check_file("envelope.json", &value);
}
