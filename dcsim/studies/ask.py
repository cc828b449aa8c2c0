"""What all studies share: variants of a scenario, checked before anything is played."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml

from dcsim.errors import ScenarioError, StudyError
from dcsim.loading.load import load
from dcsim.loading.rooms import check_rooms
from dcsim.plant import Plant
from dcsim.plant.topology import Topology
from dcsim.scenario.load import change
from dcsim.scenario.models import Scenario
from dcsim.scenario.overrides import SYNTAX
from dcsim.spec.document import yaml_value
from dcsim.spec.nearest import suggestion
from dcsim.studies.jobs import job
from dcsim.studies.outcome import RunOutcome
from dcsim.studies.runner import Runner

Case = TypeVar("Case", bound=Hashable)
Changes = Mapping[str, Any]
"""Dotted paths and their values, as `--set` takes them."""


def opened(scenario: Scenario | str | Path) -> Scenario:
    """Return a scenario, loaded from its file if need be. Raises ScenarioError."""
    return scenario if isinstance(scenario, Scenario) else load(scenario)


def variant(scenario: Scenario, changes: Changes, option: str = "--set") -> Scenario:
    """A checked copy with some keys changed. Raises StudyError with every problem."""
    if not changes:
        return scenario
    try:
        changed = change(scenario, changes, option=option)
    except ScenarioError as error:
        raise StudyError(*map(str, error.problems)) from error
    problems = [f"{option}: {finding}" for finding in check_rooms(Plant.build(changed))]
    if problems:
        raise StudyError(*problems)
    return changed


def parse_changes(texts: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Read `path=value` texts as changes; values are YAML. Raises StudyError."""
    changes: dict[str, Any] = {}
    problems = []
    for text in texts:
        path, equals, value = text.partition("=")
        path = path.strip()
        if not equals or not path:
            problems.append(f"{option}: '{text}' has no value ({SYNTAX})")
            continue
        try:
            changes[path] = yaml_value(value)
        except (yaml.YAMLError, ValueError):
            problems.append(f"{option}: '{value}' is not a YAML value (quote it)")
    if problems:
        raise StudyError(*problems)
    return changes


def with_traffic(scenario: Scenario, factor: float) -> Scenario:
    """The same scenario with all its traffic multiplied, whatever kind of arrivals it is.

    It is done as a spike that lasts the whole run, which multiplies with what the file says of
    the rate. Each stream keeps its random numbers: more traffic is the same days, denser.
    """
    if factor == 1.0:
        return scenario
    changes: dict[str, Any] = {}
    for index, stream in enumerate(scenario.workload):
        spikes = [spike.model_dump(mode="json", by_alias=True) for spike in stream.arrivals.spikes]
        # A second more than the run, so that the end is not at an edge.
        whole = {"at": "0 s", "duration": f"{scenario.duration_s + 1.0:.6f} s", "factor": factor}
        changes[f"workload.{index}.arrivals.spikes"] = [*spikes, whole]
    return variant(scenario, changes, "traffic")


def seeds_of(scenario: Scenario, seeds: int | Sequence[int]) -> tuple[int, ...]:
    """So many seeds, counted on from the scenario's own, or those given. Raises StudyError."""
    if isinstance(seeds, int):
        if seeds < 1:
            raise StudyError("--seeds: a study needs one seed or more: give --seeds 5")
        return tuple(range(scenario.seed, scenario.seed + seeds))
    numbers = tuple(seeds)
    if not numbers:
        raise StudyError("--seeds: a study needs one seed or more: give --seeds 5")
    if len(set(numbers)) < len(numbers):
        raise StudyError("--seeds: a seed is named twice; each gives the same run again")
    return numbers


def averaging_times_s(*more_s: float) -> tuple[float, ...]:
    """The averaging times of a run's load figures: 1 s, 1 min, 15 min and those given."""
    return tuple(sorted({1.0, 60.0, 900.0, *more_s}))


def play_cases(
    runner: Runner,
    cases: Mapping[Case, Scenario],
    seeds: Sequence[int],
    what: str,
    windows_s: tuple[float, ...] = averaging_times_s(),
) -> dict[Case, list[RunOutcome]]:
    """The outcomes of each case, the same seeds for all; `what` names the batch to whoever looks
    on. Raises RunFailedError."""
    jobs = [job(case, seed, windows_s=windows_s) for case in cases.values() for seed in seeds]
    outcomes = iter(runner.play(jobs, what))
    return {name: [next(outcomes) for _ in seeds] for name in cases}


def node_row(scenario: Scenario, name: str, option: str = "--node") -> int:
    """Index of a row of the facility table by name. Raises StudyError that names the nearest."""
    names = [node.name for node in scenario.facility]
    if name in names:
        return names.index(name)
    hint = suggestion(name, names)
    known = ", ".join(names)
    raise StudyError(
        f"{option}: the facility has no '{name}' ({hint + '; ' if hint else ''}it has {known})"
    )


def nodes_of(scenario: Scenario, row: int, *, and_above: bool = False) -> list[str]:
    """Names of the copies of a row of the table, with all that feeds them if asked, top down."""
    topology = Topology.build(scenario.facility)
    name = scenario.facility[row].name
    reached = {i for i, spec in enumerate(topology.specs) if spec.name == name}
    todo = list(reached) if and_above else []
    while todo:
        ups = {int(up) for up in topology.feeds[todo.pop()] if up >= 0} - reached
        reached |= ups
        todo += ups
    return [topology.names[i] for i in sorted(reached)]


def load_rows(outcome: RunOutcome, window_s: float | None = None) -> dict[str, dict[str, Any]]:
    """Load figures by node at one averaging time; None stands for the longest."""
    if window_s is None:
        window_s = max(row["resolution_s"] for row in outcome.loads)
    return {row["node"]: row for row in outcome.loads if abs(row["resolution_s"] - window_s) < 1e-9}


def slo_loss(summary: Mapping[str, Any]) -> float:
    """Share of requests that were not served as promised: of the worst-off tenant with an SLO,
    those outside it; where nothing is promised, those that ended without completing. NaN where
    none has ended."""
    promised = [
        tenant["slo_attainment"]
        for tenant in summary["tenants"]
        if any(limit is not None for limit in tenant["slo"].values())
        and tenant["slo_attainment"] is not None
    ]
    if promised:
        return 1.0 - float(min(promised))
    counts = summary["requests"]
    lost = counts["rejected"] + counts["failed"] + counts["timed_out"]
    ended = lost + counts["completed"]
    return lost / ended if ended else float("nan")


def promise(scenario: Scenario) -> str:
    """Say what `slo_loss` means for a scenario."""
    if any(
        tenant.slo is not None and (tenant.slo.ttft_s or tenant.slo.tpot_s)
        for tenant in scenario.tenants
    ):
        return "share of requests outside their tenant's SLO, of the worst-off tenant"
    return (
        "share of requests rejected, failed or timed out (the scenario has no tenant with an SLO)"
    )


def power_evidence(outcomes: Sequence[RunOutcome]) -> tuple[dict[str, Any], ...]:
    """Power models that the outcomes rest on, each once, with the shares of the first such site's
    watts by what they stand on (`watts`, in words)."""
    distinct: dict[str, dict[str, Any]] = {}
    for outcome in outcomes:
        models = outcome.summary["power_model"]
        for model in models if isinstance(models, list) else [models]:
            name = f"{model['name']}:{model['pack']}:{model['provenance']}"
            text = (outcome.summary.get("evidence") or {}).get("text")
            distinct.setdefault(name, model | ({"watts": text} if text else {}))
    return tuple(distinct.values())


def evidence_sentences(evidence: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say what the watts of each configuration stand on, a sentence each."""
    lines = []
    for model in evidence:
        for row in model["provenance"]:
            lines.append(f"Watts of {row['configuration']}: {model['name']}, {row['evidence']}.")
    return list(dict.fromkeys(lines))
