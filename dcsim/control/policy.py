"""The protocol of all policies: telemetry in, commands out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.plant import Plant


def _none() -> IntArray:
    return np.zeros(0, dtype=np.int64)


def _of(servers: IntArray) -> str:
    return "1 server" if len(servers) == 1 else f"{len(servers)} servers"


@dataclass(frozen=True, slots=True)
class Site:
    """What a policy may know of the site before it starts. Arrays are in node order, those of
    servers in server order."""

    names: list[str]
    kinds: list[str]
    rating_w: FloatArray
    """NaN where unknown."""
    servers_under: dict[str, IntArray]
    """Server indices under each node."""
    server_nodes: IntArray = field(default_factory=_none)
    """Index of the node that each server is."""
    server_groups: tuple[str, ...] = ()
    """Name of the group of each server."""
    server_rest_w: FloatArray = field(default_factory=lambda: np.zeros(0))
    """What each server draws at rest, of which no cap relieves it."""
    gpu_rest_w: FloatArray = field(default_factory=lambda: np.zeros(0))
    """The same of one of its GPUs."""
    battery_w: dict[str, float] = field(default_factory=dict)
    """Nodes with a battery, and the most that it gives."""

    @classmethod
    def of(cls, plant: Plant) -> Site:
        """The part of a plant that a policy may know."""
        nodes, servers = plant.nodes, plant.servers
        battery_w = zip(nodes.name, nodes.battery_w.tolist(), strict=True)
        return cls(
            names=list(nodes.name),
            kinds=list(nodes.kind),
            rating_w=nodes.rating_w,
            servers_under={name: plant.servers_under(name) for name in nodes.name},
            server_nodes=servers.node,
            server_groups=tuple(plant.groups[group].name for group in servers.group.tolist()),
            server_rest_w=servers.idle_w,
            gpu_rest_w=servers.gpu_idle_w,
            battery_w={name: watts for name, watts in battery_w if not math.isnan(watts)},
        )


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Loads as a policy sees them: measured at `measured_s`, shown `delay` later."""

    measured_s: float
    node_w: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """Something to be done. A later command of the same policy, kind and `slot` for the same
    servers takes the place of an earlier one; what different policies or slots ask is combined
    so that the tightest holds."""

    node: str
    """For the sake of which node."""
    reason: str
    after_s: float = 0.0
    """From the command until it is in force."""
    slot: str = ""

    @property
    def told(self) -> str:
        """What it limits, in words; empty when it lifts a limit."""
        return ""


@dataclass(frozen=True, slots=True)
class Admit(Command):
    """Let servers take new requests, or not. What they already have goes on."""

    servers: IntArray
    allowed: bool

    @property
    def told(self) -> str:
        return "" if self.allowed else f"no new requests to {_of(self.servers)}"


@dataclass(frozen=True, slots=True)
class LimitClock(Command):
    """Hold the GPUs of servers at a share of their full clock; 1.0 lifts it."""

    servers: IntArray
    clock: float
    brake: bool = False
    """An emergency, told as such."""

    @property
    def told(self) -> str:
        if self.clock >= 1.0:
            return ""
        return f"clock of {_of(self.servers)} held at {100 * self.clock:.1f} %"


@dataclass(frozen=True, slots=True)
class CapGpus(Command):
    """Most that each GPU of servers may draw; infinite lifts it."""

    servers: IntArray
    cap_w: float

    @property
    def told(self) -> str:
        if not np.isfinite(self.cap_w):
            return ""
        return f"GPUs of {_of(self.servers)} capped at {self.cap_w:.0f} W"


@dataclass(frozen=True, slots=True)
class CapServers(Command):
    """Most that each server may draw, AC, shape (servers,); infinite lifts it."""

    servers: IntArray
    cap_w: FloatArray

    @property
    def told(self) -> str:
        capped = self.servers[np.isfinite(self.cap_w)]
        return f"power of {_of(capped)} capped" if len(capped) else ""


@dataclass(frozen=True, slots=True)
class LimitBatch(Command):
    """Most requests that each engine on servers runs at once; None lifts it."""

    servers: IntArray
    max_batch: int | None

    @property
    def told(self) -> str:
        if self.max_batch is None:
            return ""
        return f"batches of at most {self.max_batch} on {_of(self.servers)}"


@dataclass(frozen=True, slots=True)
class Shed(Command):
    """Refuse requests whose tenant's priority is a higher number than `keep`; None refuses none."""

    keep: int | None

    @property
    def told(self) -> str:
        return "" if self.keep is None else f"requests of priority above {self.keep} refused"


@dataclass(frozen=True, slots=True)
class Shave(Command):
    """The battery at `battery` gives what that node draws beyond `above_w`; None: as its scenario
    says."""

    battery: str
    above_w: float | None

    @property
    def told(self) -> str:
        return "" if self.above_w is None else "batteries shave"


class Policy(Protocol):
    """Asked every `period_s`, never if that is infinite, and shown telemetry `delay_s` old."""

    period_s: float
    delay_s: float

    def start(self, site: Site) -> list[Command] | None:
        """Called once before the run; what it returns is obeyed from the first instant on. Raises
        ValueError for a site it cannot work with."""

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        """Commands, each obeyed once its `after_s` has passed."""
