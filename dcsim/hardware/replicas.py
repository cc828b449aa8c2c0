"""What the power room must know of a replica, from the catalogue's entries."""

from __future__ import annotations

from dcsim.hardware.gpus import Gpu
from dcsim.hardware.models import ServedModel
from dcsim.ledger import ReplicaConfig


def replica_config(
    model: ServedModel,
    gpu: Gpu,
    tensor_parallel: int,
    *,
    pipeline_parallel: int = 1,
    expert_parallel: int = 1,
    kv_tokens: int | None = None,
    label_w: float | None = None,
) -> ReplicaConfig:
    """The constants of a replica of a model on GPUs, for power models and ledgers.

    Parameters
    ----------
    model, gpu
        Entries of the catalogue.
    tensor_parallel, pipeline_parallel, expert_parallel
        How the model is spread over its GPUs.
    kv_tokens
        Tokens that the engine's KV cache holds; None: by vLLM's defaults.
    label_w
        The replica's part of its server's label in W; None without a server.
    """
    return ReplicaConfig(
        gpu=gpu.name,
        model=model.name,
        tensor_parallel=tensor_parallel,
        pipeline_parallel=pipeline_parallel,
        expert_parallel=expert_parallel,
        peak_flops_per_gpu=gpu.peak_flops,
        hbm_bandwidth_per_gpu=gpu.hbm_bandwidth_bytes_s,
        hbm_bytes_per_gpu=gpu.hbm_bytes,
        gpu_nameplate_w=gpu.nameplate_w,
        weight_bytes=model.weight_bytes,
        kv_tokens=kv_tokens,
        label_w=label_w,
    )
