//! What signed operations do: delete, expire, revoke, to single records and to ranges.

use core::ops::ControlFlow;

use super::{Keyed, Mailboxes, Place};
use crate::identity::AccountId;
use crate::mailbox::layout;
use crate::mailbox::{
    MailboxError, Mutation, NamespaceClass, Op, REVOKED_MAX, RangeMarks, Record, RecordKey, Scope,
    StorageError, Store, Table, TokenBody,
};
use crate::time::Timestamp;
use crate::wire;

/// Tokens of one account with a word on them, revoked or restored.
const TOKENS_MAX: usize = 4 * REVOKED_MAX;

impl<S: Store> Mailboxes<S> {
    /// Applies one signed operation. The same one twice, or late, does nothing more.
    pub fn apply(
        &mut self,
        now: Timestamp,
        account: &AccountId,
        scope: Scope,
        mutation: Mutation,
    ) -> Result<(), MailboxError> {
        match (mutation.op, scope) {
            (Op::Delete { hash } | Op::Expire { hash, .. }, Scope::One(namespace)) => {
                let key = RecordKey { account: *account, namespace, hash };
                let stated = Record::stated(mutation).ok_or(MailboxError::Malformed)?;
                self.state(now, &key, stated)
            }
            (Op::DeleteAll | Op::DeleteBefore { .. } | Op::ExpireAll { .. }, scope) => {
                let stated = RangeMarks::stated(mutation).ok_or(MailboxError::Malformed)?;
                self.mark(now, account, scope, stated)
            }
            (Op::Revoke { token } | Op::Restore { token }, Scope::All) => {
                self.revoke(account, token, &mutation)
            }
            _ => Err(MailboxError::Malformed),
        }
    }

    /// Joins what is said about one record, which may not have arrived yet.
    fn state(
        &mut self,
        now: Timestamp,
        key: &RecordKey,
        stated: Record,
    ) -> Result<(), MailboxError> {
        let known = self.known(key)?;
        let record = known.record.clone().merge(stated);
        if record == known.record || record.remembered_until() <= now {
            return Ok(());
        }
        match &known.place {
            Place::Message { data, .. } if !record.is_deleted() => {
                let expiry = record.expiry().unwrap_or_default();
                let row = layout::Row { hash: key.hash, record, data: data.clone() };
                let bytes = wire::encode(&row);
                self.write_message(key, &known, bytes, expiry)?;
            }
            place => {
                if matches!(place, Place::Nowhere) {
                    self.admit_shadow(&key.account, key.namespace.class())?;
                }
                self.forget(key, &known)?;
                self.write_shadow(key, &record)?;
            }
        }
        Ok(())
    }

    /// A tombstone counts, but may overdraw the account's rows to twice, so that a full mailbox
    /// can be emptied; disk room is kept for it.
    fn admit_shadow(&self, account: &AccountId, class: NamespaceClass) -> Result<(), MailboxError> {
        let rows = self.usage(account, class)?.rows;
        if rows >= self.quotas.of(class).rows.saturating_mul(2) {
            return Err(MailboxError::Quota);
        }
        Ok(())
    }

    /// Joins a range operation and applies it to the records that are here.
    fn mark(
        &mut self,
        now: Timestamp,
        account: &AccountId,
        scope: Scope,
        stated: RangeMarks,
    ) -> Result<(), MailboxError> {
        let known = self.marks_of(account, scope)?;
        let marks = known.clone().merge(stated);
        if marks == known || marks.remembered_until() <= now {
            return Ok(());
        }
        let place = layout::marks(account, scope);
        let index = |marks: &RangeMarks| {
            layout::expiry(marks.remembered_until(), Table::Tombstones, &place)
        };
        self.store.remove(Table::Expiry, &index(&known));
        self.store.put(Table::Expiry, &index(&marks), Vec::new());
        self.store.put(Table::Tombstones, &place, wire::encode(&marks));
        let prefix = match scope {
            Scope::One(namespace) => layout::drawer(account, namespace),
            Scope::All => account.to_bytes().to_vec(),
        };
        for keyed in self.collect(&prefix, &layout::after(&prefix), usize::MAX)? {
            self.apply_marks(&keyed, &marks)?;
        }
        Ok(())
    }

    fn apply_marks(&mut self, keyed: &Keyed, marks: &RangeMarks) -> Result<(), StorageError> {
        let Keyed { key, known } = keyed;
        if known.record.is_covered(marks, key.namespace.class()) {
            self.forget(key, known)?;
            // An older tombstone still stands against stores that the range does not reach.
            if known.record.tombstone().is_some() {
                self.write_shadow(key, &known.record)?;
            }
            return Ok(());
        }
        let record = known.record.clone().shortened(marks);
        let Place::Message { data, .. } = &known.place else { return Ok(()) };
        if record == known.record {
            return Ok(());
        }
        let expiry = record.expiry().unwrap_or_default();
        let row = layout::Row { hash: key.hash, record, data: data.clone() };
        self.write_message(key, known, wire::encode(&row), expiry)
    }

    /// Keeps the owner's latest word on a token.
    fn revoke(
        &mut self,
        account: &AccountId,
        token: TokenBody,
        mutation: &Mutation,
    ) -> Result<(), MailboxError> {
        let words = self.words(account)?;
        let known = words.iter().find(|word| word.token == token);
        if known.is_some_and(|word| word.mutation.order() >= mutation.order()) {
            return Ok(());
        }
        let others = || words.iter().filter(|word| word.token != token);
        let revoked = others().filter(|word| word.is_revoked()).count();
        let revokes = matches!(mutation.op, Op::Revoke { .. });
        if (revokes && revoked >= REVOKED_MAX) || others().count() >= TOKENS_MAX {
            return Err(MailboxError::Quota);
        }
        self.store.put(
            Table::Revocations,
            &layout::revocation(account, &token),
            wire::encode(mutation),
        );
        Ok(())
    }

    /// Whether the owner had revoked a token at the time a request was signed.
    pub fn is_revoked(
        &self,
        account: &AccountId,
        token: &TokenBody,
        at: Timestamp,
    ) -> Result<bool, StorageError> {
        let key = layout::revocation(account, token);
        let Some(bytes) = self.store.get(Table::Revocations, &key)? else { return Ok(false) };
        let mutation: Mutation = layout::read(Table::Revocations, &bytes)?;
        let revokes = matches!(mutation.op, Op::Revoke { .. });
        Ok(revokes && mutation.signed_at() <= at)
    }

    /// The owner's latest word on each token there is one for.
    fn words(&self, account: &AccountId) -> Result<Vec<Word>, StorageError> {
        let prefix = account.to_bytes();
        let mut words = Vec::new();
        let mut damage = None;
        self.store.scan(
            Table::Revocations,
            &prefix,
            &layout::after(&prefix),
            &mut |_, value| {
                match layout::read::<Mutation>(Table::Revocations, value).map(Word::of) {
                    Ok(Some(word)) => words.push(word),
                    Ok(None) => {}
                    Err(error) => {
                        damage = Some(error);
                        return ControlFlow::Break(());
                    }
                }
                ControlFlow::Continue(())
            },
        )?;
        damage.map_or(Ok(words), Err)
    }
}

/// The owner's word on a token.
struct Word {
    token: TokenBody,
    mutation: Mutation,
}

impl Word {
    fn of(mutation: Mutation) -> Option<Self> {
        match mutation.op {
            Op::Revoke { token } | Op::Restore { token } => Some(Self { token, mutation }),
            _ => None,
        }
    }

    const fn is_revoked(&self) -> bool {
        matches!(self.mutation.op, Op::Revoke { .. })
    }
}
