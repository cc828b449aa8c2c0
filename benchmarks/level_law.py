"""How many watts a steady load draws: a small law fitted to measured levels, as a prior.

Per GPU, while it works: idle + c + a sqrt(u_c) + b u_m, at most the board limit; u_c and u_m are
compute and memory-traffic utilisation of the working time. Power rises steeply with the first
FLOPs (tensor cores at a low share of their peak already draw a good part of their power), which a
line through the campaigns' light loads misses. Models with experts have a law of their own: they
draw more for the traffic that is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.ledger_series import LedgerSeries


@dataclass(frozen=True)
class LevelLaw:
    """The law of one GPU. Call it with a series for watts of all GPUs of the replica, (steps,)."""

    idle_w: float
    limit_w: float
    working_w: float
    compute_w: float
    memory_w: float
    factor: float = 1.0
    """On the watts above rest: what one configuration draws beside what the law says."""

    def __call__(self, series: LedgerSeries) -> FloatArray:
        columns = series.columns
        busy = columns["busy_fraction"]
        share = np.maximum(busy, 1e-9)
        above = _terms(columns["compute_util"] / share, columns["memory_util"] / share)
        above_w = above @ np.array([self.working_w, self.compute_w, self.memory_w])
        each_w = np.minimum(self.idle_w + self.factor * above_w, self.limit_w)
        found: FloatArray = series.config.gpus * (self.idle_w + busy * (each_w - self.idle_w))
        return found


def fit_levels(
    idle_w: float,
    limit_w: float,
    series: Sequence[LedgerSeries],
    per_gpu_w: Sequence[float],
) -> LevelLaw:
    """The law nearest to measured levels in relative error, coefficients not below 0.

    `series` are steady, one a level, `per_gpu_w` their mean watts a GPU. Raises ValueError for
    fewer levels than coefficients.
    """
    from scipy.optimize import nnls

    if len(per_gpu_w) < 3:
        raise ValueError(f"a law of levels needs three at least, not {len(per_gpu_w)}")
    watts = np.array(per_gpu_w)
    rows = np.concatenate(
        [
            _terms(
                np.array([one.columns["compute_util"].mean()]),
                np.array([one.columns["memory_util"].mean()]),
            )
            for one in series
        ]
    )
    found, _ = nnls(rows / watts[:, None], (watts - idle_w) / watts)
    return LevelLaw(idle_w, limit_w, *(float(each) for each in found))


def _terms(compute: FloatArray, memory: FloatArray) -> FloatArray:
    """What the watts above rest are a sum of, shape (steps, 3)."""
    return np.stack(
        [np.ones(len(compute)), np.sqrt(np.clip(compute, 0, 1)), np.clip(memory, 0, 1)], axis=1
    )
