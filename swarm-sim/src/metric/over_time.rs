//! Figures about when something first happened to a client, where some clients were not watched to the end.

use super::{Method, Metric, Unit};
use crate::stats::survival::{self, Observed, Step, kaplan_meier, kaplan_meier_of_groups};
use crate::stats::{self, Interval};

/// A share of clients over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What happened.
    pub name: &'static str,
    /// Unit of time.
    pub unit: &'static str,
    /// Its places, in order of time.
    pub places: Vec<Place>,
}

/// One place of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// The time.
    pub time: f64,
    /// Share of clients to whom it has happened by then.
    pub share: f64,
    /// The wider of the interval over clients and that over replicates; `None` where nobody was watched.
    pub band: Option<Interval>,
}

/// When something first happened to clients, over all replicates and in each.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    all: Vec<Observed>,
    pooled: Vec<Step>,
    replicates: Vec<Known>,
}

/// A replicate's estimate, and up to when it says something.
#[derive(Clone, Debug)]
struct Known {
    steps: Vec<Step>,
    until: f64,
}

/// The time after which nothing is known: nobody was watched for longer, and some were still without the event.
fn known_until(observed: &[Observed], steps: &[Step]) -> f64 {
    if steps.last().is_some_and(|step| step.survival == 0.0) {
        return f64::INFINITY;
    }
    observed.iter().map(|client| client.time).fold(0.0, f64::max)
}

/// The share to whom it happened, with its band.
fn happened(steps: &[Step], time: f64) -> (f64, Option<Interval>) {
    let step = survival::at(steps, time);
    let band = step.and_then(|step| step.band);
    (step.map_or(0.0, |step| 1.0 - step.survival), band.map(turned))
}

fn turned(band: Interval) -> Interval {
    Interval { low: 1.0 - band.high, high: 1.0 - band.low }
}

impl Times {
    /// Of the clients of each replicate.
    pub(crate) fn of(replicates: &[Vec<Observed>]) -> Self {
        let all = replicates.concat();
        let known = |observed: &Vec<Observed>| {
            let steps = kaplan_meier(observed);
            Known { until: known_until(observed, &steps), steps }
        };
        let pooled = kaplan_meier_of_groups(replicates);
        Self { pooled, replicates: replicates.iter().map(known).collect(), all }
    }

    /// The share of clients to whom it happened, at those of these times up to which some were watched.
    pub(crate) fn curve(
        &self,
        name: &'static str,
        unit: &'static str,
        times: impl Iterator<Item = f64>,
    ) -> Curve {
        let until = known_until(&self.all, &self.pooled);
        let place = |time| {
            let (share, _, own) = self.share_by(time);
            let over = survival::at(&self.pooled, time).and_then(|step| step.over_groups);
            let width = |band: &Interval| band.high - band.low;
            let over =
                over.map(turned).filter(|over| own.is_none_or(|own| width(over) > width(&own)));
            Place { time, share, band: over.or(own) }
        };
        Curve { name, unit, places: times.take_while(|time| *time <= until).map(place).collect() }
    }

    /// The share of clients to whom it happened by a time, with the interval over replicates beside the band; no value if
    /// nobody was watched for so long. Before the first event and once it happened to all there is no band: see
    /// [`Self::none_left`] and Wilson's interval for as many clients as were still watched. Replicates count only if
    /// each was watched for so long.
    pub(crate) fn by(&self, name: &'static str, time: f64) -> Metric {
        let clients = self.all.len() as u64;
        if time > known_until(&self.all, &self.pooled) || clients == 0 {
            return Metric::new(name, "share", clients, None);
        }
        let (share, method, band) = self.share_by(time);
        let all_known = self.replicates.iter().all(|known| time <= known.until);
        let each = self.replicates.iter().map(|known| happened(&known.steps, time).0);
        let over = super::student_of_trials(&each.collect::<Vec<f64>>()).filter(|_| all_known);
        Metric {
            replicates_low: over.map(|interval| interval.low),
            replicates_high: over.map(|interval| interval.high),
            ..Metric::new(name, "share", clients, Some(share)).with_interval(
                method,
                Unit::Client,
                band,
            )
        }
    }

    /// The share to whom it happened by a time, with the interval over clients.
    fn share_by(&self, time: f64) -> (f64, Method, Option<Interval>) {
        let (share, band) = happened(&self.pooled, time);
        let watched = || self.all.iter().filter(|client| client.time >= time).count() as u64;
        let (method, band) = match band {
            Some(band) => (Method::KaplanMeier, Some(band)),
            None if share == 0.0 => (Method::Wilson, stats::wilson(0, watched())),
            None => self.none_left(),
        };
        (share, method, band)
    }

    /// The interval once nobody is left to whom it did not happen. If all were watched until then, it is Wilson's; else those
    /// who were not may be without it, and the last one at risk decides little: the band's end before that step counts.
    fn none_left(&self) -> (Method, Option<Interval>) {
        let clients = self.all.len() as u64;
        if self.all.iter().all(|client| client.event) {
            return (Method::Wilson, stats::wilson(clients, clients));
        }
        let mut steps = self.pooled.iter().rev();
        let at_risk = steps.next().map_or(0, |step| step.at_risk as u64);
        match steps.next().and_then(|step| step.band) {
            Some(band) => (Method::KaplanMeier, Some(Interval { low: 1.0 - band.high, high: 1.0 })),
            None => (Method::Wilson, stats::wilson(at_risk, at_risk)),
        }
    }

    /// The time by which it has happened to half of the clients; no value if it was not reached, and no upper end of its
    /// interval where that was not.
    pub(crate) fn median(&self, name: &'static str, unit: &'static str) -> Metric {
        let value = survival::median(&self.pooled);
        let clients = self.all.len() as u64;
        let (low, high) = survival::median_ends(&self.pooled, |step| step.band);
        // It lies beyond what was watched with all of its interval.
        let watched = known_until(&self.all, &self.pooled);
        let low = low.or_else(|| (value.is_none() && watched > 0.0).then_some(watched));
        let (replicates_low, replicates_high) =
            survival::median_ends(&self.pooled, |step| step.over_groups);
        Metric {
            replicates_low,
            replicates_high: replicates_high.filter(|_| replicates_low.is_some()),
            ..Metric::new(name, unit, clients, value).with_open_interval(
                Method::KaplanMeier,
                Unit::Client,
                low,
                high,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(time: f64) -> Observed {
        Observed { time, event: false }
    }

    #[test]
    fn share_without_an_event_has_an_interval_of_those_still_watched() {
        let clients: Vec<Observed> =
            (0..80).map(|at| cut(if at < 40 { 5.0 } else { 9.0 })).collect();
        let times = Times::of(&[clients]);
        let by = |time| {
            let metric = times.by("x", time);
            (metric.value, metric.interval(), metric.interval)
        };
        assert_eq!(by(1.0), (Some(0.0), stats::wilson(0, 80), Method::Wilson));
        assert_eq!(by(7.0), (Some(0.0), stats::wilson(0, 40), Method::Wilson));
        let all: Vec<Observed> =
            (1..=20).map(|at| Observed { time: f64::from(at), event: true }).collect();
        let times = Times::of(&[all.clone(), all]);
        let end = times.by("x", 30.0);
        assert_eq!((end.value, end.interval()), (Some(1.0), stats::wilson(40, 40)));
        assert_eq!(end.over_replicates(), None);
        assert_eq!(times.by("x", 10.0).interval, Method::KaplanMeier);
    }

    #[test]
    fn last_one_at_risk_does_not_speak_for_those_who_were_cut_off() {
        let event = |time| Observed { time, event: true };
        // Ten of forty had it when all others but one were cut off.
        let mut clients = vec![event(1.0); 10];
        clients.extend([cut(2.0); 29]);
        clients.push(event(3.0));
        let of = |clients: &[Observed], time| Times::of(&[clients.to_vec()]).by("x", time);
        let (before, end) = (of(&clients, 2.5), of(&clients, 3.0));
        let low = before.interval().unwrap().low;
        assert_eq!((end.value, end.interval), (Some(1.0), Method::KaplanMeier));
        assert_eq!(end.interval(), Some(Interval { low, high: 1.0 }));
        assert!(low < 0.25);
        // Without a step before it, the five who were at risk count.
        let mut clients = vec![cut(2.0); 35];
        clients.extend([event(3.0); 5]);
        assert_eq!(of(&clients, 3.0).interval(), stats::wilson(5, 5));
    }

    #[test]
    fn nothing_is_said_of_times_for_which_nobody_was_watched() {
        let event = |time| Observed { time, event: true };
        let long = vec![event(2.0), event(6.0), cut(9.0), cut(9.0)];
        let short = vec![event(1.0), event(2.0), cut(4.0), cut(4.0)];
        let times = Times::of(&[long.clone(), short]);
        assert_eq!(times.by("x", 9.5).value, None);
        // The second replicate was watched for 4 only.
        let (both, one) = (times.by("x", 3.0), times.by("x", 7.0));
        assert!(both.value.is_some() && both.over_replicates().is_some());
        assert!(one.value.is_some() && one.over_replicates().is_none());
        let curve = times.curve("x", "d", (0..=20).map(f64::from));
        assert_eq!(curve.places.last().map(|place| place.time), Some(9.0));
        let whole = Times::of(&[vec![event(1.0), event(3.0)]]).curve("x", "d", [5.0].into_iter());
        assert_eq!(whole.places.len(), 1);
    }

    #[test]
    fn last_moment_that_somebody_was_watched_still_counts() {
        let clients: Vec<Observed> =
            (0..80).map(|at| cut(if at < 40 { 5.0 } else { 9.0 })).collect();
        let times = Times::of(&[clients.clone(), clients]);
        let by = |time| times.by("x", time).interval();
        assert_eq!((by(5.0), by(9.0)), (stats::wilson(0, 160), stats::wilson(0, 80)));
        let happened =
            |time, others: &[Observed]| [&[Observed { time, event: true }], others].concat();
        let times = Times::of(&[happened(1.0, &[cut(9.0)]), happened(2.0, &[cut(9.0); 2])]);
        assert!(times.by("x", 9.0).over_replicates().is_some());
        let nobody = Times::of(&[Vec::new()]);
        assert_eq!((nobody.by("x", 0.0).value, nobody.median("x", "d").value), (None, None));
    }

    /// The times of 21 patients on 6-MP (Freireich et al., 1963), in the two halves that their list falls into.
    #[test]
    fn share_is_what_did_not_survive_with_the_published_band_turned_over() {
        let events = [6.0, 6.0, 6.0, 7.0, 10.0, 13.0, 16.0, 22.0, 23.0];
        let others = [6.0, 9.0, 10.0, 11.0, 17.0, 19.0, 20.0, 25.0, 32.0, 32.0, 34.0, 35.0];
        let events = events.map(|time| Observed { time, event: true }).to_vec();
        let by = Times::of(&[events, others.map(cut).to_vec()]).by("x", 23.5);
        let band = by.interval().unwrap();
        let near = |a: f64, b: f64| (a - b).abs() < 6e-5;
        assert!(near(by.value.unwrap(), 1.0 - 0.4482), "{by:?}");
        assert!(near(band.low, 1.0 - 0.6801) && near(band.high, 1.0 - 0.1881), "{by:?}");
        // All of one half and none of the other: they differ as far as they can.
        let replicates = by.over_replicates().unwrap();
        assert!(replicates.low < 0.1 && replicates.high > 0.9, "{by:?}");
    }

    #[test]
    fn median_has_an_interval_around_it() {
        let all = (1..=40).map(|at| Observed { time: f64::from(at), event: true }).collect();
        let median = Times::of(&[all]).median("x", "d");
        let interval = median.interval().unwrap();
        assert_eq!(median.value, Some(20.0));
        assert!(interval.low < 20.0 && interval.high > 20.0, "{median:?}");
    }
}
