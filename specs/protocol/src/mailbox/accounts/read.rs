//! Reading: pages of records, expiries.

use core::ops::ControlFlow;

use super::{Keyed, Known, Mailboxes, Place, ROW_COST, View};
use crate::identity::AccountId;
use crate::limits::RETRIEVE_MAX;
use crate::mailbox::layout::{self, Row};
use crate::mailbox::rpc::ITEM_COST;
use crate::mailbox::{
    Cursor, ExpiryOf, Item, MessageHash, Namespace, Page, RecordKey, RecordSeq, Rest, Start,
    StorageError, Store, Table,
};
use crate::time::Timestamp;

/// Records looked at for one page, and the bytes of those that are gone though not swept: a page's own,
/// four times.
const PAGE_ROWS: usize = 4096;
const GONE_BYTES: usize = 4 * RETRIEVE_MAX;

impl<S: Store> Mailboxes<S> {
    /// The records of one drawer after `after`, in this store's order, up to `max_bytes` of items
    /// but at least one unless that is 0. A cursor of another store starts from the beginning. Among
    /// very many small records, or such as are gone but not swept, a page may end early or be empty and
    /// say "more", with a cursor that has moved.
    pub fn page(
        &self,
        now: Timestamp,
        account: &AccountId,
        namespace: Namespace,
        after: Option<Cursor>,
        max_bytes: usize,
    ) -> Result<Page, StorageError> {
        let store = self.store.id();
        let (from, start) = match after {
            Some(cursor) if cursor.store == store => (cursor.seq, Start::Continued),
            Some(_) => (RecordSeq::ZERO, Start::Reset),
            None => (RecordSeq::ZERO, Start::Continued),
        };
        let limit = max_bytes.min(RETRIEVE_MAX);
        let mut items = Vec::new();
        let mut cursor = Cursor { store, seq: from };
        let mut rest = Rest::Done;
        let mut bytes = 0;
        let (mut rows, mut gone_bytes) = (0, 0);
        let marks = self.marks(account, namespace)?;
        let first = layout::message(account, namespace, from.next());
        self.rows(&first, &layout::after(&layout::drawer(account, namespace)), |seq, row| {
            let record = row.record.under(&marks, namespace.class());
            let times = (record.expiry(&marks), record.accepted_at(&marks, now));
            if let (Some(expiry), Some(accepted_at)) = times {
                bytes += row.data.as_bytes().len() + ITEM_COST;
                if bytes > limit && (limit == 0 || !items.is_empty()) {
                    rest = Rest::More;
                    return ControlFlow::Break(());
                }
                items.push(Item { hash: row.hash, accepted_at, expiry, data: row.data });
            } else {
                gone_bytes += row.data.as_bytes().len();
            }
            rows += 1;
            cursor.seq = seq;
            if rows >= PAGE_ROWS || gone_bytes >= GONE_BYTES {
                rest = Rest::More;
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(Page { items, cursor, rest, start })
    }

    /// When these records go; those that are not here are left out.
    pub fn expiries(
        &self,
        now: Timestamp,
        account: &AccountId,
        namespace: Namespace,
        hashes: &[MessageHash],
    ) -> Result<Vec<ExpiryOf>, StorageError> {
        let mut found = Vec::new();
        let marks = self.marks(account, namespace)?;
        for &hash in hashes {
            let known = self.known(&RecordKey { account: *account, namespace, hash })?;
            let record = known.record.under(&marks, namespace.class());
            match (known.place, record.expiry(&marks)) {
                (Place::Message { .. }, Some(expiry)) if expiry > now => {
                    found.push(ExpiryOf { hash, expiry });
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// The first record of a drawer that can be read, expired or not.
    pub(super) fn first_of(
        &self,
        account: &AccountId,
        namespace: Namespace,
    ) -> Result<Option<Keyed>, StorageError> {
        let prefix = layout::drawer(account, namespace);
        let mut first = None;
        self.store.scan(Table::Messages, &prefix, &layout::after(&prefix), &mut |key, value| {
            match keyed(key, value) {
                Ok(found) => {
                    first = Some(found);
                    ControlFlow::Break(())
                }
                Err(_) => {
                    self.count_damaged(1);
                    ControlFlow::Continue(())
                }
            }
        })?;
        Ok(first)
    }

    /// Rows between two message keys; damaged ones are counted and passed over.
    fn rows(
        &self,
        from: &[u8],
        to: &[u8],
        mut visit: impl FnMut(RecordSeq, Row) -> ControlFlow<()>,
    ) -> Result<(), StorageError> {
        self.store.scan(Table::Messages, from, to, &mut |key, value| {
            let parsed = layout::parse_message(key);
            let row = layout::read::<Row>(Table::Messages, value);
            if let (Ok(place), Ok(row)) = (parsed, row) {
                return visit(place.seq, row);
            }
            self.count_damaged(1);
            ControlFlow::Continue(())
        })
    }
}

pub(super) fn keyed(key: &[u8], value: &[u8]) -> Result<Keyed, StorageError> {
    let at = layout::parse_message(key)?;
    let Row { hash, due, record, data } = layout::read(Table::Messages, value)?;
    let cost = value.len() as u64 + ROW_COST;
    let place = Place::Message { seq: at.seq, data, cost, due, view: View::Seen };
    Ok(Keyed {
        key: RecordKey { account: at.account, namespace: at.namespace, hash },
        known: Known { record, place },
    })
}
