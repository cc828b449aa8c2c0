"""Requests that met their tenant's SLO, by tenant.

Goodput after DistServe (Zhong et al., OSDI 2024): completed requests within both limits, a
second. A request that never completes has met nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dcsim.arrays import BoolArray, FloatArray, RecordArray
from dcsim.records import ENDED
from dcsim.scenario.models import Slo, Tenant


@dataclass(frozen=True, slots=True)
class TenantSlo:
    """A tenant and its limits on latency; infinite where it has none."""

    tenant: str
    ttft_s: float = math.inf
    tpot_s: float = math.inf
    attainment: float = 0.99
    """Share of the requests that shall keep both."""

    @classmethod
    def from_tenant(cls, tenant: Tenant) -> TenantSlo:
        """Of a scenario's tenant."""
        slo = tenant.slo or Slo()
        return cls(tenant.name, slo.ttft_s or math.inf, slo.tpot_s or math.inf, slo.attainment)

    @property
    def limited(self) -> bool:
        """Whether the tenant has any limit."""
        return min(self.ttft_s, self.tpot_s) < math.inf


class Goodput:
    """Counts by tenant, request records coming in blocks."""

    def __init__(self, slos: Sequence[TenantSlo]) -> None:
        self._slos = slos
        self._ttft_s = np.array([slo.ttft_s for slo in slos])
        self._tpot_s = np.array([slo.tpot_s for slo in slos])
        self._counts = np.zeros((4, len(slos)), dtype=np.int64)
        """Left or still here, ended, completed, within the limits."""

    def add(
        self,
        records: RecordArray,
        completed: BoolArray,
        tpot_s: FloatArray,
    ) -> None:
        """Records with which of them completed, shape (records,), and the TPOT of those; NaN
        where a single token has none, which exceeds no limit."""
        tenant = records["tenant"]
        done = tenant[completed]
        met = ~(records["ttft_s"][completed] > self._ttft_s[done])
        met &= ~(tpot_s > self._tpot_s[done])
        ended = np.isin(records["status"], ENDED)
        size = len(self._slos)
        for row, tenants in enumerate((tenant, tenant[ended], done, done[met])):
            self._counts[row] += np.bincount(tenants, minlength=size)

    def rows(self, duration_s: float) -> list[dict[str, Any]]:
        """One a tenant, for the summary. Attainment is a share of the requests that have ended;
        None before any has."""
        rows = []
        for slo, counts in zip(self._slos, self._counts.T.tolist(), strict=True):
            arrived, ended, completed, met = counts
            rows.append(
                {
                    "name": slo.tenant,
                    "slo": {
                        "ttft_s": slo.ttft_s if slo.ttft_s < math.inf else None,
                        "tpot_s": slo.tpot_s if slo.tpot_s < math.inf else None,
                    },
                    "arrived": arrived,
                    "completed": completed,
                    "within_slo": met,
                    "slo_attainment": met / ended if ended else None,
                    "slo_target": slo.attainment if slo.limited else None,
                    "goodput_per_s": met / duration_s if duration_s > 0.0 else None,
                }
            )
        return rows
