//! What a run prints and writes.

pub mod atomic;
pub mod explain;

pub mod folder;
pub mod manifest;
pub mod theory;

use core::fmt::Write as _;
use std::io;

use serde_json::{Map, Value, json};

use crate::metric::{Curve, Metric, Table, about};
use crate::run::RunReport;

/// The file that tells what run a folder holds.
pub const RESULTS: &str = "results.json";

/// The table of runs: what was run, a run a line.
pub const RUNS: &str = "runs.csv";

/// The scenario's text with all that it includes.
pub const SCENARIO: &str = "scenario.toml";

/// The page about what a folder holds.
pub const PAGE: &str = "report.html";

/// The report as one JSON object. Counts end in a noun, times are in the metric's unit, ids are
/// strings.
pub fn to_json(report: &RunReport) -> Value {
    let named = |metric: &Metric| {
        let mut value = serde_json::to_value(metric).unwrap_or_default();
        if let Some(about) = about(report.engine, metric.name) {
            value["about"] = about.into();
        }
        (metric.name.to_owned(), value)
    };
    let metrics: Map<String, Value> = report.metrics.iter().map(named).collect();
    json!({
        "scenario": report.scenario,
        "engine": report.engine,
        "version": env!("CARGO_PKG_VERSION"),
        "about": report.explanation.about,
        "settings": report.explanation.settings,
        "leaves_out": report.explanation.leaves_out,
        "seed": report.seed,
        "replicates": report.replicates,
        "events": report.events,
        "digest": report.digest.to_string(),
        "metrics": metrics,
    })
}

/// The report for people.
pub fn to_text(report: &RunReport) -> String {
    let mut text = format!(
        "{} ({}), seed {}, {}, {}\n\n",
        report.scenario,
        report.engine,
        report.seed,
        counted(report.replicates.into(), "replicate"),
        counted(report.events, "event")
    );
    let width = report.metrics.iter().map(|metric| metric.name.len()).max().unwrap_or(0);
    for metric in &report.metrics {
        let name = metric.name;
        let line = format!("{name:width$}  {}", figure(metric));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let _ = writeln!(text, "\ndigest {}", report.digest);
    text
}

fn figure(metric: &Metric) -> String {
    let mut text = match metric.value {
        Some(value) => format!("{} {}", number(value), unit_of(value, metric.unit)),
        None => absent(metric.ci_low).to_owned(),
    };
    if let Some(low) = metric.ci_low {
        let high = metric.ci_high.map_or_else(|| NO_END.to_owned(), number);
        let _ = write!(text, "  [{}, {high}] over {}s", number(low), metric.independent.name());
    }
    if let Some(low) = metric.replicates_low {
        let high = metric.replicates_high.map_or_else(|| NO_END.to_owned(), number);
        let _ = write!(text, ", [{}, {high}] over replicates", number(low));
    }
    if let Some(expected) = metric.expected {
        let _ = write!(text, "  expected {}", number(expected));
    }
    text
}

/// What stands for an upper end that what was watched does not give.
const NO_END: &str = "no upper end";

/// What is said in place of a value, by the interval's lower end.
pub(crate) const fn absent(low: Option<f64>) -> &'static str {
    if low.is_some() { "not reached" } else { "nothing observed" }
}

/// A count with the word for what is counted, which ends in `s` where there is not one.
pub fn counted(count: u64, word: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {word}{end}")
}

/// The unit of a value: one node, two nodes.
pub(crate) fn unit_of(value: f64, unit: &str) -> &str {
    let singular = match unit {
        "bits" | "candidates" | "clients" | "documents" | "guards" | "members" | "messages"
        | "nodes" | "packets" | "replicates" | "requests" | "rounds" | "samples" | "steps"
        | "stops" | "swarms" | "targets" => unit.strip_suffix('s'),
        "copies" => Some("copy"),
        "tries" => Some("try"),
        _ => None,
    };
    singular.filter(|_| value == 1.0).unwrap_or(unit)
}

/// Whole numbers whole, others with as many digits as one reads.
fn number(value: f64) -> String {
    if value == value.trunc() {
        format!("{value:.0}")
    } else if value.abs() < 1e-3 {
        format!("{value:.3e}")
    } else if value.abs() >= 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.4}")
    }
}

/// The files of a run by name, with their contents; `results.json` is the last.
pub fn files(report: &RunReport) -> io::Result<Vec<(String, String)>> {
    let json = serde_json::to_string_pretty(&to_json(report)).map_err(io::Error::other)?;
    let table = &report.table;
    let mut files = vec![
        (RUNS.to_owned(), runs_csv(report)),
        ("metrics.csv".to_owned(), metrics_csv(&report.metrics)),
        (format!("{}.csv", table.name), table_csv(table)),
    ];
    if !report.curves.is_empty() {
        files.push(("curves.csv".to_owned(), curves_csv(&report.curves)));
    }
    files.push((RESULTS.to_owned(), json + "\n"));
    Ok(files)
}

/// The columns of [`RUNS`], behind those of a sweep's point.
pub const RUN_COLUMNS: &str = "scenario,engine,version,seed,replicates,events,digest";

fn runs_csv(report: &RunReport) -> String {
    let RunReport { scenario, engine, seed, replicates, events, digest, .. } = report;
    let version = env!("CARGO_PKG_VERSION");
    format!("{RUN_COLUMNS}\n{scenario},{engine},{version},{seed},{replicates},{events},{digest}\n")
}

/// The columns of [`metric_row`].
pub const METRIC_COLUMNS: &str = "metric,value,ci_low,ci_high,interval,independent,unit,samples,expected,replicates_low,replicates_high";

/// A metric as a row of a CSV file; what does not exist is empty.
pub fn metric_row(metric: &Metric) -> String {
    let cell = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
    format!(
        "{},{},{},{},{},{},{},{},{},{},{}",
        metric.name,
        cell(metric.value),
        cell(metric.ci_low),
        cell(metric.ci_high),
        metric.interval.name(),
        metric.independent.name(),
        metric.unit,
        metric.samples,
        cell(metric.expected),
        cell(metric.replicates_low),
        cell(metric.replicates_high),
    )
}

fn metrics_csv(metrics: &[Metric]) -> String {
    let rows = metrics.iter().map(|metric| metric_row(metric) + "\n");
    format!("{METRIC_COLUMNS}\n{}", rows.collect::<String>())
}

fn curves_csv(curves: &[Curve]) -> String {
    let mut text = String::from("curve,time,unit,share,ci_low,ci_high\n");
    for curve in curves {
        for place in &curve.places {
            let (name, unit, time, share) = (curve.name, curve.unit, place.time, place.share);
            let end = |value: Option<f64>| value.map(|v| v.to_string()).unwrap_or_default();
            let low = end(place.band.map(|band| band.low));
            let high = end(place.band.map(|band| band.high));
            let _ = writeln!(text, "{name},{time},{unit},{share},{low},{high}");
        }
    }
    text
}

fn table_csv(table: &Table) -> String {
    let mut text = table.columns.join(",");
    text.push('\n');
    for row in &table.rows {
        let cells: Vec<String> = row
            .iter()
            .map(|cell| cell.map(|value| value.to_string()).unwrap_or_default())
            .collect();
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}
