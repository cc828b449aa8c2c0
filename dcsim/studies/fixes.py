"""Listed fixes: what a planner could do about a limit, and what it costs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dcsim.errors import StudyError
from dcsim.studies.ask import parse_changes

SYNTAX = "write 'NAME | COST | PATH=VALUE | PATH=VALUE ...'"


def parse_named(text: str, option: str) -> tuple[str, dict[str, Any]]:
    """Read a name and changes from `NAME | PATH=VALUE | ...`. Raises StudyError."""
    name, *rest = (part.strip() for part in text.split("|"))
    if not name or not rest:
        raise StudyError(f"{option}: '{text}' changes nothing (write 'NAME | PATH=VALUE | ...')")
    return name, parse_changes(rest, option)


def refuse_seed(changes: Mapping[str, Any], option: str) -> None:
    """Before and after are played with the study's seeds: one among the changes would be lost.

    Raises StudyError.
    """
    if "seed" in changes:
        raise StudyError(f"{option}: seed: the study gives every run its seed (use --seeds)")


@dataclass(frozen=True)
class Fix:
    """Changes to a scenario under a name, and their cost in any one currency."""

    name: str
    cost: float
    changes: Mapping[str, Any]

    def __post_init__(self) -> None:
        refuse_seed(self.changes, "--fix")

    @classmethod
    def parse(cls, text: str) -> Fix:
        """From `bigger feeder | 40000 | facility.row.rating=700 kW`. Raises StudyError."""
        name, *rest = (part.strip() for part in text.split("|"))
        try:
            cost = float(rest[0].replace(",", "").replace("_", ""))
        except (IndexError, ValueError):
            raise StudyError(f"--fix: '{text}' has no cost ({SYNTAX})") from None
        if not math.isfinite(cost) or cost < 0:
            raise StudyError(f"--fix: the cost of '{name}' must be 0 or more")
        if not name or not rest[1:]:
            raise StudyError(f"--fix: '{text}' changes nothing ({SYNTAX})")
        return cls(name, cost, parse_changes(rest[1:], "--fix"))
