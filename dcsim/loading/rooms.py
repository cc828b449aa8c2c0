"""What only the rooms know of a scenario: policies, replicas to scale, power packs.

These rules run before a run and by `dcsim validate`, after those of `dcsim.scenario.checks`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from dcsim.control.policy import Site
from dcsim.control.registry import build
from dcsim.errors import ConfigurationError, PackError, PolicyError, Problem, ScenarioError
from dcsim.plant import Plant, ResolvedGroup
from dcsim.power.baseline_tables import mean_table, no_mean
from dcsim.power.pack import find_pack
from dcsim.spec.document import Finding
from dcsim.spec.nearest import suggestion


def check_rooms(plant: Plant) -> Iterator[Finding]:
    """All that is wrong with the parts that the rooms build from a plant's scenario."""
    yield from check_scaling(plant)
    yield from check_control(plant)
    yield from check_power(plant)


@contextmanager
def raising_problems(plant: Plant) -> Iterator[None]:
    """Where a part of the plant cannot be built inside, raise ScenarioError with all that the
    rooms find wrong with it. The errors of components passed as objects are left as they are."""
    try:
        yield
    except (PolicyError, ConfigurationError) as error:
        findings = list(check_rooms(plant))
        if not findings:
            raise
        file = f"<{plant.scenario.name}>"
        raise ScenarioError(
            Problem(file, None, finding.dotted, finding.message, finding.hint)
            for finding in findings
        ) from error


def check_control(plant: Plant) -> Iterator[Finding]:
    """Policies that cannot work on this site."""
    if not plant.scenario.control:
        return
    site = Site.from_plant(plant)
    for index, spec in enumerate(plant.scenario.control):
        try:
            build(spec).start(site)
        except PolicyError as error:
            yield Finding(("control", index, error.key), str(error))


def check_scaling(plant: Plant) -> Iterator[Finding]:
    """Autoscalers with replicas or nodes that are not there."""
    for index, group in enumerate(plant.scenario.servers):
        spec, path = group.autoscale, ("servers", index, "autoscale")
        if spec is None:
            continue
        there = len(plant.replicas_of(group.name))
        limits = {"min": spec.min_replicas, "start": spec.start, "max": spec.max_replicas}
        for key, replicas in limits.items():
            if replicas is not None and replicas > there:
                message = f"this group has {there} replicas, not {replicas}"
                yield Finding((*path, key), message)
        if spec.budget is not None and spec.budget.node not in plant.topology.index:
            node = spec.budget.node
            hint = suggestion(node, plant.topology.names)
            yield Finding((*path, "budget", "node"), f"no node is called '{node}'", hint)


def check_power(plant: Plant) -> Iterator[Finding]:
    """Packs that cannot be read or cannot serve their servers, and means that were not measured."""
    for index, group in enumerate(plant.scenario.servers):
        power, path = group.power, ("servers", index, "power")
        config = ResolvedGroup.resolve(group, plant.catalogue).config
        if power.model == "mean" and config.key not in mean_table():
            yield Finding((*path, "model"), no_mean(config.key))
        if power.model != "gru":
            continue
        try:
            pack = find_pack(power.pack, [config])
        except PackError as error:
            yield Finding((*path, "pack"), str(error))
            continue
        refusal = pack.refusal(config, plant.scenario.power_step_s, power.extrapolate)
        if refusal is not None:
            yield Finding(path, refusal)
