//! Tables as Parquet files beside the CSV files of a run or a sweep: the same columns with the same names, typed.
//!
//! Words are UTF-8 strings, counts and times in whole units are unsigned 64-bit numbers, all else doubles; an empty cell is
//! null. A column's type follows from its name, never from what a run found, so that files of many runs fit together.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError as Inner;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::types::Type;

use crate::output::atomic::{Halves, Locked, read, remove};
use crate::output::folder::{Existing, FolderError};
use crate::output::manifest::{Converted, PARQUET_RECORD, ParquetRecord};
use crate::results::csv::cells;
use crate::results::{Results, ResultsError, Swept};
use crate::sweep::SweepError;

/// Why tables were not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParquetError {
    /// There is no table in the folder.
    #[error(
        "{folder} holds no table of a run or a sweep: give the folder that `run`, `sweep` or `merge` wrote"
    )]
    NoTable {
        /// The folder.
        folder: String,
    },
    /// A table is not as the simulator writes it.
    #[error("{file} is not as this version writes it: {what}")]
    Invalid {
        /// The file.
        file: String,
        /// What is wrong, and where.
        what: String,
    },
    /// The system refused to read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file or folder.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The library failed.
    #[error("cannot make {file}: {source}")]
    Make {
        /// The file.
        file: String,
        /// Why.
        source: Inner,
    },
    /// A table was changed, or nothing says what it was.
    #[error(transparent)]
    Results(#[from] ResultsError),
    /// The sweep in the folder is not as it was written.
    #[error("{what}")]
    Swept {
        /// What is wrong, and what to do.
        what: String,
    },
    /// A file stands where one should be, and nothing tells that it was made here.
    #[error("{file} was not made by `parquet`, or was changed since: move it away")]
    NotMade {
        /// The file.
        file: String,
    },
    /// A file that was made here from another table.
    #[error("{file} has other contents: --overwrite replaces it")]
    OtherTable {
        /// The file.
        file: String,
    },
    /// A file was not written.
    #[error(transparent)]
    Write(#[from] FolderError),
}

impl ParquetError {
    /// Whether the caller can correct it by naming another folder.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::NoTable { .. } | Self::Invalid { .. } => true,
            Self::Swept { .. } | Self::NotMade { .. } | Self::OtherTable { .. } => true,
            Self::Results(error) => error.is_refusal(),
            Self::Write(error) => error.is_refusal(),
            _ => false,
        }
    }

    /// The kind that scripts read.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Make { .. } => "write",
            Self::Results(error) => error.kind(),
            Self::Write(error) => error.kind(),
            _ => "folder",
        }
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Words,
    Counts,
    Numbers,
}

/// Columns of words, and of numbers with fractions; axes of a sweep are words too, and all others are counts.
const WORDS: [&str; 9] = [
    "metric",
    "curve",
    "interval",
    "independent",
    "unit",
    "scenario",
    "engine",
    "version",
    "digest",
];
const NUMBERS: [&str; 8] = [
    "value",
    "ci_low",
    "ci_high",
    "expected",
    "replicates_low",
    "replicates_high",
    "share",
    "time",
];

/// The first columns of the simulator's tables.
const FIRST: [&str; 5] = ["scenario", "metric", "curve", "replicate", "point"];

/// The kinds of a table's columns; nothing for a file that is no table of the simulator.
fn kinds(columns: &[String]) -> Option<Vec<Kind>> {
    let first = columns.first()?;
    if !FIRST.contains(&first.as_str()) {
        return None;
    }
    // A sweep's axes stand between the point's number and the name of the metric or of the scenario.
    let is_next = |column: &String| ["metric", "scenario"].contains(&column.as_str());
    let axes = if first == "point" { columns.iter().position(is_next)? } else { 0 };
    let kind = |(at, column): (usize, &String)| match column.as_str() {
        _ if (1..axes).contains(&at) => Kind::Words,
        word if WORDS.contains(&word) => Kind::Words,
        number if NUMBERS.contains(&number) => Kind::Numbers,
        _ => Kind::Counts,
    };
    Some(columns.iter().enumerate().map(kind).collect())
}

/// Writes a Parquet file beside each table of a folder, and gives their names. One that was made here from another table
/// is replaced only where that was asked for, and any other file never.
pub fn write_beside(folder: &Path, existing: Existing) -> Result<Vec<PathBuf>, ParquetError> {
    let entries = std::fs::read_dir(folder).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ParquetError::NoTable { folder: folder.display().to_string() },
        _ => unread(folder, source),
    })?;
    if Swept::is_in(folder) {
        // One that is under way is not waited for.
        checked(folder)?;
    }
    let _lock = Locked::of([folder].into_iter())?;
    let mut tables = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unread(folder, source))?.path();
        if path.extension().is_some_and(|ending| ending == "csv") {
            tables.push(path);
        }
    }
    tables.sort();
    let mut found = Vec::new();
    for file in tables {
        let bytes = std::fs::read(&file).map_err(|source| unread(&file, source))?;
        found.extend(Source::of(file, bytes));
    }
    if found.is_empty() {
        return Err(ParquetError::NoTable { folder: folder.display().to_string() });
    }
    // A table that was changed is called so, whatever it holds.
    checked(folder)?;
    let mut files = Vec::new();
    for table in &found {
        files.push((table.file.with_extension("parquet"), table.converted()?));
    }
    let before = record(folder)?;
    let replaced = replaced(&files, &before, existing)?;
    let mut now = ParquetRecord::default();
    for (table, (file, bytes)) in found.iter().zip(&files) {
        now.files.insert(name(file), Converted::of(bytes, table.text.as_bytes()));
    }
    // What was made from tables that are gone is told as long as it is there.
    for (name, made) in &before.files {
        if !now.files.contains_key(name) && is_made(&before, &folder.join(name))? {
            now.files.insert(name.clone(), made.clone());
        }
    }
    let text = now.to_text();
    let record = (folder.join(PARQUET_RECORD), text.as_bytes());
    let all = files.iter().map(|(file, bytes)| (file.clone(), bytes.as_slice()));
    let mut halves = Halves::write([record].into_iter().chain(all)).map_err(unwritten)?;
    // Whatever stands there is told by the record, also where this ends halfway: what it will not tell goes first.
    for file in replaced {
        if !is_made(&before, file)? {
            return Err(ParquetError::NotMade { file: file.display().to_string() });
        }
        remove(file).map_err(|source| unwritten((file.clone(), source)))?;
    }
    halves.name_all().map_err(unwritten)?;
    Ok(files.into_iter().map(|(file, _)| file).collect())
}

/// What the folder tells of Parquet files that were made in it.
fn record(folder: &Path) -> Result<ParquetRecord, ParquetError> {
    let file = folder.join(PARQUET_RECORD);
    let Some(bytes) = read(&file).map_err(|source| unread(&file, source))? else {
        return Ok(ParquetRecord::default());
    };
    let not_made = || ParquetError::NotMade { file: file.display().to_string() };
    ParquetRecord::parse(&bytes).ok_or_else(not_made)
}

/// The files that have other contents now, each of which was made here.
fn replaced<'a>(
    files: &'a [(PathBuf, Vec<u8>)],
    before: &ParquetRecord,
    existing: Existing,
) -> Result<Vec<&'a PathBuf>, ParquetError> {
    let mut replaced = Vec::new();
    for (file, bytes) in files {
        let there = read(file).map_err(|source| unread(file, source))?;
        let Some(there) = there.filter(|there| there != bytes) else { continue };
        if !before.wrote(&name(file), &there) {
            return Err(ParquetError::NotMade { file: file.display().to_string() });
        }
        if existing == Existing::Keep {
            return Err(ParquetError::OtherTable { file: file.display().to_string() });
        }
        replaced.push(file);
    }
    Ok(replaced)
}

/// Whether a file is there as it was made.
fn is_made(record: &ParquetRecord, file: &Path) -> Result<bool, ParquetError> {
    let there = read(file).map_err(|source| unread(file, source))?;
    Ok(there.is_some_and(|bytes| record.wrote(&name(file), &bytes)))
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn unread(file: &Path, source: io::Error) -> ParquetError {
    ParquetError::Read { file: file.display().to_string(), source }
}

fn unwritten((file, source): (PathBuf, io::Error)) -> ParquetError {
    FolderError::Write { folder: file.display().to_string(), source }.into()
}

/// Holds the tables against what says how they were written. A shard has no page to read, but is checked alike.
fn checked(folder: &Path) -> Result<(), ParquetError> {
    let read = if Swept::is_in(folder) {
        Swept::read(folder).map(drop)
    } else {
        Results::read(folder).map(drop)
    };
    match read {
        Err(ResultsError::Shard { .. }) | Ok(()) => Ok(()),
        Err(ResultsError::Sweep(error)) => Err(of_sweep(error)),
        Err(error) => Err(error.into()),
    }
}

/// Says what is wrong with a sweep to who has no other folder to give.
fn of_sweep(error: SweepError) -> ParquetError {
    let what = match error {
        SweepError::Folder { folder, what } => format!("{folder} {what}"),
        SweepError::Damaged { path } => format!(
            "{path} is damaged, was changed, or is of another sweep: delete it, and the command that swept does that point again"
        ),
        SweepError::Changed { file, expected } => format!(
            "{file} was changed since it was written: expected {expected}; put the file back, or sweep again into another folder"
        ),
        error => return ResultsError::from(error).into(),
    };
    ParquetError::Swept { what }
}

/// A table of the simulator.
#[derive(Debug)]
struct Source {
    file: PathBuf,
    text: String,
    columns: Vec<String>,
    kinds: Vec<Kind>,
}

impl Source {
    /// Nothing if the file is no table of the simulator.
    fn of(file: PathBuf, bytes: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let columns = cells(text.lines().next()?)?;
        let kinds = kinds(&columns)?;
        Some(Self { file, text, columns, kinds })
    }

    /// As a Parquet file.
    fn converted(&self) -> Result<Vec<u8>, ParquetError> {
        let Self { file, text, columns, kinds } = self;
        let lines = text.lines().skip(1);
        let invalid =
            |what: String| ParquetError::Invalid { file: file.display().to_string(), what };
        let mut rows = Vec::new();
        for (line, text) in lines.enumerate() {
            let row = cells(text).filter(|row| row.len() == columns.len());
            rows.push(row.ok_or_else(|| {
                invalid(format!("line {}: expected {} cells", line + 2, columns.len()))
            })?);
        }
        let made = |source| ParquetError::Make { file: file.display().to_string(), source };
        let schema = schema(columns, kinds).map_err(made)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let mut bytes = Vec::new();
        let mut writer =
            SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).map_err(made)?;
        let mut group = writer.next_row_group().map_err(made)?;
        for (at, kind) in kinds.iter().enumerate() {
            let cells = || rows.iter().map(|row| row[at].as_str());
            let Some(column) = group.next_column().map_err(made)? else { break };
            let wrong = write_column(column, *kind, cells).map_err(made)?;
            if let Some(row) = wrong {
                let name = &columns[at];
                return Err(invalid(format!("line {}: {name} is no number", row + 2)));
            }
        }
        group.close().map_err(made)?;
        writer.close().map_err(made)?;
        Ok(bytes)
    }
}

fn schema(columns: &[String], kinds: &[Kind]) -> Result<Arc<Type>, Inner> {
    let field = |(name, kind): (&String, &Kind)| {
        let build = |physical| {
            Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL)
        };
        let field = match kind {
            Kind::Words => build(Physical::BYTE_ARRAY)
                .with_converted_type(ConvertedType::UTF8)
                .with_logical_type(Some(LogicalType::String)),
            Kind::Counts => build(Physical::INT64)
                .with_converted_type(ConvertedType::UINT_64)
                .with_logical_type(Some(LogicalType::integer(64, false))),
            Kind::Numbers => build(Physical::DOUBLE),
        };
        field.build().map(Arc::new)
    };
    let fields: Result<Vec<_>, Inner> = columns.iter().zip(kinds).map(field).collect();
    Type::group_type_builder("table").with_fields(fields?).build().map(Arc::new)
}

/// Writes a column; gives the row whose cell is no number, if there is one.
fn write_column<'a, I: Iterator<Item = &'a str>>(
    mut column: SerializedColumnWriter<'_>,
    kind: Kind,
    cells: impl Fn() -> I,
) -> Result<Option<usize>, Inner> {
    let levels: Vec<i16> = cells().map(|cell| i16::from(!cell.is_empty())).collect();
    let filled = || cells().enumerate().filter(|(_, cell)| !cell.is_empty());
    let wrong = match kind {
        Kind::Words => {
            let values: Vec<ByteArray> = filled().map(|(_, cell)| cell.into()).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&levels), None)?;
            None
        }
        Kind::Counts => {
            let read = |cell: &str| cell.parse::<u64>().ok().map(u64::cast_signed);
            let values: Vec<i64> = filled().filter_map(|(_, cell)| read(cell)).collect();
            let wrong = filled().find(|(_, cell)| read(cell).is_none());
            if wrong.is_none() {
                column.typed::<Int64Type>().write_batch(&values, Some(&levels), None)?;
            }
            wrong
        }
        Kind::Numbers => {
            let read = |cell: &str| cell.parse::<f64>().ok().filter(|value| value.is_finite());
            let values: Vec<f64> = filled().filter_map(|(_, cell)| read(cell)).collect();
            let wrong = filled().find(|(_, cell)| read(cell).is_none());
            if wrong.is_none() {
                column.typed::<DoubleType>().write_batch(&values, Some(&levels), None)?;
            }
            wrong
        }
    };
    if let Some((row, _)) = wrong {
        return Ok(Some(row));
    }
    column.close()?;
    Ok(None)
}
