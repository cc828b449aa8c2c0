"""Rows of `summary["limits"]` in words, the same in every table and page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from dcsim.spec.units import SECOND, WATT

LimitRow = Mapping[str, Any]


def label(row: LimitRow) -> str:
    """What is limited, and to how much: `15 min demand 1 MW`, `continuous 480 kW`."""
    return f"{kind_label(row)} {_watts(row['limit_w'])}"


def kind_label(row: LimitRow) -> str:
    """What is limited: `15 min demand`, `15 min demand by the clock`, `1 min ramp`, `rating`."""
    kind = str(row["kind"])
    if kind in ("rating", "continuous"):
        return kind
    by = " by the clock" if row["windows"] == "clock" else ""
    return f"{SECOND.format(row['window_s'])} {kind}{by}"


def unjudged(row: LimitRow) -> str:
    """Why a limit could not be judged, how it stood, and what to do: a sentence without its
    stop."""
    measured_s, partial_w = row["measured_s"], row["partial_w"]
    what = "block by the clock" if row["windows"] == "clock" else "window"
    needed_s = row.get("needs_run_s")
    # Whole minutes are easily typed; a window of seconds needs seconds.
    unit_s = 60.0 if needed_s is not None and needed_s >= 60.0 else 1.0
    remedy = (
        "play longer"
        if needed_s is None
        else f"play at least {SECOND.format(math.ceil(needed_s / unit_s - 1e-9) * unit_s)}"
    )
    if partial_w is None:
        return f"{row['node']}, {label(row)}: no whole {what} was measured; {remedy}"
    return (
        f"{row['node']}, {label(row)}: no whole {what} in the {SECOND.format(measured_s)} "
        f"measured, whose mean is {_watts(float(f'{partial_w:.4g}'))}; {remedy}"
    )


def _watts(watts: float) -> str:
    """Six digits at most, or five where six would need watts: an ampere rating is no round number
    of them."""
    text = WATT.format(float(f"{watts:.6g}"))
    if watts >= 10e3 and text.endswith(" W"):
        return WATT.format(float(f"{watts:.5g}"))
    return text
