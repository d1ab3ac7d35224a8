//! Drawings as SVG: what they have in common, and their colours, which fit a light and a dark screen.

mod lines;
mod rows;

use core::fmt::Write as _;

use super::text::{escape, number};
use crate::stats::Interval;

pub(super) use lines::{Across, Band, Frame, LINES_MAX, Line, Place, lines};
pub(super) use rows::{Row, rows};

const WIDTH: f64 = 720.0;
const RIGHT: f64 = 24.0;
/// Room for the numbers and the name of the axis below.
const AXIS: f64 = 40.0;
/// About how wide a letter is.
const LETTER: f64 = 6.6;

/// Names of colours with what they are on white, and on black.
const COLOURS: [(&str, &str, &str); 10] = [
    ("ink", "#1b1b1b", "#e8e8e8"),
    ("paper", "#ffffff", "#161616"),
    ("soft", "#d8d8d8", "#444444"),
    ("theory", "#a63c00", "#ff9d5c"),
    ("c0", "#00598c", "#6fc3f5"),
    ("c1", "#b0480f", "#ff9d5c"),
    ("c2", "#2d6a1e", "#8fd47a"),
    ("c3", "#7a3e9d", "#cfa0f0"),
    ("c4", "#7a6000", "#e3c34d"),
    ("c5", "#b0124f", "#ff7fa8"),
];

/// How the parts of a drawing look. Classes `c0` to `c5` set the colour of a line with all that belongs to it.
const RULES: &str = "\
svg text{fill:var(--ink);font-family:system-ui,sans-serif;font-size:12px}
.grid{stroke:var(--soft)}.mark{stroke:currentColor;stroke-width:2;fill:none}.dot{fill:currentColor}
.band{fill:currentColor;fill-opacity:.18}.expected{fill:none;stroke:var(--ink);stroke-width:2.5}
.theory{fill:none;stroke:var(--theory);stroke-width:2}
.c0{color:var(--c0)}.c1{color:var(--c1)}.c2{color:var(--c2)}.c3{color:var(--c3)}.c4{color:var(--c4)}.c5{color:var(--c5)}";

/// The style of drawings in a page.
pub(super) fn style() -> String {
    let set = |dark: bool| {
        let one = |(name, on_white, on_black): (&str, &str, &str)| {
            format!("--{name}:{}", if dark { on_black } else { on_white })
        };
        COLOURS.map(one).join(";")
    };
    format!(
        ":root{{color-scheme:light dark;{}}}\n@media (prefers-color-scheme:dark){{:root{{{}}}}}\n{RULES}",
        set(false),
        set(true)
    )
}

/// A drawing, and what is read aloud in its place.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Drawing {
    pub(super) title: String,
    pub(super) text: String,
    height: f64,
    body: String,
}

fn drawn(drawing: &Drawing, id: &str, attributes: &str, style: &str) -> String {
    let Drawing { title, text, height, body } = drawing;
    format!(
        "<svg {attributes}viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\">\n\
         <title id=\"{id}-t\">{}</title>\n<desc id=\"{id}-d\">{}</desc>\n{style}{body}</svg>\n",
        escape(title),
        escape(text)
    )
}

/// As a part of a page, which has the style. The id must be unique there.
pub(super) fn inline(drawing: &Drawing, id: &str) -> String {
    drawn(drawing, id, "", "")
}

/// As a file. Programs that draw SVG often know no variables, so colours stand in it.
pub(super) fn alone(drawing: &Drawing, id: &str) -> String {
    let mut rules = RULES.to_owned();
    for (name, on_white, _) in COLOURS {
        rules = rules.replace(&format!("var(--{name})"), on_white);
    }
    let height = drawing.height;
    let attributes =
        format!("xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" ");
    let style = format!(
        "<style>\n{rules}\n</style>\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    drawn(drawing, id, &attributes, &style)
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

fn least_and_most(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
}

/// The part of an interval that is drawn: a share lies between 0 and 1, whatever Student's interval says.
pub(super) fn within(interval: Interval, unit: &str) -> Interval {
    if unit != "share" {
        return interval;
    }
    Interval { low: interval.low.clamp(0.0, 1.0), high: interval.high.clamp(0.0, 1.0) }
}

/// Of a share's axis, the part that shares can reach.
fn reachable(mut ticks: Vec<f64>, unit: &str) -> Vec<f64> {
    let inside = |tick: &f64| (0.0..=1.0).contains(tick);
    if ["share", "probability"].contains(&unit) && ticks.iter().filter(|t| inside(t)).count() > 1 {
        ticks.retain(inside);
    }
    ticks
}

/// Round values that enclose all others, about five of them, and at least two.
fn ticks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let (low, high) = least_and_most(values);
    if !(low.is_finite() && high.is_finite()) {
        return vec![0.0, 1.0];
    }
    let span = high - low;
    // All the same: some room on both sides; nothing but zeros: some above.
    let (low, span) = if span > low.abs() * 1e-9 {
        (low, span)
    } else if low == 0.0 {
        (0.0, 1.0)
    } else {
        let room = low.abs() * 0.1;
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

/// Lines and numbers along the lower edge.
fn across(svg: &mut String, ticks: &[f64], scale: &Scale, (top, bottom): (f64, f64), axis: &str) {
    for tick in ticks {
        let (x, label) = (scale.at(*tick), number(*tick));
        // A long number at the end of the axis would leave the drawing.
        let is_cut = x + label.len() as f64 * LETTER / 2.0 > WIDTH;
        let (at, anchor) = if is_cut { (WIDTH - 2.0, "end") } else { (x, "middle") };
        let _ = writeln!(
            svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top:.1}\" y2=\"{bottom:.1}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{label}</text>",
            bottom + 15.0,
        );
    }
    axis_name(svg, scale, bottom + 31.0, axis);
}

fn axis_name(svg: &mut String, scale: &Scale, y: f64, axis: &str) {
    let middle = (scale.to.0 + scale.to.1) / 2.0;
    let _ = writeln!(
        svg,
        "<text x=\"{middle:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{}</text>",
        escape(axis)
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_enclose_all() {
        for (values, expected) in [
            (vec![0.0, 1.0], vec![0.0, 0.5, 1.0]),
            (vec![-3.0, 41.0], vec![-20.0, 0.0, 20.0, 40.0, 60.0]),
            (vec![0.0, 0.0], vec![0.0, 0.5, 1.0]),
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
    fn axis_of_a_share_ends_where_shares_end() {
        let all = ticks([1.0, 1.0].into_iter());
        assert!(all.iter().any(|tick| *tick > 1.0));
        assert_eq!(reachable(all.clone(), "share").last(), Some(&1.0));
        assert_eq!(reachable(all.clone(), "ms"), all);
        // An estimate beyond one is still drawn.
        assert_eq!(reachable(vec![1.0, 1.5, 2.0], "share"), [1.0, 1.5, 2.0]);
    }

    #[test]
    fn file_of_its_own_has_every_colour_in_it() {
        let drawing = Drawing { height: 10.0, ..Drawing::default() };
        let file = alone(&drawing, "x");
        assert!(file.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"720\""));
        assert!(!file.contains("var(") && file.contains(".c5{color:#b0124f}"), "{file}");
        assert!(!inline(&drawing, "x").contains("style"));
    }
}
