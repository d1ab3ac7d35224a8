//! A comparison, as it is printed.

use core::fmt::Write as _;

use super::{Comparison, Difference, How};
use crate::output::counted;

/// One JSON object.
pub fn to_json(comparison: &Comparison) -> String {
    format!("{}\n", serde_json::to_value(comparison).unwrap_or_default())
}

/// A table for people.
pub fn to_text(comparison: &Comparison) -> String {
    let Comparison { a, b, settings, figures, only_in_one, .. } = comparison;
    let mut text = format!("a: {a}\nb: {b}\n");
    for setting in settings {
        let _ = writeln!(text, "  {setting}");
    }
    let width = figures.iter().map(|figure| figure.name.len()).max().unwrap_or(0);
    let judged = figures.iter().filter(|figure| figure.p.is_some()).count();
    let judged = counted(judged as u64, "figure");
    let _ = writeln!(
        text,
        "\nVerdicts by Holm's procedure over {judged}: at most 5 in 100 such tables call any equal figure different."
    );
    let _ = writeln!(
        text,
        "\n{:width$}  verdict     b - a [95 % interval of this figure alone]",
        "figure"
    );
    let number = |value: Option<f64>| value.map_or("nothing".to_owned(), |v| format!("{v:.6}"));
    for figure in figures {
        let verdict = match figure.differs {
            Some(true) => "DIFFERS",
            Some(false) => "not apart",
            None => "not judged",
        };
        let Difference { name, unit, a, b, .. } = figure;
        let _ = write!(text, "{name:width$}  {verdict:10}  {} {unit}", number(figure.difference));
        if let Some(p) = figure.p {
            let how = match figure.interval {
                How::Paired => "paired",
                How::Welch => "over replicates",
                How::FromIntervals => "from both intervals",
                How::None => "",
            };
            let (low, high) = (number(figure.ci_low), number(figure.ci_high));
            let _ = write!(text, " [{low}, {high}] {how}, p {p:.2e}");
        }
        let _ = writeln!(text, "; a {}, b {}", number(*a), number(*b));
    }
    if !only_in_one.is_empty() {
        let _ = writeln!(text, "in one of them only: {}", only_in_one.join(", "));
    }
    text
}
