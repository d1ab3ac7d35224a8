//! What every [`Store`] must do, as one suite that all implementations run in their tests.
//!
//! A suite is given a way to open a database: without a store it makes a new one, with a store it
//! ends that store as a crash would and opens what is on its disk. It panics with the broken rule.

use core::ops::ControlFlow;
use std::collections::BTreeMap;

use crate::mailbox::{StorageError, Store, Table};

/// Runs every check, each on a database of its own.
///
/// # Panics
///
/// With the name of the rule that the store breaks.
pub fn check<S: Store>(mut open: impl FnMut(Option<S>) -> S) {
    staged_rows_are_read_but_do_not_survive_a_crash(&mut open);
    committed_rows_survive_and_the_id_stays(&mut open);
    rollback_leaves_what_was_committed(&mut open);
    undo_drops_what_was_staged_since_the_savepoint(&mut open);
    scan_ascends_within_its_bounds_and_sees_staged_rows(&mut open);
    scan_crosses_accounts_and_namespaces(&mut open);
    tables_are_apart(&mut open);
    large_rows_come_back_whole(&mut open);
    random_writes_match_a_plain_map(&mut open);
}

fn must<T>(result: Result<T, StorageError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store failed where it may not: {error}"),
    }
}

fn get<S: Store>(store: &S, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    must(store.get(table, key))
}

fn rows<S: Store>(store: &S, table: Table, from: &[u8], to: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    must(store.scan(table, from, to, &mut |key, value| {
        found.push((key.to_vec(), value.to_vec()));
        ControlFlow::Continue(())
    }));
    found
}

fn keys<S: Store>(store: &S, table: Table, from: &[u8], to: &[u8]) -> Vec<Vec<u8>> {
    rows(store, table, from, to).into_iter().map(|(key, _)| key).collect()
}

type Open<'a, S> = &'a mut dyn FnMut(Option<S>) -> S;

fn staged_rows_are_read_but_do_not_survive_a_crash<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    assert!(!store.is_staged(), "a new store has nothing staged");
    store.put(Table::Meta, b"kept", b"1".to_vec());
    must(store.commit());
    store.put(Table::Meta, b"lost", b"2".to_vec());
    store.remove(Table::Meta, b"kept");
    assert!(store.is_staged());
    assert_eq!(get(&store, Table::Meta, b"lost"), Some(b"2".to_vec()), "staged rows are read");
    assert_eq!(get(&store, Table::Meta, b"kept"), None, "staged removals are read");
    let store = open(Some(store));
    assert!(!store.is_staged());
    assert_eq!(get(&store, Table::Meta, b"lost"), None, "uncommitted rows are lost");
    assert_eq!(get(&store, Table::Meta, b"kept"), Some(b"1".to_vec()), "so are removals");
}

fn committed_rows_survive_and_the_id_stays<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    let id = store.id();
    store.put(Table::Messages, b"key", b"first".to_vec());
    store.put(Table::Messages, b"key", b"second".to_vec());
    store.put(Table::ByHash, b"gone", b"x".to_vec());
    must(store.commit());
    store.remove(Table::ByHash, b"gone");
    must(store.commit());
    must(store.commit());
    let store = open(Some(store));
    assert_eq!(store.id(), id, "the id stays");
    assert_eq!(get(&store, Table::Messages, b"key"), Some(b"second".to_vec()), "last put wins");
    assert_eq!(get(&store, Table::ByHash, b"gone"), None, "removals are committed");
}

fn rollback_leaves_what_was_committed<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    store.put(Table::Meta, b"a", b"1".to_vec());
    must(store.commit());
    store.put(Table::Meta, b"a", b"2".to_vec());
    store.put(Table::Meta, b"b", b"2".to_vec());
    store.rollback();
    assert!(!store.is_staged());
    must(store.commit());
    let store = open(Some(store));
    assert_eq!(rows(&store, Table::Meta, b"a", b"c"), [(b"a".to_vec(), b"1".to_vec())]);
}

fn undo_drops_what_was_staged_since_the_savepoint<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    store.put(Table::Meta, b"a", b"1".to_vec());
    store.put(Table::Meta, b"b", b"1".to_vec());
    must(store.commit());
    store.put(Table::Meta, b"a", b"2".to_vec());
    store.savepoint();
    store.put(Table::Meta, b"a", b"3".to_vec());
    store.put(Table::Meta, b"a", b"4".to_vec());
    store.remove(Table::Meta, b"b");
    store.put(Table::Meta, b"c", b"5".to_vec());
    store.undo();
    let expected = [(b"a".to_vec(), b"2".to_vec()), (b"b".to_vec(), b"1".to_vec())];
    assert_eq!(rows(&store, Table::Meta, b"a", b"d"), expected, "what was staged before stays");
    must(store.commit());
    store.savepoint();
    store.put(Table::Meta, b"a", b"6".to_vec());
    store.undo();
    assert!(!store.is_staged(), "nothing is left to commit");
    let store = open(Some(store));
    assert_eq!(rows(&store, Table::Meta, b"a", b"d"), expected);
}

fn scan_ascends_within_its_bounds_and_sees_staged_rows<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    for key in ["b", "d", "f", "h"] {
        store.put(Table::Expiry, key.as_bytes(), Vec::new());
    }
    must(store.commit());
    store.put(Table::Expiry, b"c", Vec::new());
    store.put(Table::Expiry, b"d", b"new".to_vec());
    store.remove(Table::Expiry, b"f");
    store.put(Table::Expiry, b"g", Vec::new());
    let expected = [b"b".to_vec(), b"c".to_vec(), b"d".to_vec(), b"g".to_vec()];
    assert_eq!(keys(&store, Table::Expiry, b"b", b"h"), expected, "the end is left out");
    assert_eq!(keys(&store, Table::Expiry, b"", b"b"), [] as [Vec<u8>; 0]);
    assert_eq!(keys(&store, Table::Expiry, b"h", b"b"), [] as [Vec<u8>; 0], "an empty range");
    assert_eq!(rows(&store, Table::Expiry, b"d", b"e"), [(b"d".to_vec(), b"new".to_vec())]);
    let mut seen = 0;
    must(store.scan(Table::Expiry, b"b", b"z", &mut |_, _| {
        seen += 1;
        if seen == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }));
    assert_eq!(seen, 2, "a break ends the scan");
}

fn scan_crosses_accounts_and_namespaces<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    let mut expected = Vec::new();
    for account in [0x00, 0x7f, 0xff] {
        for namespace in [0x00, 0xff] {
            for seq in 0..3 {
                let mut key = vec![account; 33];
                key.extend([namespace; 2]);
                key.extend([0, 0, 0, 0, 0, 0, 0, seq]);
                store.put(Table::Messages, &key, vec![seq]);
                expected.push(key);
            }
        }
    }
    must(store.commit());
    let store = open(Some(store));
    assert_eq!(keys(&store, Table::Messages, b"", &[0xff; 44]), expected, "all of a table");
    let middle = keys(&store, Table::Messages, &[0x7f; 33], &[0x80; 33]);
    assert_eq!(middle, expected[6..12], "one account, by a bound shorter than a prefix");
    let from = &expected[7];
    let rest = keys(
        &store,
        Table::Messages,
        from,
        &from[..35].iter().copied().chain([9]).collect::<Vec<_>>(),
    );
    assert_eq!(rest, expected[7..9], "the rest of one drawer");
}

fn tables_are_apart<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    for (i, table) in Table::ALL.into_iter().enumerate() {
        store.put(table, b"same", vec![u8::try_from(i).unwrap_or_default()]);
    }
    must(store.commit());
    let store = open(Some(store));
    for (i, table) in Table::ALL.into_iter().enumerate() {
        let expected = vec![u8::try_from(i).unwrap_or_default()];
        assert_eq!(rows(&store, table, b"s", b"t"), [(b"same".to_vec(), expected)], "{table:?}");
    }
}

fn large_rows_come_back_whole<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    let value: Vec<u8> = (0..131_072u32).map(|i| i.to_le_bytes()[0] ^ i.to_le_bytes()[1]).collect();
    for key in 0..8 {
        store.put(Table::Chunks, &[key; 32], value.clone());
    }
    must(store.commit());
    let store = open(Some(store));
    for key in 0..8 {
        assert!(get(&store, Table::Chunks, &[key; 32]).as_ref() == Some(&value), "chunk {key}");
    }
}

/// A fixed sequence of numbers, so that a failure repeats.
struct Sequence(u64);

impl Sequence {
    fn below(&mut self, end: u64) -> u64 {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

fn random_writes_match_a_plain_map<S: Store>(open: Open<'_, S>) {
    let mut store = open(None);
    let mut sequence = Sequence(1);
    let mut committed: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    let mut staged = committed.clone();
    for step in 0..2000 {
        let key = sequence.below(64).to_be_bytes()[6..].to_vec();
        match sequence.below(100) {
            0..=59 => {
                let value = sequence.below(u64::MAX).to_be_bytes().to_vec();
                store.put(Table::Messages, &key, value.clone());
                staged.insert(key, value);
            }
            60..=84 => {
                store.remove(Table::Messages, &key);
                staged.remove(&key);
            }
            85..=92 => {
                must(store.commit());
                committed.clone_from(&staged);
            }
            93..=96 => {
                store.rollback();
                staged.clone_from(&committed);
            }
            _ => {
                store = open(Some(store));
                staged.clone_from(&committed);
            }
        }
        let from = sequence.below(64).to_be_bytes()[6..].to_vec();
        let expected: Vec<_> =
            staged.range(from.clone()..).map(|(k, v)| (k.clone(), v.clone())).collect();
        assert_eq!(rows(&store, Table::Messages, &from, &[0xff]), expected, "step {step}");
    }
}
