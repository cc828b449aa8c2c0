"""Power steps as a watcher sees them, without a run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dcsim.engine.frame import Frame, read_only_frame
from dcsim.ledger import GpuState, WorkLedger
from dcsim.plant import Plant
from dcsim.scenario.load import loads

TEXT = """
name: small
duration: 100 s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {{kind: poisson, rate: 1 req/s}}
    tokens: {{kind: fixed, prompt: 512, output: 128}}
servers:
  - {{name: g, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8}}
facility:
  - {{name: site, kind: site{site}}}
  - {{name: row, kind: row, parent: site{row}}}
  - {{name: rack, kind: rack, parent: row, count: {racks}{rack}}}
  - {{name: server, kind: server, parent: rack, group: g}}
"""


def plant(racks: int, **ratings: str) -> Plant:
    """A row of racks, of one server with one replica each; `ratings` by kind of node."""
    holes = {kind: "" for kind in ("site", "row", "rack")}
    holes |= {kind: f", rating: {rating}" for kind, rating in ratings.items()}
    return Plant.build(loads(TEXT.format(racks=racks, **holes)))


def frame(
    site: Plant,
    now_s: float,
    load_w: Mapping[str, float],
    *,
    running: float = 0.0,
    waiting: float = 0.0,
    arrived: int = 0,
) -> Frame:
    """Loads by node, 0 for the others; requests on the first replica."""
    count = len(site.replicas)
    first = np.eye(1, count)[0]
    none = np.zeros(count)
    work = WorkLedger(
        step_s=0.25,
        running=running * first,
        waiting=waiting * first,
        prefill_tokens=none,
        decode_tokens=none,
        iterations=none,
        busy_fraction=none,
        kv_fraction=none,
        compute_util=none,
        memory_util=none,
        state=np.full(count, GpuState.IDLE),
    )
    node_w = np.array([load_w.get(name, 0.0) for name in site.nodes.name])
    server_w = np.zeros(len(site.servers))
    return read_only_frame(now_s, work, server_w, node_w, node_w, arrived, ())
