//! Importance sampling of probabilities that are too small to be hit by chance.
//!
//! A swarm, quorum, path or set of copies is drawn member after member, each marked (malicious, gone, up) with a tilted probability
//! that makes the event common, whoever was drawn before. The weight is the probability of these members by the true
//! law over that by the tilted one, and 0 where the event does not happen; its mean is the probability sought, whatever the tilt.
//! Members can be exchanged under both laws, so the weight depends on the number of marked ones only, and is largest where
//! the event just happens: Siegmund, "Importance sampling in the Monte Carlo study of sequential tests", 1976; Asmussen, Glynn,
//! Stochastic Simulation, 2007. Of trials one after the other, the first success is drawn likewise, by a geometric law
//! under which it comes within them more often than not.

use super::draw::{chance, honest_picks};
use super::params::Args;
use super::{forms, guards, lifetime};
use crate::stats;
use crate::stream::Stream;

/// Below this closed form's value samples are weighted: ten thousand others would be expected to hit it less than once.
pub(super) const RARE: f64 = 1e-4;

/// What is drawn so that a rare event is common.
#[derive(Clone, Debug)]
pub(super) enum Rare {
    /// Members of which enough have to be marked.
    Members(Members),
    /// Trials of which one has to succeed.
    Trials(Trials),
    /// Trials, of which there are as many as guards were picked.
    Guards(guards::Set),
    /// Copies of a store, all of which have to be lost within a time; none where they cannot be.
    Copies(Option<lifetime::Loss>),
}

impl Rare {
    /// Draws once; the logarithm of the weight.
    fn ln_weight(&self, stream: &mut Stream) -> f64 {
        match self {
            Self::Members(members) => members.ln_weight(stream),
            Self::Trials(trials) => trials.ln_weight(stream),
            Self::Guards(set) => set.trials(stream).ln_weight(stream),
            Self::Copies(loss) => loss.as_ref().map_or(NEVER, |loss| loss.ln_weight(stream)),
        }
    }

    /// The logarithm of the largest weight, or of one about as large.
    fn ln_most(&self) -> f64 {
        match self {
            Self::Members(members) => members.ln_most(),
            Self::Trials(trials) => trials.ln_most(),
            Self::Guards(set) => set.mean_trials().ln_most(),
            Self::Copies(loss) => loss.as_ref().map_or(NEVER, lifetime::Loss::ln_most),
        }
    }
}

/// The logarithm of the weight of what does not happen.
pub(super) const NEVER: f64 = f64::NEG_INFINITY;

/// Weights as shares of about the largest one, whose squares are numbers also where it is tiny.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    rare: Rare,
    ln_most: f64,
}

impl Shares {
    pub(super) fn of(rare: Rare) -> Self {
        let ln_most = rare.ln_most();
        Self { rare, ln_most }
    }

    /// Draws once; the share.
    pub(super) fn draw(&self, stream: &mut Stream) -> f64 {
        let ln = self.rare.ln_weight(stream);
        if ln == NEVER { 0.0 } else { libm::exp(ln - self.ln_most) }
    }

    /// The mean weight, and its 95 % interval: its lower end as if one more sample had missed the event, its upper end as if one
    /// more had the largest weight.
    pub(super) fn estimate(&self, shares: &Weights) -> (f64, f64, f64) {
        let (low, high) = shares.interval(0.0, 1.0);
        let of = |share: f64| libm::exp(libm::log(share) + self.ln_most);
        (of(shares.mean), of(low.max(0.0)), of(high).min(1.0))
    }
}

/// Independent trials, one after the other, of which one has to succeed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trials {
    /// Probability that one succeeds.
    pub(super) share: f64,
    /// How many there are.
    pub(super) count: f64,
}

impl Trials {
    /// The probability with which a trial succeeds when it is drawn.
    fn tilt(&self) -> f64 {
        (1.0 + self.count).recip()
    }

    /// The logarithm of the weight of so many failures before the first success.
    fn ln_weight_of(&self, failures: f64) -> f64 {
        if failures >= self.count {
            return NEVER;
        }
        let each = libm::log1p(-self.share) - libm::log1p(-self.tilt());
        libm::log(self.share) - libm::log(self.tilt()) + failures * each
    }

    fn ln_weight(&self, stream: &mut Stream) -> f64 {
        self.ln_weight_of(honest_picks(self.tilt(), stream))
    }

    /// The last trial's success weighs most, as failures are likelier in truth.
    fn ln_most(&self) -> f64 {
        self.ln_weight_of(self.count - 1.0)
    }
}

/// Members of which enough have to be marked: of the first ones, and of those that follow.
#[derive(Clone, Copy, Debug)]
pub(super) struct Members {
    law: Law,
    groups: [Group; 2],
}

/// So many members, of which so many or more have to be marked.
#[derive(Clone, Copy, Debug)]
struct Group {
    size: u64,
    at_least: u64,
}

/// How members are marked in truth.
#[derive(Clone, Copy, Debug)]
enum Law {
    /// They are different nodes, of which some are marked.
    Urn { nodes: u64, marked: u64 },
    /// Each alone, with this probability; `rest` is one minus it.
    Alone { marked: f64, rest: f64 },
}

/// A sum of samples' weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights {
    pub(super) samples: u64,
    pub(super) mean: f64,
    /// Sum of squared differences from the mean.
    pub(super) squares: f64,
}

impl Group {
    const NONE: Self = Self { size: 0, at_least: 0 };

    /// The probability with which members are marked when they are drawn: that of the least event, but never certain, so that
    /// an interval can come from the samples.
    fn tilt(&self) -> f64 {
        (self.at_least as f64).min(self.size as f64 - 0.5) / self.size as f64
    }
}

impl Members {
    /// The logarithm of the weight of members of which this says, one after the other, whether they are marked; it is told the probability
    /// with which they are to be.
    fn ln_weight_of(&self, mut is_marked: impl FnMut(f64) -> bool) -> f64 {
        let (mut law, mut ln) = (self.law, 0.0);
        for group in self.groups {
            let (tilt, mut hits) = (group.tilt(), 0);
            let (ln_tilt, ln_rest) = (libm::log(tilt), libm::log1p(-tilt));
            for left in (0..group.size).rev() {
                let is_hit = is_marked(tilt);
                hits += u64::from(is_hit);
                if hits + left < group.at_least {
                    return NEVER;
                }
                let share = law.draw(is_hit);
                if share <= 0.0 {
                    return NEVER;
                }
                ln += libm::log(share) - if is_hit { ln_tilt } else { ln_rest };
            }
        }
        ln
    }

    /// Draws members; the logarithm of their weight.
    fn ln_weight(&self, stream: &mut Stream) -> f64 {
        self.ln_weight_of(|tilt| chance(tilt, stream))
    }

    /// That of the largest weight: no more members marked than needed, and those first.
    fn ln_most(&self) -> f64 {
        let mut marks =
            self.groups.iter().flat_map(|group| (0..group.size).map(|at| at < group.at_least));
        self.ln_weight_of(|_| marks.next().unwrap_or(false))
    }
}

impl Weights {
    /// Student's 95 % interval of the mean, its ends no nearer than if one more sample had had these values. With many
    /// samples that is nothing; few, which may all be the same, are kept from feigning certainty.
    pub(super) fn interval(&self, low: f64, high: f64) -> (f64, f64) {
        let with = |value: f64| {
            let (n, off) = (self.samples as f64, value - self.mean);
            let squares = self.squares + off * off * n / (n + 1.0);
            (self.mean + off / (n + 1.0), stats::student_half(squares, self.samples + 1))
        };
        let half = stats::student_half(self.squares, self.samples);
        let ((low, below), (high, above)) = (with(low), with(high));
        ((low - below).min(self.mean - half), (high + above).max(self.mean + half))
    }
}

impl Law {
    /// The probability that the next member is of this kind; it is then drawn.
    fn draw(&mut self, is_marked: bool) -> f64 {
        match self {
            Self::Urn { nodes, marked } => {
                let of_kind = if is_marked { *marked } else { *nodes - *marked };
                if of_kind == 0 {
                    return 0.0;
                }
                let share = of_kind as f64 / *nodes as f64;
                *nodes -= 1;
                *marked -= u64::from(is_marked);
                share
            }
            Self::Alone { marked, rest } => {
                if is_marked {
                    *marked
                } else {
                    *rest
                }
            }
        }
    }
}

fn members(law: Law, size: u64, at_least: u64) -> Rare {
    Rare::Members(Members { law, groups: [Group { size, at_least }, Group::NONE] })
}

fn urn(args: &Args, marked: u64, size: u64, at_least: u64) -> Rare {
    members(Law::Urn { nodes: args.count("nodes"), marked }, size, at_least)
}

pub(super) fn path_all_hops(args: &Args) -> Rare {
    let hops = args.count("hops");
    urn(args, args.count("malicious"), hops, hops)
}

pub(super) fn path_any_hop(args: &Args) -> Rare {
    urn(args, args.count("malicious"), args.count("hops"), 1)
}

pub(super) fn path_both_ends(args: &Args) -> Rare {
    // Whichever two of the hops: they are drawn like the first two.
    urn(args, args.count("malicious"), 2, 2)
}

pub(super) fn request_both_ends(args: &Args) -> Rare {
    let law = Law::Urn { nodes: args.count("nodes"), marked: args.count("malicious") };
    // The guard, then exit and destination: the middle may come last.
    let groups = [Group { size: 1, at_least: 1 }, Group { size: 2, at_least: 1 }];
    Rare::Members(Members { law, groups })
}

pub(super) fn guards_day_zero(args: &Args) -> Rare {
    urn(args, args.count("malicious"), args.count("guards"), 1)
}

pub(super) fn fresh_paths_compromise(args: &Args) -> Rare {
    let mut ends = Law::Urn { nodes: args.count("nodes"), marked: args.count("malicious") };
    let share = ends.draw(true) * ends.draw(true);
    Rare::Trials(Trials { share, count: args.count("paths") as f64 })
}

pub(super) fn guard_compromise_by(args: &Args) -> Rare {
    let count = forms::picks(args).unwrap_or(0) as f64;
    Rare::Trials(Trials { share: args.real("malicious_share"), count })
}

pub(super) fn guard_set_compromise_by(args: &Args) -> Rare {
    Rare::Guards(guards::Set::of(args))
}

pub(super) fn capture(args: &Args) -> Rare {
    urn(args, args.count("malicious"), args.count("size"), args.count("at_least"))
}

pub(super) fn burst_loss(args: &Args) -> Rare {
    let size = args.count("size");
    urn(args, forms::lost(args), size, size)
}

pub(super) fn swarm_availability(args: &Args) -> Rare {
    let up = args.decimal("availability");
    let law = Law::Alone { marked: up.value(), rest: up.complement() };
    members(law, args.count("size"), args.count("at_least"))
}

pub(super) fn loss_within(args: &Args) -> Rare {
    Rare::Copies(lifetime::Loss::of(args))
}

pub(super) fn loss_without_repair(args: &Args) -> Rare {
    let (size, lives) = (args.count("size"), args.real("time") / args.real("mean_life"));
    let law = Law::Alone { marked: -libm::expm1(-lives), rest: libm::exp(-lives) };
    members(law, size, size)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::hypergeometric;

    fn of(law: Law, size: u64, at_least: u64) -> Members {
        Members { law, groups: [Group { size, at_least }, Group::NONE] }
    }

    /// The weight of members of whom these are marked.
    fn weight(members: &Members, marks: &[bool]) -> f64 {
        let mut marks = marks.iter();
        libm::exp(members.ln_weight_of(|_| *marks.next().unwrap()))
    }

    #[test]
    fn weights_times_their_frequency_sum_to_the_law() {
        // 4 or more of 6 drawn from 20 with 5 marked: each number of marks x is drawn by a binomial law with tilt 4 / 6.
        let members = of(Law::Urn { nodes: 20, marked: 5 }, 6, 4);
        for (hits, ways) in [(3, 20.0), (4, 15.0), (5, 6.0), (6, 1.0)] {
            let marks: Vec<bool> = (0..6).map(|at| at < hits).collect();
            let weight = weight(&members, &marks);
            let (hit, miss) = (2.0f64 / 3.0, 1.0f64 / 3.0);
            let drawn = ways * hit.powi(hits) * miss.powi(6 - hits);
            let hits = u64::try_from(hits).unwrap();
            let exact = if hits < 4 { 0.0 } else { hypergeometric(20, 5, 6, hits) };
            assert!((weight * drawn - exact).abs() <= 1e-13 * exact, "{hits}: {weight}");
        }
    }

    #[test]
    fn each_group_needs_marks_of_its_own() {
        // A guard and one of two others, of 9 nodes of which 3 are marked: tilts are 1/2, 1/2 and 1/2.
        let groups = [Group { size: 1, at_least: 1 }, Group { size: 2, at_least: 1 }];
        let members = Members { law: Law::Urn { nodes: 9, marked: 3 }, groups };
        for (marks, exact) in [
            ([false, true, true], 0.0),
            ([true, false, false], 0.0),
            ([true, true, true], 3.0 / 9.0 * 2.0 / 8.0 * 1.0 / 7.0),
            ([true, true, false], 3.0 / 9.0 * 2.0 / 8.0 * 6.0 / 7.0),
            ([true, false, true], 3.0 / 9.0 * 6.0 / 8.0 * 2.0 / 7.0),
        ] {
            let found = weight(&members, &marks) / 8.0;
            assert!((found - exact).abs() <= 1e-13 * exact, "{marks:?}: {found}");
        }
        assert_eq!(libm::exp(members.ln_most()), weight(&members, &[true, true, false]));
    }

    #[test]
    fn first_success_has_its_probability_whenever_it_comes() {
        let trials = Trials { share: 0.02, count: 3.0 };
        for failures in [0.0, 1.0, 2.0] {
            let found = libm::exp(trials.ln_weight_of(failures)) * 0.25 * libm::pow(0.75, failures);
            let exact = 0.02 * libm::pow(0.98, failures);
            assert!((found / exact - 1.0).abs() < 1e-12, "{failures}: {found}");
        }
        assert_eq!((trials.ln_weight_of(3.0), trials.ln_most()), (NEVER, trials.ln_weight_of(2.0)));
        assert!(trials.ln_most() > trials.ln_weight_of(1.0));
    }

    #[test]
    fn interval_is_never_a_point() {
        let members = of(Law::Urn { nodes: 2000, marked: 20 }, 7, 7);
        let exact = crate::special::hypergeometric_upper(2000, 20, 7, 7);
        let interval = |samples: u64, hits: u64| {
            let (n, hits) = (samples as f64, hits as f64);
            let (mean, squares) = (hits / n, hits * (n - hits) / n);
            Shares::of(Rare::Members(members)).estimate(&Weights { samples, mean, squares })
        };
        // Every hit weighs the same: the probability over that of drawing it, (6.5 / 7)^7.
        let each = libm::exp(members.ln_most());
        assert!((each * libm::pow(6.5 / 7.0, 7.0) / exact - 1.0).abs() < 1e-12);
        for (samples, hits) in [(2, 0), (2, 2), (4, 4), (50, 30)] {
            let (_, low, high) = interval(samples, hits);
            assert!(low < exact && exact < high, "{samples} {hits}: {low} {high} {exact}");
        }
    }
}
