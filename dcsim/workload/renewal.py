"""Point processes of rate 1: independent gaps, as blocks of rising arrival times without end.

They start as if they had run for ever: the first gap is what is left of a gap that one walks in on,
so that the expected number of arrivals until t is t from the start. With irregular gaps, starting
at an arrival would give (CV^2 - 1) / 2 requests too many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache
from typing import Protocol

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.workload.stream import BLOCK_REQUESTS


class Gaps(Protocol):
    """Independent gaps of mean 1."""

    @property
    def cv(self) -> float:
        """Standard deviation over mean."""
        ...

    def first(self, rng: np.random.Generator) -> float:
        """From any moment to the next arrival."""
        ...

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray: ...


class Exponential:
    """Of a Poisson process."""

    cv = 1.0

    def first(self, rng: np.random.Generator) -> float:
        return float(rng.standard_exponential())

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        return rng.standard_exponential(count)


class Gamma:
    """Gamma gaps by shape; 1 is exponential."""

    def __init__(self, shape: float) -> None:
        self.shape = shape
        self.cv = 1.0 / math.sqrt(shape)

    def first(self, rng: np.random.Generator) -> float:
        # The gap that one walks in on is drawn by its length, which makes the shape one more.
        return float(rng.standard_gamma(self.shape + 1.0)) / self.shape * rng.random()

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        return rng.standard_gamma(self.shape, count) / self.shape


class Weibull:
    """Weibull gaps by shape; 1 is exponential."""

    def __init__(self, shape: float) -> None:
        self.shape = shape
        self.cv = weibull_cv(shape)
        self._scale = 1.0 / math.gamma(1.0 + 1.0 / shape)

    def first(self, rng: np.random.Generator) -> float:
        # By its length: the shape's power of it is a Gamma of 1 + 1 / shape instead of 1.
        whole: float = float(rng.standard_gamma(1.0 + 1.0 / self.shape)) ** (1.0 / self.shape)
        return self._scale * whole * rng.random()

    def draw(self, count: int, rng: np.random.Generator) -> FloatArray:
        return self._scale * rng.weibull(self.shape, count)


@lru_cache(maxsize=4096)
def weibull_cv(shape: float) -> float:
    """Standard deviation over mean of a Weibull distribution: for large shapes, where the
    difference below would cancel, its series pi / (sqrt(6) shape)."""
    if shape > 1e4:
        return math.pi / (math.sqrt(6.0) * shape)
    moments = math.lgamma(1.0 + 2.0 / shape) - 2.0 * math.lgamma(1.0 + 1.0 / shape)
    return math.sqrt(math.expm1(moments))


def weibull_shape(cv: float) -> float:
    """The shape with this CV, from 0.02 to 100."""
    from scipy.optimize import brentq

    return float(math.exp(brentq(lambda log: weibull_cv(math.exp(log)) - cv, -2.5, 5.0)))


def unit(gaps: Gaps, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Arrival times at rate 1, block by block, for ever."""
    total = 0.0
    # Exponential gaps have no memory, so the first is like the others.
    first = None if isinstance(gaps, Exponential) else gaps.first(rng)
    while True:
        drawn = gaps.draw(BLOCK_REQUESTS, rng)
        if first is not None:
            drawn[0], first = first, None
        times = total + np.cumsum(drawn)
        total = float(times[-1])
        yield times


def until(end: float, gaps: Gaps, rng: np.random.Generator) -> Iterator[FloatArray]:
    """Arrival times at rate 1 before `end`, in blocks that suit so many."""
    total = gaps.first(rng)
    yield np.array([total] if total < end else [])
    while total < end:
        left = end - total
        count = min(BLOCK_REQUESTS, int(left + 3.0 * math.sqrt(left)) + 8)
        times = total + np.cumsum(gaps.draw(count, rng))
        total = float(times[-1])
        yield times[times < end]
