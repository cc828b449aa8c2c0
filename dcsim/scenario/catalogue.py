"""The catalogue: GPUs, served models and servers that scenario files name. YAML, with sources."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, model_validator

from dcsim.scenario.models import Name, Spec
from dcsim.scenario.models.site import Points, falling, rising
from dcsim.scenario.nearest import suggestion
from dcsim.scenario.overload import table_points
from dcsim.scenario.own_catalogue import own_entries, own_folder
from dcsim.scenario.units import Bytes, BytesPerSecond, Seconds, SecondsOrZero, Watts, WattsOrZero


class IterationTiming(Spec):
    """Constants of the roofline iteration time (reference-method.md 4.3)."""

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
    """Coefficients of the linear ledger power model, W per GPU (reference-method.md 4.6)."""

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


class ServedModel(Spec):
    """Architecture numbers of a decoder: dense or with experts, full or sliding attention."""

    name: Name
    title: str
    family: Name = "other"
    """Models of one architecture and precision, which share a timing correction."""
    n_layers: int = Field(ge=1)
    d_model: int = Field(ge=1)
    n_heads: int = Field(ge=1)
    n_kv_heads: int = Field(ge=1)
    head_dim: int = Field(ge=1)
    vocab_size: int = Field(ge=1)
    transformer_params: float = Field(gt=0)
    """All weights but the input embedding and the output head."""
    head_params: float = Field(gt=0)
    tied_embeddings: bool = False
    bytes_per_param: float = Field(default=2.0, gt=0)
    """Of the transformer's weights outside the routed experts, on average."""
    head_bytes_per_param: float = Field(default=2.0, gt=0)
    """Of the output head and the input embedding."""
    n_experts: int = Field(default=1, ge=1)
    """Routed experts of a layer; 1: dense."""
    experts_per_token: int = Field(default=1, ge=1)
    expert_params: float = Field(default=0.0, ge=0)
    """Weights in routed experts, over all layers; part of `transformer_params`."""
    expert_bytes_per_param: float = Field(default=2.0, gt=0)
    fp8_share: float = Field(default=0.0, ge=0, le=1)
    """Share of the transformer's FLOPs that run in FP8, at twice the bf16 peak."""
    sliding_layers: int = Field(default=0, ge=0)
    """Layers whose attention sees the last `sliding_window` tokens only."""
    sliding_window: int = Field(default=0, ge=0)
    source: str

    @model_validator(mode="after")
    def _parts_fit_the_whole(self) -> ServedModel:
        if self.experts_per_token > self.n_experts:
            raise ValueError("experts_per_token must be at most n_experts")
        if self.expert_params >= self.transformer_params:
            raise ValueError("expert_params must be less than transformer_params")
        if (self.expert_params > 0) != (self.n_experts > 1):
            raise ValueError("expert_params and n_experts above 1 come together")
        if self.sliding_layers > self.n_layers or (self.sliding_layers > 0) != (
            self.sliding_window > 0
        ):
            raise ValueError("sliding_layers (at most n_layers) and sliding_window come together")
        return self

    @property
    def active_share(self) -> float:
        """Share of a layer's routed experts that one token goes through."""
        return self.experts_per_token / self.n_experts

    @property
    def active_params(self) -> float:
        """Transformer weights that one token is multiplied with."""
        return self.transformer_params - (1.0 - self.active_share) * self.expert_params

    @property
    def quantised(self) -> bool:
        """Whether most of the weights have fewer than 16 bits."""
        return self.transformer_bytes < 1.5 * self.transformer_params

    @property
    def transformer_bytes(self) -> float:
        """Bytes of all weights but the input embedding and the output head."""
        dense = self.transformer_params - self.expert_params
        return dense * self.bytes_per_param + self.expert_params * self.expert_bytes_per_param

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights; an untied input embedding is as large as the head."""
        copies = 1.0 if self.tied_embeddings else 2.0
        return self.transformer_bytes + copies * self.head_params * self.head_bytes_per_param

    @property
    def full_layers(self) -> int:
        """Layers whose attention sees the whole context."""
        return self.n_layers - self.sliding_layers

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of one token over all layers, 2 bytes a number."""
        return 2.0 * self.n_layers * self.n_kv_heads * self.head_dim * 2.0

    @property
    def sliding_kv_bytes_per_token(self) -> float:
        """The part of `kv_bytes_per_token` in layers that slide."""
        return self.kv_bytes_per_token * self.sliding_layers / self.n_layers

    @property
    def held_kv_bytes_per_token(self) -> float:
        """Bytes that a token of a sequence holds, for the capacity of KV memory.

        A layer that slides holds its window only, however long the sequence: counted as if
        sequences were 1024 tokens long.
        """
        sliding = self.sliding_kv_bytes_per_token
        return self.kv_bytes_per_token - sliding * (1.0 - min(1.0, self.sliding_window / 1024.0))


class ServerType(Spec):
    name: Name
    title: str
    gpu: Name
    gpu_count: int = Field(ge=1)
    nameplate_w: Watts = Field(alias="nameplate")
    non_gpu_w: WattsOrZero = Field(alias="non_gpu")
    """CPU, fans, NICs, PSU loss: constant, added to the GPU watts."""
    non_gpu_evidence: Literal["measured", "fitted", "assumed"] = "assumed"
    hold_up_s: SecondsOrZero = Field(default=0.012, alias="hold_up")
    """How long its power supplies bridge a gap in their voltage at 70 % of the nameplate and below.
    Intel's common redundant supplies (technical product specifications of its server systems):
    12 ms."""
    hold_up_full_s: SecondsOrZero = Field(default=0.010, alias="hold_up_full")
    """The same at the nameplate; theirs: 10 ms."""
    chassis: Literal["constant", "fitted"] = "constant"
    """Where fitted, `dcsim.power.chassis` knows the type and takes the constant's place."""
    source: str


class Curve(Spec):
    """A time-current curve: seconds to trip against multiples of the rating."""

    name: Name
    title: str
    kind: Literal["thermal-magnetic", "electronic", "transformer", "overload-table"] = (
        "thermal-magnetic"
    )
    """Only `thermal-magnetic` feels the ambient temperature. A UPS's `overload-table` holds from
    its full load: preload does not shorten it."""
    points: Points = Field(min_length=2)
    """(multiple of rating, seconds to trip from cold), multiples rising, seconds falling or equal;
    interpolated in logarithms. Below the first multiple the breaker never trips. The latest trip of
    its band."""
    reading: Literal["line", "table"] = "line"
    """`table`: `points` are a maker's overload table, "up to this multiple for so long", and are
    made a curve of steps here (`dcsim.scenario.overload`)."""
    earliest: Points | None = Field(default=None, min_length=2)
    """The earliest trip, where it is known."""
    source: str

    @model_validator(mode="after")
    def _falling(self) -> Curve:
        for points in (self.points, self.earliest or ()):
            if not falling(points):
                raise ValueError(
                    "points must have rising multiples and falling or equal seconds, > 0"
                )
        if self.reading == "table":
            object.__setattr__(self, "points", table_points(self.points))
        return self


class LossCurve(Spec):
    """What a transformer, UPS or power supply loses, by load."""

    name: Name
    title: str
    points: Points = Field(min_length=2)
    """(output as a share of the rating, efficiency), shares rising, efficiencies up to 1."""
    source: str

    @model_validator(mode="after")
    def _readable(self) -> LossCurve:
        if not rising(self.points) or not all(x > 0 and 0 < eta <= 1 for x, eta in self.points):
            raise ValueError("points must have rising loads above 0 and efficiencies in (0, 1]")
        return self


class Catalogue(Spec):
    gpus: dict[str, Gpu]
    models: dict[str, ServedModel]
    servers: dict[str, ServerType]
    curves: dict[str, Curve]
    losses: dict[str, LossCurve]

    def gpu(self, name: str) -> Gpu:
        """Raises CatalogueError for an unknown name, as the other three do."""
        return _entry("GPU", name, self.gpus)

    def model(self, name: str) -> ServedModel:
        """A served model by name."""
        return _entry("model", name, self.models)

    def server(self, name: str) -> ServerType:
        """A server type by name."""
        return _entry("server", name, self.servers)

    def curve(self, name: str) -> Curve:
        """A time-current curve by name."""
        return _entry("curve", name, self.curves)


@dataclass(frozen=True, slots=True)
class Timing:
    """Constants of one served model on one GPU, as the iteration model uses them."""

    eff_flops: float
    eff_bandwidth: float
    per_message_s: dict[int, float]
    per_token_sample_s: float
    first_token_overhead_s: float
    base_overhead_s: float
    quantised_stream: float
    overlap: float
    routing: float
    factor: float
    evidence: Evidence


PRIOR_QUANTISED_STREAM = 0.7763
"""Published for Llama-3.1 405B in FP8 on H100 (powertrace-sim, release powertrace_v1)."""


def timing_of(model: ServedModel, gpu: Gpu) -> Timing:
    """The GPU's refined constants, else the published ones, and the model family's correction."""
    prior, fit = gpu.timing, gpu.timing_fit
    if fit is None:
        return Timing(
            prior.eff_flops,
            prior.eff_bandwidth,
            prior.per_message_s,
            prior.per_token_sample_s,
            prior.first_token_overhead_s,
            prior.base_overhead_s,
            PRIOR_QUANTISED_STREAM,
            math.inf,
            1.0,
            1.0,
            "extrapolated" if gpu.timing_evidence == "extrapolated" else "fitted",
        )
    correction = fit.corrections.get(model.family)
    if gpu.timing_evidence == "extrapolated" and fit.rows == 0:
        evidence: Evidence = "extrapolated"
    elif correction is not None and model.name in correction.models:
        evidence = "measured"
    else:
        evidence = "fitted"
    return Timing(
        fit.eff_flops,
        fit.eff_bandwidth,
        {size: seconds * fit.message_scale for size, seconds in prior.per_message_s.items()},
        fit.per_token_sample_s,
        fit.first_token_overhead_s,
        prior.base_overhead_s,
        fit.quantised_stream,
        fit.overlap,
        fit.routing,
        correction.factor if correction is not None else 1.0,
        evidence,
    )


class CatalogueError(LookupError):
    """A name that the catalogue does not have; the message names the nearest."""


Entry = TypeVar("Entry")


def _entry(kind: str, name: str, entries: dict[str, Entry]) -> Entry:
    if name not in entries:
        hint = suggestion(name, entries)
        raise CatalogueError(f"no {kind} '{name}' in the catalogue" + (f"; {hint}" if hint else ""))
    return entries[name]


_FILES: dict[str, type[Spec]] = {
    "gpus": Gpu,
    "models": ServedModel,
    "servers": ServerType,
    "curves": Curve,
    "losses": LossCurve,
}


TIMING_FITS = "timing_fits.yaml"
"""Made by `benchmarks.timing_fit`, by GPU; never edited by hand."""


def load_catalogue(*, timing_fits: bool = True) -> Catalogue:
    """The shipped catalogue and what DCSIM_CATALOGUE adds to it, read once. Each entry's key is
    its name.

    Without `timing_fits`, GPUs have the published timing only: what a new fit starts from. Raises
    ScenarioError for a catalogue of one's own that is wrong.
    """
    return _load(timing_fits, own_folder())


@lru_cache(maxsize=4)
def _load(timing_fits: bool, own: str) -> Catalogue:
    tables: dict[str, dict[str, Spec]] = {}
    fits = _rows(TIMING_FITS) if timing_fits else {}
    for table, kind in _FILES.items():
        tables[table] = {}
        for name, row in _rows(f"{table}.yaml").items():
            fit = {"timing_fit": fits[name]} if table == "gpus" and name in fits else {}
            tables[table][name] = kind.model_validate({"name": name, **row, **fit})
    if own:
        for table, entries in own_entries(own, _FILES, tables).items():
            tables[table] |= entries
    return Catalogue.model_validate(tables)


def _rows(file: str) -> dict[str, dict[str, Any]]:
    text = (resources.files("dcsim.scenario") / "catalogue" / file).read_text(encoding="utf-8")
    rows: dict[str, dict[str, Any]] = yaml.load(
        text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    )
    return rows or {}
