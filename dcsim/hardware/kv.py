"""How many tokens a replica's KV cache holds.

An engine gives a share of its GPUs' memory to weights and KV cache together; what the weights
leave is cut into blocks of some tokens each (vLLM's PagedAttention, Kwon et al., SOSP 2023,
doi:10.1145/3600006.3613165; docs/reference/method.md, KV capacity). A part of a block is of no use.
"""

from __future__ import annotations

from dcsim.hardware.models import ServedModel

GPU_MEMORY_UTILIZATION = 0.9
"""Of GPU memory, for weights and KV cache together: vLLM's default."""
BLOCK_TOKENS = 16
"""Tokens of a KV block: vLLM's default."""


def kv_capacity_blocks(
    model: ServedModel,
    hbm_bytes: float,
    gpus: int,
    utilization: float = GPU_MEMORY_UTILIZATION,
    block_tokens: int = BLOCK_TOKENS,
) -> int:
    """KV blocks of a replica beside its weights.

    Layers that slide hold no more than their window of a sequence (vLLM's hybrid allocator):
    `ServedModel.held_kv_bytes_per_token` says how that is counted.

    Parameters
    ----------
    model : ServedModel
        What the replica serves.
    hbm_bytes : float
        Memory of one GPU, in bytes.
    gpus : int
        GPUs of the replica, over tensor and pipeline parallel ranks.
    utilization : float
        Share of the memory for weights and KV cache, 0 to 1.
    block_tokens : int
        Tokens of one block.

    Returns
    -------
    int
        0 where the weights do not fit.
    """
    spare_bytes = utilization * hbm_bytes * gpus - model.weight_bytes
    return max(0, int(spare_bytes // (model.held_kv_bytes_per_token * block_tokens)))


def kv_capacity_tokens(
    model: ServedModel,
    hbm_bytes: float,
    gpus: int,
    utilization: float = GPU_MEMORY_UTILIZATION,
    block_tokens: int = BLOCK_TOKENS,
) -> int:
    """Tokens in the blocks of `kv_capacity_blocks`, which has the parameters."""
    blocks = kv_capacity_blocks(model, hbm_bytes, gpus, utilization, block_tokens)
    return blocks * block_tokens
