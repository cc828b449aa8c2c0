"""The scenario as a whole."""

from __future__ import annotations

from pydantic import Field

from dcsim.scenario.models.base import Name, Spec
from dcsim.scenario.models.control import AdmissionThrottle
from dcsim.scenario.models.routing import Routing
from dcsim.scenario.models.servers import ServerGroup
from dcsim.scenario.models.site import Cooling, FacilityNode, Fault, Limits, Restart
from dcsim.scenario.models.traffic import Stream, Tenant
from dcsim.scenario.units import Seconds


class Record(Spec):
    """What the results file keeps."""

    server_step_s: Seconds = Field(default=1.0, alias="server_step")
    """Means over this interval for single servers; higher levels are kept at every power step."""
    requests: bool = True


class Scenario(Spec):
    """A site, its traffic and how to play it."""

    name: Name
    description: str = ""
    seed: int = Field(default=0, ge=0)
    duration_s: Seconds = Field(alias="duration")
    power_step_s: Seconds = Field(default=0.25, alias="power_step")
    workload: tuple[Stream, ...] = Field(min_length=1)
    tenants: tuple[Tenant, ...] = ()
    servers: tuple[ServerGroup, ...] = Field(min_length=1)
    routing: Routing = Routing()
    facility: tuple[FacilityNode, ...] = Field(min_length=1)
    limits: Limits = Limits()
    cooling: Cooling = Cooling()
    faults: tuple[Fault, ...] = ()
    restart: Restart = Restart()
    control: tuple[AdmissionThrottle, ...] = ()
    record: Record = Record()
