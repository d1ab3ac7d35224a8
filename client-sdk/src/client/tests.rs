//! A client without its network.

use std::path::PathBuf;

use enjambre_protocol::directory::{AuthorityEntry, NetworkFile, Params};
use enjambre_protocol::id::{AuthorityId, Digest};
use enjambre_protocol::identity::AccountSeed;
use enjambre_protocol::path::{Candidate, PathMachine, PathParams, PathState, Prefix};
use enjambre_protocol::time::Timestamp;

use super::*;
use crate::net::chain::Chain;
use crate::types::DeliveryState;

struct Temp {
    dir: tempfile::TempDir,
}

impl Temp {
    fn new() -> Self {
        let temp = Self { dir: tempfile::tempdir().unwrap() };
        for created_ms in [1, 2] {
            let file = toml::to_string(&NetworkFile::new(genesis(created_ms))).unwrap();
            std::fs::write(temp.network(created_ms), file).unwrap();
        }
        temp
    }

    fn network(&self, n: u64) -> PathBuf {
        self.dir.path().join(format!("network-{n}.toml"))
    }

    fn config(&self, home: &str) -> ClientConfig {
        ClientConfig { home: self.dir.path().join(home), network: Some(self.network(1)) }
    }

    fn open(&self, home: &str) -> Client {
        Client::open(&self.config(home)).unwrap()
    }

    /// A client with a published account.
    fn with_account(&self, home: &str) -> Client {
        let client = self.open(home);
        client.prepare_account(Some(home)).unwrap();
        client.account_published(Timestamp::from_secs(1)).unwrap();
        client
    }
}

fn genesis(created_ms: u64) -> Genesis {
    let authority = AuthorityEntry {
        id: AuthorityId::from_bytes([6; 32]),
        addresses: vec!["127.0.0.1:1".parse().unwrap()],
    };
    Genesis::new(created_ms, vec![authority], Params::devnet()).unwrap()
}

fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    result.err().map(|error| error.kind()).unwrap()
}

#[test]
fn account_is_not_shown_before_it_is_published() {
    let temp = Temp::new();
    let client = temp.open("ana");
    assert_eq!(kind(client.account()), ErrorKind::NoAccount);
    let made = client.prepare_account(Some("Ana")).unwrap();
    assert_eq!(kind(client.account()), ErrorKind::NotPublished);
    assert_eq!(kind(client.contact_card()), ErrorKind::NotPublished);
    let StatusReport::Home(status) = client.status(None).unwrap() else {
        panic!("no id, no message")
    };
    assert_eq!(status.account, None);
    client.account_published(Timestamp::from_secs(1)).unwrap();
    assert_eq!(client.account().unwrap().id, made.id);
    assert_eq!(client.contact_card().unwrap().name.unwrap().as_str(), "Ana");
}

#[test]
fn interrupted_account_is_taken_up_again_with_its_phrase() {
    let temp = Temp::new();
    let first = temp.open("ana").prepare_account(None).unwrap();
    let client = temp.open("ana");
    let second = client.prepare_account(Some("Ana")).unwrap();
    assert_eq!(second.id, first.id);
    assert_eq!(second.phrase, first.phrase);
    client.account_published(Timestamp::from_secs(1)).unwrap();
    // Published, but the phrase may have been lost on its way to a screen.
    let third = client.prepare_account(None).unwrap();
    assert_eq!((third.id, &third.phrase), (first.id, &first.phrase));
    assert_eq!(client.account().unwrap().name.as_deref(), Some("Ana"));
    client.phrase_shown().unwrap();
    assert_eq!(kind(client.prepare_account(None)), ErrorKind::AccountExists);
    assert_eq!(kind(client.prepare_restored(&first.phrase, None)), ErrorKind::AccountExists);
}

#[test]
fn phrase_brings_the_account_back_elsewhere() {
    let temp = Temp::new();
    let before = temp.open("before");
    let made = before.prepare_account(None).unwrap();
    let after = temp.open("after");
    let list = before.own_account().unwrap().list().clone();
    let id = after.prepare_restored(&made.phrase, Some(&list)).unwrap();
    assert_eq!(id, made.id);
    assert_eq!(after.own_account().unwrap().list().version(), 2);
}

#[test]
fn home_with_an_account_stays_in_its_network() {
    let temp = Temp::new();
    let client = Client::open(&ClientConfig { network: None, ..temp.config("ana") }).unwrap();
    assert_eq!(kind(client.network()), ErrorKind::NoNetwork);
    let path = |n| temp.network(n).to_str().unwrap().to_owned();
    client.join_offline(&path(2)).unwrap();
    let info = client.join_offline(&path(1)).unwrap();
    assert_eq!((info.network, info.authority_count, info.threshold), (genesis(1).network(), 1, 1));
    client.prepare_account(None).unwrap();
    client.join_offline(&path(1)).unwrap();
    assert_eq!(kind(client.join_offline(&path(2))), ErrorKind::OtherNetwork);
    drop(client);
    let other = ClientConfig { network: Some(temp.network(2)), ..temp.config("ana") };
    assert_eq!(kind(Client::open(&other)), ErrorKind::OtherNetwork);
}

#[test]
fn network_card_is_joined_and_a_damaged_one_is_not() {
    let temp = Temp::new();
    let client = Client::open(&ClientConfig { network: None, ..temp.config("ana") }).unwrap();
    let card = NetworkCard::new(&genesis(1)).to_string();
    client.join_offline(&format!(" {card}\n")).unwrap();
    assert_eq!(client.network().unwrap().network(), genesis(1).network());
    let mut damaged = card;
    damaged.pop();
    assert_eq!(kind(client.join_offline(&damaged)), ErrorKind::InvalidInput);
    assert_eq!(kind(client.join_offline("/no/such/file")), ErrorKind::File);
}

#[test]
fn edited_network_file_is_refused() {
    let temp = Temp::new();
    let text = std::fs::read_to_string(temp.network(1)).unwrap();
    std::fs::write(temp.network(1), text.replace("epoch_ms = 2000", "epoch_ms = 2001")).unwrap();
    let error = Client::open(&temp.config("ana")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    std::fs::write(temp.network(1), "[[[").unwrap();
    assert_eq!(kind(Client::open(&temp.config("ana"))), ErrorKind::InvalidInput);
    std::fs::write(temp.network(1), vec![b'#'; 70_000]).unwrap();
    assert_eq!(kind(Client::open(&temp.config("ana"))), ErrorKind::InvalidInput);
}

#[test]
fn card_becomes_a_contact_under_its_own_name() {
    let temp = Temp::new();
    let (ana, ben) = (temp.with_account("ana"), temp.with_account("ben"));
    let card = ben.contact_card().unwrap();
    let added = ana.add_contact(&card.to_qr_text(), None).unwrap();
    assert_eq!((added.id, added.name.as_deref()), (card.account, Some("ben")));
    assert_eq!(ana.contacts().unwrap(), std::slice::from_ref(&added));
    assert_eq!(ana.recipient("BEN").unwrap(), card.account);
    assert_eq!(ana.recipient(&card.account.to_string()).unwrap(), card.account);
    assert_eq!(ana.add_contact(&card.to_string(), Some("Benjamin")).unwrap().added, added.added);
    assert_eq!(kind(ana.recipient("ben")), ErrorKind::UnknownContact);
    assert_eq!(ana.add_contact(&card.to_string(), None).unwrap().name.as_deref(), Some("Benjamin"));
}

#[test]
fn what_is_no_persons_card_is_refused() {
    let temp = Temp::new();
    let ana = temp.with_account("ana");
    let own = ana.contact_card().unwrap();
    assert_eq!(kind(ana.add_contact(&own.to_string(), None)), ErrorKind::InvalidInput);
    let ben = AccountSeed::from_bytes([2; 16]).key();
    let group = AccountId::of_group(&ben.public()).unwrap();
    assert_eq!(kind(ana.add_contact(&group.to_string(), None)), ErrorKind::InvalidInput);
    for text in ["", "ben", "enjambre:abc", "http://example.org"] {
        assert_eq!(kind(ana.add_contact(text, None)), ErrorKind::InvalidInput, "{text}");
    }
    let elsewhere = ContactCard { account: ben.id(), network: genesis(2).network(), ..own };
    assert_eq!(kind(ana.add_contact(&elsewhere.to_string(), None)), ErrorKind::OtherNetwork);
    assert_eq!(ana.contacts().unwrap(), []);
}

#[test]
fn second_card_with_other_keys_is_refused() {
    let temp = Temp::new();
    let (ana, ben) = (temp.with_account("ana"), temp.with_account("ben"));
    let card = ben.contact_card().unwrap();
    ana.add_contact(&card.to_string(), None).unwrap();
    let forged = ContactCard { first_list: Digest::from_bytes([1; 32]), ..card };
    assert_eq!(kind(ana.add_contact(&forged.to_string(), None)), ErrorKind::ContactChanged);
}

#[test]
fn name_of_another_contact_is_refused() {
    let temp = Temp::new();
    let ana = temp.with_account("ana");
    let ids = [2, 3].map(|n| AccountSeed::from_bytes([n; 16]).key().id().to_string());
    ana.add_contact(&ids[0], Some("ben")).unwrap();
    assert_eq!(kind(ana.add_contact(&ids[1], Some("Ben"))), ErrorKind::NameTaken);
    assert_eq!(kind(ana.add_contact(&ids[1], Some("a\u{202e}b"))), ErrorKind::InvalidInput);
    assert_eq!(ana.add_contact(&ids[1], None).unwrap().name, None);
}

#[test]
fn contact_whose_name_only_seems_another_is_refused() {
    let temp = Temp::new();
    let ana = temp.with_account("ana");
    let [ben, other] = ["ben", "mallory"].map(|who| temp.with_account(who));
    let ben = ben.contact_card().unwrap();
    ana.add_contact(&ben.to_string(), Some("Ben Ito")).unwrap();
    let mallory = other.contact_card().unwrap();
    // Such a card can be made, since the format allows what the eye cannot tell.
    let hidden = CardName::new("Ben\u{34f} Ito").unwrap();
    let card = ContactCard { name: Some(hidden), ..mallory.clone() }.to_string();
    assert_eq!(kind(ana.add_contact(&card, None)), ErrorKind::InvalidInput);
    for name in ["BEN ITO", "Ben  Ito", "ben\u{a0}ito"] {
        let card = ContactCard { name: CardName::new(name).ok(), ..mallory.clone() }.to_string();
        assert_eq!(kind(ana.add_contact(&card, None)), ErrorKind::NameTaken, "{name:?}");
        assert_eq!(
            kind(ana.add_contact(&mallory.account.to_string(), Some(name))),
            ErrorKind::NameTaken
        );
    }
    assert_eq!(ana.contacts().unwrap().len(), 1);
    ana.add_contact(&card, Some("Mallory")).unwrap();
    ana.add_contact(&ben.to_string(), Some("ben ito")).unwrap();
}

#[test]
fn status_tells_every_state_of_a_message() {
    use enjambre_protocol::envelope::ConversationId;

    use crate::store::{NewOutboxMessage, OutboxKind};
    use crate::types::OutgoingState;

    let temp = Temp::new();
    let ana = temp.with_account("ana");
    let id = MessageId::from_bytes([1; 16]);
    assert_eq!(kind(ana.status(Some(id))), ErrorKind::UnknownMessage);
    let message = NewOutboxMessage {
        id,
        recipient: AccountSeed::from_bytes([2; 16]).key().id(),
        kind: OutboxKind::Message,
        content: vec![1],
        conversation: ConversationId::from_bytes([3; 16]),
        counter: 0,
        created: Timestamp::from_millis(10),
        expires: Timestamp::from_millis(1000),
        reason: "no keys yet".to_owned(),
    };
    let stored = OutgoingState::Stored { copies: 4, members: 6 };
    let written: Result<_, StoreError> = ana.store().write(|change| {
        change.queue(&message)?;
        change.set_state(&id, &stored, Timestamp::from_millis(20))
    });
    written.unwrap();
    let StatusReport::Message(status) = ana.status(Some(id)).unwrap() else { panic!("an id") };
    let history: Vec<_> = status.history.iter().map(|step| (step.state, step.at)).collect();
    let at = Timestamp::from_millis;
    assert_eq!(history, [(DeliveryState::Queued, at(10)), (DeliveryState::Stored, at(20))]);
    let json = serde_json::to_value(&status).unwrap();
    assert_eq!(json["history"][0]["reason"], "no keys yet");
    assert_eq!((json["state"].as_str(), json["copies"].as_u64()), (Some("stored"), Some(4)));
}

#[test]
fn status_tells_directory_swarm_and_guards_without_the_network() {
    let mut chain = Chain::new(Params::devnet());
    let document = chain.next(system::now());
    let temp = Temp::new();
    let file = toml::to_string(&NetworkFile::new(chain.genesis)).unwrap();
    std::fs::write(temp.network(1), file).unwrap();
    let client = temp.with_account("ana");
    let home = || match client.status(None).unwrap() {
        StatusReport::Home(home) => home,
        StatusReport::Message(_) => panic!("no id, no message"),
    };
    let before = home();
    assert_eq!((before.directory, before.swarm, before.paths), (None, None, None));

    let now = system::now();
    let listed = document.document();
    let candidate = |node: &enjambre_protocol::directory::NodeEntry| Candidate {
        node: node.id,
        family: node.family,
        prefix: Prefix::new(node.addresses[0].ip(), &PathParams::default()),
        swarm: listed.swarms.swarm_of(node.id),
        weight: node.weight,
    };
    let candidates: Vec<Candidate> = listed.nodes.iter().map(candidate).collect();
    let mut machine = PathMachine::new(PathState::default(), now);
    machine.handle_directory(now, &candidates, &mut system::rng().unwrap());
    let bytes = wire::encode(document.signed());
    client
        .store()
        .write(|change| {
            change.set_meta(MetaKey::Directory, &bytes)?;
            change.set_meta(MetaKey::Anchor, &bytes)?;
            change.set_meta(MetaKey::Paths, &machine.state().encode())
        })
        .unwrap();
    let after = home();
    let directory = after.directory.unwrap();
    assert_eq!((directory.height, directory.node_count, directory.usable), (1, 6, true));
    assert_eq!(after.swarm.unwrap().id, listed.swarms.configurations[0].swarm);
    let paths = after.paths.unwrap();
    assert_eq!((paths.anchor_height, paths.relay_count), (Some(1), 6));
    let guards: Vec<_> = paths.guards.iter().map(|guard| guard.node).collect();
    let chosen: Vec<_> = machine.state().guards().iter().map(|guard| guard.node).collect();
    assert_eq!(guards, chosen);
    assert!(guards.len() >= 2 && paths.guards.iter().all(|guard| guard.listed));
    assert!(paths.guards.iter().all(|guard| guard.since <= now && guard.expires > now));
}
