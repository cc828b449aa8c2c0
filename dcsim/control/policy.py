"""The protocol of all policies: telemetry in, commands out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from dcsim.arrays import FloatArray, IntArray
from dcsim.plant import Plant
from dcsim.records import EventKind


def _none() -> IntArray:
    return np.zeros(0, dtype=np.int64)


def _described(servers: IntArray) -> str:
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
    def from_plant(cls, plant: Plant) -> Site:
        """Take from a plant what a policy may know.

        Parameters
        ----------
        plant
            The resolved site.

        Returns
        -------
        Site
            In node and server order.
        """
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
    """A request to the plant.

    A command states, as data, what it sets (`target`, a key of the actuators) and to which value,
    and the actuators obey every kind in the same way. A later command of the same policy, target
    and `slot` for the same servers takes the place of an earlier one. Of what different policies
    or slots request, the lowest value holds: the tightest limit.
    """

    target: ClassVar[str]
    """What it sets."""
    setting: ClassVar[str]
    """Its field that has the value."""
    lifted_setting: ClassVar[Any] = None
    """That field's value in a command that lifts the limit; None: no value, as good as
    infinite."""
    whole_steps: ClassVar[bool] = False
    """Obeyed at the end of a power step only, not at its own time inside one."""
    slows: ClassVar[bool] = False
    """Changes how fast GPUs work."""

    node: str
    """For the sake of which node."""
    reason: str
    after_s: float = 0.0
    """From the command until it is in force."""
    slot: str = ""

    @property
    def where(self) -> IntArray | None:
        """Servers that it concerns; None for a setting that is no server's."""
        return None

    @property
    def key(self) -> str:
        """The target, or one of several of its kind, such as the battery of a node."""
        return self.target

    @property
    def value(self) -> float | FloatArray:
        """What is set: a number, or one by server of `where`."""
        value: float | FloatArray = _number(getattr(self, self.setting))
        return value

    @property
    def unlimited(self) -> float:
        """The value where nothing is requested, in the unit of the setting."""
        return float(_number(self.lifted_setting))

    @property
    def event(self) -> EventKind:
        """The event with which its limit begins."""
        return "limited"

    @property
    def text(self) -> str:
        """What it limits, in words; empty when it lifts a limit."""
        return ""

    def lifted(self, after_s: float, reason: str) -> Self:
        """Make the command that lifts this limit.

        Parameters
        ----------
        after_s
            From the new command until it is in force.
        reason
            Why, for the event.

        Returns
        -------
        Command
            Of the same kind, for the same servers, policy slot and node.
        """
        changes = {self.setting: self.lifted_setting}
        return replace(self, after_s=after_s, reason=reason, **changes)


def _number(value: Any) -> Any:
    return math.inf if value is None else value


@dataclass(frozen=True, slots=True)
class ServerCommand(Command):
    """A command that sets something of servers."""

    servers: IntArray

    @property
    def where(self) -> IntArray:
        return self.servers


@dataclass(frozen=True, slots=True)
class Admit(ServerCommand):
    """Let servers take new requests, or not. What they already have goes on."""

    target = "admission"
    setting = "allowed"
    lifted_setting = True

    allowed: bool

    @property
    def text(self) -> str:
        return "" if self.allowed else f"no new requests to {_described(self.servers)}"


@dataclass(frozen=True, slots=True)
class LimitFrequency(ServerCommand):
    """Hold the GPUs of servers at a share of their full core clock; 1.0 lifts it."""

    target = "frequency"
    setting = "frequency_ratio"
    lifted_setting = 1.0
    slows = True

    frequency_ratio: float
    """Share of the full core clock, 0 to 1."""
    brake: bool = False
    """An emergency: its event is `braked`."""

    @property
    def event(self) -> EventKind:
        return "braked" if self.brake else "limited"

    @property
    def text(self) -> str:
        if self.frequency_ratio >= 1.0:
            return ""
        held = f"held at {100 * self.frequency_ratio:.1f} %"
        return f"clock of {_described(self.servers)} {held}"


@dataclass(frozen=True, slots=True)
class CapGpus(ServerCommand):
    """Most that each GPU of servers may draw; infinite lifts it."""

    target = "gpu_power"
    setting = "cap_w"
    lifted_setting = math.inf
    slows = True

    cap_w: float

    @property
    def text(self) -> str:
        if not np.isfinite(self.cap_w):
            return ""
        return f"GPUs of {_described(self.servers)} capped at {self.cap_w:.0f} W"


@dataclass(frozen=True, slots=True)
class CapServers(ServerCommand):
    """Most that each server may draw, AC, shape (servers,) or one for all; infinite lifts it."""

    target = "server_power"
    setting = "cap_w"
    lifted_setting = math.inf
    slows = True

    cap_w: FloatArray | float

    @property
    def text(self) -> str:
        capped = self.servers[np.isfinite(np.broadcast_to(self.cap_w, self.servers.shape))]
        return f"power of {_described(capped)} capped" if len(capped) else ""


@dataclass(frozen=True, slots=True)
class LimitBatch(ServerCommand):
    """Most requests that each engine on servers runs at once; None lifts it."""

    target = "batch"
    setting = "max_batch"

    max_batch: int | None

    @property
    def text(self) -> str:
        if self.max_batch is None:
            return ""
        return f"batches of at most {self.max_batch} on {_described(self.servers)}"


@dataclass(frozen=True, slots=True)
class Shed(Command):
    """Refuse requests whose tenant's priority is a higher number than `keep`; None refuses none."""

    target = "priority"
    setting = "keep"

    keep: int | None

    @property
    def text(self) -> str:
        return "" if self.keep is None else f"requests of priority above {self.keep} refused"


@dataclass(frozen=True, slots=True)
class Shave(Command):
    """The battery at `battery` gives what that node draws beyond `above_w`; None: as its scenario
    says."""

    target = "battery"
    setting = "above_w"
    whole_steps = True

    battery: str
    above_w: float | None

    @property
    def key(self) -> str:
        return f"{self.target}:{self.battery}"

    @property
    def text(self) -> str:
        return "" if self.above_w is None else "batteries shave"


class Policy(Protocol):
    """Decides every `period_s`, never if that is infinite, on telemetry that is `delay_s` old."""

    period_s: float
    delay_s: float

    def start(self, site: Site) -> list[Command] | None:
        """Prepare for a run; called once, before it.

        Parameters
        ----------
        site
            What the policy may know of the site.

        Returns
        -------
        list of Command or None
            In force from the first instant on.

        Raises
        ------
        ValueError
            If the policy cannot work on this site.
        """

    def decide(self, now_s: float, telemetry: Telemetry) -> list[Command]:
        """Decide on what the telemetry shows.

        Parameters
        ----------
        now_s
            Simulated time.
        telemetry
            Loads as they were `delay_s` ago.

        Returns
        -------
        list of Command
            Each is in force once its `after_s` has passed.
        """
