//! What the owner said about everything up to a time: range tombstones and range expiries.
//!
//! They are kept beside the records, per account and scope, so that a record which reaches a
//! member late meets them. Specified in 06 mailbox, section 6.

use serde::{Deserialize, Serialize};

use crate::mailbox::record::{TOMBSTONE_LIFE, TOMBSTONE_MARGIN};
use crate::mailbox::{Mutation, Op};
use crate::time::Timestamp;

/// Range expiries kept for one scope.
const RANGE_EXPIRIES_MAX: usize = 8;

/// The range operations in force for one scope of an account.
///
/// Of range tombstones the one that reaches furthest counts; it covers all that the others do. Of
/// range expiries the newest `RANGE_EXPIRIES_MAX` are kept, and of those signed at one time the one
/// that ends soonest. All are maxima, so that merging is commutative, associative and idempotent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RangeMarks {
    delete: Option<Mutation>,
    expiries: Vec<Mutation>,
}

impl RangeMarks {
    /// The marks that one range operation makes. `None` for operations on single records.
    pub fn stated(mutation: Mutation) -> Option<Self> {
        match mutation.op {
            Op::DeleteAll | Op::DeleteBefore { .. } => {
                Some(Self { delete: Some(mutation), ..Self::default() })
            }
            Op::ExpireAll { .. } => Some(Self { expiries: vec![mutation], ..Self::default() }),
            _ => None,
        }
    }

    /// Joins two members' marks, or those of two scopes that reach the same record.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let reach = |m: &Mutation| (upto(m), m.order());
        let delete = match (self.delete, other.delete) {
            (Some(one), Some(two)) => Some(if reach(&one) >= reach(&two) { one } else { two }),
            (one, two) => one.or(two),
        };
        let mut expiries = self.expiries;
        expiries.extend(other.expiries);
        Self { delete, expiries: newest(expiries) }
    }

    /// Everything accepted up to here is deleted, unless the owner signed a later store.
    pub fn deleted_upto(&self) -> Option<Timestamp> {
        self.delete.as_ref().map(upto)
    }

    /// The range expiries, oldest first.
    pub fn expiries(&self) -> impl Iterator<Item = &Mutation> {
        self.expiries.iter()
    }

    /// Until when a member must remember them.
    pub fn remembered_until(&self) -> Timestamp {
        let signed = self.delete.iter().chain(&self.expiries).map(Mutation::signed_at).max();
        let life = TOMBSTONE_LIFE.saturating_add(TOMBSTONE_MARGIN);
        signed.unwrap_or_default().saturating_add(life)
    }
}

/// How far a range tombstone reaches: never beyond its own signing.
fn upto(mutation: &Mutation) -> Timestamp {
    match mutation.op {
        Op::DeleteBefore { before } => before.min(mutation.signed_at()),
        _ => mutation.signed_at(),
    }
}

const NEVER: Timestamp = Timestamp::from_millis(u64::MAX);

/// The rule of range expiries: of those signed at one time the one that ends soonest, then all but
/// the newest few.
fn newest(operations: Vec<Mutation>) -> Vec<Mutation> {
    let mut keyed: Vec<_> = operations
        .into_iter()
        .map(|m| ((m.signed_at(), m.op.expiry_after(NEVER), m.digest()), m))
        .collect();
    keyed.sort_by_key(|(order, _)| *order);
    keyed.dedup_by_key(|((signed_at, ..), _)| *signed_at);
    keyed.drain(..keyed.len().saturating_sub(RANGE_EXPIRIES_MAX));
    keyed.into_iter().map(|(_, m)| m).collect()
}
