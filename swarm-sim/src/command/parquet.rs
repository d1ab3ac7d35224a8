//! Tables as Parquet files.

use std::path::PathBuf;

use serde_json::json;
use swarm_sim::output::folder::Existing;
use swarm_sim::parquet::write_beside;

use super::CommandError;

pub(crate) fn parquet(
    folders: &[PathBuf],
    existing: Existing,
    as_json: bool,
) -> Result<String, CommandError> {
    let mut files = Vec::new();
    for folder in folders {
        let written = write_beside(folder, existing)?;
        files.extend(written.iter().map(|file| file.display().to_string()));
    }
    Ok(if as_json {
        format!("{}\n", json!({"files": files}))
    } else {
        files.iter().map(|file| format!("{file}\n")).collect()
    })
}
