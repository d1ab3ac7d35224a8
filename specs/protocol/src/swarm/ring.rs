//! The ring: points, their owners, and the arcs that swarms own.

use crate::id::SwarmId;

/// A place on the 64-bit ring.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Point(pub u64);

/// The point of a 32-byte public key, taken without the prefix byte of an id: the XOR of its four
/// big-endian words.
pub fn point(key: &[u8; 32]) -> Point {
    let mut sum = 0;
    for word in key.chunks_exact(8) {
        let word = word.iter().fold(0, |value, &byte| (value << 8) | u64::from(byte));
        sum ^= word;
    }
    Point(sum)
}

/// The nearest of `swarms`, which are sorted; of two at the same distance the lower one, that is
/// the one met first when walking down from the point, through zero if need be.
pub fn owner(point: Point, swarms: &[SwarmId]) -> Option<SwarmId> {
    let (&first, &last) = (swarms.first()?, swarms.last()?);
    let at = swarms.partition_point(|swarm| swarm.position() < point.0);
    let upper = swarms.get(at).copied().unwrap_or(first);
    let lower = at.checked_sub(1).and_then(|below| swarms.get(below)).copied().unwrap_or(last);
    let up = upper.position().wrapping_sub(point.0);
    let down = point.0.wrapping_sub(lower.position());
    Some(if up < down { upper } else { lower })
}

/// A stretch of the ring, both ends included; it may run through zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arc {
    /// The lowest point, in the sense of walking up.
    pub first: Point,
    /// The highest point. One below `first` if the arc is the whole ring.
    pub last: Point,
}

impl Arc {
    /// Whether the point lies on the arc.
    pub const fn contains(self, point: Point) -> bool {
        point.0.wrapping_sub(self.first.0) <= self.last.0.wrapping_sub(self.first.0)
    }

    /// Number of points, from 1 to 2⁶⁴.
    pub fn points(self) -> u128 {
        u128::from(self.last.0.wrapping_sub(self.first.0)) + 1
    }
}

/// The last point that belongs to `lower` when `upper` is its neighbour above.
const fn border(lower: SwarmId, upper: SwarmId) -> u64 {
    let gap = upper.position().wrapping_sub(lower.position());
    lower.position().wrapping_add(gap / 2)
}

/// What the `index`-th of the sorted `swarms` owns.
fn arc_at(index: usize, swarms: &[SwarmId]) -> Option<Arc> {
    let own = *swarms.get(index)?;
    if swarms.len() == 1 {
        let last = own.position().wrapping_sub(1);
        return Some(Arc { first: Point(own.position()), last: Point(last) });
    }
    let lower = *swarms.get(index.checked_sub(1).unwrap_or(swarms.len() - 1))?;
    let upper = *swarms.get((index + 1) % swarms.len())?;
    Some(Arc { first: Point(border(lower, own).wrapping_add(1)), last: Point(border(own, upper)) })
}

/// What `swarm` owns among the sorted `swarms`; `None` if it is not one of them.
pub fn arc_of(swarm: SwarmId, swarms: &[SwarmId]) -> Option<Arc> {
    arc_at(swarms.binary_search(&swarm).ok()?, swarms)
}

/// A stretch whose owner changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandOver {
    /// The stretch.
    pub arc: Arc,
    /// Who owns it before.
    pub from: SwarmId,
    /// Who owns it after.
    pub to: SwarmId,
}

/// The stretches that change their owner when the sorted ring `before` becomes `after`, in
/// ascending order of their first point. Empty if either ring is.
pub fn hand_overs(before: &[SwarmId], after: &[SwarmId]) -> Vec<HandOver> {
    let firsts = |ring: &[SwarmId]| -> Vec<u64> {
        (0..ring.len()).filter_map(|i| arc_at(i, ring)).map(|arc| arc.first.0).collect()
    };
    let mut starts = firsts(before);
    starts.extend(firsts(after));
    starts.sort_unstable();
    starts.dedup();
    let mut moved: Vec<HandOver> = Vec::new();
    for (i, &start) in starts.iter().enumerate() {
        let (Some(from), Some(to)) = (owner(Point(start), before), owner(Point(start), after))
        else {
            return Vec::new();
        };
        if from == to {
            continue;
        }
        let next = starts.get(i + 1).or(starts.first()).copied().unwrap_or(start);
        let last = Point(next.wrapping_sub(1));
        match moved.last_mut() {
            Some(open)
                if open.from == from
                    && open.to == to
                    && open.arc.last.0.wrapping_add(1) == start =>
            {
                open.arc.last = last;
            }
            _ => moved.push(HandOver { arc: Arc { first: Point(start), last }, from, to }),
        }
    }
    moved
}

/// The id of a new swarm among the sorted `swarms`: 0 if there is none, else the middle of the
/// largest gap, rounded down; of several such gaps the one above the smallest id.
pub(super) fn new_swarm_id(swarms: &[SwarmId]) -> Option<SwarmId> {
    let mut best: Option<(u128, u64)> = None;
    for (i, swarm) in swarms.iter().enumerate() {
        let upper = swarms.get((i + 1) % swarms.len())?;
        let gap = if swarms.len() == 1 {
            1 << 64
        } else {
            u128::from(upper.position().wrapping_sub(swarm.position()))
        };
        if best.is_none_or(|(largest, _)| gap > largest) {
            best = Some((gap, swarm.position()));
        }
    }
    let Some((gap, below)) = best else { return SwarmId::new(0) };
    let half = u64::try_from(gap / 2).ok()?;
    let middle = below.wrapping_add(half);
    // The last position names no swarm.
    SwarmId::new(if middle == u64::MAX { middle - 1 } else { middle })
}
