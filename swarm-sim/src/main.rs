//! The `swarm-sim` command.

mod command;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Instant;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use serde_json::json;
use swarm_sim::compare::{self, CompareError, compare};
use swarm_sim::explain::explain;
use swarm_sim::html;
use swarm_sim::output;
use swarm_sim::output::folder::{Existing, Folder, FolderError, write_page};
use swarm_sim::output::theory as show;
use swarm_sim::results::{Results, ResultsError};
use swarm_sim::run::{RunConfig, RunError, RunReport, run};
use swarm_sim::scenario::{BUILT_IN, Scenario, ScenarioError};
use swarm_sim::sweep::{Shard, SweepError};
use swarm_sim::theory::{FORMS, Form, Query, TheoryError, selfcheck};

/// Simulates Enjambre networks with the protocol's own code.
#[derive(Debug, Parser)]
#[command(version, after_help = "Example: swarm-sim run onion --seed 1")]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Run a scenario and print what it found, with its digest.
    #[command(after_help = "Example: swarm-sim run churn --seed 7 --out runs/churn-7")]
    Run {
        #[command(flatten)]
        which: Which,
        /// Threads; as many as there are cores unless set. They do not show in the results.
        #[arg(long)]
        threads: Option<NonZeroUsize>,
        /// Folder for results.json, metrics.csv and a table of single events; runs/NAME-SEED unless set. Results of another
        /// run that stand there are not touched.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Replace results of this scenario that stand in the folder, such as those of another seed.
        #[arg(long)]
        overwrite: bool,
    },
    /// Run a scenario at every point of its `[sweep]`. A sweep that was stopped goes on where it was.
    #[command(after_help = command::SWEEP_HELP)]
    Sweep {
        #[command(flatten)]
        which: Which,
        /// Threads; as many as there are cores unless set. They do not show in the results.
        #[arg(long)]
        threads: Option<NonZeroUsize>,
        /// Run a part of the points only, such as 3/16; `merge` puts parts together.
        #[arg(long, value_name = "K/N", value_parser = Shard::parse, default_value = "1/1")]
        shard: Shard,
        /// Folder for the points; runs/NAME-SEED-sweep unless set, with -K-of-N for a shard.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Put the shards of a sweep together: the bytes of one machine's run.
    #[command(after_help = "Example: swarm-sim merge runs/g-1 runs/g-2 --out runs/g")]
    Merge {
        /// The folders of all shards.
        #[arg(value_name = "DIR", required = true)]
        shards: Vec<PathBuf>,
        /// Folder for the whole.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write one HTML page about runs: a drawing of every figure with its interval, and what was assumed.
    #[command(after_help = REPORT_HELP)]
    Report {
        /// Folders that `run` wrote; they are shown in this order.
        #[arg(value_name = "RUN", required = true)]
        runs: Vec<PathBuf>,
        /// The page. A file of that name with other contents is not touched.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// Replace the file.
        #[arg(long)]
        overwrite: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare two runs figure by figure; exit code 1 if one differs by more than its interval allows.
    #[command(after_help = COMPARE_HELP)]
    Compare {
        /// The folder of one run.
        a: PathBuf,
        /// The folder of the other.
        b: PathBuf,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print a scenario's settings, what theory predicts for it, and what is not simulated.
    #[command(after_help = "Example: swarm-sim explain churn")]
    Explain {
        /// A built-in scenario's name, or a scenario file.
        #[arg(value_name = "NAME|FILE")]
        scenario: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// List the built-in scenarios.
    #[command(after_help = "Example: swarm-sim scenarios --json")]
    Scenarios {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print the closed form of a metric, for example `path-both-ends nodes=100 malicious=20`.
    #[command(after_help = ANALYTIC_HELP.as_str())]
    Analytic {
        #[command(flatten)]
        query: QueryArgs,
    },
    /// Estimate a metric by Monte Carlo: the quantity of `analytic`, with a 95 % interval.
    #[command(after_help = ESTIMATE_HELP.as_str())]
    Estimate {
        #[command(flatten)]
        query: QueryArgs,
        /// Samples: paths, clients, swarms, chains: what the metric counts.
        #[arg(long)]
        samples: u64,
        /// Seed of all random streams.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Threads; as many as there are cores unless set. They do not show in the result.
        #[arg(long)]
        threads: Option<NonZeroUsize>,
    },
    /// List every metric that has a closed form, with parameters, formula, unit and source.
    #[command(after_help = "Example: swarm-sim metrics --json")]
    Metrics {
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Hold every closed form against Monte Carlo; exit code 1 if one fails.
    #[command(after_help = "Example: swarm-sim selfcheck --json")]
    Selfcheck {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Run a scenario on 1, 2 and 8 threads and compare the digests.
    #[command(after_help = "Example: swarm-sim verify-determinism onion")]
    VerifyDeterminism {
        #[command(flatten)]
        which: Which,
    },
}

const COMPARE_HELP: &str = "\
Exit code 0: no figure differs; 1: one does; 2: the two cannot be compared, as they are of different engines.
Runs of one scenario name and one seed are compared replicate by replicate. Each figure has a 95 % interval
of its own: of twenty that are equal, one is expected to seem different. Counts without an interval are shown
and not judged.

Example: swarm-sim compare runs/churn-1 runs/churn-2";

const REPORT_HELP: &str = "\
The page is one file without scripts that loads nothing. Runs of one scenario with other settings stand
beside each other under the settings that differ. The same runs give the same bytes.

Example: swarm-sim report runs/churn --out runs/churn.html";

static ANALYTIC_HELP: LazyLock<String> =
    LazyLock::new(|| theory_help("analytic path-both-ends nodes=100 malicious=20", |_| true));
static ESTIMATE_HELP: LazyLock<String> = LazyLock::new(|| {
    theory_help(
        "estimate path-both-ends nodes=100 malicious=20 --samples 100000 --seed 1",
        Form::can_be_sampled,
    )
});

#[derive(Debug, Args)]
struct QueryArgs {
    /// The metric's name.
    name: String,
    /// Its parameters.
    #[arg(value_name = "KEY=VALUE")]
    params: Vec<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Which {
    /// A built-in scenario's name, or a scenario file.
    #[arg(value_name = "NAME|FILE")]
    scenario: String,
    /// Seed of all random streams.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Replicates, instead of the scenario's number.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    replicates: Option<u32>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

impl Which {
    fn config(&self, scenario: &Scenario, threads: NonZeroUsize) -> RunConfig {
        let replicates = self.replicates.unwrap_or(scenario.replicates);
        RunConfig { seed: self.seed, replicates, threads }
    }
}

/// Why a command ended without its result.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Sweep(#[from] SweepError),
    #[error(transparent)]
    Results(#[from] ResultsError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("{count} figures differ: {names}")]
    Figures { count: usize, names: String, table: String },
    #[error(transparent)]
    Theory(#[from] TheoryError),
    #[error("{count} closed forms fail their check: {names}")]
    Selfcheck { count: usize, names: String, table: String },
    #[error("digests differ: {digests}")]
    Differ { digests: String },
}

impl CommandError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Scenario(_) => "scenario",
            Self::Run(_) => "invariant",
            Self::Folder(error) => error.kind(),
            Self::Sweep(error) => command::sweep_kind(error),
            Self::Results(error) => error.kind(),
            Self::Compare(_) => "comparison",
            Self::Figures { .. } => "difference",
            Self::Differ { .. } => "determinism",
            Self::Theory(_) => "parameter",
            Self::Selfcheck { .. } => "selfcheck",
        }
    }

    /// 2 for what the caller can correct, 1 for a failure.
    const fn exit_code(&self) -> u8 {
        match self {
            Self::Scenario(_) | Self::Theory(_) | Self::Compare(_) => 2,
            Self::Folder(error) if error.is_refusal() => 2,
            Self::Sweep(error) if error.is_refusal() => 2,
            Self::Results(error) if error.is_refusal() => 2,
            _ => 1,
        }
    }
}

fn main() -> ExitCode {
    let command = match Command::try_parse() {
        Ok(command) => command,
        Err(error) => return wrong_use(&error),
    };
    let as_json = match &command.action {
        Action::Run { which, .. }
        | Action::Sweep { which, .. }
        | Action::VerifyDeterminism { which } => which.json,
        Action::Analytic { query } | Action::Estimate { query, .. } => query.json,
        Action::Explain { json, .. }
        | Action::Merge { json, .. }
        | Action::Report { json, .. }
        | Action::Compare { json, .. } => *json,
        Action::Scenarios { json } | Action::Metrics { json } | Action::Selfcheck { json } => *json,
    };
    match execute(command.action) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            if let CommandError::Selfcheck { table, .. } | CommandError::Figures { table, .. } =
                &error
            {
                print!("{table}");
            }
            if as_json {
                print_error_json(error.kind(), &error.to_string());
            } else {
                eprintln!("swarm-sim: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

fn print_error_json(kind: &str, text: &str) {
    eprintln!("{}", json!({"error": {"kind": kind, "text": text, "retry": "never"}}));
}

/// Help and version are no errors; all else is said in one sentence.
fn wrong_use(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        print!("{error}");
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let sentence: Vec<&str> = lines.take_while(|line| !line.starts_with("Usage:")).collect();
    let sentence = sentence.join(" ");
    let sentence = if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let actions = Command::command();
        let actions: Vec<&str> = actions.get_subcommands().map(clap::Command::get_name).collect();
        format!("say what to do: {}", actions.join(", "))
    } else {
        sentence.trim().trim_start_matches("error: ").to_owned()
    };
    // What was asked for cannot be read from a line that is wrong, but for this word.
    if std::env::args_os().any(|word| word == "--json") {
        print_error_json("usage", &sentence);
    } else {
        eprintln!("swarm-sim: {sentence} (see --help)");
    }
    ExitCode::from(2)
}

fn execute(action: Action) -> Result<String, CommandError> {
    match action {
        Action::Run { which, threads, out, overwrite } => {
            let scenario = Scenario::load(&which.scenario)?;
            let config = which.config(&scenario, threads.unwrap_or_else(cores));
            let default = || format!("runs/{}-{}", scenario.name, which.seed).into();
            let existing = if overwrite { Existing::Replace } else { Existing::Keep };
            let folder = Folder::open(&out.unwrap_or_else(default), existing, &scenario, &config)?;
            let report = run(&scenario, &config)?;
            folder.write(&report)?;
            let written = format!("results in {}\n", folder.path().display());
            Ok(shown(&report, &which) + if which.json { "" } else { &written })
        }
        Action::Sweep { which, threads, shard, out } => {
            let threads = threads.unwrap_or_else(cores);
            Ok(command::sweep(&which, threads, shard, out)?)
        }
        Action::Merge { shards, out, json } => Ok(command::merge(&shards, &out, json)?),
        Action::Analytic { query } => {
            Ok(show::analytic(&Query::parse(&query.name, &query.params)?, query.json))
        }
        Action::Estimate { query: asked, samples, seed, threads } => {
            let query = Query::parse(&asked.name, &asked.params)?;
            let start = Instant::now();
            let found = query.estimate(samples, seed, threads.unwrap_or_else(cores))?;
            Ok(show::estimate(&query, &found, start.elapsed().as_secs_f64(), asked.json))
        }
        Action::Report { runs, out, overwrite, json } => {
            let read = runs.iter().map(|run| Results::read(run));
            let read = read.collect::<Result<Vec<Results>, ResultsError>>()?;
            let existing = if overwrite { Existing::Replace } else { Existing::Keep };
            write_page(&out, &html::page(&read), existing)?;
            let (page, count) = (out.display().to_string(), read.len());
            Ok(if json {
                format!("{}\n", json!({"page": page, "runs": count}))
            } else {
                format!(
                    "page about {count} {} in {page}\n",
                    if count == 1 { "run" } else { "runs" }
                )
            })
        }
        Action::Compare { a, b, json } => {
            let found = compare(&Results::read(&a)?, &Results::read(&b)?)?;
            let table = if json { compare::to_json(&found) } else { compare::to_text(&found) };
            if found.differ.is_empty() {
                return Ok(table);
            }
            let (count, names) = (found.differ.len(), found.differ.join(", "));
            Err(CommandError::Figures { count, names, table })
        }
        Action::Explain { scenario, json } => {
            let explanation = explain(&Scenario::load(&scenario)?);
            let print = if json { output::explain::to_json } else { output::explain::to_text };
            Ok(print(&explanation))
        }
        Action::Metrics { json } => Ok(show::metrics(json)),
        Action::Selfcheck { json } => {
            let checks = selfcheck(cores())?;
            let table = show::checks(&checks, json);
            let failed = checks.iter().filter(|check| !check.pass);
            let names: Vec<&str> = failed.map(|check| check.name.as_str()).collect();
            if names.is_empty() {
                return Ok(table);
            }
            Err(CommandError::Selfcheck { count: names.len(), names: names.join(", "), table })
        }
        Action::Scenarios { json } => list(json),
        Action::VerifyDeterminism { which } => verify(&which),
    }
}

fn cores() -> NonZeroUsize {
    std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN)
}

/// The names, and an example.
fn theory_help(example: &str, which: impl Fn(&Form) -> bool) -> String {
    let mut text = "Metrics and their parameters:\n".to_owned();
    for form in FORMS.iter().filter(|form| which(form)) {
        text.push_str(&format!("  {}: {}\n", form.name, form.allowed()));
    }
    text + "\nExample: swarm-sim " + example
}

fn shown(report: &RunReport, which: &Which) -> String {
    if which.json { format!("{}\n", output::to_json(report)) } else { output::to_text(report) }
}

fn list(as_json: bool) -> Result<String, CommandError> {
    let mut text = String::new();
    for built_in in BUILT_IN {
        let scenario = Scenario::load(built_in.name)?;
        let (name, engine, about) = (&scenario.name, scenario.engine.name(), &scenario.about);
        let line = if as_json {
            let replicates = scenario.replicates;
            json!({"name": name, "engine": engine, "about": about, "replicates": replicates})
                .to_string()
        } else {
            format!("{name:14} {about}")
        };
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// Threads that a digest must not depend on.
const THREADS: [usize; 3] = [1, 2, 8];

fn verify(which: &Which) -> Result<String, CommandError> {
    let scenario = Scenario::load(&which.scenario)?;
    let mut found = Vec::new();
    for threads in THREADS {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let report = run(&scenario, &which.config(&scenario, threads))?;
        found.push((threads, report.digest, report.metrics, report.replicates));
    }
    let lines: Vec<String> =
        found.iter().map(|(threads, digest, ..)| format!("{threads} threads: {digest}")).collect();
    let same = |pair: &[(_, _, _, _)]| (&pair[0].1, &pair[0].2) == (&pair[1].1, &pair[1].2);
    if !found.windows(2).all(same) {
        return Err(CommandError::Differ { digests: lines.join(", ") });
    }
    let digest = found.first().map(|(_, digest, ..)| digest.to_string()).unwrap_or_default();
    let replicates = found.first().map_or(0, |(.., replicates)| *replicates);
    if which.json {
        let line = json!({
            "scenario": scenario.name, "seed": which.seed, "replicates": replicates,
            "threads": THREADS, "digest": digest, "same": true,
        });
        return Ok(format!("{line}\n"));
    }
    Ok(format!("{}\nthe same, over {replicates} replicates\n", lines.join("\n")))
}
