"""Standard normal variates that are correlated in time, two a replica."""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray

STEPS_AT_A_TIME = 64
"""Steps of noise drawn at once: one call of the generator costs as much as a step's noise."""


class CorrelatedNoise:
    """Two variates for each of `n` replicas, each the sum of a quick part of its own and of a slow
    part that both share.

    Parameters
    ----------
    quick : ndarray, shape (2, n)
        Lag-one correlations of the two quick parts.
    slow : ndarray, shape (n,)
        Lag-one correlation of the slow part.
    slow_share : ndarray, shape (n,)
        Share of the variance that the slow part has.
    """

    def __init__(
        self, quick: FloatArray, slow: FloatArray, slow_share: FloatArray, rng: np.random.Generator
    ) -> None:
        self._rng = rng
        self._keep = np.vstack([quick, slow])
        self._renew = np.sqrt(1.0 - self._keep**2)
        self._parts = rng.standard_normal(self._keep.shape)
        self._slow, self._quick = np.sqrt(slow_share), np.sqrt(1.0 - slow_share)
        self._noise = np.empty((STEPS_AT_A_TIME, *self._keep.shape))
        self._used = STEPS_AT_A_TIME
        self._drift = np.empty(len(slow))
        self._drawn = np.empty((2, len(slow)))

    def draw(self) -> FloatArray:
        """The variates of the next step, shape (2, n); the array is used again."""
        if self._used == STEPS_AT_A_TIME:
            self._rng.standard_normal(out=self._noise)
            self._noise *= self._renew
            self._used = 0
        parts = self._parts
        parts *= self._keep
        parts += self._noise[self._used]
        self._used += 1
        np.multiply(parts[2], self._slow, out=self._drift)
        np.multiply(parts[:2], self._quick, out=self._drawn)
        self._drawn += self._drift
        return self._drawn
