//! The closed forms as functions of read parameters.

use core::f64::consts::LN_2;

use super::chain::Copies;
use super::lifetime::Loss;
use super::params::Args;
use super::rare::NEVER;
use crate::special::{
    binomial_upper, bisect, entire_exponential_integral, hypergeometric_upper, log2_1p,
    normal_two_sided, poisson, poisson_lower, poisson_upper,
};

/// One value for each field, or a sentence on what is impossible.
pub(super) type Found = Result<Vec<f64>, String>;

/// Copies of one store at most: the work grows with the third power.
pub(super) const COPIES_MAX: u64 = 200;

pub(super) fn require(holds: bool, sentence: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(sentence.to_owned()) }
}

fn one(value: f64) -> Found {
    Ok(vec![value])
}

/// Nodes and malicious ones among them, with `draws` not above nodes.
fn urn(args: &Args, draws: &str, count: u64) -> Result<(u64, u64), String> {
    let (nodes, malicious) = (args.count("nodes"), args.count("malicious"));
    require(malicious <= nodes, "malicious cannot be above nodes")?;
    require(count <= nodes, &format!("{draws} cannot be above nodes"))?;
    Ok((nodes, malicious))
}

/// Nodes and malicious ones among them, of which `what` takes `count` different ones.
fn urn_for(args: &Args, what: &str, count: u64) -> Result<(u64, u64), String> {
    let enough = args.count("nodes") >= count;
    require(
        enough,
        &format!("nodes must be at least {count}: {what} takes {count} different ones"),
    )?;
    urn(args, "nodes", count)
}

/// Probability that `draws` different ones of `nodes` are all among `marked`.
pub(crate) fn all_of(nodes: u64, marked: u64, draws: u64) -> f64 {
    if draws > marked {
        return 0.0;
    }
    // Both orders of the same count; the shorter product is taken.
    let (factors, from) =
        if draws <= nodes - marked { (draws, marked) } else { (nodes - marked, nodes - draws) };
    let mut product = 1.0;
    for i in 0..factors {
        product *= (from - i) as f64 / (nodes - i) as f64;
        if product == 0.0 {
            break;
        }
    }
    product
}

/// Probability that at least one of `draws` different ones of `nodes` is among `marked`.
pub(super) fn any_of(nodes: u64, marked: u64, draws: u64) -> f64 {
    if draws > nodes - marked {
        return 1.0;
    }
    let (small, large) = (draws.min(marked), draws.max(marked));
    let mut sum = 0.0;
    for i in 0..small {
        sum += libm::log1p(-(large as f64) / (nodes - i) as f64);
        if sum < -800.0 {
            break;
        }
    }
    -libm::expm1(sum)
}

/// 1 − (1 − p)^n.
pub(super) fn at_least_once(p: f64, n: f64) -> f64 {
    -libm::expm1(n * libm::log1p(-p))
}

fn both_ends_of(nodes: u64, malicious: u64) -> f64 {
    all_of(nodes, malicious, 2)
}

pub(super) fn path_both_ends(args: &Args) -> Found {
    let (n, c) = urn(args, "hops", args.count("hops"))?;
    one(both_ends_of(n, c))
}

pub(super) fn path_all_hops(args: &Args) -> Found {
    let hops = args.count("hops");
    let (n, c) = urn(args, "hops", hops)?;
    one(all_of(n, c, hops))
}

pub(super) fn path_any_hop(args: &Args) -> Found {
    let hops = args.count("hops");
    let (n, c) = urn(args, "hops", hops)?;
    one(any_of(n, c, hops))
}

pub(super) fn request_both_ends(args: &Args) -> Found {
    let (nodes, malicious) = urn_for(args, "a request", 4)?;
    let (n, c) = (nodes as f64, malicious as f64);
    one(both_ends_of(nodes, malicious) * ((2.0 * n - c - 2.0) / (n - 2.0)))
}

pub(super) fn fresh_paths_compromise(args: &Args) -> Found {
    let (n, c) = urn_for(args, "a path", 3)?;
    let paths = args.count("paths") as f64;
    one(if paths == 0.0 { 0.0 } else { at_least_once(both_ends_of(n, c), paths) })
}

/// Guards picked up to and including day `days`.
pub(super) fn picks(args: &Args) -> Result<u64, String> {
    let picks = args.decimal("days").times(args.decimal("life_days"));
    picks.map(|picks| picks + 1).ok_or_else(|| "days cannot be above 9e18 lives".to_owned())
}

pub(super) fn guard_compromise_by(args: &Args) -> Found {
    one(at_least_once(args.real("malicious_share"), picks(args)? as f64))
}

pub(super) fn guard_days_to_compromise(args: &Args) -> Found {
    let share = args.decimal("malicious_share");
    one(args.real("life_days") * (share.complement() / share.value()))
}

pub(super) fn guards_day_zero(args: &Args) -> Found {
    let guards = args.count("guards");
    let (n, c) = urn(args, "guards", guards)?;
    one(any_of(n, c, guards))
}

pub(super) fn predecessor_rounds(args: &Args) -> Found {
    let (nodes, malicious) = (args.count("nodes"), args.count("malicious"));
    require(
        malicious < nodes,
        "malicious must be below nodes: if all are malicious, the first round decides",
    )?;
    let (n, c) = (nodes as f64, malicious as f64);
    let square = c / n * (c / n);
    let miss =
        if square < 0.5 { libm::log1p(-square) } else { libm::log((n - c) / n * ((n + c) / n)) };
    one(libm::log(n) / -miss)
}

pub(super) fn crowds(args: &Args) -> Found {
    let (members, collaborators) = (args.count("members"), args.count("collaborators"));
    require(collaborators < members, "collaborators must be below members")?;
    let forward = args.decimal("forward");
    let n = members as f64;
    let others = (members - collaborators - 1) as f64;
    let other = forward.value() / n;
    let rest = other * others;
    let probability = (others * forward.complement() + collaborators as f64 + 1.0) / n;
    let ln = if rest < 0.5 { libm::log1p(-rest) } else { libm::log(probability) };
    let mut entropy = -probability * ln / LN_2;
    if rest > 0.0 {
        entropy += rest * (libm::log(n) - libm::log(forward.value())) / LN_2;
    }
    let degree = if others > 0.0 { entropy / log2_1p(others) } else { 0.0 };
    Ok(vec![probability, entropy, degree])
}

pub(super) fn entropy(args: &Args) -> Found {
    let shares = args.shares("p");
    let mut sorted: Vec<_> = shares.iter().copied().filter(|share| share.value() > 0.0).collect();
    sorted.sort_by(|a, b| b.value().total_cmp(&a.value()));
    let ln = |share: &crate::decimal::Decimal| {
        if share.value() > 0.5 {
            libm::log1p(-share.complement())
        } else {
            libm::log(share.value())
        }
    };
    // Adding 0 turns a negative zero into a plain one.
    let shannon = -sorted.iter().map(|share| share.value() * ln(share)).sum::<f64>() / LN_2 + 0.0;
    let min = sorted.first().map_or(0.0, |most| -ln(most) / LN_2 + 0.0);
    let square = |share: &crate::decimal::Decimal| share.value() * share.value();
    let renyi2 = match sorted.split_first() {
        // 1 − Σ p² from the largest share's complement q: 1 − (1 − q)² − the other squares.
        Some((most, others)) if most.value() > 0.5 => {
            let q = most.complement();
            let away = q * (2.0 - q) - others.iter().map(square).sum::<f64>();
            -libm::log1p(-away) / LN_2 + 0.0
        }
        _ => -libm::log(sorted.iter().map(square).sum()) / LN_2,
    };
    let guessing = sorted.iter().zip(1..).map(|(share, i)| f64::from(i) * share.value()).sum();
    let entries = shares.len();
    let degree = if entries > 1 { shannon / libm::log2(entries as f64) } else { 0.0 };
    Ok(vec![shannon, min, renyi2, guessing, degree])
}

pub(super) fn threshold_mix_entropy(args: &Args) -> Found {
    one(libm::log2(args.count("n") as f64))
}

pub(super) fn pool_mix_entropy(args: &Args) -> Found {
    let (enter, kept) = (args.count("in") as f64, args.count("kept") as f64);
    if kept == 0.0 {
        return one(libm::log2(enter));
    }
    one(libm::log2(enter + kept) + kept / enter * log2_1p(enter / kept))
}

pub(super) fn poisson_mix_entropy(args: &Args) -> Found {
    let rho = args.real("rho");
    require(rho <= 1e12, "rho cannot be above 1e12")?;
    one(if args.is("view", "departures") { inside_entropy(rho) } else { age_entropy(rho) })
}

/// E log2(1 + K), K Poisson with mean ρ: a state k is left by a departure at rate k, so the number inside just
/// before one is size-biased, which for a Poisson number is 1 + K. The sum stops where a term is below 1e-18 of
/// it, past the mode; what is cut is below 1e-12 relative.
fn inside_entropy(rho: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 ≤ rho ≤ 1e12")]
    let mode = (rho as u64).max(1);
    let first = poisson(mode, rho);
    let mut sum = first * log2_1p(mode as f64);
    let (mut weight, mut k) = (first, mode);
    loop {
        k += 1;
        weight *= rho / k as f64;
        let term = weight * log2_1p(k as f64);
        sum += term;
        if term <= 1e-18 * sum {
            break;
        }
    }
    weight = first;
    for k in (1..mode).rev() {
        weight *= (k + 1) as f64 / rho;
        let term = weight * log2_1p(k as f64);
        sum += term;
        if term <= 1e-18 * sum {
            break;
        }
    }
    sum
}

/// The entropy of weights e^−age over all earlier arrivals, seen from a departure.
///
/// Let S = Σ e^−age over a Poisson stream of rate ρ. Departures happen at rate S given the arrivals, so the mean over
/// departures is E[S·H]/ρ with H = ln S + (Σ age·e^−age)/S, which is 1 + E ln(S + U) for U uniform (the age of the
/// leaving message is exponential). With E e^−tS = e^(−ρ·Ein(t)) and E ln X = ∫ (e^−t − E e^−tX)/t dt that becomes
/// ∫₀^∞ (1 − e^(−ρ·Ein(t)))·(1 − e^−t)/t² dt nats: a positive integrand. In x = ln t it falls off exponentially on
/// both sides and is analytic for |Im x| < π/2, so the trapezoidal rule with steps of 1/16 is right to 1e-40;
/// cutting at x = −50 − ln max(ρ, 1) and x = 60 costs less than 1e-20 relative.
fn age_entropy(rho: f64) -> f64 {
    const STEP: f64 = 1.0 / 16.0;
    let mut x = -50.0 - libm::log(rho.max(1.0));
    let mut sum = 0.0;
    while x < 60.0 {
        let t = libm::exp(x);
        let hidden = -libm::expm1(-rho * entire_exponential_integral(t));
        sum += hidden * (-libm::expm1(-t) / t);
        x += STEP;
    }
    sum * STEP / LN_2
}

pub(super) fn erlang_delay(args: &Args) -> Found {
    let (hops, quantile) = (args.count("hops"), args.decimal("quantile"));
    let (share, rest) = (quantile.value(), quantile.complement());
    if share == 0.0 {
        return one(0.0);
    }
    let most = libm::log(hops as f64 + 40.0 * (hops as f64).sqrt() + 1000.0);
    let by = |x: f64| {
        let t = libm::exp(x);
        if share < 0.5 {
            poisson_upper(hops, t) >= share
        } else {
            poisson_lower(hops - 1, t) <= rest
        }
    };
    one(libm::exp(bisect(-760.0, most, by)))
}

pub(super) fn bayes_detection(args: &Args) -> Found {
    let (tpr, fpr) = (args.real("tpr"), args.real("fpr"));
    let false_ones = (args.count("flows") - 1) as f64 * fpr;
    require(
        tpr + false_ones > 0.0,
        "tpr and fpr cannot both lead to no match: one of them must be above 0, fpr with at least 2 flows",
    )?;
    one(tpr / (tpr + false_ones))
}

pub(super) fn sda_observations(args: &Args) -> Found {
    let of = |name| args.count(name) as f64;
    let (n, b, m, l) = (of("senders"), of("batch"), of("partners"), args.real("confidence"));
    require(m <= n, "partners cannot be above senders")?;
    let v0 = (b - 1.0) * (n - 1.0) / (n * n);
    let v1 = (m - 1.0) / (m * m);
    let root = m * l * (v0.sqrt() + (v0 + v1).sqrt());
    one(root * root)
}

pub(super) fn intersection_rounds(args: &Args) -> Found {
    let (n, b) = (args.count("users") as f64, args.count("batch") as f64);
    let miss = (b - 1.0) * libm::log1p(-1.0 / n);
    let ln_q =
        if miss > -LN_2 { libm::log(-libm::expm1(miss)) } else { libm::log1p(-libm::exp(miss)) };
    // Adding 0 turns a negative zero into a plain one.
    one(libm::log(n - 1.0) / -ln_q + 0.0)
}

pub(super) fn presence_set(args: &Args) -> Found {
    let presence = args.decimal("presence");
    let rounds = args.count("rounds") as f64;
    let others = (args.count("users") - 1) as f64;
    let p = presence.value();
    let stay = if p > 0.5 {
        libm::exp(rounds * libm::log1p(-presence.complement()))
    } else {
        libm::pow(p, rounds)
    };
    one(1.0 + others * stay)
}

pub(super) fn capture(args: &Args) -> Found {
    let (size, at_least) = (args.count("size"), args.count("at_least"));
    let (n, c) = urn(args, "size", size)?;
    require(at_least <= size, "at_least cannot be above size")?;
    one(hypergeometric_upper(n, c, size, at_least))
}

/// Nodes that a burst takes.
pub(super) fn lost(args: &Args) -> u64 {
    args.decimal("lost_share").nearest_of(args.count("nodes"))
}

pub(super) fn burst_loss(args: &Args) -> Found {
    let (nodes, size) = (args.count("nodes"), args.count("size"));
    require(size <= nodes, "size cannot be above nodes")?;
    one(all_of(nodes, lost(args), size))
}

pub(super) fn swarm_availability(args: &Args) -> Found {
    let (size, at_least) = (args.count("size"), args.count("at_least"));
    require(at_least <= size, "at_least cannot be above size")?;
    let up = args.decimal("availability");
    one(binomial_upper(size, at_least, up.value(), up.complement()))
}

/// The chain of `mttdl` and `loss-within`.
pub(super) fn copies(args: &Args) -> Result<Copies, String> {
    let size = args.count("size");
    Ok(Copies {
        size: u32::try_from(size).unwrap_or(0),
        fail: args.real("fail_rate"),
        repair: args.real("repair_rate"),
        parallel: args.is("repair", "parallel"),
    })
}

pub(super) fn mttdl(args: &Args) -> Found {
    one(copies(args)?.mean_time())
}

pub(super) fn loss_within(args: &Args) -> Found {
    let copies = copies(args)?;
    let jumps = (copies.fail + copies.repair) * f64::from(copies.size);
    require((jumps * args.real("time")).is_finite(), "time times the rates is too large")?;
    // The largest weight of an estimate bounds the probability: zero is nearest to what is far below all numbers.
    let bound = Loss::of(args).map_or(NEVER, |loss| loss.ln_most());
    let zero = (bound < libm::log(f64::MIN_POSITIVE)).then_some(0.0);
    let found = copies.loss_within(args.real("time")).or(zero);
    let found = found.ok_or_else(|| {
        "copies are lost one after the other so rarely that the value is beyond floating point: expected a higher fail_rate, a lower repair_rate or a smaller size".to_owned()
    })?;
    one(found)
}

pub(super) fn loss_without_repair(args: &Args) -> Found {
    let lives = args.real("time") / args.real("mean_life");
    let ln = if lives < LN_2 {
        libm::log(-libm::expm1(-lives))
    } else {
        libm::log1p(-libm::exp(-lives))
    };
    let size = args.count("size") as f64;
    one(if lives < LN_2 { libm::pow(-libm::expm1(-lives), size) } else { libm::exp(size * ln) })
}

fn trials(args: &Args) -> Result<(u64, u64), String> {
    let (hits, of) = (args.count("hits"), args.count("of"));
    require(hits <= of, "hits cannot be above of")?;
    Ok((hits, of))
}

pub(super) fn wilson(args: &Args) -> Found {
    let (hits, of) = trials(args)?;
    let level = args.decimal("level");
    let (low, high) =
        crate::stats::wilson_at(hits, of, normal_two_sided(level.value(), level.complement()));
    Ok(vec![low, high])
}

pub(super) fn clopper_pearson(args: &Args) -> Found {
    let (hits, of) = trials(args)?;
    let (low, high) =
        crate::stats::clopper_pearson_at(hits, of, args.decimal("level").complement() / 2.0);
    Ok(vec![low, high])
}
