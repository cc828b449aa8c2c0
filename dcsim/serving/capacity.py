"""How many requests a second a replica can serve within its SLO: an estimate from the roofline.

Steady state at a rate: decodes and prompts share the iterations. With n iterations a second, of
which m carry prompts, and B sequences decoding,

    B = rate x (outputs - 1) / n,    1 = (n - m) T(B) + m T(B, chunk),

T being the iteration model's. A request's time per token is the mean of the iterations that it
meets; its time to first token is the iteration under way, its own chunks and a queue of prompts
(Kingman's formula for G/G/1). The capacity is the highest rate at which both keep the SLO and the
batch fits `max_num_seqs` and the KV cache. Nothing is cached, no clock is held down.

`dcsim serving capacity` holds the estimate to a played saturation; docs/serving.md tells the error.
"""

# not compiled: it is asked before a run
from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from dcsim.arrays import IntArray
from dcsim.hardware.roofline import IterationModel
from dcsim.scenario.models import Engine

Binds = Literal["ttft", "tpot", "max_num_seqs", "kv", "prefill"]
BISECTIONS = 24
"""Halvings of the interval in which a rate, or a number of iterations, is looked for."""
GRID_BATCHES = 40
"""Batch sizes that are tried before."""
MAX_LENGTHS = 400
"""Answer lengths, evenly by rank, that stand for a sample of them."""
QUANTILES = np.array([NormalDist().inv_cdf((i + 0.5) / 20.0) for i in range(20)])
"""Of the standard normal, at equal steps of probability."""


@dataclass(frozen=True, slots=True)
class LatencyTarget:
    """The SLO that a capacity is to keep.

    The default is ours, where no tenant was promised anything: 95 % of the requests within 2 s to
    the first token, and 100 ms per further token in the mean over all tokens.
    """

    ttft_s: float = 2.0
    tpot_s: float = 0.1
    share: float = 0.95
    """Of the requests, that keep the limits."""
    promised: bool = False
    """A tenant's own: then each of those requests keeps `tpot_s`, not the mean over tokens."""


@dataclass(frozen=True, slots=True)
class Steady:
    """What a replica does in steady state at one rate."""

    requests_per_s: float
    batch: float
    """Sequences decoding, mean."""
    kv_share: float
    """Of the KV cache in use, mean."""
    prefill_share: float
    """Prompt tokens over the most that iterations could take."""
    ttft_s: float
    """At the target's share of the requests."""
    tpot_s: float
    """So, too, where it was promised; else the mean over tokens."""
    broken: Binds | None
    """What does not hold at this rate; None where all does."""


@dataclass(frozen=True, slots=True)
class Capacity:
    """The highest rate of one replica within its SLO."""

    requests_per_s: float
    binds: Binds
    """What stops it from more."""
    at: Steady


class Estimator:
    """Steady states of one replica, for given request lengths.

    `prompts` and `outputs` are a sample of requests, in pairs; a `cached_share` of all prompt
    tokens need not be computed. `peers` are the replicas among which a router balances: arrivals
    at each of them are the more even the more there are; 1 for a router that does not look.
    """

    def __init__(
        self,
        timing: IterationModel,
        engine: Engine,
        kv_tokens: int,
        prompts: IntArray,
        outputs: IntArray,
        target: LatencyTarget,
        peers: int = 1,
        role: str = "both",
        cached_share: float = 0.0,
    ) -> None:
        self._timing = timing
        self._target = target
        self._seqs = engine.max_num_seqs
        self._grid = np.geomspace(0.05, engine.max_num_seqs, GRID_BATCHES).tolist()
        self._budget = float(engine.max_num_batched_tokens)
        self._limit = float(engine.long_prefill_token_threshold or engine.max_num_batched_tokens)
        self._kv_tokens = float(kv_tokens)
        self._peers = max(1, peers)
        self._decodes = role != "prefill"
        self._prefills = role != "decode"
        prompt, output = prompts.astype(np.float64), outputs.astype(np.float64)
        computed = np.maximum(1.0, prompt * (1.0 - cached_share))
        self._prompt = float(computed.mean())
        self._prompt_sq = float((computed**2).mean())
        self._chunks = float(np.ceil(computed / self._limit).mean()) if self._prefills else 1.0
        """Iterations that a prompt takes."""
        self._long_prompt = float(np.quantile(computed, target.share))
        after = np.maximum(output - 1.0, 0.0)
        self._after = float(after.mean()) if self._decodes else 0.0
        lasting = np.sort(after[after > 0.0])
        self._lasting = lasting[:: max(1, len(lasting) // MAX_LENGTHS)]
        # A sequence's context while it decodes, weighted by how long it does.
        total = float(after.sum())
        weighted = float((after * (prompt + 0.5 * output)).sum())
        self._context = weighted / total if total else float(prompt.mean())
        self._held = self._context + 0.5 * engine.block_tokens

    def capacity(self) -> Capacity:
        """The highest rate at which all holds."""
        low, high = 0.0, 1.0
        while self.at(high).broken is None and high < 1e7:
            low, high = high, 2.0 * high
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            if self.at(middle).broken is None:
                low = middle
            else:
                high = middle
        binds = self.at(high).broken
        assert binds is not None, "no replica serves ten million requests a second"
        return Capacity(low, binds, self.at(low))

    def at(self, rate: float) -> Steady:
        """The steady state at a rate, requests/s."""
        settled = self._settled(rate)
        if settled is None:
            return self._full(rate, float(self._seqs))
        batch = settled
        decode_s = self._decode_s(batch)
        mixed_s, mixed_per_s, load = self._mixed(rate, batch)
        if load >= 1.0:
            return Steady(rate, batch, math.nan, load, math.inf, math.inf, "prefill")
        per_s = mixed_per_s + (1.0 - mixed_per_s * mixed_s) / decode_s
        tpot_s = self._tpot_s(rate, decode_s, mixed_s, min(1.0, mixed_per_s / per_s))
        ttft_s = self._ttft_s(rate, batch, load, 1.0 / per_s)
        z = NormalDist().inv_cdf(0.95)
        spread = z * math.sqrt(batch / self._peers)
        prefilling = rate * min(ttft_s, 1.0) if self._prefills else 0.0
        kv = batch * self._held + prefilling * self._prompt
        broken: Binds | None = None
        if kv + spread * self._held > self._kv_tokens:
            broken = "kv"
        elif batch + spread + prefilling > self._seqs:
            broken = "max_num_seqs"
        elif tpot_s > self._target.tpot_s:
            broken = "tpot"
        elif ttft_s > self._target.ttft_s:
            broken = "ttft"
        return Steady(rate, batch, kv / self._kv_tokens, load, ttft_s, tpot_s, broken)

    def _settled(self, rate: float) -> float | None:
        """The smallest batch that decodes as fast as tokens are asked for; None if none does."""
        low, high = 0.0, -1.0
        for batch in self._grid:
            if self._batch(rate, batch) <= batch:
                high = batch
                break
            low = batch
        if high < 0.0:
            return None
        for _ in range(BISECTIONS):
            middle = 0.5 * (low + high)
            if self._batch(rate, middle) > middle:
                low = middle
            else:
                high = middle
        return high

    def _full(self, rate: float, batch: float) -> Steady:
        """Not even a full batch gives so many tokens."""
        load = self._mixed(rate, batch)[2]
        binds: Binds = "prefill" if load >= 1.0 else "max_num_seqs"
        if self._decode_s(batch) > self._target.tpot_s:
            binds = "tpot"
        kv = batch * self._held
        if kv > self._kv_tokens:
            binds = "kv"
        return Steady(rate, batch, kv / self._kv_tokens, load, math.inf, math.inf, binds)

    def _batch(self, rate: float, batch: float) -> float:
        """Sequences that decode at a rate where iterations are as long as `batch` makes them."""
        if self._after <= 0.0:
            return 0.0
        decode_s = self._decode_s(batch)
        mixed_s, mixed_per_s, load = self._mixed(rate, batch)
        if load >= 1.0:
            return math.inf
        per_s = mixed_per_s + max(0.0, 1.0 - mixed_per_s * mixed_s) / decode_s
        return rate * self._after / per_s

    def _decode_s(self, batch: float) -> float:
        """Seconds of an iteration that decodes only."""
        return self._timing.mixed_s(batch, batch * self._context, 0.0, 0.0, 0.0, 0.0)

    def _chunk_s(self, batch: float, prompts: float, tokens: float, before: float) -> float:
        """Seconds of an iteration with so many prompt tokens of `prompts` prompts, each of which
        has computed `before` tokens already."""
        prompt_chunk = tokens / max(prompts, 1e-9)
        return self._timing.mixed_s(
            batch,
            batch * self._context,
            tokens,
            tokens * (before + 0.5 * prompt_chunk),
            prompts * (before + 1.5 * prompt_chunk),
            max(1.0, prompts),
        )

    def _mixed(self, rate: float, batch: float) -> tuple[float, float, float]:
        """Iterations that carry prompts: their length, how many a second, and prompt tokens over
        the most that there could be."""
        if not self._prefills:
            return 0.0, 0.0, 0.0
        room = max(1.0, self._budget - batch)
        take = min(self._limit, room)
        # Long prompts: full chunks at their mean depth; what counts is the mean over tokens.
        mean_sq = self._prompt_sq / self._prompt
        before = max(0.0, 0.5 * (mean_sq - take)) if mean_sq > take else 0.0
        full_s = self._chunk_s(batch, max(1.0, room / self._prompt), room, before)
        load = rate * self._prompt * full_s / room
        # Prompts that come during one iteration share the next.
        tokens = min(self._prompt, take)
        chunks = self._prompt / tokens
        mixed_s = self._chunk_s(batch, 1.0 / chunks, tokens, before)
        for _ in range(3):
            together = max(1.0, rate * chunks * mixed_s)
            tokens = min(room, together * self._prompt / chunks)
            mixed_s = self._chunk_s(batch, max(1.0, together) / chunks, tokens, before)
        return mixed_s, rate * self._prompt / tokens, load

    def _tpot_s(self, rate: float, decode_s: float, mixed_s: float, share: float) -> float:
        """Time per token: the mean, or what the target's share of the requests keep. Each meets
        iterations of both kinds by chance, short answers the fewest. One with a prompt is followed
        by another the more often the longer it takes and the more chunks a prompt has."""
        if not len(self._lasting):
            return 0.0
        mean_s = decode_s + share * (mixed_s - decode_s)
        if not self._target.promised:
            return mean_s
        after_decode = 1.0 - math.exp(-rate * decode_s)
        after_mixed = 1.0 - math.exp(-rate * mixed_s) / self._chunks
        alike = min(0.95, max(0.0, after_mixed - after_decode))
        sigma_s = abs(mixed_s - decode_s) * math.sqrt(share * (1.0 - share))
        sigma_s *= math.sqrt((1.0 + alike) / (1.0 - alike))
        chance = QUANTILES[:, None] * (sigma_s / np.sqrt(self._lasting))
        longest_s = max(decode_s, mixed_s)
        seen_s = np.clip(mean_s + chance, min(decode_s, mixed_s), longest_s)
        return float(np.quantile(seen_s, self._target.share))

    def _ttft_s(self, rate: float, batch: float, load: float, iteration_s: float) -> float:
        if not self._prefills:
            return 0.0
        room = max(1.0, self._budget - batch)
        take = min(self._limit, room)
        one_s = self._prompt_s(batch, self._prompt, take)
        long_s = self._prompt_s(batch, self._long_prompt, take)
        full_s = load / rate if rate > 0.0 else one_s
        varied = self._prompt_sq / self._prompt**2 - 1.0
        wait_s = load / (1.0 - load) * 0.5 * (1.0 / self._peers + varied) * full_s
        beyond = 1.0 - self._target.share
        tail_s = wait_s / load * math.log(load / beyond) if load > beyond else 0.0
        queue_s = max(long_s + wait_s, one_s + tail_s)
        return self._timing.first_token_overhead_s + 0.5 * iteration_s + queue_s

    def _prompt_s(self, batch: float, tokens: float, take: float) -> float:
        """Seconds from the first to the last chunk of one prompt, alone."""
        whole = int(tokens // take)
        rest = tokens - whole * take
        seconds = sum(self._chunk_s(batch, 1.0, take, i * take) for i in range(whole))
        if rest > 0.0:
            seconds += self._chunk_s(batch, 1.0, rest, whole * take)
        return seconds
