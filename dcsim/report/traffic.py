"""Latency and goodput over time, from a results file's requests, read in blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.records import UNSERVED, Status
from dcsim.results import Results
from dcsim.results.breakdown import BINS, PERCENTS, latency_bins, latency_percentile
from dcsim.results.goodput import TenantSlo

WIDTHS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
MOST_INTERVALS = 480
COLUMNS = ("arrival_s", "ttft_s", "end_s", "generated_tokens", "status", "tenant")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests by interval of their arrival."""

    width_s: float
    has_slo: bool
    """Whether any tenant has one."""
    arrived_per_s: FloatArray
    good_per_s: FloatArray
    """Within their SLO, without one completed."""
    lost_per_s: FloatArray
    """Ended without an answer."""
    ttft_s: dict[int, list[float | None]]
    """By percentile, of those completed; None where there are none."""
    tpot_s: dict[int, list[float | None]]


def traffic(results: Results, slos: Sequence[TenantSlo]) -> Traffic | None:
    """From a results file, by the SLOs of its tenants. None where it keeps no requests."""
    duration_s = results.duration_s
    width_s = next((w for w in WIDTHS_S if duration_s / w <= MOST_INTERVALS), duration_s / 480)
    count = max(1, math.ceil(duration_s / width_s - 1e-9))
    totals = {name: np.zeros(count) for name in ("arrived", "good", "lost")}
    spread = {name: np.zeros((count, BINS), np.int64) for name in ("ttft_s", "tpot_s")}
    ttft_limit = np.array([slo.ttft_s for slo in slos] or [math.inf])
    tpot_limit = np.array([slo.tpot_s for slo in slos] or [math.inf])
    rows = 0
    for block in results.request_blocks(COLUMNS):
        rows += len(block["arrival_s"])
        status = block["status"]
        when = np.clip((block["arrival_s"] / width_s).astype(np.int64), 0, count - 1)
        done = status == Status.COMPLETED
        gaps = block["generated_tokens"] - 1
        tpot_s = np.full(len(status), np.nan)
        e2e_s = block["end_s"] - block["arrival_s"]
        np.divide(e2e_s - block["ttft_s"], gaps, out=tpot_s, where=done & (gaps > 0))
        tenant = np.minimum(block["tenant"], len(ttft_limit) - 1)
        good = done & ~(block["ttft_s"] > ttft_limit[tenant]) & ~(tpot_s > tpot_limit[tenant])
        lost = np.isin(status, UNSERVED)
        for name, chosen in (("arrived", slice(None)), ("good", good), ("lost", lost)):
            totals[name] += np.bincount(when[chosen], minlength=count)
        for name, values in (("ttft_s", block["ttft_s"]), ("tpot_s", tpot_s)):
            known = done & np.isfinite(values) & (values > 0)
            flat = when[known] * BINS + latency_bins(values[known])
            spread[name] += np.bincount(flat, minlength=count * BINS).reshape(count, BINS)
    if not rows:
        return None
    lasted_s = np.full(count, width_s)
    lasted_s[-1] = duration_s - (count - 1) * width_s
    latency = {
        name: {percent: latency_percentile(table, percent) for percent in PERCENTS}
        for name, table in spread.items()
    }
    return Traffic(
        width_s,
        any(slo.limited for slo in slos),
        totals["arrived"] / lasted_s,
        totals["good"] / lasted_s,
        totals["lost"] / lasted_s,
        latency["ttft_s"],
        latency["tpot_s"],
    )
