//! Times to an event of which some were cut off before it (Kaplan and Meier, 1958).

use super::{Interval, Z};

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
}

/// The Kaplan-Meier estimate: one step for each time with an event. Times cut off at the time of an event count as
/// at risk in it.
pub fn kaplan_meier(observed: &[Observed]) -> Vec<Step> {
    let mut sorted = observed.to_vec();
    sorted.sort_by(|a, b| a.time.total_cmp(&b.time));
    let mut steps = Vec::new();
    let (mut survival, mut variance, mut seen) = (1.0, 0.0, 0);
    for same in sorted.chunk_by(|a, b| a.time == b.time) {
        let at_risk = sorted.len() - seen;
        seen += same.len();
        let events = same.iter().filter(|observed| observed.event).count();
        if events == 0 {
            continue;
        }
        let (risk, left) = (at_risk as f64, (at_risk - events) as f64);
        survival *= left / risk;
        variance += events as f64 / (risk * left);
        let band = (survival > 0.0).then(|| {
            let log = libm::log(survival);
            let spread = Z * variance.sqrt() / log;
            // The logarithm is negative, so the first is the lower one.
            let end = |by: f64| libm::exp(log * libm::exp(by));
            Interval { low: end(-spread), high: end(spread) }
        });
        steps.push(Step { time: same[0].time, at_risk, events, survival, band });
    }
    steps
}

/// The last step at or before a time; `None` before the first event.
pub fn at(steps: &[Step], time: f64) -> Option<&Step> {
    steps.get(steps.partition_point(|step| step.time <= time).checked_sub(1)?)
}

/// The time by which half of the observations have had their event, with the ends of its 95 % interval: where the band
/// reaches one half (Brookmeyer and Crowley, 1982). Each is `None` where it was not reached; there is no band once nothing
/// survives.
pub fn median(steps: &[Step]) -> (Option<f64>, Option<f64>, Option<f64>) {
    let first = |below: &dyn Fn(&Step) -> bool| steps.iter().find(|s| below(s)).map(|s| s.time);
    let value = first(&|step| step.survival <= 0.5);
    let low = first(&|step| step.band.is_some_and(|band| band.low <= 0.5));
    let high = first(&|step| step.band.is_some_and(|band| band.high <= 0.5));
    (value, low, high)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(median(&steps), (Some(23.0), Some(13.0), None));
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
        assert_eq!(median(&steps).0, Some(4.0));
        // Where nobody is left there is no band: all at once tell nothing about when else it might have been.
        let at_once = kaplan_meier(&[event(3.0); 5]);
        assert_eq!(median(&at_once), (Some(3.0), None, None));
    }
}
