"""Latency, goodput and tokens over time, from a results file's requests, read in blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.records import UNSERVED, Status
from dcsim.results import Results
from dcsim.results.goodput import TenantSlo

WIDTHS_S = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
MOST_INTERVALS = 480
PER_DECADE = 100
"""Latencies are counted in classes of 2.3 %; percentiles are read within one by its middle."""
DECADES = (-4, 5)
PERCENTS = (50, 95, 99)
COLUMNS = ("arrival_s", "ttft_s", "end_s", "generated_tokens", "status", "tenant")


def traffic(results: Results, slos: Sequence[TenantSlo]) -> dict[str, Any] | None:
    """By interval of arrival: requests per second that arrived, were within their SLO (without
    one: completed) and came to nothing; percentiles of TTFT and TPOT of those completed. By
    interval of their end: tokens per second. None where the file keeps no requests.

    Intervals without requests have None as percentiles.
    """
    duration_s = results.duration_s
    width_s = next((w for w in WIDTHS_S if duration_s / w <= MOST_INTERVALS), duration_s / 480)
    count = max(1, math.ceil(duration_s / width_s - 1e-9))
    classes = (DECADES[1] - DECADES[0]) * PER_DECADE
    totals = {name: np.zeros(count) for name in ("arrived", "good", "lost", "tokens")}
    spread = {name: np.zeros((count, classes), np.int64) for name in ("ttft_s", "tpot_s")}
    ttft_limit = np.array([p.ttft_s for p in slos] or [math.inf])
    tpot_limit = np.array([p.tpot_s for p in slos] or [math.inf])
    rows = 0
    for block in results.request_blocks(COLUMNS):
        rows += len(block["arrival_s"])
        status = block["status"]
        when = _interval(block["arrival_s"], width_s, count)
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
        ended = np.isfinite(block["end_s"])
        last = _interval(block["end_s"][ended], width_s, count)
        tokens = block["generated_tokens"][ended].astype(float)
        totals["tokens"] += np.bincount(last, tokens, minlength=count)
        for name, values in (("ttft_s", block["ttft_s"]), ("tpot_s", tpot_s)):
            known = done & np.isfinite(values) & (values > 0)
            place = np.floor((np.log10(values[known]) - DECADES[0]) * PER_DECADE)
            flat = when[known] * classes + np.clip(place, 0, classes - 1).astype(np.int64)
            spread[name] += np.bincount(flat, minlength=count * classes).reshape(count, classes)
    if not rows:
        return None
    lasted = np.full(count, width_s)
    lasted[-1] = duration_s - (count - 1) * width_s
    return {
        "width_s": width_s,
        "has_slo": any(math.isfinite(limit) for limit in (*ttft_limit, *tpot_limit)),
        **{name: _rounded(values / lasted) for name, values in totals.items()},
        **{
            name: {f"p{percent}": _percentile(table, percent) for percent in PERCENTS}
            for name, table in spread.items()
        },
    }


def _interval(time_s: FloatArray, width_s: float, count: int) -> IntArray:
    return np.clip((time_s / width_s).astype(np.int64), 0, count - 1)


def _percentile(table: IntArray, percent: float) -> list[float | None]:
    """By interval, of counts by class."""
    sums = np.cumsum(table, axis=1)
    total = sums[:, -1]
    place = (sums < np.ceil(total * percent / 100.0)[:, np.newaxis]).sum(axis=1)
    values = 10.0 ** ((place + 0.5) / PER_DECADE + DECADES[0])
    return [float(f"{v:.4g}") if n else None for v, n in zip(values, total, strict=True)]


def _rounded(values: FloatArray) -> list[float]:
    return [float(f"{value:.5g}") for value in values]
