"""The figures of a run: what `dcsim run --json` prints. docs/results-format.md is the contract."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dcsim.records import EventKind
from dcsim.results.intervals import UNKNOWN, LoadBounds, peak_interval, percentile_interval
from dcsim.results.recorder import Recorder
from dcsim.results.warm_up import described

PERCENTS = (50, 95, 99)
ALWAYS_COUNTED: tuple[EventKind, ...] = ("warning", "overload", "trip")
"""Kinds of events that the summary counts even where there were none."""
MOST_ALIKE = 8
"""Nodes of one kind for each of which intervals are told: a site has few levels of so few."""
QUIET_KINDS: tuple[EventKind, ...] = (*ALWAYS_COUNTED, "cleared")


def build_summary(  # noqa: PLR0913 - a part of the summary each
    recorder: Recorder,
    *,
    counts: Mapping[str, int],
    tokens: Mapping[str, int],
    preemptions: int,
    power_model: Sequence[Mapping[str, Any]],
    gpu_state_s: Mapping[str, float],
    routing: Mapping[str, int] | None = None,
    autoscale: Sequence[Mapping[str, Any]] = (),
    traffic: Mapping[str, Mapping[str, int]] | None = None,
    control: Mapping[str, Any] | None = None,
    serving: Sequence[Mapping[str, Any]] = (),
    evidence: Mapping[str, Any] | None = None,
    breakdown: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """All figures but the wall-clock time, which would differ from run to run. What is unknown
    is None. Flushes the recorder's series: no power step may follow.

    Peaks, means, percentiles, latencies and what tenants got are of `measured_s`, the time after
    the warm-up; counts, events and energies are of all of `simulated_s`."""
    simulated_s = recorder.loads.steps * recorder.step_s
    measured_s = recorder.loads.measured * recorder.step_s
    recorder.close_series()
    site_w = recorder.loads.site_w()
    return {
        "requests": dict(counts),
        "tenants": [] if recorder.goodput is None else recorder.goodput.rows(measured_s),
        "traffic": {name: dict(rows) for name, rows in (traffic or {}).items()},
        "tokens": dict(tokens),
        "preemptions": preemptions,
        "latency": {
            name: _percentiles(np.concatenate([np.zeros(0, np.float32), *blocks]))
            for name, blocks in recorder.latencies.items()
        },
        "nodes": _nodes(recorder),
        "events": {kind: recorder.event_counts.get(kind, 0) for kind in ALWAYS_COUNTED}
        | {k: n for k, n in sorted(recorder.event_counts.items()) if k not in QUIET_KINDS},
        "gpu_state_s": dict(gpu_state_s),
        "routing": dict(routing or {}),
        "serving": [dict(row) for row in serving],
        "evidence": dict(evidence or {}),
        "breakdown": dict(breakdown or {}),
        "autoscale": [dict(group) for group in autoscale],
        "control": dict(control or {}),
        "power_model": dict(power_model[0])
        if len(power_model) == 1
        else [dict(model) for model in power_model],
        "warm_up": {
            **described(recorder.warm_up, site_w, recorder.step_s),
            "trips": recorder.warm_up_trips,
        },
        "measured_s": measured_s,
        "simulated_s": simulated_s,
        "seed": recorder.seed,
    }


def _percentiles(values: np.ndarray) -> dict[str, float | None]:
    if not len(values):
        return {f"p{percent}": None for percent in PERCENTS}
    seconds = np.percentile(values, PERCENTS)
    return {f"p{percent}": float(v) for percent, v in zip(PERCENTS, seconds, strict=True)}


def _nodes(recorder: Recorder) -> list[dict[str, Any]]:
    nodes = recorder.nodes
    p99_w = recorder.percentile_w(99)
    loads = recorder.loads
    steps, measured = loads.steps, loads.measured
    rows = []
    for i, name in enumerate(nodes.names):
        # Watts that are no number came from a power model; they are unknown, not the run's end.
        mean_w = _known(loads.sum_w[i] / measured) if measured else None
        p99, peak = _intervals(recorder, i)
        total_j = _known(loads.total_w[i] * recorder.step_s) if steps else None
        peak_w = _known(loads.peak_w[i])
        rows.append(
            {
                "name": name,
                "kind": nodes.kinds[i],
                "limit_w": _known(nodes.rating_w[i]),
                "peak_w": peak_w,
                "peak_low_w": _known(peak.low),
                "peak_high_w": _known(peak.high),
                "p99_w": _known(p99_w[i]),
                "p99_low_w": _known(p99.low),
                "p99_high_w": _known(p99.high),
                "mean_w": mean_w,
                "energy_wh": None if total_j is None else total_j / 3600.0,
                "load_factor": mean_w / peak_w if mean_w is not None and peak_w else None,
            }
        )
    return rows


def _intervals(recorder: Recorder, node: int) -> tuple[LoadBounds, LoadBounds]:
    """Of a node's p99 and of its peak; unknown for servers, and where many nodes are alike."""
    kinds = recorder.nodes.kinds
    if kinds[node] == "server" or kinds.count(kinds[node]) > MOST_ALIKE:
        return UNKNOWN, UNKNOWN
    measured = recorder.loads.node_w(node)[recorder.loads.steps - recorder.loads.measured :]
    return percentile_interval(measured, 99.0), peak_interval(measured)


def _known(value: float) -> float | None:
    """A Python float for JSON, or None where it is no finite number."""
    return float(value) if math.isfinite(value) else None
