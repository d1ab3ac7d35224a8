//! Running one scenario.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use serde_json::json;
use swarm_sim::output;
use swarm_sim::output::folder::{Existing, Folder};
use swarm_sim::run::run as simulate;
use swarm_sim::scenario::Scenario;

use super::{CommandError, Which, cores};

pub(crate) fn run(
    which: &Which,
    threads: Option<NonZeroUsize>,
    out: Option<PathBuf>,
    existing: Existing,
) -> Result<String, CommandError> {
    let scenario = Scenario::load(&which.scenario)?;
    let config = which.config(&scenario, threads.unwrap_or_else(cores));
    let default = || format!("runs/{}-{}", scenario.name, which.seed).into();
    let folder = Folder::open(&out.unwrap_or_else(default), existing, &scenario, &config)?;
    let report = simulate(&scenario, &config)?;
    folder.write(&report)?;
    if which.json {
        return Ok(format!("{}\n", output::to_json(&report)));
    }
    Ok(format!("{}results in {}\n", output::to_text(&report), folder.path().display()))
}

/// Threads that a digest must not depend on.
const THREADS: [usize; 3] = [1, 2, 8];

pub(crate) fn verify(which: &Which) -> Result<String, CommandError> {
    let scenario = Scenario::load(&which.scenario)?;
    let mut found = Vec::new();
    for threads in THREADS {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let report = simulate(&scenario, &which.config(&scenario, threads))?;
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
