//! One row for each run: a dot with its interval, and a diamond where theory says it should be.

use core::fmt::Write as _;

use super::{AXIS, Drawing, RIGHT, WIDTH, across, reachable, scale, ticks, within};
use crate::html::text::{escape, shortened};
use crate::stats::Interval;

/// Room for the names of runs, about 28 letters.
const NAMES: f64 = 200.0;
const NAME_LETTERS: usize = 28;
const ROW: f64 = 24.0;

/// A run's estimate of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::html) struct Row {
    pub(in crate::html) name: String,
    pub(in crate::html) value: f64,
    pub(in crate::html) interval: Option<Interval>,
    pub(in crate::html) expected: Option<f64>,
}

/// Draws rows over an axis of this unit.
pub(in crate::html) fn rows(title: &str, text: String, unit: &str, rows: &[Row]) -> Drawing {
    let bottom = 8.0 + rows.len() as f64 * ROW;
    let interval = |row: &Row| row.interval.map(|interval| within(interval, unit));
    let ends = |row: &Row| {
        let interval = interval(row).map(|i| [i.low, i.high]).into_iter().flatten();
        interval.chain([row.value]).chain(row.expected).collect::<Vec<f64>>()
    };
    let beyond = rows.iter().flat_map(ends).any(|value| value > 1.0);
    let ticks = ticks(rows.iter().flat_map(ends));
    let ticks = if beyond { ticks } else { reachable(ticks, unit) };
    let scale = scale(&ticks, (NAMES, WIDTH - RIGHT));
    let mut svg = String::new();
    across(&mut svg, &ticks, &scale, (4.0, bottom), unit);
    for (at, row) in rows.iter().enumerate() {
        let y = 8.0 + (at as f64 + 0.5) * ROW;
        let name = escape(&shortened(&row.name, NAME_LETTERS));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text><g class=\"c0\">",
            NAMES - 12.0,
            y + 4.0
        );
        if let Some(Interval { low, high }) = interval(row) {
            let (low, high) = (scale.at(low), scale.at(high));
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {:.1}v8M{high:.1} {:.1}v8\"/>",
                y - 4.0,
                y - 4.0
            );
        }
        let x = scale.at(row.value);
        let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/></g>");
        if let Some(expected) = row.expected {
            let x = scale.at(expected);
            let _ = writeln!(
                svg,
                "<path class=\"theory\" d=\"M{x:.1} {:.1}l7 7l-7 7l-7 -7z\"/>",
                y - 7.0
            );
        }
    }
    Drawing { title: title.to_owned(), text, height: bottom + AXIS, body: svg }
}
