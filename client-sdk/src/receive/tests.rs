//! What is kept of records, without a network.

use enjambre_protocol::directory::{AuthorityEntry, Genesis, NetworkFile, Params};
use enjambre_protocol::envelope::{
    Content, ConversationId, FileName, FileSealer, MessageId, SignedContent, seal,
};
use enjambre_protocol::id::{AuthorityId, StoreId};
use enjambre_protocol::identity::{AccountId, DeviceList, PublishedIdentity};
use enjambre_protocol::mailbox::{Item, MessageHash, Rest, Start};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;

use super::files::{UNWRITTEN_PAUSE, Whole};
use super::*;
use crate::account::LIST_LIFETIME;
use crate::store::FileRow;
use crate::types::{ClientConfig, FetchedFile, ReceivedMessage};

const MEMBER: NodeId = NodeId::from_bytes([7; 32]);

/// A home with an account that receives, and the records that members give it.
struct Ana {
    client: Client,
    account: Account,
    rng: ChaCha20Rng,
    next: u64,
    dir: tempfile::TempDir,
}

/// What a receiver was given.
#[derive(Debug)]
enum Given {
    Message(ReceivedMessage),
    File(FetchedFile),
}

fn genesis() -> Genesis {
    let authority = AuthorityEntry {
        id: AuthorityId::from_bytes([6; 32]),
        addresses: vec!["127.0.0.1:9".parse().unwrap()],
    };
    Genesis::new(1, vec![authority], Params::devnet()).unwrap()
}

fn account(seed: u64, now: Timestamp) -> Account {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    Account::create(&mut rng, genesis().network(), None, now).unwrap()
}

/// The account of `before` on a new device.
fn restored(before: &Account, seed: u64, previous: Option<&DeviceList>) -> Account {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let phrase = before.key().seed().clone();
    Account::restore(&mut rng, phrase, genesis().network(), previous, system::now()).unwrap()
}

impl Ana {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = dir.path().join("network.toml");
        std::fs::write(&network, toml::to_string(&NetworkFile::new(genesis())).unwrap()).unwrap();
        let config = ClientConfig { home: dir.path().join("ana"), network: Some(network) };
        // Nobody is there to answer.
        let client = Client::open(&config).unwrap().with_deadline(Duration::from_millis(100));
        client.prepare_account(None).unwrap();
        client.account_published(system::now()).unwrap();
        let account = client.own_account().unwrap();
        let rng = ChaCha20Rng::seed_from_u64(1);
        Self { client, account, rng, next: 0, dir }
    }

    fn bundles(&self) -> Vec<enjambre_protocol::identity::Bundle> {
        let identity = PublishedIdentity::decode(&self.account.identity().encode()).unwrap();
        let verified =
            identity.verify(&self.account.network(), &self.account.id(), system::now()).unwrap();
        verified.bundles
    }

    /// A record that `sender` sealed for this account.
    fn record(&mut self, sender: &Account, n: u8, kind: Kind) -> Vec<u8> {
        let content = Content {
            id: MessageId::from_bytes([n; 16]),
            recipient: self.account.id(),
            device: sender.device().signer().public(),
            list_version: sender.list().version(),
            list_digest: sender.list().digest(),
            conversation: ConversationId::from_bytes([n; 16]),
            counter: 0,
            previous: Digest::from_bytes([0; 32]),
            sent: system::now(),
            kind,
        };
        let network = self.account.network();
        let signed =
            SignedContent::sign(sender.device(), sender.list(), &network, &content).unwrap();
        let namespace = Namespace::INBOX.number();
        let address = Address { network, account: self.account.id(), namespace };
        let bundles = self.bundles();
        seal(&mut self.rng, &address, &signed, &bundles, system::now()).unwrap()
    }

    /// A page with these records comes from the member. Gives those that will never open.
    fn take(&mut self, records: &[Vec<u8>], now: Timestamp) -> usize {
        let items = records.iter().map(|data| Item {
            hash: MessageHash::of(&self.account.id(), Namespace::INBOX, data),
            accepted_at: now,
            expiry: now.saturating_add(Duration::from_secs(14 * 24 * 60 * 60)),
            data: data.clone().into(),
        });
        let items: Vec<Item> = items.collect();
        self.next += items.len() as u64;
        let cursor =
            mailbox::Cursor { store: StoreId::from_bytes([1; 16]), seq: RecordSeq::new(self.next) };
        let page = Page { items, cursor, rest: Rest::Done, start: Start::Continued };
        let network = self.account.network();
        self.client.keep_page(&network, MEMBER, &page, now).unwrap()
    }

    fn take_text(&mut self, sender: &Account, n: u8, text: &str) -> usize {
        let kind = Kind::Message { text: text.to_owned(), files: Vec::new() };
        let record = self.record(sender, n, kind);
        self.take(&[record], system::now())
    }

    /// What the command prints, in its order.
    async fn received(&self, save: Option<&str>, files: FilesCome) -> Vec<Given> {
        let mut given = Vec::new();
        let mut on_received = |received: Received<'_>| {
            given.push(match received {
                Received::Message(message) => Given::Message(message.clone()),
                Received::File(file) => Given::File(file.clone()),
            });
            ControlFlow::Continue(())
        };
        let mode = ReceiveMode::Once { timeout: Duration::ZERO };
        let save = save.map(|name| self.dir.path().join(name));
        let options = ReceiveOptions { mode, save, files };
        let deadline = Deadline::after(Duration::from_secs(60));
        self.client.show(&options, deadline, &mut on_received).await.unwrap();
        given
    }

    /// The unread messages.
    async fn shown(&self) -> Vec<ReceivedMessage> {
        let given = self.received(None, FilesCome::AfterTexts).await.into_iter();
        given
            .map(|given| match given {
                Given::Message(message) => message,
                Given::File(file) => panic!("a file comes though none is saved: {file:?}"),
            })
            .collect()
    }

    /// A message with one file that nobody has. Gives its chunks.
    fn take_file(&mut self, sender: &Account, n: u8) -> Vec<Vec<u8>> {
        self.take_file_of(sender, n, 3)
    }

    fn take_file_of(&mut self, sender: &Account, n: u8, bytes: u64) -> Vec<Vec<u8>> {
        let network = self.account.network();
        let mut sealer = FileSealer::new(&mut self.rng, &network, bytes).unwrap();
        let mut chunks = Vec::new();
        while let Some(len) = sealer.next_len() {
            chunks.push(sealer.seal_next(&vec![n; len]).unwrap().bytes);
        }
        let name = FileName::new("photo.jpg").unwrap();
        let expires = system::now().saturating_add(Duration::from_secs(60));
        let files = vec![sealer.finish(name, expires).unwrap()];
        let record = self.record(sender, n, Kind::Message { text: "look".to_owned(), files });
        self.take(&[record], system::now());
        chunks
    }

    /// The only file of the last message.
    fn last_file(&self) -> FileRow {
        let later = system::now().saturating_add(Duration::from_secs(24 * 60 * 60));
        self.client.store().read(|view| view.files_due(later)).unwrap().pop().unwrap()
    }

    /// These parts of the last message's file came before.
    fn keep_parts(&self, parts: &[(usize, &[u8])]) {
        let key = self.last_file().key;
        let keep = |change: Change<'_>| {
            parts.iter().try_for_each(|(part, chunk)| change.keep_file_part(key, *part, chunk))
        };
        self.client.store().write(keep).unwrap();
    }

    /// Tries to fetch files that failed, of all messages.
    fn tries(&self) -> Vec<u32> {
        self.client.store().read(|view| view.file_tries()).unwrap()
    }

    fn add_contact(&self, of: &Account) {
        self.client.add_contact(&of.card().to_string(), Some("ben")).unwrap();
    }

    fn pinned(&self, id: &AccountId) -> u64 {
        let contact = self.client.store().read(|view| view.contact(id)).unwrap().unwrap();
        let bytes = contact.pin.unwrap();
        let pin: enjambre_protocol::identity::ContactPin =
            wire::decode(&bytes, bytes.len()).unwrap();
        pin.version()
    }
}

#[tokio::test]
async fn message_with_an_older_list_is_kept_and_shown_with_a_warning() {
    let mut ana = Ana::new();
    let old = account(2, system::now());
    let new = restored(&old, 3, Some(old.list()));
    ana.add_contact(&old);
    assert_eq!(ana.take_text(&new, 1, "from my new device"), 0);
    assert_eq!(ana.take_text(&old, 2, "written before"), 0);
    let shown = ana.shown().await;
    let told: Vec<_> =
        shown.iter().map(|message| (message.text.as_str(), message.warning)).collect();
    assert_eq!(
        told,
        [("from my new device", None), ("written before", Some(Warning::OlderDeviceList))]
    );
    assert_eq!(ana.pinned(&old.id()), 2, "the pin does not go back");
    let json = serde_json::to_value(&shown).unwrap();
    assert_eq!(json[1]["warning"], "older device list");
    assert!(json[0].get("warning").is_none());
}

#[tokio::test]
async fn message_with_a_forked_list_is_kept_and_shown_with_a_warning() {
    let mut ana = Ana::new();
    let old = account(2, system::now());
    // Restored by a swarm that did not give the list before.
    let forked = restored(&old, 3, None);
    ana.add_contact(&old);
    ana.take_text(&old, 1, "first");
    ana.take_text(&forked, 2, "second");
    let shown = ana.shown().await;
    assert_eq!((shown[0].warning, shown[1].warning), (None, Some(Warning::KeysChanged)));
    let json = serde_json::to_value(&shown[1]).unwrap();
    assert_eq!(json["warning"], "contact's keys changed");
    // Also as the first word of a contact whose card names other keys.
    let mut ben = Ana::new();
    ben.add_contact(&old);
    ben.take_text(&forked, 1, "first");
    assert_eq!(ben.shown().await[0].warning, Some(Warning::KeysChanged));
}

#[test]
fn receipt_with_an_older_list_is_not_believed() {
    use crate::store::{NewOutboxMessage, OutboxKind};
    let mut ana = Ana::new();
    let old = account(2, system::now());
    let new = restored(&old, 3, Some(old.list()));
    ana.add_contact(&old);
    ana.take_text(&new, 1, "hello");
    let id = MessageId::from_bytes([9; 16]);
    let message = NewOutboxMessage {
        id,
        recipient: old.id(),
        kind: OutboxKind::Message,
        content: vec![1],
        conversation: ConversationId::from_bytes([3; 16]),
        counter: 0,
        created: system::now(),
        expires: system::now().saturating_add(Duration::from_secs(60)),
        reason: "not tried yet".to_owned(),
    };
    ana.client.store().write(|change| change.queue(&message)).unwrap();
    let receipt = || Kind::Receipt { state: ReceiptState::Read, messages: vec![id] };
    let state = |ana: &Ana| {
        ana.client.store().read(|view| view.outgoing(&id)).unwrap().unwrap().state.state()
    };
    let record = ana.record(&old, 2, receipt());
    assert_eq!(ana.take(&[record], system::now()), 1);
    assert_eq!(state(&ana), crate::types::DeliveryState::Queued);
    let record = ana.record(&new, 3, receipt());
    assert_eq!(ana.take(&[record], system::now()), 0);
    assert_eq!(state(&ana), crate::types::DeliveryState::Read);
}

#[tokio::test]
async fn record_refused_by_a_wrong_clock_is_opened_when_the_clock_is_right() {
    let mut ana = Ana::new();
    let now = system::now();
    let sender = account(2, now);
    let kind = Kind::Message { text: "patience".to_owned(), files: Vec::new() };
    let record = ana.record(&sender, 1, kind);
    // Two years ahead: the sender's list seems to have run out a year ago.
    let ahead = now.saturating_add(LIST_LIFETIME * 2);
    assert_eq!(ana.take(std::slice::from_ref(&record), ahead), 0);
    let kept = |ana: &Ana| ana.client.store().read(|view| view.unopened_count()).unwrap();
    assert_eq!((kept(&ana), ana.shown().await.len()), (1, 0));
    let network = ana.account.network();
    ana.client.open_again(network, ahead).unwrap();
    assert_eq!(kept(&ana), 1);
    // What another member gives under the same hash is not taken twice.
    assert_eq!(ana.take(&[record], now), 0);
    ana.client.open_again(network, now).unwrap();
    assert_eq!(kept(&ana), 0);
    let texts: Vec<_> = ana.shown().await.into_iter().map(|message| message.text).collect();
    assert_eq!(texts, ["patience"]);
}

#[test]
fn record_that_can_never_open_is_counted_once_and_not_kept() {
    let mut ana = Ana::new();
    let sender = account(2, system::now());
    let stranger = Ana::new();
    let kind = || Kind::Message { text: "x".to_owned(), files: Vec::new() };
    let mut elsewhere = Ana { account: stranger.account.clone(), ..Ana::new() };
    let records = [elsewhere.record(&sender, 1, kind()), vec![1; 10]];
    assert_eq!(ana.take(&records, system::now()), 2);
    assert_eq!(ana.take(&records, system::now()), 0);
    assert_eq!(ana.client.store().read(|view| view.unopened_count()).unwrap(), 0);
}

#[test]
fn cursor_moves_with_each_page() {
    let mut ana = Ana::new();
    let sender = account(2, system::now());
    let cursor = |ana: &Ana| ana.client.cursor(&ana.account, MEMBER).unwrap();
    assert_eq!(cursor(&ana), None);
    for n in 1..=3 {
        ana.take_text(&sender, n, "x");
        assert_eq!(cursor(&ana).map(|cursor| cursor.seq.number()), Some(u64::from(n)));
    }
}

#[tokio::test]
async fn files_of_people_who_are_no_contacts_are_not_fetched_until_they_are() {
    let mut ana = Ana::new();
    let stranger = account(2, system::now());
    ana.take_file(&stranger, 1);
    for files in [FilesCome::AfterTexts, FilesCome::WithTheirMessage] {
        ana.take_file(&stranger, 2 + files as u8);
        let given = ana.received(Some("saved"), files).await;
        assert!(given.iter().all(|given| matches!(given, Given::Message(_))), "{given:?}");
        let Given::Message(message) = &given[0] else { unreachable!() };
        let file = &message.files[0];
        let reason = file.reason.as_deref().unwrap();
        assert!(file.path.is_none() && reason.contains("enjambre contact add"), "{reason}");
    }
    assert_eq!(ana.tries(), [0, 0, 0]);
    assert!(!ana.dir.path().join("saved").exists());
    ana.add_contact(&stranger);
    let given = ana.received(Some("saved"), FilesCome::AfterTexts).await;
    assert!(matches!(given[..], [Given::File(_), ..]), "{given:?}");
    assert_eq!(ana.tries().iter().max(), Some(&1));
}

#[tokio::test]
async fn texts_come_before_files_and_a_fetch_that_failed_is_told_and_remembered() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    ana.take_file(&ben, 1);
    ana.take_text(&ben, 2, "and read this");
    let given = ana.received(Some("saved"), FilesCome::AfterTexts).await;
    let [Given::Message(first), Given::Message(_), Given::File(file)] = &given[..] else {
        panic!("{given:?}");
    };
    assert_eq!((&first.files[0].path, &first.files[0].reason), (&None, &None));
    assert_eq!(file.message, first.id);
    let reason = file.file.reason.as_deref().unwrap();
    assert!(reason.contains("tried again after 10 s"), "{reason}");
    let json = serde_json::to_value(file).unwrap();
    assert_eq!(json["file"]["path"], serde_json::Value::Null);
    // Its time has not come yet.
    assert!(ana.received(Some("saved"), FilesCome::AfterTexts).await.is_empty());
    assert_eq!(ana.tries(), [1]);
}

#[tokio::test]
async fn message_that_comes_with_its_files_tells_what_became_of_them() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    ana.take_file(&ben, 1);
    let given = ana.received(Some("saved"), FilesCome::WithTheirMessage).await;
    let [Given::Message(message)] = &given[..] else { panic!("{given:?}") };
    assert!(message.files[0].reason.is_some() && message.files[0].path.is_none());
}

#[tokio::test]
async fn file_that_cannot_be_written_is_told_and_holds_up_nothing() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    for n in [1, 2] {
        let chunks = ana.take_file(&ben, n);
        ana.keep_parts(&[(0, &chunks[0])]);
    }
    std::fs::write(ana.dir.path().join("taken"), b"no folder").unwrap();
    let given = ana.received(Some("taken"), FilesCome::AfterTexts).await;
    let [_, _, Given::File(one), Given::File(two)] = &given[..] else { panic!("{given:?}") };
    for file in [one, two] {
        let reason = file.file.reason.as_deref().unwrap();
        assert!(reason.contains("choose another --save"), "{reason}");
        assert!(reason.contains("tried again after 10s"), "{reason}");
    }
    // Nobody failed to give it.
    assert_eq!(ana.tries(), [0, 0]);
    let soon = system::now().saturating_add(UNWRITTEN_PAUSE);
    assert_eq!(ana.client.store().read(|view| view.files_due(soon)).unwrap().len(), 2);
}

#[tokio::test]
async fn outcome_that_could_not_be_shown_is_shown_by_the_next_call() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    let chunks = ana.take_file(&ben, 1);
    ana.keep_parts(&[(0, &chunks[0])]);
    let mut on_received = |received: Received<'_>| match received {
        Received::Message(_) => ControlFlow::Continue(()),
        Received::File(_) => ControlFlow::Break(()),
    };
    let mode = ReceiveMode::Once { timeout: Duration::ZERO };
    let save = Some(ana.dir.path().join("saved"));
    let options = ReceiveOptions { mode, save, files: FilesCome::AfterTexts };
    let deadline = Deadline::after(Duration::from_secs(60));
    ana.client.show(&options, deadline, &mut on_received).await.unwrap();
    // Also by a call that saves nothing.
    let given = ana.received(None, FilesCome::AfterTexts).await;
    let [Given::File(file)] = &given[..] else { panic!("{given:?}") };
    let path = file.file.path.as_ref().unwrap();
    assert_eq!(std::fs::read(path).unwrap(), [1, 1, 1]);
    assert!(ana.received(Some("saved"), FilesCome::AfterTexts).await.is_empty());
}

#[tokio::test]
async fn parts_that_came_are_kept_until_the_file_is_whole_and_wrong_ones_are_not_used() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    let chunks = ana.take_file_of(&ben, 1, 200_000);
    assert_eq!(chunks.len(), 2);
    ana.keep_parts(&[(0, &chunks[0]), (1, b"another file's"), (7, b"beyond the end")]);
    let key = ana.last_file().key;
    let parts = |ana: &Ana| ana.client.store().read(|view| view.file_parts(key)).unwrap();
    let given = ana.received(Some("saved"), FilesCome::AfterTexts).await;
    let [Given::Message(_), Given::File(file)] = &given[..] else { panic!("{given:?}") };
    assert!(file.file.path.is_none());
    assert_eq!((ana.tries(), parts(&ana).len()), (vec![1], 3));
    ana.keep_parts(&[(1, &chunks[1])]);
    let row = ana.last_file();
    let deadline = Deadline::after(Duration::from_secs(60));
    let dir = ana.dir.path().join("saved");
    ana.client.fetch(&row, &dir, deadline).await.unwrap();
    let saved = ana.client.store().read(|view| view.files(key.inbox)).unwrap();
    assert_eq!(std::fs::read(saved[0].path.as_ref().unwrap()).unwrap(), [1; 200_000]);
    assert!(parts(&ana).is_empty());
}

#[tokio::test]
async fn file_that_could_not_be_written_is_not_fetched_again() {
    let mut ana = Ana::new();
    let ben = account(2, system::now());
    ana.add_contact(&ben);
    let chunks = ana.take_file_of(&ben, 1, 200_000);
    let row = ana.last_file();
    let taken = ana.dir.path().join("taken");
    std::fs::write(&taken, b"no folder").unwrap();
    let fetched = chunks.into_iter().enumerate().collect();
    let whole = Whole { content: vec![1; 200_000], fetched };
    ana.client.put(&row, &taken, &whole).unwrap();
    // Nobody is there to give it a second time.
    let deadline = Deadline::after(Duration::from_secs(60));
    ana.client.fetch(&ana.last_file(), &ana.dir.path().join("saved"), deadline).await.unwrap();
    let saved = ana.client.store().read(|view| view.files(row.key.inbox)).unwrap();
    let path = saved[0].path.as_ref().expect("it is saved from what was kept");
    assert_eq!(std::fs::read(path).unwrap(), [1; 200_000]);
    assert!(ana.client.store().read(|view| view.file_parts(row.key)).unwrap().is_empty());
}
