//! One sample of each quantity that has a closed form.

use super::forms;
use super::params::Args;
use crate::stream::Stream;

/// Mean delays from a mix's start, empty, to its first counted departure: e^−40 of the past is missing.
const WARM_UP: f64 = 40.0;

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
pub(super) fn mix(args: &Args, stream: &mut Stream, samples: u64) -> f64 {
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
