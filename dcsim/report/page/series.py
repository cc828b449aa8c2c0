"""Which loads the page carries, and how finely.

A day of a site at a quarter second is far more than a page can hold. Each level gets its share of
a budget of values and the finest interval that fits it: the site every step, racks perhaps the
lowest, mean and highest load of every 16 s. The script draws coarser views from these. Around
each node's peak, and around flags, the recorded steps themselves are kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from dcsim.arrays import FloatArray
from dcsim.report.charts.run import duration_w
from dcsim.report.page.pack import Packer
from dcsim.results import Results

BUDGET = 3_200_000
"""Values in all; packed, about 1.3 bytes each."""
AROUND_S = 45.0
"""Recorded steps are kept so long before and after a node's peak or a flag."""
MOST_FLAGS = 150
"""Flags, the first of their kinds at their nodes first, whose surroundings are kept."""
AT_ONCE = 64
"""Nodes read together: as many as the file keeps in one chunk."""
AVERAGED_S = (1.0, 60.0, 900.0)
"""Averaging times at which variation is compared, the power step aside."""


@dataclass(slots=True)
class PackedLevel:
    """All nodes of one kind."""

    kind: str
    names: list[str]
    recorded_s: float
    factor: int
    """Recorded steps in one interval of the page."""
    points: int
    at: list[int] = field(default_factory=list)
    low: list[list[float]] = field(default_factory=list)
    scale: list[list[float]] = field(default_factory=list)

    @property
    def stats(self) -> int:
        """1: the recorded means; 3: mean, lowest and highest step."""
        return 1 if self.factor == 1 else 3


@dataclass(slots=True)
class PackedLoads:
    """What the page shows of all series."""

    levels: list[PackedLevel]
    details: list[dict[str, Any]]
    duration_w: dict[str, FloatArray]
    """By node, as `dcsim.report.charts.run.duration_w` gives it."""
    variation: dict[str, dict[float, float]]
    """By node: standard deviation over mean, by averaging time in seconds, the recorded step
    first."""


def levels(results: Results, nodes: pd.DataFrame, budget: int = BUDGET) -> list[PackedLevel]:
    """Each kind with the interval that its share of the budget affords, from the top down; what
    one leaves goes to those below."""
    kinds = list(dict.fromkeys(nodes["kind"]))
    chosen = []
    left = budget
    for i, kind in enumerate(kinds):
        names = [str(name) for name in nodes.index[nodes["kind"] == kind]]
        recorded_s = results.server_step_s if kind == "server" else results.step_s
        rows = max(1, math.ceil(results.duration_s / recorded_s - 1e-9))
        share = left // (len(kinds) - i)
        factor = 1
        while factor < rows and len(names) * _values(rows, factor) > share:
            factor *= 2
        points = -(-rows // factor)
        left = max(0, left - len(names) * _values(rows, factor))
        chosen.append(PackedLevel(str(kind), names, recorded_s, factor, points))
    return chosen


def _values(rows: int, factor: int) -> int:
    return rows if factor == 1 else 3 * -(-rows // factor)


def gather(results: Results, packer: Packer, budget: int = BUDGET) -> PackedLoads:
    """Read every series once."""
    nodes = results.nodes()
    loads = PackedLoads(levels(results, nodes, budget), [], {}, {})
    flags = _flags(results.events())
    together: list[float] = []
    """The site's peak, around which every node's steps are kept."""
    for level in loads.levels:
        first = math.ceil(results.warm_up_s / level.recorded_s - 1e-9)
        for name, load_w in _series_of(results, level):
            measured_w = load_w[first:]
            peak_at = [first * level.recorded_s + at for at in _peak(measured_w, level.recorded_s)]
            together = together or peak_at
            _pack(level, load_w, packer)
            curve_w = duration_w(measured_w)
            if curve_w is not None:
                loads.duration_w[name] = curve_w
                loads.variation[name] = _variation(measured_w, level.recorded_s)
            if level.factor > 1 and curve_w is not None:
                moments = [*flags.get(name, ()), *peak_at, *together]
                for low, high in _windows(moments, level, len(load_w)):
                    packed = packer.add(load_w[low:high])
                    loads.details.append(
                        {"node": name, "first": low, "count": high - low,
                         "at": packed.at, "low": packed.low, "scale": packed.scale}
                    )  # fmt: skip
    return loads


def _peak(load_w: FloatArray, step_s: float) -> list[float]:
    """The end of the highest step; none where no load is known."""
    if not np.isfinite(load_w).any():
        return []
    return [(int(np.nanargmax(load_w)) + 1) * step_s]


def _series_of(results: Results, level: PackedLevel) -> Iterator[tuple[str, FloatArray]]:
    for low in range(0, len(level.names), AT_ONCE):
        names = level.names[low : low + AT_ONCE]
        block = results.load_w(level.kind, nodes=names).to_numpy()
        for column, name in enumerate(names):
            yield name, block[:, column].astype(np.float64)


def _pack(level: PackedLevel, load_w: FloatArray, packer: Packer) -> None:
    if level.factor == 1:
        packed = [packer.add(load_w)]
    else:
        whole = len(load_w) // level.factor * level.factor
        shaped = load_w[:whole].reshape(-1, level.factor)
        rest = load_w[whole:]
        parts = []
        for work in (np.mean, np.min, np.max):
            values = work(shaped, axis=1)
            parts.append(np.append(values, work(rest)) if len(rest) else values)
        mean, low, high = parts
        # Distances from the mean are small, and pack better.
        packed = [packer.add(mean), packer.add(mean - low), packer.add(high - mean)]
    level.at.append(packed[0].at)
    level.low.append([part.low for part in packed])
    level.scale.append([part.scale for part in packed])


def _variation(load_w: FloatArray, step_s: float) -> dict[float, float]:
    by_width: dict[float, float] = {}
    for width_s in (step_s, *AVERAGED_S):
        width = round(width_s / step_s)
        if width < 1 or abs(width * step_s - width_s) > 1e-9 * width_s:
            continue
        whole = len(load_w) // width
        if whole < 4:
            continue
        means = load_w[: whole * width].reshape(whole, width).mean(axis=1)
        mean = float(means.mean())
        if mean > 0:
            by_width[width_s] = float(means.std()) / mean
    return by_width


def _flags(events: pd.DataFrame) -> Mapping[str, list[float]]:
    """Times by node of the flags whose surroundings are kept."""
    raised = events[~events["kind"].isin(("cleared",))]
    first = raised.drop_duplicates(["kind", "node"])
    rest = raised.drop(first.index)
    kept = pd.concat([first, rest]).head(MOST_FLAGS)
    return {str(node): rows["time_s"].tolist() for node, rows in kept.groupby("node")}


def _windows(moments: list[float], level: PackedLevel, rows: int) -> list[tuple[int, int]]:
    """Ranges of steps around moments, whole intervals of the page, overlapping ones made one."""
    around = max(1, round(AROUND_S / level.recorded_s))
    whole = level.factor
    windows: list[tuple[int, int]] = []
    for moment in sorted(moments):
        step = round(moment / level.recorded_s)
        low = max(0, step - around) // whole * whole
        high = min(rows, -(-(step + around) // whole) * whole)
        if windows and low <= windows[-1][1]:
            windows[-1] = (windows[-1][0], max(high, windows[-1][1]))
        elif high > low:
            windows.append((low, high))
    return windows
