"""What a site's replicas can serve within their SLO, estimated for the scenario's own requests.

Their lengths are taken, in order, without their arrival times. `dcsim.studies.bench_site` plays it.
"""

# not compiled: it is asked before a run, and at its end
from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import IntArray
from dcsim.plant import Plant, ResolvedGroup
from dcsim.scenario.models import Scenario
from dcsim.seeds import branch
from dcsim.serving.capacity import Estimator, LatencyTarget
from dcsim.workload import requests
from dcsim.workload.stream import RequestBlock

SAMPLE = 4096
"""Requests of each served model whose lengths are looked at."""
MOST_SHARE = 0.999
"""A share of all requests without exception is a limit of no queue."""
BLIND = ("random", "round-robin")
"""Routers that do not look at how busy a replica is."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one served model's requests, in order of arrival."""

    prompts: IntArray
    outputs: IntArray


def lengths(scenario: Scenario) -> dict[str, Lengths]:
    """The first requests of each served model, as the scenario will play them; models that nobody
    asks for are absent. Raises TraceError for a bad replay row."""
    models = [stream.model for stream in scenario.workload]
    parts: dict[str, list[RequestBlock]] = {}
    count = dict.fromkeys(models, 0)
    for block in _blocks(scenario):
        for model in count:
            rows = np.isin(block.stream, [i for i, name in enumerate(models) if name == model])
            left = SAMPLE - count[model]
            mine = block.take(np.flatnonzero(rows)[: max(0, left)])
            if len(mine):
                parts.setdefault(model, []).append(mine)
                count[model] += len(mine)
        if min(count.values()) >= SAMPLE:
            break
    return {
        model: Lengths(
            np.concatenate([block.prompt_tokens for block in blocks]),
            np.concatenate([block.output_tokens for block in blocks]),
        )
        for model, blocks in parts.items()
    }


def mix(scenario: Scenario) -> dict[str, float]:
    """Share of each served model among the scenario's first requests."""
    models = [stream.model for stream in scenario.workload]
    count = dict.fromkeys(models, 0)
    for block in _blocks(scenario):
        for stream, number in enumerate(np.bincount(block.stream).tolist()):
            count[models[stream]] += number
        if sum(count.values()) >= SAMPLE:
            break
    total = sum(count.values())
    return {model: number / total for model, number in count.items() if number}


def _blocks(scenario: Scenario, most: int = 64) -> Iterator[RequestBlock]:
    """The run's requests, so far as its duration and some patience go."""
    for number, block in enumerate(requests(scenario, branch(scenario.seed, "workload"))):
        if number >= most or block.arrival_s[0] > scenario.duration_s:
            return
        yield block


def target_of(scenario: Scenario, model: str) -> LatencyTarget:
    """The strictest limits that a tenant of the model was promised, or the default."""
    names = set[str]()
    for stream in scenario.workload:
        if stream.model == model:
            names |= set(stream.tenants or (tenant.name for tenant in scenario.tenants))
    slos = [t.slo for t in scenario.tenants if t.name in names and t.slo is not None]
    promised = [slo for slo in slos if slo.ttft_s is not None or slo.tpot_s is not None]
    if not promised:
        return LatencyTarget()
    return LatencyTarget(
        min((slo.ttft_s for slo in promised if slo.ttft_s is not None), default=math.inf),
        min((slo.tpot_s for slo in promised if slo.tpot_s is not None), default=math.inf),
        min(max(slo.attainment for slo in promised), MOST_SHARE),
        promised=True,
    )


def estimator(
    scenario: Scenario,
    group: ResolvedGroup,
    sample: Lengths,
    replicas: int,
    cached_share: float = 0.0,
) -> Estimator:
    """Steady states of one replica of a group, of which there are `replicas`; `cached_share` of
    all prompt tokens need not be computed."""
    return Estimator(
        group.timing,
        group.spec.engine,
        group.kv_tokens,
        sample.prompts,
        sample.outputs,
        target_of(scenario, group.model.name),
        1 if scenario.routing.policy in BLIND else replicas,
        group.spec.role,
        cached_share,
    )


def replica_counts(plant: Plant) -> dict[str, int]:
    """How many replicas of each server group the site has."""
    return {group.name: len(plant.replicas_of(group.name)) for group in plant.groups}


def pooled(groups: Iterable[tuple[ResolvedGroup, float]]) -> float:
    """Requests/s of a model's groups together: prompts and answers of pools need both."""
    of_role = dict.fromkeys(("both", "prefill", "decode"), 0.0)
    for group, per_s in groups:
        of_role[group.spec.role] += per_s
    return of_role["both"] + min(of_role["prefill"], of_role["decode"])


def finite(value: float) -> float | None:
    """For JSON: no limit is None."""
    return value if math.isfinite(value) else None
