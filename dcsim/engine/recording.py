"""A run's results file: how it begins, and the summary that completes it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dcsim.facility.labels import label_loads_w
from dcsim.ledger import GpuState
from dcsim.plant import Plant
from dcsim.results.goodput import TenantSlo
from dcsim.results.limit_rows import complete
from dcsim.results.recorder import NodeTable, Recorder
from dcsim.results.summary import build_summary
from dcsim.results.versions import versions
from dcsim.results.warm_up import WarmUp
from dcsim.scenario.dump import dump
from dcsim.scenario.models import Slo, Tenant
from dcsim.workload.open import Requests

if TYPE_CHECKING:
    from dcsim.engine.simulation import Simulation


def open_recorder(plant: Plant, warm_up: WarmUp, path: Path) -> Recorder:
    """Begin a file. Raises OSError where none can be written."""
    scenario, topology = plant.scenario, plant.topology
    nodes = NodeTable(
        names=topology.names,
        kinds=topology.kinds,
        rating_w=topology.rating_w,
        parent_index=topology.parent_index,
        feeds=topology.feeds,
        nameplate_w=topology.sum_loads(plant.servers.nameplate_w).copy(),
        nameplate_load_w=label_loads_w(plant),
    )
    return Recorder(
        path,
        scenario_yaml=dump(scenario),
        seed=scenario.seed,
        step_s=scenario.power_step_s,
        server_step_s=scenario.record.server_step_s,
        nodes=nodes,
        versions=versions(),
        keep_requests=scenario.record.requests,
        slos=[_slo_of(tenant) for tenant in scenario.tenants],
        warm_up=warm_up,
    )


def summarize(
    simulation: Simulation, recorder: Recorder, traffic: Requests, end_s: float
) -> dict[str, Any]:
    """The summary of a run that ended at `end_s`."""
    scenario = simulation.scenario
    step_s = scenario.power_step_s
    evidence = simulation.evidence.describe(step_s, simulation.site.flow.energy_j)
    summary = build_summary(
        recorder,
        counts=simulation.fleet.counts(),
        tokens={
            "prompt": simulation.fleet.prompt_tokens,
            "cached": simulation.log.cached_tokens,
            "generated": simulation.log.generated_tokens,
            "lost": simulation.fleet.retries.lost_tokens,
        },
        traffic={"skipped": traffic.skipped, "dropped": traffic.dropped},
        preemptions=simulation.log.preemptions,
        power_model=simulation.server_power.describe(),
        gpu_state_s={
            state.name.lower(): float(simulation.state_steps[state]) * step_s for state in GpuState
        },
        routing={
            "failovers": simulation.fleet.failovers,
            "retries": simulation.fleet.retries.count,
        },
        autoscale=simulation.autoscalers.describe(end_s),
        control=simulation.control.describe(end_s),
        serving=simulation.replica_sums.rows(end_s),
        evidence=evidence,
        breakdown=simulation.breakdowns.describe(simulation.evidence.energy_wh(evidence, step_s)),
    )
    simulation.site.annotate(summary["nodes"])
    summary["limits"] = simulation.site.limit_rows()
    summary["start"] = None if scenario.start is None else str(scenario.start)
    complete(summary["limits"], scenario.start, simulation.warm_up)
    summary["site"] = simulation.site.figures()
    summary["redundancy"] = simulation.site.redundancy.rows()
    return summary


def _slo_of(tenant: Tenant) -> TenantSlo:
    slo = tenant.slo or Slo()
    return TenantSlo(tenant.name, slo.ttft_s or math.inf, slo.tpot_s or math.inf, slo.attainment)
