"""Reads the folders that `swarm-sim run`, `sweep` and `merge` wrote. Needs the standard library only; `frame` needs pandas.

    from swarm_sim_results import read_run, read_sweep
    run = read_run("runs/churn")
    run.metrics["nodes_moved"].value
    run.tables["steps"].column("nodes")
    for row in read_sweep("runs/g").of("requests_both_ends"):
        print(row.values["paths.guards"], row.metric.value)
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

__all__ = ["Curve", "Metric", "ResultsError", "Run", "Sweep", "SweepRow", "Table", "read_run", "read_sweep"]


class ResultsError(Exception):
    """A folder that holds no run, or a file that is not as `swarm-sim` writes it."""


@dataclass(frozen=True)
class Metric:
    """A figure with its 95 % interval. What does not exist is None."""

    name: str
    value: Optional[float]
    ci_low: Optional[float]
    ci_high: Optional[float]
    interval: str
    unit: str
    samples: int
    expected: Optional[float]
    replicates_low: Optional[float]
    replicates_high: Optional[float]
    by_replicate: tuple[Optional[float], ...]


@dataclass(frozen=True)
class Table:
    """A CSV file of numbers. An empty cell is None."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Optional[float], ...], ...]

    def column(self, name: str) -> list[Optional[float]]:
        """The values of a column; KeyError, with the columns there are, if there is none of that name."""
        if name not in self.columns:
            raise KeyError(f"{self.name} has no column {name}: {', '.join(self.columns)}")
        at = self.columns.index(name)
        return [row[at] for row in self.rows]

    def frame(self) -> Any:
        """The table as a pandas DataFrame."""
        import pandas

        return pandas.DataFrame(list(self.rows), columns=list(self.columns))


@dataclass(frozen=True)
class Curve:
    """The share of clients to whom something has happened by each time, with its 95 % band; None where there is none."""

    name: str
    unit: str
    times: tuple[float, ...]
    shares: tuple[float, ...]
    ci_low: tuple[Optional[float], ...]
    ci_high: tuple[Optional[float], ...]


@dataclass(frozen=True)
class SweepRow:
    """A figure at one point of a sweep."""

    point: int
    values: Mapping[str, str]
    metric: Metric


@dataclass(frozen=True)
class Sweep:
    """A whole sweep."""

    scenario: str
    engine: str
    version: str
    seed: int
    replicates: int
    digest: str
    axes: tuple[str, ...]
    rows: tuple[SweepRow, ...]

    def of(self, metric: str) -> list[SweepRow]:
        """A figure at all points; KeyError, with the figures there are, if there is none of that name."""
        found = [row for row in self.rows if row.metric.name == metric]
        if not found:
            names = sorted({row.metric.name for row in self.rows})
            raise KeyError(f"the sweep has no figure {metric}: {', '.join(names)}")
        return found


@dataclass(frozen=True)
class Run:
    """What was run and what was found."""

    scenario: str
    engine: str
    version: str
    seed: int
    replicates: int
    digest: str
    settings: tuple[tuple[str, str], ...]
    leaves_out: tuple[str, ...]
    metrics: Mapping[str, Metric]
    tables: Mapping[str, Table]
    curves: Mapping[str, Curve]


# Tables with words in them: runs.csv and metrics.csv say what results.json says.
_WORDS = ("runs.csv", "metrics.csv", "curves.csv")


def read_run(folder: Union[str, Path]) -> Run:
    """Reads a run's results.json and its tables; ResultsError names the file and what is wrong with it."""
    folder = Path(folder)
    path = folder / "results.json"
    try:
        with path.open(encoding="utf-8") as file:
            found = json.load(file)
    except FileNotFoundError:
        raise ResultsError(f"{folder} holds no results.json: give the folder that `run` wrote") from None
    except ValueError as error:
        raise ResultsError(f"{path}: {error}") from error
    try:
        metrics = {name: _metric(values) for name, values in found["metrics"].items()}
        settings = tuple((one["key"], one["value"]) for one in found["settings"])
        plain = {key: found[key] for key in ("scenario", "engine", "version", "seed", "replicates", "digest")}
        leaves_out = tuple(found["leaves_out"])
    except (KeyError, TypeError, AttributeError) as error:
        raise ResultsError(f"{path} is not as `run` writes it: {error!r}") from error
    files = [file for file in sorted(folder.glob("*.csv")) if file.name not in _WORDS]
    tables = {file.stem: _table(file) for file in files}
    curves = _curves(folder / "curves.csv")
    return Run(**plain, settings=settings, leaves_out=leaves_out, metrics=metrics, tables=tables, curves=curves)


def read_sweep(folder: Union[str, Path]) -> Sweep:
    """Reads a whole sweep's manifest.json and sweep.csv; ResultsError names the file and what is wrong with it."""
    folder = Path(folder)
    path = folder / "manifest.json"
    try:
        with path.open(encoding="utf-8") as file:
            found = json.load(file)
        plain = {key: found[key] for key in ("scenario", "engine", "seed", "replicates", "digest")}
        version, axes = found["swarm_sim"], tuple(found["axes"])
    except FileNotFoundError:
        raise ResultsError(f"{folder} holds no manifest.json: give the folder that `sweep` wrote") from None
    except (ValueError, KeyError, TypeError) as error:
        raise ResultsError(f"{path} is not as `sweep` writes it: {error!r}") from error
    if plain["digest"] is None:
        raise ResultsError(f"{folder} is of a sweep that was stopped: run it again, it goes on where it was")
    table = folder / "sweep.csv"
    rows: list[SweepRow] = []
    for line, row in enumerate(_named_rows(table), 2):
        try:
            rows.append(_sweep_row(row, axes))
        except (KeyError, ValueError) as error:
            raise ResultsError(f"{table}, line {line}: {error}") from error
    return Sweep(**plain, version=version, axes=axes, rows=tuple(rows))


def _sweep_row(row: Mapping[str, str], axes: Sequence[str]) -> SweepRow:
    def number(key: str) -> Optional[float]:
        return float(row[key]) if row[key] else None

    metric = Metric(
        name=row["metric"],
        value=number("value"),
        ci_low=number("ci_low"),
        ci_high=number("ci_high"),
        interval=row["interval"],
        unit=row["unit"],
        samples=int(row["samples"]),
        expected=number("expected"),
        replicates_low=number("replicates_low"),
        replicates_high=number("replicates_high"),
        by_replicate=(),
    )
    # A key that a table has a column of anyway stands there under another name.
    column = {axis: f"sweep.{axis}" if f"sweep.{axis}" in row else axis for axis in axes}
    return SweepRow(int(row["point"]), {axis: row[column[axis]] for axis in axes}, metric)


def _named_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file by column; an error names the line."""
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.DictReader(file, strict=True)
        rows = []
        for row in lines:
            if None in row or None in row.values():
                expected = len(lines.fieldnames or ())
                raise ResultsError(f"{path}, line {lines.line_num}: expected {expected} cells")
            rows.append(row)
    return rows


def _curves(path: Path) -> dict[str, Curve]:
    if not path.exists():
        return {}
    places: dict[tuple[str, str], list[tuple[Optional[float], ...]]] = {}
    for line, row in enumerate(_named_rows(path), 2):
        try:
            cells = [row[key] for key in ("time", "share", "ci_low", "ci_high")]
            place = tuple(float(cell) if cell else None for cell in cells)
            if None in place[:2]:
                raise ValueError("expected a time and a share")
            places.setdefault((row["curve"], row["unit"]), []).append(place)
        except (KeyError, ValueError) as error:
            raise ResultsError(f"{path}, line {line}: {error}") from error
    return {name: Curve(name, unit, *zip(*found)) for (name, unit), found in places.items()}


def _metric(values: Mapping[str, Any]) -> Metric:
    needed = ("name", "value", "ci_low", "ci_high", "interval", "unit", "samples", "expected")
    return Metric(
        **{key: values[key] for key in needed},
        replicates_low=values.get("replicates_low"),
        replicates_high=values.get("replicates_high"),
        by_replicate=tuple(values.get("by_replicate", ())),
    )


def _table(path: Path) -> Table:
    with path.open(encoding="utf-8", newline="") as file:
        lines = csv.reader(file)
        columns = tuple(next(lines, ()))
        rows = []
        for cells in lines:
            try:
                rows.append(_row(cells, columns))
            except ValueError as error:
                raise ResultsError(f"{path}, line {lines.line_num}: {error}") from error
    return Table(path.stem, columns, tuple(rows))


def _row(cells: Sequence[str], columns: Sequence[str]) -> tuple[Optional[float], ...]:
    if len(cells) != len(columns):
        raise ValueError(f"expected {len(columns)} cells, found {len(cells)}")
    return tuple(float(cell) if cell else None for cell in cells)
