"""What a limit has seen: the highest figure, when, for how long it was above, how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from dcsim.arrays import FloatArray

LimitKind = Literal["rating", "continuous", "demand", "ramp"]
LIMIT_KINDS: tuple[LimitKind, ...] = LimitKind.__args__  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class LimitSpec:
    """A limit of one node, in words and figures."""

    node: int
    kind: LimitKind
    rule: str
    """What it is by: a standard's clause, a supplier's way of metering, a file."""
    window_s: float | None = None
    """Averaging time; of a ramp, the time within which the load may move."""
    windows: Literal["sliding", "clock"] | None = None
    """Of a demand limit: windows that slide, or blocks by the clock."""


class LimitTally:
    """Of `n` limits that are judged together. Arrays have shape (n,).

    The highest figure is the one that was the highest as a share of its limit, which may change
    with time. `crossings` counts rises from at or below a limit to above it.
    """

    def __init__(self, count: int, count_from_s: float = 0.0) -> None:
        """Figures before `count_from_s` are not counted."""
        self.count_from_s = count_from_s
        self.share = np.full(count, -np.inf)
        self.highest_w = np.full(count, np.nan)
        self.limit_w = np.full(count, np.nan)
        """The limit in force when the figure was the highest."""
        self.highest_at_s = np.full(count, np.nan)
        self.over_s = np.zeros(count)
        self.crossings = np.zeros(count, dtype=np.int64)
        self._over = np.zeros(count, dtype=bool)
        self._any_over = False
        self._higher = np.zeros(count, dtype=bool)

    def note(
        self,
        now_s: float,
        held_s: float,
        value_w: FloatArray,
        limit_w: FloatArray,
        share: FloatArray,
        *,
        apart: bool = False,
    ) -> None:
        """Figures that held for the `held_s` up to `now_s`, and their shares of the limits.
        `apart`: each is judged by itself, as blocks are: two above in a row are two crossings."""
        if now_s - held_s < self.count_from_s - 1e-6:
            return
        higher = np.greater(share, self.share, out=self._higher)
        if np.logical_or.reduce(higher):
            self.share[higher] = share[higher]
            self.highest_w[higher] = value_w[higher]
            self.limit_w[higher] = limit_w[higher]
            self.highest_at_s[higher] = now_s
        if self._any_over or np.maximum.reduce(share, initial=-np.inf) > 1.0:
            over = share > 1.0
            self.over_s[over] += held_s
            self.crossings += over if apart else over & ~self._over
            self._over = over
            self._any_over = bool(over.any())

    def row(self, at: int, limit_w: float) -> dict[str, Any]:
        """The figures of one limit for a summary; `limit_w` where nothing has been judged. What is
        unknown is None."""
        judged = bool(np.isfinite(self.share[at]))
        return {
            "limit_w": float(self.limit_w[at]) if judged else limit_w,
            "highest_w": float(self.highest_w[at]) if judged else None,
            "highest_at_s": float(self.highest_at_s[at]) if judged else None,
            "share": float(self.share[at]) if judged else None,
            "over_s": float(self.over_s[at]) if judged else None,
            "crossings": int(self.crossings[at]) if judged else None,
        }
