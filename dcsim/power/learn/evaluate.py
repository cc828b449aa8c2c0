"""How a pack, or any power model, does on a measured run: driven by the run's own work."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dcsim.power.learn.metrics import compare
from dcsim.power.learn.runs import LedgerSeries, MeasuredRun
from dcsim.power.meter import as_read
from dcsim.power.model import PowerModel

SEEDS = (42, 43, 44, 45, 46)
"""As the published evaluation has them; figures are medians over them."""


def generate(model: PowerModel, series: LedgerSeries, seed: int) -> npt.NDArray[np.float64]:
    """The model's watts over a series, stepped live as in a run."""
    model.reset([series.config], series.step_s, np.random.SeedSequence(seed))
    return np.array([float(model.step(series.at(step))[0]) for step in range(len(series))])


def evaluate(
    model: PowerModel, run: MeasuredRun, *, metered: bool, seeds: tuple[int, ...] = SEEDS
) -> dict[str, float]:
    """Medians over the seeds of the figures of `metrics.compare`.

    `metered` passes the watts through the meter's response first: for models of true power (the
    linear ledger), not for packs that were trained on what the meter showed.
    """
    gpu = run.series.config.gpu
    rows = []
    for seed in seeds:
        watts = generate(model, run.series, seed)
        if metered:
            watts = as_read(watts, gpu, run.series.step_s)
        rows.append(compare(watts, run.power_w, run.series.step_s))
    return {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
