"""Training from measured runs alone: what `dcsim power train` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.power.learn.runs import MeasuredRun
from dcsim.power.learn.states import fit_mixture
from dcsim.power.learn.train import Example, Subject

MIXTURE_SEED = 42


def by_configuration(runs: Sequence[MeasuredRun]) -> dict[str, list[MeasuredRun]]:
    """Runs by `ReplicaConfig.key`."""
    found: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        found.setdefault(run.series.config.key, []).append(run)
    return found


def measured_subjects(runs: Sequence[MeasuredRun]) -> list[Subject]:
    """One subject a configuration, its states fitted to all its runs' watts."""
    subjects = []
    for same in by_configuration(runs).values():
        power_w = np.concatenate([run.power_w for run in same])
        names = ", ".join(run.name for run in same)
        subjects.append(
            Subject(
                config=same[0].series.config,
                mixture=fit_mixture(power_w, seed=MIXTURE_SEED),
                sequences=[Example(run.series, run.power_w) for run in same],
                evidence="fitted",
                source=f"states and dynamics: measured runs {names}, as nvidia-smi showed them",
                figures={"samples": float(len(power_w))},
            )
        )
    return subjects
