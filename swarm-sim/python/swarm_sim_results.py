"""Reads the folder that `swarm-sim run` wrote. Needs the standard library only; `frame` needs pandas.

    from swarm_sim_results import read_run
    run = read_run("runs/churn")
    run.metrics["nodes_moved"].value
    run.tables["steps"].column("nodes")
"""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping, Optional, Sequence, Union

__all__ = ["Metric", "ResultsError", "Run", "Table", "read_run"]


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
    # metrics.csv says what results.json says.
    files = [file for file in sorted(folder.glob("*.csv")) if file.name != "metrics.csv"]
    tables = {file.stem: _table(file) for file in files}
    return Run(**plain, settings=settings, leaves_out=leaves_out, metrics=metrics, tables=tables)


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
