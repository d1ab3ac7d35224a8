//! Load on a private network of real processes on this machine: requests through three hops,
//! polls, stores that a majority synced, files; what each costs the nodes, and what they hold idle.
//!
//! It starts the network by `enjambre-node devnet up`, measures for a minute and stops the
//! network in any case. Absolute figures are those of this machine and of what else it does; the
//! CPU time of a request is steadier than requests a second.

#[path = "load/devnet.rs"]
mod devnet;

#[path = "load/report.rs"]
mod report;

#[path = "load/run.rs"]
mod run;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use devnet::Devnet;
use report::Report;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Timed measurements: requests alone, in number, and to one node; two kinds of polls; stores
/// alone and in number.
const MEASUREMENTS: u32 = 7;

/// What is not one of the timed measurements (start, idle, warming up, the file) may take this long
/// together; then everything is stopped.
const REST_WITHIN: Duration = Duration::from_secs(40);

#[derive(Debug, Parser)]
#[command(about = "Measures a private network of real processes on this machine")]
struct Options {
    /// Service nodes.
    #[arg(long, default_value_t = 12)]
    nodes: usize,
    /// Clients, each with links and guards of its own.
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Requests or stores under way at a time, over all clients.
    #[arg(long, default_value_t = 48)]
    in_flight: usize,
    /// Seconds of each measurement.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Bytes of a stored message.
    #[arg(long, default_value_t = 1024)]
    message: usize,
    /// Megabytes of the file sent, at most 10; 0 for none.
    #[arg(long, default_value_t = 10)]
    file: usize,
    /// Print JSON instead of the table.
    #[arg(long)]
    json: bool,
    /// Where the network's files lie; a temporary directory, removed at the end, unless named.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match measured(&options) {
        Ok(report) if options.json => println!("{}", report.json()),
        Ok(report) => report.print(),
        Err(error) => {
            eprintln!("the measurement failed: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn measured(options: &Options) -> Result<Report> {
    let dir = options.dir.clone().unwrap_or_else(|| {
        std::env::temp_dir().join(format!("enjambre-load-{}", std::process::id()))
    });
    let within = REST_WITHIN + MEASUREMENTS * Duration::from_secs(options.seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let result = runtime.block_on(async {
        let work = async {
            // Dropping it stops the network, whatever ends the work.
            let devnet = Devnet::up(&dir, options.nodes).await?;
            run::all(options, &devnet, &dir).await
        };
        tokio::select! {
            report = tokio::time::timeout(within, work) => {
                report.unwrap_or_else(|_| Err("it took too long".into()))
            }
            _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
        }
    });
    if options.dir.is_none() && result.is_ok() {
        std::fs::remove_dir_all(&dir)?;
    }
    result
}
