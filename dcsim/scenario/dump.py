"""A scenario as plain data and as text, quantities with their units: what results files keep."""

from __future__ import annotations

from typing import Any

import yaml

from dcsim.scenario.models import Scenario


def resolved(scenario: Scenario) -> dict[str, Any]:
    """All keys with all defaults, quantities as text with units; `load` reads it back equal.

    Keys whose value is None are left out: None is their default.
    """
    return scenario.model_dump(mode="json", by_alias=True, exclude_none=True)


def dump(scenario: Scenario) -> str:
    """The resolved scenario as YAML."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        resolved(scenario), Dumper=dumper, sort_keys=False, allow_unicode=True, width=100
    )
    return text
