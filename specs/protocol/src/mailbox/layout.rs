//! Keys and rows of the tables. Numbers in keys are big-endian, so that keys sort as numbers do.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::identity::AccountId;
use crate::mailbox::{
    ChunkHash, MessageHash, Namespace, Payload, Record, RecordKey, RecordSeq, Scope, StorageError,
    Table, TokenBody,
};
use crate::time::Timestamp;
use crate::wire;

/// Counters and the next sequence number.
pub(super) const COUNTERS_KEY: &[u8] = b"counters";

/// Rows over this are none of ours: a chunk with its fields.
const ROW_MAX: usize = 1 << 18;

/// What a visible record is on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) hash: MessageHash,
    /// Under which expiry it stands in the index.
    pub(super) due: Timestamp,
    pub(super) record: Record,
    pub(super) data: Payload,
}

/// What a chunk is on disk.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ChunkRow {
    pub(super) expiry: Timestamp,
    pub(super) accepted_at: Timestamp,
    pub(super) data: Payload,
}

pub(super) fn read<T: DeserializeOwned>(table: Table, bytes: &[u8]) -> Result<T, StorageError> {
    wire::decode(bytes, ROW_MAX).map_err(|_| StorageError::Damaged { table: table.name() })
}

pub(super) fn drawer(account: &AccountId, namespace: Namespace) -> Vec<u8> {
    let mut key = Vec::with_capacity(67);
    key.extend_from_slice(&account.to_bytes());
    key.extend_from_slice(&namespace.number().to_be_bytes());
    key
}

pub(super) fn message(account: &AccountId, namespace: Namespace, seq: RecordSeq) -> Vec<u8> {
    let mut key = drawer(account, namespace);
    key.extend_from_slice(&seq.number().to_be_bytes());
    key
}

pub(super) fn by_hash(record: &RecordKey) -> Vec<u8> {
    let mut key = drawer(&record.account, record.namespace);
    key.extend_from_slice(record.hash.as_bytes());
    key
}

/// Records without data are 67 bytes, marks 36: they never meet.
pub(super) fn marks(account: &AccountId, scope: Scope) -> Vec<u8> {
    let mut key = Vec::with_capacity(36);
    key.extend_from_slice(&account.to_bytes());
    key.extend_from_slice(&scope.to_bytes());
    key
}

pub(super) fn chunk(hash: &ChunkHash) -> Vec<u8> {
    hash.as_bytes().to_vec()
}

/// Which table a row of the expiry index points into.
const fn expiry_tag(table: Table) -> u8 {
    match table {
        Table::Messages => 0,
        Table::Tombstones => 1,
        Table::Chunks => 2,
        Table::Revocations => 3,
        _ => u8::MAX,
    }
}

/// The row of the expiry index: the first whole minute at which the row is certainly due.
pub(super) fn expiry(at: Timestamp, table: Table, key: &[u8]) -> Vec<u8> {
    let minute = at.minute().saturating_add(1);
    let mut index = Vec::with_capacity(5 + key.len());
    index.extend_from_slice(&minute.to_be_bytes());
    index.push(expiry_tag(table));
    index.extend_from_slice(key);
    index
}

/// The table and the key of the row that an entry of the expiry index is about.
pub(super) fn parse_expiry(index: &[u8]) -> Option<(Table, &[u8])> {
    let (tag, key) = index.get(4..)?.split_first()?;
    let tables = [Table::Messages, Table::Tombstones, Table::Chunks, Table::Revocations];
    Some((tables.into_iter().find(|table| expiry_tag(*table) == *tag)?, key))
}

pub(super) fn usage(account: &AccountId, share: u8) -> Vec<u8> {
    let mut key = b"usage/".to_vec();
    key.extend_from_slice(&account.to_bytes());
    key.push(share);
    key
}

/// Where ranges stand that wait for their records.
pub(super) const WAITING: &[u8] = b"waiting/";

/// A range that waits for its records: account 33 ‖ scope 3.
pub(super) fn waiting(account: &AccountId, scope: Scope) -> Vec<u8> {
    let mut key = WAITING.to_vec();
    key.extend_from_slice(&marks(account, scope));
    key
}

/// All message keys of a scope begin with this.
pub(super) fn scope_prefix(account: &AccountId, scope: Scope) -> Vec<u8> {
    match scope {
        Scope::One(namespace) => drawer(account, namespace),
        Scope::All => account.to_bytes().to_vec(),
    }
}

/// The scope of a range that waits, from its key.
pub(super) fn parse_waiting(key: &[u8]) -> Option<(AccountId, Scope)> {
    parse_marks(key.strip_prefix(WAITING)?)
}

/// The scope of marks, from their key.
pub(super) fn parse_marks(key: &[u8]) -> Option<(AccountId, Scope)> {
    let (account, scope) = key.split_first_chunk::<33>()?;
    let scope = match *scope {
        [0, low, high] => Scope::One(Namespace::new(i16::from_le_bytes([low, high]))),
        [1, 0, 0] => Scope::All,
        _ => return None,
    };
    Some((AccountId::from_bytes(account).ok()?, scope))
}

/// The first key after all that begin with `prefix`.
pub(super) fn after(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}

/// A message key, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct MessagePlace {
    pub(super) account: AccountId,
    pub(super) namespace: Namespace,
    pub(super) seq: RecordSeq,
}

pub(super) fn parse_message(key: &[u8]) -> Result<MessagePlace, StorageError> {
    let parse = || {
        let (account, rest) = key.split_first_chunk::<33>()?;
        let (namespace, rest) = rest.split_first_chunk::<2>()?;
        Some(MessagePlace {
            account: AccountId::from_bytes(account).ok()?,
            namespace: Namespace::new(i16::from_be_bytes(*namespace)),
            seq: RecordSeq::new(u64::from_be_bytes(rest.try_into().ok()?)),
        })
    };
    parse().ok_or(StorageError::Damaged { table: Table::Messages.name() })
}

/// The name of a record without data, from its key. `None` for marks.
pub(super) fn parse_shadow(key: &[u8]) -> Option<RecordKey> {
    let (account, rest) = key.split_first_chunk::<33>()?;
    let (namespace, rest) = rest.split_first_chunk::<2>()?;
    let hash: [u8; 32] = rest.try_into().ok()?;
    Some(RecordKey {
        account: AccountId::from_bytes(account).ok()?,
        namespace: Namespace::new(i16::from_be_bytes(*namespace)),
        hash: MessageHash::from_bytes(hash),
    })
}

/// A revocation: account 33 ‖ token 36.
pub(super) fn revocation(account: &AccountId, token: &TokenBody) -> Vec<u8> {
    let mut key = account.to_bytes().to_vec();
    key.extend_from_slice(token.as_bytes());
    key
}
