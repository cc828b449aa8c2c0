"""The part of a run that no figure sees, and whether it was long enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.arrays import AnyFloatArray
from dcsim.results.intervals import peak_interval

BATCH_S = 5
"""MSER-5: means over five observations, here of 1 s each."""
LEAST_BATCHES = 12
"""A minute. Fewer batches tell nothing."""
LOOK_S = 300.0
LOOK_CUTS = 10
"""The start is judged over five minutes, or ten times the warm-up if that is longer: over a whole
day the traffic's own course would be taken for a warm-up."""
MATERIAL = 0.005
"""Of the mean: figures that move by less are no reason for a longer warm-up."""
FILLED = 0.9
"""Expected share of the steady number of requests in service below which it is too early."""
LOOKS = 100
"""A longer run may have a longer warm-up: so often is it worked out anew."""


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What is left out of a run's figures, known before it starts."""

    cut_s: float = 0.0
    """Figures are of what comes after."""
    rule: str = "none"
    """Where that comes from, in words."""
    filled: float | None = None
    """Requests expected in service at `cut_s`, over those in steady state; None: unknown."""
    wanted_s: float | None = None
    """What `cut_s` would be in a run that is long enough; None: as it is."""
    most: float = 1.0
    """The largest share of a run that is left out."""

    def shortest_run_s(self, window_s: float, block_clock_s: float | None = None) -> float:
        """How long a run must be for one whole window after the warm-up.

        `block_clock_s`: for blocks by the clock, the time of day at which the run starts (0 where
        it is unknown: blocks are then counted from the run's start); None: windows slide.
        """
        wanted_s = self.cut_s if self.wanted_s is None else self.wanted_s
        run_s = window_s
        for _ in range(LOOKS):
            begun_s = min(wanted_s, self.most * run_s)
            if block_clock_s is not None:
                block = math.ceil((block_clock_s + begun_s) / window_s - 1e-9)
                begun_s = block * window_s - block_clock_s
            if begun_s + window_s <= run_s + 1e-6:
                break
            run_s = begun_s + window_s
        return run_s


def mser5(load: npt.ArrayLike) -> float | None:
    """Where the start-up of a series of 1 s observations ends, in s from its start.

    White, "An Effective Truncation Heuristic for Bias Reduction in Simulation Output",
    Simulation 69 (1997) 323-334: of the batch means of five observations, as many are left out as
    make the squared standard error of the mean of the rest smallest. None where that is found in
    the second half, which means that the series is too short or does not settle, and for fewer
    than twelve batches.
    """
    values = np.asarray(load, dtype=np.float64)
    count = len(values) // BATCH_S
    if count < LEAST_BATCHES:
        return None
    batches = values[: count * BATCH_S].reshape(count, BATCH_S).mean(axis=1)
    left = np.arange(count, 0, -1, dtype=np.float64)  # batches that stay if 0, 1, ... are cut
    # About their mean, since squares of watts less a square lose digits.
    centred = (batches - batches.mean())[::-1]
    sums, squares = np.cumsum(centred)[::-1], np.cumsum(centred**2)[::-1]
    error = (squares - sums**2 / left) / left**2
    # A constant load has no error but that of rounding.
    error[error < 1e-12 * (batches.mean() ** 2 + 1.0) / count] = 0.0
    # A few batches may agree by chance: the last five are never what stays.
    cut = int(np.argmin(error[: count - 5]))
    return None if cut > count // 2 else float(cut * BATCH_S)


def described(warm_up: WarmUp, site_w: AnyFloatArray, step_s: float) -> dict[str, Any]:
    """The summary's `warm_up`: what was cut, what MSER-5 says of the site's load, `site_w` by
    power step over the whole run, and whether it was enough (None where that cannot be told).

    It was enough where a cut at MSER-5's point instead would not move the mean of what is measured
    by more than `MATERIAL` of it, and the peak not either, or no further than the peak of another
    run is expected to lie from what comes after (`peak_interval`).
    """
    loads_w = np.asarray(site_w, dtype=np.float64)
    look_s = max(LOOK_S, LOOK_CUTS * warm_up.cut_s)
    width = max(1, round(1.0 / step_s))
    rows = min(len(loads_w), round(look_s / step_s)) // width * width
    seconds_w = loads_w[:rows].reshape(-1, width).mean(axis=1)
    known = bool(len(seconds_w)) and bool(np.isfinite(loads_w).all())
    found_s = mser5(seconds_w) if known and width * step_s <= 1.0 + 1e-9 else None
    enough: bool | None = None
    mean_moves = peak_moves = None
    if found_s is not None:
        first, other = round(warm_up.cut_s / step_s), round(found_s / step_s)
        mean_moves, peak_moves, peak_is_chance = 0.0, 0.0, True
        # A cut beyond MSER-5's point has left the start-up out.
        if first < other < len(loads_w):
            now, then = loads_w[first:], loads_w[other:]
            mean_w = float(then.mean())
            if mean_w > 0.0:
                mean_moves = float(then.mean() - now.mean()) / mean_w
                peak_moves = float(then.max() - now.max()) / mean_w
                reached_w = peak_interval(then).high  # no number where that cannot be told
                peak_is_chance = bool(now.max() <= reached_w)
            elif now.any():  # a site that went dark: no share of nothing
                mean_moves = peak_moves = None
        if mean_moves is None or peak_moves is None:
            enough = False
        else:
            enough = abs(mean_moves) <= MATERIAL and (peak_is_chance or abs(peak_moves) <= MATERIAL)
    if warm_up.filled is not None and warm_up.filled < FILLED:
        enough = False
    return {
        "cut_s": warm_up.cut_s,
        "rule": warm_up.rule,
        "filled": warm_up.filled,
        "mser5_s": found_s,
        "mean_moves": mean_moves,
        "peak_moves": peak_moves,
        "enough": enough,
    }
