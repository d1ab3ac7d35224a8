//! Shards to a whole.

use super::folder::{Finished, Manifest, SweepFolder};
use super::{Shard, Sweep, SweepConfig, SweepError};
use crate::output::counted;
use std::num::NonZeroUsize;

/// Puts the points of shards together, into a folder as one machine's run would have left it.
pub fn merge(shards: &[SweepFolder], into: &SweepFolder) -> Result<Manifest, SweepError> {
    let mut read = Vec::new();
    for (at, folder) in shards.iter().enumerate() {
        if shards[..at].iter().any(|earlier| earlier.is_same(folder)) {
            let what = format!("{} is given twice", folder.path().display());
            return Err(SweepError::Merge { what });
        }
        read.push((folder, folder.finished()?));
    }
    let Some((first, Finished { manifest, sweep, .. })) = read.first() else {
        return Err(SweepError::Merge { what: "give the folders of the shards".to_owned() });
    };
    for (folder, other) in &read {
        if let Some(difference) = other.manifest.difference(manifest) {
            let (folder, first) = (folder.path().display(), first.path().display());
            let what = format!("{folder} is of {difference} as in {first}");
            return Err(SweepError::Merge { what });
        }
    }
    let config = SweepConfig {
        seed: manifest.seed,
        replicates: manifest.replicates,
        threads: NonZeroUsize::MIN,
        shard: Shard::WHOLE,
    };
    let holders: Vec<&SweepFolder> = read.iter().map(|(folder, _)| *folder).collect();
    let mut all = Vec::new();
    for point in &sweep.points {
        let mut found = None;
        for folder in &holders {
            let Some(done) = folder.done(point, manifest)? else { continue };
            if found.as_ref().is_some_and(|earlier| *earlier != done) {
                let what = format!(
                    "point {} differs between shards: one of them ran with another build",
                    point.number
                );
                return Err(SweepError::Merge { what });
            }
            found = Some(done);
        }
        all.extend(found);
    }
    if all.len() < sweep.points.len() {
        return Err(missing(
            sweep,
            &read.iter().map(|(_, finished)| finished.shard).collect::<Vec<_>>(),
        ));
    }
    let _lock = into.locked()?;
    into.begin(sweep, &config)?;
    // One that stands there is held against what it was and what the shards have, and never replaced.
    let mut left = Vec::new();
    for (point, done) in sweep.points.iter().zip(&all) {
        match into.done(point, manifest)? {
            Some(there) if there == *done => {}
            Some(_) => {
                let name = SweepFolder::name_of(point.number);
                return Err(into.refused(format!("holds a {name} that differs from the shards'")));
            }
            None => left.push(done),
        }
    }
    for done in left {
        into.put(done)?;
    }
    into.complete(sweep, &config)
}

fn missing(sweep: &Sweep, shards: &[Shard]) -> SweepError {
    let has = |point: u32| shards.iter().any(|shard| shard.has(point));
    let lacking = sweep.points.iter().filter(|point| !has(point.number)).count();
    let given: Vec<String> = shards.iter().map(ToString::to_string).collect();
    let (points, given) = (counted(sweep.points.len() as u64, "point"), given.join(", "));
    let are = if lacking == 1 { "is" } else { "are" };
    let what = format!("{lacking} of {points} {are} missing: the shards given are {given}");
    SweepError::Merge { what }
}
