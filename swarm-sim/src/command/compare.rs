//! Two runs beside each other.

use std::path::Path;

use swarm_sim::compare::{self, compare as compared};
use swarm_sim::results::Results;

use super::CommandError;

pub(crate) const HELP: &str = "\
Exit code 0: no figure is told apart; 1: one is; 2: the two cannot be compared, as they are of different engines or cannot be read.
Runs of one scenario name and one seed are compared replicate by replicate. Each figure is shown with a 95 % interval
of its own, of which one in twenty lies beside zero where nothing differs, and with p, the probability of a difference
as large by chance. Whether it differs is said by Holm's procedure (1979) over all figures: in 95 of 100 comparisons at
least, no figure that is equal is said to differ. Counts without an interval are shown and not judged.

Example: swarm-sim compare runs/churn-1 runs/churn-2";

pub(crate) fn compare(a: &Path, b: &Path, json: bool) -> Result<String, CommandError> {
    let found = compared(&Results::read(a)?, &Results::read(b)?)?;
    let table = if json { compare::to_json(&found) } else { compare::to_text(&found) };
    if found.differ.is_empty() {
        return Ok(table);
    }
    let (count, names) = (found.differ.len(), found.differ.join(", "));
    Err(CommandError::Figures { count, names, table })
}
