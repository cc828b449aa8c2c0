"""Replicas that come and go with the traffic."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from dcsim.spec.base import Spec, refused
from dcsim.spec.units import BytesPerSecond, Seconds, SecondsOrZero, Watts, WattsOrZero


class ScaledPower(Spec):
    """What servers draw while their replicas do not serve. Watts per GPU, but for `standby`."""

    standby_w: WattsOrZero = Field(alias="standby")
    """A whole server all of whose replicas are off, GPUs included."""
    stopped_w: WattsOrZero | None = Field(default=None, alias="stopped")
    """A replica that is off beside others that are not (YAML reads a bare `off` as false). None,
    here and below: the GPU's idle watts in the catalogue."""
    booting_w: WattsOrZero | None = Field(default=None, alias="booting")
    """A replica whose server boots. None: the GPU's idle watts in the catalogue."""
    loading_w: WattsOrZero | None = Field(default=None, alias="loading")
    """A replica that reads its weights. None: the GPU's idle watts in the catalogue."""


class PowerBudget(Spec):
    """A node of the facility whose expected load no scale-up may take above so many watts."""

    node: str = Field(min_length=1)
    """Name of one node, with its path, such as `row-1/rack-2`."""
    watts: Watts
    """Most that may be expected there."""
    per_gpu_w: Watts | None = Field(default=None, alias="per_gpu")
    """What a GPU of this group is expected to draw when its replica is on. None: the
    limit of its board."""


class Autoscale(Spec):
    """Starts and stops replicas of a server group so that each has about `target` requests."""

    metric: Literal["concurrency", "queue"] = "concurrency"
    """`concurrency`: requests running and waiting; `queue`: waiting only."""
    target: float = Field(gt=0)
    """Of the metric, for each replica."""
    min_replicas: int = Field(default=1, ge=0, alias="min")
    """Fewest replicas. 0: the group may go off altogether; requests that come then start one at
    once and wait until it serves."""
    max_replicas: int | None = Field(default=None, ge=1, alias="max")
    """Most replicas. None: as many as the group has."""
    start: int | None = Field(default=None, ge=0)
    """Replicas that are warm when the run begins; None: `min`."""
    interval_s: Seconds = Field(default=15.0, alias="interval")
    """How often it decides. As Kubernetes' horizontal pod autoscaler does."""
    scale_down_after_s: SecondsOrZero = Field(default=300.0, alias="scale_down_after")
    """So long must fewer have been enough. As in that autoscaler's stabilisation window."""
    boot_s: SecondsOrZero = Field(default=60.0, alias="boot")
    """From power-on of a server to its GPUs being ready."""
    load_s: SecondsOrZero | None = Field(default=None, alias="load")
    """From there to a replica that serves: reading weights, building its graphs. This or
    `load_bandwidth`."""
    load_bandwidth_bytes_s: BytesPerSecond | None = Field(default=None, alias="load_bandwidth")
    """Instead of `load`: the rate at which the weights of a replica are read."""
    power: ScaledPower
    """What is drawn by replicas that do not serve."""
    budget: PowerBudget | None = None
    """A node whose expected load no start of a replica may take above a number of watts."""

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Autoscale:
        most = self.max_replicas
        if most is not None and most < self.min_replicas:
            raise refused("`max` must not be less than `min`")
        start = self.start
        if start is not None and (start < self.min_replicas or (most is not None and start > most)):
            raise refused("`start` must lie between `min` and `max`")
        if (self.load_s is None) == (self.load_bandwidth_bytes_s is None):
            raise refused("give either `load` or `load_bandwidth`")
        return self
