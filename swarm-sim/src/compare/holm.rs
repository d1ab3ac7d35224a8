//! Holm's procedure: many comparisons at once, without one of them being wrong more often than one alone.

/// The probability with which any of the equal figures may be said to differ.
pub const FAMILY_WISE: f64 = 0.05;

/// Which of the hypotheses with these probabilities are rejected so that, whatever depends on what, any true one is with
/// a probability of at most [`FAMILY_WISE`] (Holm, "A simple sequentially rejective multiple test procedure", 1979): the
/// smallest against 5 % by their number, the next by one less, until one stands.
pub fn holm(probabilities: &[f64]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut rejected = vec![false; probabilities.len()];
    for (rank, at) in order.into_iter().enumerate() {
        if probabilities[at] > FAMILY_WISE / (probabilities.len() - rank) as f64 {
            break;
        }
        rejected[at] = true;
    }
    rejected
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smallest_is_held_against_the_strictest_bound_and_the_first_that_stands_ends_it() {
        // Bounds 0.0125, 0.0167, 0.025, 0.05.
        assert_eq!(holm(&[0.04, 0.012, 0.016, 0.024]), [true, true, true, true]);
        // The third stands, so the fourth does, though 0.04 is below 0.05.
        assert_eq!(holm(&[0.04, 0.012, 0.016, 0.026]), [false, true, true, false]);
        assert_eq!(holm(&[0.013, 0.9, 0.9, 0.9]), [false; 4]);
        assert_eq!(holm(&[0.05]), [true]);
        assert!(holm(&[]).is_empty());
    }
}
