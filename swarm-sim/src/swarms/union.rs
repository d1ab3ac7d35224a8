//! The probability that any of many rare events happens, by importance sampling over their union.
//!
//! Adler, Blanchet, Liu, "Efficient Monte Carlo for high excursions of Gaussian random fields", 2012; Owen, Maximov, Chertkov,
//! "Importance sampling the union of rare events with an application to power systems analysis", 2019. A swarm is chosen
//! in proportion to the probability that it is struck, marks are drawn given that it is, and the weight is the sum of all
//! probabilities over the number of swarms that are struck. Its mean is the probability that any is, and it lies between the sum over all
//! swarms' number and the sum: the rarer the events, the less it varies.

use super::chance::Event;
use super::map::Map;
use crate::special::hypergeometric;
use crate::stream::Stream;
use crate::stream::fast::Fast;

/// How often so many swarms were struck.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Found {
    /// The expected number of struck swarms.
    pub(crate) sum: f64,
    /// Samples with one struck swarm, with two, and so on.
    pub(crate) struck: Vec<u64>,
}

impl Found {
    pub(crate) fn samples(&self) -> u64 {
        self.struck.iter().sum()
    }

    /// Samples in which the choice of the struck swarm counts: another is struck as well.
    pub(crate) fn several(&self) -> u64 {
        self.struck.iter().skip(1).sum()
    }

    /// The mean weight.
    pub(crate) fn estimate(&self) -> f64 {
        let of = |(samples, swarms): (&u64, u32)| *samples as f64 / f64::from(swarms);
        let inverse = self.struck.iter().zip(1..).map(of).fold(0.0, |sum, share| sum + share);
        self.sum * (inverse / self.samples().max(1) as f64)
    }
}

/// The samples of one event on one map.
#[derive(Debug)]
pub(crate) struct Union {
    groups: Vec<Struck>,
    /// Marked nodes in all.
    marked: u64,
    /// Of each swarm: the marks with which it is struck; one more, out of reach, for nodes in no swarm.
    needed: Vec<u64>,
}

/// Swarms of one size, one of which is chosen to be struck.
#[derive(Debug)]
struct Struck {
    /// The expected number of these, and of those before, that are struck.
    below: f64,
    /// Its share of the truncated law of marks in a struck swarm: the numbers of marks, ascending, with their probabilities summed up.
    marks: Vec<(u64, f64)>,
    /// The swarm of every node outside the chosen swarm.
    others: Vec<u32>,
}

impl Union {
    /// Prepares; nothing to draw where no swarm can be struck.
    pub(crate) fn new(map: &Map, event: Event, marked: u64) -> Self {
        let sizes = map.groups.iter().flat_map(|group| (0..group.swarms).map(|_| group.size));
        let sizes: Vec<u64> = sizes.collect();
        let outside = map.nodes - map.placed();
        let of_each = (0u32..).zip(sizes.iter().chain([&outside]));
        let nodes: Vec<u32> =
            of_each.flat_map(|(swarm, size)| (0..*size).map(move |_| swarm)).collect();
        let (mut below, mut first, mut groups) = (0.0, 0, Vec::new());
        for group in &map.groups {
            // Swarms of one size are alike: the first stands for all.
            let chosen = first;
            first += u32::try_from(group.swarms).unwrap_or(u32::MAX);
            let each = event.of_swarm(map.nodes, marked, group.size);
            if each <= 0.0 {
                continue;
            }
            below += group.swarms as f64 * each;
            let mut sum = 0.0;
            let law = (event.needed(group.size)..=group.size.min(marked)).map(|hits| {
                sum += hypergeometric(map.nodes, marked, group.size, hits);
                (hits, sum)
            });
            let marks = law.collect();
            let others = nodes.iter().copied().filter(|swarm| *swarm != chosen).collect();
            groups.push(Struck { below, marks, others });
        }
        let needed = sizes.iter().map(|size| event.needed(*size)).chain([u64::MAX]);
        Self { groups, marked, needed: needed.collect() }
    }

    /// Draws weighted samples.
    pub(crate) fn draw(&mut self, samples: u32, stream: &mut Stream) -> Found {
        let sum = self.groups.last().map_or(0.0, |group| group.below);
        let mut found = Found { sum, struck: Vec::new() };
        if self.groups.is_empty() {
            return found;
        }
        let mut fast = Fast::from_stream(stream);
        let mut marks = vec![0u64; self.needed.len()];
        for _ in 0..samples {
            let at = sum * stream.unit();
            let chosen = self.groups.partition_point(|group| group.below < at);
            let chosen = chosen.min(self.groups.len() - 1);
            let Some(group) = self.groups.get_mut(chosen) else { break };
            let struck =
                1 + group.others_struck(self.marked, &self.needed, &mut marks, stream, &mut fast);
            if found.struck.len() < struck {
                found.struck.resize(struck, 0);
            }
            found.struck[struck - 1] += 1;
        }
        found
    }
}

impl Struck {
    /// Marks the chosen swarm so that it is struck, and the others with what is left. How many others are struck as well.
    fn others_struck(
        &mut self,
        marked: u64,
        needed: &[u64],
        marks: &mut [u64],
        stream: &mut Stream,
        fast: &mut Fast,
    ) -> usize {
        let whole = self.marks.last().map_or(0.0, |(_, sum)| *sum);
        let at = whole * stream.unit();
        let drawn = self.marks.iter().find(|(_, sum)| *sum >= at).or(self.marks.last());
        let left = marked - drawn.map_or(0, |(hits, _)| *hits);
        let left = usize::try_from(left).unwrap_or(usize::MAX).min(self.others.len());
        let mut struck = 0;
        for place in 0..left {
            let room = (self.others.len() - place) as u64;
            let other = place + usize::try_from(fast.below(room)).unwrap_or(0);
            self.others.swap(place, other);
            let swarm = self.others[place] as usize;
            marks[swarm] += 1;
            struck += usize::from(marks[swarm] == needed[swarm]);
        }
        self.others[..left].iter().for_each(|swarm| marks[*swarm as usize] = 0);
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::super::map::Group;
    use super::*;
    use crate::stream::{Entity, Streams};

    fn stream(seed: u64) -> Stream {
        Streams::new(seed, "union", 0).stream(Entity::World, "test")
    }

    /// So many swarms of each size, ascending, and nodes in none.
    fn map(groups: &[(u64, u64)], outside: u64) -> Map {
        let group = |(size, swarms): &(u64, u64)| Group { size: *size, swarms: *swarms, ring: 0.0 };
        let placed: u64 = groups.iter().map(|(size, swarms)| size * swarms).sum();
        Map { nodes: placed + outside, groups: groups.iter().map(group).collect() }
    }

    impl Found {
        /// Standard error of the estimate: that of the mean of 1 / (number of struck swarms).
        fn error(&self) -> f64 {
            let mean = self.estimate() / self.sum;
            let square = |(samples, swarms): (&u64, u32)| {
                let off = f64::from(swarms).recip() - mean;
                *samples as f64 * off * off
            };
            let squares: f64 = self.struck.iter().zip(1..).map(square).sum();
            self.sum * squares.sqrt() / self.samples() as f64
        }
    }

    /// Marks drawn without weights: how often any swarm is struck, and how many are on average.
    fn unweighted(map: &Map, event: Event, marked: usize, samples: u32) -> (f64, f64) {
        let mut stream = stream(9);
        let sizes = map.groups.iter().flat_map(|group| (0..group.swarms).map(|_| group.size));
        let sizes: Vec<u64> = sizes.collect();
        let (mut any, mut swarms) = (0, 0u32);
        for _ in 0..samples {
            let nodes = usize::try_from(map.nodes).unwrap();
            let marks: Vec<u64> =
                stream.choose(marked, nodes).iter().map(|at| *at as u64).collect();
            let (mut from, mut struck) = (0, 0);
            for size in &sizes {
                let of_swarm = marks.iter().filter(|at| (from..from + size).contains(*at)).count();
                struck += u32::from(of_swarm as u64 >= event.needed(*size));
                from += size;
            }
            any += u32::from(struck > 0);
            swarms += struck;
        }
        (f64::from(any) / f64::from(samples), f64::from(swarms) / f64::from(samples))
    }

    #[test]
    fn weighted_estimate_agrees_with_drawing_without_weights() {
        for (groups, outside, event, marked) in [
            (&[(3, 4), (5, 3), (7, 2)][..], 3, Event::Majority, 9),
            (&[(2, 5), (4, 4)], 0, Event::All, 11),
            // One swarm of its size: the nodes that it leaves to the others are none like it.
            (&[(3, 1), (9, 2)], 3, Event::Majority, 10),
            (&[(5, 6), (6, 3)], 4, Event::NoMajorityLeft, 14),
        ] {
            let map = map(groups, outside);
            let found = Union::new(&map, event, marked).draw(100_000, &mut stream(1));
            let (any, swarms) = unweighted(&map, event, usize::try_from(marked).unwrap(), 100_000);
            // Five standard errors of both together; the share's is below √(any (1 − any) / 100 000).
            let error = (found.error() * found.error() + any * (1.0 - any) / 1e5).sqrt();
            let (estimate, exact) = (found.estimate(), event.any(&map, marked));
            assert!((estimate - any).abs() < 5.0 * error, "{event:?}: {estimate}, {any} ± {error}");
            assert!(
                (estimate - exact).abs() < 5.0 * found.error(),
                "{event:?}: {estimate}, {exact}"
            );
            // Where several are struck at once, their number says more than whether any is.
            assert!(found.several() > 10_000 && swarms > 1.1 * any && found.sum > 1.1 * any);
            // The relative error of 100 000 samples.
            assert!(found.error() < 0.003 * exact, "{event:?}: {}", found.error() / exact);
        }
    }

    #[test]
    fn weighted_estimate_is_unbiased_over_many_seeds() {
        let map = map(&[(3, 3), (5, 3), (6, 2)], 2);
        let exact = Event::Majority.any(&map, 8);
        let estimate =
            |seed| Union::new(&map, Event::Majority, 8).draw(500, &mut stream(seed)).estimate();
        let found: Vec<f64> = (0..400).map(estimate).collect();
        let mean = found.iter().sum::<f64>() / 400.0;
        let squares: f64 = found.iter().map(|value| (value - mean) * (value - mean)).sum();
        let error = squares.sqrt() / 400.0;
        // Five standard errors of the mean of 400 seeds, which are 0.2 % of it.
        assert!((mean - exact).abs() < 5.0 * error, "{mean}, {exact} ± {error}");
        assert!(error < 0.002 * exact, "{error}, {exact}");
    }

    #[test]
    fn tiny_probabilities_are_estimated_to_within_a_millionth() {
        for (groups, outside, event, marked) in [
            (&[(9, 500)][..], 500, Event::Majority, 5),
            (&[(7, 1), (8, 1)], 985, Event::All, 12),
            (&[(5, 20), (6, 60), (7, 20)], 0, Event::All, 12),
        ] {
            let map = map(groups, outside);
            let found = Union::new(&map, event, marked).draw(20_000, &mut stream(3));
            let (estimate, exact) = (found.estimate(), event.any(&map, marked));
            assert!(exact < 2e-7 && found.samples() == 20_000, "{exact}");
            let off = (estimate / exact - 1.0).abs();
            // With two struck in a share d of samples the relative error is √(d / 4 / 20 000): below 1e-6 for d = 1e-7.
            assert!(off < 1e-6, "{event:?}: {estimate}, {exact}");
        }
        // Too few marks for any swarm: nothing is drawn, and the estimate is zero.
        let none = Union::new(&map(&[(7, 9)], 0), Event::All, 6).draw(10, &mut stream(4));
        assert_eq!((none.estimate().to_bits(), none.samples()), (0, 0));
    }

    #[test]
    fn every_sample_has_as_many_marks_as_there_are() {
        let map = map(&[(3, 2), (4, 2)], 1);
        // All 15 nodes marked: every swarm is struck every time, and each weight is the sum over their number.
        let found = Union::new(&map, Event::All, 15).draw(50, &mut stream(5));
        assert_eq!((found.struck, found.sum), (vec![0, 0, 0, 50], 4.0));
    }
}
