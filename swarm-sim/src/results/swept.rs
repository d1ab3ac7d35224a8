//! A whole sweep, read back from its folder.

use std::path::Path;

use super::csv::{cells, number};
use super::{ResultsError, Setting, cannot_read, changed, invalid, widest};
use crate::explain::explain;
use crate::output::{METRIC_COLUMNS, RUNS};
use crate::stats::Interval;
use crate::sweep::folder::{Finished, MANIFEST, Manifest, SweepFolder, TABLE};
use crate::sweep::{Axis, Shard};

/// A sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Swept {
    /// Its folder, as it was given.
    pub folder: String,
    /// What the folder says that it is of.
    pub manifest: Manifest,
    /// The engine's name.
    pub engine: &'static str,
    /// What the scenario is for.
    pub about: String,
    /// Its settings; those that are swept have all their values.
    pub settings: Vec<Setting>,
    /// What the engine does not simulate.
    pub leaves_out: Vec<String>,
    /// What was swept.
    pub axes: Vec<Axis>,
    /// The figures, in the order of the table.
    pub figures: Vec<SweptFigure>,
}

/// A figure at all points.
#[derive(Clone, Debug, PartialEq)]
pub struct SweptFigure {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: String,
    /// Its rows of the table.
    pub rows: Vec<SweptRow>,
}

/// A figure at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct SweptRow {
    /// The point's number.
    pub point: u32,
    /// The point's value of each axis.
    pub values: Vec<String>,
    /// The estimate; nothing if nothing was observed.
    pub value: Option<f64>,
    /// Lower end of its own interval.
    pub ci_low: Option<f64>,
    /// Upper end; nothing beside a lower one if it lies beyond what was watched.
    pub ci_high: Option<f64>,
    /// How that was made.
    pub interval: String,
    /// Lower end of its interval over replicates.
    pub replicates_low: Option<f64>,
    /// Upper end; nothing beside a lower one if it lies beyond what was watched.
    pub replicates_high: Option<f64>,
    /// Observations behind it.
    pub samples: u64,
    /// What theory says.
    pub expected: Option<f64>,
}

impl SweptRow {
    /// The wider 95 % interval, as a run's page draws it.
    pub fn widest(&self) -> Option<Interval> {
        let over = ((self.replicates_low, self.replicates_high), ());
        widest([over, ((self.ci_low, self.ci_high), ())]).map(|(interval, ())| interval)
    }
}

impl Swept {
    /// Whether a folder holds a sweep, whole or not.
    pub fn is_in(path: &Path) -> bool {
        path.join(MANIFEST).is_file() && !path.join(crate::output::RESULTS).exists()
    }

    /// Reads the folder of a sweep that is whole.
    pub fn read(path: &Path) -> Result<Self, ResultsError> {
        let folder = path.display().to_string();
        let finished = SweepFolder::new(path).finished()?;
        let shard = finished.shard;
        let file = path.join(TABLE);
        let text = std::fs::read_to_string(&file).map_err(|source| cannot_read(&file, source))?;
        let figures = figures(&file, &text, &finished.sweep.axes)?;
        if text != finished.table() {
            return Err(changed(&file, "what the files in points say"));
        }
        let file = path.join(RUNS);
        let runs = std::fs::read_to_string(&file).map_err(|source| cannot_read(&file, source))?;
        if runs != finished.runs() {
            return Err(changed(&file, "what the files in points say"));
        }
        if shard != Shard::WHOLE {
            return Err(ResultsError::Shard { folder, shard: shard.to_string() });
        }
        let Finished { manifest, sweep, .. } = finished;
        let explained = explain(&sweep.base);
        let leaves_out = explained.leaves_out.iter().map(|left| (*left).to_owned()).collect();
        let mut settings: Vec<Setting> = explained
            .settings
            .into_iter()
            .map(|set| Setting { key: set.key.to_owned(), value: set.value })
            .collect();
        for axis in &sweep.axes {
            let value = format!("{} (swept)", axis.values.join(", "));
            match settings.iter_mut().find(|set| set.key == axis.key) {
                Some(set) => set.value = value,
                None => settings.push(Setting { key: axis.key.clone(), value }),
            }
        }
        let (engine, about) = (sweep.base.engine.name(), sweep.base.about);
        Ok(Self {
            folder,
            manifest,
            engine,
            about,
            settings,
            leaves_out,
            axes: sweep.axes,
            figures,
        })
    }
}

fn figures(file: &Path, text: &str, axes: &[Axis]) -> Result<Vec<SweptFigure>, ResultsError> {
    let wrong =
        |line: usize, expected: &str| invalid(file, format!("line {line}: expected {expected}"));
    let mut lines = text.lines();
    let keys = axes.iter().map(Axis::column);
    let columns = METRIC_COLUMNS.split(',').map(str::to_owned);
    let columns: Vec<String> =
        core::iter::once("point".to_owned()).chain(keys).chain(columns).collect();
    if lines.next().and_then(cells) != Some(columns.clone()) {
        return Err(wrong(1, &columns.join(",")));
    }
    let mut figures: Vec<SweptFigure> = Vec::new();
    for (line, text) in lines.enumerate() {
        let (name, unit, row) = row(text, axes.len())
            .ok_or_else(|| wrong(line + 2, "a point, its values, and a metric's figures"))?;
        match figures.iter_mut().find(|figure| (&figure.name, &figure.unit) == (&name, &unit)) {
            Some(figure) => figure.rows.push(row),
            None => figures.push(SweptFigure { name, unit, rows: vec![row] }),
        }
    }
    Ok(figures)
}

/// Name, unit and the rest of a line.
fn row(line: &str, axes: usize) -> Option<(String, String, SweptRow)> {
    let cells = cells(line)?;
    let (point, cells) = cells.split_first()?;
    let (values, cells) = cells.split_at_checked(axes)?;
    let [
        name,
        value,
        low,
        high,
        interval,
        _,
        unit,
        samples,
        expected,
        replicates_low,
        replicates_high,
    ] = cells
    else {
        return None;
    };
    let row = SweptRow {
        point: point.parse().ok()?,
        values: values.to_vec(),
        value: number(value)?,
        ci_low: number(low)?,
        ci_high: number(high)?,
        interval: interval.clone(),
        replicates_low: number(replicates_low)?,
        replicates_high: number(replicates_high)?,
        samples: samples.parse().ok()?,
        expected: number(expected)?,
    };
    Some((name.clone(), unit.clone(), row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interval_of_replicates_that_agree_by_chance_is_not_the_one_that_is_drawn() {
        let interval = |low, high| Some(Interval { low, high });
        let widest = |own: Option<Interval>, over: Option<Interval>| {
            let row = SweptRow {
                point: 0,
                values: Vec::new(),
                value: Some(0.5),
                ci_low: own.map(|own| own.low),
                ci_high: own.map(|own| own.high).filter(|high| high.is_finite()),
                interval: String::new(),
                replicates_low: over.map(|over| over.low),
                replicates_high: over.map(|over| over.high).filter(|high| high.is_finite()),
                samples: 4,
                expected: None,
            };
            row.widest()
        };
        assert_eq!(widest(interval(0.1, 0.9), interval(0.5, 0.5)), interval(0.1, 0.9));
        assert_eq!(widest(interval(0.4, 0.6), interval(0.1, 0.9)), interval(0.1, 0.9));
        assert_eq!(widest(None, interval(0.1, 0.9)), interval(0.1, 0.9));
        assert_eq!(
            (widest(interval(0.4, 0.6), None), widest(None, None)),
            (interval(0.4, 0.6), None)
        );
        // Without an upper end it is wider than any.
        let endless = |low| Some(Interval { low, high: f64::INFINITY });
        assert_eq!(widest(endless(0.4), interval(0.1, 0.9)), None);
        assert_eq!(widest(interval(0.1, 0.9), endless(0.4)), None);
    }
}
