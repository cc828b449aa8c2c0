"""Rare events by extreme-value theory: how likely is a maximum above a limit that no run has met?

Maxima of blocks follow a generalised extreme-value law (Fisher and Tippett; Coles, "An Introduction
to Statistical Modeling of Extreme Values", Springer 2001, chapter 3). A tail no heavier than
Gumbel's is assumed, since a load is a sum of bounded ones: no server draws more than its supplies
give. The Gumbel law is fitted by probability-weighted moments; how far those miss for so few blocks
is played out, so that the bound holds for any number of them. Nothing is said where the data speak
against the assumption (the test of Hosking, Wallis and Wood, Technometrics 27, 1985), nor where
they cannot speak against a heavy tail, such as that of Student's law with three degrees of freedom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from dcsim.results.gumbel import gumbel_fit, gumbel_fits, heavy_index, tail_index, too_heavy
from dcsim.studies.statistics import CONFIDENCE

LEAST_BLOCKS = 10
"""Fewer maxima tell nothing of whether their tail is heavy."""


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


FARTHEST = 50.0
"""Scales of the fit beyond which nothing is said where the law may have parts that no run met."""


def chance_above(
    maxima: npt.ArrayLike,
    limit: float,
    confidence: float = CONFIDENCE,
    *,
    farthest: float = math.inf,
) -> Tail:
    """How likely the maximum of a further block is above `limit`, from independent maxima of
    blocks as long.

    Parameters:
        confidence: of the bound; tests of the tail are at 95 % always.
        farthest: nothing is said of limits further away, in scales of the fit. Loads that a policy
            holds pile up below its limit, and what lets them leave it may be in no run.
    """
    highest = np.sort(np.asarray(maxima, dtype=np.float64))
    count = len(highest)
    above = int((highest > limit).sum())
    if above:
        refusal = f"{above} of {count} blocks are above the limit"
        return Tail(above / count, 1.0, math.nan, count, refusal)
    if count and np.ptp(highest) <= 1e-9 * abs(float(highest[0])) and math.isinf(farthest):
        return Tail(0.0, 0.0, math.nan, count)  # a constant load has no tail
    if count < LEAST_BLOCKS:
        refusal = f"{count} blocks tell nothing of rare events: {LEAST_BLOCKS} are the least"
        return Tail(math.nan, 1.0, math.nan, count, refusal)
    location, scale = (float(number) for number in gumbel_fit(highest))
    distance = (limit - location) / scale if scale > 0.0 else math.inf
    shape = tail_index(highest)
    if distance > farthest:
        refusal = (
            f"the limit is {distance:,.0f} times the blocks' scale away, beyond what they show"
        )
        return Tail(_above(distance), 1.0, shape, count, refusal)
    if too_heavy(shape, count, float(ndtri(CONFIDENCE))):
        refusal = f"the tail is too heavy to be carried beyond the data (index {shape:.2f})"
        return Tail(_above(distance), 1.0, shape, count, refusal)
    if shape > heavy_index(count):
        refusal = f"{count} blocks cannot tell their tail from a heavy one (index {shape:.2f})"
        return Tail(_above(distance), 1.0, shape, count, refusal)
    # Of a Gumbel law with location 0 and scale 1, fits as good as this one, at the same distance
    # from their limits: how near the limit then truly is, with the confidence asked for.
    locations, scales = gumbel_fits(count)
    truly = float(np.quantile(locations + distance * scales, 1.0 - confidence))
    return Tail(_above(distance), _above(truly), shape, count)


def _above(distance: float) -> float:
    """Chance of a standard Gumbel variate above this."""
    return float(-np.expm1(-np.exp(-distance)))
