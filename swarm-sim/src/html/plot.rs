//! A drawing with its numbers: part of a page, and two files for those who want to use it elsewhere.

use std::collections::BTreeSet;

use super::chart::{self, Drawing};

/// Letters of a plot's name at most, so that every file system takes it with its ending.
const NAME_MAX: usize = 80;

/// A drawing and the numbers that it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Plot {
    /// A name that no other plot of the page has, fit for a file.
    pub name: String,
    drawing: Drawing,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Plot {
    /// The drawing as a file of its own, with its style, on white.
    pub fn svg(&self) -> String {
        chart::alone(&self.drawing, &self.name)
    }

    /// The numbers that are drawn, as a CSV file.
    pub fn csv(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
            cells.join(",") + "\n"
        };
        let rows = self.rows.iter().map(|row| line(row));
        line(&self.columns) + &rows.collect::<String>()
    }
}

/// A cell of a CSV file, in quotes where it needs them.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// A number as a cell; what does not exist is empty.
pub(super) fn cell(value: Option<f64>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

/// The plots of a page, in their order.
#[derive(Debug, Default)]
pub(super) struct Plots {
    all: Vec<Plot>,
    names: BTreeSet<String>,
}

impl Plots {
    /// Takes a drawing up, and gives it as part of the page.
    pub(super) fn add(
        &mut self,
        name: &str,
        drawing: Drawing,
        columns: &[&str],
        rows: Vec<Vec<String>>,
    ) -> String {
        let name = self.unused(name);
        let part = chart::inline(&drawing, &name);
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        self.all.push(Plot { name, drawing, columns, rows });
        part
    }

    pub(super) fn into_all(self) -> Vec<Plot> {
        self.all
    }

    /// Letters and digits as they are, all else as hyphens; a number behind it where another plot has that name, in
    /// capitals or not.
    fn unused(&mut self, name: &str) -> String {
        let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let fit: String = name.chars().take(NAME_MAX).map(fit).collect();
        let numbered = (2..).map(|at| format!("{fit}-{at}"));
        let mut names = core::iter::once(fit.clone()).chain(numbered);
        let free = names.find(|name| !self.names.contains(&name.to_ascii_lowercase()));
        let free = free.unwrap_or(fit);
        self.names.insert(free.to_ascii_lowercase());
        free
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_files_and_unlike() {
        let mut plots = Plots::default();
        let mut name = |text: &str| plots.unused(text);
        assert_eq!(name("latency_p50"), "latency_p50");
        assert_eq!(name("../a b"), "---a-b");
        assert_eq!(name("Latency_p50"), "Latency_p50-2");
        assert_eq!(name(&"ñ".repeat(300)).len(), NAME_MAX);
    }

    #[test]
    fn cells_with_commas_and_quotes_stay_one_cell() {
        let drawing = Drawing::default();
        let rows = vec![vec!["a, \"b\"".to_owned(), cell(Some(0.25)), cell(None)]];
        let columns = ["run", "value", "low"].map(str::to_owned).to_vec();
        let plot = Plot { name: "x".to_owned(), drawing, columns, rows };
        assert_eq!(plot.csv(), "run,value,low\n\"a, \"\"b\"\"\",0.25,\n");
    }
}
