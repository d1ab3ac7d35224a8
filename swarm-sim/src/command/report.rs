//! A page about runs or about a sweep.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use swarm_sim::html::{self, Page};
use swarm_sim::output::atomic::{Locked, write_files};
use swarm_sim::output::folder::Existing;
use swarm_sim::output::manifest::MANIFEST;
use swarm_sim::output::{PAGE, RESULTS, counted};
use swarm_sim::results::{Results, ResultsError, Swept};

use super::CommandError;

pub(crate) const HELP: &str = "\
DIR is a folder that `run`, `sweep` or `merge` wrote; several are shown on one page if all are of `run`. Runs of one
scenario with other settings stand beside each other under the settings that differ. Of a sweep, each figure is drawn
over the swept key with the most values that are numbers, with a line for each combination of the others.
The page is one file without scripts that loads nothing. The same folders give the same bytes.

Example: swarm-sim report runs/churn --plots plots";

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folders that `run` wrote, shown in this order; or one that `sweep` or `merge` wrote.
    #[arg(value_name = "DIR", required = true)]
    folders: Vec<PathBuf>,
    /// The page; DIR/report.html unless set, which it must be for several folders. A file of that name with other
    /// contents is not touched.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// A folder for every drawing as NAME.svg, and for the numbers that it shows as NAME.csv. None are written unless set.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Replace pages and plots with other contents: pages and drawings that name this program near their beginning,
    /// tables with the same first line, and empty files, also where they were changed since. No other file is replaced.
    #[arg(long)]
    overwrite: bool,
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReportError {
    #[error("say with --out where the page about {count} folders goes")]
    NoOut { count: usize },
    #[error("{folder} holds results, among which plots are lost: give --plots a folder of its own")]
    Among { folder: String },
    #[error("{folder} is a sweep: a page is about one sweep, or about runs")]
    Mixed { folder: String },
}

/// What the page is about: the word for it, and how many there are.
struct Subject {
    word: &'static str,
    count: usize,
    page: Page,
}

fn subject(folders: &[PathBuf]) -> Result<Subject, CommandError> {
    let swept = folders.iter().find(|folder| Swept::is_in(folder));
    if let ([folder], Some(_)) = (folders, swept) {
        let sweep = Swept::read(folder)?;
        let page = html::sweep(&sweep);
        return Ok(Subject { word: "point", count: sweep.manifest.points, page });
    }
    if let Some(folder) = swept {
        return Err(ReportError::Mixed { folder: folder.display().to_string() }.into());
    }
    let read = folders.iter().map(|folder| Results::read(folder));
    let read = read.collect::<Result<Vec<Results>, ResultsError>>()?;
    Ok(Subject { word: "run", count: read.len(), page: html::runs(&read) })
}

pub(crate) fn report(asked: ReportArgs) -> Result<String, CommandError> {
    let out = match (asked.out, asked.folders.as_slice()) {
        (Some(out), _) => out,
        (None, [folder]) => folder.join(PAGE),
        (None, folders) => return Err(ReportError::NoOut { count: folders.len() }.into()),
    };
    let holds_results =
        |folder: &&PathBuf| [RESULTS, MANIFEST].iter().any(|name| folder.join(name).exists());
    if let Some(folder) = asked.plots.as_ref().filter(holds_results) {
        return Err(ReportError::Among { folder: folder.display().to_string() }.into());
    }
    if asked.folders.iter().any(|folder| !folder.is_dir() || Swept::is_in(folder)) {
        // A folder that is not there is told of before the lock would make it, and a sweep that is under way is not waited for.
        subject(&asked.folders)?;
    }
    // Nor does a run write to what is read. A folder that is not there is named once it is read.
    let read = asked.folders.iter().filter(|folder| folder.is_dir());
    let read: Vec<PathBuf> = read.map(|folder| folder.join(PAGE)).collect();
    let beside =
        asked.plots.iter().map(|folder| folder.join(PAGE)).chain([out.clone()]).chain(read);
    let lock = Locked::around(beside.collect::<Vec<_>>().iter().map(PathBuf::as_path))?;
    let Subject { word, count, page } = subject(&asked.folders)?;
    let mut files = match &asked.plots {
        Some(folder) => plots(folder, &page),
        None => Vec::new(),
    };
    files.push((out.clone(), page.html));
    let existing = if asked.overwrite { Existing::Replace } else { Existing::Keep };
    write_files(&files, existing, &lock)?;
    let out = out.display().to_string();
    let words = format!("{word}s");
    if asked.json {
        let mut line = json!({"page": out});
        line[words.as_str()] = count.into();
        if let Some(folder) = &asked.plots {
            line["plots"] = folder.display().to_string().into();
        }
        return Ok(format!("{line}\n"));
    }
    let drawn = asked.plots.map(|folder| {
        let (count, folder) = (page.plots.len(), folder.display().to_string());
        format!("{} in {folder}\n", counted(count as u64, "plot"))
    });
    Ok(format!(
        "page about {} in {out}\n{}",
        counted(count as u64, word),
        drawn.unwrap_or_default()
    ))
}

fn plots(folder: &Path, page: &Page) -> Vec<(PathBuf, String)> {
    let file = |name: &str, ending: &str| folder.join(format!("{name}.{ending}"));
    let both = page.plots.iter().flat_map(|plot| {
        [(file(&plot.name, "svg"), plot.svg()), (file(&plot.name, "csv"), plot.csv())]
    });
    both.collect()
}
