//! What signed operations do: delete, expire, revoke, to single records and to ranges.

use core::ops::ControlFlow;

use super::shares::{Share, TOKENS_MAX};
use super::{Charge, Clock, Growth, Kind, Mailboxes, Place, ROW_COST, Usage};
use crate::identity::AccountId;
use crate::mailbox::layout;
use crate::mailbox::{
    MailboxError, Mutation, Op, REVOKED_MAX, RangeMarks, Record, RecordKey, Scope, StorageError,
    Store, TOMBSTONE_LIFE, TOMBSTONE_MARGIN, Table, TokenBody,
};
use crate::time::Timestamp;
use crate::wire;

impl<S: Store> Mailboxes<S> {
    /// Applies one signed operation. The same one twice, or late, does nothing more.
    pub fn apply(
        &mut self,
        clock: impl Into<Clock>,
        account: &AccountId,
        scope: Scope,
        mutation: Mutation,
    ) -> Result<(), MailboxError> {
        self.apply_all(clock, account, scope, &[mutation])
    }

    /// Applies the operations of one change, all or none of them.
    pub fn apply_all(
        &mut self,
        clock: impl Into<Clock>,
        account: &AccountId,
        scope: Scope,
        changes: &[Mutation],
    ) -> Result<(), MailboxError> {
        let clock = clock.into();
        self.atomically(|this| {
            let mut ranges = RangeMarks::default();
            for mutation in changes {
                match (mutation.op, scope) {
                    (Op::Delete { hash } | Op::Expire { hash, .. }, Scope::One(namespace)) => {
                        let key = RecordKey { account: *account, namespace, hash };
                        let stated = Record::stated(mutation.clone());
                        this.state(clock, &key, stated.ok_or(MailboxError::Malformed)?)?;
                    }
                    (Op::DeleteAll | Op::DeleteBefore { .. } | Op::ExpireAll { .. }, _) => {
                        let stated = RangeMarks::stated(mutation.clone());
                        ranges = ranges.merge(stated.ok_or(MailboxError::Malformed)?);
                    }
                    (Op::Revoke { token } | Op::Restore { token }, Scope::All) => {
                        this.revoke(clock.now, account, token, mutation)?;
                    }
                    _ => return Err(MailboxError::Malformed),
                }
            }
            if ranges == RangeMarks::default() {
                return Ok(());
            }
            this.mark(clock.now, account, scope, ranges)
        })
    }

    /// Joins what is said about one record, which may not have arrived yet.
    fn state(&mut self, clock: Clock, key: &RecordKey, stated: Record) -> Result<(), MailboxError> {
        let class = key.namespace.class();
        let marks = self.marks(&key.account, key.namespace)?;
        let known = self.known_at(clock, key, &marks)?;
        if known.record.overflows_with(&stated) {
            return Err(MailboxError::Quota);
        }
        let record = known.record.clone().merge(stated).under(&marks, class);
        if record == known.record || record.remembered_until() <= clock.now {
            return Ok(());
        }
        let frees = Usage::place(known.cost());
        match (&known.place, record.expiry(&marks)) {
            (Place::Message { data, .. }, Some(due)) => {
                let row = layout::Row { hash: key.hash, due, record, data: data.clone() };
                let bytes = wire::encode(&row);
                let growth = Growth { adds: Usage::row(bytes.len() as u64 + ROW_COST), frees };
                self.admit(&key.account, class.into(), Kind::Statement, growth)?;
                self.write_message(key, &known, bytes, due)?;
            }
            (place, _) => {
                let record = record.statements();
                // What is here may always be deleted: it makes room.
                if !matches!(place, Place::Message { .. }) {
                    let cost = wire::encode(&record).len() as u64 + ROW_COST;
                    let growth = Growth { adds: Usage::row(cost), frees };
                    self.admit(&key.account, class.into(), Kind::Statement, growth)?;
                }
                self.forget(key, &known)?;
                self.write_shadow(key, &record)?;
            }
        }
        Ok(())
    }

    /// Keeps the owner's latest word on a token.
    fn revoke(
        &mut self,
        now: Timestamp,
        account: &AccountId,
        token: TokenBody,
        mutation: &Mutation,
    ) -> Result<(), MailboxError> {
        let words = self.words(account)?;
        let known = words.iter().find(|word| word.token == token);
        if known.is_some_and(|word| word.mutation.order() >= mutation.order())
            || goes_at(mutation).is_some_and(|at| at <= now)
        {
            return Ok(());
        }
        let others = || words.iter().filter(|word| word.token != token);
        let revoked = others().filter(|word| word.is_revoked()).count();
        let revokes = matches!(mutation.op, Op::Revoke { .. });
        if (revokes && revoked >= REVOKED_MAX) || others().count() >= TOKENS_MAX {
            return Err(MailboxError::Quota);
        }
        let old = known.map_or(0, |word| cost(&word.mutation));
        let growth = Growth { adds: Usage::row(cost(mutation)), frees: Usage::place(old) };
        let urgent = revokes && self.has_records(account)?;
        let kind = if urgent { Kind::Urgent } else { Kind::Statement };
        self.admit(account, Share::Tokens, kind, growth)?;
        if let Some(word) = known {
            self.forget_word(account, &word.mutation, token)?;
        }
        let key = layout::revocation(account, &token);
        if let Some(at) = goes_at(mutation) {
            let index = layout::expiry(at, Table::Revocations, &key);
            self.store.put(Table::Expiry, &index, Vec::new());
        }
        self.store.put(Table::Revocations, &key, wire::encode(mutation));
        self.charge(account, Share::Tokens, Charge::Comes(cost(mutation)))?;
        Ok(())
    }

    fn forget_word(
        &mut self,
        account: &AccountId,
        mutation: &Mutation,
        token: TokenBody,
    ) -> Result<(), StorageError> {
        let key = layout::revocation(account, &token);
        self.store.remove(Table::Revocations, &key);
        if let Some(at) = goes_at(mutation) {
            self.store.remove(Table::Expiry, &layout::expiry(at, Table::Revocations, &key));
        }
        self.charge(account, Share::Tokens, Charge::Goes(cost(mutation)))
    }

    /// A restored token's word goes when nothing that it overrules can arrive any more.
    pub(super) fn sweep_word(&mut self, now: Timestamp, key: &[u8]) -> Result<(), StorageError> {
        let Some(bytes) = self.store.get(Table::Revocations, key)? else { return Ok(()) };
        let mutation: Mutation = layout::read(Table::Revocations, &bytes)?;
        let damaged = StorageError::Damaged { table: Table::Revocations.name() };
        let account = key.get(..33).and_then(|id| AccountId::from_bytes(id.try_into().ok()?).ok());
        let account = account.ok_or_else(|| damaged.clone())?;
        let Word { token, mutation } = Word::of(mutation).ok_or(damaged)?;
        match goes_at(&mutation) {
            Some(at) if at <= now => self.forget_word(&account, &mutation, token),
            _ => Ok(()),
        }
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

/// When a word need not be remembered any more: a revocation stands for good.
fn goes_at(mutation: &Mutation) -> Option<Timestamp> {
    let life = TOMBSTONE_LIFE.saturating_add(TOMBSTONE_MARGIN);
    let restores = matches!(mutation.op, Op::Restore { .. });
    restores.then(|| mutation.signed_at().saturating_add(life))
}

fn cost(mutation: &Mutation) -> u64 {
    wire::encode(mutation).len() as u64 + ROW_COST
}
