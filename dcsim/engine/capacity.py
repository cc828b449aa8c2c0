"""What a site's replicas can serve within their SLO: the estimate, and the same played.

Both take the scenario's own requests (their lengths, in order), stripped of their arrival times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dcsim.engine.clock import Clock
from dcsim.engine.seeds import branch
from dcsim.scenario.catalogue import Catalogue
from dcsim.scenario.models import Scenario, ServerGroup
from dcsim.serving.capacity import Estimator, Target, Tokens
from dcsim.serving.fleet import Fleet, Placement, replica_config
from dcsim.serving.log import RequestLog
from dcsim.serving.timing import IterationModel, kv_capacity_blocks
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

    prompts: Tokens
    outputs: Tokens


def lengths(scenario: Scenario) -> dict[str, Lengths]:
    """The first requests of each served model, as the scenario will play them; models that nobody
    asks for are absent. Raises TraceError for a bad replay row."""
    models = [stream.model for stream in scenario.workload]
    parts: dict[str, list[RequestBlock]] = {}
    count = dict.fromkeys(models, 0)
    for block in _blocks(scenario):
        for model in count:
            rows = np.isin(block.stream, [i for i, of in enumerate(models) if of == model])
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


def _blocks(scenario: Scenario, most: int = 64) -> Iterator[RequestBlock]:
    """The run's requests, so far as its duration and some patience go."""
    for number, block in enumerate(requests(scenario, branch(scenario.seed, "workload"))):
        if number >= most or block.arrival_s[0] > scenario.duration_s:
            return
        yield block


def target_of(scenario: Scenario, model: str) -> Target:
    """The strictest limits that a tenant of the model was promised, or the default."""
    names = set[str]()
    for stream in scenario.workload:
        if stream.model == model:
            names |= set(stream.tenants or (tenant.name for tenant in scenario.tenants))
    slos = [t.slo for t in scenario.tenants if t.name in names and t.slo is not None]
    promised = [slo for slo in slos if slo.ttft_s is not None or slo.tpot_s is not None]
    if not promised:
        return Target()
    return Target(
        min((slo.ttft_s for slo in promised if slo.ttft_s is not None), default=math.inf),
        min((slo.tpot_s for slo in promised if slo.tpot_s is not None), default=math.inf),
        min(max(slo.attainment for slo in promised), MOST_SHARE),
        promised=True,
    )


def estimator(
    scenario: Scenario,
    catalogue: Catalogue,
    group: ServerGroup,
    sample: Lengths,
    replicas: int,
    cached_share: float = 0.0,
) -> Estimator:
    """Steady states of one replica of a group, of which there are `replicas`; `cached_share` of
    all prompt tokens need not be computed."""
    gpu = catalogue.gpus[catalogue.servers[group.server].gpu]
    model, engine = catalogue.models[group.model], group.engine
    timing = IterationModel(
        model,
        gpu,
        group.tensor_parallel,
        engine.max_num_seqs,
        group.pipeline_parallel,
        group.expert_parallel,
    )
    blocks = engine.num_gpu_blocks_override or kv_capacity_blocks(
        model,
        gpu,
        group.tensor_parallel,
        engine.gpu_memory_utilization,
        engine.block_tokens,
        group.pipeline_parallel,
    )
    target = target_of(scenario, group.model)
    return Estimator(
        timing,
        engine,
        blocks * engine.block_tokens,
        sample.prompts,
        sample.outputs,
        target,
        1 if scenario.routing.policy in BLIND else replicas,
        group.role,
        cached_share,
    )


# --- played --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Played:
    """How a pool did at one rate."""

    requests_per_s: float
    """Of one replica."""
    ttft_s: float
    tpot_s: float
    """As `Steady` tells them, of requests that came after the warm-up."""
    finished: float
    """Share of those that were served."""


PEERS = 8
"""Replicas that are played, at most."""
PLAYED_S = 300.0
"""At each rate, after the warm-up."""


def play(
    scenario: Scenario,
    catalogue: Catalogue,
    model: str,
    sample: Lengths,
    rate: float,
    replicas: int,
    *,
    warm_up_s: float = 60.0,
    played_s: float = PLAYED_S,
) -> Played:
    """Serve a model's requests with up to PEERS replicas of its group at `rate` requests/s a
    replica, arrivals Poisson, and tell the latencies."""
    (group,) = [g for g in scenario.servers if g.model == model and g.role == "both"]
    count = min(PEERS, replicas)
    config = replica_config(group, catalogue)
    placement = Placement([config] * count, [group] * count, np.arange(count))
    rows: list[npt.NDArray[np.void]] = []
    log = RequestLog(lambda records: rows.append(records.copy()))
    clock = Clock()
    (stream, *_) = [i for i, s in enumerate(scenario.workload) if s.model == model]
    alone = scenario.model_copy(update={"workload": (scenario.workload[stream],), "tenants": ()})
    fleet = Fleet(clock, alone, catalogue, placement, log, branch(scenario.seed, "capacity"))
    rng = np.random.default_rng(branch(scenario.seed, "capacity", model))
    end_s = warm_up_s + played_s
    number = int(rate * count * end_s * 1.2) + 10
    arrival_s = np.cumsum(rng.exponential(1.0 / (rate * count), number))
    arrival_s = arrival_s[arrival_s < end_s]
    number = len(arrival_s)
    who = np.arange(number) % len(sample.prompts)
    zero = np.zeros(number, dtype=np.int64)
    block = RequestBlock(arrival_s, sample.prompts[who], sample.outputs[who], zero)
    fleet.feed(iter([block]))
    clock.play(end_s)
    fleet.close(end_s)
    done = np.concatenate(rows)
    target = target_of(scenario, model)
    # What came so late that it could not be served is no evidence.
    judged = done[(done["arrival_s"] >= warm_up_s) & (done["arrival_s"] < end_s - 5.0)]
    ok = judged["status"] == 0
    served = judged[ok]
    gaps = served["generated_tokens"] - 1
    decoding_s = served["end_s"] - served["arrival_s"] - served["ttft_s"]
    if target.promised:
        several = gaps > 0
        tpot_s = float(np.quantile(decoding_s[several] / gaps[several], target.share))
    else:
        tpot_s = float(decoding_s.sum() / max(1, gaps.sum()))
    ttft_s = np.where(np.isnan(judged["ttft_s"]), np.inf, judged["ttft_s"])
    return Played(
        rate,
        float(np.quantile(ttft_s, target.share, method="inverted_cdf")),
        tpot_s,
        float(ok.mean()),
    )
