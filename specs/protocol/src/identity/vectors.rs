//! `specs/vectors/identities.json`: written when `ENJAMBRE_WRITE_VECTORS=1`, else compared.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use curve25519_dalek::montgomery::MontgomeryPoint;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use serde_json::{Value, json};

use super::*;
use crate::crypto::{PublicKey, Secret, SecretKey, Signed};
use crate::id::{Digest, NetworkId, from_hex, to_hex};
use crate::time::Timestamp;

const NETWORK: NetworkId = NetworkId::from_bytes([0x11; 32]);
const MADE: Timestamp = Timestamp::from_secs(1_800_000_000);
const END: Timestamp = Timestamp::from_secs(1_830_000_000);

/// Compares `value` with the file byte for byte, or writes it.
pub(crate) fn check_file(name: &str, value: &Value) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../vectors").join(name);
    let mut text = serde_json::to_string_pretty(value).unwrap();
    text.push('\n');
    if std::env::var_os("ENJAMBRE_WRITE_VECTORS").is_some_and(|value| value == "1") {
        std::fs::write(&path, &text).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap();
    assert!(found == text, "{} differs from what this build makes", path.display());
}

fn signed(signed: &Signed) -> Value {
    json!({ "bytes": to_hex(&signed.bytes), "signature": signed.signature })
}

fn account(seed: &str) -> Value {
    let seed = AccountSeed::from_bytes(from_hex(seed).unwrap());
    let key = seed.key();
    json!({
        "seed": to_hex(seed.expose()),
        "phrase": *seed.phrase().reveal(),
        "ed25519_seed": to_hex(key.signer().seed().expose()),
        "ed25519_public": key.public(),
        "x25519_secret": to_hex(key.x25519().expose()),
        "account_id": key.id(),
    })
}

fn devices() -> Value {
    let account = AccountSeed::from_bytes([0x22; 16]).key();
    let device = |byte: u8| {
        let ratchet = Secret::from_bytes([byte + 1; 32]);
        DeviceKeys::from_secrets(SecretKey::from_seed(&[byte; 32]), ratchet)
    };
    let (one, two) = (device(0x33), device(0x43));
    let first = DeviceListDraft::first(vec![one.device()], END).sign(&account, &NETWORK).unwrap();
    let second = DeviceListDraft::after(&first, vec![one.device(), two.device()], END);
    let second = second.sign(&account, &NETWORK).unwrap();
    let mut rng = ChaCha20Rng::from_seed([0x55; 32]);
    let bundle = BundleSecret::generate(&mut rng, 7, MADE);
    let published = bundle.publish(&one, account.id(), &NETWORK);
    let token = SubAccountToken::issue(&account, &NETWORK, one.device().key, Rights::ALL, 258);
    let name = Some(CardName::new("Ana Núñez").unwrap());
    let card =
        ContactCard { account: account.id(), network: NETWORK, first_list: first.digest(), name };
    let identity = PublishedIdentity::new(&first).with_bundle(one.device().key, published.clone());
    json!({
        "recipe": "account seed 22…, devices with signing seed 33… (ratchet secret 34…) and 43… \
                   (44…), lists 1 and 2 expire at 1830000000 s; bundle: fallback secret, then \
                   X-Wing seed, both from ChaCha20 seeded with 55…, version 7, made at \
                   1800000000 s; token: all rights, serial 258, first device; card: named",
        "network": NETWORK,
        "account_id": account.id(),
        "device": { "key": one.device().key, "ratchet": one.device().ratchet,
            "tag": DeviceTag::of(&one.device().key).to_string() },
        "list_1": signed(first.signed()),
        "list_1_digest": first.digest(),
        "list_2": signed(second.signed()),
        "list_2_digest": second.digest(),
        "bundle_fallback_secret": to_hex(bundle.fallback.expose()),
        "bundle_kem_seed": to_hex(bundle.kem.secret().expose()),
        "bundle": signed(&published),
        "identity": to_hex(&identity.encode()),
        "token": to_hex(&token.to_bytes()),
        "card": card.to_string(),
        "card_qr": card.to_qr_text(),
    })
}

fn refused_id(id: &str, why: &str) -> Value {
    let error = id.parse::<AccountId>().unwrap_err();
    json!({ "id": id, "why": why, "error": error.to_string() })
}

fn refused_phrase(phrase: &str, why: &str) -> Value {
    let error = phrase.parse::<RecoveryPhrase>().unwrap_err();
    json!({ "phrase": phrase, "why": why, "error": error.to_string() })
}

fn refused_card(card: &str, why: &str) -> Value {
    let error = card.parse::<ContactCard>().unwrap_err();
    json!({ "card": card, "why": why, "error": error.to_string() })
}

fn must_fail() -> Value {
    let id = AccountSeed::from_bytes([0x22; 16]).key().id();
    let hex = id.to_string();
    let modulus = format!("ed{}7f", "ff".repeat(30));
    let words = AccountSeed::from_bytes([0x22; 16]).phrase().reveal();
    let card = ContactCard {
        account: id,
        network: NETWORK,
        first_list: Digest::from_bytes([0x66; 32]),
        name: None,
    };
    let card = card.to_string();
    let swapped =
        format!("{}{}{}", &card[..20], if &card[20..21] == "a" { "b" } else { "a" }, &card[21..]);
    json!({
        "ids": [
            refused_id(&hex[..65], "one character short"),
            refused_id(&format!("15{}", &hex[2..]), "unknown prefix"),
            refused_id(&format!("05{modulus}"), "u is the modulus"),
            refused_id(&format!("05{}", "ff".repeat(32)), "top bit set"),
            refused_id(&format!("03{modulus}"), "y is the modulus"),
            refused_id(&format!("05{}", "00".repeat(32)), "point of order 2"),
            refused_id(&format!("0501{}", "00".repeat(31)), "point of order 4"),
            refused_id("05e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
                "point of order 8"),
            refused_id(&format!("0301{}", "00".repeat(31)), "the neutral point"),
        ],
        "phrases": [
            refused_phrase(&words[..words.rfind(' ').unwrap()], "eleven words"),
            refused_phrase(&words.replacen(
                words.split(' ').next().unwrap(), "enjambre", 1), "a word outside the list"),
            refused_phrase(&["abandon"; 12].join(" "), "wrong check"),
        ],
        "cards": [
            refused_card(&swapped, "one character changed"),
            refused_card(&card[..card.len() - 1], "one character lost"),
            refused_card(&card["enjambre:".len()..], "no scheme"),
        ],
    })
}

#[test]
fn vectors_of_identities_are_what_this_build_makes() {
    let value = json!({
        "what": "Accounts, device lists, bundles, tokens and contact cards; hex bytes. Chapter 01.",
        "accounts": {
            "recipe": "16 seed bytes; BIP-39 English words of the same 16 bytes; Ed25519 seed = \
                       16 bytes, then 16 zeros; account id = 05, then the X25519 public key",
            "vectors": [
                account("00000000000000000000000000000000"),
                account("7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f"),
                account("ffffffffffffffffffffffffffffffff"),
                account("0123456789abcdef0123456789abcdef"),
            ],
        },
        "devices": devices(),
        "must_fail": must_fail(),
    });
    check_file("identities.json", &value);
}

#[test]
fn published_phrases_give_their_entropy() {
    // From the BIP-39 reference vectors (English, 128 bits).
    let cases = [
        (
            "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f",
            "legal winner thank year wave sausage worth useful legal winner thank yellow",
        ),
        (
            "80808080808080808080808080808080",
            "letter advice cage absurd amount doctor acoustic avoid letter advice cage above",
        ),
        ("ffffffffffffffffffffffffffffffff", "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"),
        (
            "9e885d952ad362caeb4efe34a8e91bd2",
            "ozone drill grab fiber curtain grace pudding thank cruise elder eight picnic",
        ),
    ];
    for (seed, words) in cases {
        let phrase: RecoveryPhrase = words.parse().unwrap();
        assert_eq!(to_hex(phrase.seed().expose()), seed);
    }
}

#[test]
fn conversion_from_ed25519_agrees_with_published_pairs() {
    // Seed and X25519 public key: RFC 8032 tests 1 and 2 as converted in ed25519-dalek's tests, and
    // the pair of libsodium's conversion test.
    let cases = [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d85e07ec22b0ad881537c2f44d662d1a143cf830c57aca4305d85c7a90f6b62e",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "25c704c594b88afc00a76b69d1ed2b984d7e22550f3ed0802d04fbcd07d38d47",
        ),
        (
            "421151a459faeade3d247115f94aedae42318124095afabe4d1451a559faedee",
            "f1814f0e8ff1043d8a44d25babff3cedcae6c22c3edaa48f857ae70de2baae50",
        ),
    ];
    for (seed, expected) in cases {
        let key = SecretKey::from_seed(&from_hex(seed).unwrap());
        let id = AccountId::of_account(&key.public()).unwrap();
        assert_eq!(to_hex(id.key()), expected);
        let public = MontgomeryPoint::mul_base_clamped(*key.to_x25519().expose());
        assert_eq!(to_hex(public.as_bytes()), expected);
    }
}

#[test]
fn deployed_account_is_imported_under_its_id() {
    // The account of the deployed client library's own tests.
    let key = AccountSeed::from_bytes(from_hex("0123456789abcdef0123456789abcdef").unwrap()).key();
    let public: PublicKey =
        "4cb76fdc6d32278e3f83dbf608360ecc6b65727934b85d2fb86862ff98c46ab7".parse().unwrap();
    assert_eq!(key.public(), public);
    let id = "05d2ad010eeb72d72e561d9de7bd7b6989af77dcabffa03a5111a6c859ae5c3a72";
    assert_eq!(key.id().to_string(), id);
}
