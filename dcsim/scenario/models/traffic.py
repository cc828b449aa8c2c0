"""Who asks: streams of requests, when they come and how long they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from dcsim.scenario.models.base import Name, Spec
from dcsim.scenario.units import RequestsPerSecond, Seconds, SecondsOrZero


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


class Slo(Spec):
    """What a tenant was promised; a request that keeps all of it counts as goodput."""

    ttft_s: Seconds | None = Field(default=None, alias="ttft")
    """Longest time to first token."""
    tpot_s: Seconds | None = Field(default=None, alias="tpot")
    """Longest mean time per output token after the first."""


class Tenant(Spec):
    """A customer or a class of requests."""

    name: Name
    priority: int = Field(default=0, ge=-1000, le=1000)
    """The lower the sooner, as in vLLM, where an engine's `scheduling_policy` is `priority`."""
    share: float = Field(default=1.0, gt=0)
    """Weight of this tenant among those of a stream: its part of the requests."""
    slo: Slo | None = None


class Stream(Spec):
    """One stream of requests and the model it asks for."""

    name: Name
    model: Name
    """Served model wanted; some server group must serve it."""
    arrivals: Arrivals
    tokens: Tokens | None = None
    """Needed unless `arrivals` is a replay, which brings its own."""
    tenants: tuple[Name, ...] = ()
    """Whose requests these are; empty: any of the scenario's tenants, by their shares."""
