"""Policies that act on the site while it runs. Several at once are obeyed together: the lowest
clock, the lowest cap and the smallest batch hold, and a server takes requests where all let it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from dcsim.spec.base import Name, Spec, refused
from dcsim.spec.registered import Registered
from dcsim.spec.units import Seconds, SecondsOrZero, Watts

Clock = Annotated[float, Field(ge=0.2, le=1)]
"""Share of the full core clock; below 0.2 boards have none to be set (`dcsim.power.frequency`)."""
Share = Annotated[float, Field(gt=0, le=10)]
"""Of a node's rating."""


class Watching(Spec):
    """What policies that watch loads have in common."""

    nodes: str = Field(default="row", min_length=1)
    """A kind of node, each of which is watched for itself, or the name of one node."""
    period_s: Seconds = Field(default=1.0, alias="period")
    """How often it looks."""
    delay_s: SecondsOrZero = Field(default=0.0, alias="delay")
    """Age of the telemetry that the policy sees."""
    actuation_delay_s: SecondsOrZero = Field(default=0.0, alias="actuation_delay")
    """From a command until it is in force."""


class TwoThresholdsSpec(Watching):
    """Acts above one share of the rating and leaves off below a lower one, so that it does not
    flicker: the load falls as soon as it acts."""

    above: Share = 0.98
    """Share of the rating above which it acts."""
    below: Share = 0.92
    """Share below which it leaves off; less than `above`."""

    @model_validator(mode="after")
    def _ordered(self) -> TwoThresholdsSpec:
        if self.below >= self.above:
            raise refused("`below` must be less than `above`")
        return self


class AdmissionThrottleSpec(TwoThresholdsSpec):
    """Overloaded nodes take no new requests until their load has fallen."""

    policy: Literal["admission-throttle"]
    """The policy."""


class BatchLimitSpec(TwoThresholdsSpec):
    """Servers under overloaded nodes run smaller batches until the load has fallen; who runs
    already goes on."""

    policy: Literal["batch-limit"]
    """The policy."""
    max_batch: int = Field(ge=1, le=100_000)
    """Requests that an engine runs at once while the limit holds."""


class PriorityShedSpec(TwoThresholdsSpec):
    """While a watched node is overloaded, the whole site refuses requests of low priority."""

    policy: Literal["priority-shed"]
    """The policy."""
    keep: int = Field(default=0, ge=-1000, le=1000)
    """Requests whose tenant's `priority` is a higher number than this are refused; the lower the
    number, the more important."""


class BatteryShaveSpec(TwoThresholdsSpec):
    """Batteries below a node give what it draws beyond a share of its rating."""

    policy: Literal["battery-shave"]
    """The policy."""
    above: Share = 0.95
    """Share of the rating that they shave down to."""
    below: Share = 0.90
    """Share below which they leave off; less than `above`."""


class RowBudgetSpec(Watching):
    """A node's budget shared among its servers by power caps, as Facebook's Dynamo does (Wu et
    al., ISCA 2016): those that draw most give way first."""

    policy: Literal["row-budget"]
    """The policy."""
    budget_w: Watts | None = Field(default=None, alias="budget")
    """What each watched node may draw; its rating where this is left out."""
    above: Share = 0.99
    """Share of the budget above which servers are capped."""
    target: Share = 0.95
    """Share that the caps bring the load down to."""
    below: Share = 0.90
    """Share below which all caps are lifted."""
    sharing: Literal["highest-first", "proportional"] = "highest-first"
    """`highest-first`: the servers that draw most are brought down to one level in watts.
    `proportional`: to one share of what the busiest of their group draws above rest, so that
    large servers do not give all."""
    period_s: Seconds = Field(default=3.0, alias="period")
    """How often it looks; Dynamo's lowest controllers ask their servers every 3 s."""
    actuation_delay_s: SecondsOrZero = Field(default=2.0, alias="actuation_delay")
    """From a command until it is in force; Dynamo saw power settle within about 2 s."""

    @model_validator(mode="after")
    def _ordered(self) -> RowBudgetSpec:
        if not self.below < self.target < self.above:
            raise refused("`below`, `target` and `above` must rise in this order")
        return self


class StaticCapSpec(Spec):
    """A power cap or a clock limit that always holds, or between two times."""

    policy: Literal["static-cap"]
    """The policy."""
    nodes: str | None = Field(default=None, min_length=1)
    """A kind or the name of a node: servers below it; all servers where this is left out."""
    groups: tuple[Name, ...] = ()
    """Names of server groups, of which alone it holds; all where there is none."""
    gpu_power_w: Watts | None = Field(default=None, alias="gpu_power")
    """Most that each GPU may draw."""
    server_power_w: Watts | None = Field(default=None, alias="server_power")
    """Most that each server may draw, AC."""
    clock: Clock | None = None
    """Share of the full core clock that GPUs are held at, from 0.2."""
    start_s: SecondsOrZero = Field(default=0.0, alias="start")
    """When it begins."""
    end_s: Seconds | None = Field(default=None, alias="end")
    """When it ends; none: never."""

    @model_validator(mode="after")
    def _says_something(self) -> StaticCapSpec:
        if self.gpu_power_w is None and self.server_power_w is None and self.clock is None:
            raise refused("caps nothing: give `gpu_power`, `server_power` or `clock`")
        if self.end_s is not None and self.end_s <= self.start_s:
            raise refused("`end` must come after `start`")
        return self


class DualThresholdSpec(Watching):
    """Clocks held down in two steps, those of low priority first, and a power brake, as POLCA
    describes (Patel et al., ASPLOS 2024). Its defaults are POLCA's, for A100s of 1410 MHz."""

    policy: Literal["dual-threshold"]
    """The policy."""
    low_priority: tuple[Name, ...] = ()
    """Server groups that give way first; all where there is none."""
    first: Share = 0.80
    """Share of the rating above which low priority is held at `first_clock`."""
    second: Share = 0.89
    """Share above which low priority is held at `second_clock`, and the rest at `high_clock`."""
    margin: float = Field(default=0.05, gt=0, lt=1)
    """A step is taken back once the load is this share of the rating below its threshold."""
    first_clock: Clock = 0.904
    """1275 of 1410 MHz."""
    second_clock: Clock = 0.787
    """1110 of 1410 MHz."""
    high_clock: Clock = 0.926
    """1305 of 1410 MHz, for what is not of low priority."""
    brake: Share | None = 1.0
    """Share above which the power brake holds every server at `brake_clock`; none: no brake."""
    brake_clock: Clock = 0.204
    """288 of 1410 MHz."""
    period_s: Seconds = Field(default=2.0, alias="period")
    """How often it looks."""
    delay_s: SecondsOrZero = Field(default=2.0, alias="delay")
    """Age of the telemetry that the policy sees."""
    actuation_delay_s: SecondsOrZero = Field(default=40.0, alias="actuation_delay")
    """From a command until clocks have changed, out of band."""
    brake_delay_s: SecondsOrZero = Field(default=5.0, alias="brake_delay")
    """The same for the brake."""

    @model_validator(mode="after")
    def _ordered(self) -> DualThresholdSpec:
        if self.first >= self.second:
            raise refused("`first` must be less than `second`")
        if self.brake is not None and self.brake <= self.second:
            raise refused("`brake` must be more than `second`")
        if self.margin >= self.first:
            raise refused("`margin` must be less than `first`")
        if self.second_clock > self.first_clock:
            raise refused("`second_clock` must not be above `first_clock`")
        return self


PolicySpec = Annotated[
    AdmissionThrottleSpec
    | BatchLimitSpec
    | BatteryShaveSpec
    | DualThresholdSpec
    | PriorityShedSpec
    | RowBudgetSpec
    | StaticCapSpec,
    Field(discriminator="policy"),
    Registered("policies", Spec),
]
"""Any policy, told by its key `policy`."""
