"""GPUs of the catalogue: their data-sheet numbers, timing constants and power coefficients."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dcsim.spec.base import Name, Spec
from dcsim.spec.units import Bytes, BytesPerSecond, Seconds, SecondsOrZero, Watts


class IterationTiming(Spec):
    """Constants of the roofline iteration time (docs/reference/method.md, Time of an iteration)."""

    eff_flops: float = Field(gt=0, le=1)
    eff_bandwidth: float = Field(gt=0, le=1)
    per_message_s: dict[int, Seconds] = Field(alias="per_message")
    """Per all-reduce message by tensor parallel size; two messages a layer."""
    per_token_sample_s: SecondsOrZero = Field(alias="per_token_sample")
    first_token_overhead_s: SecondsOrZero = Field(alias="first_token_overhead")
    base_overhead_s: SecondsOrZero = Field(default=0.0, alias="base_overhead")
    source: str


Evidence = Literal["measured", "fitted", "extrapolated"]
"""How a timing is known. measured: fitted to runs of this very model on this very GPU; fitted: to
runs of this GPU with other models; extrapolated: the constants come from another GPU."""


class TimingCorrection(Spec):
    """What the roofline of a GPU misses for one family of models."""

    factor: float = Field(gt=0)
    """Multiplies every iteration; measured over modelled time, shrunk towards 1."""
    raw_factor: float = Field(gt=0)
    """The same before shrinking."""
    series: int = Field(ge=1)
    """Measured series (one model, GPU count and workload each) behind it."""
    models: tuple[Name, ...]
    """Served models among them."""


class TimingFit(Spec):
    """Constants of a GPU refined on measurements; replaces those of its `IterationTiming`."""

    eff_flops: float = Field(gt=0, le=1)
    eff_bandwidth: float = Field(gt=0, le=1)
    message_scale: float = Field(gt=0)
    """Multiplies every `per_message`."""
    per_token_sample_s: SecondsOrZero = Field(alias="per_token_sample")
    first_token_overhead_s: SecondsOrZero = Field(alias="first_token_overhead")
    quantised_stream: float = Field(gt=0, le=1)
    """Share of the bandwidth at which FP8 and 4-bit weights stream."""
    overlap: float = Field(ge=1)
    """Exponent of the norm that joins computing and reading of weights; 1: one after the other."""
    routing: float = Field(gt=0, le=1)
    """n tokens of a batch choose experts as n^routing independent ones would."""
    front_end_per_token_s: SecondsOrZero = Field(default=0.0, alias="front_end_per_token")
    """What a client's latencies hold for each sequence of the batch besides the engine's iteration,
    in the campaign that the fit learns from. The simulator does not add it."""
    corrections: dict[Name, TimingCorrection] = Field(default_factory=dict)
    """By model family."""
    rows: int = Field(ge=0)
    """Measured rows behind the fit."""
    median_error: float = Field(ge=0)
    """Median |model / measured - 1| of those rows with everything in the fit."""
    source: str


class LedgerPower(Spec):
    """Coefficients of the linear ledger power model, W per GPU
    (docs/reference/method.md, Linear ledger law)."""

    idle_w: float = Field(gt=0)
    active_weight_w: float = Field(ge=0)
    compute_w: float = Field(ge=0)
    memory_w: float = Field(ge=0)
    delay_s: float = Field(ge=0)
    evidence: Literal["fitted", "extrapolated"] = "fitted"
    """extrapolated: the coefficients are another GPU's."""
    source: str


class Gpu(Spec):
    name: Name
    title: str
    peak_flops: float = Field(gt=0)
    """Dense bf16 FLOP/s."""
    hbm_bandwidth_bytes_s: BytesPerSecond = Field(alias="hbm_bandwidth")
    hbm_bytes: Bytes = Field(alias="hbm")
    nameplate_w: Watts = Field(alias="nameplate")
    link_bandwidth_bytes_s: BytesPerSecond = Field(alias="link_bandwidth")
    """What a GPU sends to its neighbours in one direction."""
    source: str
    timing: IterationTiming
    """The published constants: where fits start."""
    timing_evidence: Evidence = "fitted"
    """Of `timing`: "extrapolated" where its constants come from another GPU."""
    timing_fit: TimingFit | None = None
    """From `timing_fits.yaml`, made by `benchmarks.timing_fit`; what the simulator uses."""
    ledger_power: LedgerPower
