"""What only the rooms can tell of a scenario: asked before a run, and by `dcsim validate`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dcsim.control.policy import Site
from dcsim.control.registry import build
from dcsim.errors import ConfigurationError, PackError, PolicyError, Problem, ScenarioError
from dcsim.hardware.catalogue import load_catalogue
from dcsim.plant import Plant, ResolvedGroup
from dcsim.power.baseline_tables import mean_table, no_mean
from dcsim.power.pack import find_pack
from dcsim.scenario.models import Scenario
from dcsim.spec.nearest import suggestion


def check_rooms(scenario: Scenario) -> list[tuple[str, str]]:
    """All of it, as (dotted path, message)."""
    return check_scaling(scenario) + check_control(scenario) + check_power(scenario)


@contextmanager
def telling_problems(scenario: Scenario) -> Iterator[None]:
    """Where a part of the scenario cannot be built inside, raise ScenarioError with all that the
    rooms find wrong with it. The errors of components passed as objects are left as they are."""
    try:
        yield
    except (PolicyError, ConfigurationError) as error:
        problems = check_rooms(scenario)
        if not problems:
            raise
        file = f"<{scenario.name}>"
        raise ScenarioError(Problem(file, None, path, what) for path, what in problems) from error


def check_control(scenario: Scenario) -> list[tuple[str, str]]:
    """Policies that cannot work on this site, as (dotted path, message)."""
    if not scenario.control:
        return []
    site = Site.from_plant(Plant.build(scenario))
    problems = []
    for index, spec in enumerate(scenario.control):
        try:
            build(spec).start(site)
        except PolicyError as error:
            problems.append((f"control.{index}.{error.key}", str(error)))
    return problems


def check_scaling(scenario: Scenario) -> list[tuple[str, str]]:
    """Autoscalers that ask for replicas or nodes that are not there, as (dotted path, message)."""
    if all(group.autoscale is None for group in scenario.servers):
        return []
    plant = Plant.build(scenario)
    problems = []
    for index, group in enumerate(scenario.servers):
        spec = group.autoscale
        if spec is None:
            continue
        there = len(plant.replicas_of(group.name))
        for key, asked in (
            ("min", spec.min_replicas),
            ("start", spec.start),
            ("max", spec.max_replicas),
        ):
            if asked is not None and asked > there:
                told = f"this group has {there} replicas, not {asked}"
                problems.append((f"servers.{index}.autoscale.{key}", told))
        if spec.budget is not None and spec.budget.node not in plant.topology.index:
            hint = suggestion(spec.budget.node, plant.topology.names)
            told = f"no node is called '{spec.budget.node}'" + (f" ({hint})" if hint else "")
            problems.append((f"servers.{index}.autoscale.budget.node", told))
    return problems


def check_power(scenario: Scenario) -> list[tuple[str, str]]:
    """Packs that cannot be read or cannot serve their servers, means that nobody measured:
    (dotted path, message) of each."""
    catalogue = load_catalogue()
    problems = []
    for index, group in enumerate(scenario.servers):
        power = group.power
        config = ResolvedGroup.resolve(group, catalogue).config
        if power.model == "mean" and config.key not in mean_table():
            problems.append((f"servers.{index}.power.model", no_mean(config.key)))
        if power.model != "gru":
            continue
        try:
            pack = find_pack(power.pack, [config])
        except PackError as error:
            problems.append((f"servers.{index}.power.pack", str(error)))
            continue
        refusal = pack.refusal(config, scenario.power_step_s, power.extrapolate)
        if refusal is not None:
            problems.append((f"servers.{index}.power", refusal))
    return problems
