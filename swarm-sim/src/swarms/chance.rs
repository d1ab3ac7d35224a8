//! What is exact given a map: chances of one swarm, of a random mailbox, and of any swarm.

use enjambre_protocol::swarm::majority;

use super::map::Map;
use crate::special::{binomial, hypergeometric_upper};

/// What may befall a swarm of which some members are marked: malicious, or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A majority is marked.
    Majority,
    /// One member is.
    One,
    /// All are.
    All,
    /// So many that those left are no majority.
    NoMajorityLeft,
}

impl Event {
    /// The fewest marked members with which it happens to a swarm of `size`.
    pub(crate) fn needed(self, size: u64) -> u64 {
        let most = majority(usize::try_from(size).unwrap_or(usize::MAX)) as u64;
        match self {
            Self::Majority => most,
            Self::One => 1,
            Self::All => size,
            Self::NoMajorityLeft => (size + 1).saturating_sub(most),
        }
    }

    /// Its probability for one swarm of `size`, with `marked` of `nodes` drawn uniformly.
    pub(crate) fn of_swarm(self, nodes: u64, marked: u64, size: u64) -> f64 {
        hypergeometric_upper(nodes, marked, size, self.needed(size))
    }

    /// The expected number of swarms that it happens to.
    pub(crate) fn swarms(self, map: &Map, marked: u64) -> f64 {
        let of_group = |size, swarms| swarms as f64 * self.of_swarm(map.nodes, marked, size);
        map.groups.iter().map(|group| of_group(group.size, group.swarms)).sum()
    }

    /// The expected share of swarms that it happens to.
    pub(crate) fn share(self, map: &Map, marked: u64) -> f64 {
        self.swarms(map, marked) / map.swarms().max(1) as f64
    }

    /// The probability that it happens to the swarm of a random account.
    pub(crate) fn mailbox(self, map: &Map, marked: u64) -> f64 {
        let groups = map.groups.iter();
        groups.map(|group| group.ring * self.of_swarm(map.nodes, marked, group.size)).sum()
    }

    /// The probability that it happens to any swarm.
    ///
    /// Let every node be marked with probability marked/nodes, alone: then swarms are independent, and given that `marked`
    /// are in all, the marks are a uniform draw. Swarm after swarm is added to the joint law of marks so far and of whether the
    /// event was among them; only products and sums of positive terms, so tiny values keep their digits.
    pub(crate) fn any(self, map: &Map, marked: u64) -> f64 {
        let nodes = map.nodes as f64;
        let (p, q) = (marked as f64 / nodes, (map.nodes - marked) as f64 / nodes);
        let most = usize::try_from(marked).unwrap_or(0);
        let mut law = Law { none: vec![1.0], some: vec![0.0], most };
        for group in &map.groups {
            let marks: Vec<f64> =
                (0..=group.size).map(|hits| binomial(group.size, hits, p, q)).collect();
            let needed = usize::try_from(self.needed(group.size)).unwrap_or(usize::MAX);
            (0..group.swarms).for_each(|_| law.add(&marks, needed));
        }
        let outside = map.nodes - map.placed();
        let rest: Vec<f64> = (0..=outside).map(|hits| binomial(outside, hits, p, q)).collect();
        law.add(&rest, usize::MAX);
        let at = |law: &[f64]| law.get(most).copied().unwrap_or(0.0);
        at(&law.some) / (at(&law.some) + at(&law.none))
    }
}

/// The joint law of the number of marks and of whether an event was among them, up to a number of marks.
#[derive(Debug)]
struct Law {
    none: Vec<f64>,
    some: Vec<f64>,
    most: usize,
}

impl Law {
    /// Adds nodes that have so many marks with these probabilities, and the event from `needed` marks on.
    fn add(&mut self, marks: &[f64], needed: usize) {
        let len = (self.none.len() + marks.len() - 1).min(self.most + 1);
        let (mut none, mut some) = (vec![0.0; len], vec![0.0; len]);
        for (before, (without, with)) in self.none.iter().zip(&self.some).enumerate() {
            for (hits, share) in marks.iter().enumerate().take(len.saturating_sub(before)) {
                let to = if hits >= needed { &mut some } else { &mut none };
                to[before + hits] += without * share;
                some[before + hits] += with * share;
            }
        }
        (self.none, self.some) = (none, some);
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::Group;
    use super::*;

    const EVENTS: [Event; 4] = [Event::Majority, Event::One, Event::All, Event::NoMajorityLeft];

    /// A map of swarms of these sizes, ascending, and nodes in none; the ring is theirs alike.
    fn map(sizes: &[u64], outside: u64) -> Map {
        let mut groups: Vec<Group> = Vec::new();
        let ring = 1.0 / sizes.len() as f64;
        for size in sizes {
            match groups.last_mut() {
                Some(group) if group.size == *size => {
                    group.swarms += 1;
                    group.ring += ring;
                }
                _ => groups.push(Group { size: *size, swarms: 1, ring }),
            }
        }
        Map { nodes: sizes.iter().sum::<u64>() + outside, groups }
    }

    /// By looking at every way to mark nodes: expected number of swarms, and probability of any.
    fn enumerated(sizes: &[u64], outside: u64, marked: u64, event: Event) -> (f64, f64) {
        let nodes = sizes.iter().sum::<u64>() + outside;
        let (mut all, mut swarms, mut any) = (0u64, 0u64, 0u64);
        for marks in (0u64..1 << nodes).filter(|marks| u64::from(marks.count_ones()) == marked) {
            let (mut rest, mut struck) = (marks, 0);
            for size in sizes {
                let hits = u64::from((rest & ((1 << size) - 1)).count_ones());
                rest >>= size;
                struck += u64::from(hits >= event.needed(*size));
            }
            all += 1;
            swarms += struck;
            any += u64::from(struck > 0);
        }
        (swarms as f64 / all as f64, any as f64 / all as f64)
    }

    fn near(found: f64, exact: f64) -> bool {
        (found - exact).abs() <= 1e-12 * exact
    }

    #[test]
    fn events_need_as_many_marks_as_their_names_say() {
        let needed = |event: Event| [4, 5, 6, 7].map(|size| event.needed(size));
        assert_eq!(needed(Event::Majority), [3, 3, 4, 4]);
        assert_eq!(needed(Event::One), [1; 4]);
        assert_eq!(needed(Event::All), [4, 5, 6, 7]);
        // 1 of 4 may go, 2 of 5, 2 of 6 and 3 of 7.
        assert_eq!(needed(Event::NoMajorityLeft), [2, 3, 3, 4]);
    }

    #[test]
    fn chances_agree_with_looking_at_every_way_to_mark_nodes() {
        for (sizes, outside) in
            [(&[3, 4, 5][..], 3), (&[2, 2, 3, 3, 5], 0), (&[6], 2), (&[1, 7], 5)]
        {
            let map = map(sizes, outside);
            for marked in 0..=map.nodes {
                for event in EVENTS {
                    let (swarms, any) = enumerated(sizes, outside, marked, event);
                    let found = (event.swarms(&map, marked), event.any(&map, marked));
                    let right = near(found.0, swarms) && near(found.1, any);
                    assert!(right, "{sizes:?} {marked} {event:?}: {found:?}, {swarms} {any}");
                    let share = swarms / sizes.len() as f64;
                    assert!(near(event.share(&map, marked), share));
                    assert!(near(event.mailbox(&map, marked), share));
                }
            }
        }
    }

    #[test]
    fn mailbox_counts_swarms_by_their_share_of_the_ring() {
        let group = |size, ring| Group { size, swarms: 1, ring };
        let map = Map { nodes: 10, groups: vec![group(2, 0.9), group(3, 0.1)] };
        // All of 2 among 4 of 10: 4 · 3 / 90; all of 3: 4 · 3 · 2 / 720.
        let expected = 0.9 * 12.0 / 90.0 + 0.1 * 24.0 / 720.0;
        assert!(near(Event::All.mailbox(&map, 4), expected));
    }

    /// (n choose k) as a product.
    fn ways(n: u64, k: u64) -> f64 {
        (0..k).map(|i| (n - i) as f64 / (k - i) as f64).product()
    }

    #[test]
    fn tiny_chances_of_any_swarm_are_exact() {
        // 5 marked of 5000 suffice for one swarm of 9 only: the events exclude each other.
        let (many, marked) = (map(&[9; 500], 500), 5);
        let sum = 500.0 * ways(9, 5) / ways(5000, 5);
        assert!(sum < 3e-12, "{sum}");
        assert!((Event::Majority.any(&many, marked) / sum - 1.0).abs() < 1e-11);
        // Two swarms, by inclusion and exclusion with the multivariate hypergeometric law.
        let two = map(&[7, 8], 985);
        for (marked, event) in [(12, Event::All), (9, Event::Majority), (300, Event::All)] {
            let of = |a: u64, b: u64| {
                let rest = (a + b <= marked).then(|| ways(985, marked - a - b));
                rest.map_or(0.0, |rest| ways(7, a) * ways(8, b) * (rest / ways(1000, marked)))
            };
            let (a, b) = (event.needed(7), event.needed(8));
            let sum = |hit: &dyn Fn(u64, u64) -> bool| -> f64 {
                let pairs = (0..=7).flat_map(|x| (0..=8).map(move |y| (x, y)));
                pairs.filter(|(x, y)| hit(*x, *y)).map(|(x, y)| of(x, y)).sum()
            };
            let exact = sum(&|x, _| x >= a) + sum(&|_, y| y >= b) - sum(&|x, y| x >= a && y >= b);
            let found = event.any(&two, marked);
            assert!((found / exact - 1.0).abs() < 1e-10, "{marked}: {found}, {exact}");
        }
    }
}
