"""Promises kept: requests that met their tenant's SLO, by tenant.

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


@dataclass(frozen=True, slots=True)
class Promise:
    """A tenant and its limits; infinite where nothing was promised."""

    tenant: str
    ttft_s: float = math.inf
    tpot_s: float = math.inf
    attainment: float = 0.99
    """Share of the requests that shall keep both."""

    @property
    def promised(self) -> bool:
        """Whether anything was."""
        return min(self.ttft_s, self.tpot_s) < math.inf


class Goodput:
    """Counts by tenant, request records coming in blocks."""

    def __init__(self, promises: Sequence[Promise]) -> None:
        self._promises = promises
        self._ttft_s = np.array([promise.ttft_s for promise in promises])
        self._tpot_s = np.array([promise.tpot_s for promise in promises])
        self._counts = np.zeros((4, len(promises)), dtype=np.int64)
        """Left or still here, ended, completed, within the limits."""

    def add(
        self,
        records: RecordArray,
        completed: BoolArray,
        tpot_s: FloatArray,
    ) -> None:
        """Records with which of them completed, shape (records,), and the TPOT of those; NaN
        where a single token has none, which breaks no promise."""
        tenant = records["tenant"]
        done = tenant[completed]
        met = ~(records["ttft_s"][completed] > self._ttft_s[done])
        met &= ~(tpot_s > self._tpot_s[done])
        ended = np.isin(records["status"], ENDED)
        size = len(self._promises)
        for row, who in enumerate((tenant, tenant[ended], done, done[met])):
            self._counts[row] += np.bincount(who, minlength=size)

    def rows(self, duration_s: float) -> list[dict[str, Any]]:
        """One a tenant, for the summary. Attainment is a share of the requests that have ended;
        None before any has."""
        rows = []
        for promise, counts in zip(self._promises, self._counts.T.tolist(), strict=True):
            arrived, ended, completed, met = counts
            rows.append(
                {
                    "name": promise.tenant,
                    "slo": {
                        "ttft_s": promise.ttft_s if promise.ttft_s < math.inf else None,
                        "tpot_s": promise.tpot_s if promise.tpot_s < math.inf else None,
                    },
                    "arrived": arrived,
                    "completed": completed,
                    "within_slo": met,
                    "slo_attainment": met / ended if ended else None,
                    "slo_target": promise.attainment if promise.promised else None,
                    "goodput_per_s": met / duration_s if duration_s > 0.0 else None,
                }
            )
        return rows
