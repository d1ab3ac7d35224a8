//! Closed forms, their estimates and their checks.

use std::num::NonZeroUsize;
use std::sync::LazyLock;
use std::time::Instant;

use clap::Args;
use swarm_sim::output::counted;
use swarm_sim::output::theory as show;
use swarm_sim::theory::{FORMS, Form, Query};

use super::progress::Progress;
use super::{CommandError, cores};

pub(crate) static ANALYTIC_HELP: LazyLock<String> =
    LazyLock::new(|| help("analytic path-both-ends nodes=100 malicious=20", |_| true));
pub(crate) static ESTIMATE_HELP: LazyLock<String> = LazyLock::new(|| {
    help(
        "estimate path-both-ends nodes=100 malicious=20 --samples 100000 --seed 1",
        Form::can_be_sampled,
    )
});

/// The names, and an example.
fn help(example: &str, which: impl Fn(&Form) -> bool) -> String {
    let mut text = "Metrics and their parameters:\n".to_owned();
    for form in FORMS.iter().filter(|form| which(form)) {
        text.push_str(&format!("  {}: {}\n", form.name, form.allowed()));
    }
    text + "\nExample: swarm-sim " + example
}

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// The metric's name.
    name: String,
    /// Its parameters.
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

pub(crate) fn analytic(query: &QueryArgs) -> Result<String, CommandError> {
    Ok(show::analytic(&Query::parse(&query.name, &query.params)?, query.json))
}

pub(crate) fn estimate(
    asked: &QueryArgs,
    samples: u64,
    seed: u64,
    threads: Option<NonZeroUsize>,
) -> Result<String, CommandError> {
    let query = Query::parse(&asked.name, &asked.params)?;
    let threads = threads.unwrap_or_else(cores);
    let progress = Progress::uncounted(&counted(samples, "sample"), asked.json);
    if progress.is_shown()
        && let Some(seconds) = foreseen(&query, samples, seed, threads)
    {
        progress.say(format!(", about {seconds:.0} s in all"));
    }
    let start = Instant::now();
    let found = query.estimate(samples, seed, threads)?;
    let seconds = start.elapsed().as_secs_f64();
    drop(progress);
    Ok(show::estimate(&query, &found, seconds, asked.json))
}

/// Samples from which on it is worth knowing how long they take, and the part of them that is drawn to know it.
const LONG: u64 = 10_000_000;
const PART: u64 = 100;

/// Seconds that samples will take, by those that a part of them took.
fn foreseen(query: &Query, samples: u64, seed: u64, threads: NonZeroUsize) -> Option<f64> {
    let part = (samples >= LONG).then_some(samples / PART)?;
    let start = Instant::now();
    query.estimate(part, seed, threads).ok()?;
    Some(start.elapsed().as_secs_f64() * (samples as f64 / part as f64))
}

pub(crate) fn selfcheck(json: bool) -> Result<String, CommandError> {
    let checks = swarm_sim::theory::selfcheck(cores())?;
    let table = show::checks(&checks, json);
    let failed = checks.iter().filter(|check| !check.pass);
    let names: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
    if names.is_empty() {
        return Ok(table);
    }
    Err(CommandError::Selfcheck { count: names.len(), names: names.join(", "), table })
}
