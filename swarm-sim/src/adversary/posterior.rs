//! Whom an adversary suspects, and how much it does not know.

use core::f64::consts::LN_2;

/// Partners at most, for which sums over all sets of them stay within floating-point numbers.
pub const PARTNERS_MAX: u32 = 20;

/// The powers of e that all partners' weights together may reach: with the number of sets it stays below e^709.
const WEIGHT_CAP: f64 = 500.0;

/// A probability for each candidate, by its number. They sum to 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Posterior(Vec<f64>);

impl Posterior {
    /// The same for all; without candidates it has no entry.
    pub fn uniform(candidates: u32) -> Self {
        Self(vec![1.0 / f64::from(candidates); candidates as usize])
    }

    /// In proportion to weights; `None` if one is negative or not finite, or if all are zero.
    pub fn from_weights(mut weights: Vec<f64>) -> Option<Self> {
        let most = weights.iter().copied().fold(0.0, f64::max);
        let all_fit = weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        if !all_fit || most <= 0.0 {
            return None;
        }
        // By the largest first: their sum might be beyond the largest number.
        let sum: f64 = weights.iter().map(|weight| weight / most).sum();
        weights.iter_mut().for_each(|weight| *weight = *weight / most / sum);
        Some(Self(weights))
    }

    /// From the natural logarithm of each candidate's odds to be a partner, when exactly `partners` are and every set of
    /// them is equally likely at first: the probability to be one of them, shared out over all. Minus infinity rules a
    /// candidate out. `None` if all are ruled out, or if one is not a number or infinitely likely.
    ///
    /// A candidate's share is w·e(m − 1, the others) / e(m, all), with w = e^odds and e(k, S) the sum over sets of k of S
    /// of their products (Chen, Dempster and Liu, Weighted Finite Population Sampling to Maximize Entropy, 1994).
    pub fn from_log_odds(log_odds: &[f64], partners: u32) -> Option<Self> {
        if log_odds.iter().any(|odds| odds.is_nan() || *odds == f64::INFINITY) {
            return None;
        }
        let mut left: Vec<f64> = log_odds.iter().copied().filter(|odds| odds.is_finite()).collect();
        let sets_of = partners.clamp(1, PARTNERS_MAX) as usize;
        let sets_of = sets_of.min(left.len());
        let last = sets_of.checked_sub(1)?;
        // So that the likeliest set has a product of at least 1, and none is too large.
        let (_, shift, _) = left.select_nth_unstable_by(last, |a, b| b.total_cmp(a));
        let (shift, cap) = (*shift, WEIGHT_CAP / sets_of as f64);
        let weights: Vec<f64> =
            log_odds.iter().map(|odds| libm::exp((odds - shift).min(cap))).collect();
        if sets_of == 1 {
            return Self::from_weights(weights);
        }
        Self::from_weights(inclusions(&weights, sets_of))
    }

    /// Without those candidates, whose mass goes to all others in proportion; `None` if nothing is left.
    pub fn without(mut self, gone: impl Fn(usize) -> bool) -> Option<Self> {
        for (at, mass) in self.0.iter_mut().enumerate() {
            if gone(at) {
                *mass = 0.0;
            }
        }
        Self::from_weights(self.0)
    }

    /// The probability of each candidate.
    pub fn masses(&self) -> &[f64] {
        &self.0
    }

    /// Candidates that are not ruled out.
    pub fn candidates(&self) -> usize {
        self.0.iter().filter(|mass| **mass > 0.0).count()
    }

    /// Shannon's entropy, in bits.
    pub fn shannon(&self) -> f64 {
        let of = |mass: &f64| if *mass > 0.0 { mass * libm::log(*mass) } else { 0.0 };
        (-self.0.iter().map(of).sum::<f64>() / LN_2).max(0.0)
    }

    /// Min-entropy, in bits: how hard the best single guess is.
    pub fn min_entropy(&self) -> f64 {
        let most = self.0.iter().copied().fold(0.0, f64::max);
        if most > 0.0 { (-libm::log(most) / LN_2).max(0.0) } else { 0.0 }
    }
}

/// Each weight times the sum over all sets of `sets_of` − 1 of the others of their products.
fn inclusions(weights: &[f64], sets_of: usize) -> Vec<f64> {
    let add = |sums: &mut [f64], weight: f64| {
        for k in (1..sums.len()).rev() {
            sums[k] += weight * sums[k - 1];
        }
    };
    let mut sums = vec![0.0; sets_of];
    sums[0] = 1.0;
    let mut before = sums.clone();
    // Of all weights behind each one.
    let mut behind = vec![0.0; sets_of * weights.len()];
    for (row, weight) in behind.chunks_exact_mut(sets_of).zip(weights).rev() {
        row.copy_from_slice(&sums);
        add(&mut sums, *weight);
    }
    let rows = behind.chunks_exact(sets_of).zip(weights);
    rows.map(|(row, weight)| {
        let pairs = before.iter().zip(row.iter().rev());
        let inclusion = weight * pairs.map(|(a, b)| a * b).sum::<f64>();
        add(&mut before, *weight);
        inclusion
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12)
    }

    #[test]
    fn entropies_have_known_values() {
        let posterior = Posterior::from_weights(vec![4.0, 2.0, 1.0, 1.0, 0.0]).unwrap();
        assert!(near(posterior.masses(), &[0.5, 0.25, 0.125, 0.125, 0.0]));
        assert!((posterior.shannon() - 1.75).abs() < 1e-12);
        assert!((posterior.min_entropy() - 1.0).abs() < 1e-12);
        assert_eq!(posterior.candidates(), 4);
        let uniform = Posterior::uniform(8);
        assert!(
            (uniform.shannon() - 3.0).abs() < 1e-12 && (uniform.min_entropy() - 3.0).abs() < 1e-12
        );
    }

    #[test]
    fn mass_of_a_candidate_that_is_gone_goes_to_the_others() {
        let posterior = Posterior::from_weights(vec![4.0, 2.0, 1.0, 1.0]).unwrap();
        let left = posterior.without(|at| at == 0).unwrap();
        assert!(near(left.masses(), &[0.0, 0.5, 0.25, 0.25]));
        assert_eq!(left.without(|_| true), None);
    }

    #[test]
    fn weights_that_are_none_make_no_posterior() {
        for wrong in [vec![], vec![0.0, 0.0], vec![1.0, -1.0], vec![f64::NAN], vec![f64::INFINITY]]
        {
            assert_eq!(Posterior::from_weights(wrong), None);
        }
        let huge = Posterior::from_weights(vec![f64::MAX, f64::MAX]).unwrap();
        assert!(near(huge.masses(), &[0.5, 0.5]));
        assert_eq!(Posterior::from_log_odds(&[f64::NEG_INFINITY; 3], 1), None);
        assert_eq!(Posterior::from_log_odds(&[f64::NAN, 0.0], 1), None);
    }

    /// Every set of `m` of the weights, with the product of its weights.
    fn by_sets(weights: &[f64], m: u32) -> Vec<f64> {
        let mut found = vec![0.0; weights.len()];
        for set in 0u32..1 << weights.len() {
            let within = |at: &usize| set >> at & 1 == 1;
            if set.count_ones() == m {
                let members: Vec<usize> = (0..weights.len()).filter(within).collect();
                let product: f64 = members.iter().map(|at| weights[*at]).product();
                members.iter().for_each(|at| found[*at] += product);
            }
        }
        let sum: f64 = found.iter().sum();
        found.iter().map(|mass| mass / sum).collect()
    }

    #[test]
    fn log_odds_of_several_partners_are_shared_out_as_over_all_sets() {
        let odds: [f64; 6] = [3.0, -1.0, 0.5, 0.0, 2.0, -4.0];
        let weights = odds.map(libm::exp);
        for m in 1..=6 {
            let found = Posterior::from_log_odds(&odds, m).unwrap();
            assert!(near(found.masses(), &by_sets(&weights, m)), "{m}");
        }
        // More partners than candidates that are left: all of those are.
        let few = Posterior::from_log_odds(&[0.0, f64::NEG_INFINITY, 5.0], 3).unwrap();
        assert!(near(few.masses(), &[0.5, 0.0, 0.5]));
    }

    #[test]
    fn extreme_odds_stay_within_numbers() {
        let mut odds = vec![-1e6; 10_000];
        odds[..20].fill(1e6);
        let found = Posterior::from_log_odds(&odds, PARTNERS_MAX).unwrap();
        assert!(near(&found.masses()[..20], &[0.05; 20]));
        assert!((found.masses().iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let even = Posterior::from_log_odds(&vec![0.0; 10_000], PARTNERS_MAX).unwrap();
        assert!((even.masses()[77] - 1e-4).abs() < 1e-12);
        odds[0] = 3e6;
        let found = Posterior::from_log_odds(&odds, PARTNERS_MAX).unwrap();
        assert!((found.masses()[0] - 0.05).abs() < 1e-9, "{}", found.masses()[0]);
    }
}
