"""Flags: what the facility says while running."""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.records import EventKind


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


def percent(share: float) -> str:
    """`85.0 %` from 0.85."""
    return f"{100.0 * share:.1f} %"


def duration(time_s: float) -> str:
    """A span of time for a message: `0.75 s`, `64 s`, `12.5 min` or `3.2 h`."""
    if time_s < 120.0:
        return f"{time_s:.3g} s"
    return f"{time_s / 60.0:.3g} min" if time_s < 7200.0 else f"{time_s / 3600.0:.3g} h"
