//! The page about a sweep: each figure over one of the swept keys, a line for each combination of the others.

use core::fmt::Write as _;

use super::assumptions::{Assumed, assumptions};
use super::chart::{self, Across, Band, Frame, LINES_MAX, Line, Place};
use super::plot::{Plots, cell};
use super::text::{Cell, escape, number, table};
use super::{CLOSED, Page, WORDS, heading, opened, purpose};
use crate::metric::about;
use crate::output::SCENARIO;
use crate::output::{absent, unit_of};
use crate::results::{Swept, SweptFigure, SweptRow};
use crate::stats::Interval;
use crate::sweep::Axis;
use crate::sweep::folder::{MANIFEST, TABLE};

/// The page about a sweep.
pub fn sweep(sweep: &Swept) -> Page {
    let name = &sweep.manifest.scenario;
    let mut page = opened(&format!("Sweep of {name}"));
    purpose(&mut page, &sweep.about);
    let mut plots = Plots::default();
    what_was_run(&mut page, sweep);
    let layout = Layout::of(&sweep.axes);
    figures(&mut page, &mut plots, sweep, &layout);
    let assumed = Assumed {
        scenario: name,
        about: &sweep.about,
        settings: &sweep.settings,
        leaves_out: &sweep.leaves_out,
    };
    let source = format!("{SCENARIO}, as this version of swarm-sim reads it");
    assumptions(&mut page, &[(name.clone(), assumed)], &source);
    page.push_str(WORDS);
    Page { html: page + CLOSED, plots: plots.into_all() }
}

fn what_was_run(page: &mut String, sweep: &Swept) {
    page.push_str("<h2>What was run</h2>\n");
    let manifest = &sweep.manifest;
    let row = vec![
        Cell::Head(manifest.scenario.clone()),
        Cell::Text(manifest.engine.clone()),
        Cell::Number(manifest.points.to_string()),
        Cell::Number(manifest.seed.to_string()),
        Cell::Number(manifest.replicates.to_string()),
        Cell::Text(manifest.swarm_sim.clone()),
        Cell::Digest(manifest.digest.clone().unwrap_or_default()),
    ];
    let columns =
        ["scenario", "engine", "points", "seed", "replicates of each", "version", "digest"];
    table(page, &columns, core::iter::once(row));
    let _ = writeln!(page, "<p>Source: {MANIFEST}.</p>");
    let row = |axis: &Axis| vec![Cell::Head(axis.key.clone()), Cell::Text(axis.values.join(", "))];
    table(page, &["swept key", "values"], sweep.axes.iter().map(row));
    let _ = writeln!(
        page,
        "<p>Every combination of these values is a point: the scenario with these settings. Source: {SCENARIO}, [sweep].</p>"
    );
}

/// What stands across, and what makes a line.
struct Layout {
    /// Which axis stands across.
    axis: usize,
    across: Across,
    /// Its key, with the unit of its values.
    label: String,
    /// What the places are, by the axis' values.
    places: Vec<(String, f64)>,
}

impl Layout {
    /// Numbers stand across before names, then the longest axis, then the first.
    fn of(axes: &[Axis]) -> Self {
        let rank = |at: &usize| {
            let axis = &axes[*at];
            (numbers(axis).is_some(), axis.values.len(), core::cmp::Reverse(*at))
        };
        let axis = (0..axes.len()).max_by_key(rank).unwrap_or(0);
        let Some(across) = axes.get(axis) else {
            let (across, places) = (Across::Names(Vec::new()), Vec::new());
            return Self { axis, across, label: String::new(), places };
        };
        let values = across.values.iter().cloned();
        match numbers(across) {
            Some((found, unit)) => {
                let places = values.zip(found.iter().copied()).collect();
                let unit = if unit.is_empty() { String::new() } else { format!(" ({unit})") };
                let label = format!("{}{unit}", across.key);
                Self { axis, across: Across::Numbers(found), label, places }
            }
            None => {
                let places = values.zip((0..).map(f64::from)).collect();
                let names = Across::Names(across.values.clone());
                Self { axis, across: names, label: across.key.clone(), places }
            }
        }
    }

    fn place(&self, row: &SweptRow) -> Option<f64> {
        let value = row.values.get(self.axis)?;
        let found = self.places.iter().find(|(of, _)| of == value);
        found.map(|(_, place)| *place)
    }

    /// What the row's line is: its values of the other axes.
    fn line(&self, axes: &[Axis], row: &SweptRow) -> String {
        let of = axes.iter().zip(&row.values).enumerate().filter(|(at, _)| *at != self.axis);
        let of = of.map(|(_, (axis, value))| format!("{} {value}", axis.key));
        of.collect::<Vec<_>>().join(", ")
    }
}

/// An axis' values as numbers with their unit, if all of them are and have the same one.
fn numbers(axis: &Axis) -> Option<(Vec<f64>, String)> {
    let split = |value: &String| {
        let (number, unit) = value.trim().split_once(' ').unwrap_or((value.trim(), ""));
        let number: f64 = number.parse().ok()?;
        number.is_finite().then(|| (number, unit.trim().to_owned()))
    };
    let all: Vec<(f64, String)> = axis.values.iter().map(split).collect::<Option<_>>()?;
    let (_, unit) = all.first()?.clone();
    let same = all.iter().all(|(_, other)| *other == unit);
    same.then(|| (all.into_iter().map(|(number, _)| number).collect(), unit))
}

/// A line, and the rows that it was made of.
type Drawn<'a> = (Line, Vec<&'a SweptRow>);

fn figures(page: &mut String, plots: &mut Plots, sweep: &Swept, layout: &Layout) {
    page.push_str(
        "<h2>Figures</h2>\n<p>A filled mark is the estimate at a point, the bar through it the 95 % interval, a level stroke \
         across it what theory expects. Marks without a bar are counts or extremes, have too few replicates, or an interval without an upper end. Marks of different lines \
         stand a little beside each other, so that bars do not cover each other. Lines between marks guide the eye only. Bars of \
         shares end at 0 and 1.</p>\n",
    );
    // What has no interval comes last: counts, which settings make what they are.
    let mut figures: Vec<&SweptFigure> = sweep.figures.iter().collect();
    let is_known = |row: &SweptRow| row.ci_low.is_some() || row.replicates_low.is_some();
    figures.sort_by_key(|figure| !figure.rows.iter().any(is_known));
    for figure in figures {
        heading(page, &figure.name, &figure.unit, about(sweep.engine, &figure.name));
        page.push_str("<figure>\n");
        let lines = lines(sweep, layout, figure);
        let whole: Vec<Line> = lines.iter().map(|(line, _)| line.clone()).collect();
        let frame = Frame {
            across: &layout.across,
            x: &layout.label,
            y: &figure.unit,
            heights: Frame::heights(&whole, &figure.unit),
            band: Band::Bars,
        };
        if lines.is_empty() {
            page.push_str("<p>Nothing was observed at any point.</p>\n");
        }
        for lines in lines.chunks(LINES_MAX) {
            page.push_str(&drawn(plots, sweep, figure, &frame, lines));
        }
        let name = escape(&figure.name);
        let _ = writeln!(
            page,
            "<figcaption>Source: {TABLE}, rows with metric {name}: columns value, {}, expected and those of the swept keys.</figcaption>",
            if figure.rows.iter().any(|row| row.replicates_low.is_some()) {
                "replicates_low and replicates_high (else ci_low and ci_high)"
            } else {
                "ci_low and ci_high"
            }
        );
        table_of(page, sweep, figure);
        page.push_str("</figure>\n");
    }
}

/// The lines of a figure, in the order of their first points; places in the order across.
fn lines<'a>(sweep: &Swept, layout: &Layout, figure: &'a SweptFigure) -> Vec<Drawn<'a>> {
    let mut found: Vec<(String, Vec<(Place, &SweptRow)>)> = Vec::new();
    for row in &figure.rows {
        let (Some(x), Some(y)) = (layout.place(row), row.value) else { continue };
        let place = Place { x, y, interval: row.widest(), expected: row.expected };
        let name = layout.line(&sweep.axes, row);
        match found.iter_mut().find(|(of, _)| *of == name) {
            Some((_, places)) => places.push((place, row)),
            None => found.push((name, vec![(place, row)])),
        }
    }
    let line = |(name, mut places): (String, Vec<(Place, &'a SweptRow)>)| {
        places.sort_by(|(a, _), (b, _)| a.x.total_cmp(&b.x));
        let (places, rows) = places.into_iter().unzip();
        (Line { name, places }, rows)
    };
    found.into_iter().map(line).collect()
}

fn drawn(
    plots: &mut Plots,
    sweep: &Swept,
    figure: &SweptFigure,
    frame: &Frame<'_>,
    lines: &[Drawn<'_>],
) -> String {
    let said = |row: &SweptRow| {
        let values: Vec<String> = sweep
            .axes
            .iter()
            .zip(&row.values)
            .map(|(axis, value)| format!("{} {value}", axis.key))
            .collect();
        let value = row.value.unwrap_or_default();
        let unit = unit_of(value, &figure.unit);
        let mut text = format!("At {}: {} {unit}", values.join(", "), number(value));
        if let Some(Interval { low, high }) = row.widest() {
            let _ = write!(text, ", 95 % interval {} to {}", number(low), number(high));
        }
        if let Some(expected) = row.expected {
            let _ = write!(text, ", theory expects {}", number(expected));
        }
        text + "."
    };
    let rows = || lines.iter().flat_map(|(_, rows)| rows.iter().copied());
    let text: Vec<String> = rows().map(said).collect();
    let lines: Vec<Line> = lines.iter().map(|(line, _)| line.clone()).collect();
    let drawing = chart::lines(&figure.name, text.join(" "), frame, &lines);
    let axes: Vec<String> = sweep.axes.iter().map(Axis::column).collect();
    let mut columns = vec!["point"];
    columns.extend(axes.iter().map(String::as_str));
    columns.extend(["unit", "value", "low", "high", "expected"]);
    let numbers = rows().map(|row| {
        let (low, high) = (row.widest().map(|i| i.low), row.widest().map(|i| i.high));
        let mut cells = vec![row.point.to_string()];
        cells.extend(row.values.iter().cloned());
        cells.push(figure.unit.clone());
        cells.extend([row.value, low, high, row.expected].map(cell));
        cells
    });
    plots.add(&figure.name, drawing, &columns, numbers.collect())
}

fn table_of(page: &mut String, sweep: &Swept, figure: &SweptFigure) {
    let mut columns = vec!["point"];
    columns.extend(sweep.axes.iter().map(|axis| axis.key.as_str()));
    columns.extend([
        "value",
        "ci_low to ci_high",
        "interval",
        "replicates_low to replicates_high",
        "samples",
        "expected",
    ]);
    let row = |row: &SweptRow| {
        let mut cells = vec![Cell::Head(row.point.to_string())];
        cells.extend(row.values.iter().cloned().map(Cell::Text));
        let value = row.value.map_or_else(|| absent(row.ci_low).to_owned(), number);
        cells.extend([
            Cell::Number(value),
            Cell::ends(row.ci_low, row.ci_high),
            Cell::Text(row.interval.clone()),
            Cell::ends(row.replicates_low, row.replicates_high),
            Cell::Number(row.samples.to_string()),
            Cell::of(row.expected),
        ]);
        cells
    };
    page.push_str("<details><summary>All its numbers</summary>\n");
    table(page, &columns, figure.rows.iter().map(row));
    page.push_str("</details>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(key: &str, values: &[&str]) -> Axis {
        let values = values.iter().map(|value| (*value).to_owned()).collect();
        Axis { key: key.to_owned(), values }
    }

    #[test]
    fn axis_is_of_numbers_if_all_values_have_one_unit() {
        let found = numbers(&axis("x", &["5 %", "10 %"]));
        assert_eq!(found, Some((vec![5.0, 10.0], "%".to_owned())));
        assert_eq!(numbers(&axis("x", &["1", "2.5"])), Some((vec![1.0, 2.5], String::new())));
        for values in [&["1 h", "1 d"][..], &["pairs", "none"], &["5", "5 %"], &["inf", "1"], &[]] {
            assert_eq!(numbers(&axis("x", values)), None, "{values:?}");
        }
    }

    #[test]
    fn longest_axis_of_numbers_stands_across() {
        let of = |axes: &[Axis]| Layout::of(axes).axis;
        let names = axis("a", &["x", "y", "z", "w"]);
        let (two, three) = (axis("b", &["1", "2"]), axis("c", &["1 s", "2 s", "3 s"]));
        assert_eq!(of(&[names.clone(), two.clone(), three.clone()]), 2);
        assert_eq!(of(&[two.clone(), axis("d", &["3", "4"])]), 0);
        assert_eq!(of(&[names, axis("e", &["p", "q"])]), 0);
        assert_eq!(Layout::of(&[three]).label, "c (s)");
    }
}
