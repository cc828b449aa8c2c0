"""A study's folder as the page reads it, checked against docs/studies/format.md."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict, ValidationError

from dcsim.errors import StudyPageError

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


def read_table(folder: Path, table: TableFile, cells: int = MOST_CELLS) -> dict[str, Any]:
    """A table's columns as lists; numbers as numbers, what is unknown as None.

    `rows` is what the folder has, of which at most MOST_ROWS and `cells` cells are read. Raises
    StudyPageError.
    """
    most = max(0, min(MOST_ROWS, cells // max(1, len(table.columns))))
    try:
        csv = next(file for file in table.files if file.endswith(".csv"))
        path = folder / csv
        if not path.resolve().is_relative_to(folder.resolve()):
            raise ValueError(f"{csv} is outside of the folder")
        frame = pd.read_csv(path, nrows=most, keep_default_na=False, na_values=[""])
        columns = [
            {
                "name": column.name,
                "about": column.about or "",
                "values": [_cell(value) for value in frame[column.name].tolist()],
            }
            for column in table.columns
        ]
    except StopIteration:
        raise StudyPageError(f"{folder}: table {table.name} has no CSV file") from None
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise StudyPageError(f"{folder}: damaged table {table.name} ({error})") from None
    return {
        "name": table.name,
        "title": table.title or table.name,
        "shown": [name for name in table.shown if name in frame.columns],
        "rows": max(table.rows, len(frame)),
        "columns": columns,
    }


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}") if math.isfinite(value) else None
    return value if isinstance(value, int | bool) else str(value)
