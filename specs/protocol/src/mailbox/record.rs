//! What members know about one record, and how two members' knowledge becomes one.
//!
//! Members receive the same facts in different orders, some twice, some late. Every part of a
//! [`Record`] is therefore a maximum or a set with a rule, so that [`Record::merge`] gives the same
//! result whatever the order. The data is not part of it: the hash determines the data, and a
//! member holds it as long as the record is visible. Specified in 06 mailbox, section 6.
//!
//! | part | merged by |
//! | --- | --- |
//! | `latest`: the stamp with the last acceptance | maximum of (accepted-at, whole stamp) |
//! | `longest`: the stamp with the last expiry | maximum of (expiry, whole stamp) |
//! | `owner`: the owner's signed store | maximum of (signed time, digest) |
//! | `expiries`: signed expiry operations | union; what is older than the last *set* is dropped, then all but the newest [`EXPIRIES_MAX`]; beside them the newest range expiries that reach the last acceptance |
//! | `tombstone`: the owner's signed delete | maximum of (signed time, digest) |
//!
//! # Invariants
//!
//! - *One outcome*: merging is commutative, associative and idempotent.
//! - *Signed*: whatever shortens a record's life carries the owner's signature.
//! - *Bounded*: a record without data is at most a few KiB, whatever was said about it.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::mailbox::{ExpiryMode, Mutation, NamespaceClass, Op, RangeMarks, Stamp};
use crate::time::Timestamp;
use crate::{crypto, wire};

/// Expiry operations kept with one record. Clients prolong a record a few times in its life; with
/// more than this between two *set* operations the oldest are forgotten.
pub const EXPIRIES_MAX: usize = 8;

/// How long after its signed time a tombstone still refuses what it covers: the longest lifetime.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is added to the life of a tombstone, for clocks and members that lag.
pub const TOMBSTONE_MARGIN: Duration = Duration::from_secs(60 * 60);

const STATE_LABEL: &str = "enjambre/record-state/1";

/// All that a member knows about one record, but for its data. See the module's merge table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    latest: Option<Stamp>,
    longest: Option<Stamp>,
    owner: Option<Mutation>,
    expiries: Vec<Mutation>,
    tombstone: Option<Mutation>,
}

/// The later of two statements.
pub(crate) fn later(one: Option<Mutation>, other: Option<Mutation>) -> Option<Mutation> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.order() >= other.order() { one } else { other }),
        (one, other) => one.or(other),
    }
}

impl Record {
    /// A record as it was first accepted; `owner` is the signed store, where there is one.
    pub fn accepted(stamp: Stamp, owner: Option<Mutation>) -> Self {
        Self { latest: Some(stamp), longest: Some(stamp), owner, ..Self::default() }
    }

    /// What a signed delete or expire says about a record. `None` for any other operation.
    pub fn stated(mutation: Mutation) -> Option<Self> {
        match mutation.op {
            Op::Delete { .. } => Some(Self { tombstone: Some(mutation), ..Self::default() }),
            Op::Expire { .. } | Op::ExpireAll { .. } => {
                Some(Self { expiries: vec![mutation], ..Self::default() })
            }
            _ => None,
        }
    }

    /// Joins two members' knowledge of one record.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let latest = self.latest.max(other.latest); // Accepted-at is a stamp's first field.
        let mut expiries = self.expiries;
        expiries.extend(other.expiries);
        Self {
            latest,
            longest: longer(self.longest, other.longest),
            owner: later(self.owner, other.owner),
            expiries: reaching(expiries, latest.map(|stamp| stamp.accepted_at)),
            tombstone: later(self.tombstone, other.tombstone),
        }
    }

    /// Whether it was ever accepted, as far as this member knows.
    pub const fn is_accepted(&self) -> bool {
        self.latest.is_some()
    }

    /// When it was last accepted.
    pub fn accepted_at(&self) -> Option<Timestamp> {
        self.latest.map(|stamp| stamp.accepted_at)
    }

    /// The stamp that says so.
    pub const fn latest(&self) -> Option<&Stamp> {
        self.latest.as_ref()
    }

    /// When the owner last signed a store of it.
    pub fn owner_signed_at(&self) -> Option<Timestamp> {
        self.owner.as_ref().map(Mutation::signed_at)
    }

    /// The owner's signed delete.
    pub const fn tombstone(&self) -> Option<&Mutation> {
        self.tombstone.as_ref()
    }

    /// Whether the owner said something about it that must be remembered after it is gone.
    pub fn is_stated(&self) -> bool {
        self.tombstone.is_some() || self.expiries.iter().any(|m| !is_range(m))
    }

    /// Whether the owner deleted it, by its hash, and has not signed a later store since.
    pub fn is_deleted(&self) -> bool {
        self.tombstone.as_ref().is_some_and(|t| self.owner_signed_at() <= Some(t.signed_at()))
    }

    /// Whether a range tombstone covers it.
    ///
    /// Only what was accepted up to the covered time, so that nobody deletes what he cannot have
    /// seen, and never a store that the owner signed after it. In an outbox the signed times alone
    /// decide: it is a register of what the owner said last.
    pub fn is_covered(&self, marks: &RangeMarks, class: NamespaceClass) -> bool {
        let Some(upto) = marks.deleted_upto() else { return false };
        let seen = class == NamespaceClass::Outbox || self.accepted_at() <= Some(upto);
        self.is_accepted() && seen && self.owner_signed_at() <= Some(upto)
    }

    /// This record under these range operations, in place of those it was under before: the range
    /// expiries that reach its last acceptance count, and expiry operations that were signed up to
    /// the time that a range delete covers do not.
    #[must_use]
    pub fn under(self, marks: &RangeMarks) -> Self {
        let upto = marks.deleted_upto();
        let mut expiries = self.expiries;
        expiries.retain(|m| !is_range(m) && Some(m.signed_at()) > upto);
        if self.latest.is_some() {
            expiries.extend(marks.expiries().cloned());
        }
        let accepted_at = self.latest.map(|stamp| stamp.accepted_at);
        Self { expiries: reaching(expiries, accepted_at), ..self }
    }

    /// What the owner said about it, but for stores: what stays of a record that a range covers.
    #[must_use]
    pub fn statements(self) -> Self {
        let mut expiries = self.expiries;
        expiries.retain(|m| !is_range(m));
        Self { expiries, tombstone: self.tombstone, ..Self::default() }
    }

    /// When it goes: the last expiry any member stamped, then the owner's operations in the order
    /// of (signed time, digest), leaving out those older than the owner's latest store.
    pub fn expiry(&self) -> Option<Timestamp> {
        let from = self.owner_signed_at();
        let stamped = self.longest?.expiry;
        let accepted_at = self.accepted_at();
        let reaches = |m: &&Mutation| !is_range(m) || accepted_at <= Some(m.signed_at());
        let operations = self.expiries.iter().filter(|m| Some(m.signed_at()) >= from);
        let operations = operations.filter(reaches);
        Some(operations.fold(stamped, |expiry, mutation| match mutation.op {
            Op::Expire { mode: ExpiryMode::Set, expiry: to, .. } => to,
            Op::Expire { mode: ExpiryMode::Shorten, expiry: to, .. }
            | Op::ExpireAll { expiry: to } => expiry.min(to),
            Op::Expire { mode: ExpiryMode::Extend, expiry: to, .. } => expiry.max(to),
            _ => expiry,
        }))
    }

    /// Until when a member must remember this although it has no data: long enough that nothing
    /// that was said before can come back.
    pub fn remembered_until(&self) -> Timestamp {
        let stated = self.tombstone.iter().chain(&self.expiries).map(Mutation::signed_at).max();
        let stated = stated.unwrap_or_default().saturating_add(TOMBSTONE_LIFE);
        stated.max(self.expiry().unwrap_or_default()).saturating_add(TOMBSTONE_MARGIN)
    }

    /// Digest of the whole state: equal on two members exactly if they know the same.
    pub fn digest(&self) -> Digest {
        crypto::digest(STATE_LABEL, &[&wire::encode(self)])
    }
}

/// Of two stamps the one that keeps longer.
fn longer(one: Option<Stamp>, other: Option<Stamp>) -> Option<Stamp> {
    let key = |stamp: Stamp| (stamp.expiry, stamp);
    if one.map(key) >= other.map(key) { one } else { other }
}

const fn is_range(mutation: &Mutation) -> bool {
    matches!(mutation.op, Op::ExpireAll { .. })
}

/// The operations on the record by the set's rule, and by the same rule the range expiries that
/// reach its last acceptance. Apart, so that neither pushes out the other: which ranges reach it
/// changes with the acceptance.
fn reaching(expiries: Vec<Mutation>, accepted_at: Option<Timestamp>) -> Vec<Mutation> {
    let (mut ranges, own): (Vec<_>, Vec<_>) = expiries.into_iter().partition(is_range);
    ranges.retain(|m| accepted_at <= Some(m.signed_at()));
    let mut both = newest(own);
    both.extend(newest_ranges(ranges));
    both.sort_by_cached_key(Mutation::order);
    both
}

/// The rule of range expiries: of those signed at one time the one that ends soonest, then all but
/// the newest few.
pub(crate) fn newest_ranges(operations: Vec<Mutation>) -> Vec<Mutation> {
    let ends = |m: &Mutation| match m.op {
        Op::ExpireAll { expiry } => expiry,
        _ => Timestamp::EPOCH,
    };
    let mut keyed: Vec<_> =
        operations.into_iter().map(|m| ((m.signed_at(), ends(&m), m.digest()), m)).collect();
    keyed.sort_by_key(|(order, _)| *order);
    keyed.dedup_by_key(|((signed_at, ..), _)| *signed_at);
    keyed.drain(..keyed.len().saturating_sub(EXPIRIES_MAX));
    keyed.into_iter().map(|(_, m)| m).collect()
}

/// The set's rule: what precedes the last *set* is dropped, then all but the newest few.
pub(crate) fn newest(operations: Vec<Mutation>) -> Vec<Mutation> {
    let mut keyed: Vec<_> = operations.into_iter().map(|m| (m.order(), m)).collect();
    keyed.sort_by_key(|(order, _)| *order);
    keyed.dedup_by_key(|(order, _)| *order);
    let is_set = |m: &Mutation| matches!(m.op, Op::Expire { mode: ExpiryMode::Set, .. });
    let set = keyed.iter().rposition(|(_, m)| is_set(m)).unwrap_or(0);
    let from = set.max(keyed.len().saturating_sub(EXPIRIES_MAX));
    keyed.drain(..from);
    keyed.into_iter().map(|(_, m)| m).collect()
}
