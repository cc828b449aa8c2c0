"""Rare events by extreme-value theory: how likely is a maximum above a limit that no run has met?

Maxima of blocks follow a generalised extreme-value law (Fisher and Tippett; Coles, "An Introduction
to Statistical Modeling of Extreme Values", Springer 2001, chapter 3). A tail no heavier than
Gumbel's is assumed, since a load is a sum of bounded ones: no server draws more than its supplies
give. The Gumbel law is fitted by probability-weighted moments; how far those miss for so few blocks
is played out, so that the bound holds for any number of them. Where the data speak against the
assumption (the test of Hosking, Wallis and Wood, Technometrics 27, 1985), nothing is said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import stats

from dcsim.studies.statistics import CONFIDENCE

LEAST_BLOCKS = 10
"""Fewer maxima tell nothing of whether their tail is heavy."""
EULER = 0.5772156649015329
PLAYED = 10_000
"""Samples of a standard Gumbel law from which the errors of a fit are known."""
SHAPE_VARIANCE = 0.5633
"""Of the tail index fitted to Gumbel maxima, times their number (Hosking, Wallis and Wood 1985)."""
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tail:
    """The chance that the maximum of a block is above a limit."""

    chance: float
    """By the fit; NaN where there is none."""
    at_most: float
    """One-sided bound; 1 where nothing can be said."""
    shape: float
    """Fitted tail index of the generalised law: below 0 bounded, above 0 heavier than Gumbel's.
    NaN without a fit."""
    blocks: int
    refusal: str = ""
    """Why the data say nothing of rare events; empty where they do."""


def chance_above(maxima: npt.ArrayLike, limit: float, confidence: float = CONFIDENCE) -> Tail:
    """How likely the maximum of a further block is above `limit`, from independent maxima of
    blocks as long."""
    found = np.sort(np.asarray(maxima, dtype=np.float64))
    count = len(found)
    above = int((found > limit).sum())
    if above:
        told = f"{above} of {count} blocks are above the limit"
        return Tail(above / count, 1.0, math.nan, count, told)
    if count and np.ptp(found) <= 1e-9 * abs(float(found[0])):
        return Tail(0.0, 0.0, math.nan, count)  # a constant load has no tail
    if count < LEAST_BLOCKS:
        told = f"{count} blocks tell nothing of rare events: {LEAST_BLOCKS} are the least"
        return Tail(math.nan, 1.0, math.nan, count, told)
    location, scale = (float(one) for one in gumbel_fit(found))
    distance = (limit - location) / scale
    shape = tail_index(found)
    if shape > stats.norm.ppf(confidence) * math.sqrt(SHAPE_VARIANCE / count):
        told = f"the tail is too heavy to be carried beyond the data (index {shape:.2f})"
        return Tail(_above(distance), 1.0, shape, count, told)
    # Of a Gumbel law with location 0 and scale 1, fits as good as this one, at the same distance
    # from their limits: how near the limit then truly is, but for one in twenty.
    locations, scales = _fits(count)
    truly = float(np.quantile(locations + distance * scales, 1.0 - confidence))
    return Tail(_above(distance), _above(truly), shape, count)


def gumbel_fit(ordered: Floats) -> tuple[Floats, Floats]:
    """Location and scale by probability-weighted moments, of samples in the last axis that rise."""
    first, second, _ = _moments(ordered)
    scale = (2.0 * second - first) / math.log(2.0)
    return first - EULER * scale, scale


def tail_index(ordered: Floats) -> float:
    """Of the generalised extreme-value law by probability-weighted moments, of one sample that
    rises; above 0 is heavier than Gumbel's."""
    first, second, third = _moments(ordered)
    ratio = (2.0 * second - first) / (3.0 * third - first) - math.log(2.0) / math.log(3.0)
    return -float(7.8590 * ratio + 2.9554 * ratio**2)


def _moments(ordered: Floats) -> tuple[Floats, Floats, Floats]:
    count = ordered.shape[-1]
    place = np.arange(count)
    one = place / (count - 1)
    two = one * (place - 1) / (count - 2)
    return ordered.mean(axis=-1), (ordered * one).mean(axis=-1), (ordered * two).mean(axis=-1)


@lru_cache(maxsize=64)
def _fits(count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    return gumbel_fit(np.sort(rng.gumbel(size=(PLAYED, count)), axis=-1))


def _above(distance: float) -> float:
    """Chance of a standard Gumbel variate above this."""
    return float(-np.expm1(-np.exp(-distance)))
