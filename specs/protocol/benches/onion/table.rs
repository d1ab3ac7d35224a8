//! The table at the end, from the estimates that criterion leaves on disk.

use std::path::PathBuf;

use serde_json::Value;

/// Where the estimates lie: beside the programs, so in the target directory in use.
pub(crate) fn results_dir() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    program.ancestors().nth(3).unwrap_or(&program).join("criterion")
}

/// The name of a measurement in one round.
pub(crate) fn name(what: &str, round: usize) -> String {
    format!("{what} #{round}")
}

/// A table of figures, ratios and targets.
pub(crate) struct Table {
    results: PathBuf,
    rounds: usize,
    ratio: &'static str,
    rows: Vec<[String; 4]>,
}

impl Table {
    /// `ratio` is the heading of the ratios.
    pub(crate) const fn new(results: PathBuf, rounds: usize, ratio: &'static str) -> Self {
        Self { results, rounds, ratio, rows: Vec::new() }
    }

    /// Microseconds of `what` in one round; `None` if it was filtered out.
    fn in_round(&self, what: &str, round: usize) -> Option<f64> {
        let file = self.results.join(name(what, round)).join("new/estimates.json");
        let estimates: Value = serde_json::from_slice(&std::fs::read(file).ok()?).ok()?;
        Some(estimates["median"]["point_estimate"].as_f64()? / 1e3)
    }

    fn median(&self, of: impl Fn(usize) -> Option<f64>) -> Option<f64> {
        let mut values: Vec<f64> = (0..self.rounds).filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }

    /// Microseconds of `what`.
    pub(crate) fn micros(&self, what: &str) -> Option<f64> {
        self.median(|round| self.in_round(what, round))
    }

    /// `what` as a multiple of a sum of other measurements of the same round, each so many times.
    pub(crate) fn ratio(&self, what: &str, floor: &[(f64, &str)]) -> Option<f64> {
        self.median(|round| {
            let floor = floor
                .iter()
                .try_fold(0.0, |sum, (times, of)| Some(sum + times * self.in_round(of, round)?))?;
            Some(self.in_round(what, round)? / floor)
        })
    }

    /// A row for something that takes time: microseconds and how many a second.
    pub(crate) fn time(&mut self, what: &str, ratio: Option<f64>, target: &str) {
        let Some(micros) = self.micros(what) else { return };
        let figure = format!("{micros:.1} us, {:.0}/s", 1e6 / micros);
        let ratio = ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default();
        self.row(what, figure, ratio, target);
    }

    /// A row in its own words.
    pub(crate) fn row(&mut self, what: &str, figure: String, ratio: String, target: &str) {
        self.rows.push([what.to_owned(), figure, ratio, target.to_owned()]);
    }

    /// Prints everything.
    pub(crate) fn print(&self) {
        println!("\nOne core. Medians of {} rounds; ratios are of one round each.\n", self.rounds);
        let head = ["what", "figure", self.ratio, "target"].map(str::to_owned);
        let rows: Vec<&[String; 4]> = std::iter::once(&head).chain(&self.rows).collect();
        let width =
            |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        let widths = [0, 1, 2, 3].map(width);
        for (i, [what, figure, ratio, target]) in rows.iter().enumerate() {
            let [a, b, c, d] = widths;
            println!("| {what:<a$} | {figure:<b$} | {ratio:<c$} | {target:<d$} |");
            if i == 0 {
                let [a, b, c, d] = widths.map(|width| "-".repeat(width));
                println!("| {a} | {b} | {c} | {d} |");
            }
        }
    }
}
