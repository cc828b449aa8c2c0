"""How near the loads of a run came to tripping what feeds them, piece by piece."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dcsim.arrays import Float32Array, FloatArray
from dcsim.engine.frame import Frame
from dcsim.engine.watcher import Watcher
from dcsim.facility.limits import SiteLimits
from dcsim.facility.trip_ratio import elements
from dcsim.plant import Plant

PIECES = 32
"""Of a run, for each of which the highest trip ratio is kept; halves join to longer ones."""
MOST_MEANS = 2048
"""Of a run that are kept of a node's load."""
MOST_HELD = 1 << 24
"""Loads held in memory while a run is played, 64 MB: of a longer one several steps are joined."""


@dataclass(frozen=True)
class Heating:
    """One node of one run, after its warm-up. Loads as the rating feels them."""

    ratios: tuple[float, ...]
    """Highest trip ratio (`dcsim.facility.trip_ratio`) in each of `PIECES` pieces, or of the run
    where it has fewer steps."""
    loads: tuple[float, ...]
    """Root mean squares over `step_s`, as shares of the rating."""
    step_s: float
    rms: float
    """Of the run, as a share of the rating."""
    ceiling: float | None
    """Load with every server at its label, cooling and losses with it, as a share of the rating;
    None where it is unknown."""
    felt: float = 1.0
    """Highest that the rating felt over the watts that flowed: the worst pole, or volt-amperes."""

    def as_row(self) -> dict[str, Any]:
        """Return the fields as a mapping, for JSON."""
        return asdict(self)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Heating:
        """Make it from a mapping, as `as_row` gives it. Raises KeyError."""
        return cls(**{**row, "ratios": tuple(row["ratios"]), "loads": tuple(row["loads"])})


class FeltLoads(Watcher):
    """Looks on while a run goes and keeps what the ratings of some nodes feel."""

    def __init__(self, limits: SiteLimits, names: Sequence[str], steps: int, step_s: float) -> None:
        """`steps`: how many the run has."""
        self._limits = limits
        self.names = list(names)
        self._nodes = [limits.topology.find(name) for name in names]
        self._joined = 1
        while steps // self._joined * len(names) > MOST_HELD:
            self._joined *= 2
        self.step_s = step_s * self._joined
        self._held: Float32Array = np.zeros((steps // self._joined + 1, len(names)), np.float32)
        self._heat: FloatArray = np.zeros(len(names))
        self._first = 0
        self._step = 0
        self.felt: FloatArray = np.ones(len(names))
        """Highest that a rating felt over the watts that flowed."""
        self._power_step_s = step_s

    def begin(
        self, plant: Plant, warm_up_s: float, capacity_per_s: Callable[[], float | None]
    ) -> None:
        """Note when the warm-up ends: nothing is kept of it."""
        self._first = math.ceil(warm_up_s / self._power_step_s - 1e-9)

    def update(self, frame: Frame) -> bool:
        """Take the loads of a power step that has ended."""
        self._step += 1
        number = self._step - self._first - 1
        if number < 0:
            return False
        felt_w, flows = frame.felt_w[self._nodes], frame.node_w[self._nodes]
        np.maximum(self.felt, felt_w / np.maximum(flows, 1e-9), out=self.felt, where=flows > 0.0)
        self._heat += felt_w * felt_w
        if number % self._joined == self._joined - 1:
            self._held[number // self._joined] = np.sqrt(self._heat / self._joined)
            self._heat[:] = 0.0
        return False

    def heating(self, window_s: float, ceiling_w: Mapping[str, float | None]) -> dict[str, Heating]:
        """By node, of those that something may open. `window_s`: over which a mean above the
        rating is taken for a trip where there is no breaker. `ceiling_w`: loads at the labels."""
        rows = max(0, self._step - self._first) // self._joined
        heating = {}
        for name, element in elements(self._limits, self.names, window_s).items():
            place = self.names.index(name)
            load_w = self._held[:rows, place]
            if not rows:
                continue
            share = load_w.astype(np.float64) / element.rating_w
            label_w = ceiling_w.get(name)
            width = max(1, round(1.0 / self.step_s), -(-rows // MOST_MEANS))
            whole = max(1, rows // width)
            width = min(width, rows)
            heat = (share[rows - whole * width :] ** 2).reshape(whole, width).mean(axis=1)
            heating[name] = Heating(
                ratios=tuple(element.ratios(load_w, self.step_s, min(PIECES, rows)).tolist()),
                loads=tuple(np.sqrt(heat).tolist()),
                step_s=width * self.step_s,
                rms=float(np.sqrt((share**2).mean())),
                ceiling=None
                if label_w is None or not math.isfinite(label_w)
                else max(label_w * float(self.felt[place]) / element.rating_w, float(share.max())),
                felt=float(self.felt[place]),
            )
        return heating
