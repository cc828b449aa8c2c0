"""Small sites for whole runs."""

from __future__ import annotations

from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

SITE = """
name: small
seed: {seed}
duration: {duration}
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {{kind: poisson, rate: {rate} req/s}}
    tokens: {{kind: fit, name: azure-2023-conv}}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: {parallel}
    engine: {engine}
    power: {power}
routing: {{policy: {routing}}}
facility:
  - {{name: site, kind: site, rating: 60 kW}}
  - {{name: row, kind: row, parent: site, count: 2, rating: {row_rating}, breaker: {breaker}}}
  - {{name: rack, kind: rack, parent: row, count: 2, rating: 12 kW}}
  - {{name: server, kind: server, parent: rack, count: 2, group: a100}}
control: {control}
"""


HOLES: dict[str, object] = {
    "seed": 1,
    "duration": "2 min",
    "rate": 4,
    "parallel": 8,
    "engine": "{}",
    "power": "{model: ledger}",
    "routing": "least-outstanding",
    "row_rating": "30 kW",
    "breaker": "{curve: dynamo-rpp, preload: 0}",
    "control": "[]",
}


def site(**changes: object) -> Scenario:
    """Eight servers in two rows; keywords replace the template's holes."""
    return loads(SITE.format(**{**HOLES, **changes}))
