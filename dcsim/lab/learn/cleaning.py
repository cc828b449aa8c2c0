"""What stands between a log and a fit: clocks that differ, meters that lag, starts, gaps, slips.

Everything here is estimated from the logs themselves, and said: which offset, how sure. A log of
watts and what the work says they should be (the linear ledger model) are laid over each other; the
shift at which they fit best is the offset of the clocks, the width of the trailing mean that fits
best is the meter's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import AnyArray, BoolArray, FloatArray
from dcsim.lab.sensor import trailing_mean

FINE_S = 0.05
"""Grid on which shifts are tried."""
WIDTHS_S = (0.0, 0.5, 1.0, 2.0)
"""Trailing means tried; an H100's is 1 s, an A100's none."""
WIDER_SHARE = 0.7
"""A width is believed where it leaves so much less of the watts' variance unexplained than none
does; true ones leave a fifth (the measured H100 run), false ones as much or more (the A100s)."""
NEAR_S = 3.0
"""A second best shift counts against the best only beyond this: neighbours are always alike."""
LEAST_CORRELATION = 0.6
LEAST_LEAD = 1.3
"""What a shift must reach, and how many times as much variance the second best must leave
unexplained, for the shift to be believed."""
BLOCK_S = 45.0
"""The spread of the shifts of blocks so long says how exact the whole one is."""


@dataclass(frozen=True)
class Shift:
    """How the power log lies on the work."""

    shift_s: float
    """Watts come so much later than the work that drew them; to be taken off their times."""
    plus_minus_s: float
    """Standard error, from the shifts of blocks of the log; NaN where there are too few."""
    correlation: float
    second: float
    """The best correlation at a shift elsewhere."""
    trailing_s: float
    """Width of the meter's trailing mean that fits best."""

    @property
    def sure(self) -> bool:
        """Whether the log tells: a clear best shift."""
        lead = (1.0 - self.second**2) >= LEAST_LEAD * (1.0 - self.correlation**2)
        return self.correlation >= LEAST_CORRELATION and lead

    def __str__(self) -> str:
        exact = "" if np.isnan(self.plus_minus_s) else f" ± {self.plus_minus_s:.2f}"
        verdict = "sure" if self.sure else "not sure"
        return (
            f"watts come {self.shift_s:+.2f}{exact} s after the work "
            f"(correlation {self.correlation:.2f}, elsewhere at most {self.second:.2f}: {verdict})"
        )


def find_shift(
    power_at_s: FloatArray,
    power_w: FloatArray,
    work_at_s: FloatArray,
    work_w: FloatArray,
    most_s: float = 20.0,
    widths_s: tuple[float, ...] = WIDTHS_S,
) -> Shift:
    """The shift within ±`most_s` at which watts fit work best, and the meter's width.

    Times rise; `work_w`, what the work should draw, are means over steps ending at `work_at_s`.
    """
    start_s = max(power_at_s[0], work_at_s[0] - most_s)
    stop_s = min(power_at_s[-1], work_at_s[-1] + most_s)
    grid_s = np.arange(start_s, stop_s, FINE_S)
    shown = np.interp(grid_s, power_at_s, power_w)
    reach = round(most_s / FINE_S)
    wide_s = np.arange(grid_s[0] - most_s, grid_s[-1] + most_s + FINE_S, FINE_S)
    step_s = float(np.median(np.diff(work_at_s)))
    drawn = np.interp(wide_s, work_at_s - 0.5 * step_s, work_w)
    matches = {
        width_s: _correlations(shown, trailing_mean(drawn, round(width_s / FINE_S)), reach)
        for width_s in widths_s
    }
    left = {width_s: 1.0 - float(match.max()) ** 2 for width_s, match in matches.items()}
    width_s = min(left, key=left.__getitem__)
    if 0.0 in left and left[width_s] > WIDER_SHARE * left[0.0]:
        width_s = 0.0
    match = matches[width_s]
    peak = float(match.max())
    at = int(match.argmax())
    near = round(NEAR_S / FINE_S)
    away = np.concatenate([match[: max(0, at - near)], match[at + near + 1 :]])
    lead = trailing_mean(drawn, round(width_s / FINE_S))
    return Shift(
        shift_s=float(FINE_S * (reach - at)) + 0.0,
        plus_minus_s=_spread(shown, lead, reach, at),
        correlation=peak,
        second=float(away.max()) if len(away) else 0.0,
        trailing_s=width_s,
    )


def _correlations(shown: FloatArray, drawn: FloatArray, reach: int) -> FloatArray:
    """Correlation of `shown` with each window of the longer `drawn`; 2 `reach` + 1 of them. The
    first is of work that lies `reach` before."""
    from scipy.signal import fftconvolve

    count = len(shown)
    centred = shown - shown.mean()
    top = fftconvolve(drawn, centred[::-1], mode="valid")
    total = np.cumsum(np.insert(drawn, 0, 0.0))
    square = np.cumsum(np.insert(drawn * drawn, 0, 0.0))
    mean = (total[count:] - total[:-count]) / count
    variance = np.maximum((square[count:] - square[:-count]) / count - mean**2, 0.0)
    spread = np.sqrt(variance) * shown.std() * count
    correlation = np.where(spread > 1e-9, top / np.maximum(spread, 1e-9), 0.0)
    return np.clip(correlation[: 2 * reach + 1], -1.0, 1.0)


def _spread(shown: FloatArray, drawn: FloatArray, reach: int, at: int) -> float:
    """Standard error of the shift, from those of blocks, looked for near the whole one's."""
    block, near = round(BLOCK_S / FINE_S), round(NEAR_S / FINE_S)
    low, high = max(0, at - near), min(2 * reach, at + near)
    shifts_s = []
    for start in range(0, len(shown) - block + 1, block):
        part = shown[start : start + block]
        work = drawn[start + low : start + high + block]
        match = _correlations(part, work, (high - low) // 2)
        if match.max() >= LEAST_CORRELATION:
            shifts_s.append(FINE_S * float(match.argmax()))
    if len(shifts_s) < 2:
        return float("nan")
    return float(np.std(shifts_s, ddof=1) / np.sqrt(len(shifts_s)))


def unexplained(shown: FloatArray, factors: Sequence[AnyArray], width: int) -> float:
    """Variance of `shown` that `factors` do not explain (least squares), each as its mean over the
    last `width` steps; all of shape (steps,)."""
    window = np.full(max(width, 1), 1.0 / max(width, 1))
    columns = [np.convolve(f.astype(np.float64), window)[: len(shown)] for f in factors]
    matrix = np.stack([np.ones_like(shown), *columns], axis=1)
    weights = np.linalg.lstsq(matrix, shown, rcond=None)[0]
    return float(np.var(shown - matrix @ weights))


def pieces(at_s: FloatArray, longest_gap_s: float, shortest_s: float) -> list[slice]:
    """Stretches without a longer gap that last long enough, as slices."""
    edges = np.concatenate([[0], np.flatnonzero(np.diff(at_s) > longest_gap_s) + 1, [len(at_s)]])
    slices = [slice(int(a), int(b)) for a, b in itertools.pairwise(edges)]
    return [piece for piece in slices if np.ptp(at_s[piece]) >= shortest_s]


WARM_SHARE = 1.3
"""Watts above this multiple of the least, while the engine has no work, are its own start."""
SETTLING_S = 2.0


def warm_up_until(at_s: FloatArray, power_w: FloatArray, working: BoolArray) -> float:
    """The time until which an engine that has had no request yet still loads and compiles.

    `working` says at each sample whether it has requests. The first time where it rests from the
    start.
    """
    first = int(np.argmax(working)) if working.any() else len(at_s)
    idle_w = float(np.percentile(power_w, 1))
    busy = np.flatnonzero(power_w[:first] > WARM_SHARE * idle_w)
    # The last seconds before the first request may be that request, by the clocks' offset.
    busy = busy[at_s[busy] < (at_s[first] if first < len(at_s) else np.inf) - SETTLING_S]
    return float(at_s[busy[-1]] + SETTLING_S) if len(busy) else float(at_s[0])


def without_slips(power_w: FloatArray, working: BoolArray, share: float) -> tuple[FloatArray, int]:
    """Single samples that fall below `share` of both neighbours in a working stretch are the
    meter's slips: replaced by the neighbours' mean, and counted."""
    clean = power_w.copy()
    around = np.minimum(power_w[:-2], power_w[2:])
    steady = working[:-2] & working[1:-1] & working[2:]
    slips = np.flatnonzero(steady & (power_w[1:-1] < share * around)) + 1
    clean[slips] = 0.5 * (power_w[slips - 1] + power_w[slips + 1])
    return clean, len(slips)


ALIKE_SHARE = 0.4
"""A log is sampled at the steps if nine in ten of its intervals lie within so much of a step."""
MEAN_SHARE = 0.005
"""And if the steps between its samples are that long on average: or else time would run faster or
slower than it did. On the measured runs they are to 0.0013."""
LEAST_INTERVAL = 0.5
"""Of a step; samples nearer to the one before are left out."""


def steps_between(at_s: FloatArray, start_s: float, stop_s: float, step_s: float) -> FloatArray:
    """Edges of steps of about `step_s` from `start_s` to `stop_s`, shape (steps + 1,).

    Where samples come once a step, steps end at them: resampled, a spike that a meter of moments
    caught would be half as high and twice as wide. Missed samples leave equal steps; any other log
    gets even steps.
    """
    inside = at_s[(at_s >= start_s) & (at_s <= stop_s)]
    even = np.arange(start_s, stop_s, step_s)
    if len(inside) < 2:
        return even
    off = np.abs(np.percentile(np.diff(inside), (5, 95)) / step_s - 1.0)
    if off.max() > ALIKE_SHARE:
        return even
    kept = [float(inside[0])]
    for sample_s in inside[1:].tolist():
        if sample_s - kept[-1] > LEAST_INTERVAL * step_s:
            kept.append(sample_s)
    before = np.arange(kept[0], start_s - 1e-9, -step_s)[:0:-1]
    parts = [
        np.linspace(a, b, max(1, round((b - a) / step_s)), endpoint=False)
        for a, b in itertools.pairwise(kept)
    ]
    edges_s = np.concatenate([before, *parts, kept[-1:]])
    mean_s = (edges_s[-1] - edges_s[0]) / max(len(edges_s) - 1, 1)
    return edges_s if abs(mean_s / step_s - 1.0) <= MEAN_SHARE else even
