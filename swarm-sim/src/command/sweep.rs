//! Running a scenario at every point of a grid.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use swarm_sim::html;
use swarm_sim::output::{PAGE, counted};
use swarm_sim::results::Swept;
use swarm_sim::sweep::folder::{Manifest, SweepFolder};
use swarm_sim::sweep::{self, Shard, Sweep, SweepConfig};

use super::progress::Progress;
use super::{CommandError, Which};

pub(crate) const HELP: &str = "\
The file lists keys with the values that each takes; every combination is a point:

  [sweep]
  \"network.nodes\" = [100, 200]
  \"adversary.share\" = [\"5 %\", \"10 %\"]

The folder of a whole sweep has a page about it too: report.html.

Example: swarm-sim sweep guards --shard 3/16 --out runs/g-3";

pub(crate) fn sweep(
    which: &Which,
    threads: NonZeroUsize,
    shard: Shard,
    out: Option<PathBuf>,
) -> Result<String, CommandError> {
    let grid = Sweep::load(&which.scenario)?;
    let replicates = which.replicates.unwrap_or(grid.base.replicates);
    for point in &grid.points {
        point.scenario.ends_with(replicates)?;
    }
    let config = SweepConfig { seed: which.seed, replicates, threads, shard };
    let default = || {
        let whole = format!("runs/{}-{}-sweep", grid.base.name, which.seed);
        let part = format!("{whole}-{}-of-{}", shard.number, shard.of);
        PathBuf::from(if shard == Shard::WHOLE { whole } else { part })
    };
    let folder = SweepFolder::new(&out.unwrap_or_else(default));
    // It is made when the first number comes: how many are done already.
    let progress = OnceLock::new();
    let tell = |done: usize, of: usize| {
        let mut is_first = false;
        let progress = progress.get_or_init(|| {
            is_first = true;
            Progress::new(of as u64, "point", which.json)
        });
        if is_first { progress.begin_at(done as u64) } else { progress.one_more() }
    };
    let manifest = sweep::sweep(&grid, &config, &folder, &tell)?;
    drop(progress);
    shown(&manifest, &folder, which.json)
}

pub(crate) fn merge(shards: &[PathBuf], out: &Path, json: bool) -> Result<String, CommandError> {
    let shards: Vec<SweepFolder> = shards.iter().map(|path| SweepFolder::new(path)).collect();
    let into = SweepFolder::new(out);
    shown(&sweep::merge(&shards, &into)?, &into, json)
}

/// Writes the page of a sweep that is whole, and says what there is.
fn shown(manifest: &Manifest, folder: &SweepFolder, json: bool) -> Result<String, CommandError> {
    let is_whole = manifest.shard == Shard::WHOLE.to_string();
    if is_whole {
        folder.write_page(&html::sweep(&Swept::read(folder.path())?).html)?;
    }
    if json {
        return Ok(format!("{}\n", serde_json::to_value(manifest).unwrap_or_default()));
    }
    let Manifest { scenario, points, seed, replicates, shard, axes, .. } = manifest;
    let digest = manifest.digest.as_deref().unwrap_or_default();
    let path = folder.path();
    let (points, each) =
        (counted(*points as u64, "point"), counted((*replicates).into(), "replicate"));
    let mut text = format!(
        "{scenario}, {points} over {}, shard {shard}, seed {seed}, {each} each\n\ndigest {digest}\nresults in {}\n",
        axes.join(" and "),
        path.display()
    );
    if is_whole {
        text.push_str(&format!("page in {}\n", path.join(PAGE).display()));
    }
    Ok(text)
}
