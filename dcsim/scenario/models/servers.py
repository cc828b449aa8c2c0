"""Who answers: groups of servers, their engines and power models."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dcsim.scenario.models.base import Fraction, Name, Spec


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
