"""Thresholds with delays: when a load is worth a flag, and when it no longer is."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.facility.tolerance import ROUNDING_S
from dcsim.scenario.models import Limits

HYSTERESIS = 0.02
CLEAR_AFTER_S = 60.0
"""A flag is taken back when the load has stayed HYSTERESIS x rating below its threshold for
CLEAR_AFTER_S. A row's load trembles by some 2 % from one quarter second to the next: with the gap
alone, a row whose mean stood at its rating was flagged nearly 300 times an hour."""


class ThresholdChange(NamedTuple):
    """A flag raised or taken back; `row` counts the rated nodes."""

    level: Literal["warning", "overload"]
    row: int
    raised: bool
    above_s: float
    """Time above the threshold since the flag was raised, the delay before it included."""
    since_s: float
    """Time since then."""


class ThresholdDetector:
    """The warning and the overload threshold over `rows` nodes. Arrays are (2 levels, rows)."""

    def __init__(self, limits: Limits, rows: int) -> None:
        self._names: tuple[Literal["warning", "overload"], ...] = ("warning", "overload")
        fractions = np.array([[limits.warning_fraction], [1.0]])
        self._threshold = fractions
        self._dropout = fractions - HYSTERESIS
        self._after_s = np.array([[limits.warning_after_s], [limits.overload_after_s]]) - ROUNDING_S
        self._lowest = float(fractions.min())
        self._over = np.zeros((2, rows), dtype=bool)
        self._over_s = np.zeros((2, rows))
        self._calm_s = np.zeros((2, rows))
        self._on = np.zeros((2, rows), dtype=bool)
        self._above_s = np.zeros((2, rows))
        self._since_s = np.zeros((2, rows))
        self._any_on = False
        self._any_over = False

    def step(self, share: FloatArray, step_s: float) -> list[ThresholdChange]:
        """What changes at the end of a step with loads at `share` of their ratings, (rows,)."""
        # Most steps of most sites end here.
        if not (self._any_on or self._any_over) and share.max() <= self._lowest:
            return []
        over = np.greater(share, self._threshold, out=self._over)
        self._any_over = bool(over.any())
        self._over_s += step_s
        self._over_s *= over
        # Of flags that are raised, or would be by and by.
        lasts = over | self._on
        self._above_s += np.where(over, step_s, 0.0)
        self._above_s *= lasts
        self._since_s += step_s
        self._since_s *= lasts
        due = self._over_s >= self._after_s
        due &= over
        changed = due > self._on  # due and not raised yet
        if self._any_on:
            calm = share < self._dropout
            calm &= self._on
            self._calm_s += step_s
            self._calm_s *= calm
            changed |= self._calm_s >= CLEAR_AFTER_S - ROUNDING_S
        if not changed.any():
            return []
        self._on ^= changed
        self._calm_s[changed] = 0.0
        self._any_on = bool(self._on.any())
        changes = [
            ThresholdChange(
                self._names[level],
                row,
                bool(self._on[level, row]),
                float(self._above_s[level, row]),
                float(self._since_s[level, row]),
            )
            for level, row in np.argwhere(changed).tolist()
        ]
        self._above_s *= self._on
        self._since_s *= self._on
        return changes
