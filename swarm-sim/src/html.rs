//! One page about runs: what was run, a drawing for every figure, the assumptions, and where each figure comes from.
//!
//! # Invariants
//!
//! - *Self-contained*: one file, no script, nothing loaded.
//! - *Same bytes*: the page is a function of the runs and the order in which they were given; it holds no date.
//! - *Text is text*: whatever a file says is escaped, and can become neither an element nor an attribute.

mod chart;

use core::fmt::Write as _;

use crate::output::RESULTS;
use crate::results::{Figure, Results, Series};
use crate::stats;
use chart::{Labels, Place, Row};

/// Places of a curve at most: more than a screen shows.
const PLACES_MAX: usize = 240;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1b1b1b;--paper:#fff;--soft:#d8d8d8;--mark:#00598c;--theory:#a63c00}
@media (prefers-color-scheme:dark){:root{--ink:#e8e8e8;--paper:#161616;--soft:#444;--mark:#6fc3f5;--theory:#ff9d5c}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:60rem;margin:0 auto;padding:1rem}
table{border-collapse:collapse;font-size:.875rem}th,td{border-bottom:1px solid var(--soft);padding:.2rem .6rem;text-align:left;vertical-align:top}
td.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.d{font-family:monospace;overflow-wrap:anywhere;min-width:16ch}
.scroll{overflow-x:auto}figure{margin:1.5rem 0}figcaption{font-size:.875rem}svg{width:100%;height:auto;font-size:12px}
svg text{fill:var(--ink)}.grid{stroke:var(--soft)}.mark{stroke:var(--mark);stroke-width:2;fill:none}.dot{fill:var(--mark)}
.band{fill:var(--mark);fill-opacity:.22}.theory{fill:none;stroke:var(--theory);stroke-width:2}";

/// Text as HTML; what no page may hold becomes a replacement character.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with as many digits as one reads.
fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e7).contains(&magnitude) {
        format!("{value:.3e}")
    } else {
        let digits = if magnitude >= 1000.0 { 1 } else { 4 };
        let text = format!("{value:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// The page about runs, which are shown in the order given.
pub fn page(runs: &[Results]) -> String {
    let names = names(runs);
    let mut scenarios: Vec<&str> = Vec::new();
    for run in runs {
        if !scenarios.contains(&run.scenario.as_str()) {
            scenarios.push(&run.scenario);
        }
    }
    let title = escape(&format!("Simulation of {}", scenarios.join(", ")));
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>\n"
    );
    what_was_run(&mut page, runs, &names);
    figures(&mut page, runs, &names);
    over_time(&mut page, runs, &names);
    assumptions(&mut page, runs, &names);
    page + "</main>\n</body>\n</html>\n"
}

/// What tells each run from the others: the settings and the seed that are not the same in all; the folder where
/// nothing else does.
fn names(runs: &[Results]) -> Vec<String> {
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

fn head(page: &mut String, columns: &[&str]) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for column in columns {
        let _ = write!(page, "<th scope=\"col\">{column}</th>");
    }
    page.push_str("</tr></thead>\n<tbody>\n");
}

const END_OF_TABLE: &str = "</tbody></table></div>\n";

fn what_was_run(page: &mut String, runs: &[Results], names: &[String]) {
    page.push_str("<h2>What was run</h2>\n");
    head(
        page,
        &[
            "run",
            "scenario",
            "engine",
            "seed",
            "replicates",
            "events",
            "version",
            "digest",
            "folder",
        ],
    );
    for (run, name) in runs.iter().zip(names) {
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td>{}</td><td class=\"d\">{}</td><td>{}</td></tr>",
            escape(name),
            escape(&run.scenario),
            escape(&run.engine),
            run.seed,
            run.replicates,
            run.events,
            escape(&run.version),
            escape(&run.digest),
            escape(&run.folder)
        );
    }
    page.push_str(END_OF_TABLE);
    let _ = writeln!(
        page,
        "<p>Source: {RESULTS} in each folder, the keys named as the columns are.</p>"
    );
}

/// Names and units of the figures of all runs, in the order in which they come.
fn kinds(runs: &[Results]) -> Vec<(&str, &str)> {
    let mut kinds = Vec::new();
    for figure in runs.iter().flat_map(|run| &run.figures) {
        let kind = (figure.name.as_str(), figure.unit.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

fn figures(page: &mut String, runs: &[Results], names: &[String]) {
    page.push_str(
        "<h2>Figures</h2>\n<p>A dot is the estimate, the line through it the 95 % interval, a diamond what theory expects. \
         A figure without a line is a count or an extreme, or has too few replicates.</p>\n",
    );
    for (at, (name, unit)) in kinds(runs).into_iter().enumerate() {
        let of = |run: &'_ Results| {
            let found =
                run.figures.iter().find(|figure| figure.name == name && figure.unit == unit);
            found.cloned()
        };
        let found: Vec<(&String, Figure)> =
            names.iter().zip(runs).filter_map(|(name, run)| Some((name, of(run)?))).collect();
        let rows: Vec<Row> = found
            .iter()
            .filter_map(|(name, figure)| {
                let (value, expected) = (figure.value?, figure.expected);
                let interval = figure.widest().map(|(interval, _)| interval);
                Some(Row { name: (*name).clone(), value, interval, expected })
            })
            .collect();
        let _ = writeln!(page, "<h3>{}</h3>\n<figure>", escape(name));
        if !rows.is_empty() {
            let said: Vec<String> = rows.iter().map(|row| said(row, unit)).collect();
            let (id, text) = (format!("f{at}"), said.join(" "));
            page.push_str(&chart::rows(&Labels { id, title: name, text, axis: unit }, &rows));
        }
        let _ = writeln!(
            page,
            "<figcaption>Source: {RESULTS}, metrics.{}, fields as the columns.",
            escape(name)
        );
        page.push_str("</figcaption>\n");
        table(page, &found);
        page.push_str("</figure>\n");
    }
}

/// A row in words.
fn said(row: &Row, unit: &str) -> String {
    let mut text = format!("{}: {} {unit}", row.name, number(row.value));
    if let Some(interval) = row.interval {
        let _ = write!(text, ", from {} to {}", number(interval.low), number(interval.high));
    }
    if let Some(expected) = row.expected {
        let _ = write!(text, ", theory expects {}", number(expected));
    }
    text + "."
}

fn table(page: &mut String, found: &[(&String, Figure)]) {
    head(
        page,
        &[
            "run",
            "value",
            "ci_low to ci_high",
            "interval",
            "replicates_low to replicates_high",
            "unit",
            "samples",
            "expected",
        ],
    );
    let cell = |value: Option<f64>| value.map(number).unwrap_or_default();
    let ends = |low: Option<f64>, high: Option<f64>| {
        let both = low.zip(high).map(|(low, high)| format!("{} to {}", number(low), number(high)));
        both.unwrap_or_default()
    };
    for (name, figure) in found {
        let value = figure.value.map_or_else(|| "nothing observed".to_owned(), number);
        let _ = writeln!(
            page,
            "<tr><th scope=\"row\">{}</th><td class=\"n\">{value}</td><td class=\"n\">{}</td><td>{}</td>\
             <td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            escape(name),
            ends(figure.ci_low, figure.ci_high),
            escape(&figure.interval),
            ends(figure.replicates_low, figure.replicates_high),
            escape(&figure.unit),
            figure.samples,
            cell(figure.expected)
        );
    }
    page.push_str(END_OF_TABLE);
}

fn over_time(page: &mut String, runs: &[Results], names: &[String]) {
    if runs.iter().all(|run| run.series.is_empty()) {
        return;
    }
    page.push_str(
        "<h2>Over time</h2>\n<p>A line is the mean over replicates, the band its 95 % interval (Student's t over \
         replicates).</p>\n",
    );
    for (at, (run, name)) in runs.iter().zip(names).enumerate() {
        for (file, series) in run.series.iter().enumerate() {
            let _ = writeln!(page, "<h3>{}: {}</h3>", escape(name), escape(&series.file));
            for column in 2..series.columns.len() {
                let id = format!("r{at}-{file}-{column}");
                curve(page, series, column, id);
            }
        }
    }
}

/// The mean of a column at every step, over the replicates that have a value there.
fn places(series: &Series, column: usize) -> Vec<Place> {
    let mut steps: Vec<(f64, Vec<f64>)> = Vec::new();
    let mut cells: Vec<(f64, f64)> = series
        .rows
        .iter()
        .filter_map(|row| Some((row.get(1).copied()??, row.get(column).copied()??)))
        .collect();
    cells.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (step, value) in cells {
        match steps.last_mut() {
            Some((last, values)) if *last == step => values.push(value),
            _ => steps.push((step, vec![value])),
        }
    }
    let place = |(x, values): &(f64, Vec<f64>)| {
        Some(Place { x: *x, y: stats::mean(values)?, interval: stats::student(values) })
    };
    steps.iter().filter_map(place).collect()
}

fn curve(page: &mut String, series: &Series, column: usize, id: String) {
    let title = &series.columns[column];
    let all = places(series, column);
    let every = all.len().div_ceil(PLACES_MAX).max(1);
    let (Some(first), Some(last)) = (all.first(), all.last()) else { return };
    let mut shown: Vec<Place> = all.iter().copied().step_by(every).collect();
    if shown.last() != Some(last) {
        shown.push(*last);
    }
    let most = all.iter().fold(first, |most, place| if place.y > most.y { place } else { most });
    let text = format!(
        "Mean of {title}: {} at step {}, at most {} at step {}, {} at step {}.",
        number(first.y),
        number(first.x),
        number(most.y),
        number(most.x),
        number(last.y),
        number(last.x)
    );
    let labels = Labels { id, title, text, axis: &series.columns[1] };
    let _ = write!(page, "<figure>\n<strong>{}</strong>\n", escape(title));
    page.push_str(&chart::curve(&labels, &shown));
    let (file, column, step) = (escape(&series.file), escape(title), escape(&series.columns[1]));
    let _ = write!(page, "<figcaption>Source: {file}, columns {step} and {column}");
    if every > 1 {
        let _ = write!(page, "; one step in {every} is drawn, and the last");
    }
    page.push_str(".</figcaption>\n</figure>\n");
}

fn assumptions(page: &mut String, runs: &[Results], names: &[String]) {
    page.push_str("<h2>Assumptions</h2>\n");
    let same = runs.windows(2).all(|pair| {
        let of = |run: &Results| (run.about.clone(), run.settings.clone(), run.leaves_out.clone());
        of(&pair[0]) == of(&pair[1])
    });
    let shown = if same { 1 } else { runs.len() };
    for (run, name) in runs.iter().zip(names).take(shown) {
        if !same {
            let _ = writeln!(page, "<h3>{}</h3>", escape(name));
        }
        let _ = writeln!(page, "<p>{}: {}.</p>", escape(&run.scenario), escape(&run.about));
        head(page, &["setting", "value"]);
        for setting in &run.settings {
            let (key, value) = (escape(&setting.key), escape(&setting.value));
            let _ = writeln!(page, "<tr><th scope=\"row\">{key}</th><td>{value}</td></tr>");
        }
        page.push_str(END_OF_TABLE);
        page.push_str("<p>Not simulated:</p>\n<ul>\n");
        for left in &run.leaves_out {
            let _ = writeln!(page, "<li>{}</li>", escape(left));
        }
        page.push_str("</ul>\n");
    }
    let _ = writeln!(page, "<p>Source: {RESULTS}, the keys about, settings and leaves_out.</p>");
}
