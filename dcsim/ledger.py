"""The work ledger: the only thing that the power room knows of the serving room.

One ledger is one power step of work, one row per replica. A simulated replica and a measured
engine log fill the same columns, so a power model can be driven by either. The module stands
outside the rooms because serving writes it and power reads it, and neither may import the other.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

from dcsim.arrays import FloatArray, IntArray


class GpuState(IntEnum):
    """What a replica's GPUs are doing, read at the end of a power step."""

    OFF = 0
    IDLE = 1
    QUEUED = 2
    """Decoding while requests wait that cannot be admitted: KV memory or sequences are used up."""
    PREFILL = 3
    DECODE = 4
    MIXED = 5
    # Results files keep these codes: new ones follow, none changes.
    BOOTING = 6
    """Its server is starting."""
    LOADING = 7
    """Weights are on their way into its memory."""


@dataclass(frozen=True, slots=True)
class ReplicaConfig:
    """What the power room must know of a replica besides its ledger row.

    Constants come from the catalogue; units are SI.
    """

    gpu: str
    """Catalogue name, such as `a100-sxm-80gb`."""
    model: str
    """Catalogue name of the served model, such as `llama-3-70b`."""
    tensor_parallel: int
    peak_flops_per_gpu: float
    """Dense bf16 FLOP/s of one GPU."""
    hbm_bandwidth_per_gpu: float
    """Bytes/s of one GPU."""
    hbm_bytes_per_gpu: float
    gpu_nameplate_w: float
    """Board power limit of one GPU."""
    weight_bytes: float
    """Bytes of weights over all GPUs of the replica."""
    pipeline_parallel: int = 1
    expert_parallel: int = 1
    kv_tokens: int | None = None
    """Tokens that the engine's KV cache holds. None: what vLLM's defaults leave beside the
    weights (`dcsim.hardware.kv`)."""
    label_w: float | None = None
    """The replica's part of its server's label: what is left of that beside the server's constant
    watts, over its replicas. None where there is no server."""

    @property
    def gpus(self) -> int:
        """GPUs of the replica."""
        return self.tensor_parallel * self.pipeline_parallel

    @property
    def key(self) -> str:
        """`model/gpu/tpN`, with `ppN` and `epN` where they are not 1: the name under which packs
        list a configuration."""
        stages = f"pp{self.pipeline_parallel}" if self.pipeline_parallel > 1 else ""
        experts = f"ep{self.expert_parallel}" if self.expert_parallel > 1 else ""
        return f"{self.model}/{self.gpu}/tp{self.tensor_parallel}{stages}{experts}"


def split_key(key: str) -> tuple[str, str, int]:
    """Model, GPU and tensor parallel size of a `ReplicaConfig.key` without `ppN` and `epN`."""
    model, gpu, parallel = key.split("/")
    return model, gpu, int(parallel.removeprefix("tp"))


@dataclass(slots=True)
class WorkLedger:
    """Work of `n` replicas in one power step. All arrays have shape (n,), float64 but `state`.

    Token, iteration, FLOP and byte counts are integrals over the step; `running`, `waiting`,
    `kv_fraction` and `state` are read at its end, as an engine's metrics endpoint would.
    """

    step_s: float
    running: FloatArray
    """Requests in the batch, at the end of the step."""
    waiting: FloatArray
    """Requests in the queue, at the end of the step."""
    prefill_tokens: FloatArray
    decode_tokens: FloatArray
    iterations: FloatArray
    """Number of batch iterations; partial ones count by their share."""
    busy_fraction: FloatArray
    """Share of the step during which an iteration ran, 0 to 1."""
    kv_fraction: FloatArray
    compute_util: FloatArray
    """FLOPs done / (step x GPUs x peak FLOP/s)."""
    memory_util: FloatArray
    """Weight and attention bytes moved / (step x GPUs x HBM bandwidth)."""
    state: IntArray
    """GpuState codes."""
    prompt_share: FloatArray | None = None
    """Share of the step during which iterations ran that compute prompts. Such iterations do much
    computing and move few bytes a second, those that only decode the other way round, so that a law
    of watts that is not linear must tell them apart. None, like the three columns that follow,
    where it is not known: an engine's log does not tell."""
    prompt_compute_util: FloatArray | None = None
    """What these iterations do of `compute_util`, at full clock."""
    prompt_memory_util: FloatArray | None = None
    """What they do of `memory_util`, at full clock."""
    prompt_memory_root: FloatArray | None = None
    """Mean over the step of the square root of the moment's traffic, a share of the HBM bandwidth,
    while these iterations run, at full clock; 0 while none runs."""

    def __len__(self) -> int:
        return len(self.running)

    def columns(self) -> dict[str, Any]:
        """Collect the columns that are known.

        Returns
        -------
        dict of numpy.ndarray
            By name, each of shape (n,); without `step_s`, which is no column.
        """
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: values for name, values in named if name != "step_s" and values is not None}


@dataclass(frozen=True, slots=True)
class HeldWork:
    """What a power step must know of replicas that frequency limits or power caps hold down, shape
    (n,). Watts and shares are those of the rates in `dcsim.serving.slowed.Rates`, as means over the
    step, or over the part of it in which one law was in force."""

    seconds: float
    """Length of the step, or of the part."""
    prefill_tokens: FloatArray
    """Tokens that would have been prefilled at full clock in the same busy time, less those that
    were; the same for what follows."""
    decode_tokens: FloatArray
    iterations: FloatArray
    compute_util: FloatArray
    memory_util: FloatArray
    full_w: FloatArray
    free_w: FloatArray
    bound_w: FloatArray
    soft: FloatArray
    soft_bound: FloatArray
