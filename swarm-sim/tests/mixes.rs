//! Mixes against closed forms.
//!
//! Means are held to five standard errors of the mean over replicates. With normal means of R replicates the error is
//! Student's; the runs here have 40 replicates or more, where five of its standard errors are passed once in 80 000 times.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroUsize;

use swarm_sim::explain::explain;
use swarm_sim::metric::Metric;
use swarm_sim::run::{RunConfig, RunReport, run};
use swarm_sim::scenario::Scenario;

/// A scenario with this `[mix]` and these `[arrivals]`.
fn scenario(messages: u32, mix: &str, arrivals: &str) -> Scenario {
    let text = format!(
        "version = 1\nengine = \"mixes\"\nname = \"test\"\nabout = \"a test\"\nreplicates = 40\n\
         messages = {messages}\n[mix]\n{mix}\n[arrivals]\n{arrivals}\n"
    );
    Scenario::parse("test.toml", &text).unwrap_or_else(|error| panic!("{error}"))
}

fn poisson(rho: f64, hops: u32, view: &str) -> Scenario {
    let mix =
        format!("kind = \"poisson\"\nmean_delay = \"20 ms\"\nhops = {hops}\nview = \"{view}\"");
    scenario(4000, &mix, &format!("rho = {rho}"))
}

fn threshold(n: u32) -> Scenario {
    scenario(4000, &format!("kind = \"threshold\"\nn = {n}"), "per_second = 250")
}

fn pool(enter: u32, kept: u32) -> Scenario {
    let mix = format!("kind = \"pool\"\nin = {enter}\nkept = {kept}");
    scenario(4000, &mix, "per_second = 250")
}

fn report_on(scenario: &Scenario, seed: u64, replicates: u32, threads: usize) -> RunReport {
    let threads = NonZeroUsize::new(threads).unwrap();
    run(scenario, &RunConfig { seed, replicates, threads }).unwrap()
}

fn report(scenario: &Scenario) -> RunReport {
    report_on(scenario, 1, scenario.replicates, 2)
}

fn metric<'a>(report: &'a RunReport, name: &str) -> &'a Metric {
    report.metric(name).unwrap_or_else(|| panic!("no {name}"))
}

fn value(report: &RunReport, name: &str) -> f64 {
    metric(report, name).value.unwrap()
}

/// Mean and standard error of values that are independent.
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    (mean, (squares / (n - 1.0) / n).sqrt())
}

/// The standard error of a mean over replicates.
fn error_of(metric: &Metric) -> f64 {
    let values: Vec<f64> = metric.by_replicate.iter().copied().flatten().collect();
    mean_and_error(&values).1
}

/// By how much the second lies above the first, replicate by replicate: mean and standard error.
fn difference(a: &Metric, b: &Metric) -> (f64, f64) {
    let pairs = a.by_replicate.iter().zip(&b.by_replicate);
    let differences: Vec<f64> = pairs.map(|(a, b)| b.unwrap() - a.unwrap()).collect();
    mean_and_error(&differences)
}

/// Whether a mean lies within five standard errors of what is expected, and is not just uncertain: an error of at most
/// 2 % of it. What is the same for all messages is right to 1e-9.
#[track_caller]
fn agrees(metric: &Metric, expected: f64) {
    let (value, error) = (metric.value.unwrap(), error_of(metric));
    assert!(error <= 0.02 * expected, "{} is too uncertain: {value} ± {error}", metric.name);
    let far = (value - expected).abs();
    assert!(far <= (5.0 * error).max(1e-9), "{}: {value} ± {error}, {expected}", metric.name);
}

/// As `agrees`, with the closed form that the engine itself puts beside it.
#[track_caller]
fn agrees_with_theory(report: &RunReport, names: &[&str]) {
    for name in names {
        let metric = metric(report, name);
        agrees(metric, metric.expected.unwrap_or_else(|| panic!("nothing expected of {name}")));
    }
}

/// E f(K), K Poisson with this mean, term by term.
fn poisson_mean(mean: f64, f: impl Fn(f64) -> f64) -> f64 {
    let mut weight = (-mean).exp();
    let mut sum = 0.0;
    for k in 0..400 {
        sum += weight * f(f64::from(k));
        weight *= mean / f64::from(k + 1);
    }
    sum
}

const DELAYS: [&str; 3] = ["delay_mean", "delay_p50", "delay_p99"];

#[test]
fn entropy_of_a_poisson_mix_is_that_of_each_views_closed_form() {
    for rho in [0.2, 0.7, 3.0, 12.0] {
        let inside = report(&poisson(rho, 1, "departures"));
        agrees(metric(&inside, "shannon_mean"), poisson_mean(rho, |k| (1.0 + k).log2()));
        assert_eq!(value(&inside, "shannon_mean"), value(&inside, "min_entropy_mean"));
        let times = report(&poisson(rho, 1, "times"));
        let each = |k: f64| (1.0 + k) * (1.0 + k).log2() - if k > 0.0 { k * k.log2() } else { 0.0 };
        agrees(metric(&times, "shannon_mean"), poisson_mean(rho, each));
        let one = report(&poisson(rho, 1, "departure"));
        for report in [&inside, &times, &one] {
            agrees_with_theory(report, &["shannon_mean", "surprisal_mean"]);
            agrees_with_theory(report, &DELAYS);
        }
        for report in [&inside, &one] {
            agrees_with_theory(report, &["min_entropy_mean"]);
        }
        // Who sees more is less in doubt on average; what happens is the same.
        let bits = [&inside, &times, &one].map(|report| value(report, "shannon_mean"));
        assert!(bits[0] < bits[1] && bits[1] < bits[2], "rho {rho}: {bits:?}");
        assert_eq!(value(&inside, "delay_p99"), value(&one, "delay_p99"));
    }
}

#[test]
fn views_differ_by_what_theory_says() {
    let [inside, one] = ["departures", "departure"].map(|view| report(&poisson(5.0, 1, view)));
    let (mean, error) = difference(metric(&inside, "shannon_mean"), metric(&one, "shannon_mean"));
    // 3.8372 − 2.4729 bits, as `analytic poisson-mix-entropy rho=5` has them.
    assert!((mean - 1.3643).abs() < 5.0 * error + 1e-4 && error < 0.01, "{mean} ± {error}");
}

#[test]
fn entropy_is_not_the_logarithm_of_the_mean_number_inside() {
    let report = report(&poisson(0.7, 1, "departures"));
    // log2 of 0.7 is negative, and of 1.7, what a leaving message finds with itself, 0.77.
    let metric = metric(&report, "shannon_mean");
    assert!((metric.value.unwrap() - 1.7f64.log2()).abs() > 10.0 * error_of(metric));
}

#[test]
fn threshold_and_pool_have_the_entropy_and_the_delay_of_their_closed_forms() {
    for n in [1, 2, 20] {
        let report = report(&threshold(n));
        let bits = f64::from(n).log2();
        for name in ["shannon_mean", "shannon_least", "shannon_p5", "min_entropy_p50"] {
            assert!((value(&report, name) - bits).abs() < 1e-9, "{name}");
        }
        agrees_with_theory(&report, &["shannon_mean", "min_entropy_mean", "surprisal_mean"]);
        if n > 1 {
            // The i-th of n waits for n − i further arrivals, 4 ms each.
            agrees(metric(&report, "delay_mean"), f64::from(n - 1) / 2.0 * 4.0);
        }
    }
    for (enter, kept) in [(4, 6), (1, 3), (10, 2), (3, 40)] {
        let report = report(&pool(enter, kept));
        let (n, k) = (f64::from(enter), f64::from(kept));
        let bits = (n + k).log2() + k / n * ((n + k) / k).log2();
        assert!((value(&report, "shannon_mean") - bits).abs() < 1e-9);
        assert!((value(&report, "min_entropy_mean") - (n + k).log2()).abs() < 1e-9);
        // Who leaves is drawn; the posterior is right if the truth is as surprising as it says.
        agrees(metric(&report, "surprisal_mean"), bits);
        agrees(metric(&report, "delay_mean"), ((n - 1.0) / 2.0 + k) * 4.0);
        agrees_with_theory(&report, &["shannon_mean", "surprisal_mean", "delay_mean"]);
    }
}

#[test]
fn pool_that_keeps_nothing_is_a_threshold_mix() {
    let (pool, threshold) = (report(&pool(8, 0)), report(&threshold(8)));
    assert_eq!(pool.digest, threshold.digest);
    assert_eq!(pool.metrics, threshold.metrics);
}

#[test]
fn delay_of_a_cascade_is_erlang_and_the_posterior_as_surprising_as_it_says() {
    for (rho, hops) in [(0.5, 2), (3.0, 3), (2.0, 6)] {
        let report = report(&poisson(rho, hops, "departure"));
        agrees_with_theory(&report, &DELAYS);
        assert_eq!(metric(&report, "shannon_mean").expected, None);
        let (mean, error) =
            difference(metric(&report, "shannon_mean"), metric(&report, "surprisal_mean"));
        assert!(mean.abs() < 5.0 * error && error < 0.02, "{hops} hops: {mean} ± {error}");
    }
    // Each hop more hides more.
    let bits =
        [1, 2, 4].map(|hops| value(&report(&poisson(3.0, hops, "departure")), "shannon_mean"));
    assert!(bits[0] < bits[1] && bits[1] < bits[2], "{bits:?}");
}

#[test]
fn extremes_quantiles_and_means_are_in_order_and_say_what_is_independent() {
    let report = report(&poisson(3.0, 1, "departure"));
    let first = report_on(&poisson(3.0, 1, "departure"), 1, 1, 1);
    for kind in ["shannon", "min_entropy"] {
        let of = |what: &str| value(&report, &format!("{kind}_{what}"));
        // The least of forty replicates is not in the first.
        assert!(of("least") < value(&first, &format!("{kind}_least")));
        assert!(of("least") < of("p5") && of("p5") < of("p50") && of("least") < of("mean"));
        let least = metric(&report, &format!("{kind}_least"));
        assert_eq!((least.interval(), least.samples), (None, 160_000));
        for what in ["p5", "p50", "mean"] {
            let metric = metric(&report, &format!("{kind}_{what}"));
            assert_eq!(metric.independent.name(), "replicate");
            assert_eq!(metric.by_replicate.len(), 40);
        }
    }
    assert!(value(&report, "min_entropy_mean") < value(&report, "shannon_mean"));
}

#[test]
fn warm_up_is_cut_and_shows_when_it_is_missing() {
    let cold = scenario(
        20,
        "kind = \"poisson\"\nmean_delay = \"20 ms\"\nview = \"departure\"",
        "rho = 12",
    );
    let text = "warm_up = \"0 s\"\n[mix]\nkind = \"poisson\"\nmean_delay = \"20 ms\"\nview = \"departure\"\n[arrivals]\nrho = 12\n";
    let head = "version = 1\nengine = \"mixes\"\nname = \"test\"\nabout = \"a test\"\nreplicates = 40\nmessages = 20\n";
    let at_once = Scenario::parse("test.toml", &format!("{head}{text}")).unwrap();
    let (warm, cold) = (report(&cold), report(&at_once));
    let expected = metric(&warm, "shannon_mean").expected.unwrap();
    agrees(metric(&warm, "shannon_mean"), expected);
    assert!(
        value(&cold, "shannon_mean") < expected - 10.0 * error_of(metric(&cold, "shannon_mean"))
    );
    assert!(warm.table.rows[0][2] > Some(46 * 20_000_000));
}

#[test]
fn nothing_is_expected_of_a_mix_that_is_not_in_steady_state_or_of_quantiles_of_few() {
    let mix = "kind = \"pool\"\nin = 10\nkept = 1000";
    let report = report_on(&scenario(4000, mix, "per_second = 250"), 1, 2, 2);
    assert!(metric(&report, "shannon_mean").expected.is_some());
    // The test's own scenario says nothing of the warm-up; at once, the pool is empty.
    let head =
        "version = 1\nengine = \"mixes\"\nname = \"test\"\nabout = \"a test\"\nreplicates = 2\n";
    let parse = |rest: &str| {
        let scenario = Scenario::parse("x.toml", &format!("{head}{rest}"));
        report_on(&scenario.unwrap_or_else(|error| panic!("{error}")), 1, 2, 2)
    };
    let cold = parse(&format!(
        "messages = 4000\nwarm_up = \"0 s\"\n[mix]\n{mix}\n[arrivals]\nper_second = 250\n"
    ));
    for name in
        ["shannon_mean", "shannon_least", "min_entropy_mean", "surprisal_mean", "delay_mean"]
    {
        assert_eq!(metric(&cold, name).expected, None, "{name}");
    }
    let few = parse(
        "messages = 100\n[mix]\nkind = \"poisson\"\nmean_delay = \"20 ms\"\n[arrivals]\nrho = 1\n",
    );
    assert!(metric(&few, "delay_p50").expected.is_some());
    assert_eq!(metric(&few, "delay_p99").expected, None);
}

#[test]
fn explanation_predicts_what_the_run_expects() {
    for scenario in [
        poisson(3.0, 1, "departures"),
        poisson(3.0, 1, "times"),
        poisson(3.0, 1, "departure"),
        poisson(3.0, 2, "departure"),
        pool(4, 6),
        threshold(5),
    ] {
        let report = report_on(&scenario, 1, 2, 2);
        let mut named = 0;
        for prediction in explain(&scenario).predictions {
            let Some(metric) = report.metric(&prediction.name) else { continue };
            assert_eq!((metric.expected, metric.unit), (Some(prediction.value), prediction.unit));
            named += 1;
        }
        let means = ["shannon_mean", "min_entropy_mean", "delay_mean", "delay_p50", "delay_p99"];
        let expected = means.iter().filter(|name| metric(&report, name).expected.is_some());
        assert_eq!(named, expected.count());
    }
}

#[test]
fn single_messages_are_shown_and_bounded() {
    let report = report_on(&poisson(3.0, 1, "departures"), 1, 3, 2);
    assert_eq!(report.table.name, "messages");
    assert_eq!(report.table.rows.len(), 3 * 200);
    for row in &report.table.rows {
        let [_, _, arrived, left, inside, shannon, least, surprisal] = row[..] else { panic!() };
        assert!(arrived < left);
        let bits = ((inside.unwrap() as f64).log2() * 1e6).round();
        assert_eq!((shannon, least, surprisal), (shannon, shannon, shannon));
        assert_eq!(shannon.unwrap() as f64, bits);
    }
}

#[test]
fn results_are_the_same_on_one_two_and_eight_threads() {
    for scenario in [
        poisson(3.0, 1, "departures"),
        poisson(3.0, 1, "times"),
        poisson(3.0, 2, "departure"),
        pool(4, 6),
        threshold(5),
    ] {
        let one = report_on(&scenario, 5, 9, 1);
        assert_eq!(one, report_on(&scenario, 5, 9, 2));
        assert_eq!(one, report_on(&scenario, 5, 9, 8));
        assert_ne!(one.digest, report_on(&scenario, 6, 9, 2).digest);
        assert_ne!(one.digest, report_on(&scenario, 5, 8, 2).digest);
    }
    let digest = |scenario: &Scenario| report_on(scenario, 5, 2, 2).digest;
    assert_ne!(digest(&pool(4, 6)), digest(&pool(4, 7)));
    assert_ne!(digest(&poisson(3.0, 1, "departure")), digest(&poisson(3.0, 2, "departure")));
    assert_ne!(digest(&poisson(3.0, 1, "departure")), digest(&poisson(3.0, 1, "times")));
}

#[test]
fn what_is_expected_can_be_worked_out_by_hand() {
    let expected =
        |scenario: &Scenario, name: &str| metric(&report_on(scenario, 1, 2, 2), name).expected;
    let near = |found: Option<f64>, value: f64| found.is_some_and(|f| (f - value).abs() < 1e-9);
    let one = poisson(5.0, 1, "departures");
    // Of an exponential of mean 20 ms, half is later than ln 2 means, and a hundredth than ln 100.
    assert!(near(expected(&one, "delay_p50"), 20.0 * 2f64.ln()));
    assert!(near(expected(&one, "delay_p99"), 20.0 * 100f64.ln()));
    // Messages of a Poisson mix differ, and who sees times alone has no closed min-entropy.
    for name in ["shannon_least", "shannon_p50", "min_entropy_p5"] {
        assert_eq!(expected(&one, name), None, "{name}");
    }
    assert!(expected(&one, "min_entropy_mean").is_some());
    assert_eq!(expected(&poisson(5.0, 1, "times"), "min_entropy_mean"), None);
    let pool = pool(4, 12);
    for name in ["min_entropy_mean", "min_entropy_least"] {
        assert!(near(expected(&pool, name), 4.0), "{name}");
    }
}
