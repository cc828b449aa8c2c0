"""What stands behind a run's watts: energy of each part of the site by its evidence."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.evidence import EVIDENCE, shares_text
from dcsim.plant import Plant, ResolvedGroup
from dcsim.power.chassis import chassis_table
from dcsim.power.servers import ServerPower

CONSTANT = "the catalogue's constant for {server}"
STATED = "stated by the scenario"


@dataclass(frozen=True, slots=True)
class Part:
    """Some watts of a server group (of the site, where `group` is None) and what they stand on."""

    group: str | None
    what: str
    evidence: str
    source: str
    mean_w: float
    error: float | None = None
    """As the model states it."""


class EvidenceSums:
    """Adds up the watts of GPUs and of servers, from `count_from_s` on.

    A server's watts beside its replicas' GPUs are a constant of the catalogue (assumed) or a fitted
    chassis; its GPUs without a replica rest at the catalogue's idle watts; replicas that an
    autoscaler has off draw what the scenario states (assumed). Losses follow curves that standards
    ask of equipment, cooling what the scenario states: both are assumed.
    """

    def __init__(self, plant: Plant, server_power: ServerPower, count_from_s: float = 0.0) -> None:
        self._plant = plant
        self._server_power = server_power
        self._from_s = count_from_s
        self._steps = 0
        self._gpu_w = np.zeros(len(plant.replicas))
        self._stated_w = np.zeros(len(plant.replicas))
        self._server_w = np.zeros(len(plant.servers))
        self._supplied = np.zeros(len(plant.servers))
        self._before: dict[str, float] = {}

    def step(
        self, now_s: float, state: IntArray, server_w: FloatArray, site_j: Mapping[str, float]
    ) -> None:
        """Take a power step in: states of the replicas, what servers drew, and the site's energies
        so far."""
        if now_s <= self._from_s:
            self._before = dict(site_j)
            return
        self._steps += 1
        power = self._server_power
        gpu_w = power.gpu_w * power.supplied[self._plant.replicas.server]
        if (stating := power.stating) is not None:
            stated = stating.stated(state)
            self._stated_w += np.where(stated, gpu_w, 0.0)
            gpu_w = np.where(stated, 0.0, gpu_w)
        self._gpu_w += gpu_w
        self._server_w += server_w
        self._supplied += power.supplied

    def describe(self, step_s: float, site_j: Mapping[str, float]) -> dict[str, Any]:
        """`summary["evidence"]`: shares of the mean watts, of the site and of each server group,
        and the parts that they are made of. `site_j` are the site's energies at the end."""
        parts = [part for group in self._plant.groups for part in self._of_group(group)]
        counted_s = self._steps * step_s
        for what, name, source in (
            ("losses of power equipment", "losses", "efficiency curves that standards ask for"),
            ("cooling", "own", STATED),
        ):
            joules = site_j[name] - self._before.get(name, 0.0)
            if joules > 0.0 and counted_s > 0.0:
                parts.append(Part(None, what, "assumed", source, joules / counted_s))
        return {
            **_shares(parts),
            "groups": [
                {"group": group.name, **_shares([p for p in parts if p.group == group.name])}
                for group in self._plant.groups
            ],
            "parts": [
                {
                    "group": part.group,
                    "what": part.what,
                    "evidence": part.evidence,
                    "source": part.source,
                    "mean_w": part.mean_w if math.isfinite(part.mean_w) else None,
                    "error": part.error,
                }
                for part in parts
            ],
        }

    def energy_wh(self, evidence: Mapping[str, Any], step_s: float) -> dict[str, float | None]:
        """What each server group's servers drew while it was counted, given `describe`'s answer;
        None where it is unknown."""
        hours = self._steps * step_s / 3600.0
        return {
            row["group"]: None if row["mean_w"] is None else row["mean_w"] * hours
            for row in evidence["groups"]
        }

    def _of_group(self, group: ResolvedGroup) -> list[Part]:
        """The parts that drew anything."""
        if not self._steps:
            return []
        servers, mine = self._plant.servers_of(group.name), self._plant.replicas_of(group.name)
        provenance = self._server_power.provenance()[int(mine[0])]
        gpu_w = float(self._gpu_w[mine].sum()) / self._steps
        resting_w = float(self._stated_w[mine].sum()) / self._steps
        idle = group.gpu.ledger_power
        spare_w = group.spare_gpus * idle.idle_w * float(self._supplied[servers].sum())
        spare_w /= self._steps
        whole_w = float(self._server_w[servers].sum()) / self._steps
        rest_w = whole_w - gpu_w - resting_w - spare_w
        kind = group.server
        row = chassis_table()[kind.name] if group.has_fitted_chassis else None
        parts = [
            Part(
                group.name,
                "GPUs",
                provenance.evidence,
                provenance.source,
                gpu_w,
                provenance.error,
            ),
            Part(group.name, "GPUs off, booting or loading", "assumed", STATED, resting_w),
            Part(group.name, "GPUs without a replica", idle.evidence, "idle watts", spare_w),
            Part(
                group.name,
                "CPUs, fans and conversion",
                kind.non_gpu_evidence if row is None else row.evidence,
                CONSTANT.format(server=kind.name) if row is None else row.source,
                rest_w,
            ),
        ]
        return [part for part in parts if not part.mean_w <= 0.0]  # what is unknown stays


def _shares(parts: Sequence[Part]) -> dict[str, Any]:
    """Unknown where a part is: a power model may give watts that are no number."""
    whole_w = sum(part.mean_w for part in parts)
    known = math.isfinite(whole_w) and whole_w > 0.0
    shares = {
        name: sum(part.mean_w for part in parts if part.evidence == name) / whole_w
        if known
        else None
        for name in EVIDENCE
    }
    mean_w = whole_w if parts and math.isfinite(whole_w) else None
    return {"mean_w": mean_w, "shares": shares, "text": shares_text(shares)}
