"""Training from measured runs alone: what `dcsim power train` does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.states import fit_states
from dcsim.lab.learn.subjects import Example, Subject
from dcsim.lab.learn.true_power import true_watts


def by_configuration(runs: Sequence[MeasuredRun]) -> dict[str, list[MeasuredRun]]:
    """Runs by `ReplicaConfig.key`."""
    groups: dict[str, list[MeasuredRun]] = {}
    for run in runs:
        groups.setdefault(run.series.config.key, []).append(run)
    return groups


def measured_subjects(runs: Sequence[MeasuredRun]) -> list[Subject]:
    """One subject a configuration, its states fitted to all its runs' watts."""
    subjects = []
    for key, same in by_configuration(runs).items():
        series = [run.series for run in same]
        meters = [run.trailing_s for run in same]
        watts = true_watts(series, [run.power_w for run in same], meters)
        power_w = np.concatenate(watts)
        names = ", ".join(
            run.name + (" (work simulated from the requests)" if run.simulated else "")
            for run in same
        )
        subjects.append(
            Subject(
                key=key,
                mixture=fit_states(power_w),
                sequences=[Example(s, w) for s, w in zip(series, watts, strict=True)],
                evidence="fitted",
                source=f"states and dynamics: measured runs {names}",
                figures={"samples": float(len(power_w))},
            )
        )
    return subjects
