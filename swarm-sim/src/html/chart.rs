//! Drawings as SVG: what they have in common, and their colours, which fit a light and a dark screen.

mod lines;
mod rows;

use core::fmt::Write as _;

use super::text::{escape, number};
use crate::output::atomic::MADE;
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
    let attributes = format!(
        "xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" data-made-by=\"{MADE}\" "
    );
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
            (vec![0.0, 4.0], vec![0.0, 1.0, 2.0, 3.0, 4.0]),
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

    fn between(low: f64, high: f64) -> Option<Interval> {
        Some(Interval { low, high })
    }

    #[track_caller]
    fn has(drawing: &Drawing, parts: &[&str]) {
        for part in parts {
            assert!(drawing.body.contains(part), "no {part} in {}", drawing.body);
        }
    }

    #[test]
    fn row_stands_where_its_numbers_do() {
        let row = Row {
            name: "a".to_owned(),
            value: 0.25,
            // Student's interval may leave what shares can be.
            interval: between(-0.5, 0.5),
            expected: Some(0.4),
        };
        let drawing = rows("t", String::new(), "share", &[row]);
        // Ticks at 0, 0.2, 0.4, 0.6 from 200 to 696: a tenth is 82.67.
        has(&drawing, &["cx=\"406.7\" cy=\"20.0\"", "d=\"M200.0 20.0H613.3M", "M530.7 13.0l7 7"]);
        assert_eq!((drawing.body.matches("class=\"grid\"").count(), drawing.height), (4, 72.0));
        let sure = Row { name: "b".to_owned(), value: 1.0, interval: None, expected: None };
        // Ticks from 0.9 on, and none beyond what shares can be.
        has(&rows("t", String::new(), "share", &[sure]), &["cx=\"696.0\" cy=\"20.0\""]);
    }

    fn line(name: &str, places: &[(f64, f64)]) -> Line {
        let place = |(x, y): &(f64, f64)| Place {
            x: *x,
            y: *y,
            interval: between(y - 0.25, y + 0.25),
            expected: None,
        };
        Line { name: name.to_owned(), places: places.iter().map(place).collect() }
    }

    #[test]
    fn lines_rise_with_their_numbers_and_stand_beside_each_other() {
        let across = Across::Numbers(vec![0.0, 10.0]);
        let both = [line("a", &[(0.0, 0.0), (10.0, 1.0)]), line("b", &[(0.0, 0.5), (10.0, 0.5)])];
        let heights = Frame::heights(&both, "share");
        // Intervals beyond 0 and 1 are cut.
        assert_eq!(heights, (0.0, 1.0));
        assert_eq!(Frame::heights(&both, "ms"), (-0.25, 1.25));
        let frame = Frame { across: &across, x: "days", y: "share", heights, band: Band::Bars };
        let drawing = lines("t", String::new(), &frame, &both);
        // From 70 to 696 with 6 % of room, from 236 up to 26, and each 6.5 beside its place.
        has(
            &drawing,
            &[
                "points=\"97.0,236.0 656.0,26.0\"",
                "points=\"110.0,131.0 669.0,131.0\"",
                "d=\"M97.0 236.0V183.5M94.0 236.0h6M94.0 183.5h6\"",
            ],
        );
        // Both marks at both places, and in the legend.
        assert_eq!(drawing.body.matches("class=\"dot\"").count(), 6);
        assert!(!drawing.body.contains("hollow"));
        let mut right = both.clone();
        right[0].places[0].expected = Some(2.0);
        assert_eq!(Frame::heights(&right, "share"), (0.0, 2.0));
        assert!(lines("t", String::new(), &frame, &right).body.contains("what theory expects"));
        assert!(!lines("t", String::new(), &frame, &both[..1]).body.contains("h44"));
        // Numbers that would touch give way to round ones.
        let across = Across::Numbers(vec![0.0, 0.1, 10.0]);
        let drawing = lines("t", String::new(), &Frame { across: &across, ..frame }, &both);
        assert!(drawing.body.contains(">5<") && !drawing.body.contains(">0.1<"));
    }

    #[test]
    fn band_goes_there_along_its_upper_end_and_back_along_its_lower() {
        let across = Across::Numbers(Vec::new());
        let one = [line("a", &[(0.0, 0.5), (10.0, 0.5)])];
        let frame =
            Frame { across: &across, x: "d", y: "ms", heights: (0.0, 1.0), band: Band::Filled };
        let drawing = lines("t", String::new(), &frame, &one);
        let band = "points=\"70.0,78.5 696.0,78.5 696.0,183.5 70.0,183.5\"";
        has(&drawing, &[band, "<text x=\"383.0\" y=\"251.0\" text-anchor=\"middle\">5</text>"]);
        assert!(!drawing.body.contains("dot"));
        // Two lines of 17 places have marks at every second one: nine of the first, eight of the other between them.
        let places: Vec<(f64, f64)> = (0..17).map(|at| (f64::from(at), 0.5)).collect();
        let drawing = lines("t", String::new(), &frame, &[line("a", &places), line("b", &places)]);
        assert_eq!(drawing.body.matches("class=\"dot\"").count(), 9 + 8 + 2);
    }

    #[test]
    fn names_stand_below_their_places_and_slope_where_they_are_long() {
        let named = |names: [&str; 2]| {
            let across = Across::Names(names.map(str::to_owned).to_vec());
            let lines_of = [line("a", &[(0.0, 0.5), (1.0, 0.5)])];
            let frame =
                Frame { across: &across, x: "", y: "ms", heights: (0.0, 1.0), band: Band::Bars };
            lines("t", String::new(), &frame, &lines_of)
        };
        // In the middle of each half of what is from 70 to 696.
        let short = named(["one", "two"]);
        has(&short, &["x=\"226.5\" y=\"251.0\" text-anchor=\"middle\">one<", "x=\"539.5\""]);
        has(&short, &["points=\"226.5,131.0 539.5,131.0\""]);
        // 313 pixels have room for 47 letters.
        assert!(!named(["one", &"w".repeat(47)]).body.contains("rotate"));
        has(&named(["one", &"w".repeat(48)]), &["rotate(-35 226.5 251.0)"]);
    }

    #[test]
    fn long_number_at_the_end_of_an_axis_stays_in_the_drawing() {
        let mut svg = String::new();
        let scale = Scale { from: (0.0, 1.0), to: (70.0, 718.0) };
        across(&mut svg, &[0.0, 1.0], &scale, (0.0, 10.0), "");
        assert!(svg.contains("<text x=\"70.0\" y=\"25.0\" text-anchor=\"middle\">0<"), "{svg}");
        assert!(svg.contains("<text x=\"718.0\" y=\"25.0\" text-anchor=\"end\">1<"), "{svg}");
    }
}
