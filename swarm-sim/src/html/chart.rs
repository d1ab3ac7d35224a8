//! Drawings as SVG. Colours come from the page's style, so that they fit a light and a dark screen.

use core::fmt::Write as _;

use super::{escape, number};
use crate::stats::Interval;

const WIDTH: f64 = 720.0;
/// Room for the names of runs, about 28 letters.
const NAMES: f64 = 200.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 24.0;
const ROW: f64 = 24.0;
const HEIGHT: f64 = 200.0;
const AXIS: f64 = 40.0;
const NAME_LETTERS: usize = 28;

/// A run's estimate of a figure.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Row {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    pub(super) expected: Option<f64>,
}

/// A place of a curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) interval: Option<Interval>,
}

/// What stands on a drawing, and what is read aloud in its place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels<'a> {
    /// Unique in the page.
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) text: String,
    /// What the numbers along the axis are.
    pub(super) axis: &'a str,
}

/// Values to pixels.
#[derive(Clone, Copy, Debug)]
struct Scale {
    from: (f64, f64),
    to: (f64, f64),
}

impl Scale {
    fn at(&self, value: f64) -> f64 {
        let ((low, high), (start, end)) = (self.from, self.to);
        start + (value - low) / (high - low) * (end - start)
    }
}

/// Round values that enclose all others, about five of them, and at least two.
fn ticks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if !(low.is_finite() && high.is_finite()) {
        return vec![0.0, 1.0];
    }
    let span = high - low;
    // All the same: some room on both sides.
    let (low, span) = if span > low.abs() * 1e-9 {
        (low, span)
    } else {
        let room = if low == 0.0 { 1.0 } else { low.abs() * 0.1 };
        (low - room, 2.0 * room)
    };
    let rough = span / 4.0;
    let power = libm::pow(10.0, libm::floor(libm::log10(rough)));
    let step = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
    let step = step.into_iter().find(|step| *step >= rough).unwrap_or(rough);
    let (first, last) = (libm::floor(low / step), libm::ceil((low + span) / step));
    // At most seven: the span is at most four steps.
    (0..8)
        .map(|at| first + f64::from(at))
        .take_while(|at| *at <= last)
        .map(|at| at * step)
        .collect()
}

fn scale(ticks: &[f64], to: (f64, f64)) -> Scale {
    let ends = (ticks.first().copied().unwrap_or(0.0), ticks.last().copied().unwrap_or(1.0));
    Scale { from: ends, to }
}

fn open(labels: &Labels<'_>, height: f64) -> String {
    let (id, title, text) = (&labels.id, escape(labels.title), escape(&labels.text));
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{title}</title>\n<desc id=\"{id}-d\">{text}</desc>\n"
    )
}

/// Lines and numbers along the lower edge.
fn across(svg: &mut String, ticks: &[f64], scale: &Scale, bottom: f64, axis: &str) {
    for tick in ticks {
        let x = scale.at(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"4\" y2=\"{bottom:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 15.0,
            number(*tick)
        );
    }
    let (middle, below) = ((scale.to.0 + scale.to.1) / 2.0, bottom + 31.0);
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{}</text>",
        escape(axis)
    );
}

/// The start of a long name.
fn shortened(name: &str) -> String {
    if name.chars().count() <= NAME_LETTERS {
        return name.to_owned();
    }
    let start: String = name.chars().take(NAME_LETTERS - 1).collect();
    start + "…"
}

/// One row for each run: a dot with its interval, and a diamond where theory says it should be.
pub(super) fn rows(labels: &Labels<'_>, rows: &[Row]) -> String {
    let bottom = 8.0 + rows.len() as f64 * ROW;
    let ends = |row: &Row| {
        let interval = row.interval.map(|i| [i.low, i.high]).into_iter().flatten();
        interval.chain([row.value]).chain(row.expected).collect::<Vec<f64>>()
    };
    let ticks = ticks(rows.iter().flat_map(ends));
    let scale = scale(&ticks, (NAMES, WIDTH - RIGHT));
    let mut svg = open(labels, bottom + AXIS);
    across(&mut svg, &ticks, &scale, bottom, labels.axis);
    for (at, row) in rows.iter().enumerate() {
        let y = 8.0 + (at as f64 + 0.5) * ROW;
        let name = escape(&shortened(&row.name));
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            NAMES - 12.0,
            y + 4.0
        );
        if let Some(Interval { low, high }) = row.interval {
            let (low, high) = (scale.at(low), scale.at(high));
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{low:.1} {y:.1}H{high:.1}M{low:.1} {:.1}v8M{high:.1} {:.1}v8\"/>",
                y - 4.0,
                y - 4.0
            );
        }
        let x = scale.at(row.value);
        let _ = writeln!(svg, "<circle class=\"dot\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        if let Some(expected) = row.expected {
            let x = scale.at(expected);
            let _ = writeln!(
                svg,
                "<path class=\"theory\" d=\"M{x:.1} {:.1}l7 7l-7 7l-7 -7z\"/>",
                y - 7.0
            );
        }
    }
    svg + "</svg>\n"
}

/// A line in the band of its interval.
pub(super) fn curve(labels: &Labels<'_>, places: &[Place]) -> String {
    let bottom = HEIGHT - AXIS;
    let ends = |place: &Place| {
        let interval = place.interval.map(|i| [i.low, i.high]).into_iter().flatten();
        interval.chain([place.y]).collect::<Vec<f64>>()
    };
    let x_ticks = ticks(places.iter().map(|place| place.x));
    let y_ticks = ticks(places.iter().flat_map(ends));
    let x = scale(&x_ticks, (LEFT, WIDTH - RIGHT));
    let y = scale(&y_ticks, (bottom, 8.0));
    let mut svg = open(labels, HEIGHT);
    across(&mut svg, &x_ticks, &x, bottom, labels.axis);
    for tick in &y_ticks {
        let at = y.at(*tick);
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            LEFT - 8.0,
            at + 4.0,
            number(*tick)
        );
    }
    let point = |at: f64, value: f64| format!("{:.1},{:.1}", x.at(at), y.at(value));
    let band = || places.iter().filter_map(|place| Some((place.x, place.interval?)));
    let there = band().map(|(at, interval)| point(at, interval.high));
    let back = band().rev().map(|(at, interval)| point(at, interval.low));
    let band: Vec<String> = there.chain(back).collect();
    let line: Vec<String> = places.iter().map(|place| point(place.x, place.y)).collect();
    let _ = writeln!(svg, "<polygon class=\"band\" points=\"{}\"/>", band.join(" "));
    let _ = writeln!(svg, "<polyline class=\"mark\" points=\"{}\"/>", line.join(" "));
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_all() {
        for (values, expected) in [
            (vec![0.0, 1.0], vec![0.0, 0.5, 1.0]),
            (vec![-3.0, 41.0], vec![-20.0, 0.0, 20.0, 40.0, 60.0]),
            (vec![0.0, 0.0], vec![-1.0, -0.5, 0.0, 0.5, 1.0]),
            (vec![], vec![0.0, 1.0]),
        ] {
            assert_eq!(ticks(values.iter().copied()), expected, "{values:?}");
        }
        for values in [[1e-12, 3e-12], [5.0, 5.0], [-7.3, -7.2], [99.9, 1e7], [6e15, 6e15]] {
            let found = ticks(values.into_iter());
            let (first, last) = (found[0], found[found.len() - 1]);
            assert!(first <= values[0] && values[1] <= last && first < last, "{found:?}");
        }
    }

    #[test]
    fn long_names_are_shortened_between_letters() {
        assert_eq!(shortened("short"), "short");
        let long = shortened(&"ñ".repeat(40));
        assert_eq!(long, "ñ".repeat(27) + "…");
    }
}
