"""What no power model can beat: a run drawn anew from itself.

Each moment gets the watts of one of the run's own moments with like work. Such a generator knows
the distribution that it is judged by; what error it still shows is the luck of a short run: of a
meter that looks at instants, of two samples of a hundred seconds compared, of a tail that one
second decides.
"""

from __future__ import annotations

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.runs import MeasuredRun

LIKE = 5
"""Moments on either side, in the order of the linear ledger model's watts, to draw from."""


def itself(run: MeasuredRun, catalogue: Catalogue, seeds: int, seed: int = 42) -> FloatArray:
    """The run drawn anew, as its meter shows it, shape (steps, seeds)."""
    rng = np.random.default_rng(seed)
    steps = len(run.power_w)
    # Equal work is ordered by chance.
    order = np.lexsort((rng.random(steps), run.series.linear_watts(catalogue)))
    rank = np.empty(steps, dtype=np.int64)
    rank[order] = np.arange(steps)
    drawn = rank[:, None] + rng.integers(-LIKE, LIKE + 1, (steps, seeds))
    found: FloatArray = run.power_w[order[np.clip(drawn, 0, steps - 1)]]
    return found
