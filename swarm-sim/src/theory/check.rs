//! Every closed form against Monte Carlo, or against a second derivation.

use core::f64::consts::LN_2;
use core::num::NonZeroUsize;

use serde::Serialize;

use super::{FORMS, Form, Query, TheoryError};
use crate::special::bisect;
use crate::stats;
use crate::stream::{Entity, Stream, Streams};

/// Half-widths of an interval that a check allows, in those of 95 %: 4.4 standard errors, so that a true closed form
/// fails one of its fixed seeds with probability 1e-5.
const SLACK: f64 = 2.25;
const SEED: u64 = 1;

/// A closed form beside what was found another way.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// The metric, with field or way where it has several.
    pub name: String,
    /// The closed form's value.
    pub expected: f64,
    /// What was found.
    pub found: f64,
    /// Lower end of what passes.
    pub low: f64,
    /// Upper end of what passes.
    pub high: f64,
    /// Samples; 0 for a second derivation.
    pub samples: u64,
    /// Whether the closed form's value lies within the ends.
    pub pass: bool,
}

impl Check {
    /// Judges a value by an interval.
    pub fn judge(name: String, expected: f64, found: (f64, f64, f64), samples: u64) -> Self {
        let (found, low, high) = found;
        let pass = low <= expected && expected <= high;
        Self { name, expected, found, low, high, samples, pass }
    }
}

/// Parameters and samples at which the metrics that can be sampled are checked.
const POINTS: &[(&str, &str, u64)] = &[
    ("path-both-ends", "nodes=20 malicious=6", 400_000),
    ("path-both-ends", "nodes=20 malicious=6 hops=5", 400_000),
    ("path-all-hops", "nodes=20 malicious=9", 400_000),
    ("path-all-hops", "nodes=2000 malicious=20 hops=4", 200_000),
    ("path-any-hop", "nodes=20 malicious=3", 400_000),
    ("path-any-hop", "nodes=1000000 malicious=2 hops=5", 200_000),
    ("request-both-ends", "nodes=15 malicious=5", 400_000),
    ("request-both-ends", "nodes=2000 malicious=8", 200_000),
    ("fresh-paths-compromise", "nodes=30 malicious=5 paths=12", 200_000),
    ("fresh-paths-compromise", "nodes=1000000 malicious=20 paths=1000", 200_000),
    ("guard-compromise-by", "malicious_share=0.1 life_days=0.1 days=0.3", 400_000),
    ("guard-compromise-by", "malicious_share=1e-9 life_days=30 days=365", 200_000),
    ("guard-days-to-compromise", "malicious_share=0.2 life_days=30", 200_000),
    ("guard-days-to-compromise", "malicious_share=0.2 life_days=30 life=exponential", 200_000),
    (
        "guard-set-compromise-by",
        "malicious_share=0.1 guards=2 life_min_days=60 life_max_days=120 days=365",
        400_000,
    ),
    (
        "guard-set-compromise-by",
        "malicious_share=0.05 guards=3 life_min_days=0 life_max_days=30 days=90",
        400_000,
    ),
    ("guards-day-zero", "nodes=25 malicious=4 guards=3", 400_000),
    ("guards-day-zero", "nodes=1000000 malicious=3 guards=3", 200_000),
    ("poisson-mix-entropy", "rho=5", 1_000_000),
    ("poisson-mix-entropy", "rho=5 view=departure", 1_000_000),
    ("poisson-mix-entropy", "rho=0.3 view=departure", 500_000),
    ("erlang-delay", "hops=4 quantile=0.9", 400_000),
    ("presence-set", "users=30 presence=0.8 rounds=5", 100_000),
    ("swarm-capture", "nodes=60 malicious=20 size=7 at_least=4", 400_000),
    ("swarm-capture", "nodes=2000 malicious=20 size=7 at_least=5", 200_000),
    ("quorum-capture", "nodes=60 malicious=15 size=20 at_least=14", 200_000),
    ("quorum-capture", "nodes=40 malicious=10 size=5 at_least=2", 400_000),
    ("burst-loss", "nodes=15 lost_share=0.5 size=3", 400_000),
    ("burst-loss", "nodes=300 lost_share=0.05 size=6", 200_000),
    ("swarm-availability", "size=300 availability=0.6 at_least=230", 200_000),
    ("swarm-availability", "size=7 availability=0.8 at_least=6", 400_000),
    ("mttdl", "size=3 fail_rate=1 repair_rate=4", 100_000),
    ("mttdl", "size=3 fail_rate=1 repair_rate=4 repair=serial", 100_000),
    ("loss-within", "size=3 fail_rate=1 repair_rate=10 time=20", 200_000),
    ("loss-within", "size=5 fail_rate=0.001 repair_rate=1 time=100", 200_000),
    ("loss-within", "size=4 fail_rate=0.01 repair_rate=1 time=0.5 repair=serial", 200_000),
    ("loss-without-repair", "size=6 mean_life=100 time=2", 200_000),
    ("loss-without-repair", "size=3 mean_life=10 time=8", 400_000),
];

/// Checks every metric; the order is that of [`FORMS`].
pub fn selfcheck(threads: NonZeroUsize) -> Result<Vec<Check>, TheoryError> {
    let mut checks = Vec::new();
    for form in FORMS {
        if form.can_be_sampled() {
            for (_, words, samples) in POINTS.iter().filter(|(name, ..)| *name == form.name) {
                checks.push(sampled(form.name, words, *samples, threads)?);
            }
        } else {
            checks.extend(derived(form)?);
        }
    }
    Ok(checks)
}

fn query(name: &str, words: &str) -> Result<Query, TheoryError> {
    let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    Query::parse(name, &words)
}

fn sampled(
    name: &str,
    words: &str,
    samples: u64,
    threads: NonZeroUsize,
) -> Result<Check, TheoryError> {
    let query = query(name, words)?;
    let found = query.estimate(samples, SEED, threads)?;
    let low = found.estimate - SLACK * (found.estimate - found.ci_low);
    let high = found.estimate + SLACK * (found.ci_high - found.estimate);
    let label = format!("{name} {words}");
    Ok(Check::judge(label, query.values()[0], (found.estimate, low, high), samples))
}

/// A share with the ends that pass.
fn share(samples: u64, mut hit: impl FnMut() -> bool) -> (f64, f64, f64) {
    let hits = (0..samples).map(|_| u64::from(hit())).sum();
    let found = hits as f64 / samples as f64;
    let (low, high) = stats::clopper_pearson_at(hits, samples, 0.025);
    (found, found - SLACK * (found - low), found + SLACK * (high - found))
}

/// A second derivation, which agrees to this relative difference.
fn near(value: f64, relative: f64) -> (f64, f64, f64) {
    (value, value - relative * value.abs(), value + relative * value.abs())
}

/// Applies a falling or rising function to a value and its ends.
fn through(found: (f64, f64, f64), f: impl Fn(f64) -> f64) -> (f64, f64, f64) {
    let (a, b) = (f(found.1), f(found.2));
    (f(found.0), a.min(b), a.max(b))
}

const SAMPLES: u64 = 400_000;

fn derived(form: &Form) -> Result<Vec<Check>, TheoryError> {
    let mut stream = Streams::new(SEED, form.name, 0).stream(Entity::World, "selfcheck");
    let name = form.name;
    let check = |query: &Query, at: usize, found, samples| {
        let field = form.fields[at];
        let label = if field == "value" { name.to_owned() } else { format!("{name} {field}") };
        Check::judge(label, query.values()[at], found, samples)
    };
    let stream = &mut stream;
    Ok(match name {
        "predecessor-rounds" => {
            let q = query(name, "nodes=10 malicious=3")?;
            let both = share(SAMPLES, || stream.below(10) < 3 && stream.below(10) < 3);
            let rounds = through(both, |p| libm::log(0.1) / libm::log(1.0 - p));
            vec![check(&q, 0, rounds, SAMPLES)]
        }
        "crowds" => {
            let q = query(name, "members=12 collaborators=3 forward=0.75")?;
            let found = crowd(12, 3, 0.75, stream);
            let (n, p) = (12.0, found.0);
            // The two others second-hand: grouped into the predecessor and eight equal ones.
            let split = -(p * libm::log2(p) + (1.0 - p) * libm::log2(1.0 - p)) + (1.0 - p) * 3.0;
            let slack = (found.2 - found.1) * 4.0 / p;
            let entropy = (split, split - slack, split + slack);
            let degree = through(entropy, |bits| bits / libm::log2(n - 3.0));
            vec![
                check(&q, 0, found, SAMPLES),
                check(&q, 1, entropy, SAMPLES),
                check(&q, 2, degree, SAMPLES),
            ]
        }
        "entropy" => {
            let q = query(name, "p=0.4,0.3,0,0.2,0.1")?;
            let p = [0.4, 0.3, 0.2, 0.1];
            let renyi = |order: f64| {
                libm::log2(p.iter().map(|p| libm::pow(*p, order)).sum()) / (1.0 - order)
            };
            let shannon = (renyi(1.0 + 1e-4) + renyi(1.0 - 1e-4)) / 2.0;
            let collide: f64 = 1.0
                - (0..4)
                    .flat_map(|a| (0..4).filter(move |b| *b != a).map(move |b| p[a] * p[b]))
                    .sum::<f64>();
            let unguessed: f64 = (0..4).map(|k| p[k..].iter().sum::<f64>()).sum();
            // The best first guess is right as often as the largest share says.
            let first = share(SAMPLES, || stream.unit() <= p[0]);
            let min = through(first, |share| -libm::log2(share));
            let mut checks = vec![check(&q, 1, min, SAMPLES)];
            let others = [
                (0, shannon),
                (2, -libm::log(collide) / LN_2),
                (3, unguessed),
                (4, shannon / libm::log2(5.0)),
            ];
            checks.extend(others.map(|(at, value)| check(&q, at, near(value, 1e-6), 0)));
            checks
        }
        "threshold-mix-entropy" => {
            let q = query(name, "n=8")?;
            let mut counts = [0u64; 8];
            (0..SAMPLES).for_each(|_| counts[stream.choose(1, 8)[0]] += 1);
            vec![check(&q, 0, near(plug_in(&counts, 1.0), 1e-4), SAMPLES)]
        }
        "pool-mix-entropy" => {
            let q = query(name, "in=4 kept=6")?;
            let runs: Vec<f64> = (0..32).map(|_| pool(4, 6, 15_000, stream)).collect();
            vec![check(&q, 0, mean_of(&runs), 32 * 60_000)]
        }
        "bayes-detection" => {
            let q = query(name, "tpr=0.9 fpr=0.02 flows=50")?;
            let mut declared = || loop {
                let is_true = stream.below(50) == 0;
                if stream.unit() <= if is_true { 0.9 } else { 0.02 } {
                    return is_true;
                }
            };
            vec![check(&q, 0, share(SAMPLES, &mut declared), SAMPLES)]
        }
        "sda-observations" => {
            let q = query(name, "senders=1000 batch=50 partners=10 confidence=2")?;
            // The signal t/m stands as high as l standard deviations of both noises.
            let (v0, v1) = (49.0 * 999.0 / 1e6, 9.0 / 100.0);
            let t =
                bisect(1.0, 1e9, |t| t / 10.0 >= 2.0 * ((t * v0).sqrt() + (t * (v0 + v1)).sqrt()));
            vec![check(&q, 0, near(t, 1e-9), 0)]
        }
        "intersection-rounds" => intersections(form, stream)?,
        "wilson" => {
            let q = query(name, "hits=3 of=20 level=0.9")?;
            // Both ends lie the same z from the share, and a normal lies within ±z at the level.
            let z = |p: f64| (0.15 - p).abs() / (p * (1.0 - p) / 20.0).sqrt();
            (0..2)
                .map(|at| {
                    let z = z(q.values()[at]);
                    let found = share(SAMPLES, || stream.normal().abs() <= z);
                    Check::judge(
                        format!("{name} level at {}", form.fields[at]),
                        0.9,
                        found,
                        SAMPLES,
                    )
                })
                .collect()
        }
        "clopper-pearson" => {
            let q = query(name, "hits=3 of=20 level=0.9")?;
            (0..2)
                .map(|at| {
                    let p = q.values()[at];
                    let found = share(SAMPLES, || {
                        let hits = (0..20).filter(|_| stream.unit() <= p).count();
                        if at == 0 { hits >= 3 } else { hits <= 3 }
                    });
                    Check::judge(
                        format!("{name} tail at {}", form.fields[at]),
                        0.05,
                        found,
                        SAMPLES,
                    )
                })
                .collect()
        }
        _ => Vec::new(),
    })
}

/// Mean and ends that pass, of independent values.
fn mean_of(values: &[f64]) -> (f64, f64, f64) {
    let mean = stats::mean(values).unwrap_or(0.0);
    let squares = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let half = SLACK * stats::student_half(squares, values.len() as u64);
    (mean, mean - half, mean + half)
}

/// Shannon entropy in bits of counts, each of which stands for `each` equal outcomes.
fn plug_in(counts: &[u64], each: f64) -> f64 {
    let total: u64 = counts.iter().sum();
    let shares =
        counts.iter().filter(|count| **count > 0).map(|count| *count as f64 / total as f64);
    -shares.map(|share| share * libm::log2(share / each)).sum::<f64>()
}

/// How often the predecessor of the first collaborator is the initiator, given a collaborator.
fn crowd(members: u64, collaborators: u64, forward: f64, stream: &mut Stream) -> (f64, f64, f64) {
    share(SAMPLES, || {
        loop {
            // Members below `collaborators` collaborate; the last member initiates.
            let initiator = members - 1;
            let mut holder = initiator;
            loop {
                let next = stream.below(members);
                if next < collaborators {
                    return holder == initiator;
                }
                holder = next;
                if stream.unit() > forward {
                    break;
                }
            }
        }
    })
}

/// Entropy of which message a leaving one is, found from the rounds of entry in one run of a pool mix: a message that
/// entered j rounds before has posterior (kept / inside)^j / inside.
fn pool(enter: usize, kept: usize, rounds: usize, stream: &mut Stream) -> f64 {
    let mut inside = vec![0usize; kept];
    let (all, mut bits) = ((enter + kept) as f64, 0.0);
    for round in 1..rounds + 200 {
        inside.resize(enter + kept, round);
        for _ in 0..enter {
            let at = stream.index(inside.len());
            let age = (round - inside.swap_remove(at)) as f64;
            if round >= 200 {
                bits += libm::log2(all) + age * libm::log2(all / kept as f64);
            }
        }
    }
    bits / (rounds * enter) as f64
}

/// The expected number of other users in the intersection at ⌊t⌋ and at ⌈t⌉ brackets one, and t follows
/// from how often a user receives in a round.
fn intersections(form: &Form, stream: &mut Stream) -> Result<Vec<Check>, TheoryError> {
    let q = query(form.name, "users=40 batch=20")?;
    let t = q.values()[0];
    let received = share(SAMPLES, || (0..19).any(|_| stream.below(40) == 0));
    let rounds = through(received, |q| libm::log(39.0) / -libm::log(q));
    let mut checks = vec![Check::judge(form.name.to_owned(), t, rounds, SAMPLES)];
    let mut others = |rounds: f64| {
        let runs: Vec<f64> = (0..20_000)
            .map(|_| {
                let mut set = (1u64 << 40) - 2;
                let mut round = 1.0;
                while round <= rounds {
                    set &= (0..19).fold(0, |seen, _| seen | 1u64 << stream.below(40));
                    round += 1.0;
                }
                f64::from(set.count_ones())
            })
            .collect();
        mean_of(&runs)
    };
    let (before, after) = (others(t.floor()), others(t.ceil()));
    let bracket = (before.0, after.1, before.2);
    checks.push(Check::judge(format!("{} bracket", form.name), 1.0, bracket, 40_000));
    Ok(checks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_a_check_and_passes() {
        let checks = selfcheck(NonZeroUsize::MIN).unwrap_or_default();
        for form in FORMS {
            assert!(checks.iter().any(|check| check.name.starts_with(form.name)), "{}", form.name);
        }
        let failed: Vec<_> = checks.iter().filter(|check| !check.pass).collect();
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn closed_form_that_is_a_twentieth_off_fails() {
        for check in selfcheck(NonZeroUsize::MIN).unwrap_or_default() {
            if check.name.ends_with("bracket") {
                continue;
            }
            let found = (check.found, check.low, check.high);
            for wrong in [check.expected * 1.05, check.expected * 0.95] {
                assert!(!Check::judge(String::new(), wrong, found, 0).pass, "{check:?}");
            }
        }
    }
}
