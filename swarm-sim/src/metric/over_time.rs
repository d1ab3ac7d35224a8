//! Figures about when something first happened to a client, where some clients were not watched to the end.

use super::{Method, Metric, Unit};
use crate::stats::survival::{self, Observed, Step};
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
    /// The band; `None` before the first event and once it happened to all.
    pub band: Option<Interval>,
}

/// The share to whom it happened, with its band.
fn happened(steps: &[Step], time: f64) -> (f64, Option<Interval>) {
    let step = survival::at(steps, time);
    let band = step.and_then(|step| step.band);
    let turned = band.map(|band| Interval { low: 1.0 - band.high, high: 1.0 - band.low });
    (step.map_or(0.0, |step| 1.0 - step.survival), turned)
}

impl Curve {
    /// The share of clients to whom it happened, at these times.
    pub(crate) fn happened(
        name: &'static str,
        unit: &'static str,
        steps: &[Step],
        times: impl Iterator<Item = f64>,
    ) -> Self {
        let place = |time| {
            let (share, band) = happened(steps, time);
            Place { time, share, band }
        };
        Self { name, unit, places: times.map(place).collect() }
    }
}

impl Metric {
    /// The share of clients to whom it happened by a time, with the interval over replicates beside the band. Before the
    /// first event and once it happened to all there is no band: there it is Wilson's interval for as many clients as
    /// were still watched, or for all.
    pub(crate) fn happened_by(
        name: &'static str,
        clients: &[Observed],
        pooled: &[Step],
        replicates: &[Vec<Step>],
        time: f64,
    ) -> Self {
        let (share, band) = happened(pooled, time);
        let watched = clients.iter().filter(|client| client.time >= time).count() as u64;
        let clients = clients.len() as u64;
        let (method, band) = match (band, pooled.is_empty() || share == 0.0) {
            (Some(band), _) => (Method::KaplanMeier, Some(band)),
            (None, true) => (Method::Wilson, stats::wilson(0, watched)),
            (None, false) => (Method::Wilson, stats::wilson(clients, clients)),
        };
        let each: Vec<f64> = replicates.iter().map(|steps| happened(steps, time).0).collect();
        let over = super::student_of_shares(&each);
        Self {
            replicates_low: over.map(|interval| interval.low),
            replicates_high: over.map(|interval| interval.high),
            ..Self::new(name, "share", clients, (clients > 0).then_some(share)).with_interval(
                method,
                Unit::Client,
                band,
            )
        }
    }

    /// The time by which it has happened to half of the clients; no value if it was not reached.
    pub(crate) fn median_time(
        name: &'static str,
        unit: &'static str,
        clients: u64,
        pooled: &[Step],
    ) -> Self {
        let (value, low, high) = survival::median(pooled);
        let interval = low.zip(high).map(|(low, high)| Interval { low, high });
        Self::new(name, unit, clients, value).with_interval(
            Method::KaplanMeier,
            Unit::Client,
            interval,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::survival::kaplan_meier;

    #[test]
    fn share_without_an_event_has_an_interval_of_those_still_watched() {
        let cut = |time| Observed { time, event: false };
        let clients: Vec<Observed> =
            (0..80).map(|at| cut(if at < 40 { 5.0 } else { 9.0 })).collect();
        let by = |time| {
            let steps = kaplan_meier(&clients);
            let metric =
                Metric::happened_by("x", &clients, &steps, std::slice::from_ref(&steps), time);
            (metric.value, metric.interval(), metric.interval)
        };
        assert_eq!(by(1.0), (Some(0.0), stats::wilson(0, 80), Method::Wilson));
        assert_eq!(by(7.0), (Some(0.0), stats::wilson(0, 40), Method::Wilson));
        let all: Vec<Observed> =
            (1..=20).map(|at| Observed { time: f64::from(at), event: true }).collect();
        let steps = kaplan_meier(&all);
        let metric =
            |time| Metric::happened_by("x", &all, &steps, &[steps.clone(), steps.clone()], time);
        let end = metric(20.0);
        assert_eq!((end.value, end.interval()), (Some(1.0), stats::wilson(20, 20)));
        assert_eq!(end.over_replicates(), None);
        assert_eq!(metric(10.0).interval, Method::KaplanMeier);
    }
}
