//! The store as a whole: keys, crashes, and what each table promises.

mod inbox;
mod outbox;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use enjambre_protocol::envelope::{ConversationId, MessageId, ReceiptState};
use enjambre_protocol::id::{Digest, NodeId, StoreId, SwarmId};
use enjambre_protocol::identity::{AccountId, AccountSeed};
use enjambre_protocol::time::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::types::{DeliveryState, OutgoingState};

const KEY: Secret<32> = Secret::from_bytes([7; 32]);

struct Temp {
    dir: tempfile::TempDir,
}

impl Temp {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("enjambre.db")
    }

    fn open(&self) -> Store {
        Store::open(&self.path(), &KEY).unwrap()
    }
}

fn account(n: u8) -> AccountId {
    AccountSeed::from_bytes([n; 16]).key().id()
}

const fn at(secs: u64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn contact(n: u8, name: Option<&str>) -> NewContact {
    let name = name.map(str::to_owned);
    NewContact { id: account(n), name, first_list: None, added: at(u64::from(n)) }
}

fn outgoing(n: u8) -> NewOutboxMessage {
    NewOutboxMessage {
        id: MessageId::from_bytes([n; 16]),
        recipient: account(1),
        kind: OutboxKind::Message,
        content: vec![n; 40],
        conversation: ConversationId::from_bytes([9; 16]),
        counter: u64::from(n),
        created: at(100),
        expires: at(1000),
        reason: "no keys yet".to_owned(),
    }
}

fn incoming(sender: u8, n: u8) -> NewInboxMessage {
    NewInboxMessage {
        sender: account(sender),
        message: MessageId::from_bytes([n; 16]),
        conversation: ConversationId::from_bytes([9; 16]),
        counter: u64::from(n),
        text: format!("message {n}"),
        sent: at(50),
        received: at(60),
        hash: Digest::from_bytes([n; 32]),
        warning: None,
    }
}

/// `write` with the error type that the tests have.
fn write<T>(store: &Store, change: impl FnOnce(Change<'_>) -> Result<T, StoreError>) -> T {
    store.write(change).unwrap()
}

fn read<T>(store: &Store, view: impl FnOnce(View<'_>) -> Result<T, StoreError>) -> T {
    store.read(view).unwrap()
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let temp = Temp::new();
    write(&temp.open(), |change| change.set_meta(MetaKey::Paths, b"guards"));
    let store = temp.open();
    assert_eq!(read(&store, |view| view.meta(MetaKey::Paths)).unwrap().as_slice(), b"guards");
    assert!(read(&store, |view| view.meta(MetaKey::Account)).is_none());
    write(&store, |change| change.remove_meta(MetaKey::Paths));
    assert!(read(&store, |view| view.meta(MetaKey::Paths)).is_none());
}

#[test]
fn failed_change_leaves_nothing() {
    let temp = Temp::new();
    let store = temp.open();
    let failed: Result<(), StoreError> = store.write(|change| {
        change.queue(&outgoing(1))?;
        change.put_contact(&contact(1, Some("ana")))?;
        change.put_contact(&contact(2, Some("Ana")))
    });
    assert!(matches!(failed, Err(StoreError::NameTaken)));
    assert!(read(&store, |view| view.outgoing(&outgoing(1).id)).is_none());
    assert_eq!(read(&store, |view| view.contact_count()), 0);
}

#[test]
fn panic_in_a_change_leaves_nothing_and_the_store_works_on() {
    let temp = Temp::new();
    let store = temp.open();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        write(&store, |change| -> Result<(), StoreError> {
            change.put_contact(&contact(1, None))?;
            panic!("in the middle")
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(read(&store, |view| view.contact_count()), 0);
    write(&store, |change| change.put_contact(&contact(1, None)));
}

/// The files as a crash leaves them: copied while the database is open, nothing closed in order.
#[test]
fn copy_taken_in_the_middle_holds_what_was_committed_and_no_more() {
    let temp = Temp::new();
    let store = temp.open();
    write(&store, |change| change.put_contact(&contact(1, Some("ana"))));
    let crashed = Temp::new();
    let copied: Result<(), StoreError> = store.write(|change| {
        change.put_contact(&contact(2, Some("ben")))?;
        for entry in fs::read_dir(temp.dir.path()).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), crashed.dir.path().join(entry.file_name())).unwrap();
        }
        Ok(())
    });
    copied.unwrap();
    // The index of the log is rebuilt after a crash, as after a restart of the machine.
    fs::remove_file(crashed.dir.path().join("enjambre.db-shm")).unwrap();
    let names = |store: &Store| -> Vec<String> {
        read(store, |view| view.contacts()).into_iter().filter_map(|row| row.name).collect()
    };
    assert_eq!(names(&crashed.open()), ["ana"]);
    assert_eq!(names(&store), ["ana", "ben"]);
}

#[test]
fn wrong_key_and_other_files_are_told_clearly() {
    let temp = Temp::new();
    write(&temp.open(), |change| change.set_meta(MetaKey::Paths, b"guards"));
    let wrong = Store::open(&temp.path(), &Secret::from_bytes([8; 32]));
    assert!(matches!(wrong, Err(StoreError::WrongKey)), "{wrong:?}");
    let other = Temp::new();
    fs::write(other.path(), vec![b'x'; 8192]).unwrap();
    let wrong = Store::open(&other.path(), &KEY);
    assert!(matches!(wrong, Err(StoreError::WrongKey)), "{wrong:?}");
    let text = Error::from(wrong.unwrap_err());
    assert_eq!(text.kind(), ErrorKind::StoreKey);
}

#[test]
fn no_file_shows_its_content() {
    let temp = Temp::new();
    let store = temp.open();
    let secret = "a sentence that nobody else may read";
    let message = NewInboxMessage { text: secret.to_owned(), ..incoming(1, 1) };
    write(&store, |change| {
        change.set_meta(MetaKey::Account, secret.as_bytes())?;
        change.receive(&message)
    });
    let mut looked_at = 0;
    for _ in 0..2 {
        for entry in fs::read_dir(temp.dir.path()).unwrap() {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            assert!(!bytes.windows(6).any(|w| w == b"SQLite" || w == b"senten" || w == b"outbox"));
            looked_at += bytes.len();
        }
        // Once with the log beside it, once with the log worked in.
        store.connection().execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    }
    assert!(looked_at > 8192);
    let plain = Connection::open(temp.path()).unwrap();
    let tables =
        plain.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    assert!(tables.is_err());
}

#[test]
fn every_commit_is_synced() {
    let temp = Temp::new();
    let store = temp.open();
    let pragma = |name: &str| -> String {
        let connection = store.connection();
        let value = connection.query_row(&format!("PRAGMA {name}"), [], |row| {
            row.get::<_, rusqlite::types::Value>(0)
        });
        format!("{:?}", value.unwrap())
    };
    assert_eq!(pragma("journal_mode"), "Text(\"wal\")");
    assert_eq!(pragma("synchronous"), "Integer(2)");
    assert_eq!(pragma("foreign_keys"), "Integer(1)");
}

#[test]
fn database_of_a_newer_program_is_refused_unchanged() {
    let temp = Temp::new();
    let newer = FORMAT + 1;
    temp.open().connection().pragma_update(None, "user_version", newer).unwrap();
    let refused = Store::open(&temp.path(), &KEY);
    assert!(matches!(refused, Err(StoreError::Newer { found }) if found == newer));
    let error = Error::from(refused.unwrap_err());
    assert_eq!(error.kind(), ErrorKind::StoreNewer);
    assert!(error.to_string().contains("update the program"), "{error}");
}

#[test]
fn contact_is_completed_and_its_name_is_its_own() {
    let temp = Temp::new();
    let store = temp.open();
    let list = Digest::from_bytes([5; 32]);
    write(&store, |change| change.put_contact(&contact(1, None)));
    write(&store, |change| change.put_contact(&contact(1, Some("Ana"))));
    let with_list = NewContact { first_list: Some(list), added: at(99), ..contact(1, None) };
    write(&store, |change| change.put_contact(&with_list));
    let row = read(&store, |view| view.contact_named("aNA")).unwrap();
    assert_eq!((row.id, row.name.as_deref()), (account(1), Some("Ana")));
    assert_eq!((row.first_list, row.added), (Some(list), at(1)));
    let taken = store.write(|change| change.put_contact(&contact(2, Some("ANA"))));
    assert!(matches!(taken, Err(StoreError::NameTaken)));
    write(&store, |change| change.remove_contact(&account(1)));
    assert!(read(&store, |view| view.contact(&account(1))).is_none());
}

#[test]
fn pin_and_keys_are_kept_of_contacts_only() {
    let temp = Temp::new();
    let store = temp.open();
    let identity = StoredIdentity { bytes: vec![1, 2], fetched: at(7) };
    write(&store, |change| {
        change.put_contact(&contact(1, None))?;
        for id in [account(1), account(2)] {
            change.set_pin(&id, b"pin")?;
            change.set_identity(&id, &identity)?;
        }
        Ok(())
    });
    let row = read(&store, |view| view.contact(&account(1))).unwrap();
    assert_eq!((row.pin.as_deref(), row.identity), (Some(b"pin".as_slice()), Some(identity)));
    assert!(read(&store, |view| view.contact(&account(2))).is_none());
}

fn cursor_key() -> CursorKey {
    CursorKey { account: account(1), namespace: -1, member: NodeId::from_bytes([3; 32]) }
}

#[test]
fn cursor_moves_forwards_in_one_database_and_anywhere_in_another() {
    let temp = Temp::new();
    let store = temp.open();
    let cursor = |id, sequence| Cursor { store: StoreId::from_bytes([id; 16]), sequence };
    let moved = |next| {
        write(&store, |change| change.set_cursor(&cursor_key(), &next));
        read(&store, |view| view.cursor(&cursor_key())).unwrap()
    };
    assert_eq!(moved(cursor(1, 40)), cursor(1, 40));
    assert_eq!(moved(cursor(1, 30)), cursor(1, 40));
    assert_eq!(moved(cursor(2, 3)), cursor(2, 3));
    let elsewhere = CursorKey { namespace: 0, ..cursor_key() };
    assert_eq!(read(&store, |view| view.cursor(&elsewhere)), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// Against a map that does the same.
    #[test]
    fn seen_is_new_once_until_it_expires(
        steps in prop::collection::vec((0..6u8, 0..50u64, any::<bool>()), 1..40),
    ) {
        let temp = Temp::new();
        let store = temp.open();
        let mut model: BTreeMap<u8, u64> = BTreeMap::new();
        for (n, time, is_sweep) in steps {
            if is_sweep {
                let forgotten = write(&store, |change| change.forget_seen(at(time)));
                let before = model.len();
                model.retain(|_, expires| *expires > time);
                prop_assert_eq!(forgotten, before - model.len());
            } else {
                let hash = Digest::from_bytes([n; 32]);
                let is_new = write(&store, |change| change.see(&hash, at(time)));
                prop_assert_eq!(is_new, !model.contains_key(&n));
                let expires = model.entry(n).or_insert(time);
                *expires = time.max(*expires);
            }
        }
        for n in 0..6 {
            let hash = Digest::from_bytes([n; 32]);
            prop_assert_eq!(read(&store, |view| view.is_seen(&hash)), model.contains_key(&n));
        }
    }

    #[test]
    fn every_message_comes_back_as_it_was_kept(
        text in "\\PC{0,300}",
        counter in 0..=i64::MAX as u64,
        sent in 0..=i64::MAX as u64,
        hash in any::<[u8; 32]>(),
    ) {
        let temp = Temp::new();
        let store = temp.open();
        let message = NewInboxMessage {
            text,
            counter,
            sent: Timestamp::from_millis(sent),
            hash: Digest::from_bytes(hash),
            ..incoming(1, 1)
        };
        write(&store, |change| change.receive(&message));
        let row = read(&store, |view| view.incoming(&account(1), &message.message));
        prop_assert_eq!(row.map(|row| row.message), Some(message));
    }
}

#[test]
fn unopened_records_are_bounded_and_the_newest_stay() {
    let temp = Temp::new();
    let store = temp.open();
    let hash = |n: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&n.to_be_bytes());
        Digest::from_bytes(bytes)
    };
    write(&store, |change| {
        for n in 0..UNOPENED_MAX + 3 {
            change.keep_unopened(&hash(n), &n.to_be_bytes(), at(100))?;
        }
        Ok(())
    });
    let kept = read(&store, |view| view.unopened());
    assert_eq!(kept.len(), UNOPENED_MAX as usize);
    assert_eq!((kept[0].hash, kept[0].bytes.as_slice()), (hash(3), &3u32.to_be_bytes()[..]));
    assert!(write(&store, |change| change.remove_unopened(&hash(3))));
    assert!(!write(&store, |change| change.remove_unopened(&hash(3))));
    write(&store, |change| change.forget_unopened(at(100).saturating_add(UNOPENED_FOR)));
    assert_eq!(read(&store, |view| view.unopened_count()), u64::from(UNOPENED_MAX) - 1);
    write(&store, |change| change.forget_unopened(at(101).saturating_add(UNOPENED_FOR)));
    assert_eq!(read(&store, |view| view.unopened_count()), 0);
}

#[test]
fn due_message_is_taken_by_one_of_two_processes() {
    let temp = Temp::new();
    let (first, second) = (temp.open(), temp.open());
    let id = outgoing(1).id;
    write(&first, |change| change.queue(&outgoing(1)));
    let take = |store: &Store, now| {
        write(store, |change| {
            change.take_due(&id, at(now), at(now).saturating_add(Duration::from_secs(40)))
        })
    };
    assert!(take(&first, 100));
    assert!(!take(&second, 100) && !take(&second, 139));
    assert!(read(&second, |view| view.due(at(139))).is_empty());
    // The one that held it died: it is free again.
    assert!(take(&second, 140));
    write(&second, |change| change.set_next_try(&id, at(141)));
    assert!(take(&first, 141));
    let stored = OutgoingState::Stored { copies: 4, members: 6 };
    write(&first, |change| change.set_state(&id, &stored, at(142)));
    write(&first, |change| change.set_next_try(&id, at(143)));
    assert!(!take(&second, 1000), "what is stored is not tried again");
}

#[test]
fn changes_of_two_processes_at_once_all_count() {
    let temp = Temp::new();
    temp.open();
    std::thread::scope(|threads| {
        for half in 0..2 {
            let store = temp.open();
            threads.spawn(move || {
                for n in 0..50 {
                    write(&store, |change| change.queue(&outgoing(half * 50 + n)));
                }
            });
        }
    });
    assert_eq!(read(&temp.open(), |view| view.outgoing_count()), 100);
}
