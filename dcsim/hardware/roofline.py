"""How long one iteration of a continuous batch takes, and what work it does.

The one statement of both, for serving, power, learning and checks; docs/reference/method.md has the
laws and their sources. A roofline (form of powertrace-sim, release powertrace_v1), with
what a planner's other models need: experts, sliding windows, quantised weights, links, pipeline
stages. Everything that depends only on the batch size is tabulated once, because the event loop
asks for it at every change of a batch.

Expert weights are read as far as some token asks for them. If n tokens chose k of E experts each,
uniformly and independently, they would touch a share 1 - (1 - k/E)^n of them. Tokens of one text
choose alike, so that n of them count as n^r only, with r fitted below 1 (`Timing.routing`).

Pipeline stages: the running sequences are split evenly over `pipeline_parallel` micro-batches,
which follow each other through the stages, as vLLM keeps as many batches in flight. A token
takes the sum over all stages of its micro-batch's time, and in that time every sequence gets
one. So an iteration of the whole batch takes what all layers take on one stage's GPUs for a
micro-batch. A prompt is not split over micro-batches, but several prompts spread over them.
"""

# compiled by mypyc
from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

from dcsim.hardware.gpus import Gpu
from dcsim.hardware.models import ServedModel
from dcsim.hardware.timing import timing_of

LINK_BYTES = 2.0
"""Activations travel between GPUs as 16-bit numbers."""
PERFECT = 50.0
"""From this exponent on the shorter part is hidden altogether."""
BANDWIDTH_KNEE = 0.6
"""Share of the full core clock below which memory can no longer be read at full speed.

Every byte passes the L2 cache and the cores, so many bytes a clock and no more: below some clock
they, not the memory, set the pace, and bandwidth falls in proportion. Where that begins lies
between two published figures. At 0.78 of its clock an A100 gives tokens as fast as ever (POLCA,
Patel et al., ASPLOS 2024). At 0.28 it cannot: its L2 gives 5,120 bytes a clock (NVIDIA's A100
white paper), 2.0 TB/s at 398 of 1410 MHz, if every slot were used. In practice some half of them
are, which gives 0.6. Assumed for other GPUs."""


def bandwidth_share(clock: float) -> float:
    """Share of the memory bandwidth that can be used at a share of the full core clock."""
    return min(1.0, clock / BANDWIDTH_KNEE)


@dataclass(frozen=True, slots=True)
class WorkCosts:
    """FLOPs and bytes per unit of work, over all GPUs of a replica."""

    flops_per_token: float
    """Transformer weights, 2 per active parameter; half as much where it runs in FP8, whose peak
    is twice that of bf16."""
    flops_per_logit: float
    """Output head, 2 per parameter."""
    flops_per_context: float
    """Attention of one token to one token of context, in the layers that see all of it."""
    bytes_per_iteration: float
    """Transformer and head weights that are read once whatever the batch."""
    head_bytes: float
    bytes_per_token: float
    """One embedding row, and the keys and values in the window of layers that slide."""
    kv_bytes: float
    """Keys and values of one token, in the layers that see all of the context."""
    expert_bytes: float = 0.0
    """Weights of all routed experts; see `expert_share`."""
    expert_miss: float = 1.0
    """Share of the experts that one token leaves alone: 1 - k/E."""
    routing: float = 1.0
    """Exponent of the tokens' number that counts as independent choices."""

    @property
    def flops_per_decode(self) -> float:
        """Of a token that is decoded: the transformer's and the head's, attention aside."""
        return self.flops_per_token + self.flops_per_logit

    @property
    def bytes_per_decode(self) -> float:
        """Of a token that is decoded, weights and the reading of its context aside."""
        return self.kv_bytes + self.bytes_per_token

    def prompt_flops(self, tokens: float, pairs: float, finishing: float) -> float:
        """FLOPs of prompt chunks.

        Parameters
        ----------
        tokens : float
            The sum of chunk lengths C.
        pairs : float
            The sum of C (p + C/2) with p tokens of the prompt computed before: a token attends to
            all before it.
        finishing : float
            Chunks that end their prompt: the head gives one logit for each.
        """
        return (
            tokens * self.flops_per_token
            + finishing * self.flops_per_logit
            + pairs * self.flops_per_context
        )

    def prompt_bytes(self, tokens: float, reads: float) -> float:
        """Bytes of prompt chunks, weights aside; `reads` is the sum of p + C/2 + C: one pass over
        the keys and values that a chunk sees, and those that it writes."""
        return reads * self.kv_bytes + tokens * self.bytes_per_token

    def whole_work(
        self, batch: float, context: float, flops: float, moved: float, experts: float
    ) -> tuple[float, float]:
        """FLOPs and bytes of an iteration that decodes a batch and computes prompt chunks, which
        alone do `flops` and move `moved`; `experts` is the share of the expert weights that it
        reads."""
        flops += batch * self.flops_per_decode
        flops += context * self.flops_per_context
        moved += self.bytes_per_iteration + context * self.kv_bytes
        moved += batch * self.bytes_per_decode
        moved += self.expert_bytes * experts
        return flops, moved

    def expert_share(self, tokens: float) -> float:
        """Share of the expert weights that an iteration of so many tokens reads, 0 to 1."""
        missed: float = self.expert_miss**tokens**self.routing
        return 1.0 - missed


def work_costs(model: ServedModel, pipeline_parallel: int = 1, routing: float = 1.0) -> WorkCosts:
    """Work of a served model; it does not depend on the GPU.

    Every pipeline micro-batch reads the weights again.
    """
    sliding = model.sliding_kv_bytes_per_token
    active = model.active_share
    dense_params = model.transformer_params - model.expert_params
    return WorkCosts(
        flops_per_token=2.0
        * (dense_params + active * model.expert_params)
        * (1.0 - 0.5 * model.fp8_share),
        flops_per_logit=2.0 * model.head_params,
        flops_per_context=4.0 * model.n_heads * model.head_dim * model.full_layers,
        bytes_per_iteration=pipeline_parallel
        * (dense_params * model.bytes_per_param + model.head_params * model.head_bytes_per_param),
        head_bytes=pipeline_parallel * model.head_params * model.head_bytes_per_param,
        bytes_per_token=model.d_model * model.head_bytes_per_param + sliding * model.sliding_window,
        kv_bytes=model.kv_bytes_per_token - sliding,
        expert_bytes=pipeline_parallel * model.expert_params * model.expert_bytes_per_param,
        expert_miss=1.0 - active,
        routing=routing,
    )


class IterationModel:
    """Iteration time of one served model on one GPU type and its parallel sizes.

    A decode iteration with `batch` sequences of `context` tokens together takes
    `decode_s[batch] + context_s * (context + batch)` seconds: linear in the context, so that a
    run of such iterations has a closed form (`dcsim.serving.span`). Layers that slide are taken
    to have a full window, which overstates them for the first few tokens of a sequence.

    A replica has `tensor_parallel * pipeline_parallel` GPUs. `expert_parallel` says over how many
    of the tensor-parallel ranks whole experts are spread; 1 slices every expert instead. Both need
    the same messages: as in vLLM, every rank of a tensor-parallel group holds all tokens, runs
    its own experts, and an all-reduce sums what they give. The busiest rank sets the pace.
    """

    def __init__(
        self,
        model: ServedModel,
        gpu: Gpu,
        tensor_parallel: int,
        max_batch: int,
        pipeline_parallel: int = 1,
        expert_parallel: int = 1,
        clock: float = 1.0,
    ) -> None:
        self.clock = clock
        """Share of the full core clock. Computing slows in proportion, reading of memory below
        `BANDWIDTH_KNEE` (see `bandwidth_share`); messages and sampling do not."""
        self._kin: dict[float, IterationModel] = {clock: self}
        self._made_of = (
            model, gpu, tensor_parallel, max_batch, pipeline_parallel, expert_parallel
        )  # fmt: skip
        timing = timing_of(model, gpu)
        ranks = tensor_parallel
        flops_s = timing.eff_flops * gpu.peak_flops * ranks * clock
        bytes_s = timing.eff_bandwidth * gpu.hbm_bandwidth_bytes_s * ranks
        if clock < BANDWIDTH_KNEE:
            bytes_s *= bandwidth_share(clock)
        weights_s = bytes_s * (timing.quantised_stream if model.quantised else 1.0)
        self.costs = work_costs(model, pipeline_parallel, timing.routing)
        costs = work_costs(model)
        self.first_token_overhead_s = timing.first_token_overhead_s
        self._stages: float = float(pipeline_parallel)
        self._window: float = float(model.sliding_window)

        # Two all-reduces a layer; a hop between stages is one message.
        messages = 2.0 * model.n_layers + pipeline_parallel - 1
        self._fixed_s = timing.base_overhead_s + messages * timing.per_message_s[ranks]
        self._link_s = 0.0
        if ranks > 1:
            self._link_s = _link_bytes(model, ranks) / gpu.link_bandwidth_bytes_s
        dense_params = model.transformer_params - model.expert_params
        shrink = 2.0 * (1.0 - 0.5 * model.fp8_share) / flops_s
        self._token_s = shrink * dense_params
        self._weights_s = dense_params * model.bytes_per_param / weights_s
        self._overlap: float = timing.overlap
        self._routing: float = timing.routing
        self._experts_token_s = shrink * model.active_share * model.expert_params
        self._experts_s = costs.expert_bytes / weights_s
        self._miss = costs.expert_miss
        self._skew = _skew(model.n_experts, expert_parallel)
        self._logit_s = costs.flops_per_logit / flops_s
        self._head_s = costs.head_bytes / bytes_s
        self._embedding_s = costs.bytes_per_token / bytes_s
        self._sample_s = timing.per_token_sample_s
        self._pair_s = costs.flops_per_context / flops_s
        self._kv_s = costs.kv_bytes / bytes_s
        sliding_layers = model.n_layers - model.full_layers
        self._window_pair_s = 4.0 * model.n_heads * model.head_dim * sliding_layers / flops_s
        self._window_kv_s = model.sliding_kv_bytes_per_token / bytes_s
        self._factor = timing.factor
        # Decode attention streams every key once for one query, so it is bound by memory unless
        # a model has an extreme ratio of query to key heads; the larger slope covers both.
        self.context_s = self._factor * max(self._pair_s, self._kv_s) / pipeline_parallel
        self.decode_s = [self._decode_s(batch) for batch in range(max_batch + 1)]

    def at_clock(self, clock: float) -> IterationModel:
        """The same on a GPU whose core clock is held at a share of its full clock, above 0 and up
        to 1. Made once for each clock."""
        at_ratio = self._kin.get(clock)
        if at_ratio is None:
            model, gpu, ranks, max_batch, stages, experts = self._made_of
            at_ratio = IterationModel(model, gpu, ranks, max_batch, stages, experts, clock)
            self._kin[clock] = at_ratio
            at_ratio._kin = self._kin
        return at_ratio

    def _decode_s(self, batch: int) -> float:
        share = batch / self._stages
        return self._factor * (self._linear_s(share, share) + share * self._sample_s)

    def _linear_s(self, tokens: float, logits: float) -> float:
        """Messages, embedding, weights and head for one micro-batch."""
        seconds = (
            self._fixed_s
            + _overlap(tokens * self._token_s, self._weights_s, self._overlap)
            + tokens * (self._link_s + self._embedding_s)
        )
        if logits > 0.0:
            seconds += _overlap(logits * self._logit_s, self._head_s, self._overlap)
        if self._experts_s > 0.0:
            touched = 1.0 - self._miss**tokens**self._routing
            slowest = min(1.0, touched + self._skew * sqrt(touched * (1.0 - touched)))
            seconds += _overlap(
                tokens * self._experts_token_s, slowest * self._experts_s, self._overlap
            )
        return seconds

    def mixed_s(
        self,
        batch: float,
        context: float,
        chunk_tokens: float,
        chunk_pairs: float,
        chunk_kv: float,
        finishing: float,
    ) -> float:
        """Seconds of an iteration with `batch` decodes over `context` tokens and prompt chunks.

        `chunk_tokens` is the sum of chunk lengths C, `chunk_pairs` of C (p + C/2) with p tokens
        computed before, `chunk_kv` of p + C/2 + C, `finishing` the chunks that end their prompt.
        Means over many iterations need not be whole numbers.
        """
        prompts = max(1.0, finishing)
        spread = min(self._stages, prompts)
        decodes = batch / self._stages
        tokens = decodes + chunk_tokens / spread
        seconds = self._linear_s(tokens, decodes + finishing / spread) + decodes * self._sample_s
        prefill_s = max(chunk_pairs * self._pair_s, chunk_kv * self._kv_s)
        if self._window > 0.0:
            window = self._window
            prefill_s += max(
                min(chunk_pairs, chunk_tokens * window) * self._window_pair_s,
                min(chunk_kv, chunk_tokens + prompts * window) * self._window_kv_s,
            )
        seconds += prefill_s / spread
        return self._factor * seconds + self.context_s * (context + batch)

    def work(
        self,
        batch: float,
        context: float,
        chunk_tokens: float,
        chunk_pairs: float,
        chunk_kv: float,
        finishing: float,
    ) -> tuple[float, float]:
        """FLOPs and bytes of such an iteration over all GPUs of the replica; see `mixed_s`."""
        costs = self.costs
        flops = costs.prompt_flops(chunk_tokens, chunk_pairs, finishing)
        moved = costs.prompt_bytes(chunk_tokens, chunk_kv)
        if batch + finishing == 0.0:
            moved -= costs.head_bytes  # no logits are asked for
        experts = self.experts_read(batch, chunk_tokens, finishing)
        return costs.whole_work(batch, context, flops, moved, experts)

    def experts_read(self, batch: float, chunk_tokens: float, finishing: float) -> float:
        """Share of the expert weights that such an iteration reads; see `mixed_s`."""
        spread = min(self._stages, max(1.0, finishing))
        return self.costs.expert_share(batch / self._stages + chunk_tokens / spread)


def _overlap(compute_s: float, read_s: float, p: float) -> float:
    """Seconds of matrix products that need so long to compute and so long to read their weights.

    A perfect kernel hides the shorter behind the longer; real ones do so in part. The p-norm lies
    between the sum (p = 1) and the larger (p infinite).
    """
    low, high = (compute_s, read_s) if compute_s < read_s else (read_s, compute_s)
    if low <= 1e-9 * high or p > PERFECT:
        return high
    longer: float = (1.0 + (low / high) ** p) ** (1.0 / p)
    return high * longer


def _link_bytes(model: ServedModel, ranks: int) -> float:
    """Bytes that each GPU sends for one token over all layers: two ring all-reduces a layer, each
    sending 2 (r - 1) / r of the token's activations."""
    return 4.0 * model.n_layers * model.d_model * LINK_BYTES * (ranks - 1) / ranks


def _skew(n_experts: int, expert_parallel: int) -> float:
    """How much more than the mean the busiest of the expert-parallel ranks reads, in units of
    sqrt(p (1 - p)) with p the share of experts touched.

    Each rank holds E/r experts, each touched with probability p; the largest of r such binomial
    counts lies about sqrt(2 ln r) standard deviations above their mean.
    """
    if expert_parallel <= 1:
        return 0.0
    return sqrt(2.0 * log(expert_parallel) * expert_parallel / n_experts)
