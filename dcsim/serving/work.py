"""Where replicas write their work and the power step reads it.

Each replica owns a row: the totals at the start of its current span (a run of identical
iterations, or one mixed iteration) and the span's shape. The ledger of a power step is the
difference of two exact evaluations of those closed forms, over all replicas at once, so that
nothing has to happen in a replica when a power step passes.

In a span, iteration i takes a + b i seconds, since every decode lengthens the context that the
next one reads. After tau seconds the span has done x iterations, where
    tau = a x + b x (x - 1) / 2,
work flowing evenly within an iteration. A span may be planned ahead, to begin when the iteration
under way ends; that iteration, `lead_s` long, is then already in the totals, and x is negative
until the span begins.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from dcsim.ledger import FloatArray, GpuState, ReplicaConfig, WorkLedger
from dcsim.serving.timing import WorkCosts

SPAN = struct.Struct("15d")
"""start_s, a, b, busy, iterations, decode tokens, context reads, busy seconds, batch, context,
running, held KV tokens, GPU state, waiting, lead_s."""
PREFILL = struct.Struct("6d")
"""Totals of prefill tokens, FLOPs, bytes; then the same of the current span."""
_WIDTH = 21
ROW_BYTES = _WIDTH * 8
PREFILL_OFFSET = 15 * 8
_WAITING = 13


class WorkTable:
    """The rows of `n` replicas and the ledger read from them."""

    def __init__(
        self, configs: Sequence[ReplicaConfig], costs: Sequence[WorkCosts], kv_tokens: Sequence[int]
    ) -> None:
        n = len(configs)
        self.buffer = bytearray(n * ROW_BYTES)
        self.rows: FloatArray = np.frombuffer(self.buffer, dtype=np.float64).reshape(n, _WIDTH)
        self._cells = memoryview(self.buffer).cast("d")
        self.rows[:, 1] = self.rows[:, 14] = np.inf
        self.rows[:, 12] = GpuState.IDLE
        self._decode_flops = np.array([c.flops_per_token + c.flops_per_logit for c in costs])
        self._context_flops = np.array([c.flops_per_context for c in costs])
        self._iteration_bytes = np.array([c.bytes_per_iteration for c in costs])
        self._decode_bytes = np.array([c.kv_bytes + c.bytes_per_token for c in costs])
        self._context_bytes = np.array([c.kv_bytes for c in costs])
        self._kv_tokens = np.array(kv_tokens, dtype=np.float64)
        self._peak_flops = np.array([c.peak_flops_per_gpu * c.tensor_parallel for c in configs])
        self._peak_bytes = np.array([c.hbm_bandwidth_per_gpu * c.tensor_parallel for c in configs])
        self.held_tokens = np.zeros(n)
        """KV tokens held when `totals_at` was last asked."""
        self._time_s = 0.0
        self._totals = np.zeros((6, n))
        self._now = np.zeros((6, n))
        self._delta = np.zeros((6, n))

    def __len__(self) -> int:
        return len(self.rows)

    def set_waiting(self, index: int, waiting: int) -> None:
        """A request joined the queue of a replica whose span goes on."""
        self._cells[index * _WIDTH + _WAITING] = waiting

    def totals_at(self, time_s: float, out: FloatArray) -> FloatArray:
        """Work done since the start: prefill tokens, decode tokens, iterations, busy seconds,
        FLOPs, bytes. Fills and returns `out`, shape (6, n)."""
        r = self.rows
        tau = time_s - r[:, 0]
        b = r[:, 2]
        half = r[:, 1] - 0.5 * b
        x = 2.0 * tau / (half + np.sqrt(half * half + 2.0 * b * np.maximum(tau, 0.0)))
        np.copyto(x, tau / r[:, 14], where=tau < 0.0)
        batch = r[:, 8]
        decode = r[:, 5] + batch * x
        context = r[:, 6] + x * (r[:, 9] + 0.5 * batch * (x - 1.0))
        iterations = r[:, 4] + x
        prefill = r[:, 15:18] + np.maximum(x, 0.0)[:, None] * r[:, 18:21]
        out[0] = prefill[:, 0]
        out[1] = decode
        out[2] = iterations
        out[3] = r[:, 7] + r[:, 3] * tau
        out[4] = self._decode_flops * decode + self._context_flops * context + prefill[:, 1]
        out[5] = (
            self._iteration_bytes * iterations
            + self._decode_bytes * decode
            + self._context_bytes * context
            + prefill[:, 2]
        )
        np.add(r[:, 11], batch * x, out=self.held_tokens)
        return out

    def step(self, time_s: float) -> WorkLedger:
        """The ledger of the time since the last call. Its arrays are views that the next call
        overwrites."""
        now = self.totals_at(time_s, self._now)
        delta = np.subtract(now, self._totals, out=self._delta)
        # Totals reach 1e18: a difference of two equal states may come out as a negative crumb.
        np.maximum(delta, 0.0, out=delta)
        self._totals, self._now = self._now, self._totals
        step_s = time_s - self._time_s
        self._time_s = time_s
        rows = self.rows
        return WorkLedger(
            step_s=step_s,
            running=rows[:, 10],
            waiting=rows[:, _WAITING],
            prefill_tokens=delta[0],
            decode_tokens=delta[1],
            iterations=delta[2],
            busy_fraction=np.minimum(delta[3] / step_s, 1.0),
            kv_fraction=self.held_tokens / self._kv_tokens,
            compute_util=delta[4] / (self._peak_flops * step_s),
            memory_util=delta[5] / (self._peak_bytes * step_s),
            state=rows[:, 12].astype(np.int64),
        )
