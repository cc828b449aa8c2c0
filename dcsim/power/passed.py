"""Power models that are passed to a simulation as objects, in place of what its scenario says."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy

from pydantic import PrivateAttr

from dcsim.errors import ConfigurationError
from dcsim.power.model import PowerModel
from dcsim.scenario.models import PowerSpec, Scenario
from dcsim.spec.nearest import suggestion


class PassedPower(PowerSpec):
    """Stands in a server group for an object; `model` is the object's name."""

    _object: PowerModel = PrivateAttr()
    _untouched: PowerModel = PrivateAttr()
    _is_taken: bool = PrivateAttr(default=False)

    @classmethod
    def wrap(cls, model: PowerModel) -> PassedPower:
        """Keep an object, and a copy of it as it is now."""
        spec = cls(model=model.name)
        spec._object, spec._untouched = model, deepcopy(model)
        return spec

    def take(self) -> PowerModel:
        """The object itself for the replicas of the site, which is who asks first; after that
        copies, for those who ask what it would say of other work."""
        if self._is_taken:
            return deepcopy(self._untouched)
        self._is_taken = True
        return self._object


def with_power_models(scenario: Scenario, models: Mapping[str, PowerModel]) -> Scenario:
    """The scenario with objects in place of power models, by server group.

    Raises ConfigurationError for a group that it does not have.
    """
    names = [group.name for group in scenario.servers]
    for name in models:
        if name not in names:
            message = f"power_models: there is no server group '{name}'"
            raise ConfigurationError(f"{message} ({suggestion(name, names)})")
    passed = {id(model): PassedPower.wrap(model) for model in models.values()}
    groups = tuple(
        group.model_copy(update={"power": passed[id(models[group.name])]})
        if group.name in models
        else group
        for group in scenario.servers
    )
    return scenario.model_copy(update={"servers": groups})
