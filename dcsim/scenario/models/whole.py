"""The scenario as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from dcsim.scenario.models.control import PolicySpec
from dcsim.scenario.models.routing import RouterSpec, Routing
from dcsim.scenario.models.servers import ServerGroup
from dcsim.scenario.models.site import Cooling, FacilityNode, Fault, Limits, Restart
from dcsim.scenario.models.traffic import Stream, Tenant
from dcsim.scenario.start import StartTime
from dcsim.spec.base import Name, Spec
from dcsim.spec.registered import Registered
from dcsim.spec.units import Seconds, SecondsOrAuto


class Record(Spec):
    """What the results file keeps."""

    server_step_s: Seconds = Field(default=1.0, alias="server_step")
    """Means over this interval for single servers; higher levels are kept at every power step."""
    requests: bool = True
    """Keep a row for each request."""


class Scenario(Spec):
    """A site, its traffic and how to play it."""

    name: Name
    """Names the results."""
    description: str = ""
    """Free text."""
    seed: int = Field(default=0, ge=0, le=2**63 - 1)
    """The same scenario and seed give the same bytes."""
    start: StartTime | None = None
    """When the run starts by the clock: `19:00`, `2026-12-01 19:00`, or with a zone
    `2026-12-01 19:00 Europe/Berlin`. Outputs then tell clock times, windows by the clock have
    their blocks, and streams start at that time of day. None: time counts from the start of the
    run."""
    duration_s: Seconds = Field(alias="duration")
    """Simulated time."""
    warm_up_s: SecondsOrAuto = Field(default=None, alias="warm_up")
    """Time from the start that no figure sees: the site begins empty, and fills. Peaks, means,
    ramps, percentiles, latencies and shares of limits are of what comes after; trips always count,
    and energies are of the whole run. None: `auto`: 30 s, or as long as it takes until 99 % of the
    requests that are in service together in steady state are there, at most a fifth of the run. A
    time that is given is held to half of the run."""
    power_step_s: Seconds = Field(default=0.25, alias="power_step")
    """How often watts are worked out and limits watched."""
    workload: tuple[Stream, ...] = Field(min_length=1)
    """Request streams."""
    tenants: tuple[Tenant, ...] = ()
    """Customers or classes of requests."""
    servers: tuple[ServerGroup, ...] = Field(min_length=1)
    """Server groups."""
    routing: Annotated[Routing, Registered("routers", RouterSpec)] = Routing()
    """How requests find a replica."""
    facility: tuple[FacilityNode, ...] = Field(min_length=1)
    """The power tree, as a table."""
    limits: Limits = Limits()
    """When a load is worth a flag."""
    cooling: Cooling = Cooling()
    """Cooling as a load of the site."""
    faults: tuple[Fault, ...] = ()
    """What fails and is put right, and when."""
    restart: Restart = Restart()
    """How servers come back when they have power again."""
    control: tuple[PolicySpec, ...] = ()
    """Policies that act on the site while it runs."""
    record: Record = Record()
    """What the results file keeps."""

    def replace(self, changes: Mapping[str, Any] | None = None, /, **keys: Any) -> Scenario:
        """Return a copy with some keys changed, checked as a scenario file is.

        Parameters
        ----------
        changes
            By dotted path, as `--set` takes it: `{"facility.row.rating": 700e3}`; an item of a
            list by its name or index. Values are numbers in SI units, text with units, or specs.
        keys
            Keys at the top, by field name or key of the file: `duration_s=600.0`.

        Returns
        -------
        Scenario
            The changed copy.

        Raises
        ------
        ScenarioError
            With all problems; they name `<the scenario's name>` in place of a file.
        """
        from dcsim.scenario.load import replaced  # which reads files into this model

        names = {name: field.alias or name for name, field in type(self).model_fields.items()}
        top = {names.get(key, key): value for key, value in keys.items()}
        return replaced(self, {**(changes or {}), **top})
