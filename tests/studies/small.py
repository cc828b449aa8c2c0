"""A small site for studies: plays in a fraction of a second."""

from __future__ import annotations

from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

TEXT = """
name: small
seed: 1
duration: 60 s
warm_up: 0 s
power_step: 1 s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {kind: poisson, rate: 1 req/s}
    tokens: {kind: fit, name: azure-2023-conv}
servers:
  - {name: a100, server: dgx-a100-80gb, model: llama-3-70b, tensor_parallel: 8,
     power: {model: ledger}}
facility:
  - {name: site, kind: site}
  - {name: row, kind: row, parent: site, rating: 26 kW}
  - {name: rack, kind: rack, parent: row, count: 2}
  - {name: server, kind: server, parent: rack, count: 2, group: a100}
"""


def small() -> Scenario:
    return loads(TEXT)
