"""Who answers: groups of servers, their engines and power models."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from dcsim.hardware.kv import BLOCK_TOKENS, GPU_MEMORY_UTILIZATION
from dcsim.scenario.models.autoscale import Autoscale
from dcsim.spec.base import Fraction, Name, Spec, refused
from dcsim.spec.paths import PackName
from dcsim.spec.registered import Registered
from dcsim.spec.units import BytesPerSecond, Seconds, SecondsOrZero


class Engine(Spec):
    """Limits of the serving engine, with vLLM's names and defaults."""

    max_num_seqs: int = Field(default=256, ge=1)
    """Requests in one batch."""
    max_num_batched_tokens: int = Field(default=2048, ge=1)
    """Tokens of one iteration; at least `max_num_seqs`."""
    gpu_memory_utilization: Fraction = GPU_MEMORY_UTILIZATION
    """Share of GPU memory for weights and KV cache."""
    block_tokens: int = Field(default=BLOCK_TOKENS, ge=1)
    """Tokens of one KV block."""
    max_model_len: int = Field(default=32768, ge=1)
    """Longer requests (prompt + output) are rejected; one such request must fit into the KV
    cache."""
    num_gpu_blocks_override: int | None = Field(default=None, ge=1)
    """KV blocks of a replica. None: what memory holds beside the weights."""
    enable_chunked_prefill: bool = True
    """Split prompts that do not fit into what is left of an iteration's token budget; without it,
    `max_num_batched_tokens` must be at least `max_model_len`."""
    long_prefill_token_threshold: int = Field(default=0, ge=0)
    """Most tokens of one prompt in one iteration, so that long prompts leave room for short ones;
    0: no limit but the budget."""
    scheduling_policy: Literal["fcfs", "priority"] = "fcfs"
    """`fcfs`, or `priority`: by the tenant's `priority`, then by arrival; who is last is preempted
    first."""
    enable_prefix_caching: bool = True
    """Keep KV blocks for prompts that begin alike."""
    queue_limit: int | None = Field(default=None, ge=1)
    """Requests that may wait at one replica behind the next batch; more are rejected. None: no
    limit."""
    queue_timeout_s: Seconds | None = Field(default=None, alias="queue_timeout")
    """Requests that wait longer at a replica without being scheduled give up."""

    @model_validator(mode="after")
    def _prompts_can_be_scheduled(self) -> Engine:
        if not self.enable_chunked_prefill and self.max_num_batched_tokens < self.max_model_len:
            raise refused(
                "without enable_chunked_prefill, max_num_batched_tokens must be at least "
                "max_model_len, as in vLLM",
            )
        if not self.enable_chunked_prefill and self.long_prefill_token_threshold:
            raise refused("long_prefill_token_threshold needs enable_chunked_prefill")
        return self

    @model_validator(mode="after")
    def _budget_covers_decodes(self) -> Engine:
        if self.max_num_batched_tokens < self.max_num_seqs:
            raise refused("max_num_batched_tokens must be at least max_num_seqs, as in vLLM")
        return self


class PowerSpec(Spec):
    """Base of all power models' blocks, those of other packages too."""

    model: str
    """Which power model turns work into watts."""


class Power(PowerSpec):
    """Which power model turns work into watts."""

    model: Literal["gru", "ledger", "lut", "mean", "board-limit", "label"] = "gru"
    """`gru`: causal, learned; `ledger`: linear, published coefficients; `lut`: shares of the board
    limit after Splitwise; `mean`: the measured mean, always; `board-limit`: every GPU at its
    board's limit, always; `label`: the server at its maker's label, its nameplate, always."""
    pack: PackName | None = None
    """Name of a shipped pack, or path of an `.h5` file (`${VAR}` and relative paths as for a
    replay). None: the shipped pack of the GPU."""
    extrapolate: bool = False
    """Let the GRU answer for a configuration that its pack lacks, from what the others have in
    common; its figures are then labelled extrapolated, with an error band."""

    @field_validator("model", mode="before")
    @classmethod
    def _by_its_old_name(cls, value: object) -> object:
        """Files written before the label was a model keep the watts that they had."""
        if value != "nameplate":
            return value
        warnings.warn(
            "power model `nameplate` is read as `board-limit`, its name now; what the maker's "
            "label says is `label`",
            FutureWarning,
            stacklevel=2,
        )
        return "board-limit"

    @model_validator(mode="after")
    def _only_the_gru_has_packs(self) -> Power:
        if self.model != "gru" and (self.pack is not None or self.extrapolate):
            raise refused("`pack` and `extrapolate` are for `model: gru` only")
        return self


class KvTransfer(Spec):
    """How a prefill pool hands a prompt's keys and values to the pool that decodes."""

    bandwidth_bytes_s: BytesPerSecond = Field(default=50e9, alias="bandwidth")
    """Of one replica: one network adapter of 400 Gbit/s."""
    latency_s: SecondsOrZero = Field(default=0.005, alias="latency")
    """Before the first byte, and what is not hidden behind computing. Splitwise (Patel et al.,
    ISCA 2024) measured about 5 ms on H100 and 8 ms on A100 machines."""


class ServerGroup(Spec):
    """Servers that are alike: type, model, parallelism, engine, power model."""

    name: Name
    """How the facility calls it."""
    server: Name
    """A server type of the catalogue."""
    model: Name
    """A served model of the catalogue."""
    tensor_parallel: int = Field(ge=1)
    """GPUs of one replica, or of each of its stages; divides the server's GPUs, and a server holds
    as many replicas as fit."""
    pipeline_parallel: int = Field(default=1, ge=1)
    """Stages of a replica, each of `tensor_parallel` GPUs, all in one server."""
    expert_parallel: int = Field(default=1, ge=1)
    """1, or `tensor_parallel`: whole experts on each GPU instead of a slice of every expert;
    models with experts only."""
    role: Literal["both", "prefill", "decode"] = "both"
    """`prefill` groups hand each request to a `decode` group of the same model after its first
    token."""
    kv_transfer: KvTransfer = KvTransfer()
    """Prefill groups: how keys and values get to the decode group."""
    engine: Engine = Engine()
    """Limits of the serving engine, with vLLM's names and defaults."""
    power: Annotated[Power, Registered("power_models", PowerSpec, former_names=("nameplate",))] = (
        Power()
    )
    """Which power model turns work into watts."""
    hold_up_s: SecondsOrZero | None = Field(default=None, alias="hold_up")
    """How long its power supplies bridge a gap in their voltage, whatever the load. None: as the
    catalogue has it for the server type, 12 ms up to 70 % of the nameplate and 10 ms at it."""
    autoscale: Autoscale | None = None
    """Replicas are started and stopped with the traffic. None: all are there all the time."""

    @property
    def replica_gpus(self) -> int:
        """GPUs of one replica."""
        return self.tensor_parallel * self.pipeline_parallel
