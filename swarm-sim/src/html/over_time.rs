//! What changes over the time of a run: shares of clients, and the columns of tables by step.

use core::fmt::Write as _;

use super::chart::{self, Across, Band, Frame, LINES_MAX, Line, Place};
use super::plot::{Plots, cell};
use super::text::{escape, number};
use crate::metric::about_curve;
use crate::output::unit_of;
use crate::results::{CURVES, Results, Series};
use crate::stats;

/// Places of a line at most: more than a screen shows.
const PLACES_MAX: usize = 240;

/// What is drawn over time, for as many runs as have it.
struct Subject<'a> {
    /// The plot's name.
    name: String,
    /// What the numbers are.
    title: &'a str,
    /// Unit of time.
    unit: &'a str,
    /// What stands below and beside the drawing.
    x: String,
    y: &'a str,
    /// Where they come from.
    source: String,
    /// What a line is, in words.
    of: &'a str,
    columns: [&'a str; 5],
}

/// Adds the shares of clients to whom something has happened by a time.
pub(super) fn curves(page: &mut String, plots: &mut Plots, runs: &[Results], names: &[String]) {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for curve in runs.iter().flat_map(|run| &run.curves) {
        let kind = (curve.name.as_str(), curve.unit.as_str());
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    if kinds.is_empty() {
        return;
    }
    page.push_str(
        "<h2>By when it has happened to a client</h2>\n<p>The share of clients to whom it has happened by a time since \
         they began, as Kaplan and Meier (1958) estimate it: clients that were not watched long enough count for as long as they were. \
         The band is the 95 % interval at each time, the wider of two: one takes clients as independent, the other \
         replicates.</p>\n",
    );
    for (name, unit) in kinds {
        let of = |run: &Results| -> Option<Vec<Place>> {
            let curve =
                run.curves.iter().find(|c| (c.name.as_str(), c.unit.as_str()) == (name, unit));
            let place = |place: &crate::results::CurvePlace| Place {
                x: place.time,
                y: place.share,
                interval: place.band,
                expected: None,
            };
            Some(curve?.places.iter().map(place).collect())
        };
        let subject = Subject {
            name: format!("curve-{name}"),
            title: name,
            unit,
            x: format!("time since the client began ({unit})"),
            y: "share of clients",
            source: format!(
                "{CURVES}, rows with curve {name}: columns time, share, ci_low and ci_high"
            ),
            of: "Share of clients",
            columns: ["run", "time", "share", "low", "high"],
        };
        drawn(page, plots, &subject, lines(runs, names, of));
    }
}

/// Adds the mean over replicates of each column of the tables by step.
pub(super) fn series(page: &mut String, plots: &mut Plots, runs: &[Results], names: &[String]) {
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for series in runs.iter().flat_map(|run| &run.series) {
        for column in &series.columns[2..] {
            let kind = (series.file.as_str(), column.as_str());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    if kinds.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Over time</h2>\n<p>A line is the mean over replicates, the band its 95 % interval (Student's t over \
         replicates).</p>\n",
    );
    for (file, column) in kinds {
        let of = |run: &Results| -> Option<Vec<Place>> {
            let series = run.series.iter().find(|series| series.file == file)?;
            let at = series.columns.iter().skip(2).position(|name| name == column)?;
            Some(means(series, at + 2))
        };
        let subject = Subject {
            name: format!("{}-{column}", file.trim_end_matches(".csv")),
            title: column,
            unit: "step",
            x: "step".to_owned(),
            y: column,
            source: format!("{file}, columns step and {column}"),
            of: "Mean",
            columns: ["run", "step", "mean", "low", "high"],
        };
        drawn(page, plots, &subject, lines(runs, names, of));
    }
}

/// A line for each run that has one.
fn lines(
    runs: &[Results],
    names: &[String],
    of: impl Fn(&Results) -> Option<Vec<Place>>,
) -> Vec<Line> {
    let line = |(run, name): (&Results, &String)| {
        let places = of(run).filter(|places| !places.is_empty())?;
        Some(Line { name: name.clone(), places })
    };
    runs.iter().zip(names).filter_map(line).collect()
}

/// The mean of a column at every step, over the replicates that have a value there.
fn means(series: &Series, column: usize) -> Vec<Place> {
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
        let (y, interval) = (stats::mean(values)?, stats::student(values));
        Some(Place { x: *x, y, interval, expected: None })
    };
    steps.iter().filter_map(place).collect()
}

/// One place in so many, and the last.
fn thinned(places: &[Place], every: usize) -> Vec<Place> {
    let mut shown: Vec<Place> = places.iter().copied().step_by(every).collect();
    if let Some(last) = places.last()
        && shown.last() != Some(last)
    {
        shown.push(*last);
    }
    shown
}

fn drawn(page: &mut String, plots: &mut Plots, subject: &Subject<'_>, whole: Vec<Line>) {
    let title = subject.title;
    let _ = writeln!(page, "<h3>{}</h3>", escape(title));
    if let Some(about) = about_curve(title) {
        let _ = writeln!(page, "<p>{}</p>", escape(about));
    }
    let longest = whole.iter().map(|line| line.places.len()).max().unwrap_or(0);
    let every = longest.div_ceil(PLACES_MAX).max(1);
    let words: Vec<String> = whole.iter().map(|line| said(subject, line, whole.len())).collect();
    let thin = |line: Line| Line { places: thinned(&line.places, every), ..line };
    let shown: Vec<Line> = whole.into_iter().map(thin).collect();
    let frame = Frame {
        across: &Across::Numbers(Vec::new()),
        x: &subject.x,
        y: subject.y,
        heights: Frame::heights(&shown, subject.y),
        band: Band::Filled,
    };
    for (lines, words) in shown.chunks(LINES_MAX).zip(words.chunks(LINES_MAX)) {
        let text = format!("{} of {title}: {}", subject.of, words.join(" "));
        let drawing = chart::lines(title, text, &frame, lines);
        let rows = lines.iter().flat_map(|line| {
            let row = |place: &Place| {
                let (low, high) = (place.interval.map(|i| i.low), place.interval.map(|i| i.high));
                let of = [Some(place.x), Some(place.y), low, high].map(cell);
                core::iter::once(line.name.clone()).chain(of).collect()
            };
            line.places.iter().map(row)
        });
        page.push_str("<figure>\n");
        page.push_str(&plots.add(&subject.name, drawing, &subject.columns, rows.collect()));
        let _ = write!(page, "<figcaption>Source: {}", escape(&subject.source));
        if every > 1 {
            let _ = write!(page, "; one place in {every} is drawn, and the last");
        }
        page.push_str(".</figcaption>\n</figure>\n");
    }
}

/// A line in words.
fn said(subject: &Subject<'_>, line: &Line, of: usize) -> String {
    let (Some(first), Some(last)) = (line.places.first(), line.places.last()) else {
        return String::new();
    };
    let higher = |a, b: &_| -> Place {
        let (a, b): (Place, &Place) = (a, b);
        if b.y > a.y { *b } else { a }
    };
    let most = line.places.iter().fold(*first, higher);
    let name = if of > 1 { format!("{}: ", line.name) } else { String::new() };
    let at = |place: &Place| {
        if subject.unit == "step" {
            format!("{} at step {}", number(place.y), number(place.x))
        } else {
            format!("{} at {} {}", number(place.y), number(place.x), unit_of(place.x, subject.unit))
        }
    };
    format!("{name}{}, at most {}, {}.", at(first), at(&most), at(last))
}
