"""Temporal correlation of the residuals: what a generator must add to what the network knows.

Measured power differs from what the work says for a moment (an instant's meter, a kernel's
phase) and for seconds (what the features do not tell: contexts, routes, temperature). So the
correlation at lag k is modelled as (1 - s) q^k + s r^k: a quick part and a slow one.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray, IntArray

LAGS = 24
"""Steps of 250 ms, so 6 s."""
SLOW = (0.8, 0.9, 0.95, 0.975, 0.99)
QUICK = tuple(np.linspace(0.0, 0.7, 29).tolist())


@dataclass(frozen=True)
class Persistence:
    """(1 - slow_share) quick^k + slow_share slow^k."""

    quick: float
    slow: float
    slow_share: float

    def at(self, lag: IntArray) -> FloatArray:
        """Correlation at these lags, in steps."""
        quick, slow = self.quick**lag, self.slow**lag
        correlation: FloatArray = (1.0 - self.slow_share) * quick + self.slow_share * slow
        return correlation


def fit_persistence(
    scores: Sequence[FloatArray], weights: Sequence[float] | None = None
) -> Persistence:
    """From normal scores over time, one array a run; about zero, since a generator's are. Least
    squares over lags 1 to LAGS, each weighed by the share of the variance left to explain; a run's
    steps weigh as `weights` say, or all alike."""
    products, squares = np.zeros(LAGS), 0.0
    for score, weight in zip(scores, weights or [1.0] * len(scores), strict=True):
        squares += weight * float(score @ score)
        for lag in range(1, min(LAGS, len(score) - 1) + 1):
            products[lag - 1] += weight * float(score[lag:] @ score[:-lag])
    if squares == 0.0:
        return Persistence(0.0, 0.0, 0.0)
    measured = products / squares
    lags = np.arange(1, LAGS + 1)
    best, error = Persistence(0.0, 0.0, 0.0), float((measured**2).sum())
    for quick, slow in itertools.product(QUICK, SLOW):
        base, more = quick**lags, slow**lags - quick**lags
        share = float(np.clip(more @ (measured - base) / max(float(more @ more), 1e-12), 0.0, 0.95))
        left = float(((measured - base - share * more) ** 2).sum())
        if left < error:
            best, error = Persistence(quick, slow if share else 0.0, share), left
    return best
