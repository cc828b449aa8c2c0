"""How long one iteration of a continuous batch takes, and what work it does.

The roofline of reference-method.md 4.2 and 4.3 (powertrace-sim, release powertrace_v1), its
constants from the catalogue's `timing`. Everything that depends only on the batch size is
tabulated once, because the event loop asks for it at every change of a batch.
"""

from __future__ import annotations

from dataclasses import dataclass

from dcsim.scenario.catalogue import Gpu, ServedModel


@dataclass(frozen=True, slots=True)
class WorkCosts:
    """FLOPs and bytes per unit of work, over all GPUs of a replica."""

    flops_per_token: float
    """Transformer weights, 2 per parameter."""
    flops_per_logit: float
    """Output head, 2 per parameter."""
    flops_per_context: float
    """Attention of one token to one token of context."""
    bytes_per_iteration: float
    """Transformer and head weights, read once whatever the batch."""
    head_bytes: float
    bytes_per_token: float
    """One embedding row."""
    kv_bytes: float
    """Keys and values of one token."""


class IterationModel:
    """Iteration time of one served model on one GPU type and tensor parallel size.

    A decode iteration with `batch` sequences of `context` tokens together takes
    `decode_s[batch] + context_s * (context + batch)` seconds.
    """

    def __init__(self, model: ServedModel, gpu: Gpu, tensor_parallel: int, max_batch: int) -> None:
        timing = gpu.timing
        flops_s = timing.eff_flops * gpu.peak_flops * tensor_parallel
        bytes_s = timing.eff_bandwidth * gpu.hbm_bandwidth_bytes_s * tensor_parallel
        self.costs = WorkCosts(
            flops_per_token=2.0 * model.transformer_params,
            flops_per_logit=2.0 * model.head_params,
            flops_per_context=4.0 * model.n_heads * model.head_dim * model.n_layers,
            bytes_per_iteration=(model.transformer_params + model.head_params)
            * model.bytes_per_param,
            head_bytes=model.head_params * model.bytes_per_param,
            bytes_per_token=model.d_model * model.bytes_per_param,
            kv_bytes=model.kv_bytes_per_token,
        )
        costs = self.costs
        self.first_token_overhead_s = timing.first_token_overhead_s
        self._fixed_s = (
            timing.base_overhead_s + 2.0 * model.n_layers * timing.per_message_s[tensor_parallel]
        )
        self._token_s = costs.flops_per_token / flops_s
        self._weights_s = model.transformer_params * model.bytes_per_param / bytes_s
        self._logit_s = costs.flops_per_logit / flops_s
        self._head_s = costs.head_bytes / bytes_s
        self._embedding_s = costs.bytes_per_token / bytes_s
        self._sample_s = timing.per_token_sample_s
        self._pair_s = costs.flops_per_context / flops_s
        self._kv_s = costs.kv_bytes / bytes_s
        # Decode attention streams every key once for one query, so it is bound by memory unless
        # a model has an extreme ratio of query to key heads; the larger slope covers both.
        self.context_s = max(self._pair_s, self._kv_s)
        self.decode_s = [self._decode_s(batch) for batch in range(max_batch + 1)]

    def _decode_s(self, batch: int) -> float:
        return (
            self._fixed_s
            + max(batch * self._token_s, self._weights_s)
            + max(batch * self._logit_s, self._head_s)
            + batch * (self._embedding_s + self._sample_s)
        )

    def mixed_s(
        self,
        batch: int,
        context: float,
        chunk_tokens: int,
        chunk_pairs: float,
        chunk_kv: float,
        finishing: int,
    ) -> float:
        """Seconds of an iteration with `batch` decodes over `context` tokens and prompt chunks.

        `chunk_tokens` is the sum of chunk lengths C, `chunk_pairs` of C (p + C/2) with p tokens
        computed before, `chunk_kv` of p + C/2 + C, `finishing` the chunks that end their prompt.
        """
        logits = batch + finishing
        return (
            self._fixed_s
            + max((batch + chunk_tokens) * self._token_s, self._weights_s)
            + (max(logits * self._logit_s, self._head_s) if logits else 0.0)
            + (batch + chunk_tokens) * self._embedding_s
            + max((context + chunk_pairs) * self._pair_s, (context + batch + chunk_kv) * self._kv_s)
            + batch * self._sample_s
        )


def kv_capacity_blocks(
    model: ServedModel, gpu: Gpu, tensor_parallel: int, utilization: float, block_tokens: int
) -> int:
    """KV blocks beside the weights (reference-method.md 4.4); 0 where the weights do not fit."""
    spare = utilization * gpu.hbm_bytes * tensor_parallel - model.weight_bytes
    return max(0, int(spare // (model.kv_bytes_per_token * block_tokens)))
