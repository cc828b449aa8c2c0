"""What is left of a run once it has been played: its figures, and the series asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dcsim.results import Results
from dcsim.studies.jobs import Job, code_hash
from dcsim.studies.sizing import sizing

TOLD = ("trip", "fault", "dark", "depleted", "bypass", "fail-on")
"""Kinds of flags kept one by one; of the others the summary has the number."""
MOST_FLAGS = 1000
Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Series:
    """Loads in W of all nodes of one kind, shape (intervals, nodes)."""

    names: tuple[str, ...]
    step_s: float
    load_w: Float32


@dataclass(frozen=True)
class Outcome:
    """A run's figures.

    `summary` is that of `dcsim run --json` less its wall time; `loads` the rows of `sizing`
    (every node above the servers, at each averaging time); `flags` trips and losses of supply.
    """

    key: str
    seed: int
    summary: dict[str, Any]
    loads: list[dict[str, Any]]
    flags: list[dict[str, Any]]
    wall_s: float
    series: dict[str, Series] = field(default_factory=dict)


class WrongCode(RuntimeError):
    """A worker that would play with other code than the study's."""


def play(job: Job, code: str | None = None) -> Outcome:
    """Play a job. `code` is the caller's `code_hash()`: a worker with another raises WrongCode.

    Raises what `dcsim.engine.simulate` raises; ValueError for a series of a kind of node that the
    site does not have, or finer than recorded.
    """
    from dcsim.engine import simulate

    if code is not None and code != code_hash():
        raise WrongCode(
            "this worker runs another dcsim than the study: install the same one on all machines"
        )
    with simulate(job.scenario) as results:
        summary = dict(results.summary)
        wall_s = float(summary.pop("wall_s"))
        return Outcome(
            key=job.key,
            seed=job.scenario.seed,
            summary=summary,
            loads=_loads(results, job.windows_s),
            flags=_flags(results),
            wall_s=wall_s,
            series={keep.kind: _series(results, keep.kind, keep.step_s) for keep in job.keep},
        )


def _loads(results: Results, windows_s: tuple[float, ...]) -> list[dict[str, Any]]:
    table = sizing(results, sorted({results.step_s, *windows_s})).reset_index()
    table = table.astype(object).where(table.notna(), None)
    rows: list[dict[str, Any]] = table.to_dict("records")  # type: ignore[assignment]
    return rows


def _flags(results: Results) -> list[dict[str, Any]]:
    events = results.events()
    events = events[events["kind"].isin(TOLD)].head(MOST_FLAGS)
    columns = events[["time_s", "kind", "node", "load_w", "limit_w"]].astype(object)
    rows: list[dict[str, Any]] = columns.where(columns.notna(), None).to_dict("records")  # type: ignore[assignment]
    return rows


def _series(results: Results, kind: str, step_s: float) -> Series:
    recorded_s = results.server_step_s if kind == "server" else results.step_s
    whole = int(results.duration_s / step_s + 1e-9)
    try:
        same = abs(step_s - recorded_s) < 1e-9
        frame = results.load(kind, None if same else step_s)
    except KeyError as error:
        raise ValueError(str(error.args[0])) from error
    # The last interval may be cut short by the run's end: then it is no mean over `step_s`.
    return Series(tuple(frame.columns), step_s, frame.to_numpy(dtype=np.float32)[:whole])
