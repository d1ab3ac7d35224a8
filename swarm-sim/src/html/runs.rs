//! The page about runs.

use core::fmt::Write as _;

use super::assumptions::{Assumed, assumptions};
use super::chart::{self, Row};
use super::plot::{Plots, cell};
use super::text::{Cell, escape, number, table};
use super::{CLOSED, Page, WORDS, heading, opened, over_time, purpose};
use crate::output::{RESULTS, absent, unit_of};
use crate::results::{Figure, Results};

/// The page about runs, which are shown in the order given.
pub fn runs(runs: &[Results]) -> Page {
    let names = names(runs);
    let mut scenarios: Vec<&str> = Vec::new();
    for run in runs {
        if !scenarios.contains(&run.scenario.as_str()) {
            scenarios.push(&run.scenario);
        }
    }
    let mut page = opened(&format!("Simulation of {}", scenarios.join(", ")));
    if let Some(first) = runs.first()
        && runs.iter().all(|run| run.about == first.about)
    {
        purpose(&mut page, &first.about);
    }
    let mut plots = Plots::default();
    what_was_run(&mut page, runs, &names);
    over_time::curves(&mut page, &mut plots, runs, &names);
    figures(&mut page, &mut plots, runs, &names);
    over_time::series(&mut page, &mut plots, runs, &names);
    let all: Vec<(String, Assumed<'_>)> =
        names.into_iter().zip(runs.iter().map(assumed_by)).collect();
    assumptions(&mut page, &all, &format!("{RESULTS}, the keys about, settings and leaves_out"));
    page.push_str(WORDS);
    Page { html: page + CLOSED, plots: plots.into_all() }
}

fn assumed_by(run: &Results) -> Assumed<'_> {
    Assumed {
        scenario: &run.scenario,
        about: &run.about,
        settings: &run.settings,
        leaves_out: &run.leaves_out,
    }
}

/// What tells each run from the others: the settings and the seed that are not the same in all; the folder where
/// nothing else does. A run that stands alone has its scenario's name.
fn names(runs: &[Results]) -> Vec<String> {
    if let [run] = runs {
        return vec![run.scenario.clone()];
    }
    let marks = |run: &Results| {
        let mut marks = vec![
            ("scenario".to_owned(), run.scenario.clone()),
            ("seed".to_owned(), run.seed.to_string()),
            ("replicates".to_owned(), run.replicates.to_string()),
            ("version".to_owned(), run.version.clone()),
        ];
        // A key may come more than once, as a table of an array does: its place is part of its name.
        for (at, setting) in run.settings.iter().enumerate() {
            let earlier = run.settings[..at].iter().filter(|s| s.key == setting.key).count();
            let key = if earlier == 0 { String::new() } else { format!(" {}", earlier + 1) };
            marks.push((format!("{}{key}", setting.key), setting.value.clone()));
        }
        marks
    };
    let all: Vec<Vec<(String, String)>> = runs.iter().map(marks).collect();
    let is_shared = |mark: &(String, String)| all.iter().all(|marks| marks.contains(mark));
    let name = |marks: &Vec<(String, String)>| {
        let own = marks.iter().filter(|mark| !is_shared(mark));
        own.map(|(key, value)| format!("{key} {value}")).collect::<Vec<_>>().join(", ")
    };
    let named: Vec<String> = all.iter().map(name).collect();
    let is_unique = |name: &String| named.iter().filter(|other| *other == name).count() == 1;
    let or_folder = |(name, run): (&String, &Results)| {
        if !name.is_empty() && is_unique(name) { name.clone() } else { run.folder.clone() }
    };
    named.iter().zip(runs).map(or_folder).collect()
}

const RUN_COLUMNS: [&str; 9] =
    ["run", "scenario", "engine", "seed", "replicates", "events", "version", "digest", "folder"];

fn what_was_run(page: &mut String, runs: &[Results], names: &[String]) {
    page.push_str("<h2>What was run</h2>\n");
    // A page that lies in its run's folder must not depend on where that is.
    let shown = if runs.len() == 1 { RUN_COLUMNS.len() - 1 } else { RUN_COLUMNS.len() };
    let row = |(run, name): (&Results, &String)| {
        let mut cells = vec![
            Cell::Head(name.clone()),
            Cell::Text(run.scenario.clone()),
            Cell::Text(run.engine.clone()),
            Cell::Number(run.seed.to_string()),
            Cell::Number(run.replicates.to_string()),
            Cell::Number(run.events.to_string()),
            Cell::Text(run.version.clone()),
            Cell::Digest(run.digest.clone()),
            Cell::Text(run.folder.clone()),
        ];
        cells.truncate(shown);
        cells
    };
    table(page, &RUN_COLUMNS[..shown], runs.iter().zip(names).map(row));
    let _ = writeln!(
        page,
        "<p>Source: {RESULTS} in each folder, the keys named as the columns are.</p>"
    );
}

/// Names and units of the figures of all runs, in the order in which they come, but what has no interval at the end:
/// counts, which settings make what they are.
fn kinds(runs: &[Results]) -> Vec<(&str, &str)> {
    let mut kinds = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        let kind = (figure.name.as_str(), figure.unit.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    let all = || runs.iter().flat_map(|run| &run.figures);
    let is_sure = |(name, _): &(&str, &str)| {
        !all().any(|figure| figure.name == *name && figure.widest().is_some())
    };
    kinds.sort_by_key(is_sure);
    kinds
}

fn figures(page: &mut String, plots: &mut Plots, runs: &[Results], names: &[String]) {
    page.push_str(
        "<h2>Figures</h2>\n<p>A dot is the estimate, the line through it the 95 % interval, a diamond what theory expects. \
         A figure without a line is a count or an extreme, has too few replicates, or an interval without an upper end. \
         Lines of shares end at 0 and 1.</p>\n",
    );
    for (name, unit) in kinds(runs) {
        let of = |run: &'_ Results| {
            let found =
                run.figures.iter().find(|figure| figure.name == name && figure.unit == unit);
            found.cloned()
        };
        let found: Vec<(&String, Figure)> =
            names.iter().zip(runs).filter_map(|(name, run)| Some((name, of(run)?))).collect();
        let about = found.iter().find_map(|(_, figure)| figure.about.as_deref());
        heading(page, name, unit, about);
        page.push_str("<figure>\n");
        let rows: Vec<Row> = found.iter().filter_map(|(name, figure)| row(name, figure)).collect();
        if rows.is_empty() {
            page.push_str("<p>Nothing was observed.</p>\n");
        } else {
            page.push_str(&drawn(plots, name, unit, &rows));
        }
        let said: Vec<String> = rows.iter().map(|row| escape(&said(row, unit))).collect();
        let (said, name) = (said.join("<br>"), escape(name));
        let _ = writeln!(
            page,
            "<figcaption>{said}<br>Source: {RESULTS}, metrics.{name}, fields as the columns of the table.</figcaption>"
        );
        page.push_str("<details><summary>All its numbers</summary>\n");
        numbers(page, &found);
        page.push_str("</details>\n</figure>\n");
    }
}

fn row(name: &str, figure: &Figure) -> Option<Row> {
    let (value, expected) = (figure.value?, figure.expected);
    let interval = figure.widest().map(|(interval, _)| interval);
    Some(Row { name: name.to_owned(), value, interval, expected })
}

fn drawn(plots: &mut Plots, name: &str, unit: &str, rows: &[Row]) -> String {
    let said: Vec<String> = rows.iter().map(|row| said(row, unit)).collect();
    let drawing = chart::rows(name, said.join(" "), unit, rows);
    let numbers = |row: &Row| {
        let (low, high) = (row.interval.map(|i| i.low), row.interval.map(|i| i.high));
        let of = [Some(row.value), low, high, row.expected].map(cell);
        [row.name.clone(), unit.to_owned()].into_iter().chain(of).collect()
    };
    let columns = ["run", "unit", "value", "low", "high", "expected"];
    plots.add(name, drawing, &columns, rows.iter().map(numbers).collect())
}

/// A row in words.
fn said(row: &Row, unit: &str) -> String {
    let mut text = format!("{}: {} {}", row.name, number(row.value), unit_of(row.value, unit));
    if let Some(interval) = row.interval {
        let _ =
            write!(text, ", 95 % interval {} to {}", number(interval.low), number(interval.high));
    }
    if let Some(expected) = row.expected {
        let _ = write!(text, ", theory expects {}", number(expected));
    }
    text + "."
}

fn numbers(page: &mut String, found: &[(&String, Figure)]) {
    let columns = [
        "run",
        "value",
        "ci_low to ci_high",
        "interval",
        "replicates_low to replicates_high",
        "unit",
        "samples",
        "expected",
    ];
    let row = |(name, figure): &(&String, Figure)| {
        let value = figure.value.map_or_else(|| absent(figure.ci_low).to_owned(), number);
        vec![
            Cell::Head((*name).clone()),
            Cell::Number(value),
            Cell::ends(figure.ci_low, figure.ci_high),
            Cell::Text(figure.interval.clone()),
            Cell::ends(figure.replicates_low, figure.replicates_high),
            Cell::Text(figure.unit.clone()),
            Cell::Number(figure.samples.to_string()),
            Cell::of(figure.expected),
        ]
    };
    table(page, &columns, found.iter().map(row));
}
