//! Monte Carlo estimates of the closed forms' quantities.
//!
//! Samples are drawn in blocks with a random stream each, and merged in the order of the blocks: threads take
//! blocks, and do not show in the result.

use core::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::draw::mix;
use super::guards::Set;
use super::params::Args;
use super::rare::{RARE, Rare, Shares, Weights};
use super::{Form, Query, TheoryError};
use crate::stats;
use crate::stream::{Entity, Stream, Streams};

/// The most samples of an estimate.
pub const SAMPLES_MAX: u64 = 1_000_000_000_000;
/// The most samples of a quantile, which are all kept: 8 bytes each.
const KEPT_MAX: u64 = 50_000_000;
/// Samples of a block: enough that making its stream does not count.
const BLOCK: u64 = 1 << 14;
/// Independent runs of a mix, whose messages are correlated within one.
const RUNS: u64 = 32;
/// The highest of counts that each sample goes through one by one.
const STEPS_MAX: f64 = 1e7;
/// The most of them in all samples: two days at 50 million a second.
const DRAWS_MAX: f64 = 1e13;

/// How a quantity is sampled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sampler {
    /// A probability, as the share of hits.
    Share(fn(&Args, &mut Stream) -> bool),
    /// A probability, as the share of hits, or as the mean of weights where it is tiny.
    Tail(fn(&Args, &mut Stream) -> bool, fn(&Args) -> Rare),
    /// A mean, and the least by which two different samples differ; 0 where no two are the same.
    Mean(fn(&Args, &mut Stream) -> f64, fn(&Args) -> f64),
    /// A probability, as the mean of weights.
    Weight(fn(&Args) -> Rare),
    /// A quantile.
    Quantile(fn(&Args, &mut Stream) -> f64),
    /// Leaving messages of runs of a mix.
    Mix,
}

impl Sampler {
    /// What serves for this value of the closed form. An impossible event has no weights; nobody hits it.
    fn serving(self, value: f64) -> Self {
        match self {
            Self::Tail(draw, _) if value <= 0.0 || value >= RARE => Self::Share(draw),
            other => other,
        }
    }
}

/// An estimate with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// The point estimate.
    pub estimate: f64,
    /// Lower end of the interval.
    pub ci_low: f64,
    /// Upper end of the interval.
    pub ci_high: f64,
    /// Samples drawn.
    pub samples: u64,
}

#[derive(Debug)]
struct Block {
    hits: u64,
    samples: u64,
    mean: f64,
    /// Sum of squared differences from the mean.
    squares: f64,
    kept: Vec<f64>,
}

impl Block {
    /// Adds the `n`-th value.
    fn add(&mut self, n: u64, value: f64) {
        let difference = value - self.mean;
        self.mean += difference / n as f64;
        self.squares += difference * (value - self.mean);
    }

    /// All blocks' values as one's.
    fn pooled(blocks: &[Self]) -> Weights {
        let mut all = Weights { samples: 0, mean: 0.0, squares: 0.0 };
        for block in blocks {
            let (n, more) = (all.samples as f64, block.samples as f64);
            let difference = block.mean - all.mean;
            all.squares += block.squares + difference * difference * n * more / (n + more);
            all.samples += block.samples;
            all.mean += difference * more / (n + more);
        }
        all
    }
}

impl Query {
    /// Samples the quantity; an error where it cannot be sampled, or not with so many samples.
    ///
    /// A probability whose closed form lies between 0 and 1e-4 is the mean of weights (importance sampling, unbiased); the
    /// closed form decides on that, and on nothing else. `loss-within` always is.
    pub fn estimate(
        &self,
        samples: u64,
        seed: u64,
        threads: NonZeroUsize,
    ) -> Result<Estimate, TheoryError> {
        let Some(sampler) = self.form().sampler else {
            return Err(TheoryError::NotSampled { name: self.form().name });
        };
        let wrong = |wrong: &str| TheoryError::Parameter {
            name: self.form().name,
            wrong: wrong.to_owned(),
            allowed: self.form().allowed(),
        };
        if !(2..=SAMPLES_MAX).contains(&samples) {
            return Err(wrong("samples must be from 2 to 1000000000000"));
        }
        if matches!(sampler, Sampler::Quantile(_)) && samples > KEPT_MAX {
            return Err(wrong("samples of a quantile cannot be above 50000000"));
        }
        if matches!(sampler, Sampler::Quantile(_)) {
            let share = self.args.real("quantile");
            let needed = stats::quantile_needs(share);
            if (samples as f64) < needed {
                return Err(wrong(&format!(
                    "samples of the {share}-quantile must be {needed} or more, for an interval"
                )));
            }
        }
        if let Some(sentence) = too_long(sampler, self.form(), &self.args, samples) {
            return Err(wrong(&sentence));
        }
        let value = self.values.first().copied().unwrap_or(0.0);
        let (sampler, unit) = (sampler.serving(value), unit_of(value));
        let sizes = sizes(sampler, samples);
        let streams = Streams::new(seed, self.form().name, 0);
        let run = |at: u64| {
            let (from, block) = (at / (1 << 32), at % (1 << 32));
            let index = |part| u32::try_from(part).unwrap_or(u32::MAX);
            let mut stream = streams.stream(Entity::Pair(index(from), index(block)), "estimate");
            block_of(sampler, &self.args, unit, &mut stream, sizes.of(at))
        };
        let blocks = in_order(sizes.blocks, threads, run);
        Ok(merged(sampler, &self.args, unit, samples, blocks))
    }
}

/// What samples of a mean are counted in, so that their squares are numbers however large or small they are: a power of two,
/// about as large as the closed form's value.
fn unit_of(value: f64) -> f64 {
    if value.is_normal() { libm::exp2(libm::log2(value.abs()).floor()) } else { 1.0 }
}

#[derive(Clone, Copy, Debug)]
struct Sizes {
    blocks: u64,
    samples: u64,
}

impl Sizes {
    /// Samples of one block: equal but for one.
    const fn of(self, block: u64) -> u64 {
        let more = if block < self.samples % self.blocks { 1 } else { 0 };
        self.samples / self.blocks + more
    }
}

fn sizes(sampler: Sampler, samples: u64) -> Sizes {
    let blocks =
        if matches!(sampler, Sampler::Mix) { RUNS.min(samples) } else { samples.div_ceil(BLOCK) };
    Sizes { blocks, samples }
}

/// Runs blocks on threads; results in the order of the blocks.
fn in_order(blocks: u64, threads: NonZeroUsize, run: impl Fn(u64) -> Block + Sync) -> Vec<Block> {
    let next = AtomicU64::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= blocks {
                        break;
                    }
                    let block = run(at);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((at, block));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, block)| block).collect()
}

fn block_of(sampler: Sampler, args: &Args, unit: f64, stream: &mut Stream, samples: u64) -> Block {
    let mut block = Block { hits: 0, samples, mean: 0.0, squares: 0.0, kept: Vec::new() };
    match sampler {
        Sampler::Share(draw) => {
            block.hits = (0..samples).map(|_| u64::from(draw(args, stream))).sum();
        }
        Sampler::Quantile(draw) => block.kept = (0..samples).map(|_| draw(args, stream)).collect(),
        Sampler::Mean(draw, _) => {
            (1..=samples).for_each(|n| block.add(n, draw(args, stream) / unit));
        }
        Sampler::Tail(_, rare) | Sampler::Weight(rare) => {
            let shares = Shares::of(rare(args));
            (1..=samples).for_each(|n| block.add(n, shares.draw(stream)));
        }
        Sampler::Mix => block.mean = mix(args, stream, samples),
    }
    block
}

fn merged(sampler: Sampler, args: &Args, unit: f64, samples: u64, blocks: Vec<Block>) -> Estimate {
    let (estimate, ci_low, ci_high) = match sampler {
        Sampler::Share(_) => {
            let hits = blocks.iter().map(|block| block.hits).sum();
            let (low, high) = stats::clopper_pearson_at(hits, samples, 0.025);
            (hits as f64 / samples as f64, low, high)
        }
        Sampler::Quantile(_) => {
            let mut all: Vec<f64> = blocks.into_iter().flat_map(|block| block.kept).collect();
            all.sort_by(f64::total_cmp);
            let most = all.last().copied().unwrap_or(f64::NAN);
            stats::quantile(&all, args.real("quantile")).map_or((most, 0.0, most), |found| {
                // No sample is negative, and there are enough for an upper end.
                (found.value, found.low.unwrap_or(0.0), found.high.unwrap_or(most))
            })
        }
        Sampler::Mean(_, step) => {
            let (mean, low, high) = beside(&Block::pooled(&blocks), step(args) / unit);
            (mean * unit, low * unit, high * unit)
        }
        Sampler::Tail(_, rare) | Sampler::Weight(rare) => {
            Shares::of(rare(args)).estimate(&Block::pooled(&blocks))
        }
        Sampler::Mix => {
            let total: f64 = blocks.iter().map(|block| block.mean * block.samples as f64).sum();
            let mean = total / samples as f64;
            let squares =
                blocks.iter().map(|block| (block.mean - mean) * (block.mean - mean)).sum();
            let runs = blocks.len() as u64;
            // One bit, that of two messages inside, more or less in one of a run's messages.
            beside(&Weights { samples: runs, mean, squares }, runs as f64 / samples as f64)
        }
    };
    Estimate { estimate, ci_low, ci_high, samples }
}

/// A mean with its interval, as if one more sample had been a step lower, or higher. Nothing is negative.
fn beside(weights: &Weights, step: f64) -> (f64, f64, f64) {
    let (low, high) = weights.interval((weights.mean - step).max(0.0), weights.mean + step);
    (weights.mean, low.max(0.0), high)
}

/// What keeps one sample from ending soon, or all of them from ending.
fn too_long(sampler: Sampler, form: &Form, args: &Args, samples: u64) -> Option<String> {
    if matches!(sampler, Sampler::Mix) && args.real("rho") > 1e5 {
        return Some("rho cannot be above 1e5 where it is sampled".to_owned());
    }
    let Steps { count, draws, of } = steps(form, args);
    if count > STEPS_MAX {
        return Some(format!("{of} cannot be above {STEPS_MAX:e} where it is sampled"));
    }
    let (draws, most) = (draws.ceil(), (DRAWS_MAX / draws.ceil()).floor());
    (samples as f64 > most).then(|| {
        format!(
            "samples cannot be above {most:e}: about {draws:e} draws each ({of}), and {DRAWS_MAX:e} in all"
        )
    })
}

/// What a sample goes through one by one, in the mean.
struct Steps {
    count: f64,
    /// Draws of 20 ns that they take, as measured.
    draws: f64,
    /// What is counted.
    of: &'static str,
}

fn steps(form: &Form, args: &Args) -> Steps {
    match form.name {
        "presence-set" => return rounds_online(args),
        "fresh-paths-compromise" => return malicious_guards(args),
        // A negative binomial and a gamma variable: 135 to 275 ns a level.
        "mttdl" | "loss-within" => {
            let count = args.count("size") as f64;
            return Steps { count, draws: 8.0 * count, of: "levels of size" };
        }
        _ => {}
    }
    let has = |name: &str| form.params.iter().any(|param| param.name == name);
    if has("life_min_days") {
        let count = Set::of(args).steps();
        return Steps { count, draws: count, of: "picks of all guards" };
    }
    let counted = ["hops", "guards", "size"].into_iter().filter(|name| has(name));
    let all = counted.map(|name| (args.count(name) as f64, name));
    let (count, of) = all.fold((1.0, "draws"), |most, one| if one.0 > most.0 { one } else { most });
    Steps { count, draws: count, of }
}

/// Rounds until nobody else is left, and their binomial numbers: 4 ns for each of few, and 140 ns each time that many are halved.
fn rounds_online(args: &Args) -> Steps {
    let (users, presence) = (args.count("users") as f64, args.real("presence"));
    let lasting = 1.0 - libm::log(users) / libm::log(presence);
    let rounds = if presence >= 1.0 { 1.0 } else { lasting.min(args.count("rounds") as f64) };
    let left = (users * libm::pow(presence, rounds)).max(1.0);
    let each = |users: f64| 1.0 + users.min(32.0) / 4.0 + 7.0 * libm::log2(users / 32.0).max(0.0);
    let draws = rounds * (each(users) + each(left)) / 2.0;
    Steps { count: rounds, draws, of: "rounds, with users who stay" }
}

/// Malicious guards until one has a malicious exit, or until all paths are through: 25 to 30 ns for each; one draw where that is rare.
fn malicious_guards(args: &Args) -> Steps {
    let [nodes, malicious, paths] =
        ["nodes", "malicious", "paths"].map(|name| args.count(name) as f64);
    // One alone is never at both ends.
    let needed = if malicious < 2.0 { f64::INFINITY } else { (nodes - 1.0) / (malicious - 1.0) };
    let all = paths * malicious / nodes;
    let count = if all < RARE * needed { 1.0 } else { 1.0 + needed.min(all) };
    Steps { count, draws: 1.5 * count, of: "malicious guards" }
}
