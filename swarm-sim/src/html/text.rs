//! Text, numbers and tables as HTML.

use core::fmt::Write as _;

/// Text as HTML; what no page may hold becomes a replacement character.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c if c.is_control() && c != '\n' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

/// A number with as many digits as one reads.
pub(super) fn number(value: f64) -> String {
    let magnitude = value.abs();
    if value == 0.0 {
        "0".to_owned()
    } else if !(1e-3..1e7).contains(&magnitude) {
        format!("{value:.3e}")
    } else {
        let digits = if magnitude >= 1000.0 { 1 } else { 4 };
        let text = format!("{value:.digits$}");
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }
}

/// At most so many letters of a text: its start, and an ellipsis.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    let start: String = text.chars().take(letters.saturating_sub(1)).collect();
    start + "…"
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cell {
    /// What the row is about.
    Head(String),
    /// Text.
    Text(String),
    /// A number, or several, as text.
    Number(String),
    /// Hex digits.
    Digest(String),
}

impl Cell {
    /// A number that may not exist.
    pub(super) fn of(value: Option<f64>) -> Self {
        Self::Number(value.map(number).unwrap_or_default())
    }

    /// Two ends, of which both or the upper one may not exist.
    pub(super) fn ends(low: Option<f64>, high: Option<f64>) -> Self {
        let both = low.map(|low| match high {
            Some(high) => format!("{} to {}", number(low), number(high)),
            None => format!("{} without an upper end", number(low)),
        });
        Self::Number(both.unwrap_or_default())
    }
}

/// Adds a table.
pub(super) fn table(page: &mut String, columns: &[&str], rows: impl Iterator<Item = Vec<Cell>>) {
    page.push_str("<div class=\"scroll\"><table>\n<thead><tr>");
    for column in columns {
        let _ = write!(page, "<th scope=\"col\">{}</th>", escape(column));
    }
    page.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = match cell {
                Cell::Head(text) => write!(page, "<th scope=\"row\">{}</th>", escape(&text)),
                Cell::Text(text) => write!(page, "<td>{}</td>", escape(&text)),
                Cell::Number(text) => write!(page, "<td class=\"n\">{}</td>", escape(&text)),
                Cell::Digest(text) => write!(page, "<td class=\"d\">{}</td>", escape(&text)),
            };
        }
        page.push_str("</tr>\n");
    }
    page.push_str("</tbody></table></div>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_shortened_between_letters() {
        assert_eq!(shortened("short", 28), "short");
        assert_eq!(shortened(&"ñ".repeat(40), 28), "ñ".repeat(27) + "…");
    }
}
