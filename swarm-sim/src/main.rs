//! The `swarm-sim` command.

mod command;

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use serde_json::json;
use swarm_sim::output;
use swarm_sim::output::folder::Existing;
use swarm_sim::sweep::Shard;

use command::report::ReportArgs;
use command::theory::QueryArgs;
use command::{CommandError, Which, cores};

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
        #[arg(long, allow_hyphen_values = true, value_parser = command::threads)]
        threads: Option<NonZeroUsize>,
        /// Folder for results.json, metrics.csv, runs.csv, a table of single events, scenario.toml, manifest.json and the
        /// page report.html; runs/NAME-SEED unless set. Results of another run that stand there are not touched.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Replace results of this scenario that stand in the folder, such as those of another seed.
        #[arg(long)]
        overwrite: bool,
    },
    /// Run a scenario at every point of its `[sweep]`. A sweep that was stopped goes on where it was.
    #[command(after_help = command::sweep::HELP)]
    Sweep {
        #[command(flatten)]
        which: Which,
        /// Threads; as many as there are cores unless set. They do not show in the results.
        #[arg(long, allow_hyphen_values = true, value_parser = command::threads)]
        threads: Option<NonZeroUsize>,
        /// Run a part of the points only, such as 3/16; `merge` puts parts together.
        #[arg(long, value_name = "K/N", allow_hyphen_values = true, value_parser = Shard::parse, default_value = "1/1")]
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
    /// Write one HTML page about runs, or about a sweep: a drawing of every figure with its interval, and what was assumed.
    #[command(after_help = command::report::HELP)]
    Report {
        #[command(flatten)]
        asked: ReportArgs,
    },
    /// Write the tables of a run or a sweep as Parquet files, beside the CSV files.
    #[cfg(feature = "parquet")]
    #[command(after_help = "Example: swarm-sim parquet runs/churn-1")]
    Parquet {
        /// Folders that `run`, `sweep` or `merge` wrote.
        #[arg(value_name = "DIR", required = true)]
        folders: Vec<PathBuf>,
        /// Replace Parquet files that were made here from other tables; no other file is replaced.
        #[arg(long)]
        overwrite: bool,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Compare two runs figure by figure; exit code 1 if the runs can tell one apart (Holm's procedure over all).
    #[command(after_help = command::compare::HELP)]
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
    /// Write a commented scenario to start from.
    #[command(after_help = command::scenarios::NEW_HELP)]
    New {
        /// The file, which must not exist.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The built-in scenario that it is a copy of.
        #[arg(long, value_name = "NAME", default_value = "quickstart")]
        from: String,
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the closed form of a metric, for example `path-both-ends nodes=100 malicious=20`.
    #[command(after_help = command::theory::ANALYTIC_HELP.as_str())]
    Analytic {
        #[command(flatten)]
        query: QueryArgs,
    },
    /// Estimate a metric by Monte Carlo: the quantity of `analytic`, with a 95 % interval.
    #[command(after_help = command::theory::ESTIMATE_HELP.as_str())]
    Estimate {
        #[command(flatten)]
        query: QueryArgs,
        /// Samples: paths, clients, swarms, chains: what the metric counts.
        #[arg(long, allow_hyphen_values = true, value_parser = command::samples)]
        samples: u64,
        /// Seed of all random streams.
        #[arg(long, default_value_t = 1, allow_hyphen_values = true, value_parser = command::seed)]
        seed: u64,
        /// Threads; as many as there are cores unless set. They do not show in the result.
        #[arg(long, allow_hyphen_values = true, value_parser = command::threads)]
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
        Action::Report { asked } => asked.json,
        #[cfg(feature = "parquet")]
        Action::Parquet { json, .. } => *json,
        Action::Explain { json, .. }
        | Action::New { json, .. }
        | Action::Merge { json, .. }
        | Action::Compare { json, .. } => *json,
        Action::Scenarios { json } | Action::Metrics { json } | Action::Selfcheck { json } => *json,
    };
    match execute(command.action) {
        Ok(text) => say(&text, ExitCode::SUCCESS),
        Err(error) => {
            if let CommandError::Selfcheck { table, .. } | CommandError::Figures { table, .. } =
                &error
            {
                let _ = std::io::stdout().write_all(table.as_bytes());
            }
            if as_json {
                print_error_json(error.kind(), &error.to_string());
            } else {
                let _ = writeln!(std::io::stderr(), "swarm-sim: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints what a command found. Who stopped reading wants no more of it; a full disk is a failure.
fn say(text: &str, code: ExitCode) -> ExitCode {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            let _ = writeln!(std::io::stderr(), "swarm-sim: cannot print: {error}");
            ExitCode::from(1)
        }
        Ok(()) | Err(_) => code,
    }
}

fn print_error_json(kind: &str, text: &str) {
    let _ = writeln!(
        std::io::stderr(),
        "{}",
        json!({"error": {"kind": kind, "text": text, "retry": "never"}})
    );
}

/// Help and version are no errors; all else is said in one sentence.
fn wrong_use(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return say(&error.to_string(), ExitCode::SUCCESS);
    }
    let text = error.to_string();
    let lines = text.lines().map(str::trim);
    let ends = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more");
    let sentence: Vec<&str> = lines.take_while(|line| !ends(line)).collect();
    let sentence = sentence.join(" ");
    let sentence = if error.kind() == ErrorKind::InvalidUtf8 {
        let words = std::env::args_os().filter(|word| word.to_str().is_none());
        let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
        format!("{} is not UTF-8, which names and paths must be", words.join(", "))
    } else if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
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
        let _ = writeln!(std::io::stderr(), "swarm-sim: {sentence} (see --help)");
    }
    ExitCode::from(2)
}

fn execute(action: Action) -> Result<String, CommandError> {
    match action {
        Action::Run { which, threads, out, overwrite } => {
            let existing = if overwrite { Existing::Replace } else { Existing::Keep };
            command::run::run(&which, threads, out, existing)
        }
        Action::Sweep { which, threads, shard, out } => {
            let threads = threads.unwrap_or_else(cores);
            command::sweep::sweep(&which, threads, shard, out)
        }
        Action::Merge { shards, out, json } => command::sweep::merge(&shards, &out, json),
        Action::Report { asked } => command::report::report(asked),
        #[cfg(feature = "parquet")]
        Action::Parquet { folders, overwrite, json } => {
            let existing = if overwrite { Existing::Replace } else { Existing::Keep };
            command::parquet::parquet(&folders, existing, json)
        }
        Action::Compare { a, b, json } => command::compare::compare(&a, &b, json),
        Action::New { file, from, json } => command::scenarios::new(&file, &from, json),
        Action::Explain { scenario, json } => command::scenarios::explain(&scenario, json),
        Action::Scenarios { json } => command::scenarios::list(json),
        Action::Analytic { query } => command::theory::analytic(&query),
        Action::Estimate { query, samples, seed, threads } => {
            command::theory::estimate(&query, samples, seed, threads)
        }
        Action::Metrics { json } => Ok(output::theory::metrics(json)),
        Action::Selfcheck { json } => command::theory::selfcheck(json),
        Action::VerifyDeterminism { which } => command::run::verify(&which),
    }
}
