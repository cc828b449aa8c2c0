"""The built-in policies by name, and from what a scenario says of a policy to the policy."""

from __future__ import annotations

from collections.abc import Sequence

from dcsim.control.budget import RowBudget
from dcsim.control.polca import DualThreshold
from dcsim.control.policy import Policy
from dcsim.control.shaving import BatteryShave
from dcsim.control.static import StaticCap
from dcsim.control.thresholds import AdmissionThrottle, BatchLimit, PriorityShed
from dcsim.registry import create, register
from dcsim.scenario import models

register("policies", "admission-throttle", models.AdmissionThrottleSpec, AdmissionThrottle)
register("policies", "batch-limit", models.BatchLimitSpec, BatchLimit)
register("policies", "battery-shave", models.BatteryShaveSpec, BatteryShave)
register("policies", "dual-threshold", models.DualThresholdSpec, DualThreshold)
register("policies", "priority-shed", models.PriorityShedSpec, PriorityShed)
register("policies", "row-budget", models.RowBudgetSpec, RowBudget)
register("policies", "static-cap", models.StaticCapSpec, StaticCap)


def build(spec: models.PolicySpec) -> Policy:
    """The policy of a block, not started. Raises PluginError."""
    policy: Policy = create("policies", spec.policy, spec)
    return policy


def labels(kinds: Sequence[str]) -> list[str]:
    """What events and tables call each policy: its kind, numbered where there are several of
    one."""
    return [
        kind if kinds.count(kind) == 1 else f"{kind}-{kinds[: i + 1].count(kind)}"
        for i, kind in enumerate(kinds)
    ]
