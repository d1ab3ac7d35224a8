//! Counting: how many members make a write durable and a read complete.

use super::state::{Configuration, Member};

/// More than half of `n`.
pub const fn majority(n: usize) -> usize {
    n / 2 + 1
}

/// The fewest members that share at least one with every majority of `n`: n − majority + 1.
/// Zero for an empty list.
pub const fn read_quorum(n: usize) -> usize {
    n + 1 - majority(n)
}

/// How many of `members` are among `found`.
fn count(members: &[Member], found: &[Member]) -> usize {
    members.iter().filter(|member| found.contains(member)).count()
}

/// Whether `acks` hold a majority of `members`. No list without members is ever satisfied.
pub(super) fn majority_of(members: &[Member], acks: &[Member]) -> bool {
    count(members, acks) >= majority(members.len())
}

/// Whether the members that acknowledged a write are a majority of stable and, while a change is
/// in hand, of target. A swarm in formation has no stable list, and one that dissolves no target;
/// where a range changes its owner, ask [`super::Route::write_satisfied`] instead.
///
/// Members that are not of the configuration, or under another store id, do not count; one that is
/// named twice counts once.
pub fn write_satisfied(acks: &[Member], configuration: &Configuration) -> bool {
    configuration.lists().all(|list| majority_of(list, acks))
}

/// Whether the members that answered a read are a read quorum of stable, so that at least one of
/// them holds each write that was acknowledged.
pub fn read_satisfied(answers: &[Member], configuration: &Configuration) -> bool {
    let stable = &configuration.stable;
    !stable.is_empty() && count(stable, answers) >= read_quorum(stable.len())
}
