"""From what a scenario says of a policy to the policy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dcsim.control.budget import RowBudget
from dcsim.control.polca import DualThreshold
from dcsim.control.policy import Policy
from dcsim.control.shaving import BatteryShave
from dcsim.control.static import StaticCap
from dcsim.control.thresholds import AdmissionThrottle, BatchLimit, PriorityShed
from dcsim.scenario.models import PolicySpec

POLICIES: Mapping[str, Callable[[Any], Policy]] = {
    "admission-throttle": AdmissionThrottle,
    "batch-limit": BatchLimit,
    "battery-shave": BatteryShave,
    "dual-threshold": DualThreshold,
    "priority-shed": PriorityShed,
    "row-budget": RowBudget,
    "static-cap": StaticCap,
}
"""By the key `policy` of its block."""


def build(spec: PolicySpec) -> Policy:
    """The policy of a block, not started."""
    return POLICIES[spec.policy](spec)


def labels(specs: Sequence[PolicySpec]) -> list[str]:
    """What events and tables call each: its kind, numbered where there are several of one."""
    kinds = [spec.policy for spec in specs]
    return [
        kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: i + 1].count(kind)}"
        for i, kind in enumerate(kinds)
    ]
