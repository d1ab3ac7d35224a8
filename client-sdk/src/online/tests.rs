//! What is concluded of a contact's keys, by what members gave.

use std::time::Duration;

use enjambre_protocol::directory::{AuthorityEntry, NetworkFile, Params};
use enjambre_protocol::id::AuthorityId;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::*;
use crate::net::chain::Chain;
use crate::types::ClientConfig;

const NETWORK: NetworkId = NetworkId::from_bytes([1; 32]);

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(4)
}

fn answers(answered: usize) -> Answers {
    Answers::of(answered, 3, 6)
}

/// The outboxes of an account that was restored, from the first device to the last.
fn published() -> (AccountId, [Vec<u8>; 3], Account) {
    let now = system::now();
    let first = Account::create(&mut rng(), NETWORK, None, now).unwrap();
    let seed = || first.key().seed().clone();
    let second = Account::restore(&mut rng(), seed(), NETWORK, Some(first.list()), now).unwrap();
    let mut renewed = second.clone();
    renewed.rotate_bundle(&mut rng(), now);
    let records = [&first, &second, &renewed].map(|account| account.identity().encode());
    (first.id(), records, second)
}

fn highest(id: &AccountId, records: &[&Vec<u8>]) -> Option<Best> {
    let mut best = None;
    for record in records {
        consider(&mut best, (*record).clone(), &NETWORK, id, system::now());
    }
    best
}

#[test]
fn highest_list_and_bundle_are_taken_in_any_order() {
    let (id, [first, second, renewed], _) = published();
    let garbage = vec![1, 2, 3];
    for records in [
        [&first, &second, &renewed, &garbage],
        [&renewed, &garbage, &second, &first],
        [&second, &renewed, &first, &garbage],
    ] {
        let best = highest(&id, &records).unwrap();
        assert_eq!((best.identity.list.version(), best.bytes), (2, renewed.clone()));
    }
}

#[test]
fn that_there_are_no_keys_is_said_by_a_read_quorum_only() {
    assert!(matches!(conclude(None, answers(3)), Ok(Found::Nothing)));
    let error = conclude(None, answers(2)).err().unwrap();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unreachable, Retry::Later));
    assert!(error.to_string().contains("4 of the swarm's 6 members"), "{error}");
}

#[test]
fn keys_from_one_member_alone_are_not_used() {
    let (id, [first, ..], _) = published();
    let found = |answered| conclude(highest(&id, &[&first]), answers(answered));
    assert!(found(1).is_err());
    assert!(matches!(found(2), Ok(Found::Keys { missing: Some(_), .. })));
    assert!(matches!(found(3), Ok(Found::Keys { missing: None, .. })));
}

#[test]
fn lower_list_is_an_alarm_only_when_a_read_quorum_has_no_higher_one() {
    let (id, [first, ..], second) = published();
    let temp = tempfile::tempdir().unwrap();
    let config = ClientConfig { home: temp.path().join("ana"), network: None };
    let client = Client::open(&config).unwrap();
    client.add_contact(&id.to_string(), None).unwrap();
    client.pin(&id, second.list(), None).unwrap();
    let lower = highest(&id, &[&first]).unwrap().identity.list;
    let missing = Some(answers(2).into_error());
    let waits = client.pin(&id, &lower, missing).unwrap_err();
    assert_eq!((waits.kind(), waits.retry()), (ErrorKind::Unreachable, Retry::Later));
    let alarm = client.pin(&id, &lower, None).unwrap_err();
    assert_eq!(alarm.kind(), ErrorKind::ContactChanged);
}

#[tokio::test]
async fn kept_keys_are_not_used_once_a_higher_list_was_seen() {
    let (temp, now) = (tempfile::tempdir().unwrap(), system::now());
    let authority = AuthorityEntry {
        id: AuthorityId::from_bytes([6; 32]),
        // Port 9 of loopback discards: nothing listens there.
        addresses: vec!["127.0.0.1:9".parse().unwrap()],
    };
    let genesis = Genesis::new(1, vec![authority], Params::devnet()).unwrap();
    let file = temp.path().join("network.toml");
    std::fs::write(&file, toml::to_string(&NetworkFile::new(genesis.clone())).unwrap()).unwrap();
    let config = ClientConfig { home: temp.path().join("ana"), network: Some(file) };
    let client = Client::open(&config).unwrap();
    client.prepare_account(None).unwrap();
    let first = Account::create(&mut rng(), genesis.network(), None, now).unwrap();
    let seed = first.key().seed().clone();
    let second = Account::restore(&mut rng(), seed, genesis.network(), Some(first.list()), now);
    let id = first.id();
    client.add_contact(&id.to_string(), None).unwrap();
    client.pin(&id, first.list(), None).unwrap();
    let kept = StoredIdentity { bytes: first.identity().encode(), fetched: now };
    client.store().write(|change| change.set_identity(&id, &kept)).unwrap();
    let keys = async || client.keys_of(&id, Deadline::after(Duration::ZERO)).await;
    assert_eq!(keys().await.unwrap().len(), 1);
    client.pin(&id, second.unwrap().list(), None).unwrap();
    assert_eq!(keys().await.unwrap_err().kind(), ErrorKind::Unreachable);
}

#[test]
fn lower_document_never_takes_the_place_of_a_higher_one() {
    let temp = tempfile::tempdir().unwrap();
    let open = || {
        let mut home = crate::home::Home::open(temp.path()).unwrap();
        home.opened();
        StoreKeep(Arc::new(Store::open_home(home).unwrap()))
    };
    let mut chain = Chain::new(Params::devnet());
    let [lower, higher] = [0, 2].map(|secs| {
        let document = chain.next(Timestamp::from_secs(1_800_000_000 + secs));
        wire::encode(document.signed())
    });
    // Two processes of one home, of which one has heard of the newer document.
    let (ahead, behind) = (open(), open());
    ahead.keep_document(&higher).unwrap();
    behind.keep_document(&lower).unwrap();
    ahead.keep_anchor(&higher).unwrap();
    behind.keep_anchor(&lower).unwrap();
    for key in [MetaKey::Directory, MetaKey::Anchor] {
        let kept = open().0.read(|view| view.meta(key)).unwrap().unwrap();
        assert!(*kept == higher, "{key:?}");
    }
}
