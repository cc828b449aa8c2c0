"""A hand-made recording: three levels, known loads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from dcsim.facility.events import FacilityEvent
from dcsim.records import RECORD, Status
from dcsim.results.recorder import NodeTable, Recorder
from dcsim.results.summary import build_summary

NODES = NodeTable(
    names=["site", "row-1", "row-2", "row-1/a", "row-1/b", "row-2/c"],
    kinds=["site", "row", "row", "server", "server", "server"],
    rating_w=np.array([np.nan, 5000.0, 4000.0, np.nan, np.nan, np.nan]),
    parent_index=np.array([-1, 0, 0, 1, 1, 2]),
)
COUNTS = {
    "arrived": 4,
    "completed": 2,
    "running": 1,
    "waiting": 0,
    "rejected": 0,
    "timed_out": 0,
    "failed": 1,
}


def recorder(path: Path, **changes: Any) -> Recorder:
    """A recorder of `NODES` at 0.25 s, servers at 1 s."""
    options: dict[str, Any] = {
        "scenario_yaml": "name: made\n",
        "seed": 3,
        "step_s": 0.25,
        "server_step_s": 1.0,
        "nodes": NODES,
        "versions": {"python": "3"},
    }
    return Recorder(path, **{**options, **changes})


def loads(steps: int, seed: int = 0) -> np.ndarray:
    """Loads of all nodes, (steps, 6), that add up."""
    servers = np.random.default_rng(seed).uniform(1000, 3000, (steps, 3))
    rows = np.stack([servers[:, 0] + servers[:, 1], servers[:, 2]], axis=1)
    return np.concatenate([rows.sum(axis=1, keepdims=True), rows, servers], axis=1)


def records() -> np.ndarray:
    """Two completed, one failed, one running."""
    table = np.zeros(4, dtype=RECORD)
    table["id"] = range(4)
    table["arrival_s"] = [0.0, 1.0, 2.0, 3.0]
    table["ttft_s"] = [0.1, 0.3, 0.2, np.nan]
    table["end_s"] = [1.1, 2.3, 5.0, np.nan]
    table["prompt_tokens"] = 10
    table["output_tokens"] = [11, 1, 9, 9]
    table["generated_tokens"] = [11, 1, 4, 0]
    table["status"] = [Status.COMPLETED, Status.COMPLETED, Status.FAILED, Status.RUNNING]
    return table


def event(kind: str = "warning", node: str = "row-1") -> FacilityEvent:
    """One flag."""
    return FacilityEvent(2.0, kind, node, "row", 4100.0, 5000.0, 900.0, "why")  # type: ignore[arg-type]


def record(path: Path, steps: int = 42, **changes: Any) -> dict[str, Any]:
    """A whole recording; returns its summary."""
    made = recorder(path, **changes)
    for row in loads(steps):
        made.step(row)
    made.requests(records())
    made.event(event())
    made.event(event("cleared"))
    summary = build_summary(
        made,
        counts=COUNTS,
        tokens={"prompt": 40, "cached": 0, "generated": 16},
        preemptions=0,
        power_model=[{"name": "ledger", "pack": None, "provenance": []}],
        gpu_state_s={"idle": 1.0},
    )
    made.finish(summary)
    return summary
