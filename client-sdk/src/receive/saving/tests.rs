//! Deaths of the process between two steps are played by doing the steps before them.

#![allow(clippy::unwrap_used)]

use enjambre_protocol::crypto::Secret;
use enjambre_protocol::envelope::{ConversationId, MessageId};
use enjambre_protocol::id::Digest;
use enjambre_protocol::identity::AccountSeed;
use enjambre_protocol::time::Timestamp;

use super::*;
use crate::store::{NewFile, NewInboxMessage};

/// A store that knows of one file of five bytes, and a folder to save it in.
struct Home {
    store: Store,
    temp: tempfile::TempDir,
    row: FileRow,
}

impl Home {
    fn new(name: &str) -> Self {
        let temp = tempfile::tempdir().unwrap();
        let key = Secret::from_bytes([1; 32]);
        let store = Store::open(&temp.path().join("db"), &key).unwrap();
        let message = NewInboxMessage {
            sender: AccountSeed::from_bytes([2; 16]).key().id(),
            message: MessageId::from_bytes([3; 16]),
            conversation: ConversationId::from_bytes([3; 16]),
            counter: 0,
            text: String::new(),
            sent: Timestamp::EPOCH,
            received: Timestamp::EPOCH,
            hash: Digest::from_bytes([4; 32]),
            warning: None,
        };
        let file = NewFile { name: name.to_owned(), size: 5, reference: vec![5] };
        let row = store.write(|change| {
            let key = change.receive(&message)?.unwrap();
            change.add_file(key, &file)?;
            Ok::<_, Error>(change.files(key)?.remove(0))
        });
        Self { store, row: row.unwrap(), temp }
    }

    fn dir(&self) -> PathBuf {
        self.temp.path().join("saved")
    }

    fn draft(&self) -> PathBuf {
        self.dir().join(draft_name(&self.row))
    }

    /// The file as the store knows it.
    fn row(&self) -> FileRow {
        self.store
            .read(|view| view.files(self.row.key.inbox))
            .map(|mut rows| rows.remove(0))
            .unwrap()
    }

    /// What a call does for the file, and what lies in the folder then.
    fn call(&self) -> Vec<(String, Vec<u8>)> {
        let row = self.row();
        match found(&row) {
            Some(path) => self.store.write(|change| change.file_saved(row.key, &path)).unwrap(),
            None => drop(save(&self.store, &row, &self.dir(), b"whole").unwrap()),
        }
        assert!(self.row().path.is_some_and(|path| fs::read(path).unwrap() == b"whole"));
        let files = fs::read_dir(self.dir()).unwrap().map(|entry| entry.unwrap());
        let mut files: Vec<_> = files
            .map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn plan(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.dir()).unwrap();
        let path = self.dir().join(name);
        self.store.write(|change| change.plan_file(self.row.key, &path)).unwrap();
        path
    }
}

fn one(name: &str) -> Vec<(String, Vec<u8>)> {
    vec![(name.to_owned(), b"whole".to_vec())]
}

#[test]
fn file_is_never_written_over_another() {
    let home = Home::new("photo.jpg");
    let paths = [b"1", b"2", b"3"]
        .map(|content| save(&home.store, &home.row, &home.dir(), content).unwrap());
    let names = paths.each_ref().map(|path| path.file_name().unwrap().to_str().unwrap());
    assert_eq!(names, ["photo.jpg", "photo (1).jpg", "photo (2).jpg"]);
    let contents = paths.map(|path| fs::read(path).unwrap());
    assert_eq!(contents, [b"1", b"2", b"3"]);
}

#[test]
fn move_replaces_nothing_that_came_meanwhile() {
    let home = Home::new("a");
    let path = home.plan("a");
    fs::write(home.draft(), b"whole").unwrap();
    fs::write(&path, b"other").unwrap();
    let error = move_in(&home.draft(), &path).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&path).unwrap(), b"other");
    assert!(home.draft().exists());
}

#[test]
fn death_while_writing_leaves_nothing_that_looks_whole_and_the_next_call_clears_it() {
    let home = Home::new("photo.jpg");
    let path = home.plan("photo.jpg");
    fs::write(home.draft(), b"wh").unwrap();
    assert!(!path.exists() && found(&home.row()).is_none());
    assert_eq!(home.call(), one("photo.jpg"));
}

#[test]
fn death_before_the_move_saves_the_file_once() {
    let home = Home::new("photo.jpg");
    home.plan("photo.jpg");
    write_draft(&home.draft(), b"whole").unwrap();
    assert_eq!(home.call(), one("photo.jpg"));
}

#[test]
fn death_between_the_move_and_its_record_saves_the_file_once() {
    let home = Home::new("photo.jpg");
    let path = home.plan("photo.jpg");
    write_draft(&home.draft(), b"whole").unwrap();
    move_in(&home.draft(), &path).unwrap();
    assert_eq!(home.call(), one("photo.jpg"));
}

#[test]
fn death_between_the_two_names_of_a_file_saves_it_once() {
    let home = Home::new("photo.jpg");
    let path = home.plan("photo.jpg");
    write_draft(&home.draft(), b"whole").unwrap();
    fs::hard_link(home.draft(), path).unwrap();
    assert_eq!(home.call(), one("photo.jpg"));
}

#[test]
fn numbered_name_of_the_longest_file_still_fits_and_keeps_its_end() {
    // 255 bytes, of which those before the end are two each.
    let name = format!("a{}.jpg", "é".repeat(125));
    assert_eq!(name.len(), 255);
    let home = Home::new(&name);
    save(&home.store, &home.row, &home.dir(), b"1").unwrap();
    let second = save(&home.store, &home.row, &home.dir(), b"2").unwrap();
    let second = second.file_name().unwrap().to_str().unwrap();
    assert!(second.len() <= 255 && second.ends_with(" (1).jpg"), "{second}");
}

#[test]
fn numbered_name_of_a_file_that_is_all_extension_still_fits() {
    let name = format!("a.{}", "x".repeat(253));
    let home = Home::new(&name);
    save(&home.store, &home.row, &home.dir(), b"1").unwrap();
    let second = save(&home.store, &home.row, &home.dir(), b"2").unwrap();
    let second = second.file_name().unwrap().to_str().unwrap();
    assert!(second.len() <= 255 && second.ends_with(" (1)"), "{second}");
}

#[test]
fn folder_that_cannot_be_written_is_an_error_of_the_file_and_leaves_nothing() {
    let home = Home::new("photo.jpg");
    fs::write(home.dir(), b"no folder").unwrap();
    let error = save(&home.store, &home.row, &home.dir(), b"whole").unwrap_err();
    assert!(matches!(&error, SaveError::Unwritable(error) if error.kind() == ErrorKind::File));
    assert!(error.to_string().contains("choose another --save"), "{error}");
    fs::remove_file(home.dir()).unwrap();
    // Its name as a draft is taken by a folder.
    fs::create_dir_all(home.draft()).unwrap();
    let error = save(&home.store, &home.row, &home.dir(), b"whole").unwrap_err();
    assert!(matches!(error, SaveError::Unwritable(_)));
    assert_eq!(home.row().plan, None, "nothing was about to be moved");
    fs::remove_dir(home.draft()).unwrap();
    assert_eq!(home.call(), one("photo.jpg"));
}
