"""The catalogue: GPUs, served models and servers that scenario files name. YAML, with sources."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from typing import Literal, TypeVar

import yaml
from pydantic import Field, model_validator

from dcsim.scenario.models import Name, Spec
from dcsim.scenario.models.site import Points, falling, rising
from dcsim.scenario.nearest import suggestion
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


class LedgerPower(Spec):
    """Coefficients of the linear ledger power model, W per GPU (reference-method.md 4.6)."""

    idle_w: float = Field(gt=0)
    active_weight_w: float = Field(ge=0)
    compute_w: float = Field(ge=0)
    memory_w: float = Field(ge=0)
    delay_s: float = Field(ge=0)
    source: str


class Gpu(Spec):
    name: Name
    title: str
    peak_flops: float = Field(gt=0)
    """Dense bf16 FLOP/s."""
    hbm_bandwidth_bytes_s: BytesPerSecond = Field(alias="hbm_bandwidth")
    hbm_bytes: Bytes = Field(alias="hbm")
    nameplate_w: Watts = Field(alias="nameplate")
    source: str
    timing: IterationTiming
    ledger_power: LedgerPower


class ServedModel(Spec):
    """Architecture numbers of a dense decoder."""

    name: Name
    title: str
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
    source: str

    @property
    def weight_bytes(self) -> float:
        """Bytes of all weights; an untied input embedding is as large as the head."""
        embedding = 0.0 if self.tied_embeddings else self.head_params
        return (self.transformer_params + self.head_params + embedding) * self.bytes_per_param

    @property
    def kv_bytes_per_token(self) -> float:
        """Keys and values of one token over all layers, 2 bytes a number."""
        return 2.0 * self.n_layers * self.n_kv_heads * self.head_dim * 2.0


class ServerType(Spec):
    name: Name
    title: str
    gpu: Name
    gpu_count: int = Field(ge=1)
    nameplate_w: Watts = Field(alias="nameplate")
    non_gpu_w: WattsOrZero = Field(alias="non_gpu")
    """CPU, fans, NICs, PSU loss: constant, added to the GPU watts."""
    non_gpu_evidence: Literal["measured", "fitted", "assumed"] = "assumed"
    source: str


class Curve(Spec):
    """A time-current curve: seconds to trip against multiples of the rating."""

    name: Name
    title: str
    points: Points = Field(min_length=2)
    """(multiple of rating, seconds to trip), multiples rising, seconds falling; interpolated in
    logarithms. Below the first multiple the breaker never trips. The latest trip of its band."""
    earliest: Points | None = Field(default=None, min_length=2)
    """The earliest trip, where it is known."""
    source: str

    @model_validator(mode="after")
    def _falling(self) -> Curve:
        for points in (self.points, self.earliest or ()):
            if not falling(points):
                raise ValueError("points must have rising multiples and falling seconds, above 0")
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


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The shipped catalogue, read once. Each entry's key is its name."""
    folder = resources.files("dcsim.scenario") / "catalogue"
    tables: dict[str, dict[str, Spec]] = {}
    for table, kind in _FILES.items():
        text = (folder / f"{table}.yaml").read_text(encoding="utf-8")
        rows = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        tables[table] = {
            name: kind.model_validate({"name": name, **row}) for name, row in rows.items()
        }
    return Catalogue.model_validate(tables)
