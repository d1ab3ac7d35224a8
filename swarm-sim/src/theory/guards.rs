//! Guards whose lives end at random: how soon one of several is malicious.

use super::draw::honest_picks;
use super::forms::{Found, any_of, at_least_once, require};
use super::params::Args;
use super::rare::Trials;
use crate::stream::Stream;

/// Mean lives that a closed form looks ahead: its work grows with the third power.
const LIVES_MAX: f64 = 100.0;

/// Probability that the sum of `k` independent uniforms from 0 to 1 is at most `x` (Irwin and Hall, 1927).
///
/// The density of k + 1 uniforms, at x and at every whole number below, sums to it. Densities come from de Boor's
/// recurrence for B-splines (1972), whose terms are all positive, so small values keep their digits.
fn irwin_hall(k: u32, x: f64) -> f64 {
    if k == 0 || x >= f64::from(k) {
        return if x >= 0.0 { 1.0 } else { 0.0 };
    }
    if x <= 0.0 {
        return 0.0;
    }
    // densities[j] is that of n uniforms at x - j; x is below k, so there are at most k of them.
    let mut densities = vec![0.0; k as usize + 1];
    let places: Vec<f64> = (0..=k).map(|j| x - f64::from(j)).collect();
    if let Some(at) = places.iter().rposition(|place| *place >= 0.0) {
        densities[at] = 1.0;
    }
    for n in 2..=k + 1 {
        let n = f64::from(n);
        for j in 0..places.len() {
            let (place, next) = (places[j], densities.get(j + 1).copied().unwrap_or(0.0));
            let sum = place.max(0.0) * densities[j] + (n - place).max(0.0) * next;
            densities[j] = if place < 0.0 { 0.0 } else { sum / (n - 1.0) };
        }
    }
    densities.iter().sum::<f64>().min(1.0)
}

/// Probability that by `days` one of `guards` was malicious, each picked malicious with probability `share`, for a life
/// uniform between two numbers of days, and replaced at its end.
///
/// Of one guard: pick k + 1 comes by t if k lives sum to at most t, and is the first malicious one with m (1−m)^k.
pub(crate) fn guard_set_compromise(share: f64, guards: u64, life: (f64, f64), days: f64) -> f64 {
    let (least, most) = life;
    let (mut sum, mut weight, mut k) = (0.0, share, 0u32);
    loop {
        let left = days - f64::from(k) * least;
        let spread = most - least;
        let comes = if left < 0.0 {
            0.0
        } else if spread > 0.0 {
            irwin_hall(k, left / spread)
        } else {
            1.0
        };
        let term = weight * comes;
        sum += term;
        if term <= 1e-18 * sum {
            break;
        }
        weight *= 1.0 - share;
        k += 1;
    }
    at_least_once(sum.min(1.0), guards as f64)
}

/// Probability that one of `draws` different nodes is malicious.
pub(crate) fn any_malicious(nodes: u64, malicious: u64, draws: u64) -> f64 {
    any_of(nodes, malicious, draws)
}

pub(super) fn guard_set_compromise_by(args: &Args) -> Found {
    let (least, most) = (args.real("life_min_days"), args.real("life_max_days"));
    require(least <= most, "life_min_days cannot be above life_max_days")?;
    let (share, guards) = (args.real("malicious_share"), args.count("guards"));
    let days = args.real("days");
    if least == most {
        let picks = args.decimal("days").times(args.decimal("life_max_days"));
        let picks = picks.ok_or_else(|| "days cannot be above 9e18 lives".to_owned())?;
        let one = at_least_once(share, picks as f64 + 1.0);
        return Ok(vec![at_least_once(one, guards as f64)]);
    }
    let are_near = most - least < 1e-6 * most;
    require(!are_near, "life_min_days and life_max_days have to be equal or a millionth apart")?;
    let most_days = LIVES_MAX * (least + most) / 2.0;
    require(days <= most_days, "days cannot be above 100 mean lives where lives differ")?;
    Ok(vec![guard_set_compromise(share, guards, (least, most), days)])
}

/// Guards that are picked anew at the ends of their lives, up to a day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Set {
    share: f64,
    guards: u64,
    life: (f64, f64),
    days: f64,
    /// Picks of one guard, where all lives are equal.
    picks: Option<f64>,
}

impl Set {
    pub(super) fn of(args: &Args) -> Self {
        let life = (args.real("life_min_days"), args.real("life_max_days"));
        let lives = args.decimal("days").times(args.decimal("life_max_days"));
        let picks = lives.filter(|_| life.0 >= life.1).map(|lives| lives as f64 + 1.0);
        let (share, days) = (args.real("malicious_share"), args.real("days"));
        Self { share, guards: args.count("guards"), life, days, picks }
    }

    /// Picks of one guard whose lives differ, but no more than `most`.
    fn picks(&self, most: f64, stream: &mut Stream) -> f64 {
        let ((least, longest), mut time, mut picks) = (self.life, 0.0, 0.0);
        while time <= self.days && picks < most {
            picks += 1.0;
            time += least + (longest - least) * stream.unit();
        }
        picks
    }

    /// Picks of all guards, where all lives are equal.
    fn equal_picks(&self) -> Option<f64> {
        self.picks.map(|picks| picks * self.guards as f64)
    }

    /// All picks that are made, each of which may be malicious.
    pub(super) fn trials(&self, stream: &mut Stream) -> Trials {
        let all = || (0..self.guards).map(|_| self.picks(f64::INFINITY, stream)).sum();
        Trials { share: self.share, count: self.equal_picks().unwrap_or_else(all) }
    }

    /// What a sample goes through one by one, in the mean.
    pub(super) fn steps(&self) -> f64 {
        if self.picks.is_some() { 1.0 } else { self.mean_trials().count }
    }

    /// As many trials as there are picks in the mean.
    pub(super) fn mean_trials(&self) -> Trials {
        let (least, longest) = self.life;
        let each = self.picks.unwrap_or_else(|| 1.0 + 2.0 * self.days / (least + longest));
        Trials { share: self.share, count: self.guards as f64 * each.floor() }
    }
}

/// Lets each guard and its successors live, until one is malicious.
pub(super) fn sample_guard_set(args: &Args, stream: &mut Stream) -> bool {
    let set = Set::of(args);
    if let Some(picks) = set.equal_picks() {
        return honest_picks(set.share, stream) < picks;
    }
    (0..set.guards).any(|_| {
        let honest = honest_picks(set.share, stream);
        set.picks(honest + 1.0, stream) > honest
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_uniforms_have_their_textbook_distribution() {
        for (k, x, exact) in [
            (1, 0.25, 0.25),
            (2, 1.0, 0.5),
            (2, 4.0 / 3.0, 7.0 / 9.0),
            (3, 1.0 / 3.0, 1.0 / 162.0),
            (3, 1.5, 0.5),
            (3, 3.0, 1.0),
            // x^k / k! below 1.
            (20, 0.5, 3.919_904_349_624_791e-25),
            (80, 40.0, 0.5),
        ] {
            let found = irwin_hall(k, x);
            assert!((found - exact).abs() <= 1e-12 * exact, "{k}, {x}: {found} is not {exact}");
        }
    }
}
