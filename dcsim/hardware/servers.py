"""Server types of the catalogue: GPUs in a chassis, its nameplate and what the rest draws."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.base import Name, Spec
from dcsim.spec.units import SecondsOrZero, Watts, WattsOrZero

HOLD_UP_S = 0.012
"""At 70 % of a server's nameplate and below. Of Intel's common redundant power supplies
("AC line dropout / holdup" in Intel Server System R1000SP Product Family, Technical Product
Specification, order number G64249-002, section 4.5.4): at least 12 ms at 70 % load, 10 ms at 100 %.
Both are the least that the maker asks for; what a supply holds beyond is not counted. Others:
12 ms at 75 % (R1000JP, section 3.2.6.20), 20 ms at 75 % and 12 ms at full load (SR2625UR, order
number E46130-010, section 3.8.3). The 20 ms of the ITI (CBEMA) curve are what equipment is asked to
bear, not what supplies do."""
HOLD_UP_FULL_S = 0.010
"""At full load."""


class ServerType(Spec):
    name: Name
    title: str
    gpu: Name
    gpu_count: int = Field(ge=1)
    nameplate_w: Watts = Field(alias="nameplate")
    non_gpu_w: WattsOrZero = Field(alias="non_gpu")
    """CPU, fans, NICs, PSU loss: constant, added to the GPU watts."""
    non_gpu_evidence: Literal["measured", "fitted", "assumed"] = "assumed"
    hold_up_s: SecondsOrZero = Field(default=HOLD_UP_S, alias="hold_up")
    """How long its power supplies bridge a gap in their voltage at 70 % of the nameplate and below.
    Intel's common redundant supplies (technical product specifications of its server systems):
    12 ms."""
    hold_up_full_s: SecondsOrZero = Field(default=HOLD_UP_FULL_S, alias="hold_up_full")
    """The same at the nameplate; theirs: 10 ms."""
    chassis: Literal["constant", "fitted"] = "constant"
    """Where fitted, `dcsim.power.chassis` knows the type and takes the constant's place."""
    source: str
