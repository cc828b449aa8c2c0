"""The type of `Results.summary`, the JSON object of `dcsim run --json`, and its JSON Schema.

docs/results-format.md says more of each field. SI units, named in the field; what is unknown is
None.
"""

from __future__ import annotations

import json
from typing import Any, NotRequired

from pydantic import ConfigDict, TypeAdapter, with_config
from typing_extensions import TypedDict

_DESCRIBED = ConfigDict(use_attribute_docstrings=True)


class RequestCounts(TypedDict):
    """Requests by how they ended; `arrived` is the sum of the others."""

    arrived: int
    completed: int
    running: int
    waiting: int
    rejected: int
    timed_out: int
    failed: int


class SloFigures(TypedDict):
    """Limits on latency; None where there is none."""

    ttft_s: float | None
    tpot_s: float | None


@with_config(_DESCRIBED)
class TenantFigures(TypedDict):
    """What a tenant got, of requests that arrived after the warm-up."""

    name: str
    slo: SloFigures
    arrived: int
    completed: int
    within_slo: int
    """Completed within both limits."""
    slo_attainment: float | None
    """Share of the ended requests that are within the SLO."""
    slo_target: float | None
    """Share that shall be within it."""
    goodput_per_s: float | None
    """Requests within the SLO, per second."""


@with_config(_DESCRIBED)
class TrafficFigures(TypedDict):
    """Rows of replayed traces that were left out, by stream."""

    skipped: dict[str, int]
    """Wrong rows, with `on_error: skip`."""
    dropped: dict[str, int]
    """Failed requests, or those of other models."""


@with_config(_DESCRIBED)
class TokenCounts(TypedDict):
    """Tokens of all requests."""

    prompt: int
    """Of all requests that arrived."""
    cached: int
    """Prompt tokens that were in a prefix cache."""
    generated: int
    """Output tokens by the end of the run."""
    lost: int
    """Output tokens of requests that failed on the way and were sent again."""


class PercentileSeconds(TypedDict):
    """In seconds; None where no request completed."""

    p50: float | None
    p95: float | None
    p99: float | None


class LatencyFigures(TypedDict):
    """Of completed requests that arrived after the warm-up."""

    ttft_s: PercentileSeconds
    tpot_s: PercentileSeconds
    e2e_s: PercentileSeconds


@with_config(_DESCRIBED)
class NodeFigures(TypedDict):
    """A node of the power tree."""

    name: str
    kind: str
    limit_w: float | None
    """Its rating."""
    peak_w: float | None
    """Highest mean over a power step, after the warm-up."""
    peak_low_w: float | None
    """Lower end of where another run's peak is expected, 95 %."""
    peak_high_w: float | None
    p99_w: float | None
    """99th percentile over power steps."""
    p99_low_w: float | None
    """Lower end of its 95 % interval."""
    p99_high_w: float | None
    mean_w: float | None
    energy_wh: float | None
    """Of the whole run."""
    load_factor: float | None
    """Mean over peak."""
    trips: int
    """How often its breaker opened."""
    time_over_limit_s: float | None
    """Time above the rating, after the warm-up."""
    min_margin_w: float | None
    """Rating less the highest load."""
    binding: str | None
    """Of the node and all above it, the one with the smallest margin."""


@with_config(_DESCRIBED)
class LimitFigures(TypedDict):
    """A limit of the site, and the highest figure held to it."""

    node: str
    node_kind: str
    kind: str
    """`rating`, `continuous`, `demand` or `ramp`."""
    window_s: float | None
    """Averaging time."""
    windows: str | None
    """Of a demand limit: `sliding` or `clock`."""
    rule: str
    """What the limit is by."""
    limit_w: float | None
    highest_w: float | None
    highest_at_s: float | None
    highest_at: str | None
    """By the clock, where the scenario has a `start`."""
    share: float | None
    """`highest_w` over `limit_w`."""
    over_s: float | None
    """Time above the limit."""
    crossings: int | None
    """Rises from at or below the limit to above it."""
    measured_s: float | None
    """What `highest_w` is a mean over."""
    partial_w: float | None
    """Of a window that never filled: the mean over `measured_s`."""
    needs_run_s: float | None
    """Of a window that never filled: the shortest run that has a whole one."""


@with_config(_DESCRIBED)
class SiteEnergy(TypedDict):
    """Energies of the whole run, Wh."""

    it_wh: float | None
    losses_wh: float | None
    cooling_wh: float | None
    charged_wh: float | None
    discharged_wh: float | None
    grid_wh: float | None
    """What came in from the grid or generators."""
    pue: float | None
    """Energy of the site over that of IT, while the cooling plant had power."""
    cooling_lost_s: float | None
    """Time without cooling."""


class RedundancyFigures(TypedDict):
    """A node that shares loads with others: what it would carry after the worst loss."""

    node: str
    survivor: str
    would_carry_w: float | None
    at_s: float | None
    rating_w: float | None
    limit_w: float | None
    share: float | None
    over_s: float | None


class RoutingCounts(TypedDict):
    """How often a router met a closed replica, and how often a request was sent again."""

    failovers: int
    retries: int


@with_config(_DESCRIBED)
class ScalingFigures(TypedDict):
    """What an autoscaler did, in replicas."""

    group: str
    started: int
    stopped: int
    refused: int
    """Decisions that a budget cut short."""
    mean_on: float | None
    most_on: int


@with_config(_DESCRIBED)
class PolicyFigures(TypedDict):
    """What a policy did."""

    policy: str
    commands: int
    """Commands that were obeyed."""
    limited_s: float
    """Time with any of its limits in force."""


@with_config(_DESCRIBED)
class ControlFigures(TypedDict):
    """What the policies did."""

    policies: list[PolicyFigures]
    capped_server_h: float
    """Server-hours with a GPU whose clock was held down."""


class ConfigurationEvidence(TypedDict):
    """What stands behind the watts of a configuration."""

    configuration: str
    evidence: str
    source: str


class PowerModelFigures(TypedDict):
    """A power model, and the evidence of each configuration."""

    name: str
    pack: str | None
    provenance: list[ConfigurationEvidence]


@with_config(_DESCRIBED)
class WarmUpFigures(TypedDict):
    """What figures leave out."""

    cut_s: float
    """From the start of the run."""
    rule: str
    filled: float | None
    """Requests expected in service at `cut_s` over those in steady state."""
    mser5_s: float | None
    """End of the start-up by MSER-5."""
    mean_moves: float | None
    peak_moves: float | None
    enough: bool | None
    trips: int
    """Trips within it; they count in `events`."""


@with_config(_DESCRIBED)
class Summary(TypedDict):
    """The figures of a run."""

    requests: RequestCounts
    tenants: list[TenantFigures]
    traffic: TrafficFigures
    tokens: TokenCounts
    preemptions: int
    """Times that a running request gave its KV blocks back."""
    latency: LatencyFigures
    nodes: list[NodeFigures]
    """The power tree, the site first."""
    limits: list[LimitFigures]
    events: dict[str, int]
    """How many flags of each kind were raised."""
    site: SiteEnergy
    redundancy: list[RedundancyFigures]
    """Fullest first."""
    gpu_state_s: dict[str, float]
    """Replica-seconds by GPU state."""
    routing: RoutingCounts
    serving: list[dict[str, Any]]
    """How busy each server group was; the whole site last, its `group` None."""
    evidence: dict[str, Any]
    """Shares of the mean watts that are measured, fitted, extrapolated and assumed."""
    breakdown: dict[str, Any]
    """Figures by stream, tenant and server group."""
    autoscale: list[ScalingFigures]
    control: ControlFigures
    power_model: PowerModelFigures | list[PowerModelFigures]
    """A list where server groups use several."""
    start: str | None
    """The scenario's `start`."""
    warm_up: WarmUpFigures
    measured_s: float
    """Simulated time after the warm-up."""
    simulated_s: float
    """Simulated time, warm-up included."""
    seed: int
    wall_s: NotRequired[float]
    """Wall-clock time of the run; not in the results file."""


def summary_schema() -> dict[str, Any]:
    """Return the JSON Schema of what `dcsim run --json` prints."""
    schema = TypeAdapter(Summary).json_schema()
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def summary_schema_text() -> str:
    """Return the schema as text."""
    return json.dumps(summary_schema(), indent=2, ensure_ascii=False) + "\n"
