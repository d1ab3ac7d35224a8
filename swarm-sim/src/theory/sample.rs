//! Monte Carlo estimates of the closed forms' quantities.
//!
//! Samples are drawn in blocks with a random stream each, and merged in the order of the blocks: threads take
//! blocks, and do not show in the result.

use core::num::NonZeroUsize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use super::guards::Set;
use super::params::Args;
use super::rare::{RARE, Rare, Weights};
use super::{Form, Query, TheoryError, forms};
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
/// Mean delays from a mix's start, empty, to its first counted departure: e^−40 of the past is missing.
const WARM_UP: f64 = 40.0;

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
        let sampler = sampler.serving(self.values.first().copied().unwrap_or(0.0));
        let sizes = sizes(sampler, samples);
        let streams = Streams::new(seed, self.form().name, 0);
        let run = |at: u64| {
            let (from, block) = (at / (1 << 32), at % (1 << 32));
            let index = |part| u32::try_from(part).unwrap_or(u32::MAX);
            let mut stream = streams.stream(Entity::Pair(index(from), index(block)), "estimate");
            block_of(sampler, &self.args, &mut stream, sizes.of(at))
        };
        let blocks = in_order(sizes.blocks, threads, run);
        Ok(merged(sampler, &self.args, samples, blocks))
    }
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

fn block_of(sampler: Sampler, args: &Args, stream: &mut Stream, samples: u64) -> Block {
    let mut block = Block { hits: 0, samples, mean: 0.0, squares: 0.0, kept: Vec::new() };
    match sampler {
        Sampler::Share(draw) => {
            block.hits = (0..samples).map(|_| u64::from(draw(args, stream))).sum();
        }
        Sampler::Quantile(draw) => block.kept = (0..samples).map(|_| draw(args, stream)).collect(),
        Sampler::Mean(draw, _) => {
            (1..=samples).for_each(|n| block.add(n, draw(args, stream)));
        }
        Sampler::Tail(_, rare) | Sampler::Weight(rare) => {
            let rare = rare(args);
            (1..=samples).for_each(|n| block.add(n, rare.weight(stream)));
        }
        Sampler::Mix => block.mean = mix(args, stream, samples),
    }
    block
}

fn merged(sampler: Sampler, args: &Args, samples: u64, blocks: Vec<Block>) -> Estimate {
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
        Sampler::Mean(_, step) => beside(&Block::pooled(&blocks), step(args)),
        Sampler::Tail(_, rare) | Sampler::Weight(rare) => {
            let weights = Block::pooled(&blocks);
            let (low, high) = rare(args).interval(&weights);
            (weights.mean, low, high)
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

/// What keeps one sample from ending soon.
fn too_long(sampler: Sampler, form: &Form, args: &Args, samples: u64) -> Option<String> {
    if matches!(sampler, Sampler::Mix) && args.real("rho") > 1e5 {
        return Some("rho cannot be above 1e5 where it is sampled".to_owned());
    }
    let (steps, name) = steps(form, args);
    if steps > STEPS_MAX {
        return Some(format!("{name} cannot be above {STEPS_MAX:e} where it is sampled"));
    }
    let most = (DRAWS_MAX / steps).floor();
    (samples as f64 > most).then(|| {
        format!("samples cannot be above {most:e} with so many {name}: {DRAWS_MAX:e} draws in all")
    })
}

/// What a sample goes through one by one, in the mean, and its name.
fn steps(form: &Form, args: &Args) -> (f64, &'static str) {
    let has = |name: &str| form.params.iter().any(|param| param.name == name);
    if has("life_min_days") {
        return (Set::of(args).steps(), "picks of all guards");
    }
    let counted = ["hops", "guards", "size", "rounds"].into_iter().filter(|name| has(name));
    let steps = counted.map(|name| (args.count(name) as f64, name));
    steps.fold((1.0, "draws"), |most, one| if one.0 > most.0 { one } else { most })
}

/// Nodes that are drawn one after the other, each of those left alike.
#[derive(Debug)]
struct Urn {
    nodes: u64,
    malicious: u64,
}

impl Urn {
    fn of(args: &Args) -> Self {
        Self { nodes: args.count("nodes"), malicious: args.count("malicious") }
    }

    /// Draws a node; whether it is malicious.
    fn draw(&mut self, stream: &mut Stream) -> bool {
        let malicious = stream.below(self.nodes) < self.malicious;
        self.nodes -= 1;
        self.malicious -= u64::from(malicious);
        malicious
    }

    /// Malicious ones of the next `count`.
    fn hits(mut self, count: u64, stream: &mut Stream) -> u64 {
        (0..count).map(|_| u64::from(self.draw(stream))).sum()
    }
}

/// Whether the first and the last of `hops` nodes are malicious.
fn both_ends(mut urn: Urn, hops: u64, stream: &mut Stream) -> bool {
    let mut last = urn.draw(stream);
    let first = last;
    for _ in 1..hops {
        last = urn.draw(stream);
    }
    first && last
}

pub(super) fn chance(probability: f64, stream: &mut Stream) -> bool {
    stream.unit() <= probability
}

fn exponential(rate: f64, stream: &mut Stream) -> f64 {
    -libm::log(stream.unit()) / rate
}

/// Honest picks before the first malicious one: geometric, by inversion, so that rare ones take no longer.
pub(super) fn honest_picks(share: f64, stream: &mut Stream) -> f64 {
    if share <= 0.0 {
        return f64::INFINITY;
    }
    if share >= 1.0 {
        return 0.0;
    }
    (libm::log(stream.unit()) / libm::log1p(-share)).floor()
}

pub(super) fn path_both_ends(args: &Args, stream: &mut Stream) -> bool {
    both_ends(Urn::of(args), args.count("hops"), stream)
}

pub(super) fn path_all_hops(args: &Args, stream: &mut Stream) -> bool {
    let mut urn = Urn::of(args);
    (0..args.count("hops")).all(|_| urn.draw(stream))
}

pub(super) fn path_any_hop(args: &Args, stream: &mut Stream) -> bool {
    let mut urn = Urn::of(args);
    (0..args.count("hops")).any(|_| urn.draw(stream))
}

pub(super) fn request_both_ends(args: &Args, stream: &mut Stream) -> bool {
    let mut urn = Urn::of(args);
    let [guard, _middle, exit, destination] = [(); 4].map(|()| urn.draw(stream));
    guard && (exit || destination)
}

pub(super) fn fresh_paths_compromise(args: &Args, stream: &mut Stream) -> bool {
    let urn = Urn::of(args);
    let share = urn.malicious as f64 / urn.nodes as f64;
    // Two different ends, of which one is malicious at most, are never both.
    let mut left = if urn.malicious < 2 { 0.0 } else { args.count("paths") as f64 };
    loop {
        left -= honest_picks(share, stream) + 1.0;
        if left < 0.0 {
            return false;
        }
        // The guard is malicious; the exit is one of the other nodes.
        if stream.below(urn.nodes - 1) < urn.malicious - 1 {
            return true;
        }
    }
}

pub(super) fn guard_compromise_by(args: &Args, stream: &mut Stream) -> bool {
    let picks = forms::picks(args).unwrap_or(0);
    honest_picks(args.real("malicious_share"), stream) < picks as f64
}

pub(super) fn guard_days_to_compromise(args: &Args, stream: &mut Stream) -> f64 {
    let (share, life) = (args.real("malicious_share"), args.real("life_days"));
    if args.is("life", "fixed") {
        return honest_picks(share, stream) * life;
    }
    // So many exponential lives in a row have a gamma distribution.
    let honest = honest_picks(share, stream);
    if honest >= 1.0 { stream.gamma_from_one(honest) * life } else { 0.0 }
}

pub(super) fn guards_day_zero(args: &Args, stream: &mut Stream) -> bool {
    let mut urn = Urn::of(args);
    (0..args.count("guards")).any(|_| urn.draw(stream))
}

pub(super) fn erlang_delay(args: &Args, stream: &mut Stream) -> f64 {
    (0..args.count("hops")).map(|_| exponential(1.0, stream)).sum()
}

pub(super) fn presence_set(args: &Args, stream: &mut Stream) -> f64 {
    let presence = args.real("presence");
    let mut others = args.count("users") - 1;
    for _ in 0..args.count("rounds") {
        if others == 0 || presence >= 1.0 {
            break;
        }
        others = stream.binomial(others, presence);
    }
    1.0 + others as f64
}

/// Two samples differ by a user.
pub(super) fn one_user(_: &Args) -> f64 {
    1.0
}

/// Two samples differ by a guard's life.
pub(super) fn one_life(args: &Args) -> f64 {
    args.real("life_days")
}

/// No two samples are the same.
pub(super) fn no_step(_: &Args) -> f64 {
    0.0
}

pub(super) fn capture(args: &Args, stream: &mut Stream) -> bool {
    Urn::of(args).hits(args.count("size"), stream) >= args.count("at_least")
}

pub(super) fn burst_loss(args: &Args, stream: &mut Stream) -> bool {
    let mut urn = Urn { nodes: args.count("nodes"), malicious: forms::lost(args) };
    (0..args.count("size")).all(|_| urn.draw(stream))
}

pub(super) fn swarm_availability(args: &Args, stream: &mut Stream) -> bool {
    let up = args.real("availability");
    let live: u64 = (0..args.count("size")).map(|_| u64::from(chance(up, stream))).sum();
    live >= args.count("at_least")
}

pub(super) fn loss_without_repair(args: &Args, stream: &mut Stream) -> bool {
    let (life, time) = (args.real("mean_life"), args.real("time"));
    (0..args.count("size")).all(|_| exponential(1.0, stream) <= time / life)
}

/// Mean entropy over `samples` leaving messages of one run of a Poisson mix, in mean delays. The state is all that
/// the views need: the number inside, and over all earlier arrivals the sums of e^−age and of age · e^−age.
fn mix(args: &Args, stream: &mut Stream, samples: u64) -> f64 {
    let (rho, inside_view) = (args.real("rho"), args.is("view", "departures"));
    let (mut inside, mut weights, mut aged, mut time) = (0u64, 0.0, 0.0, 0.0);
    let (mut counted, mut total) = (0, 0.0);
    while counted < samples {
        let rate = rho + inside as f64;
        let wait = exponential(rate, stream);
        time += wait;
        let fade = libm::exp(-wait);
        aged = fade * (aged + wait * weights);
        weights *= fade;
        if chance(rho / rate, stream) {
            inside += 1;
            weights += 1.0;
        } else {
            inside -= 1;
            if time > WARM_UP {
                counted += 1;
                total += if inside_view {
                    libm::log2(inside as f64 + 1.0)
                } else {
                    (libm::log(weights) + aged / weights) / core::f64::consts::LN_2
                };
            }
        }
    }
    total / samples as f64
}
