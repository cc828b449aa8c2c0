"""What a study gives back: frames, and what they say in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from dcsim.studies.outcome import RunOutcome


@dataclass(frozen=True)
class Table:
    """One frame, tidy: a row an observation. `columns` says what each column is, with its unit."""

    frame: pd.DataFrame
    title: str
    columns: Mapping[str, str] = field(default_factory=dict)
    shown: Sequence[str] = ()
    """Columns for where there is little room, such as a terminal; none: the table is for files."""
    brief: int | None = None
    """Rows from the top for where there is little room; None: as many as there is room for."""
    known: str = ""
    """Column without whose value a row is left out there; none: all rows are kept."""
    rest: str = ""
    """The other rows in a sentence, told where `brief` leaves them out."""


@dataclass(frozen=True)
class Plot:
    """A picture worth making of a table: columns by name."""

    table: str
    title: str
    x: str
    y: Sequence[str]
    by: str | None = None
    """Column whose values are lines of their own."""
    kind: str = "line"
    limit: str | None = None
    """Column of a limit to draw as a line across."""
    levels: Sequence[str] = ()
    """Columns of other lines across, such as what may be drawn continuously."""


@dataclass(frozen=True)
class Card:
    """One of the few figures that a page shows first."""

    figure: str
    """Key of `Answer.figures`."""
    words: str
    """What it is, such as "racks that fit"."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The answer to a planner's question.

    - `study`: its registered name, filled in by `Study.answer`.
    - `headline`: the answer in a line or two.
    - `reasons`: why it is so, a sentence each.
    - `uncertainty`: how sure it is, and what is not in it, a sentence each.
    - `inputs`: all that went in, defaults too, by the study's fields; a study gives those that it
      resolved, such as the seeds that were used, and `Study.answer` the others.
    - `figures`: the numbers of the headline, for scripts.
    - `tables`: the first is the main one, which `frame` is short for.
    """

    study: str = ""
    headline: tuple[str, ...]
    reasons: tuple[str, ...]
    uncertainty: tuple[str, ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    figures: dict[str, Any]
    tables: dict[str, Table]
    plots: tuple[Plot, ...] = ()
    """The first is the main picture."""
    cards: tuple[Card, ...] = ()
    """The figures that matter most, in words; none: all of them, by their names."""
    runs: Sequence[RunOutcome] = field(default=(), repr=False)
    """Runs that it rests on, those that speak for the site first. How busy they were, and what
    their watts stand on, is added to the answer by `Study.answer`, which then lets go of them."""
    evidence: tuple[dict[str, Any], ...] = ()
    """What stands behind the watts: power models with their provenance. Filled in from `runs`."""

    @property
    def frame(self) -> pd.DataFrame:
        """The main table."""
        return next(iter(self.tables.values())).frame
