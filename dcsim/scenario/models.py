"""What a scenario file may say. Python names carry SI units; the file's keys (aliases) do not,
because there each quantity brings its own unit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dcsim.scenario.units import (
    RequestsPerSecond,
    Seconds,
    SecondsOrZero,
    Watts,
)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
Fraction = Annotated[float, Field(gt=0, le=1)]


class Spec(BaseModel):
    """Base of every part of a scenario: frozen, strict about keys."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", populate_by_name=True, allow_inf_nan=False
    )


# --- workload ------------------------------------------------------------------------------


class PoissonArrivals(Spec):
    """Memoryless arrivals at one rate."""

    kind: Literal["poisson"]
    rate_per_s: RequestsPerSecond = Field(alias="rate")


class DiurnalArrivals(Spec):
    """Non-homogeneous Poisson, t seconds into the run:
    rate(t) = mean (1 + amplitude cos(2 pi (t + start - peak) / period))."""

    kind: Literal["diurnal"]
    mean_rate_per_s: RequestsPerSecond = Field(alias="mean_rate")
    amplitude: float = Field(default=0.3, ge=0, le=1)
    period_s: Seconds = Field(default=86400.0, alias="period")
    peak_at_s: SecondsOrZero = Field(default=14 * 3600.0, alias="peak_at")
    """Time of day of the peak."""
    start_at_s: SecondsOrZero = Field(default=0.0, alias="start_at")
    """Time of day at which the run starts."""


class ReplayArrivals(Spec):
    """Requests from a recorded file, tokens included."""

    kind: Literal["replay"]
    file: Path
    """`${VAR}` is replaced from the environment; relative paths start at the scenario file."""
    format: Literal["azure-2023"] = "azure-2023"
    rate_scale: float = Field(default=1.0, gt=0, le=1000)
    """Traffic multiplier. Above 1, requests are repeated with a small jitter; below 1, thinned:
    both keep the trace's rhythm."""


class FitTokens(Spec):
    """Prompt and output lengths from a shipped fit."""

    kind: Literal["fit"]
    name: Name


class FixedTokens(Spec):
    """Every request alike."""

    kind: Literal["fixed"]
    prompt_tokens: int = Field(ge=1, alias="prompt")
    output_tokens: int = Field(ge=1, alias="output")


class LognormalTokens(Spec):
    """Independent log-normal lengths, given by median and sigma of the logarithm, clipped."""

    kind: Literal["lognormal"]
    prompt_median: float = Field(gt=0)
    prompt_sigma: float = Field(ge=0)
    prompt_max: int = Field(default=32768, ge=1)
    output_median: float = Field(gt=0)
    output_sigma: float = Field(ge=0)
    output_max: int = Field(default=8192, ge=1)


Arrivals = Annotated[
    PoissonArrivals | DiurnalArrivals | ReplayArrivals, Field(discriminator="kind")
]
Tokens = Annotated[FitTokens | FixedTokens | LognormalTokens, Field(discriminator="kind")]


class Stream(Spec):
    """One stream of requests and the model it asks for."""

    name: Name
    model: Name
    """Served model wanted; some server group must serve it."""
    arrivals: Arrivals
    tokens: Tokens | None = None
    """Needed unless `arrivals` is a replay, which brings its own."""


# --- servers -------------------------------------------------------------------------------


class Engine(Spec):
    """Limits of the serving engine, with vLLM's names and defaults."""

    max_num_seqs: int = Field(default=256, ge=1)
    max_num_batched_tokens: int = Field(default=2048, ge=1)
    gpu_memory_utilization: Fraction = 0.9
    block_tokens: int = Field(default=16, ge=1)
    max_model_len: int = Field(default=32768, ge=1)
    """Longer requests (prompt + output) are rejected."""
    queue_limit: int | None = Field(default=None, ge=1)
    """Requests that may wait at one replica behind the next batch; more are rejected. None: no
    limit."""

    @model_validator(mode="after")
    def _budget_covers_decodes(self) -> Engine:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise PydanticCustomError(
                "engine", "max_num_batched_tokens must be at least max_num_seqs, as in vLLM"
            )
        return self


class Power(Spec):
    """Which power model turns work into watts."""

    model: Literal["gru", "ledger", "nameplate"] = "gru"
    pack: str | None = None
    """Name of a shipped pack or path of an .h5 file; None: the shipped pack of the GPU."""
    extrapolate: bool = False
    """Let the GRU borrow the states of the nearest configuration where its pack lacks one."""

    @model_validator(mode="after")
    def _only_the_gru_has_packs(self) -> Power:
        if self.model != "gru" and (self.pack is not None or self.extrapolate):
            raise PydanticCustomError("power", "`pack` and `extrapolate` are for `model: gru` only")
        return self


class ServerGroup(Spec):
    """Servers that are alike: type, model, parallelism, engine, power model."""

    name: Name
    server: Name
    model: Name
    tensor_parallel: int = Field(ge=1)
    engine: Engine = Engine()
    power: Power = Power()


class Routing(Spec):
    """How a request finds its replica among those that serve its model."""

    policy: Literal["round-robin", "least-outstanding"] = "least-outstanding"


# --- facility ------------------------------------------------------------------------------


class Breaker(Spec):
    """Protection of one node."""

    curve: Name = "thermal-magnetic"
    """Catalogue name of a time-current curve."""
    rating_w: Watts | None = Field(default=None, alias="rating")
    """None: the node's rating."""
    on_trip: Literal["open", "flag"] = "open"
    """`open`: what hangs below goes dark; `flag`: only reported."""


class FacilityNode(Spec):
    """A row of the facility table; `count` copies under each copy of `parent`.

    Copies are numbered within their parent and named by path: with `row` (count 2) and `rack`
    under it, the racks are `row-1/rack-1`, and so on. A count of 1 keeps the bare name.
    """

    name: Name
    kind: Literal["site", "row", "rack", "server"]
    parent: Name | None = None
    count: int = Field(default=1, ge=1)
    rating_w: Watts | None = Field(default=None, alias="rating")
    """Continuous limit; None: unknown, and never checked."""
    group: Name | None = None
    """Servers only: the server group."""
    breaker: Breaker | None = None


class AdmissionThrottle(Spec):
    """Overloaded nodes take no new requests until their load has fallen."""

    policy: Literal["admission-throttle"]
    nodes: Literal["site", "row", "rack"] = "row"
    """The kind of node watched; each acts for itself."""
    above: float = Field(default=0.98, gt=0)
    """Fraction of rating above which a node stops admitting."""
    below: float = Field(default=0.92, gt=0)
    """Fraction of rating below which it admits again."""
    period_s: Seconds = Field(default=1.0, alias="period")
    delay_s: SecondsOrZero = Field(default=0.0, alias="delay")
    """Age of the telemetry that the policy sees."""

    @model_validator(mode="after")
    def _ordered(self) -> AdmissionThrottle:
        if self.below >= self.above:
            raise PydanticCustomError("order", "`below` must be less than `above`")
        return self


class Limits(Spec):
    """When a load is worth a flag."""

    warning_fraction: Fraction = 0.8
    """The 80 % rule for continuous loads (NEC 210.20(A), 215.3)."""
    warning_after_s: SecondsOrZero = Field(default=60.0, alias="warning_after")
    overload_after_s: SecondsOrZero = Field(default=0.0, alias="overload_after")


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
    servers: tuple[ServerGroup, ...] = Field(min_length=1)
    routing: Routing = Routing()
    facility: tuple[FacilityNode, ...] = Field(min_length=1)
    limits: Limits = Limits()
    control: tuple[AdmissionThrottle, ...] = ()
    record: Record = Record()
