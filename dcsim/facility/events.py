"""Flags: what the facility says while running."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

EventKind = Literal["warning", "overload", "trip", "cleared"]


@dataclass(frozen=True, slots=True)
class FacilityEvent:
    """One flag. `margin_w` is limit minus load: negative when over."""

    time_s: float
    kind: EventKind
    node: str
    node_kind: str
    load_w: float
    limit_w: float
    margin_w: float
    message: str
