//! What members know about one record, and how two members' knowledge becomes one.
//!
//! Members receive the same facts in different orders, some twice, some late. Every part of a
//! [`Record`] is therefore a maximum or a set with a rule, so that [`Record::merge`] gives the same
//! result whatever the order. The data is not part of it: the hash determines the data, and a
//! member holds it as long as the record is visible. Specified in 06 mailbox, section 6.
//!
//! | part | merged by |
//! | --- | --- |
//! | `acceptances`: stamps, each with the owner's signed store that came with it | union; dropped: what another one outdoes in every way, and what the tombstone covers |
//! | `expiries`: signed expiry operations | union; dropped: what is not later than the tombstone, then all but the newest [`EXPIRIES_MAX`] |
//! | `tombstone`: the owner's signed delete | maximum of (signed time, digest) |
//!
//! # Invariants
//!
//! - *One outcome*: merging is commutative, associative and idempotent.
//! - *Signed*: whatever shortens a record's life carries the owner's signature.
//! - *Each by itself*: what is said reaches the acceptances that it is about, so that one which has
//!   come to its end says nothing about those that follow.
//! - *Bounded*: a record without data is at most a few KiB, whatever was said about it.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::Digest;
use crate::limits::CLOCK_WINDOW;
use crate::mailbox::{Mutation, NamespaceClass, Op, RangeMarks, Stamp};
use crate::time::Timestamp;
use crate::{crypto, wire};

/// Expiry operations kept with one record, for each says what the next one finds: one more is refused.
/// Clients prolong a record a few times in its life.
pub const EXPIRIES_MAX: usize = 32;

/// Acceptances kept with one record, of which none outdoes another. In an inbox there are four
/// lifetimes, so more come from an owner alone who signs one record again and again for less; then
/// the one that ends soonest is forgotten, but for the last.
pub const ACCEPTANCES_MAX: usize = 8;

/// An expiry operation reaches what was accepted, unsigned, up to this long after its signing: the
/// owner's clock and the stamping member's may each be as far off as the window allows.
const REACH: Duration = Duration::from_secs(2 * CLOCK_WINDOW.as_secs());

/// How long after its signed time a tombstone still refuses what it covers: the longest lifetime.
pub const TOMBSTONE_LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// What is added to the life of a tombstone, for clocks and members that lag.
pub const TOMBSTONE_MARGIN: Duration = Duration::from_secs(60 * 60);

const STATE_LABEL: &str = "enjambre/record-state/1";

/// All that a member knows about one record, but for its data. See the module's merge table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    acceptances: Vec<Acceptance>,
    expiries: Vec<Mutation>,
    tombstone: Option<Mutation>,
}

/// A stamp, with the owner's signed store where there is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Acceptance {
    stamp: Stamp,
    owner: Option<Mutation>,
}

impl Acceptance {
    fn signed_at(&self) -> Option<Timestamp> {
        self.owner.as_ref().map(Mutation::signed_at)
    }

    /// Whether this one was accepted and signed no earlier and is kept no shorter than the other.
    fn outdoes(&self, other: &Self) -> bool {
        self.stamp.accepted_at >= other.stamp.accepted_at
            && self.signed_at() >= other.signed_at()
            && self.stamp.expiry >= other.stamp.expiry
    }

    /// A total order in which none comes before one that outdoes it.
    fn rank(&self) -> impl Ord + use<> {
        let Stamp { accepted_at, expiry, .. } = self.stamp;
        let digest = self.owner.as_ref().map(Mutation::digest);
        core::cmp::Reverse((accepted_at, self.signed_at(), expiry, self.stamp, digest))
    }

    /// Until when this acceptance keeps its record, by operations in the order of their signing.
    ///
    /// What was signed before it changes it in one way only: if by these operations alone the owner
    /// still wants the record kept longer, it is. What is signed after its end changes nothing.
    fn ends(&self, operations: &[&Mutation]) -> Timestamp {
        let (mut end, mut wanted) = (self.stamp.expiry, Timestamp::EPOCH);
        for operation in operations {
            if self.is_reached(operation) {
                if end.max(wanted) <= operation.signed_at() {
                    break;
                }
                end = operation.op.expiry_after(end);
            }
            wanted = operation.op.expiry_after(wanted);
        }
        end.max(wanted)
    }

    /// Whether an operation is about this acceptance: by the owner's times where it is signed, else,
    /// of an operation on the record alone, by clocks that may be off.
    fn is_reached(&self, operation: &Mutation) -> bool {
        let signed_at = operation.signed_at();
        match (operation.op, self.signed_at()) {
            (Op::ExpireAll { .. }, _) => self.is_within(signed_at, NamespaceClass::Own),
            (_, Some(from)) => signed_at >= from,
            (_, None) => signed_at >= self.stamp.accepted_at.saturating_sub(REACH),
        }
    }

    /// Whether it was accepted up to `upto` and not signed after it. In an outbox the signed times
    /// alone decide: it is a register of what the owner said last.
    fn is_within(&self, upto: Timestamp, class: NamespaceClass) -> bool {
        let seen = class == NamespaceClass::Outbox || self.stamp.accepted_at <= upto;
        seen && self.signed_at() <= Some(upto)
    }
}

/// The later of two statements.
fn later(one: Option<Mutation>, other: Option<Mutation>) -> Option<Mutation> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if one.order() >= other.order() { one } else { other }),
        (one, other) => one.or(other),
    }
}

impl Record {
    /// A record as it was first accepted; `owner` is the signed store, where there is one.
    pub fn accepted(stamp: Stamp, owner: Option<Mutation>) -> Self {
        Self { acceptances: vec![Acceptance { stamp, owner }], ..Self::default() }
    }

    /// What a signed delete or expire says about a record. `None` for any other operation.
    pub fn stated(mutation: Mutation) -> Option<Self> {
        match mutation.op {
            Op::Delete { .. } => Some(Self { tombstone: Some(mutation), ..Self::default() }),
            Op::Expire { .. } => Some(Self { expiries: vec![mutation], ..Self::default() }),
            _ => None,
        }
    }

    /// Joins two members' knowledge of one record.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        let tombstone = later(self.tombstone, other.tombstone);
        let (mut acceptances, mut expiries) = (self.acceptances, self.expiries);
        acceptances.extend(other.acceptances);
        expiries.extend(other.expiries);
        if let Some(deleted_at) = tombstone.as_ref().map(Mutation::signed_at) {
            acceptances.retain(|acceptance| acceptance.signed_at() > Some(deleted_at));
            expiries.retain(|operation| operation.signed_at() > deleted_at);
        }
        Self { acceptances: foremost(acceptances), expiries: newest(expiries), tombstone }
    }

    /// Whether an acceptance stands: no tombstone covers it, nor a range that was applied.
    pub const fn is_accepted(&self) -> bool {
        !self.acceptances.is_empty()
    }

    /// When the owner last signed a store of it that stands.
    pub fn owner_signed_at(&self) -> Option<Timestamp> {
        self.acceptances.iter().filter_map(Acceptance::signed_at).max()
    }

    /// The owner's signed delete.
    pub const fn tombstone(&self) -> Option<&Mutation> {
        self.tombstone.as_ref()
    }

    /// Whether the owner said something about it that must be remembered after it is gone.
    pub const fn is_stated(&self) -> bool {
        self.tombstone.is_some() || !self.expiries.is_empty()
    }

    /// Whether joining `other` would forget an expiry operation for want of a place.
    pub fn overflows_with(&self, other: &Self) -> bool {
        let is_new = |operation: &&Mutation| !self.expiries.contains(operation);
        self.expiries.len() + other.expiries.iter().filter(is_new).count() > EXPIRIES_MAX
    }

    /// What stands of this record under a range delete: not what it covers, nor expiry operations
    /// that were signed up to the time it covers.
    #[must_use]
    pub fn under(mut self, marks: &RangeMarks, class: NamespaceClass) -> Self {
        if let Some(upto) = marks.deleted_upto() {
            self.acceptances.retain(|acceptance| !acceptance.is_within(upto, class));
            self.expiries.retain(|operation| operation.signed_at() > upto);
        }
        self
    }

    /// What the owner said about it, but for stores: what stays of a record that is gone.
    #[must_use]
    pub fn statements(self) -> Self {
        Self { acceptances: Vec::new(), ..self }
    }

    /// When it goes: with the last of its acceptances to end. `None` if none stands.
    pub fn expiry(&self, marks: &RangeMarks) -> Option<Timestamp> {
        let operations = self.operations(marks);
        self.acceptances.iter().map(|one| one.ends(&operations)).max()
    }

    /// When it was last accepted, of the acceptances that keep it at `now`.
    pub fn accepted_at(&self, marks: &RangeMarks, now: Timestamp) -> Option<Timestamp> {
        let operations = self.operations(marks);
        let keeps = |one: &&Acceptance| one.ends(&operations) > now;
        self.acceptances.iter().filter(keeps).map(|one| one.stamp.accepted_at).max()
    }

    /// Expiry operations on the record and on ranges, in the order of their signing; of those signed
    /// at one time the ranges' last.
    fn operations<'a>(&'a self, marks: &'a RangeMarks) -> Vec<&'a Mutation> {
        let mut operations: Vec<&Mutation> = self.expiries.iter().chain(marks.expiries()).collect();
        operations.sort_by_key(|operation| operation.signed_at());
        operations
    }

    /// Until when a member must remember what is said of a record that is gone: long enough that
    /// nothing that was said before can come back.
    pub fn remembered_until(&self) -> Timestamp {
        let stated = self.tombstone.iter().chain(&self.expiries).map(Mutation::signed_at).max();
        let life = TOMBSTONE_LIFE.saturating_add(TOMBSTONE_MARGIN);
        stated.unwrap_or_default().saturating_add(life)
    }

    /// Digest of the whole state: equal on two members exactly if they know the same.
    pub fn digest(&self) -> Digest {
        crypto::digest(STATE_LABEL, &[&wire::encode(self)])
    }
}

/// The acceptances that no other outdoes, the last first. One that is outdone ends no later than the
/// other and is covered by whatever covers the other, so that nothing depends on it.
fn foremost(mut acceptances: Vec<Acceptance>) -> Vec<Acceptance> {
    acceptances.sort_by_cached_key(Acceptance::rank);
    let mut kept: Vec<Acceptance> = Vec::with_capacity(acceptances.len());
    for one in acceptances {
        if !kept.iter().any(|other| other.outdoes(&one)) {
            kept.push(one);
        }
    }
    while kept.len() > ACCEPTANCES_MAX {
        let soonest = (1..kept.len()).min_by_key(|i| kept.get(*i).map(|one| one.stamp.expiry));
        kept.remove(soonest.unwrap_or(1));
    }
    kept
}

/// The set's rule: all but the newest are dropped, for a bound where members could not refuse.
fn newest(operations: Vec<Mutation>) -> Vec<Mutation> {
    let mut keyed: Vec<_> = operations.into_iter().map(|m| (m.order(), m)).collect();
    keyed.sort_by_key(|(order, _)| *order);
    keyed.dedup_by_key(|(order, _)| *order);
    keyed.drain(..keyed.len().saturating_sub(EXPIRIES_MAX));
    keyed.into_iter().map(|(_, m)| m).collect()
}
