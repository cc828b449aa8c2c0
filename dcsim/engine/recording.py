"""What is kept of a run while it is played, and the summary that completes its file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dcsim.arrays import FloatArray, RecordArray
from dcsim.facility.events import FacilityEvent
from dcsim.facility.labels import label_loads_w
from dcsim.ledger import GpuState, WorkLedger
from dcsim.power.evidence import EvidenceSums
from dcsim.results.breakdown import Breakdowns
from dcsim.results.goodput import TenantSlo
from dcsim.results.limit_rows import complete
from dcsim.results.recorder import NodeTable, Recorder
from dcsim.results.summary import build_summary
from dcsim.results.versions import versions
from dcsim.scenario.dump import dump
from dcsim.seeds import branch
from dcsim.serving.replica_sums import ReplicaSums
from dcsim.workload import requests

if TYPE_CHECKING:
    from dcsim.engine.simulation import Simulation


class Recording:
    """A run's file, and what is added up beside it for the summary."""

    def __init__(self, simulation: Simulation, path: Path) -> None:
        """Begin the file. Raises OSError where none can be written."""
        plant, warm_up = simulation.plant, simulation.warm_up
        self.path = path
        self.traffic = requests(plant.scenario, branch(plant.scenario.seed, "workload"))
        """The run's requests, and what was left out of their traces."""
        self._site = simulation.site
        self._began_s = time.perf_counter()
        self._replica_sums = ReplicaSums(plant, warm_up.cut_s)
        self._breakdowns = Breakdowns(plant, warm_up.cut_s)
        self._evidence = EvidenceSums(plant, simulation.server_power, warm_up.cut_s)
        self._state_steps = np.zeros(len(GpuState), dtype=np.int64)
        """Replica-steps ended in each GPU state."""
        scenario = plant.scenario
        self._recorder = Recorder(
            path,
            scenario_yaml=dump(scenario),
            seed=scenario.seed,
            step_s=scenario.power_step_s,
            server_step_s=scenario.record.server_step_s,
            nodes=NodeTable.from_plant(plant, label_loads_w(plant)),
            versions=versions(),
            keep_requests=scenario.record.requests,
            slos=[TenantSlo.from_tenant(tenant) for tenant in scenario.tenants],
            warm_up=warm_up,
        )

    def capacity_per_s(self) -> float | None:
        """See `ReplicaSums.capacity_per_s`."""
        return self._replica_sums.capacity_per_s()

    def step(
        self, now_s: float, ledger: WorkLedger, server_w: FloatArray, node_w: FloatArray
    ) -> None:
        """A power step has ended."""
        self._replica_sums.step(now_s, ledger)
        self._evidence.step(now_s, ledger.state, server_w, self._site.flow.energy_j)
        self._state_steps += np.bincount(ledger.state, minlength=len(GpuState))
        self._recorder.step(node_w)

    def requests(self, records: RecordArray) -> None:
        """Requests have left, or are still here at the end."""
        self._recorder.requests(records)
        self._replica_sums.requests(records)
        self._breakdowns.requests(records)

    def event(self, event: FacilityEvent) -> None:
        """A flag was raised."""
        self._recorder.event(event)

    def abort(self) -> None:
        """Leave no incomplete file."""
        self._recorder.abort()

    def complete(self, simulation: Simulation, end_s: float) -> dict[str, Any]:
        """Write the summary of the run that ended at `end_s`, give the file its name, and return
        the summary with the time that the run took."""
        summary = self._summary(simulation, end_s)
        self._recorder.finish(summary)
        summary["wall_s"] = time.perf_counter() - self._began_s
        return summary

    def _summary(self, simulation: Simulation, end_s: float) -> dict[str, Any]:
        scenario, fleet, log = simulation.scenario, simulation.fleet, simulation.log
        site, step_s = simulation.site, simulation.scenario.power_step_s
        evidence = self._evidence.describe(step_s, site.flow.energy_j)
        summary = build_summary(
            self._recorder,
            counts=fleet.counts(),
            tokens={
                "prompt": fleet.prompt_tokens,
                "cached": log.cached_tokens,
                "generated": log.generated_tokens,
                "lost": fleet.retries.lost_tokens,
            },
            traffic={"skipped": self.traffic.skipped, "dropped": self.traffic.dropped},
            preemptions=log.preemptions,
            power_model=simulation.server_power.describe(),
            gpu_state_s={
                state.name.lower(): float(self._state_steps[state]) * step_s for state in GpuState
            },
            routing={"failovers": fleet.failovers, "retries": fleet.retries.count},
            autoscale=simulation.autoscalers.describe(end_s),
            control=simulation.control.describe(end_s),
            serving=self._replica_sums.rows(end_s),
            evidence=evidence,
            breakdown=self._breakdowns.describe(self._evidence.energy_wh(evidence, step_s)),
        )
        site.limits.annotate(summary["nodes"])
        summary["limits"] = site.limits.rows()
        summary["start"] = None if scenario.start is None else str(scenario.start)
        complete(summary["limits"], scenario.start, simulation.warm_up)
        summary["site"] = site.figures()
        summary["redundancy"] = site.redundancy.rows()
        return summary
