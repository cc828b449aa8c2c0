"""The Gumbel law of maxima, fitted by probability-weighted moments, and how far such fits miss.

Hosking, Wallis and Wood, "Estimation of the Generalized Extreme-Value Distribution by the Method of
Probability-Weighted Moments", Technometrics 27 (1985) 251-261.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from dcsim.arrays import FloatArray

EULER = 0.5772156649015329
PLAYED = 10_000
"""Samples of a standard Gumbel law from which the errors of a fit are known."""
AT_ONCE = 500
"""Samples that are held in memory together."""
SHAPE_VARIANCE = 0.5633
"""Of the tail index fitted to Gumbel maxima, times their number (Hosking, Wallis and Wood 1985)."""

HEAVY = 1.0 / 3.0
"""Tail index of maxima of Student's law with three degrees of freedom."""


def gumbel_fit(ordered: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Location and scale by probability-weighted moments, of samples in the last axis that rise."""
    first, second, _ = _moments(ordered)
    scale = (2.0 * second - first) / math.log(2.0)
    return first - EULER * scale, scale


def tail_index(ordered: FloatArray) -> float:
    """Of the generalised extreme-value law by probability-weighted moments, of one sample that
    rises; above 0 is heavier than Gumbel's."""
    return float(_indices(ordered))


def _indices(ordered: FloatArray) -> FloatArray:
    """The same of many samples in the last axis."""
    first, second, third = _moments(ordered)
    ratio = (2.0 * second - first) / (3.0 * third - first) - math.log(2.0) / math.log(3.0)
    return np.asarray(-(7.8590 * ratio + 2.9554 * ratio**2))


@lru_cache(maxsize=64)
def heavy_index(count: int) -> float:
    """Below this a tail index fitted to so many maxima speaks against a heavy tail: those of a law
    of index `HEAVY` are above it with 95 %."""
    rng = np.random.default_rng(0)
    indices = []
    for _ in range(PLAYED // AT_ONCE):
        uniform = rng.random((AT_ONCE, count))
        law = np.expm1(-HEAVY * np.log(-np.log(uniform))) / HEAVY
        indices.append(_indices(np.sort(law, axis=-1)))
    return float(np.quantile(np.concatenate(indices), 0.05))


def too_heavy(index: float, count: int, deviations: float) -> bool:
    """Whether a fitted tail index is so many of its standard deviations above Gumbel's 0."""
    return index > deviations * math.sqrt(SHAPE_VARIANCE / count)


@lru_cache(maxsize=64)
def gumbel_fits(count: int) -> tuple[FloatArray, FloatArray]:
    """Locations and scales fitted to samples of `count` from a Gumbel law with 0 and 1."""
    rng = np.random.default_rng(0)
    fits = [
        gumbel_fit(np.sort(rng.gumbel(size=(AT_ONCE, count)), axis=-1))
        for _ in range(PLAYED // AT_ONCE)
    ]
    locations, scales = zip(*fits, strict=True)
    return np.concatenate(locations), np.concatenate(scales)


def _moments(ordered: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    count = ordered.shape[-1]
    place = np.arange(count)
    rank = place / (count - 1)
    rank_pair = rank * (place - 1) / (count - 2)
    return (
        ordered.mean(axis=-1),
        (ordered * rank).mean(axis=-1),
        (ordered * rank_pair).mean(axis=-1),
    )
