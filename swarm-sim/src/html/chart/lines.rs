//! Lines over an axis, which differ by colour, by dashes and by the shape of their marks, so that they are told apart
//! without colour too.

use core::fmt::Write as _;

use super::{
    AXIS, Drawing, LETTER, RIGHT, Scale, WIDTH, across, axis_name, least_and_most, scale, ticks,
    within,
};
use crate::html::text::{escape, number, shortened};
use crate::stats::Interval;

/// Lines of a drawing at most: as many as have a colour, dashes and a mark of their own.
pub(in crate::html) const LINES_MAX: usize = 6;

const DASHES: [&str; LINES_MAX] = ["", "7 3", "2 3", "10 3 2 3", "14 4", "5 2 1 2 1 2"];

/// Corners of the marks, in units of their size; the first is a circle.
const CORNERS: [&[(f64, f64)]; LINES_MAX] = [
    &[],
    &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
    &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
    &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
    &[(0.0, 1.2), (1.1, -0.8), (-1.1, -0.8)],
    &[(-1.2, -0.3), (0.0, -1.2), (1.2, -0.3), (0.8, 1.1), (-0.8, 1.1)],
];

const LEFT: f64 = 70.0;
const TOP: f64 = 26.0;
const HEIGHT: f64 = 210.0;
const LEGEND_ROW: f64 = 18.0;
const LEGEND_LETTERS: usize = 95;
/// Letters of a name below the axis at most, and how far down as many reach at their slope.
const SLOPING_LETTERS: usize = 24;
const SLOPING: f64 = 84.0;
/// Pixels by which the marks of two lines stand apart at most where both have one.
const APART: f64 = 13.0;
/// The part of the room between two places that marks at one of them may take.
const CROWD: f64 = 0.6;
/// Marks on a line that has a band.
const MARKS: usize = 8;

/// What the places across are.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::html) enum Across {
    /// Numbers; these are marked where there is room for them, else round ones are.
    Numbers(Vec<f64>),
    /// Names, at 0, 1, 2 …
    Names(Vec<String>),
}

/// How intervals are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::html) enum Band {
    /// A bar at each place, which has a mark.
    Bars,
    /// A band along the line.
    Filled,
}

/// A place of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::html) struct Place {
    pub(in crate::html) x: f64,
    pub(in crate::html) y: f64,
    pub(in crate::html) interval: Option<Interval>,
    pub(in crate::html) expected: Option<f64>,
}

/// A line with its name.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::html) struct Line {
    pub(in crate::html) name: String,
    pub(in crate::html) places: Vec<Place>,
}

/// What lines are drawn over.
#[derive(Clone, Debug)]
pub(in crate::html) struct Frame<'a> {
    pub(in crate::html) across: &'a Across,
    /// What the numbers across are.
    pub(in crate::html) x: &'a str,
    /// Unit of the numbers along the left edge.
    pub(in crate::html) y: &'a str,
    /// The least and the most of them, in all drawings that are compared.
    pub(in crate::html) heights: (f64, f64),
    pub(in crate::html) band: Band,
}

impl Frame<'_> {
    /// The least and the most of lines in this unit, of their intervals and expectations.
    pub(in crate::html) fn heights(lines: &[Line], unit: &str) -> (f64, f64) {
        let ends = |place: &Place| {
            let interval = place
                .interval
                .map(|interval| within(interval, unit))
                .map(|i| [i.low, i.high])
                .into_iter()
                .flatten();
            interval.chain([place.y]).chain(place.expected).collect::<Vec<f64>>()
        };
        least_and_most(lines.iter().flat_map(|line| &line.places).flat_map(ends))
    }
}

/// Draws at most [`LINES_MAX`] lines.
pub(in crate::html) fn lines(
    title: &str,
    text: String,
    frame: &Frame<'_>,
    lines: &[Line],
) -> Drawing {
    let bottom = TOP + HEIGHT;
    let mut svg = String::new();
    let (x, axis) = frame_across(&mut svg, frame, lines, bottom);
    let y_ticks = ticks([frame.heights.0, frame.heights.1].into_iter());
    let y = scale(&y_ticks, (bottom, TOP));
    frame_up(&mut svg, &y_ticks, &y, frame.y);
    let apart = apart(lines, &x);
    let on = Canvas { x, y, frame, count: lines.len(), apart };
    for (at, line) in lines.iter().enumerate() {
        on.draw(&mut svg, at, line);
    }
    on.expected(&mut svg, lines);
    let height = legend(&mut svg, bottom + axis, lines);
    Drawing { title: title.to_owned(), text, height, body: svg }
}

/// The lower edge, and the room that it takes.
fn frame_across(svg: &mut String, frame: &Frame<'_>, lines: &[Line], bottom: f64) -> (Scale, f64) {
    let to = (LEFT, WIDTH - RIGHT);
    match frame.across {
        Across::Numbers(marked) => {
            let at = lines.iter().flat_map(|line| &line.places).map(|place| place.x);
            let (low, high) = least_and_most(at.chain(marked.iter().copied()));
            let padded = if frame.band == Band::Bars { (high - low) * 0.06 } else { 0.0 };
            let own = Scale { from: (low - padded, high + padded), to };
            let round = ticks([low, high].into_iter());
            let scale = if low < high { own } else { scale(&round, to) };
            let is_inside = |tick: &f64| scale.from.0 <= *tick && *tick <= scale.from.1;
            let inside: Vec<f64> = round.into_iter().filter(is_inside).collect();
            let marks = !marked.is_empty() && have_room(marked, &scale);
            let ticks = if marks { marked } else { &inside };
            across(svg, ticks, &scale, (TOP, bottom), frame.x);
            (scale, AXIS)
        }
        Across::Names(names) => {
            let scale = Scale { from: (-0.5, names.len().max(1) as f64 - 0.5), to };
            let room = (to.1 - to.0) / names.len().max(1) as f64;
            let widest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
            let is_sloping = widest as f64 * LETTER > room;
            for (at, name) in names.iter().enumerate() {
                let x = scale.at(at as f64);
                let y = bottom + 15.0;
                let turned = format!("text-anchor=\"end\" transform=\"rotate(-35 {x:.1} {y:.1})\"");
                let how = if is_sloping { turned } else { "text-anchor=\"middle\"".to_owned() };
                let name = escape(&shortened(name, SLOPING_LETTERS));
                let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" {how}>{name}</text>");
            }
            let down = if is_sloping { SLOPING } else { 0.0 };
            axis_name(svg, &scale, bottom + 31.0 + down, frame.x);
            (scale, AXIS + down)
        }
    }
}

/// Pixels between the marks of two lines at one place: as many as leave other places their room.
fn apart(lines: &[Line], x: &Scale) -> f64 {
    let mut at: Vec<f64> = lines.iter().flat_map(|l| &l.places).map(|p| x.at(p.x)).collect();
    at.sort_by(f64::total_cmp);
    let gaps = at.windows(2).map(|pair| pair[1] - pair[0]).filter(|gap| *gap > 0.5);
    let room = gaps.fold(f64::INFINITY, f64::min) * CROWD;
    APART.min(room / lines.len().max(1) as f64)
}

/// Whether numbers stand beside each other without touching.
fn have_room(numbers: &[f64], scale: &Scale) -> bool {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let half = |value: f64| number(value).chars().count() as f64 * LETTER / 2.0 + 4.0;
    sorted
        .windows(2)
        .all(|pair| scale.at(pair[0]) + half(pair[0]) < scale.at(pair[1]) - half(pair[1]))
}

/// The left edge.
fn frame_up(svg: &mut String, ticks: &[f64], y: &Scale, unit: &str) {
    let _ = writeln!(svg, "<text x=\"6\" y=\"13\">{}</text>", escape(unit));
    for tick in ticks {
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
}

/// A mark's outline.
fn mark(shape: usize, x: f64, y: f64, size: f64) -> String {
    let corners = CORNERS[shape % CORNERS.len()];
    if corners.is_empty() {
        let (left, wide) = (x - size, 2.0 * size);
        return format!(
            "M{left:.1} {y:.1}a{size} {size} 0 1 0 {wide} 0a{size} {size} 0 1 0 -{wide} 0z"
        );
    }
    let corner =
        |(right, down): &(f64, f64)| format!("{:.1} {:.1}", x + right * size, y + down * size);
    format!("M{}z", corners.iter().map(corner).collect::<Vec<_>>().join("L"))
}

const MARK: f64 = 4.0;
/// Half of a stroke that says what theory expects: wider than a mark, so that both are seen where theory is right.
const STROKE: f64 = 9.0;

/// Where lines are drawn.
struct Canvas<'a> {
    x: Scale,
    y: Scale,
    frame: &'a Frame<'a>,
    count: usize,
    apart: f64,
}

impl Canvas<'_> {
    fn interval(&self, place: &Place) -> Option<Interval> {
        place.interval.map(|interval| within(interval, self.frame.y))
    }

    fn draw(&self, svg: &mut String, at: usize, line: &Line) {
        let _ = writeln!(svg, "<g class=\"c{}\">", at % LINES_MAX);
        let shift = self.shift(at);
        let point = |x: f64, y: f64| format!("{:.1},{:.1}", self.x.at(x) + shift, self.y.at(y));
        if self.frame.band == Band::Filled {
            let band =
                || line.places.iter().filter_map(|place| Some((place.x, self.interval(place)?)));
            let there = band().map(|(x, interval)| point(x, interval.high));
            let back = band().rev().map(|(x, interval)| point(x, interval.low));
            let band: Vec<String> = there.chain(back).collect();
            let _ = writeln!(svg, "<polygon class=\"band\" points=\"{}\"/>", band.join(" "));
        }
        let drawn: Vec<String> = line.places.iter().map(|place| point(place.x, place.y)).collect();
        let dashes = dashes(at);
        let _ = writeln!(svg, "<polyline class=\"mark\"{dashes} points=\"{}\"/>", drawn.join(" "));
        for place in self.marked(at, line) {
            self.mark(svg, at, place, shift);
        }
        svg.push_str("</g>\n");
    }

    /// Pixels by which a line's marks stand beside their place.
    fn shift(&self, at: usize) -> f64 {
        match self.frame.band {
            Band::Bars => (at as f64 - (self.count as f64 - 1.0) / 2.0) * self.apart,
            Band::Filled => 0.0,
        }
    }

    /// A level stroke over the mark of each place of which theory says something; one over the marks of all lines beside
    /// each other for which it says the same.
    fn expected(&self, svg: &mut String, lines: &[Line]) {
        let half = if self.count == 1 { STROKE } else { (self.apart * 0.5).min(STROKE) };
        let of = |(at, line): (usize, &Line)| {
            let places = line.places.iter();
            let known = places.filter_map(move |place| Some((place.x, at, place.expected?)));
            known.collect::<Vec<_>>()
        };
        let mut all: Vec<(f64, usize, f64)> = lines.iter().enumerate().flat_map(of).collect();
        all.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for same in all.chunk_by(|a, b| a.0 == b.0 && a.2 == b.2 && a.1 + 1 == b.1) {
            let (Some((x, first, value)), Some((_, last, _))) = (same.first(), same.last()) else {
                continue;
            };
            let left = self.x.at(*x) + self.shift(*first) - half;
            let right = self.x.at(*x) + self.shift(*last) + half;
            let y = self.y.at(*value);
            let _ = writeln!(svg, "<path class=\"expected\" d=\"M{left:.1} {y:.1}H{right:.1}\"/>");
        }
    }

    /// The places that get a mark: all where bars are drawn, else a few if there are other lines, each line's elsewhere.
    fn marked<'a>(&self, at: usize, line: &'a Line) -> Vec<&'a Place> {
        match self.frame.band {
            Band::Bars => line.places.iter().collect(),
            Band::Filled if self.count == 1 => Vec::new(),
            Band::Filled => {
                let every = (line.places.len() / MARKS).max(1);
                line.places.iter().skip(at * every / self.count).step_by(every).collect()
            }
        }
    }

    fn mark(&self, svg: &mut String, at: usize, place: &Place, shift: f64) {
        let x = self.x.at(place.x) + shift;
        if self.frame.band == Band::Bars
            && let Some(Interval { low, high }) = self.interval(place)
        {
            let (low, high) = (self.y.at(low), self.y.at(high));
            let left = x - 3.0;
            let _ = writeln!(
                svg,
                "<path class=\"mark\" d=\"M{x:.1} {low:.1}V{high:.1}M{left:.1} {low:.1}h6M{left:.1} {high:.1}h6\"/>"
            );
        }
        let shape = mark(at, x, self.y.at(place.y), MARK);
        let _ = writeln!(svg, "<path class=\"dot\" d=\"{shape}\"/>");
    }
}

fn dashes(at: usize) -> String {
    match DASHES[at % LINES_MAX] {
        "" => String::new(),
        dashes => format!(" stroke-dasharray=\"{dashes}\""),
    }
}

/// What the lines are, below the axis; gives where the drawing ends.
fn legend(svg: &mut String, top: f64, lines: &[Line]) -> f64 {
    let mut y = top + 8.0;
    if lines.len() > 1 {
        for (at, line) in lines.iter().enumerate() {
            let name = escape(&shortened(&line.name, LEGEND_LETTERS));
            let _ = writeln!(
                svg,
                "<g class=\"c{at}\"><path class=\"mark\"{} d=\"M{LEFT} {y:.1}h44\"/><path class=\"dot\" d=\"{}\"/></g>\
                 <text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
                dashes(at),
                mark(at, LEFT + 22.0, y, MARK),
                LEFT + 54.0,
                y + 4.0
            );
            y += LEGEND_ROW;
        }
    }
    if lines.iter().flat_map(|line| &line.places).any(|place| place.expected.is_some()) {
        let _ = writeln!(
            svg,
            "<path class=\"expected\" d=\"M{:.1} {y:.1}h{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">what theory expects</text>",
            LEFT + 22.0 - STROKE,
            2.0 * STROKE,
            LEFT + 54.0,
            y + 4.0
        );
        y += LEGEND_ROW;
    }
    y
}
