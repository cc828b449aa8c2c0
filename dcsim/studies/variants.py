"""What is put side by side: power models and policies, by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import BeforeValidator

from dcsim.errors import StudyError
from dcsim.registry import names
from dcsim.scenario.models import Power, Scenario
from dcsim.spec.document import yaml_value
from dcsim.spec.nearest import suggestion
from dcsim.studies.ask import variant
from dcsim.studies.options import Typed

SCENARIO_CHOICE = "scenario"
"""The power models, or the policies, that the file itself names."""
NAMEPLATE = "nameplate"
"""What the makers of the servers print on them; needs no run."""
PLAYED = (*(m for m in get_args(Power.model_fields["model"].annotation) if m != "label"),)
POLICY_SYNTAX = (
    "write NAME=FILE.yaml, NAME='[{policy: admission-throttle, nodes: row}]', 'none', or "
    "'scenario' for the file's own"
)


def check_models(models: Sequence[str]) -> None:
    """Check names of power models. Raises StudyError with every problem."""
    problems = []
    others = [name for name in names("power_models") if name not in (*PLAYED, "label")]
    known = [SCENARIO_CHOICE, NAMEPLATE, *PLAYED, *others]
    for name in models:
        if name not in known:
            hint = suggestion(name, known) or "there are " + ", ".join(known)
            problems.append(f"--models: there is no '{name}' ({hint})")
    if len(set(models)) < len(models):
        problems.append("--models: one is named twice")
    if not models:
        problems.append("--models: name one, such as scenario")
    if problems:
        raise StudyError(*problems)


def with_model(scenario: Scenario, name: str) -> Scenario:
    """The scenario with another power model for all its servers. Raises StudyError."""
    if name == SCENARIO_CHOICE:
        return scenario
    changes = {f"servers.{index}.power": {"model": name} for index in range(len(scenario.servers))}
    return variant(scenario, changes, f"--models {name}")


def parse_policies(texts: Sequence[str]) -> dict[str, list[dict[str, Any]] | None]:
    """Control blocks by name, from `NAME=FILE.yaml` or `NAME=[{policy: ...}]`; `none` is without
    any, `scenario` (None here) as the file has it. Raises StudyError with every problem."""
    policies: dict[str, list[dict[str, Any]] | None] = {}
    problems = []
    for text in texts:
        name, equals, value = (part.strip() for part in text.partition("="))
        if name in policies:
            problems.append(f"--policy: '{name}' is given twice")
        elif not equals and name == "none":
            policies[name] = []
        elif not equals and name == SCENARIO_CHOICE:
            policies[name] = None
        elif not equals or not name or not value:
            problems.append(f"--policy: '{text}' names no control block ({POLICY_SYNTAX})")
        else:
            try:
                policies[name] = _block(value)
            except ValueError as error:
                problems.append(f"--policy {name}: {error} ({POLICY_SYNTAX})")
    if problems:
        raise StudyError(*problems)
    return policies


def _parsed(value: Any) -> Any:
    return parse_policies(value) if isinstance(value, list | tuple) else value


Policies = Annotated[
    dict[str, list[dict[str, Any]] | None],
    BeforeValidator(_parsed),
    Typed(flag="policy", metavar="NAME=BLOCK"),
]
"""Control blocks by name; None is the scenario's own. Typed as `parse_policies` reads them."""


def as_inputs(policies: Mapping[str, Sequence[Mapping[str, Any]] | None]) -> dict[str, Any]:
    """Return policies as the inputs of an answer show them."""
    return {
        name: "the scenario's own" if block is None else list(block)
        for name, block in policies.items()
    }


def with_policy(
    scenario: Scenario, name: str, block: Sequence[Mapping[str, Any]] | None
) -> Scenario:
    """Return the scenario under other policies; None leaves its own. Raises StudyError."""
    if block is None:
        return scenario
    return variant(scenario, {"control": [dict(entry) for entry in block]}, f"--policy {name}")


def _block(text: str) -> list[dict[str, Any]]:
    """Read a control block from text or a file. Raises ValueError that says what is wrong."""
    if not text.startswith(("[", "{")):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError:
            raise ValueError(f"there is no file '{text}' that can be read") from None
    try:
        content = yaml_value(text)
    except (yaml.YAMLError, ValueError):
        raise ValueError("what is given is not YAML") from None
    if isinstance(content, dict):
        content = content.get("control", [content])
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ValueError("a control block is a list of policies, as under `control` in a scenario")
    return content
