"""From GPU watts to the AC watts of a server: other parts, fans that follow slowly, power supplies.

    dc = gpu + other + share x lag(gpu - idle gpu, delay)
    ac = dc / efficiency(dc / rated)

`other` is what the server draws beside its GPUs at rest (CPUs, memory, adapters, fans at their
slowest), `share` what fans, voltage converters and CPUs add for each watt the GPUs add, following
it with a first-order lag. The efficiency is that which 80 PLUS Titanium asks of a supply. Constants
by server type lie in `tables/chassis.yaml`, made from whole-server AC measurements by
`python -m benchmarks.chassis`; GPUs were not metered beside them, so what is assumed is said there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Literal

import numpy as np
import yaml

from dcsim.arrays import FloatArray

LOAD = np.array([0.0, 0.1, 0.2, 0.5, 1.0])
EFFICIENCY = np.array([0.80, 0.90, 0.94, 0.96, 0.91])
"""80 PLUS Titanium, 230 V internal redundant: 90, 94, 96 and 91 % at 10, 20, 50 and 100 % of the
rating. The value at no load is assumed; servers never go there."""


@dataclass(frozen=True, slots=True)
class Chassis:
    """Constants of one server type."""

    other_w: float
    """DC watts beside the GPUs at rest."""
    gpu_idle_w: float
    """All GPUs at rest."""
    share: float
    """DC watts of fans and the like for each GPU watt above rest."""
    delay_s: float
    """Time constant with which they follow."""
    rated_w: float
    """DC watts of all power supplies together."""
    evidence: Literal["measured", "fitted", "assumed"]
    source: str


@lru_cache(maxsize=1)
def chassis_table() -> dict[str, Chassis]:
    """By name of the server type."""
    text = (resources.files("dcsim.power") / "tables" / "chassis.yaml").read_text(encoding="utf-8")
    return {name: Chassis(**row) for name, row in yaml.safe_load(text)["servers"].items()}


def efficiency(load: FloatArray | float) -> FloatArray:
    """Of power supplies at a share of their rating."""
    share: FloatArray = np.interp(load, LOAD, EFFICIENCY)
    return share


def ac_watts(dc_w: FloatArray | float, rated_w: FloatArray | float) -> FloatArray:
    """What the supplies draw to give so much."""
    ac_w: FloatArray = np.asarray(dc_w) / efficiency(np.asarray(dc_w) / rated_w)
    return ac_w


_DC = np.linspace(0.0, 1.5, 6001)
_AC = ac_watts(_DC, 1.0)
"""What supplies give and draw, as shares of their rating: to be read the other way."""


class ChassisModel:
    """The chassis of many servers, stepped together."""

    def __init__(self, kinds: Sequence[Chassis], step_s: float) -> None:
        self._other_w = np.array([kind.other_w for kind in kinds])
        self._idle_w = np.array([kind.gpu_idle_w for kind in kinds])
        self._share = np.array([kind.share for kind in kinds])
        self._rated_w = np.array([kind.rated_w for kind in kinds])
        delay_s = np.array([kind.delay_s for kind in kinds])
        self._keep = np.where(delay_s > 0, np.exp(-step_s / np.maximum(delay_s, 1e-9)), 0.0)
        self._followed_w = np.zeros(len(kinds))
        """GPU watts above rest, as the fans have followed them so far."""

    def gpu_limit_w(self, ac_cap_w: FloatArray) -> FloatArray:
        """What the GPUs of each server may draw in the next step so that it stays at or under its
        AC cap, shape (servers,), infinite for an infinite cap. Below 0 where the rest is more."""
        dc_cap_w = self._rated_w * np.interp(ac_cap_w / self._rated_w, _AC, _DC) * (1.0 - 1e-6)
        # Fans that still follow a higher load, and those that will have followed this one.
        as_they_are = dc_cap_w - self._other_w - self._share * self._followed_w
        settled = dc_cap_w - self._other_w + self._share * self._idle_w
        settled /= 1.0 + self._share
        limit_w: FloatArray = np.minimum(as_they_are, settled)
        limit_w[np.isinf(ac_cap_w)] = np.inf
        return limit_w

    def step(self, gpu_w: FloatArray) -> FloatArray:
        """AC watts of each server over the step, shape (servers,), given its GPUs' watts."""
        above = np.maximum(gpu_w - self._idle_w, 0.0)
        self._followed_w += (1.0 - self._keep) * (above - self._followed_w)
        dc_w = gpu_w + self._other_w + self._share * self._followed_w
        return ac_watts(dc_w, self._rated_w)
