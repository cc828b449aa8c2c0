"""What is left of a run once it has been played: its figures, and the series asked for."""

from __future__ import annotations

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dcsim.arrays import Float32Array
from dcsim.errors import DcsimError
from dcsim.plant import Plant
from dcsim.records import EVENT_CLASSES, EventKind
from dcsim.results import Results
from dcsim.studies.heating import FeltLoads, Heating
from dcsim.studies.jobs import Job, code_hash
from dcsim.studies.sizing_table import sizing, whole_means

KEPT_KINDS: tuple[EventKind, ...] = (*EVENT_CLASSES["outage"], "bypass")
"""Kinds of events kept with time and node; of the others the summary has the number."""
MOST_FLAGS = 1000


@dataclass(frozen=True)
class LoadSeries:
    """Loads in W of all nodes of one kind, shape (intervals, nodes): whole intervals counted from
    the run's start, less the warm-up. Of an interval in which that ends, the mean is of the rest,
    if that is half of it or more; else it is left out."""

    names: tuple[str, ...]
    step_s: float
    load_w: Float32Array
    start_s: float = 0.0
    """When the first interval begins, s from the run's start."""


@dataclass(frozen=True)
class RunOutcome:
    """A run's figures.

    `summary` is that of `dcsim run --json` less its wall time; `loads` the rows of `sizing`
    (every node above the servers, at each averaging time); `flags` trips and losses of supply;
    `heating` how near the nodes that were asked about came to a trip.
    """

    key: str
    seed: int
    summary: dict[str, Any]
    loads: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    wall_s: float
    series: dict[str, LoadSeries] = field(default_factory=dict)
    heating: dict[str, Heating] = field(default_factory=dict)


class CodeMismatchError(DcsimError, RuntimeError):
    """A worker that would play with other code than the study's."""


def play(job: Job, code: str | None = None) -> RunOutcome:
    """Play a job. `code` is the caller's `code_hash()`: a worker with another raises
    CodeMismatchError.

    Raises what `dcsim.engine.simulate` raises; ValueError for a series of a kind of node that the
    site does not have, or finer than recorded.
    """
    from dcsim.engine.simulation import Simulation

    if code is not None and code != code_hash():
        raise CodeMismatchError(
            "this worker runs another dcsim than the study: install the same one on all machines"
        )
    scenario = job.scenario
    simulation = Simulation(Plant.build(scenario))
    steps = math.ceil(scenario.duration_s / scenario.power_step_s)
    felt = FeltLoads(simulation.site.limits, job.heated, steps, scenario.power_step_s)
    with tempfile.TemporaryDirectory(prefix="dcsim-") as folder:
        path = Path(folder) / "run.h5"
        summary = simulation.run(path, felt if job.heated else None)
        wall_s = float(summary.pop("wall_s"))
        with Results.open(path, summary=summary) as results:
            loads = _loads(results, job.windows_s)
            labels_w = {row["node"]: row["nameplate_load_w"] for row in loads}
            return RunOutcome(
                key=job.key,
                seed=scenario.seed,
                summary=dict(results.summary),
                loads=loads,
                flags=_flags(results),
                wall_s=wall_s,
                series={keep.kind: _series(results, keep.kind, keep.step_s) for keep in job.keep},
                heating=felt.heating(job.trip_window_s, labels_w) if job.heated else {},
            )


def _loads(results: Results, windows_s: tuple[float, ...]) -> list[dict[str, Any]]:
    table = sizing(results, sorted({results.step_s, *windows_s})).reset_index()
    table = table.astype(object).where(table.notna(), None)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return rows


def _flags(results: Results) -> list[dict[str, Any]]:
    events = results.events()
    events = events[events["kind"].isin(KEPT_KINDS)].head(MOST_FLAGS)
    columns = events[["time_s", "kind", "node", "load_w", "limit_w"]].astype(object)
    rows: list[dict[str, Any]] = columns.where(columns.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def _series(results: Results, kind: str, step_s: float) -> LoadSeries:
    recorded_s = results.server_step_s if kind == "server" else results.step_s
    if step_s < recorded_s * (1 - 1e-9):
        raise ValueError(f"{kind} loads are recorded every {recorded_s:g} s, not {step_s:g} s")
    try:
        frame = results.load_w(kind)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
    names = tuple(frame.columns)
    series_w = frame.to_numpy(dtype=np.float32)
    first = math.floor(results.warm_up_s / step_s + 0.5 + 1e-9)
    means_w = whole_means(series_w, step_s, recorded_s, results.duration_s, first * step_s)
    if means_w is None:
        return LoadSeries(names, step_s, np.zeros((0, len(names)), np.float32), first * step_s)
    if first * step_s < results.warm_up_s - 1e-9:
        measured = slice(
            math.ceil(results.warm_up_s / recorded_s - 1e-9),
            round((first + 1) * step_s / recorded_s),
        )
        means_w[0] = series_w[measured].mean(axis=0, dtype=np.float64)
    return LoadSeries(names, step_s, means_w.astype(np.float32), first * step_s)
