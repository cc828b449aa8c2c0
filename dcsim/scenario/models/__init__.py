"""What a scenario file may say. Python names carry SI units; the file's keys (aliases) do not,
because there each quantity brings its own unit."""

from dcsim.scenario.models.base import Fraction, Name, Spec
from dcsim.scenario.models.control import AdmissionThrottle
from dcsim.scenario.models.routing import Routing
from dcsim.scenario.models.servers import Engine, KvTransfer, Power, ServerGroup
from dcsim.scenario.models.site import (
    Battery,
    Breaker,
    Cooling,
    Demand,
    Electronic,
    FacilityNode,
    Fault,
    Limits,
    Ramp,
    Restart,
)
from dcsim.scenario.models.traffic import (
    Arrivals,
    DiurnalArrivals,
    FitTokens,
    FixedTokens,
    LognormalTokens,
    PoissonArrivals,
    ReplayArrivals,
    Slo,
    Stream,
    Tenant,
    Tokens,
)
from dcsim.scenario.models.whole import Record, Scenario

__all__ = [
    "AdmissionThrottle",
    "Arrivals",
    "Battery",
    "Breaker",
    "Cooling",
    "Demand",
    "DiurnalArrivals",
    "Electronic",
    "Engine",
    "FacilityNode",
    "Fault",
    "FitTokens",
    "FixedTokens",
    "Fraction",
    "KvTransfer",
    "Limits",
    "LognormalTokens",
    "Name",
    "PoissonArrivals",
    "Power",
    "Ramp",
    "Record",
    "ReplayArrivals",
    "Restart",
    "Routing",
    "Scenario",
    "ServerGroup",
    "Slo",
    "Spec",
    "Stream",
    "Tenant",
    "Tokens",
]
