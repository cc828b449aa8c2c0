"""Figures of runs as tables and sentences have them: what is unknown is NaN, and is said so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dcsim.spec.units import WATT
from dcsim.studies.outcome import RunOutcome

NAN = float("nan")


def or_nan(value: float | None) -> float:
    """Return NaN for None, and any other value as it is."""
    return NAN if value is None else float(value)


def mean(values: Iterable[float | None]) -> float:
    """Return the mean; NaN where a value is unknown."""
    return float(np.mean([or_nan(value) for value in values]))


def mean_of_known(values: Iterable[float | None]) -> float:
    """Return the mean of the values that are known; NaN where none is."""
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else NAN


def watts_text(watts: float | None) -> str:
    """Write watts in four digits with their unit: `1.573 MW`."""
    return "unknown" if watts is None else WATT.format(float(f"{watts:.4g}"))


def name_list(names: Sequence[str]) -> str:
    """Write the first three names and the number of others: `a, b, c and 4 more`."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")


def fitting_window_s(outcome: RunOutcome, window_s: float) -> float:
    """The longest averaging time of a run's load figures that is no longer than one, s."""
    times_s = (row["resolution_s"] for row in outcome.loads)
    return float(max(time_s for time_s in times_s if time_s <= window_s + 1e-9))
