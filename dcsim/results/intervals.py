"""How sure the p99 and the peak of a single run are, from the run itself.

Both take the run for a piece of a stationary process, longer than its memory: a load that follows
the course of a day is none, and gets no interval for its peak.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dcsim.results.gumbel import gumbel_fit, gumbel_fits, tail_index, too_heavy

RESAMPLES = 400
AT_ONCE = 20
"""Resamples, or pieces, that are worked on together, to bound what is held in memory."""
CELLS = 1000
"""A longer series is resampled by as many pieces, which are kept whole."""
LEVELS = 200
"""Thresholds between which a resample's percentile is found."""
LEAST_BLOCKS = 10
"""Fewer independent pieces tell nothing."""
MOST_BLOCKS = 50
"""Blocks whose maxima are fitted: longer ones are nearer to their limiting law."""
ONE_SIDED_95 = 1.6449
NAN = float("nan")


class LoadBounds(NamedTuple):
    """95 %; NaN where the run cannot tell."""

    low: float
    high: float


UNKNOWN = LoadBounds(NAN, NAN)


def block_length(series: npt.ArrayLike) -> int:
    """How long blocks of a series must be so that resampling them keeps its memory, in steps.

    Politis and White, "Automatic Block-Length Selection for the Dependent Bootstrap", Econometric
    Reviews 23 (2004) 53-70, for the circular block bootstrap, as corrected by Patton, Politis and
    White (Econometric Reviews 28, 2009, 372-375). 1 for a constant series.
    """
    values = np.asarray(series, dtype=np.float64)
    count = len(values)
    if count < 8:
        return 1
    centred = values - values.mean()
    spectrum = np.fft.rfft(centred, 1 << (2 * count - 1).bit_length())
    most = min(count - 1, 2 * (math.ceil(math.sqrt(count)) + 10))
    covariance = np.fft.irfft(np.abs(spectrum) ** 2)[: most + 1] / count
    if covariance[0] <= 1e-18 * (values.mean() ** 2 + 1e-300):
        return 1
    run = max(5, math.ceil(math.sqrt(math.log10(count))))
    quiet = np.abs(covariance / covariance[0]) < 2.0 * math.sqrt(math.log10(count) / count)
    lag = next((m for m in range(most - run) if quiet[m + 1 : m + 1 + run].all()), most // 2)
    width = min(max(1, 2 * lag), most)
    lags = np.arange(1, width + 1)
    window = np.minimum(1.0, 2.0 * (1.0 - lags / width))  # flat-top
    both = 2.0 * window * covariance[1 : width + 1]
    spectral = covariance[0] + float(both.sum())
    slope = float((both * lags).sum())
    if spectral <= 0.0:
        return 1
    ratio = 2.0 * slope**2 / (4.0 / 3.0 * spectral**2)
    length: float = ratio ** (1.0 / 3.0) * count ** (1.0 / 3.0)
    return max(1, min(math.ceil(length), math.ceil(min(3.0 * math.sqrt(count), count / 3.0))))


def percentile_interval(series: npt.ArrayLike, percent: float = 99.0, seed: int = 0) -> LoadBounds:
    """Of a percentile of a series, by the circular block bootstrap: the middle 95 % of what 400
    resamples have, in blocks as long as `block_length` says of the series or of its exceedances of
    the percentile, whichever is longer. Widened as Student's law asks for so few runs of
    exceedances; NaN with fewer than ten of them, or of blocks."""
    values = np.asarray(series, dtype=np.float64)
    count = len(values)
    if not count or not np.isfinite(values).all():
        return UNKNOWN
    ordered = np.sort(values)
    if ordered[-1] - ordered[0] <= 1e-12 * abs(ordered[-1]):
        return LoadBounds(float(ordered[0]), float(ordered[-1]))
    share = percent / 100.0
    middle = float(np.percentile(values, percent))
    above = values > middle
    length = max(block_length(values), block_length(above))
    # Exceedances nearer to each other than a tenth of a block are of one cause.
    gaps = np.diff(np.flatnonzero(above))
    clusters = int((gaps > max(1, length // 10)).sum()) + int(above.any())
    if min(count // length, clusters) < LEAST_BLOCKS:
        return UNKNOWN
    # Thresholds from far below the percentile up to the highest, and how many values of each cell
    # are at most each: a resample is then a sum of cells, and its percentile a look-up.
    lowest = max(0.0, 1.0 - 10.0 * (1.0 - share))
    levels = ordered[np.linspace(lowest * (count - 1), count - 1, LEVELS).round().astype(int)]
    cell = -(-count // CELLS)
    cells = count // cell
    whole = values[: cells * cell]
    place = np.minimum(np.searchsorted(levels, whole), LEVELS).reshape(cells, cell)
    below = np.empty((cells, LEVELS), dtype=np.float32)
    for first in range(0, cells, AT_ONCE):
        part = place[first : first + AT_ONCE]
        at = part + np.arange(len(part))[:, None] * (LEVELS + 1)
        counts = np.bincount(at.ravel(), minlength=len(part) * (LEVELS + 1))
        below[first : first + len(part)] = counts.reshape(len(part), -1).cumsum(axis=1)[:, :LEVELS]
    held = max(1, round(length / cell))
    rng = np.random.default_rng(seed)
    percentiles = np.empty(RESAMPLES)
    for first in range(0, RESAMPLES, AT_ONCE):
        starts = rng.integers(0, cells, (AT_ONCE, -(-cells // held)))
        drawn = (starts[:, :, None] + np.arange(held)) % cells
        drawn = drawn.reshape(AT_ONCE, -1)[:, :cells] + cells * np.arange(AT_ONCE)[:, None]
        times = np.bincount(drawn.ravel(), minlength=AT_ONCE * cells).reshape(AT_ONCE, cells)
        shares = times.astype(np.float32) @ below / (cells * cell)
        percentiles[first : first + AT_ONCE] = levels[np.argmax(shares >= share - 1e-6, axis=1)]
    low, high = np.percentile(percentiles, (2.5, 97.5))
    wider = _student(min(count // length, clusters) - 1)
    return LoadBounds(
        middle - wider * (middle - float(low)), middle + wider * (float(high) - middle)
    )


def _student(freedom: int) -> float:
    """The 97.5 % quantile of Student's law over the normal one (Abramowitz and Stegun 26.7.5)."""
    z = 1.959964
    first, second = (z**3 + z) / 4.0, (5.0 * z**5 + 16.0 * z**3 + 3.0 * z) / 96.0
    return (z + first / freedom + second / freedom**2) / z


def peak_interval(series: npt.ArrayLike) -> LoadBounds:
    """Where the peak of another run as long as this one is expected, with 95 %: not how sure this
    run's own peak is, which is what it is.

    Resampled runs never exceed the highest value seen, so that a plain bootstrap of a maximum is
    wrong. Instead the maxima of blocks (of at least `block_length`, at most fifty) are taken for
    independent Gumbel variates, and runs are played from that law, fitted anew to each resample of
    block maxima (a parametric block bootstrap). NaN with fewer than ten blocks, where the maxima
    follow a course of their own (they correlate), and where their tail is too heavy.
    """
    values = np.asarray(series, dtype=np.float64)
    count = len(values)
    if not count or not np.isfinite(values).all():
        return UNKNOWN
    peak = float(values.max())
    if peak - values.min() <= 1e-12 * abs(peak):
        return LoadBounds(peak, peak)
    length = max(block_length(values), -(-count // MOST_BLOCKS))
    blocks = count // length
    if blocks < LEAST_BLOCKS:
        return UNKNOWN
    maxima = values[: blocks * length].reshape(blocks, length).max(axis=1)
    centred = maxima - maxima.mean()
    variance = float(centred @ centred)
    if variance <= 1e-18 * peak**2 * blocks:
        return LoadBounds(peak, peak)
    if float(centred[1:] @ centred[:-1]) / variance > ONE_SIDED_95 / math.sqrt(blocks):
        return UNKNOWN
    ordered = np.sort(maxima)
    if too_heavy(tail_index(ordered), blocks, ONE_SIDED_95):
        return UNKNOWN
    location, scale = (float(value) for value in gumbel_fit(ordered))
    low, high = _further(blocks, count / length)
    return LoadBounds(location + low * scale, location + high * scale)


@lru_cache(maxsize=64)
def _further(blocks: int, times: float) -> tuple[float, float]:
    """Between what a further run's peak lies, in fitted scales from the fitted location."""
    locations, scales = gumbel_fits(blocks)
    peaks = np.random.default_rng(1).gumbel(math.log(times), 1.0, len(locations))
    low, high = np.percentile((peaks - locations) / scales, (2.5, 97.5))
    return float(low), float(high)
