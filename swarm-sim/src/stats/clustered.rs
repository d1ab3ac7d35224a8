//! A share whose trials come in groups that resemble each other: a client's requests go through its guards.

use super::{Interval, Z, wilson_of};
use crate::metric::Share;
use crate::special::student_two_sided;

/// The Wilson interval of the share of hits, with groups as the independent units.
///
/// The share's variance is taken over groups (the linearised ratio estimator, Cochran, Sampling Techniques, 1977, with
/// replacement), and the interval is that of as many independent trials as have this variance, fewer still for few
/// groups: by (z/t)², t Student's with one degree less than groups (Korn and Graubard, Confidence Intervals for
/// Proportions with Small Expected Number of Positive Counts, 1998). Where all trials or none are hits, the groups
/// count. `None` for fewer than two groups with trials.
pub fn clustered(groups: &[Share]) -> Option<Interval> {
    let groups: Vec<&Share> = groups.iter().filter(|group| group.of > 0).collect();
    let (hits, of) = groups.iter().fold((0, 0), |(h, n), group| (h + group.hits, n + group.of));
    if groups.len() < 2 {
        return None;
    }
    let (count, n) = (groups.len() as f64, of as f64);
    let share = hits as f64 / n;
    let effective = if hits == 0 || hits == of {
        count
    } else {
        let residual = |group: &&Share| group.hits as f64 - share * group.of as f64;
        let squares: f64 = groups.iter().map(|group| residual(group) * residual(group)).sum();
        let variance = count / (count - 1.0) * squares / (n * n);
        (share * (1.0 - share) / variance).min(n)
    };
    let t = student_two_sided(u32::try_from(groups.len() - 1).unwrap_or(u32::MAX), 0.95);
    let (low, high) = wilson_of(share, effective * (Z / t) * (Z / t), Z);
    Some(Interval { low, high })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::wilson;
    use crate::stream::{Entity, Stream, Streams};

    /// 60 clients with 20 requests each, through one guard a client that is malicious with probability 0.2.
    fn clients(stream: &mut Stream) -> Vec<Share> {
        let hits = |malicious: bool| if malicious { 20 } else { 0 };
        (0..60).map(|_| Share { hits: hits(stream.below(5) == 0), of: 20 }).collect()
    }

    #[test]
    fn interval_over_clients_holds_the_share_as_often_as_it_says() {
        let mut stream = Streams::new(1, "clustered", 0).stream(Entity::World, "test");
        let (mut by_client, mut by_request) = (0, 0);
        for _ in 0..1000 {
            let clients = clients(&mut stream);
            let hits = clients.iter().map(|client| client.hits).sum();
            by_client += u32::from(clustered(&clients).is_some_and(|i| i.contains(0.2)));
            by_request += u32::from(wilson(hits, 1200).is_some_and(|i| i.contains(0.2)));
        }
        // 950 with a standard deviation of 7. Requests taken as independent would hold it a third of the time.
        assert!((925..=980).contains(&by_client), "{by_client} of 1000");
        assert!(by_request < 500, "{by_request} of 1000");
    }

    #[test]
    fn groups_of_one_trial_each_are_single_trials() {
        let groups: Vec<Share> =
            (0..4000).map(|i| Share { hits: u64::from(i % 10 == 0), of: 1 }).collect();
        let near = |a: f64, b: f64| (a - b).abs() < 2e-5;
        let same = |(a, b): (Interval, Interval)| near(a.low, b.low) && near(a.high, b.high);
        assert!(clustered(&groups).zip(wilson(400, 4000)).is_some_and(same));
    }

    #[test]
    fn few_groups_and_no_hits_leave_a_wide_interval() {
        let none = vec![Share { hits: 0, of: 1_000_000 }; 20];
        // As for 20 trials, not for 20 million.
        assert!(clustered(&none).is_some_and(|i| i.low == 0.0 && i.high > 0.15));
        assert_eq!(clustered(&none[..1]), None);
        assert_eq!(clustered(&[]), None);
    }
}
