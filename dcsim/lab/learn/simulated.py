"""The work of a run as the simulator plays it, from the requests that its clients sent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.errors import RunFolderError
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.bench import replay
from dcsim.lab.learn.logs import engine_settings, read_requests
from dcsim.lab.ledger_series import POWER_STEP_S, LedgerSeries, TimedRequest
from dcsim.ledger import ReplicaConfig
from dcsim.scenario.models import Engine

UNLIKE = 0.25
"""Of the engine's prompt tokens, by which those of the requests may differ: the client's warm-up is
in one only, and so are prompts at the edges of a short run."""


def play(
    config: ReplicaConfig,
    catalogue: Catalogue,
    edges_s: FloatArray,
    requests: Sequence[TimedRequest],
    settings: Engine,
) -> LedgerSeries:
    """What the simulator makes of requests, in order of their times on the clock of `edges_s`, on
    the steps between those. It begins with the first request, also where that was sent before
    them."""
    ahead = max(0, math.ceil((edges_s[0] - requests[0].at_s) / POWER_STEP_S))
    before = edges_s[0] - POWER_STEP_S * np.arange(ahead, 0, -1)
    placed = on_even_steps(np.concatenate([before, edges_s]), requests)
    steps = ahead + len(edges_s) - 1
    (series,) = replay(config, catalogue, [placed], steps * POWER_STEP_S, settings)
    return series.part(ahead, steps)


def on_even_steps(edges_s: FloatArray, requests: Sequence[TimedRequest]) -> list[TimedRequest]:
    """The requests, whose times are on the clock of `edges_s`, in seconds of a simulation whose
    even steps are those steps. What came before them comes at 0."""
    steps = np.arange(len(edges_s)) * POWER_STEP_S
    at_s = np.array([request.at_s for request in requests])
    after = np.maximum(at_s - edges_s[-1], 0.0)
    placed_s = np.interp(at_s, edges_s, steps) + after
    return [
        request._replace(at_s=at) for at, request in zip(placed_s.tolist(), requests, strict=True)
    ]


def simulated_work(
    series: LedgerSeries, edges_s: FloatArray, folder: Path, catalogue: Catalogue
) -> LedgerSeries:
    """The requests of a run folder through the simulator, on the steps of its logged work.

    The client sent its first request once before, as a warm-up that only the engine logged; it is
    put back where the log shows it.

    Parameters
    ----------
    series
        The work as the engine logged it.
    edges_s
        Unix times between which its steps lie, shape (steps + 1,).

    Raises
    ------
    RunFolderError
        If the folder has no requests, or other ones than the engine counted.
    """
    requests = read_requests(folder)
    counted = float(series.columns["prefill_tokens"].sum())
    sent = sum(r.prompt_tokens for r in requests if edges_s[0] <= r.at_s < edges_s[-1])
    if abs(sent - counted) > UNLIKE * counted:
        raise RunFolderError(
            f"{folder}: the requests sent during the run have {sent:,} prompt tokens, the engine "
            f"counted {counted:,.0f}: other requests, or a clock or zone apart from the engine's"
        )
    working = np.flatnonzero(series.columns["running"] > 0)
    if len(working) and edges_s[working[0]] < requests[0].at_s - 1.0:
        requests.insert(0, requests[0]._replace(at_s=float(edges_s[working[0]])))
    return play(series.config, catalogue, edges_s, requests, engine_settings(folder))
