"""Server types of the catalogue: GPUs in a chassis, its nameplate and what the rest draws."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.base import Name, Spec
from dcsim.spec.units import SecondsOrZero, Watts, WattsOrZero


class ServerType(Spec):
    name: Name
    title: str
    gpu: Name
    gpu_count: int = Field(ge=1)
    nameplate_w: Watts = Field(alias="nameplate")
    non_gpu_w: WattsOrZero = Field(alias="non_gpu")
    """CPU, fans, NICs, PSU loss: constant, added to the GPU watts."""
    non_gpu_evidence: Literal["measured", "fitted", "assumed"] = "assumed"
    hold_up_s: SecondsOrZero = Field(default=0.012, alias="hold_up")
    """How long its power supplies bridge a gap in their voltage at 70 % of the nameplate and below.
    Intel's common redundant supplies (technical product specifications of its server systems):
    12 ms."""
    hold_up_full_s: SecondsOrZero = Field(default=0.010, alias="hold_up_full")
    """The same at the nameplate; theirs: 10 ms."""
    chassis: Literal["constant", "fitted"] = "constant"
    """Where fitted, `dcsim.power.chassis` knows the type and takes the constant's place."""
    source: str
