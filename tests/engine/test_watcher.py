"""Somebody looks on, and ends a run: what was played is whole, and as if played to the end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dcsim.engine import Frame, simulate
from dcsim.engine.watcher import Watcher
from dcsim.plant import Plant
from dcsim.results import Results
from dcsim.scenario.load import loads
from tests.cli.test_run import SCENARIO


class Ends(Watcher):
    """Ends the run after some steps; keeps what it was shown."""

    def __init__(self, steps: int) -> None:
        self.left = steps
        self.names: list[str] = []
        self.seen_w: list[np.ndarray] = []
        self.replicas = 0
        self.capacity_per_s: float | None = None
        self.arrived: list[int] = []

    def begin(
        self, plant: Plant, warm_up_s: float, capacity_per_s: Callable[[], float | None]
    ) -> None:
        self.names = list(plant.nodes.name)
        self.replicas, self.capacity_per_s = len(plant.replicas), capacity_per_s()

    def update(self, frame: Frame) -> bool:
        self.left -= 1
        self.seen_w.append(frame.node_w.copy())
        self.arrived.append(frame.arrived)
        return self.left == 0


def test_a_run_that_is_ended_is_the_beginning_of_the_whole_run(tmp_path: Path) -> None:
    scenario = loads(SCENARIO)
    watcher = Ends(30)
    with simulate(scenario, tmp_path / "part.h5", watcher):
        pass
    with simulate(scenario, tmp_path / "whole.h5"):
        pass
    with Results.open(tmp_path / "part.h5") as part, Results.open(tmp_path / "whole.h5") as whole:
        assert part.duration_s == part.summary["simulated_s"] == 7.5
        assert whole.duration_s == 20.0
        for kind in ("site", "row", "server"):
            first, every = part.load_w(kind), whole.load_w(kind)
            # The last window of the servers was cut short by the end.
            rows = len(first) - (kind == "server")
            assert np.array_equal(first.to_numpy()[:rows], every.to_numpy()[:rows])
        assert watcher.names == list(part.nodes().index)
        site_w = np.array(watcher.seen_w)[:, 0]
        assert np.array_equal(site_w.astype(np.float32), part.load_w("site").to_numpy()[:, 0])
        counts = part.summary["requests"]
        assert watcher.arrived[-1] == counts["arrived"]
        serving = part.summary["serving"][-1]
        assert watcher.replicas == serving["replicas"]
        assert watcher.capacity_per_s == pytest.approx(serving["capacity_per_s"], rel=0.01)
        assert counts["arrived"] == sum(n for name, n in counts.items() if name != "arrived")


def test_a_site_of_several_models_is_as_busy_live_as_in_its_summary(tmp_path: Path) -> None:
    """Two models in a mix of 2 to 1 on servers of 4 to 1: requests over the estimate are the share
    of capacity that the summary tells."""
    code = """\
  - name: code
    model: llama-3-8b
    arrivals: {kind: poisson, rate: 3 req/s}
    tokens: {kind: fixed, prompt: 2000, output: 100}
servers:
  - {name: small, server: dgx-h100, model: llama-3-8b, tensor_parallel: 2, power: {model: ledger}}
"""
    rack = "  - {name: other, kind: server, parent: row, group: small}\n"
    text = SCENARIO.replace("servers:\n", code).replace("duration: 20 s", "duration: 3 min") + rack
    watcher = Ends(-1)
    with simulate(loads(text), tmp_path / "two.h5", watcher) as run:
        serving = run.summary["serving"][-1]
    assert serving["capacity_per_s"] is None
    assert watcher.capacity_per_s is not None
    share = serving["requests_per_s"] / watcher.capacity_per_s
    assert share == pytest.approx(serving["share_of_capacity"], rel=0.1)
