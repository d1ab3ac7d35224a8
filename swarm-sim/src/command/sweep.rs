//! Running a scenario at every point of a grid.

use std::io::{IsTerminal as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use swarm_sim::sweep::folder::{Manifest, SweepFolder};
use swarm_sim::sweep::{self, Shard, Sweep, SweepConfig, SweepError};

use super::Which;

pub(crate) const HELP: &str = "\
The file lists keys with the values that each takes; every combination is a point:

  [sweep]
  \"network.nodes\" = [100, 200]
  \"adversary.share\" = [\"5 %\", \"10 %\"]

Example: swarm-sim sweep guards --shard 3/16 --out runs/g-3";

/// A line with the time that is left, where someone looks.
struct Progress {
    start: Instant,
    shown: bool,
}

impl Progress {
    fn new() -> Self {
        Self { start: Instant::now(), shown: std::io::stderr().is_terminal() }
    }

    fn tell(&self, done: usize, of: usize, before: usize) {
        if !self.shown {
            return;
        }
        let left = (done > before).then(|| {
            let each = self.start.elapsed().as_secs_f64() / (done - before) as f64;
            format!(", {:.0} s left", each * (of - done) as f64)
        });
        let end = if done == of { "\n" } else { "" };
        let mut stderr = std::io::stderr().lock();
        // Nobody is told if the terminal is gone.
        let _ = write!(stderr, "\r{done} of {of} points{}   {end}", left.unwrap_or_default());
        let _ = stderr.flush();
    }
}

pub(crate) fn sweep(
    which: &Which,
    threads: NonZeroUsize,
    shard: Shard,
    out: Option<PathBuf>,
) -> Result<String, SweepError> {
    let grid = Sweep::load(&which.scenario)?;
    let replicates = which.replicates.unwrap_or(grid.base.replicates);
    let config = SweepConfig { seed: which.seed, replicates, threads, shard };
    let default = || {
        let whole = format!("runs/{}-{}-sweep", grid.base.name, which.seed);
        let part = format!("{whole}-{}-of-{}", shard.number, shard.of);
        PathBuf::from(if shard == Shard::WHOLE { whole } else { part })
    };
    let folder = SweepFolder::new(&out.unwrap_or_else(default));
    let progress = Progress::new();
    let before = std::sync::OnceLock::new();
    let tell = |done, of| progress.tell(done, of, *before.get_or_init(|| done));
    let manifest = sweep::sweep(&grid, &config, &folder, &tell)?;
    Ok(shown(&manifest, folder.path(), which.json))
}

pub(crate) fn merge(shards: &[PathBuf], out: &Path, as_json: bool) -> Result<String, SweepError> {
    let shards: Vec<SweepFolder> = shards.iter().map(|path| SweepFolder::new(path)).collect();
    let into = SweepFolder::new(out);
    Ok(shown(&sweep::merge(&shards, &into)?, out, as_json))
}

fn shown(manifest: &Manifest, folder: &Path, as_json: bool) -> String {
    if as_json {
        return format!("{}\n", serde_json::to_value(manifest).unwrap_or_default());
    }
    let Manifest { scenario, points, seed, replicates, shard, axes, .. } = manifest;
    let digest = manifest.digest.as_deref().unwrap_or_default();
    format!(
        "{scenario}, {points} points over {}, shard {shard}, seed {seed}, {replicates} replicates each\n\ndigest {digest}\nresults in {}\n",
        axes.join(" and "),
        folder.display()
    )
}
