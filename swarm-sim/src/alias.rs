//! Draws by weight in the same time for any number of items: Walker's alias table as Vose builds it (A Linear Algorithm
//! for Generating Random Numbers with a Given Distribution, 1991), in whole numbers.

use crate::stream::fast::Fast;

/// A column of the table: its own item below the threshold, another above.
#[derive(Clone, Copy, Debug)]
struct Column {
    /// Of 2⁶⁴.
    threshold: u64,
    other: u32,
}

/// Items by weight.
#[derive(Clone, Debug)]
pub struct Alias(Vec<Column>);

impl Alias {
    /// A table of these weights; as in the protocol's draws, 0 counts as 1.
    pub fn new(weights: &[u32]) -> Self {
        let (count, total) =
            (weights.len() as u128, weights.iter().map(|w| u128::from(*w.max(&1))).sum::<u128>());
        // Every item in parts of which `total` fill a column.
        let mut parts: Vec<u128> = weights.iter().map(|w| u128::from(*w.max(&1)) * count).collect();
        let mut columns: Vec<Column> =
            (0..).zip(&parts).map(|(other, _)| Column { threshold: u64::MAX, other }).collect();
        let (mut small, mut large): (Vec<usize>, Vec<usize>) =
            (0..parts.len()).partition(|at| parts[*at] < total);
        while let (Some(low), Some(high)) = (small.pop(), large.last().copied()) {
            columns[low] = Column {
                threshold: u64::try_from((parts[low] << 64) / total).unwrap_or(u64::MAX),
                other: u32::try_from(high).unwrap_or(u32::MAX),
            };
            parts[high] -= total - parts[low];
            if parts[high] < total {
                large.pop();
                small.push(high);
            }
        }
        Self(columns)
    }

    /// An item's index, by weight; 0 without items.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the halves of the product")]
    pub fn draw(&self, fast: &mut Fast) -> u32 {
        let wide = u128::from(fast.next()) * self.0.len() as u128;
        let at = (wide >> 64) as u64 as u32;
        let Some(column) = self.0.get(at as usize) else { return 0 };
        if (wide as u64) < column.threshold { at } else { column.other }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::{Entity, Streams};

    /// What the table draws, exactly.
    fn shares(alias: &Alias) -> Vec<f64> {
        let (count, mut shares) = (alias.0.len() as f64, vec![0.0; alias.0.len()]);
        for (at, column) in alias.0.iter().enumerate() {
            let own = column.threshold as f64 / 2f64.powi(64);
            shares[at] += own / count;
            shares[column.other as usize] += (1.0 - own) / count;
        }
        shares
    }

    #[test]
    fn table_holds_every_weight() {
        let spread: Vec<u32> =
            (0..10_000u32).map(|i| i.wrapping_mul(2_654_435_761) >> (i % 20)).collect();
        for weights in [vec![5], vec![7; 33], vec![0, 1, u32::MAX], vec![1, 0, 3, 6], spread] {
            let total: f64 = weights.iter().map(|w| f64::from(*w.max(&1))).sum();
            for (share, weight) in shares(&Alias::new(&weights)).iter().zip(&weights) {
                let expected = f64::from(*weight.max(&1)) / total;
                assert!((share - expected).abs() < 1e-15 + 1e-12 * expected, "{share}, {expected}");
            }
        }
    }

    #[test]
    fn draws_follow_the_table() {
        let alias = Alias::new(&[0, 3, 6]);
        let mut fast =
            Fast::from_stream(&mut Streams::new(1, "alias", 0).stream(Entity::World, "test"));
        let mut counts = [0u32; 3];
        (0..100_000).for_each(|_| counts[alias.draw(&mut fast) as usize] += 1);
        // Shares 1 : 3 : 6 of 100 000; six standard deviations are below 1 000.
        for (count, expected) in counts.into_iter().zip([10_000, 30_000, 60_000]) {
            assert!(count.abs_diff(expected) < 1_000, "{counts:?}");
        }
        assert_eq!(Alias::new(&[]).draw(&mut fast), 0);
    }
}
