"""A study's folder as the page reads it, checked against docs/studies/format.md."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from dcsim.errors import StudyPageError
from dcsim.report.charts.model import Unit
from dcsim.report.figure_names import unit_of

FORMAT, FORMAT_VERSION = "dcsim-study", 1
MOST_ROWS = 5000
"""Rows of one table in the page; the folder has them all."""
MOST_CELLS = 250_000
"""Of all tables together, so that the page stays under 10 MB; later tables get what is left."""


class _StudyPart(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ColumnFile(_StudyPart):
    """One column, as described."""

    name: str
    about: str | None = ""


class TableFile(_StudyPart):
    """One table, as described."""

    name: str
    title: str | None = None
    rows: int = 0
    columns: list[ColumnFile]
    shown: list[str] = []
    files: list[str]


class PlotSpec(_StudyPart):
    """A picture worth making."""

    table: str
    title: str = ""
    kind: str = "line"
    x: str
    y: list[str]
    by: str | None = None
    limit: str | None = None
    levels: list[str] = []


class CardSpec(_StudyPart):
    """A figure to show first."""

    figure: str
    words: str = ""


class ConfigurationSource(_StudyPart):
    """Where a power model's watts come from."""

    configuration: str | None = None
    evidence: str | None = None
    source: str | None = None


class Evidence(_StudyPart):
    """A power model."""

    provenance: list[ConfigurationSource] = []
    watts: str | None = None
    """Shares of the site's watts by what they stand on, in words."""


class ScenarioText(_StudyPart):
    """The scenario."""

    file: str = ""
    name: str = ""
    yaml: str = ""


class Runs(_StudyPart):
    """What the answer rests on."""

    used: int | None = None


class StudyFile(_StudyPart):
    """study.json. A key that is left out is empty."""

    study: str = ""
    status: str = "done"
    error: str | None = None
    scenario: ScenarioText = ScenarioText()
    inputs: dict[str, Any] = {}
    headline: list[str] = []
    reasons: list[str] = []
    uncertainty: list[str] = []
    figures: dict[str, Any] = {}
    cards: list[CardSpec] = []
    evidence: list[Evidence] = []
    tables: list[TableFile] = []
    plots: list[PlotSpec] = []
    versions: dict[str, Any] = {}
    runs: Runs = Runs()


def read_study(folder: Path) -> StudyFile:
    """study.json of `folder`. Raises StudyPageError."""
    path = folder / "study.json"
    try:
        # NaN and Infinity are not JSON, but some write them: unknown.
        text = path.read_text(encoding="utf-8")
        data = json.loads(text, parse_constant=lambda _: None)
    except FileNotFoundError:
        raise StudyPageError(f"{folder}: no study.json here, so this is no study") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StudyPageError(f"{path}: damaged ({error})") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise StudyPageError(f"{path}: not one of dcsim's studies")
    version = data.get("format_version", 0)
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise StudyPageError(
            f"{path}: format version {version}; this dcsim reads up to {FORMAT_VERSION}"
        )
    try:
        return StudyFile.model_validate(data)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(str(part) for part in row['loc'])}: "
            f"{row['msg'].partition(' or instance of')[0]}"
            for row in error.errors()
        )
        raise StudyPageError(f"{path}: damaged ({wrong})") from None


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """A column with its values: numbers as numbers, what is unknown as None."""

    name: str
    about: str
    unit: Unit
    values: list[Any]


@dataclass(frozen=True, slots=True)
class TableValues:
    """A table with its values."""

    name: str
    title: str
    shown: list[str]
    """Columns for a first look."""
    rows: int
    """Of the folder, of which the page may have the first only."""
    columns: list[ColumnValues]

    def column(self, name: str | None) -> ColumnValues | None:
        """None where there is none of that name."""
        return next((column for column in self.columns if column.name == name), None)

    def values(self, name: str | None) -> list[Any]:
        """Of a column; empty where there is none of that name."""
        column = self.column(name)
        return [] if column is None else column.values


def read_table(folder: Path, table: TableFile, cells: int = MOST_CELLS) -> TableValues:
    """A table's columns, of at most MOST_ROWS rows and `cells` cells. Raises StudyPageError."""
    most = max(0, min(MOST_ROWS, cells // max(1, len(table.columns))))
    try:
        csv = next(file for file in table.files if file.endswith(".csv"))
        path = folder / csv
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{csv} is outside of the folder")
        frame = pd.read_csv(path, nrows=most, keep_default_na=False, na_values=[""])
        columns = []
        for column in table.columns:
            about = column.about or ""
            values = [_cell(value) for value in frame[column.name].tolist()]
            columns.append(ColumnValues(column.name, about, unit_of(column.name, about), values))
    except StopIteration:
        raise StudyPageError(f"{folder}: table {table.name} has no CSV file") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StudyPageError(f"{folder}: damaged table {table.name} ({error})") from None
    return TableValues(
        table.name,
        table.title or table.name,
        [name for name in table.shown if name in frame.columns],
        max(table.rows, len(frame)),
        columns,
    )


def read_tables(folder: Path, study: StudyFile) -> list[TableValues]:
    """All tables, of MOST_CELLS cells together: later ones get what is left. Raises
    StudyPageError."""
    tables: list[TableValues] = []
    left = MOST_CELLS
    for described in study.tables:
        tables.append(read_table(folder, described, left))
        left -= sum(len(column.values) for column in tables[-1].columns)
    return tables


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if isinstance(value, int | bool) else str(value)
