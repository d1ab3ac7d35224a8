//! The Markov chain of live copies: copies fail, and are made again while one lives.

/// Numbers below this may be short of digits, or of those that they are the product of.
const FAINT: f64 = 1e-290;

/// A store of copies.
#[derive(Clone, Copy, Debug)]
pub struct Copies {
    /// Copies when all are live.
    pub size: u32,
    /// Failures of one copy in a unit of time.
    pub fail: f64,
    /// Repairs in a unit of time.
    pub repair: f64,
    /// Whether every missing copy is repaired at once, or one after the other.
    pub parallel: bool,
}

impl Copies {
    /// Rate of k → k − 1.
    pub fn down(&self, live: u32) -> f64 {
        f64::from(live) * self.fail
    }

    /// Rate of k → k + 1; none from 0 and none when all are live.
    pub fn up(&self, live: u32) -> f64 {
        if live == 0 || live >= self.size {
            return 0.0;
        }
        if self.parallel { f64::from(self.size - live) * self.repair } else { self.repair }
    }

    /// Mean time from all live to none: the sum of the mean times from each k to k − 1, each
    /// (1 + up(k) · the time from k + 1 to k) / down(k). All terms are positive.
    pub fn mean_time(&self) -> f64 {
        let (mut step, mut sum) = (0.0, 0.0);
        for live in (1..=self.size).rev() {
            step = (1.0 + self.up(live) * step) / self.down(live);
            sum += step;
        }
        sum
    }

    /// Probability that all copies are gone by `time`.
    ///
    /// The transition matrix over a step of at most half a mean jump is a Taylor series in the
    /// uniformised chain, whose entries are all positive; then it is squared until the step is `time`. Rows are set
    /// to sum 1 after each squaring, so that rounding does not grow with the number of steps but
    /// with its logarithm. Nothing is ever subtracted: small entries keep their digits. The cut of the series is
    /// below 1e-17 of every entry.
    ///
    /// `None` where one copy is left, from which the loss comes, with a probability too small for a number with all its
    /// digits, unless all are lost in any case.
    pub fn loss_within(&self, time: f64) -> Option<f64> {
        let states = self.size as usize + 1;
        let fastest = (1..=self.size).map(|k| self.down(k) + self.up(k)).fold(0.0, f64::max);
        let jumps = fastest * time;
        if jumps <= 0.0 {
            return Some(0.0);
        }
        let mut squarings = 0;
        let mut step = jumps;
        while step > 0.5 {
            step /= 2.0;
            squarings += 1;
        }
        let mut matrix = self.short_step(step, fastest, states);
        for _ in 0..squarings {
            matrix = squared(&matrix, states);
        }
        let all_live = &matrix[(states - 1) * states..];
        let (lost, one_left) = (all_live[0].min(1.0), all_live[1]);
        let is_sure = 1.0 - lost < 1e-9;
        // What comes from one copy in the short step has to be a number as well.
        let comes = one_left * self.down(1) / fastest;
        let is_right = comes >= FAINT || (squarings == 0 && lost >= f64::MIN_POSITIVE);
        (is_right || is_sure).then_some(lost)
    }

    fn short_step(&self, step: f64, fastest: f64, states: usize) -> Vec<f64> {
        let rates: Vec<(f64, f64, f64)> = (0..=self.size)
            .map(|k| {
                let (down, up) = (self.down(k) / fastest, self.up(k) / fastest);
                (down, (1.0 - down - up).max(0.0), up)
            })
            .collect();
        let mut term = vec![0.0; states * states];
        for k in 0..states {
            term[k * states + k] = 1.0;
        }
        let mut sum = term.clone();
        for n in 1..states + 40 {
            let factor = step / n as f64;
            let mut next = vec![0.0; states * states];
            for row in 0..states {
                for at in 0..states {
                    let value = term[row * states + at] * factor;
                    if value > 0.0 {
                        let (down, stay, up) = rates[at];
                        if at > 0 {
                            next[row * states + at - 1] += value * down;
                        }
                        next[row * states + at] += value * stay;
                        if at + 1 < states {
                            next[row * states + at + 1] += value * up;
                        }
                    }
                }
            }
            term = next;
            for (sum, term) in sum.iter_mut().zip(&term) {
                *sum += term;
            }
        }
        normalised(sum, states)
    }
}

fn normalised(mut matrix: Vec<f64>, states: usize) -> Vec<f64> {
    for row in matrix.chunks_mut(states) {
        let sum: f64 = row.iter().sum();
        row.iter_mut().for_each(|value| *value /= sum);
    }
    matrix
}

fn squared(matrix: &[f64], states: usize) -> Vec<f64> {
    let mut square = vec![0.0; states * states];
    for row in 0..states {
        for middle in 0..states {
            let value = matrix[row * states + middle];
            for at in 0..states {
                square[row * states + at] += value * matrix[middle * states + at];
            }
        }
    }
    normalised(square, states)
}
