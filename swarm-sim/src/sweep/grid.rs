//! The grid: every combination of the values that `[sweep]` lists.

use std::collections::BTreeMap;

use serde::Deserialize;
use toml::{Spanned, Table, Value};

use super::SweepError;
use crate::output::{METRIC_COLUMNS, RUN_COLUMNS};
use crate::scenario::{Scenario, ScenarioError, Whole};

/// Points of a sweep at most.
pub(super) const POINTS_MAX: u32 = 10_000;

/// Keys that make the scenario what it is.
const FIXED: [&str; 5] = ["version", "engine", "name", "about", "replicates"];

/// A key with the values that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Axis {
    /// The key, with its tables: `network.nodes`.
    pub key: String,
    /// The values, as they are shown.
    pub values: Vec<String>,
}

impl Axis {
    /// The name of its column in tables: its key, with `sweep.` before it where tables have a column of that name already.
    pub fn column(&self) -> String {
        let mut others = RUN_COLUMNS.split(',').chain(METRIC_COLUMNS.split(','));
        let is_taken = others.any(|other| other == self.key);
        if is_taken { format!("sweep.{}", self.key) } else { self.key.clone() }
    }
}

/// One combination.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Its number in the grid, from 0; the last key's value changes fastest.
    pub number: u32,
    /// Its value of each axis, as it is shown.
    pub values: Vec<String>,
    /// The scenario with these values. Its name has them too, which makes its random streams its own.
    pub scenario: Scenario,
}

/// A scenario with its grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// The scenario without the grid.
    pub base: Scenario,
    /// The text of the file.
    pub text: String,
    /// Its axes, by key.
    pub axes: Vec<Axis>,
    /// All points.
    pub points: Vec<Point>,
}

#[derive(Deserialize)]
struct SweepFile {
    sweep: Option<BTreeMap<String, Spanned<Vec<Spanned<Value>>>>>,
}

/// As a person writes it, without quotes around text.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn set(table: &mut Table, key: &str, value: Value) -> Result<(), String> {
    let mut place = table;
    let mut parts = key.split('.').peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            place.insert(part.to_owned(), value);
            return Ok(());
        }
        let inner = place.entry(part.to_owned()).or_insert_with(|| Value::Table(Table::new()));
        place = inner.as_table_mut().ok_or_else(|| format!("`{part}` is no table"))?;
    }
    Ok(())
}

impl Sweep {
    /// Finds a built-in scenario by its name, else reads a file.
    pub fn load(name_or_file: &str) -> Result<Self, SweepError> {
        let whole = Whole::read(name_or_file)?;
        Self::parse(name_or_file, &whole.text).map_err(|error| match error {
            SweepError::Scenario(error) => SweepError::Scenario(whole.located(error)),
            other => other,
        })
    }

    /// Reads the text of a scenario; `file` is what errors call it.
    pub fn parse(file: &str, text: &str) -> Result<Self, SweepError> {
        let base = Scenario::parse(file, text)?;
        let invalid = |at: usize, what: String| {
            SweepError::Scenario(ScenarioError::invalid(file, text, at, &what))
        };
        let read = |error: toml::de::Error| {
            invalid(error.span().map_or(0, |at| at.start), error.message().to_owned())
        };
        let grid: SweepFile = toml::from_str(text).map_err(read)?;
        let grid = grid.sweep.filter(|grid| !grid.is_empty()).ok_or_else(|| {
            SweepError::NoGrid { file: file.to_owned(), example: "\"network.nodes\" = [100, 200]" }
        })?;
        let mut count = 1usize;
        for (key, values) in &grid {
            let (at, values) = (values.span().start, values.get_ref());
            if FIXED.contains(&key.as_str()) {
                return Err(invalid(at, format!("`{key}` cannot be swept")));
            }
            count = count.saturating_mul(values.len());
            if count == 0 || count > POINTS_MAX as usize {
                let what = format!("expected values that make 1 to {POINTS_MAX} points in all");
                return Err(invalid(at, what));
            }
            for (place, value) in values.iter().enumerate() {
                if values[..place].iter().any(|earlier| earlier.get_ref() == value.get_ref()) {
                    let what = format!("{} is listed twice", shown(value.get_ref()));
                    return Err(invalid(value.span().start, what));
                }
            }
        }
        let mut table: Table = toml::from_str(text).map_err(read)?;
        table.remove("sweep");
        let mut points = Vec::with_capacity(count);
        for number in 0..count {
            let (mut rest, mut chosen) = (number, Vec::new());
            for (key, values) in grid.iter().rev() {
                let values = values.get_ref();
                chosen.push((key, &values[rest % values.len()]));
                rest /= values.len();
            }
            chosen.reverse();
            let mut changed = table.clone();
            for (key, value) in &chosen {
                set(&mut changed, key, value.get_ref().clone())
                    .map_err(|what| invalid(value.span().start, what))?;
            }
            let point = |name: &str| {
                let whole = toml::to_string(&changed).unwrap_or_default();
                Scenario::parse(name, &whole)
            };
            let label: Vec<String> =
                chosen.iter().map(|(key, value)| format!("{key}={}", value.get_ref())).collect();
            let mut scenario = point(file).map_err(|error| {
                let is_blamed = |key: &str, of: &str| {
                    key.strip_prefix(of)
                        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
                };
                let key = error.key().unwrap_or_default();
                let blamed = chosen.iter().find(|(of, _)| is_blamed(key, of)).or(chosen.last());
                let at = blamed.map_or(0, |(_, value)| value.span().start);
                invalid(at, format!("the point {}: {}", label.join(", "), error.what()))
            })?;
            scenario.name = format!("{}?{}", base.name, label.join("&"));
            points.push(Point {
                number: u32::try_from(number).unwrap_or(u32::MAX),
                values: chosen.iter().map(|(_, value)| shown(value.get_ref())).collect(),
                scenario,
            });
        }
        let axes = grid.iter().map(|(key, values)| Axis {
            key: key.clone(),
            values: values.get_ref().iter().map(|value| shown(value.get_ref())).collect(),
        });
        Ok(Self { base, text: text.to_owned(), axes: axes.collect(), points })
    }
}
