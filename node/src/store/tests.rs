#![allow(clippy::unwrap_used)]

use enjambre_protocol::mailbox::conformance;
use tempfile::TempDir;

use super::*;

fn open(dir: &TempDir) -> RocksStore {
    RocksStore::open_with_headroom(&dir.path().join("db"), 0).unwrap()
}

#[test]
fn rocksdb_store_conforms() {
    let mut dirs = Vec::new();
    conformance::check(|old: Option<RocksStore>| match old {
        Some(store) => {
            let path = store.path.clone();
            drop(store);
            RocksStore::open_with_headroom(&path, 0).unwrap()
        }
        None => {
            dirs.push(tempfile::tempdir().unwrap());
            open(dirs.last().unwrap())
        }
    });
}

#[test]
fn each_database_has_an_id_of_its_own() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let id = open(&one).id();
    assert_ne!(id, open(&two).id());
    assert_eq!(id, open(&one).id());
    std::fs::remove_dir_all(one.path().join("db")).unwrap();
    assert_ne!(id, open(&one).id(), "an emptied node is another store");
}

#[test]
fn second_process_is_told_that_the_database_is_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    let error = RocksStore::open(&dir.path().join("db")).unwrap_err();
    assert!(matches!(error, OpenError::Locked { .. }), "{error}");
    assert!(error.to_string().contains("another node"), "{error}");
    drop(store);
    open(&dir);
}

#[test]
fn database_of_another_version_is_refused_and_not_touched() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    store.put(Table::Meta, b"key", b"value".to_vec());
    store.commit().unwrap();
    let path = dir.path().join("db");
    let mark = |store: &RocksStore, format: u32| {
        store.db.as_ref().unwrap().put(b"format", format.to_le_bytes()).unwrap();
    };
    mark(&store, 3);
    drop(store);
    let error = RocksStore::open(&path).unwrap_err();
    assert!(matches!(error, OpenError::Newer { found: 3, known: 2 }), "{error}");
    assert!(error.to_string().contains("install the version"), "{error}");
    let db = open::database(&path);
    assert!(matches!(db, Err(OpenError::Newer { .. })));
    // One of a version before is not read by other rules than it was written.
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir);
    mark(&store, 1);
    drop(store);
    let error = RocksStore::open(&dir.path().join("db")).unwrap_err();
    assert!(matches!(error, OpenError::Older { found: 1, known: 2 }), "{error}");
    assert!(error.to_string().contains("begin with an empty one"), "{error}");
}

#[test]
fn log_that_ends_in_the_middle_of_a_write_loses_that_write_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(&dir);
    let id = store.id();
    store.put(Table::Meta, b"first", vec![1; 1000]);
    store.commit().unwrap();
    store.put(Table::Meta, b"second", vec![2; 1000]);
    store.commit().unwrap();
    // The state after a loss of power: the files as they are while the process runs.
    let copy = tempfile::tempdir().unwrap();
    std::fs::create_dir(copy.path().join("db")).unwrap();
    for entry in std::fs::read_dir(dir.path().join("db")).unwrap() {
        let entry = entry.unwrap();
        let to = copy.path().join("db").join(entry.file_name());
        std::fs::copy(entry.path(), &to).unwrap();
        if to.extension().is_some_and(|extension| extension == "log") {
            let file = std::fs::File::options().write(true).open(&to).unwrap();
            let len = file.metadata().unwrap().len();
            file.set_len(len.saturating_sub(100)).unwrap();
        }
    }
    let store = open(&copy);
    assert_eq!(store.id(), id);
    assert_eq!(store.get(Table::Meta, b"first").unwrap(), Some(vec![1; 1000]));
    assert_eq!(store.get(Table::Meta, b"second").unwrap(), None);
}

#[test]
fn records_are_refused_below_the_headroom_and_deletes_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("db");
    let mut store = RocksStore::open_with_headroom(&path, u64::MAX).unwrap();
    assert!(!store.has_room());
    store.put(Table::Meta, b"tombstone", vec![1]);
    assert_eq!(store.commit(), Ok(()));
    drop(store);
    assert!(RocksStore::open_with_headroom(&path, 0).unwrap().has_room());
}

#[test]
fn scan_of_a_drawer_is_told_from_a_wider_one() {
    let drawer = [7; DRAWER];
    let mut from = drawer.to_vec();
    from.extend([0; 8]);
    let mut end = drawer.to_vec();
    end[DRAWER - 1] += 1;
    assert!(within_drawer(&from, &end));
    assert!(within_drawer(&drawer, &end));
    assert!(!within_drawer(&drawer[..33], &end));
    end[DRAWER - 1] += 1;
    assert!(!within_drawer(&from, &end));
    assert!(!within_drawer(&[0xff; DRAWER], &[0xff; 40]));
}

/// Where [`full_disk_loses_nothing_acknowledged_and_the_store_recovers_with_room`] finds its disk.
const SMALL_DISK: &str = "ENJAMBRE_TEST_SMALL_DISK";

/// On a real file system of 64 MiB, made in a name space of its own. Where the system does not
/// allow that, says so and shows nothing.
#[test]
fn full_disk_loses_nothing_acknowledged_and_the_store_recovers_with_room() {
    if let Some(dir) = std::env::var_os(SMALL_DISK) {
        return fill_and_recover(Path::new(&dir));
    }
    let apart = || {
        let mut command = std::process::Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount"]);
        command
    };
    if !apart().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("not shown here: this system allows no user name spaces");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=64m tmpfs "$0" && exec "$1" --exact "$2""#;
    let name =
        "store::tests::full_disk_loses_nothing_acknowledged_and_the_store_recovers_with_room";
    let mut command = apart();
    command.args(["sh", "-c", script]).arg(dir.path());
    command.arg(std::env::current_exe().unwrap()).arg(name).env(SMALL_DISK, dir.path());
    assert!(command.status().unwrap().success(), "see above");
}

fn fill_and_recover(disk: &Path) {
    let path = disk.join("db");
    let mut store = RocksStore::open_with_headroom(&path, 8 << 20).unwrap();
    let row = |i: u32| i.to_le_bytes().repeat(50_000);
    let key = |i: u32| i.to_be_bytes();
    let put = |store: &mut RocksStore, i: u32| {
        store.put(Table::Messages, &key(i), row(i));
        store.commit()
    };
    assert!(store.has_room());
    for i in 0..10 {
        put(&mut store, i).unwrap();
    }
    // Something else takes what is left.
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write_all(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    assert!(!store.has_room());
    let mut acknowledged = 10;
    let error = loop {
        match put(&mut store, acknowledged) {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the disk never fills");
    };
    assert!(matches!(error, StorageError::Full { .. }), "{error}");
    let all_there = |store: &RocksStore| {
        for i in 0..acknowledged {
            let found = store.get(Table::Messages, &key(i)).unwrap();
            assert!(found == Some(row(i)), "row {i} of {acknowledged}");
        }
    };
    all_there(&store);
    assert!(matches!(put(&mut store, 2000), Err(StorageError::Full { .. })), "still full");
    all_there(&store);

    std::fs::remove_file(&filler).unwrap();
    assert!(store.is_staged(), "a commit is asked for, to settle what failed");
    assert!(matches!(store.commit(), Err(StorageError::Failed { .. })), "settled");
    assert!(!store.is_staged());
    all_there(&store);
    put(&mut store, 3000).unwrap();
    drop(store);
    let store = RocksStore::open_with_headroom(&path, 8 << 20).unwrap();
    all_there(&store);
    assert!(store.get(Table::Messages, &key(3000)).unwrap() == Some(row(3000)));
    assert_eq!(store.get(Table::Messages, &key(2000)), Ok(None));
}
