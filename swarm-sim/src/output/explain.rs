//! A scenario's explanation, as it is printed.

use core::fmt::Write as _;

use super::counted;
use crate::explain::Explanation;

/// One JSON object.
pub fn to_json(explanation: &Explanation) -> String {
    format!("{}\n", serde_json::to_value(explanation).unwrap_or_default())
}

/// For people.
pub fn to_text(explanation: &Explanation) -> String {
    let Explanation { scenario, engine, about, replicates, .. } = explanation;
    let replicates = counted(u64::from(*replicates), "replicate");
    let mut text = format!("{scenario} ({engine}), {replicates}: {about}\n\nSettings\n");
    let width = explanation.settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0);
    for setting in &explanation.settings {
        let _ = writeln!(text, "  {:width$}  {}", setting.key, setting.value);
    }
    text.push_str("\nTheory predicts\n");
    if explanation.predictions.is_empty() {
        text.push_str("  nothing for these settings\n");
    }
    for found in &explanation.predictions {
        let (name, value, unit) = (&found.name, super::number(found.value), found.unit);
        let _ = writeln!(text, "  {name}: {value} {unit}\n    {}", found.formula);
    }
    text.push_str("\nNot simulated\n");
    for left in explanation.leaves_out {
        let _ = writeln!(text, "  {left}");
    }
    text
}
