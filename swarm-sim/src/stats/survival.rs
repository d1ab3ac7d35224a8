//! Times to an event of which some were cut off before it (Kaplan and Meier, 1958).

use super::{Interval, Z};
use crate::special::student_two_sided;

/// One observed time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observed {
    /// Time of the event, or up to which there was none.
    pub time: f64,
    /// Whether the event came; `false` where the run ended first.
    pub event: bool,
}

/// The estimated probability of no event up to and including a time at which events came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The time.
    pub time: f64,
    /// Observations still without event or cut just before.
    pub at_risk: usize,
    /// Events at the time.
    pub events: usize,
    /// The estimate.
    pub survival: f64,
    /// Its 95 % band from Greenwood's variance on the scale of log(−log S), which stays in 0…1; `None`
    /// once nothing survives.
    pub band: Option<Interval>,
    /// The same from how groups differ; `None` for one group.
    pub over_groups: Option<Interval>,
}

/// Groups at most whose differences are looked at; more are put together.
const GROUPS_MAX: usize = 64;

/// The Kaplan-Meier estimate: one step for each time with an event. Times cut off at the time of an event count as
/// at risk in it.
pub fn kaplan_meier(observed: &[Observed]) -> Vec<Step> {
    kaplan_meier_of_groups(&[observed.to_vec()])
}

/// The same of observations in groups, whose members may resemble each other.
pub fn kaplan_meier_of_groups(groups: &[Vec<Observed>]) -> Vec<Step> {
    let members = groups.iter().enumerate();
    let mut sorted: Vec<(Observed, usize)> = members
        .flat_map(|(at, group)| group.iter().map(move |observed| (*observed, at % GROUPS_MAX)))
        .collect();
    sorted.sort_by(|(a, _), (b, _)| a.time.total_cmp(&b.time));
    let mut between = Between::of(&sorted);
    let mut steps = Vec::new();
    let (mut survival, mut variance, mut seen) = (1.0, 0.0, 0);
    for same in sorted.chunk_by(|(a, _), (b, _)| a.time == b.time) {
        let at_risk = sorted.len() - seen;
        seen += same.len();
        let events = same.iter().filter(|(observed, _)| observed.event).count();
        if events > 0 {
            let (risk, left) = (at_risk as f64, (at_risk - events) as f64);
            survival *= left / risk;
            variance += events as f64 / (risk * left);
            between.step(same, risk, events as f64);
            let band = |variance: f64, quantile: f64| {
                let log = libm::log(survival);
                let spread = quantile * variance.sqrt() / log;
                // The logarithm is negative, so the first is the lower one.
                let end = |by: f64| libm::exp(log * libm::exp(by));
                Interval { low: end(-spread), high: end(spread) }
            };
            steps.push(Step {
                time: same[0].0.time,
                at_risk,
                events,
                survival,
                band: (survival > 0.0).then(|| band(variance, Z)),
                over_groups: between
                    .variance()
                    .filter(|_| survival > 0.0)
                    .map(|variance| band(variance, between.quantile)),
            });
        }
        between.leave(same);
    }
    steps
}

/// What groups have to do with the logarithm of the estimate: each group's sum of its members' influences, whose variance
/// over groups is that of the logarithm, whatever members have in common (Williams, Product-limit survival functions with
/// correlated survival times, 1995).
#[derive(Debug)]
struct Between {
    at_risk: Vec<f64>,
    influence: Vec<f64>,
    /// Student's, with one degree of freedom less than groups.
    quantile: f64,
}

impl Between {
    fn of(all: &[(Observed, usize)]) -> Self {
        let groups = all.iter().map(|(_, group)| group + 1).max().unwrap_or(0);
        let mut at_risk = vec![0.0; groups];
        all.iter().for_each(|(_, group)| at_risk[*group] += 1.0);
        let degrees = u32::try_from(groups.saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let quantile = student_two_sided(degrees, 0.95);
        Self { influence: vec![0.0; groups], at_risk, quantile }
    }

    /// Events at a time at which so many of all are at risk.
    fn step(&mut self, same: &[(Observed, usize)], risk: f64, events: f64) {
        let left = risk - events;
        for (influence, at_risk) in self.influence.iter_mut().zip(&self.at_risk) {
            *influence -= at_risk * events / (risk * left);
        }
        for (_, group) in same.iter().filter(|(observed, _)| observed.event) {
            self.influence[*group] += left.recip();
        }
    }

    fn leave(&mut self, same: &[(Observed, usize)]) {
        same.iter().for_each(|(_, group)| self.at_risk[*group] -= 1.0);
    }

    /// Nothing for one group, or for several of which none differs.
    fn variance(&self) -> Option<f64> {
        let groups = self.influence.len() as f64;
        let squares: f64 = self.influence.iter().map(|influence| influence * influence).sum();
        // Groups that agree to the last tell nothing of how far they may differ.
        (groups > 1.0 && squares > 1e-18).then(|| groups / (groups - 1.0) * squares)
    }
}

/// The last step at or before a time; `None` before the first event.
pub fn at(steps: &[Step], time: f64) -> Option<&Step> {
    steps.get(steps.partition_point(|step| step.time <= time).checked_sub(1)?)
}

/// One half, beside which a product of shares may be by what rounding makes of it.
const HALF: f64 = 0.5 + 1e-12;

/// The time by which half of the observations have had their event; `None` where it was not reached.
pub fn median(steps: &[Step]) -> Option<f64> {
    steps.iter().find(|step| step.survival <= HALF).map(|step| step.time)
}

/// The ends of the 95 % interval of [`median`], where a band reaches one half (Brookmeyer and Crowley, 1982). Each is `None` where
/// it does not; there is no band once nothing survives.
pub fn median_ends(
    steps: &[Step],
    band: impl Fn(&Step) -> Option<Interval>,
) -> (Option<f64>, Option<f64>) {
    let first = |end: &dyn Fn(Interval) -> f64| {
        let reached = |step: &&Step| band(step).is_some_and(|band| end(band) <= HALF);
        steps.iter().find(reached).map(|step| step.time)
    };
    (first(&|band| band.low), first(&|band| band.high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Entity, Streams};

    fn own(steps: &[Step]) -> (Option<f64>, Option<f64>) {
        median_ends(steps, |step| step.band)
    }

    /// Remission times of 21 patients on 6-MP (Freireich et al., 1963), with the bands that textbooks print.
    #[test]
    fn remission_times_have_their_published_curve_and_band() {
        let events = [6.0, 6.0, 6.0, 7.0, 10.0, 13.0, 16.0, 22.0, 23.0];
        let cut = [6.0, 9.0, 10.0, 11.0, 17.0, 19.0, 20.0, 25.0, 32.0, 32.0, 34.0, 35.0];
        let all = events.map(|time| Observed { time, event: true }).into_iter();
        let all: Vec<_> = all.chain(cut.map(|time| Observed { time, event: false })).collect();
        let published = [
            (6.0, 0.8571, 0.6197, 0.9516),
            (7.0, 0.8067, 0.5631, 0.9228),
            (10.0, 0.7529, 0.5032, 0.8894),
            (13.0, 0.6902, 0.4316, 0.8491),
            (16.0, 0.6275, 0.3675, 0.8049),
            (22.0, 0.5378, 0.2678, 0.7468),
            (23.0, 0.4482, 0.1881, 0.6801),
        ];
        let steps = kaplan_meier(&all);
        assert_eq!(steps.len(), published.len());
        let near = |a: f64, b: f64| (a - b).abs() < 6e-5;
        for (step, (time, survival, low, high)) in steps.iter().zip(published) {
            assert!(step.time == time && near(step.survival, survival), "{step:?}");
            assert!(
                step.band.is_some_and(|band| near(band.low, low) && near(band.high, high)),
                "{step:?}"
            );
        }
    }

    #[test]
    fn median_of_the_remission_times_is_the_published_one() {
        let events = [6.0, 6.0, 6.0, 7.0, 10.0, 13.0, 16.0, 22.0, 23.0];
        let cut = [6.0, 9.0, 10.0, 11.0, 17.0, 19.0, 20.0, 25.0, 32.0, 32.0, 34.0, 35.0];
        let all = events.map(|time| Observed { time, event: true }).into_iter();
        let all: Vec<_> = all.chain(cut.map(|time| Observed { time, event: false })).collect();
        let steps = kaplan_meier(&all);
        // R's survival package says 23, from 13, with no upper end.
        assert_eq!((median(&steps), own(&steps)), (Some(23.0), (Some(13.0), None)));
        assert_eq!(at(&steps, 5.9), None);
        assert_eq!(at(&steps, 12.0).map(|step| step.time), Some(10.0));
    }

    #[test]
    fn without_cuts_it_is_the_share_that_is_left() {
        let all: Vec<_> = (1..=8).map(|i| Observed { time: f64::from(i), event: true }).collect();
        let steps = kaplan_meier(&all);
        for (step, gone) in steps.iter().zip(1..) {
            assert!((step.survival - (1.0 - f64::from(gone) / 8.0)).abs() < 1e-12);
            assert!(step.band.is_none_or(|band| band.contains(step.survival)));
        }
        assert_eq!(steps.last().map(|step| (step.survival, step.band)), Some((0.0, None)));
        assert_eq!(kaplan_meier(&[]), []);
        assert_eq!(kaplan_meier(&[Observed { time: 1.0, event: false }]), []);
    }

    #[test]
    fn step_counts_from_its_own_time_on_and_half_is_enough_for_a_median() {
        let event = |time| Observed { time, event: true };
        let steps = kaplan_meier(&(1..=8).map(f64::from).map(event).collect::<Vec<_>>());
        // Four of eight are left.
        assert_eq!(at(&steps, 4.0).map(|step| (step.time, step.survival)), Some((4.0, 0.5)));
        assert_eq!(median(&steps), Some(4.0));
        // Where nobody is left there is no band: all at once tell nothing about when else it might have been.
        let at_once = kaplan_meier(&[event(3.0); 5]);
        assert_eq!((median(&at_once), own(&at_once)), (Some(3.0), (None, None)));
        // Where products of shares are not one half but for rounding.
        for of in (2..400).step_by(2) {
            let all: Vec<_> = (1..=of).map(f64::from).map(event).collect();
            assert_eq!(median(&kaplan_meier(&all)), Some(f64::from(of / 2)), "{of}");
        }
    }

    #[test]
    fn groups_of_one_member_each_have_the_band_of_members_and_groups_that_are_alike_a_wider_one() {
        let event = |time: u32| Observed { time: time.into(), event: true };
        let single: Vec<_> = (1..=60).map(|time| vec![event(time)]).collect();
        for step in kaplan_meier_of_groups(&single).iter().filter(|step| step.survival > 0.0) {
            // Greenwood's sum is n / (n - 1) times smaller, and Student's quantile some larger.
            let (own, over) = (step.band.unwrap(), step.over_groups.unwrap());
            let ratio = (over.high - over.low) / (own.high - own.low);
            assert!((1.01..1.06).contains(&ratio), "{}: {ratio}", step.time);
        }
        // Ten groups, in each of which it comes to all six at once.
        let alike: Vec<_> = (1..=10).map(|time| vec![event(time); 6]).collect();
        let alone: Vec<_> = (1..=10).map(|time| vec![event(time)]).collect();
        let (alike, alone) = (kaplan_meier_of_groups(&alike), kaplan_meier_of_groups(&alone));
        for (alike, alone) in alike.iter().zip(&alone).take(9) {
            let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
            let (six, one) = (alike.over_groups.unwrap(), alone.over_groups.unwrap());
            assert!(near(six.low, one.low) && near(six.high, one.high), "{}", alike.time);
            assert!(alike.band.unwrap().low > six.low);
        }
        let one = kaplan_meier(&(1..=8).map(event).collect::<Vec<_>>());
        assert!(one.iter().all(|step| step.over_groups.is_none()));
    }

    #[test]
    fn band_over_groups_holds_the_truth_where_that_of_members_does_not() {
        let mut stream = Streams::new(1, "survival", 0).stream(Entity::World, "test");
        let mut exponential = |mean: f64| -mean * libm::log(stream.unit());
        let (mut by_member, mut by_group) = (0, 0);
        for _ in 0..400 {
            // Twelve groups of 20 members; in a quarter of the groups, events come at a tenth of the pace. Cut off at 2.
            let mut groups = Vec::new();
            for _ in 0..12 {
                let mean = if exponential(1.0) < libm::log(4.0 / 3.0) { 10.0 } else { 1.0 };
                let group = (0..20).map(|_| exponential(mean));
                let cut = |time: f64| Observed { time: time.min(2.0), event: time < 2.0 };
                groups.push(group.map(cut).collect());
            }
            let truth = 0.75 * libm::exp(-1.0) + 0.25 * libm::exp(-0.1);
            let steps = kaplan_meier_of_groups(&groups);
            let step = at(&steps, 1.0).unwrap();
            by_member += u32::from(step.band.unwrap().contains(truth));
            by_group += u32::from(step.over_groups.unwrap().contains(truth));
        }
        // 380 with a standard deviation of 4.4.
        assert!((362..=395).contains(&by_group), "{by_group} of 400");
        assert!(by_member < 330, "{by_member} of 400");
    }
}
