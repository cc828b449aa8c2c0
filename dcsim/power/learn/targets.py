"""Targets for configurations of which only the mixture of measured power is published.

Simulated work of the campaign that the mixture was measured on is given power in two steps: the
linear ledger model says which moments draw more than others, and the published mixture says how
much that is, rank for rank. What results has exactly the published distribution and the
simulator's sequence. It is a construction, not a measurement, and packs say so.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.power.learn.states import Mixture

Float64 = npt.NDArray[np.float64]
MISS_SHARE = 0.04
"""Spread of the rank order, as a share of the ledger model's range: how far that model misses
measured A100 runs sample by sample (NRMSE 0.05 to 0.07 at 1 s, part of it bias)."""
MISS_CORRELATION = 0.8
"""Lag-one correlation of those misses. Assumed."""


def carry_over(
    ledger_w: Sequence[Float64], mixture: Mixture, rng: np.random.Generator
) -> list[Float64]:
    """Watts for several runs' ledger-model series, pooled for ranking; shapes kept."""
    spread_w = MISS_SHARE * float(
        max(run.max() for run in ledger_w) - min(run.min() for run in ledger_w)
    )
    blurred = [run + spread_w * _correlated(len(run), rng) for run in ledger_w]
    pooled = np.concatenate(blurred)
    rank = np.empty(len(pooled))
    rank[np.argsort(pooled, kind="stable")] = (np.arange(len(pooled)) + 0.5) / len(pooled)
    watts = mixture.quantile(rank)
    return np.split(watts, np.cumsum([len(run) for run in ledger_w])[:-1])


def _correlated(count: int, rng: np.random.Generator) -> Float64:
    from scipy.signal import lfilter

    fresh = np.sqrt(1 - MISS_CORRELATION**2) * rng.standard_normal(count)
    found: Float64 = lfilter([1.0], [1.0, -MISS_CORRELATION], fresh)
    return found
