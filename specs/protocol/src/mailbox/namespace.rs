//! Namespaces: the drawers of a mailbox, and who may do what in each.
//!
//! The number alone decides the rule, so that every member judges alike without a table. The rules
//! are those of the deployed storage servers, but for one: their namespace −10, where anyone may
//! read and write, served a kind of group that does not exist here; −10 is a public inbox like any
//! other multiple of ten. Specified in 06 mailbox, section 2.

use core::fmt;

use serde::{Deserialize, Serialize};

/// A drawer of a mailbox, −32 768 to 32 767.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Namespace(i16);

/// The rule of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NamespaceClass {
    /// Multiples of ten: anyone may store, only the account reads.
    Inbox,
    /// −1, −21, −41, …: one record, stored by the account, read by anyone.
    Outbox,
    /// Everything else: the account alone.
    Own,
}

impl Namespace {
    /// The inbox of direct messages.
    pub const INBOX: Self = Self(0);
    /// The outbox with an account's device list and bundle.
    pub const OUTBOX: Self = Self(-1);

    /// Any number is a namespace.
    pub const fn new(number: i16) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> i16 {
        self.0
    }

    /// The rule.
    pub const fn class(self) -> NamespaceClass {
        if self.0 % 10 == 0 {
            NamespaceClass::Inbox
        } else if self.0 < 0 && -(self.0 as i32) % 20 == 1 {
            NamespaceClass::Outbox
        } else {
            NamespaceClass::Own
        }
    }

    /// Whether a revoked sub-account may still read: −11, −111, −211, …
    pub const fn revoked_may_read(self) -> bool {
        self.0 < 0 && -(self.0 as i32) % 100 == 11
    }

    /// The two bytes as they stand in signed strings and on the wire: little-endian.
    pub const fn to_le_bytes(self) -> [u8; 2] {
        self.0.to_le_bytes()
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One namespace, or all of an account at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// This one.
    One(Namespace),
    /// Every namespace of the account.
    All,
}

impl Scope {
    /// Three bytes for signed strings and keys: 0 and the number, or 1 and zeros.
    pub const fn to_bytes(self) -> [u8; 3] {
        match self {
            Self::One(namespace) => {
                let [low, high] = namespace.to_le_bytes();
                [0, low, high]
            }
            Self::All => [1, 0, 0],
        }
    }

    /// Whether the scope reaches into `namespace`.
    pub fn contains(self, namespace: Namespace) -> bool {
        self == Self::All || self == Self::One(namespace)
    }
}

/// How long a record may stay in its swarm, in whole seconds.
///
/// In inboxes, which strangers write to, and for chunks only the values of [`Ttl::PUBLIC`] exist:
/// a free choice would mark the sender's software or habits. Where the account alone writes, any
/// value from [`Ttl::MIN`] to [`Ttl::MAX`] does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ttl(u32);

impl Ttl {
    /// 10 s: shorter, and a record can expire while it is still being replicated.
    pub const MIN: Self = Self(10);
    /// 1 hour.
    pub const HOUR: Self = Self(60 * 60);
    /// 1 day.
    pub const DAY: Self = Self(24 * 60 * 60);
    /// 7 days.
    pub const WEEK: Self = Self(7 * 24 * 60 * 60);
    /// 14 days: the most for inboxes and chunks.
    pub const FORTNIGHT: Self = Self(14 * 24 * 60 * 60);
    /// 30 days: the most where the account alone writes.
    pub const MAX: Self = Self(30 * 24 * 60 * 60);
    /// What strangers may ask for.
    pub const PUBLIC: [Self; 4] = [Self::HOUR, Self::DAY, Self::WEEK, Self::FORTNIGHT];

    /// Accepts a lifetime for a record in `class`, or `None` if the class does not allow it.
    pub fn for_class(class: NamespaceClass, secs: u32) -> Option<Self> {
        let ttl = Self(secs);
        match class {
            NamespaceClass::Inbox => ttl.public(),
            NamespaceClass::Outbox | NamespaceClass::Own => {
                (Self::MIN..=Self::MAX).contains(&ttl).then_some(ttl)
            }
        }
    }

    /// Accepts a lifetime for a chunk.
    pub fn for_chunk(secs: u32) -> Option<Self> {
        Self(secs).public()
    }

    fn public(self) -> Option<Self> {
        Self::PUBLIC.contains(&self).then_some(self)
    }

    /// Whole seconds.
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// As a span of time.
    pub const fn as_duration(self) -> core::time::Duration {
        core::time::Duration::from_secs(self.0 as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(number: i16) -> NamespaceClass {
        Namespace::new(number).class()
    }

    #[test]
    fn number_decides_the_rule() {
        for number in [0, 10, -10, -20, 30, 32_760, -32_760] {
            assert_eq!(class(number), NamespaceClass::Inbox, "{number}");
        }
        for number in [-1, -21, -41, -32_761] {
            assert_eq!(class(number), NamespaceClass::Outbox, "{number}");
        }
        for number in [1, 11, 21, -11, -31, -111, -2, i16::MAX, i16::MIN] {
            assert_eq!(class(number), NamespaceClass::Own, "{number}");
        }
    }

    #[test]
    fn only_minus_eleven_and_its_hundreds_stay_readable_for_the_revoked() {
        let readable: Vec<i16> =
            (-320..=320).filter(|n| Namespace::new(*n).revoked_may_read()).collect();
        assert_eq!(readable, [-311, -211, -111, -11]);
    }

    #[test]
    fn strangers_choose_from_four_lifetimes_and_owners_freely() {
        let inbox = |secs| Ttl::for_class(NamespaceClass::Inbox, secs).map(Ttl::as_secs);
        assert_eq!(inbox(3600), Some(3600));
        assert_eq!(inbox(3601), None);
        assert_eq!(inbox(30 * 86_400), None);
        let own = |secs| Ttl::for_class(NamespaceClass::Own, secs).map(Ttl::as_secs);
        assert_eq!(own(9), None);
        assert_eq!(own(10), Some(10));
        assert_eq!(own(30 * 86_400), Some(2_592_000));
        assert_eq!(own(30 * 86_400 + 1), None);
        assert_eq!(Ttl::for_chunk(14 * 86_400), Some(Ttl::FORTNIGHT));
        assert_eq!(Ttl::for_chunk(30 * 86_400), None);
    }
}
