//! Draws in whole numbers: the same inputs and the same generator give the same choice everywhere.

use core::time::Duration;

use rand_core::CryptoRng;

/// A uniform number below `bound`; 0 if `bound` is 0.
///
/// Values beyond the last whole multiple of `bound` are drawn again, so no remainder is favoured.
pub(super) fn below(rng: &mut impl CryptoRng, bound: u64) -> u64 {
    if bound == 0 {
        return 0;
    }
    let last = u64::MAX - (u64::MAX % bound + 1) % bound;
    loop {
        let drawn = rng.next_u64();
        if drawn <= last {
            return drawn % bound;
        }
    }
}

/// A uniform time from `least` to `most`, both included, in whole milliseconds.
pub(super) fn between(rng: &mut impl CryptoRng, least: Duration, most: Duration) -> Duration {
    let span = most.saturating_sub(least).as_millis();
    let span = u64::try_from(span).unwrap_or(u64::MAX - 1);
    least + Duration::from_millis(below(rng, span + 1))
}

/// One of `items`, each as likely as the others.
pub(super) fn uniform<T: Copy>(rng: &mut impl CryptoRng, items: &[T]) -> Option<T> {
    let at = below(rng, items.len() as u64);
    items.get(usize::try_from(at).ok()?).copied()
}

/// One of `items` by weight. A weight of 0 counts as 1, so whether there is a choice never depends
/// on weights.
pub(super) fn weighted<T: Copy>(
    rng: &mut impl CryptoRng,
    items: &[T],
    weight: impl Fn(T) -> u32,
) -> Option<T> {
    let of = |item| u64::from(weight(item).max(1));
    let mut left = below(rng, items.iter().map(|item| of(*item)).sum());
    for item in items {
        let own = of(*item);
        if left < own {
            return Some(*item);
        }
        left -= own;
    }
    None
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    use super::*;

    #[test]
    fn weighted_draws_follow_the_weights_and_zero_counts_as_one() {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        let mut counts = [0u32; 3];
        for _ in 0..100_000 {
            let drawn = weighted(&mut rng, &[0usize, 1, 2], |i| [0, 3, 6][i]);
            counts[drawn.unwrap_or(9)] += 1;
        }
        // Shares 1 : 3 : 6 of 100 000; six standard deviations are below 1 000.
        for (count, expected) in counts.into_iter().zip([10_000, 30_000, 60_000]) {
            assert!(count.abs_diff(expected) < 1_000, "{counts:?}");
        }
    }

    #[test]
    fn draws_reach_both_ends_and_never_leave_the_range() {
        let mut rng = ChaCha20Rng::seed_from_u64(2);
        let (least, most) = (Duration::from_millis(5), Duration::from_millis(8));
        let mut seen = [false; 4];
        for _ in 0..1_000 {
            let millis = between(&mut rng, least, most).as_millis();
            assert!((5..=8).contains(&millis));
            seen[usize::try_from(millis).unwrap_or(0) - 5] = true;
        }
        assert_eq!(seen, [true; 4]);
        assert_eq!(below(&mut rng, 0), 0);
        assert_eq!(uniform::<u8>(&mut rng, &[]), None);
        assert_eq!(weighted::<u8>(&mut rng, &[], |_| 1), None);
        assert_eq!(between(&mut rng, most, least), most);
    }
}
