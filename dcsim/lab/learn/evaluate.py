"""How a power model does on a measured run, driven by the run's own work or by simulated work."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.lab.learn.metrics import block_means, compare, nrmse
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.lab.sensor import apply_sensor
from dcsim.power.model import PowerModel

SEED = 42
SEEDS = 5
"""The published evaluation has five too; figures are medians over them."""
STEPS = {"250ms": 1, "1s": 4}
"""Resolutions that figures are given at, in power steps."""


def generate(model: PowerModel, series: LedgerSeries, seeds: int, seed: int = SEED) -> FloatArray:
    """The model's watts over a series, stepped live as in a run, shape (steps, seeds).

    The seeds are so many replicas that do the same work, each with random draws of its own.
    """
    model.reset([series.config] * seeds, series.step_s, np.random.SeedSequence(seed))
    watts = np.empty((len(series), seeds))
    for step in range(len(series)):
        watts[step] = model.step(series.at(step, seeds))
    return watts


def readings(
    watts: FloatArray, series: LedgerSeries, trailing_s: float | None = None
) -> FloatArray:
    """True watts, shape (steps, seeds), as the GPU's sensor would show them; `trailing_s` where its
    averaging time is not the known one."""
    gpu, step_s = series.config.gpu, series.step_s
    return np.stack([apply_sensor(column, gpu, step_s, trailing_s) for column in watts.T], axis=1)


def generate_readings(
    model: PowerModel, series: LedgerSeries, seeds: int, trailing_s: float | None = None
) -> FloatArray:
    """What the GPU's sensor would show of the model's watts, shape (steps, seeds)."""
    return readings(generate(model, series, seeds), series, trailing_s)


def judge(generated_w: FloatArray, measured_w: FloatArray) -> dict[str, dict[str, float]]:
    """Figures by resolution of STEPS: medians over the seeds of those of `metrics.compare`, and
    `nrmse_mean`, the NRMSE of the mean over the seeds; and both mean watts.

    `generated_w` has shape (steps, seeds), `measured_w` (steps,).
    """
    figures = {}
    for label, width in STEPS.items():
        measured, generated = block_means(measured_w, width), block_means(generated_w, width)
        rows = [compare(column, measured) for column in generated.T]
        figures[label] = {
            **{name: float(np.median([row[name] for row in rows])) for name in rows[0]},
            "nrmse_mean": nrmse(generated.mean(axis=1), measured),
            "measured_mean_w": float(measured.mean()),
            "simulated_mean_w": float(np.median(generated.mean(axis=0))),
        }
    return figures


def evaluate(
    model: PowerModel, run: MeasuredRun, seeds: int = SEEDS, work: LedgerSeries | None = None
) -> Mapping[str, Mapping[str, float]]:
    """`judge` of a model on a run: on the work of its engine's log, or on other `work`."""
    series = run.series if work is None else work
    return judge(generate_readings(model, series, seeds, run.trailing_s), run.power_w)
