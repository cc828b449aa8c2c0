"""Whether a run can support a fit, and what it lacks where it cannot."""

from __future__ import annotations

import numpy as np

from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.runs import MeasuredRun

MOST_SAMPLED_S = 0.55
"""A pack steps every 250 ms; slower samples hide what happens in a step."""
LEAST_WORKING_S = 20.0
OVER_LIMIT = 1.5
"""Boards exceed their limit for moments, by a third at most in the measured runs."""
LEAST_SHARE = 0.05
"""Of the board limit: no GPU rests below it, so watts under it are in another unit."""
LEAST_FOLLOWED = 0.3
"""Share of the watts' variance that the linear ledger model must explain, up to a scale, where the
work varies; the measured runs have 0.87 to 0.98."""
VARIES = 0.05
"""Work varies where rest, or working, takes more than this share of the time."""


def missing_requirements(run: MeasuredRun, catalogue: Catalogue) -> list[str]:
    """What is missing or wrong, each with what would help; empty where a fit is supported."""
    problems = []
    if run.sampled_s > MOST_SAMPLED_S:
        problems.append(
            f"power is sampled every {run.sampled_s:.2f} s; needed is every 0.5 s or quicker "
            "(nvidia-smi -lms 250, dcgmi dmon -d 250)"
        )
    config = run.series.config
    limit_w = config.gpus * config.gpu_nameplate_w
    highest_w = float(np.percentile(run.power_w, 99))
    if highest_w > OVER_LIMIT * limit_w or highest_w < LEAST_SHARE * limit_w:
        problems.append(
            f"power reaches {highest_w:.0f} W, but {config.gpus} GPUs {config.gpu} have a limit of "
            f"{limit_w:.0f} W: other GPUs in the log (`gpus` in manifest.json), or another unit?"
        )
        return problems
    busy = run.series.columns["busy_fraction"]
    working_s = float(busy.sum()) * run.series.step_s
    if working_s < LEAST_WORKING_S:
        problems.append(
            f"the engine worked for {working_s:.0f} s in all; needed are {LEAST_WORKING_S:.0f} s"
        )
        return problems
    if float(np.std(run.power_w)) < 1e-3 * limit_w:
        problems.append("power hardly changes though the engine worked: the meter is stuck")
        return problems
    share = float((busy > 0).mean())
    if VARIES < share < 1.0 - VARIES:
        prior = run.series.linear_watts(catalogue)
        followed = float(np.corrcoef(prior, run.power_w)[0, 1])
        followed = followed**2 if followed > 0 else 0.0
        if followed < LEAST_FOLLOWED:
            problems.append(
                f"power does not follow the work (of its variance "
                f"{100 * followed:.0f} % is explained, needed are {100 * LEAST_FOLLOWED:.0f} %): "
                "another GPU's log, or clocks that differ by "
                "more than 20 s?"
            )
    return problems


def coverage_gaps(run: MeasuredRun) -> list[str]:
    """What a pack made of the run cannot claim, though a fit is supported."""
    gaps = []
    busy = run.series.columns["busy_fraction"]
    if float((busy == 0).mean()) * len(busy) * run.series.step_s < 5.0:
        gaps.append("never idle for long: idle power is taken from the least watts")
    if not run.series.columns["waiting"].any():
        gaps.append("nothing ever waited: loads beyond the run are not measured")
    return gaps
