"""docs/control.md names every policy and every key, with its default."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic_core import PydanticUndefined

import dcsim.control.registry  # noqa: F401 - registers the built-in policies
from dcsim import registry
from dcsim.scenario import models

PAGE = (Path(__file__).parents[2] / "docs" / "control.md").read_text(encoding="utf-8")
SPECS: dict[str, type[models.Spec]] = {
    "admission-throttle": models.AdmissionThrottleSpec,
    "batch-limit": models.BatchLimitSpec,
    "battery-shave": models.BatteryShaveSpec,
    "dual-threshold": models.DualThresholdSpec,
    "priority-shed": models.PriorityShedSpec,
    "row-budget": models.RowBudgetSpec,
    "static-cap": models.StaticCapSpec,
}


def rows(policy: str) -> dict[str, str]:
    """Key by key, the default that the policy's section tells."""
    section = PAGE.split(f"\n## {policy}\n")[1].split("\n## ")[0]
    found = {}
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("| `") or len(cells) < 3:
            continue
        keys = [key.strip(" `") for key in cells[0].split(",")]
        told = [value.strip(" `") for value in cells[1].split(",")]
        for place, key in enumerate(keys):
            found[key] = told[place] if len(told) == len(keys) else cells[1]
    return found


def shown(default: Any, key: str) -> str | None:
    """A default as the page writes it; None where that is in words."""
    if default is None or default == () or default is PydanticUndefined:
        return None
    if isinstance(default, str):
        return default
    timed = key in ("period", "start", "end") or key.endswith("delay")
    return f"{default:g} s" if timed else f"{default}"


def test_every_policy_has_its_section() -> None:
    assert set(SPECS) == set(registry.names("policies"))


@pytest.mark.parametrize("policy", sorted(SPECS))
def test_every_key_is_there_with_its_default(policy: str) -> None:
    told = rows(policy)
    wanted = {}
    for name, field in SPECS[policy].model_fields.items():
        key = field.alias or name
        if key != "policy":
            wanted[key] = shown(field.default, key)
    assert set(told) == set(wanted)
    for key, default in wanted.items():
        if default is None:
            assert told[key], key
            continue
        try:
            assert float(told[key]) == float(default), key
        except ValueError:
            assert told[key] == default, key
