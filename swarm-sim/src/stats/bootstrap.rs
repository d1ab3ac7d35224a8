//! Intervals from resamples (Efron, Bootstrap Methods: Another Look at the Jackknife, 1979).

use super::Interval;
use crate::special::{normal_outside, student_two_sided};
use crate::stream::Stream;

/// Independent units that a bootstrap needs at least: resamples of fewer are too much alike.
pub const UNITS_MIN: usize = 10;

/// The expanded percentile intervals at 95 % of statistics of independent units, from resamples of them, as many as there are, with
/// replacement. A statistic is told how often each unit was drawn; a unit may be a group, such as a client with all its
/// requests. `None` for fewer than [`UNITS_MIN`] units, or without resamples.
pub fn bootstrap<const N: usize>(
    units: usize,
    resamples: usize,
    stream: &mut Stream,
    mut statistics: impl FnMut(&[u32]) -> [f64; N],
) -> Option<[Interval; N]> {
    if units < UNITS_MIN || resamples == 0 {
        return None;
    }
    let mut drawn = vec![0; units];
    let mut found = [const { Vec::new() }; N];
    for _ in 0..resamples {
        drawn.fill(0);
        (0..units).for_each(|_| drawn[stream.index(units)] += 1);
        for (all, value) in found.iter_mut().zip(statistics(&drawn)) {
            all.push(value);
        }
    }
    let tail = normal_outside(spread(units)) / 2.0;
    // The nearest whole number.
    let cut = (1..resamples).take_while(|cut| *cut as f64 - 0.5 <= resamples as f64 * tail).count();
    Some(found.map(|mut all| {
        all.sort_by(f64::total_cmp);
        Interval { low: all[cut], high: all[resamples - 1 - cut] }
    }))
}

/// Standard deviations from the middle to either end: resamples vary less than samples do, and few units tell little of how much
/// that is (the expanded percentile interval of Hesterberg, What Teachers Should Know About the Bootstrap, 2015).
fn spread(units: usize) -> f64 {
    let degrees = units - 1;
    let t = student_two_sided(u32::try_from(degrees).unwrap_or(u32::MAX), 0.95);
    t * (units as f64 / degrees as f64).sqrt()
}

/// Quantiles of ascending values, each of a unit that counts as often as it was drawn: the smallest value that at least that
/// percentage does not exceed. `percents` ascend.
pub fn quantiles_of_drawn<const N: usize>(
    sorted: &[(f64, usize)],
    drawn: &[u32],
    percents: [u32; N],
) -> [f64; N] {
    let times = |unit: usize| u64::from(drawn[unit]);
    let total: u64 = sorted.iter().map(|(_, unit)| times(*unit)).sum();
    let (mut values, mut passed, mut value) = (sorted.iter(), 0, f64::NAN);
    percents.map(|percent| {
        while passed == 0 || passed * 100 < total * u64::from(percent) {
            let Some((next, unit)) = values.next() else { break };
            passed += times(*unit);
            value = *next;
        }
        value
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{self, student};
    use crate::stream::{Entity, Streams};

    fn stream() -> Stream {
        Streams::new(1, "bootstrap", 0).stream(Entity::World, "test")
    }

    #[test]
    fn bootstrap_of_a_mean_agrees_with_student() {
        let values: Vec<f64> = (0..400).map(|i| f64::from(i % 20)).collect();
        let mean = |drawn: &[u32]| {
            let sum: f64 = values.iter().zip(drawn).map(|(value, n)| value * f64::from(*n)).sum();
            [sum / 400.0]
        };
        let [found] = bootstrap(400, 4000, &mut stream(), mean).unwrap();
        let student = student(&values).unwrap();
        let close = |a: f64, b: f64| (a - b).abs() < 0.05;
        assert!(close(found.low, student.low) && close(found.high, student.high), "{found:?}");
        assert_eq!(bootstrap(9, 10, &mut stream(), |_| [0.0]), None);
        assert_eq!(bootstrap(10, 0, &mut stream(), |_| [0.0]), None);
    }

    #[test]
    fn quantiles_of_all_drawn_once_are_those_of_the_sample() {
        let values: Vec<f64> = (0..37).map(f64::from).collect();
        let sorted: Vec<(f64, usize)> = values.iter().map(|value| (*value, 3)).collect();
        let found = quantiles_of_drawn(&sorted, &[0, 0, 0, 1], [1, 50, 95, 100]);
        let expected = [0.01, 0.5, 0.95, 1.0];
        let expected = expected.map(|share| stats::quantile(&values, share).unwrap().value);
        assert_eq!(found, expected);
        // Twice the second, none of the first and third.
        let sorted = [(1.0, 0), (2.0, 1), (3.0, 2), (4.0, 1)];
        assert_eq!(quantiles_of_drawn(&sorted, &[0, 2, 0], [50, 51]), [2.0, 4.0]);
    }

    #[test]
    fn interval_over_clients_holds_the_median_as_often_as_it_says() {
        // 60 clients with 20 requests each; a client's requests are all about as late as its own mean, exponential with mean 1.
        let mut source = stream();
        let (mut by_client, mut by_request) = (0, 0);
        for _ in 0..400 {
            let mut all = Vec::new();
            for client in 0..60 {
                let mean = -libm::log(source.unit());
                all.extend((0..20).map(|_| (mean + 1e-3 * source.unit(), client)));
            }
            all.sort_by(|a, b| a.0.total_cmp(&b.0));
            let of = |drawn: &[u32]| quantiles_of_drawn(&all, drawn, [50]);
            let [found] = bootstrap(60, 400, &mut source, of).unwrap();
            let truth = libm::log(2.0) + 5e-4;
            by_client += u32::from(found.contains(truth));
            let values: Vec<f64> = all.iter().map(|(value, _)| *value).collect();
            let single = stats::quantile(&values, 0.5).unwrap();
            let holds = single.low.unwrap() <= truth && truth <= single.high.unwrap();
            by_request += u32::from(holds);
        }
        // 380 with a standard deviation of 4.4, and some less as resamples are few.
        assert!((355..=395).contains(&by_client), "{by_client} of 400");
        assert!(by_request < 200, "{by_request} of 400");
    }
}
