"""A study's answer on the terminal, and as JSON."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from dcsim.report.text import UNKNOWN, watts
from dcsim.studies.answer import Answer
from dcsim.studies.answer import Table as StudyTable
from dcsim.studies.folder import plain

ROWS = 20
"""Of each table; the rest is in the folder."""
EXACT = 100_000
"""Larger figures, unless they count something, are told in four digits."""
PIPE_WIDTH = 140
"""Columns where there is no terminal to ask."""


def to_dict(answer: Answer) -> dict[str, Any]:
    """The answer with all its tables, as `--json` prints it; what is unknown is null."""
    content = {
        "study": answer.study,
        "headline": list(answer.headline),
        "reasons": list(answer.reasons),
        "uncertainty": list(answer.uncertainty),
        "inputs": answer.inputs,
        "figures": answer.figures,
        "evidence": list(answer.evidence),
        "tables": {
            name: [
                {str(key): None if _missing(value) else value for key, value in row.items()}
                for row in table.frame.to_dict("records")
            ]
            for name, table in answer.tables.items()
        },
    }
    plained: dict[str, Any] = plain(content)
    return plained


def render(answer: Answer, console: Console | None = None) -> None:
    """Headline, tables with columns to show, reasons, and how sure it is."""
    console = console or Console()
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    for line in answer.headline:
        console.print(line, style="bold", highlight=False, markup=False)
    for table in map(_with_known_rows, answer.tables.values()):
        rows = min(ROWS, len(table.frame) if table.brief is None else table.brief)
        if table.shown and rows:
            console.print(_table(table, rows))
        left = len(table.frame) - rows
        if table.shown and left and table.rest:
            console.print(table.rest, highlight=False, markup=False)
        elif table.shown and left:
            console.print(f"... and {left:,} rows more (--out keeps all).")
    for title, lines in (("Why", answer.reasons), ("How sure", answer.uncertainty)):
        for number, line in enumerate(lines):
            head = f"{title}: " if number == 0 else " " * (len(title) + 2)
            console.print(head + line, highlight=False, markup=False)


def _with_known_rows(table: StudyTable) -> StudyTable:
    """The table without rows of which the figure that matters is unknown."""
    if not table.known:
        return table
    return replace(table, frame=table.frame[~table.frame[table.known].map(_missing)])


def _table(kept: StudyTable, rows: int) -> Table:
    """Its first rows; a column of which nothing is known there is left out."""
    shown = kept.frame[list(kept.shown)].head(rows)
    names = [name for name in kept.shown if not shown[name].map(_missing).all()]
    shown = shown[names]
    table = Table(
        box=SIMPLE_HEAD, header_style="bold", pad_edge=False, title=kept.title, title_justify="left"
    )
    for column in names:
        numeric = pd.api.types.is_numeric_dtype(shown[column].dtype)
        table.add_column(table_head(column), justify="right" if numeric else "left")
    for column in names:
        if shown[column].map(_is_path).any():
            shown = shown.assign(**{column: _short(shown[column].tolist())})
    for row in shown.itertuples(index=False):
        table.add_row(*(table_cell(n, value) for n, value in zip(names, row, strict=True)))
    return table


def _short(names: list[Any]) -> list[Any]:
    """Paths of nodes by their last parts, as many as tell them apart."""
    paths = {name for name in names if _is_path(name)}
    parts = 1
    while len({tuple(path.split("/")[-parts:]) for path in paths}) < len(paths):
        parts += 1
    return ["/".join(n.split("/")[-parts:]) if _is_path(n) else n for n in names]


def _is_path(value: Any) -> bool:
    """A node below another; not a formula or a unit, which have a "/" too."""
    return isinstance(value, str) and "/" in value and not any(map(str.isspace, value))


def table_head(column: str) -> str:
    """`ttft_p95_s` as `ttft p95, s`; watts are shown with their prefix, cell by cell."""
    words, _, unit = column.rpartition("_")
    if unit == "w":
        return words.replace("_", " ")
    if unit == "s" and words:
        return words.replace("_", " ") + ", s"
    return column if "." in column else column.replace("_", " ")


def table_cell(column: str, value: Any) -> str:
    """A value as it is shown under a column's name; watts with their unit."""
    if _missing(value):
        return UNKNOWN
    if column.endswith("_w") and isinstance(value, int | float):
        return watts(float(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < EXACT):
        return f"{value:,.0f}"
    # A simulated forecast of seven digits pretends to know them.
    return f"{float(f'{value:.4g}'):,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value)) or value is pd.NA


class StudyProgress:
    """Runs played of those wanted, with the time left; a line at each batch's end in a pipe."""

    def __init__(self, quiet: bool) -> None:
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._bar: Progress | None = None
        self._task: Any = None
        self._batch_text = ""

    def __enter__(self) -> StudyProgress:
        if not self._quiet and self._console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("time left"),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, runs: int, cached: int) -> None:
        """A batch of so many runs starts, of which some are there already."""
        self._batch_text = f"{what}: {runs:,} run{'s' * (runs != 1)}" + (
            f", {cached:,} of them played before" if cached else ""
        )
        if self._bar is not None:
            self._task = self._bar.add_task(what, total=runs, completed=cached)
        elif not self._quiet:
            self._console.print(self._batch_text, highlight=False, markup=False)

    def advance(self) -> None:
        """One more run was played."""
        if self._bar is not None:
            self._bar.advance(self._task)

    def end(self) -> None:
        """The batch is done."""
        if self._bar is not None:
            self._bar.remove_task(self._task)
