//! Shares: what an account and the node may use, and what counts against them.
//!
//! Everything that a request leaves on disk is charged, to its account and to the node. Ids cost
//! nothing, so what is not charged could be used to fill a disk.

use serde::{Deserialize, Serialize};

use super::{Mailboxes, Quota, Quotas};
use crate::identity::AccountId;
use crate::mailbox::layout;
use crate::mailbox::{MailboxError, NamespaceClass, REVOKED_MAX, StorageError, Store, Table};
use crate::wire;

/// Drawers of one account with range marks: those that clients use are a handful. Marks for all have
/// a place of their own.
pub const RANGES_MAX: usize = 64;

/// Tokens of one account with a word on them, revoked or restored.
pub(super) const TOKENS_MAX: usize = 4 * REVOKED_MAX;

/// A row of marks or a word on a token at most, bytes, with its indexes: nine operations by a
/// token's holder, or one by the owner.
const MARKS_COST: u64 = 4096;

/// What a row counts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Share {
    /// Records, visible or not.
    Records(NamespaceClass),
    /// Marks of ranges.
    Ranges,
    /// Words on tokens.
    Tokens,
}

impl From<NamespaceClass> for Share {
    fn from(class: NamespaceClass) -> Self {
        Self::Records(class)
    }
}

impl Share {
    const EVERY: [Self; 5] = [
        Self::Records(NamespaceClass::Inbox),
        Self::Records(NamespaceClass::Outbox),
        Self::Records(NamespaceClass::Own),
        Self::Ranges,
        Self::Tokens,
    ];

    const fn tag(self) -> u8 {
        match self {
            Self::Records(NamespaceClass::Inbox) => 0,
            Self::Records(NamespaceClass::Outbox) => 1,
            Self::Records(NamespaceClass::Own) => 2,
            Self::Ranges => 3,
            Self::Tokens => 4,
        }
    }

    const fn quota(self, quotas: &Quotas) -> Quota {
        match self {
            Self::Records(class) => quotas.of(class),
            Self::Ranges => {
                let rows = RANGES_MAX as u64 + 1;
                Quota { bytes: rows * MARKS_COST, rows }
            }
            Self::Tokens => {
                Quota { bytes: TOKENS_MAX as u64 * MARKS_COST, rows: TOKENS_MAX as u64 }
            }
        }
    }
}

/// Bytes and rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Usage {
    pub(super) bytes: u64,
    pub(super) rows: u64,
}

impl Usage {
    /// One row of this cost.
    pub(super) const fn row(bytes: u64) -> Self {
        Self { bytes, rows: 1 }
    }

    /// The row of a place that may be empty: what costs nothing is not there.
    pub(super) const fn place(bytes: u64) -> Self {
        Self { bytes, rows: if bytes == 0 { 0 } else { 1 } }
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_add(other.bytes),
            rows: self.rows.saturating_add(other.rows),
        }
    }

    const fn less(self, other: Self) -> Self {
        Self {
            bytes: self.bytes.saturating_sub(other.bytes),
            rows: self.rows.saturating_sub(other.rows),
        }
    }
}

/// A write, before it is judged.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growth {
    pub(super) adds: Usage,
    pub(super) frees: Usage,
}

impl Growth {
    const fn is_none(&self) -> bool {
        self.adds.bytes <= self.frees.bytes && self.adds.rows <= self.frees.rows
    }
}

/// How strictly a write is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A record with data.
    Record,
    /// What the owner says about records: may overdraw a share of records to twice, so that a full
    /// mailbox can be emptied.
    Statement,
    /// A statement that makes room, or shuts somebody out, where the account keeps something: taken
    /// on the room that is kept for it.
    Urgent,
}

impl<S: Store> Mailboxes<S> {
    /// Whether a write fits the account's share, the node's, and the disk. What grows nothing fits.
    pub(super) fn admit(
        &self,
        account: &AccountId,
        share: Share,
        kind: Kind,
        growth: Growth,
    ) -> Result<(), MailboxError> {
        if kind != Kind::Record && growth.is_none() {
            return Ok(());
        }
        if kind != Kind::Urgent && !self.store.has_room() {
            return Err(MailboxError::Disk);
        }
        let quota = share.quota(&self.quotas);
        let times =
            if kind == Kind::Statement && matches!(share, Share::Records(_)) { 2 } else { 1 };
        let usage = self.usage(account, share)?;
        let then = usage.less(growth.frees).and(growth.adds);
        let over = |then: u64, now: u64, most: u64| then > now && then > most.saturating_mul(times);
        if over(then.bytes, usage.bytes, quota.bytes) || over(then.rows, usage.rows, quota.rows) {
            return Err(MailboxError::Quota);
        }
        let total = self.counters.messages_bytes;
        let then = total.saturating_sub(growth.frees.bytes).saturating_add(growth.adds.bytes);
        if kind != Kind::Urgent && then > total && then > self.quotas.messages_bytes {
            return Err(MailboxError::Disk);
        }
        Ok(())
    }

    /// Whether anything of an account is kept here.
    pub(super) fn has_records(&self, account: &AccountId) -> Result<bool, StorageError> {
        for share in Share::EVERY {
            if matches!(share, Share::Records(_)) && self.usage(account, share)?.rows > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn usage(&self, account: &AccountId, share: Share) -> Result<Usage, StorageError> {
        match self.store.get(Table::Meta, &layout::usage(account, share.tag()))? {
            Some(bytes) => layout::read(Table::Meta, &bytes),
            None => Ok(Usage::default()),
        }
    }

    /// Counts a row that comes or goes.
    pub(super) fn charge(
        &mut self,
        account: &AccountId,
        share: impl Into<Share>,
        row: Charge,
    ) -> Result<(), StorageError> {
        let share = share.into();
        let usage = self.usage(account, share)?;
        let total = self.counters.messages_bytes;
        let (usage, total) = match row {
            Charge::Comes(cost) => (usage.and(Usage::row(cost)), total.saturating_add(cost)),
            Charge::Goes(cost) => (usage.less(Usage::row(cost)), total.saturating_sub(cost)),
        };
        self.counters.messages_bytes = total;
        let key = layout::usage(account, share.tag());
        if usage == Usage::default() {
            self.store.remove(Table::Meta, &key);
        } else {
            self.store.put(Table::Meta, &key, wire::encode(&usage));
        }
        Ok(())
    }
}

/// A row that comes or goes, with its cost in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Charge {
    Comes(u64),
    Goes(u64),
}
