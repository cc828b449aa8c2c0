"""Flags: what the facility says while running."""

from __future__ import annotations

from dataclasses import dataclass, field

from dcsim.arrays import FloatArray
from dcsim.plant.topology import Topology
from dcsim.records import EventKind


@dataclass(frozen=True, slots=True)
class FacilityEvent:
    """One flag. `margin_w` is limit minus load: negative when over, NaN without a limit."""

    time_s: float
    kind: EventKind
    node: str
    node_kind: str
    load_w: float
    limit_w: float
    margin_w: float
    message: str


def event_at(
    topology: Topology,
    time_s: float,
    kind: EventKind,
    node: int,
    load_w: float,
    limit_w: float,
    message: str,
) -> FacilityEvent:
    """A flag of a node, by its index."""
    return FacilityEvent(
        time_s=time_s,
        kind=kind,
        node=topology.names[node],
        node_kind=topology.kinds[node],
        load_w=load_w,
        limit_w=limit_w,
        margin_w=limit_w - load_w,
        message=message,
    )


@dataclass(frozen=True, slots=True)
class StepFlags:
    """The flags of one power step, in the order in which they are raised."""

    topology: Topology
    now_s: float
    felt_w: FloatArray
    """Loads of the nodes as their ratings feel them, shape (nodes,)."""
    events: list[FacilityEvent] = field(default_factory=list)

    def at_node(self, kind: EventKind, node: int, message: str) -> None:
        """Of a node, with its load and its rating."""
        rating_w = float(self.topology.rating_w[node])
        self.at_limit(kind, node, float(self.felt_w[node]), rating_w, message)

    def at_limit(
        self, kind: EventKind, node: int, load_w: float, limit_w: float, message: str
    ) -> None:
        """Of another load and limit of a node."""
        topology = self.topology
        self.events.append(event_at(topology, self.now_s, kind, node, load_w, limit_w, message))


def percent(share: float) -> str:
    """`85.0 %` from 0.85."""
    return f"{100.0 * share:.1f} %"


def duration(time_s: float) -> str:
    """A span of time for a message: `0.75 s`, `64 s`, `12.5 min` or `3.2 h`."""
    if time_s < 120.0:
        return f"{time_s:.3g} s"
    return f"{time_s / 60.0:.3g} min" if time_s < 7200.0 else f"{time_s / 3600.0:.3g} h"
