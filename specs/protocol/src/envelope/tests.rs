//! Claims about whole messages: sealed, carried, opened, and tampered with on the way.
#![allow(clippy::unwrap_used)]

use core::time::Duration;

use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;
use crate::crypto::Signed;
use crate::id::{Digest, NetworkId};
use crate::identity::{
    AccountId, AccountKey, AccountSeed, Bundle, BundleError, BundleSecret, Device, DeviceKeys,
    DeviceList, DeviceListDraft, DeviceListError,
};
use crate::time::Timestamp;
use crate::wire;

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);
const NOW: Timestamp = Timestamp::from_secs(100_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// An account with devices that each have published a bundle.
struct Party {
    account: AccountKey,
    devices: Vec<DeviceKeys>,
    secrets: Vec<BundleSecret>,
    list: DeviceList,
}

fn party(seed: u8, count: usize) -> Party {
    let mut rng = ChaCha20Rng::seed_from_u64(seed.into());
    let account = AccountSeed::from_bytes([seed; 16]).key();
    let devices: Vec<_> = (0..count).map(|_| DeviceKeys::generate(&mut rng)).collect();
    let secrets = devices.iter().map(|_| BundleSecret::generate(&mut rng, 1, NOW)).collect();
    let listed = devices.iter().map(DeviceKeys::device).collect();
    let draft = DeviceListDraft::first(listed, NOW.saturating_add(365 * DAY));
    let list = draft.sign(&account, &NETWORK).unwrap();
    Party { account, devices, secrets, list }
}

impl Party {
    fn id(&self) -> AccountId {
        self.account.id()
    }

    fn address(&self) -> Address {
        Address { network: NETWORK, account: self.id(), namespace: 0 }
    }

    fn bundles(&self) -> Vec<Bundle> {
        let pairs = self.devices.iter().zip(&self.secrets);
        pairs.map(|(device, secret)| self.bundle(device, secret)).collect()
    }

    fn bundle(&self, device: &DeviceKeys, secret: &BundleSecret) -> Bundle {
        let signed = secret.publish(device, self.id(), &NETWORK);
        Bundle::verify(&signed, &NETWORK, &self.id(), &device.device().key).unwrap()
    }

    fn opener(&self, i: usize) -> DeviceOpener<'_> {
        DeviceOpener { device: self.devices[i].device().key, bundles: &self.secrets[i..=i] }
    }

    fn content(&self, recipient: &Self, text: &str) -> Content {
        Content {
            id: MessageId::from_bytes([7; 16]),
            recipient: recipient.id(),
            device: self.devices[0].device().key,
            list_version: self.list.version(),
            list_digest: self.list.digest(),
            conversation: ConversationId::from_bytes([8; 16]),
            counter: 0,
            previous: Digest::from_bytes([0; 32]),
            sent: NOW,
            kind: Kind::Message { text: text.to_owned(), files: Vec::new() },
        }
    }

    fn sign(&self, content: &Content) -> SignedContent {
        SignedContent::sign(&self.devices[0], &self.list, &NETWORK, content).unwrap()
    }

    fn seal(&self, recipient: &Self, text: &str) -> Vec<u8> {
        let content = self.sign(&self.content(recipient, text));
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        seal(&mut rng, &recipient.address(), &content, &recipient.bundles(), NOW).unwrap()
    }
}

#[test]
fn every_device_opens_what_was_said() {
    let (ana, ben) = (party(1, 1), party(2, 4));
    let record = ana.seal(&ben, "hola");
    for i in 0..4 {
        let opened = open(&ben.address(), &ben.opener(i), &record, NOW).unwrap();
        assert_eq!(opened.content, ana.content(&ben, "hola"));
        assert_eq!(opened.sender, ana.list);
        assert_eq!(opened.bundle_version, 1);
        assert_eq!(opened.digest, ana.sign(&opened.content).digest(&NETWORK));
    }
}

#[test]
fn length_depends_on_the_bucket_alone() {
    let ana = party(1, 1);
    let len = |devices, text: usize| ana.seal(&party(2, devices), &"x".repeat(text)).len();
    assert_eq!([len(1, 1), len(1, 500), len(4, 500)], [BUCKETS[0].data; 3]);
    assert_eq!([len(5, 1), len(8, 15_000), len(1, 2_000)], [BUCKETS[1].data; 3]);
    assert_eq!([len(1, 20_000), len(8, TEXT_MAX)], [BUCKETS[2].data; 2]);
}

#[test]
fn the_longest_text_of_an_account_with_16_devices_fits() {
    let (ana, ben) = (party(1, 16), party(2, 8));
    let text = "x".repeat(TEXT_MAX);
    let record = ana.seal(&ben, &text);
    let opened = open(&ben.address(), &ben.opener(7), &record, NOW).unwrap();
    assert_eq!(opened.content.kind, Kind::Message { text, files: Vec::new() });
}

#[test]
fn a_screenful_of_the_largest_files_fits() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let mut rng = ChaCha20Rng::seed_from_u64(4);
    let file = |rng: &mut ChaCha20Rng| {
        let mut sealer = FileSealer::new(rng, &NETWORK, FILE_MAX).unwrap();
        while let Some(len) = sealer.next_len() {
            sealer.seal_next(&vec![0; len]).unwrap();
        }
        sealer.finish(FileName::new(&"n".repeat(255)).unwrap(), NOW).unwrap()
    };
    let mut content = ana.content(&ben, "");
    let files = vec![file(&mut rng); FILES_MAX];
    content.kind = Kind::Message { text: String::new(), files };
    let signed = ana.sign(&content);
    let record = seal(&mut rng, &ben.address(), &signed, &ben.bundles(), NOW).unwrap();
    assert_eq!(open(&ben.address(), &ben.opener(0), &record, NOW).unwrap().content, content);
}

#[test]
fn two_seals_of_one_message_share_nothing_but_the_header() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let content = ana.sign(&ana.content(&ben, "hola"));
    let mut rng = ChaCha20Rng::seed_from_u64(5);
    let mut sealed = || seal(&mut rng, &ben.address(), &content, &ben.bundles(), NOW).unwrap();
    let (a, b) = (sealed(), sealed());
    let same = a.iter().zip(&b).filter(|(a, b)| a == b).count();
    assert!(same < a.len() / 100, "{same} of {} bytes", a.len()); // 1 in 256 by chance.
}

#[test]
fn decoys_have_the_form_of_used_slots() {
    use hpke::Deserializable;
    use hpke::kem::{Kem, XWing};

    let (ana, ben) = (party(1, 1), party(2, 1));
    let record = ana.seal(&ben, "hola");
    let (slots, _) = record[2..].as_chunks::<SLOT_LEN>();
    for slot in &slots[..4] {
        assert!(<XWing as Kem>::EncappedKey::from_bytes(&slot[..1120]).is_ok());
        // An X25519 share below 2²⁵⁵, as every true one is; half of all random strings are not.
        assert_eq!(slot[1119] & 0x80, 0);
    }
}

#[test]
fn place_of_the_used_slot_is_random() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let content = ana.sign(&ana.content(&ben, "hola"));
    let mut places = [0; 4];
    for seed in 0..40 {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let record = seal(&mut rng, &ben.address(), &content, &ben.bundles(), NOW).unwrap();
        let place = (0..4).find(|place| {
            let mut broken = record.clone();
            broken[2 + place * SLOT_LEN] ^= 1;
            open(&ben.address(), &ben.opener(0), &broken, NOW).is_err()
        });
        places[place.unwrap()] += 1;
    }
    assert!(places.iter().all(|count| *count > 0), "{places:?}");
}

#[test]
fn wrong_device_network_namespace_account_and_generation_do_not_open() {
    let (ana, ben, eve) = (party(1, 1), party(2, 1), party(3, 1));
    let record = ana.seal(&ben, "hola");
    let refused = Err(OpenError::NotForThisDevice);
    let address = ben.address();
    assert_eq!(open(&address, &eve.opener(0), &record, NOW), refused);
    let other = Address { network: NetworkId::from_bytes([2; 32]), ..address };
    assert_eq!(open(&other, &ben.opener(0), &record, NOW), refused);
    let other = Address { namespace: -1, ..address };
    assert_eq!(open(&other, &ben.opener(0), &record, NOW), refused);
    let other = Address { account: eve.id(), ..address };
    assert_eq!(open(&other, &ben.opener(0), &record, NOW), refused);
    let device = DeviceOpener { device: eve.devices[0].device().key, ..ben.opener(0) };
    assert_eq!(open(&address, &device, &record, NOW), refused);
    let mut renamed = ben.secrets[0].clone();
    renamed.version = 2;
    let generation = DeviceOpener { bundles: &[renamed], ..ben.opener(0) };
    assert_eq!(open(&address, &generation, &record, NOW), refused);
}

#[test]
fn message_for_the_generation_before_still_opens() {
    let (ana, mut ben) = (party(1, 1), party(2, 1));
    let record = ana.seal(&ben, "hola");
    let mut rng = ChaCha20Rng::seed_from_u64(6);
    ben.secrets.insert(0, BundleSecret::generate(&mut rng, 2, NOW));
    let opener = DeviceOpener { bundles: &ben.secrets, ..ben.opener(0) };
    assert_eq!(open(&ben.address(), &opener, &record, NOW).unwrap().bundle_version, 1);
}

#[test]
fn sealing_refuses_stale_foreign_doubled_and_too_many_bundles() {
    let (ana, ben, eve) = (party(1, 1), party(2, 9), party(3, 1));
    let content = ana.sign(&ana.content(&ben, "hola"));
    let attempt = |bundles: &[Bundle], now| {
        let mut rng = ChaCha20Rng::seed_from_u64(9);
        seal(&mut rng, &ben.address(), &content, bundles, now).map(|_| ())
    };
    let all = ben.bundles();
    assert_eq!(attempt(&all[..8], NOW), Ok(()));
    assert_eq!(attempt(&all, NOW), Err(SealError::Recipients { found: 9 }));
    assert_eq!(attempt(&[], NOW), Err(SealError::Recipients { found: 0 }));
    assert_eq!(attempt(&eve.bundles(), NOW), Err(SealError::WrongBundle));
    let doubled = [all[0].clone(), all[0].clone()];
    assert_eq!(attempt(&doubled, NOW), Err(SealError::WrongBundle));
    let late = NOW.saturating_add(19 * DAY);
    assert_eq!(attempt(&all[..1], late), Err(SealError::Bundle(BundleError::Stale)));
}

#[test]
fn sealing_refuses_content_for_somebody_else_and_too_much_of_it() {
    let (ana, ben, eve) = (party(1, 1), party(2, 1), party(3, 1));
    let content = ana.sign(&ana.content(&eve, "hola"));
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let sealed = seal(&mut rng, &ben.address(), &content, &ben.bundles(), NOW);
    assert_eq!(sealed, Err(SealError::Content(ContentError::WrongRecipient)));
    let long = ana.content(&ben, &"x".repeat(TEXT_MAX + 1));
    let signed = SignedContent::sign(&ana.devices[0], &ana.list, &NETWORK, &long);
    assert_eq!(signed.err(), Some(ContentError::TextTooLong { len: TEXT_MAX + 1 }));
}

/// Signs without the checks that [`SignedContent::sign`] makes, as an attacker would.
fn forge(list: &Signed, device: &DeviceKeys, content: &Content) -> SignedContent {
    let content =
        Signed::new(device.signer(), "enjambre/content/1", &NETWORK, wire::encode(content));
    wire::decode(&wire::encode(&(list, content)), 100_000).unwrap()
}

#[test]
fn forged_senders_are_refused() {
    let (ana, ben, eve) = (party(1, 1), party(2, 1), party(3, 1));
    let honest = ana.content(&ben, "hola");
    let check = |signed: &SignedContent| signed.check(&NETWORK, &ben.id()).map(|_| ()).err();
    let (ana_list, eve_list) = (ana.list.signed(), eve.list.signed());
    assert_eq!(check(&forge(ana_list, &ana.devices[0], &honest)), None);

    // Eve signs in Ana's name, with Ana's list.
    let forged = forge(ana_list, &eve.devices[0], &honest);
    assert_eq!(check(&forged), Some(ContentError::Signature));
    // Eve puts her own list beside Ana's words.
    let forged = forge(eve_list, &ana.devices[0], &honest);
    assert_eq!(check(&forged), Some(ContentError::OtherList));
    // Eve names Ana's list but her own device.
    let device = eve.devices[0].device().key;
    let forged = forge(ana_list, &eve.devices[0], &Content { device, ..honest.clone() });
    assert_eq!(check(&forged), Some(ContentError::DeviceNotListed));
    // Eve lists Ana's device as hers, and passes Ana's words on: the list named is not hers.
    let stolen: Vec<Device> = ana.list.devices().to_vec();
    let draft = DeviceListDraft::first(stolen, ana.list.not_after());
    let list = draft.sign(&eve.account, &NETWORK).unwrap();
    let forged = forge(list.signed(), &ana.devices[0], &honest);
    assert_eq!(check(&forged), Some(ContentError::OtherList));
    // Ben passes Ana's words on to Eve as if they were for her.
    let passed = ana.sign(&honest).check(&NETWORK, &eve.id()).map(|_| ()).err();
    assert_eq!(passed, Some(ContentError::WrongRecipient));
    // The same signatures in another network.
    let elsewhere = ana.sign(&honest).check(&NetworkId::from_bytes([2; 32]), &ben.id());
    assert!(matches!(elsewhere.err(), Some(ContentError::List(DeviceListError::Signature(_)))));
}

#[test]
fn content_against_the_rules_is_refused_though_signed() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let with = |kind| Content { kind, ..ana.content(&ben, "") };
    let check = |kind| {
        let forged = forge(ana.list.signed(), &ana.devices[0], &with(kind));
        forged.check(&NETWORK, &ben.id()).map(|_| ()).err()
    };
    let text = |len| Kind::Message { text: "x".repeat(len), files: Vec::new() };
    assert_eq!(check(text(0)), Some(ContentError::Entries { found: 0 }));
    assert_eq!(check(text(TEXT_MAX + 1)), Some(ContentError::TextTooLong { len: TEXT_MAX + 1 }));
    let receipt = |count| Kind::Receipt {
        state: ReceiptState::Read,
        messages: vec![MessageId::from_bytes([1; 16]); count],
    };
    assert_eq!(check(receipt(0)), Some(ContentError::Entries { found: 0 }));
    assert_eq!(check(receipt(RECEIPT_MAX)), None);
    assert_eq!(check(receipt(RECEIPT_MAX + 1)), Some(ContentError::Entries { found: 33 }));
}

#[test]
fn sender_list_may_run_out_while_the_message_waits_but_no_longer() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let record = ana.seal(&ben, "hola");
    let at = |days: u32| {
        let now = NOW.saturating_add(days * DAY);
        open(&ben.address(), &ben.opener(0), &record, now).map(|_| ())
    };
    assert_eq!(at(365 + 13), Ok(()));
    let error = OpenError::Content(ContentError::List(DeviceListError::Expired));
    assert_eq!(at(365 + 14), Err(error));
}

#[test]
fn sizes_and_headers_that_are_none_are_refused() {
    let (ana, ben) = (party(1, 1), party(2, 1));
    let mut record = ana.seal(&ben, "hola");
    let open = |record: &[u8]| open(&ben.address(), &ben.opener(0), record, NOW).map(|_| ());
    let len = record.len() - 1;
    assert_eq!(open(&record[..len]), Err(OpenError::Length { len }));
    assert_eq!(open(&[]), Err(OpenError::Length { len: 0 }));
    record[0] = 2;
    assert_eq!(open(&record), Err(OpenError::Unspoken { format: 2, suite: 1 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn tampered_slots_and_bodies_never_open_as_something_else(
        at in any::<prop::sample::Index>(), mask in 1u8..,
    ) {
        let (ana, ben) = (party(1, 1), party(2, 4));
        let mut record = ana.seal(&ben, "hola");
        let at = at.index(record.len());
        record[at] ^= mask;
        let opened: Vec<_> = (0..4)
            .map(|i| open(&ben.address(), &ben.opener(i), &record, NOW))
            .collect();
        let body = 2 + 4 * SLOT_LEN;
        // A changed slot harms one device, a changed body or header all four.
        let failed = opened.iter().filter(|opened| opened.is_err()).count();
        prop_assert_eq!(failed, if (2..body).contains(&at) { 1 } else { 4 });
        for opened in opened.into_iter().flatten() {
            prop_assert_eq!(opened.content, ana.content(&ben, "hola"));
        }
        if at >= body {
            let error = open(&ben.address(), &ben.opener(0), &record, NOW);
            prop_assert_eq!(error, Err(OpenError::Body));
        }
    }

    #[test]
    fn random_records_do_not_open(seed in any::<u64>(), bucket in 0..3usize) {
        use rand_core::Rng;

        let ben = party(2, 1);
        let mut record = vec![0; BUCKETS[bucket].data];
        ChaCha20Rng::seed_from_u64(seed).fill_bytes(&mut record);
        record[..2].copy_from_slice(&[1, 1]);
        let opened = open(&ben.address(), &ben.opener(0), &record, NOW);
        prop_assert_eq!(opened, Err(OpenError::NotForThisDevice));
    }

    #[test]
    fn no_content_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut bytes = bytes;
        bytes.insert(0, 1);
        if let Ok(signed) = SignedContent::decode(&bytes) {
            prop_assert!(signed.check(&NETWORK, &party(2, 1).id()).is_err());
        }
    }
}
