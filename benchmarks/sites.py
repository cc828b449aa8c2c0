"""The site that the speed and serving benchmarks play, with what each changes about it."""

from __future__ import annotations

from dcsim.scenario.load import loads
from dcsim.scenario.models import Scenario

SITE = """
name: {name}
seed: 1
duration: {duration_s} s
workload:
  - name: chat
    model: llama-3-70b
    arrivals: {{kind: poisson, rate: {rate_per_s} req/s}}
    tokens: {{kind: fit, name: azure-2023-conv}}
servers:
  - name: a100
    server: dgx-a100-80gb
    model: llama-3-70b
    tensor_parallel: 8
    {group}
{rest}
facility:
{facility}
"""


def site(
    name: str,
    duration_s: float,
    rate_per_s: float,
    facility: str,
    *,
    group: str = "",
    rest: str = "",
) -> Scenario:
    """Llama 3 70B on 8 A100 a server, Azure conversation lengths, Poisson arrivals.

    `facility` are rows of its table, `group` a further key of the servers (named `a100`), `rest`
    further keys of the file.
    """
    text = SITE.format(
        name=name,
        duration_s=duration_s,
        rate_per_s=rate_per_s,
        facility=facility,
        group=group,
        rest=rest,
    )
    return loads(text)
