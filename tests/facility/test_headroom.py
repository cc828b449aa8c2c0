"""Which watts a power-aware router sees."""

from __future__ import annotations

import numpy as np

from dcsim.facility.headroom import Headroom
from dcsim.plant import Plant
from dcsim.scenario.load import loads

TEXT = """
name: small
duration: 1 min
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 1 req/s}
    tokens: {kind: fixed, prompt: 512, output: 128}
servers:
  - {name: g, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 4}
facility:
  - {name: site, kind: site}
  - {name: rated, kind: row, parent: site, rating: 300 W}
  - {name: bare, kind: row, parent: site}
  - {name: rack-a, kind: rack, parent: rated, rating: 90 W}
  - {name: rack-b, kind: rack, parent: bare, rating: 80 W}
  - {name: rack-c, kind: rack, parent: site, rating: 70 W}
  - {name: rack-d, kind: rack, parent: site}
  - {name: server-a, kind: server, parent: rack-a, group: g, rating: 9 W}
  - {name: server-b, kind: server, parent: rack-b, group: g, rating: 9 W}
  - {name: server-c, kind: server, parent: rack-c, group: g, rating: 9 W}
  - {name: server-d, kind: server, parent: rack-d, group: g, rating: 9 W}
"""


def test_unknown_ratings_and_loads_are_not_zero() -> None:
    plant = Plant.build(loads(TEXT))
    headroom = Headroom(plant)
    names = [plant.nodes.name[node] if node >= 0 else None for node in headroom.nodes]
    left_w = headroom.step(plant.topology.sum_loads(np.array([10.0, 20.0, np.nan, 40.0])))
    assert dict(zip(names, left_w, strict=True)) == {
        "rated": 290.0,
        "bare/rack-b": 60.0,
        "rack-c": -np.inf,
        None: np.inf,
    }
    _, place = plant.headroom_feeds()
    by_replica = [names[at] for at in place]  # two on each server
    assert by_replica == ["rated"] * 2 + ["bare/rack-b"] * 2 + ["rack-c"] * 2 + [None] * 2
