//! Running one scenario.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::{Instant, SystemTime};

use serde_json::json;
use swarm_sim::html;
use swarm_sim::output::folder::{Existing, Folder};
use swarm_sim::output::manifest::RunManifest;
use swarm_sim::output::{self, PAGE, SCENARIO, counted};
use swarm_sim::results::Results;
use swarm_sim::run::{run as simulate, run_watched};
use swarm_sim::scenario::Scenario;

use super::progress::Progress;
use super::{CommandError, Which, cores};

pub(crate) fn run(
    which: &Which,
    threads: Option<NonZeroUsize>,
    out: Option<PathBuf>,
    existing: Existing,
) -> Result<String, CommandError> {
    let (scenario, text) = Scenario::load_with_text(&which.scenario)?;
    let config = which.config(&scenario, threads.unwrap_or_else(cores))?;
    let default = || format!("runs/{}-{}", scenario.name, which.seed).into();
    let folder = Folder::open(&out.unwrap_or_else(default), existing, (&scenario, &text), &config)?;
    let (started, start) = (SystemTime::now(), Instant::now());
    let progress = Progress::new(config.replicates.into(), "replicate", which.json);
    let report = run_watched(&scenario, &config, &|| progress.one_more())?;
    drop(progress);
    let manifest = RunManifest::of(&report, config.threads.get(), started, start.elapsed());
    let page = folder.path().join(PAGE);
    let mut files = output::files(&report).map_err(|source| folder.failed(source))?;
    files.insert(0, (SCENARIO.to_owned(), text));
    let read = Results::from_files(folder.path(), &files.iter().cloned().collect())?;
    folder.write(&files, &manifest, &[(PAGE.to_owned(), html::runs(&[read]).html)])?;
    if which.json {
        return Ok(format!("{}\n", output::to_json(&report)));
    }
    let (text, results) = (output::to_text(&report), folder.path().display());
    Ok(format!("{text}results in {results}\npage in {}\n", page.display()))
}

/// Threads that a digest must not depend on.
const THREADS: [usize; 3] = [1, 2, 8];

pub(crate) fn verify(which: &Which) -> Result<String, CommandError> {
    let scenario = Scenario::load(&which.scenario)?;
    let mut found = Vec::new();
    for threads in THREADS {
        let threads = NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN);
        let report = simulate(&scenario, &which.config(&scenario, threads)?)?;
        found.push((threads, report.digest, report.metrics, report.replicates));
    }
    let lines: Vec<String> = found
        .iter()
        .map(|(threads, digest, ..)| {
            format!("{}: {digest}", counted(threads.get() as u64, "thread"))
        })
        .collect();
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
    Ok(format!(
        "{}\nthe same, over {}\n",
        lines.join("\n"),
        counted(replicates.into(), "replicate")
    ))
}
