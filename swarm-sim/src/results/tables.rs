//! Tables of a run: series by step, and shares of clients over time.

use std::collections::BTreeMap;
use std::path::Path;

use super::csv::{cells, number};
use super::{Figure, ResultsError, invalid};
use crate::stats::Interval;

/// The first columns of a table that is a series.
const SERIES_COLUMNS: [&str; 2] = ["replicate", "step"];

/// The file with the figures, one a line.
const METRICS: &str = "metrics.csv";

/// The file with shares of clients over time.
pub const CURVES: &str = "curves.csv";

const CURVE_COLUMNS: &str = "curve,time,unit,share,ci_low,ci_high";

/// A table over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The file's name.
    pub file: String,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// The rows; an empty cell is a value that does not exist.
    pub rows: Vec<Vec<Option<f64>>>,
}

/// The share of clients to whom something has happened, over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What happened.
    pub name: String,
    /// Unit of time.
    pub unit: String,
    /// Its places, in order of time.
    pub places: Vec<CurvePlace>,
}

/// One place of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePlace {
    /// The time.
    pub time: f64,
    /// Share of clients to whom it has happened by then.
    pub share: f64,
    /// The 95 % band, where there is one.
    pub band: Option<Interval>,
}

/// Figures in the order of `metrics.csv`, which is the engine's; those that are not there by name behind them.
pub(super) fn in_order(mut figures: Vec<Figure>, files: &BTreeMap<String, String>) -> Vec<Figure> {
    let table = files.get(METRICS).map(String::as_str).unwrap_or_default();
    let names: Vec<&str> = table.lines().filter_map(|line| line.split(',').next()).collect();
    let place = |figure: &Figure| names.iter().position(|name| *name == figure.name);
    figures.sort_by_key(|figure| place(figure).unwrap_or(usize::MAX));
    figures
}

/// The series among files.
pub(super) fn series(
    folder: &Path,
    files: &BTreeMap<String, String>,
) -> Result<Vec<Series>, ResultsError> {
    let mut found = Vec::new();
    for (file, text) in files {
        let mut lines = text.lines();
        let columns = cells(lines.next().unwrap_or_default()).unwrap_or_default();
        if !file.ends_with(".csv") || !columns.iter().take(2).eq(SERIES_COLUMNS) {
            continue;
        }
        let mut rows = Vec::new();
        for (line, text) in lines.enumerate() {
            let row = numbers(text).filter(|row| row.len() == columns.len());
            let row = row.filter(|row| row.iter().take(2).all(Option::is_some));
            let what = || {
                let many = columns.len();
                format!("line {}: expected {many} numbers, with replicate and step", line + 2)
            };
            rows.push(row.ok_or_else(|| invalid(&folder.join(file), what()))?);
        }
        found.push(Series { file: file.clone(), columns, rows });
    }
    Ok(found)
}

fn numbers(line: &str) -> Option<Vec<Option<f64>>> {
    cells(line)?.iter().map(|cell| number(cell)).collect()
}

/// The curves among files.
pub(super) fn curves(
    folder: &Path,
    files: &BTreeMap<String, String>,
) -> Result<Vec<Curve>, ResultsError> {
    let Some(text) = files.get(CURVES) else { return Ok(Vec::new()) };
    let wrong = |line: usize, expected: &str| {
        invalid(&folder.join(CURVES), format!("line {line}: expected {expected}"))
    };
    let mut lines = text.lines();
    if lines.next() != Some(CURVE_COLUMNS) {
        return Err(wrong(1, CURVE_COLUMNS));
    }
    let mut found: Vec<Curve> = Vec::new();
    for (line, text) in lines.enumerate() {
        let row = curve_row(text);
        let (name, unit, place) =
            row.ok_or_else(|| wrong(line + 2, "a curve, a time, its unit, a share and its ends"))?;
        match found.last_mut() {
            Some(curve) if (&curve.name, &curve.unit) == (&name, &unit) => curve.places.push(place),
            _ => found.push(Curve { name, unit, places: vec![place] }),
        }
    }
    Ok(found)
}

fn curve_row(line: &str) -> Option<(String, String, CurvePlace)> {
    let cells = cells(line)?;
    let [name, time, unit, share, low, high] = cells.as_slice() else { return None };
    let ends = number(low)?.zip(number(high)?);
    let band = ends.map(|(low, high)| Interval { low, high });
    let place = CurvePlace { time: number(time)??, share: number(share)??, band };
    Some((name.clone(), unit.clone(), place))
}
