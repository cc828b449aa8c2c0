"""Flags: what the facility says while running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EventKind = Literal[
    "warning",
    "overload",
    "trip",
    "cleared",
    "predicted",
    "demand",
    "ramp",
    "fault",
    "repaired",
    "reclosed",
    "transfer",
    "on-battery",
    "depleted",
    "dark",
    "restored",
    "limited",
    "braked",
    "released",
]
"""docs/facility.md says when each is raised; the last three are told by policies."""


@dataclass(frozen=True, slots=True)
class FacilityEvent:
    """One flag. `margin_w` is limit minus load: negative when over, NaN without a limit."""

    time_s: float
    kind: EventKind
    node: str
    node_kind: str
    load_w: float
    limit_w: float
    margin_w: float
    message: str
