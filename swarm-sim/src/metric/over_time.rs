//! Figures about when something first happened to a client, where some clients were not watched to the end.

use super::{Method, Metric, Unit};
use crate::stats::Interval;
use crate::stats::survival::{self, Step};

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
    /// The share of clients to whom it happened by a time, with the interval over replicates beside the band.
    pub(crate) fn happened_by(
        name: &'static str,
        clients: u64,
        pooled: &[Step],
        replicates: &[Vec<Step>],
        time: f64,
    ) -> Self {
        let (share, band) = happened(pooled, time);
        let each: Vec<f64> = replicates.iter().map(|steps| happened(steps, time).0).collect();
        let over = super::student_of_shares(&each);
        Self {
            replicates_low: over.map(|interval| interval.low),
            replicates_high: over.map(|interval| interval.high),
            ..Self::new(name, "share", clients, (clients > 0).then_some(share)).with_interval(
                Method::KaplanMeier,
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
