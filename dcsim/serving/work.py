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

# not compiled: it computes on whole arrays
from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.roofline import WorkCosts
from dcsim.ledger import GpuState, HeldWork, ReplicaConfig, WorkLedger
from dcsim.serving.slowed import HELD_BYTES

SPAN = struct.Struct("15d")
"""start_s, a, b, busy, iterations, decode tokens, context reads, busy seconds, batch, context,
running, held KV tokens, GPU state, waiting, lead_s."""
PREFILL = struct.Struct("6d")
"""Totals of prefill tokens, FLOPs, bytes; then the same of the current span."""
EXPERTS = struct.Struct("3d")
"""Shares of the expert weights read: total, by an iteration of the span, by one of the iteration
under way before it. Written for models with experts only."""
PHASE = struct.Struct("8d")
"""Of iterations that compute prompts, at full clock: totals of seconds, FLOPs, bytes, and the root
of bytes a second; then the same of the current span, a second: 1 or 0, FLOPs, bytes, the root."""
_BUSY_S, _LEAD_S = 7, 14
_FIRST_S, _CONTEXT, _BATCH, _RUNNING, _STATE, _WAITING = 1, 6, 8, 10, 12, 13
"""Columns of `SPAN`, then those of the others."""
_PREFILL_TOTALS, _PREFILL_SPAN = slice(15, 18), slice(18, 21)
_EXPERTS_TOTAL, _EXPERTS_SPAN, _EXPERTS_LEAD = 21, 22, 23
_PHASE_TOTALS, _PHASE_RATES = slice(24, 28), slice(28, 32)
_WIDTH = 32
ROW_BYTES = _WIDTH * 8
BUSY_OFFSET = _BUSY_S * 8
LEAD_OFFSET = _LEAD_S * 8
PREFILL_OFFSET = _PREFILL_TOTALS.start * 8
EXPERTS_OFFSET = _EXPERTS_TOTAL * 8
PHASE_OFFSET = _PHASE_TOTALS.start * 8


class WorkTable:
    """The rows of `n` replicas and the ledger read from them."""

    def __init__(
        self, configs: Sequence[ReplicaConfig], costs: Sequence[WorkCosts], kv_tokens: Sequence[int]
    ) -> None:
        n = len(configs)
        self.buffer = bytearray(n * ROW_BYTES)
        self.rows: FloatArray = np.frombuffer(self.buffer, dtype=np.float64).reshape(n, _WIDTH)
        self._cells = memoryview(self.buffer).cast("d")
        self.rows[:, _FIRST_S] = self.rows[:, _LEAD_S] = np.inf
        self.rows[:, _STATE] = GpuState.IDLE
        self._decode_flops = np.array([c.flops_per_decode for c in costs])
        self._context_flops = np.array([c.flops_per_context for c in costs])
        self._iteration_bytes = np.array([c.bytes_per_iteration for c in costs])
        self._decode_bytes = np.array([c.bytes_per_decode for c in costs])
        expert_bytes = np.array([c.expert_bytes for c in costs])
        self._expert_bytes = expert_bytes if expert_bytes.any() else None
        self._context_bytes = np.array([c.kv_bytes for c in costs])
        self._kv_tokens = np.array(kv_tokens, dtype=np.float64)
        self._peak_flops = np.array([c.peak_flops_per_gpu * c.gpus for c in configs])
        self._peak_bytes = np.array([c.hbm_bandwidth_per_gpu * c.gpus for c in configs])
        self.held_tokens = np.zeros(n)
        """KV tokens held when `totals_at` was last asked."""
        self._all_columns = np.zeros((_WIDTH, n))
        self._columns = tuple(self._all_columns[:15])
        self._time_s = 0.0
        self._totals = np.zeros((6, n))
        self._now = np.zeros((6, n))
        self._delta = np.zeros((6, n))
        self._held_rows: FloatArray | None = None
        self._held_buffer = bytearray(0)
        self._phase_totals = np.zeros((4, n))
        self._root_bytes = np.sqrt(self._peak_bytes)
        self._held_totals = np.zeros((10, n))
        self._held_time_s = 0.0
        self._part_totals = np.zeros((6, n))
        self._progress: tuple[FloatArray, FloatArray, FloatArray] | None = None
        """Iterations done of each span, seconds since its start, and work in their context, when
        totals were last asked."""

    def __len__(self) -> int:
        return len(self.rows)

    def set_waiting(self, index: int, waiting: int) -> None:
        """A request joined the queue of a replica whose span goes on."""
        self._cells[index * _WIDTH + _WAITING] = waiting

    @property
    def time_s(self) -> float:
        """Until when `step` has been asked."""
        return self._time_s

    def held_rows(self) -> bytearray:
        """The rows of work that is held down (`dcsim.serving.slowed.Holding`)."""
        if self._held_rows is None:
            self._held_buffer = bytearray(len(self) * HELD_BYTES)
            flat = np.frombuffer(self._held_buffer, dtype=np.float64)
            self._held_rows = flat.reshape(len(self), HELD_BYTES // 8)
        return self._held_buffer

    def totals_at(self, time_s: float, out: FloatArray) -> FloatArray:
        """Work done since the start: prefill tokens, decode tokens, iterations, busy seconds,
        FLOPs, bytes. Fills and returns `out`, shape (6, n)."""
        # One copy makes every column contiguous, which the thirty operations below repay.
        (
            start_s, a, b, busy, iterations, decode, context, busy_s, batch, batch_context,
            _, held, _, _, lead_s,
        ) = self._columns  # fmt: skip
        np.copyto(self._all_columns, self.rows.T)
        tau = time_s - start_s
        half = a - 0.5 * b
        x = np.maximum(tau, 0.0)
        x *= b
        x += x
        x += half * half
        np.sqrt(x, out=x)
        x += half
        np.divide(tau, x, out=x)
        x += x
        early = tau < 0.0
        if early.any():
            np.divide(tau, lead_s, out=x, where=early)
        done = batch * x
        np.add(held, done, out=self.held_tokens)
        np.add(iterations, x, out=out[2])
        np.add(decode, done, out=out[1])
        np.multiply(busy, tau, out=out[3])
        out[3] += busy_s
        # Context read so far: x (C + B (x - 1) / 2).
        done -= batch
        done *= 0.5
        done += batch_context
        done *= x
        done += context
        np.multiply(self._decode_flops, out[1], out=out[4])
        out[4] += self._context_flops * done
        np.multiply(self._iteration_bytes, out[2], out=out[5])
        out[5] += self._decode_bytes * out[1]
        out[5] += self._context_bytes * done
        self._progress = (x, tau, done)
        prefill = np.maximum(x, 0.0) * self._all_columns[_PREFILL_SPAN]
        prefill += self._all_columns[_PREFILL_TOTALS]
        out[0] = prefill[0]
        out[4:6] += prefill[1:]
        if self._expert_bytes is not None:
            total, shares, lead = self._all_columns[_EXPERTS_TOTAL : _EXPERTS_LEAD + 1]
            out[5] += self._expert_bytes * (total + x * np.where(early, lead, shares))
        return out

    def step(self, time_s: float) -> WorkLedger:
        """The ledger of the time since the last call. Its arrays are views that the next call
        overwrites."""
        now = self.totals_at(time_s, self._now)
        delta = np.subtract(now, self._totals, out=self._delta)
        # Totals reach 1e18: by rounding, a difference of equal states may be negative.
        np.maximum(delta, 0.0, out=delta)
        self._totals, self._now = self._now, self._totals
        phase_now = self._phase_now()
        phase = np.maximum(phase_now - self._phase_totals, 0.0)
        self._phase_totals = phase_now
        step_s = time_s - self._time_s
        phase /= step_s
        self._time_s = time_s
        columns = self._all_columns
        return WorkLedger(
            step_s=step_s,
            running=columns[_RUNNING],
            waiting=columns[_WAITING],
            prefill_tokens=delta[0],
            decode_tokens=delta[1],
            iterations=delta[2],
            busy_fraction=np.minimum(delta[3] / step_s, 1.0),
            kv_fraction=self.held_tokens / self._kv_tokens,
            compute_util=delta[4] / (self._peak_flops * step_s),
            memory_util=delta[5] / (self._peak_bytes * step_s),
            state=columns[_STATE].astype(np.int64),
            prompt_share=np.minimum(phase[0], 1.0),
            prompt_compute_util=phase[1] / self._peak_flops,
            prompt_memory_util=phase[2] / self._peak_bytes,
            prompt_memory_root=phase[3] / self._root_bytes,
        )

    def held_step(self) -> HeldWork | None:
        """What was held down in the step that `step` was last asked about, or since the last part
        of it that `held_part` told; None where nothing has ever been."""
        return self._held_since(self._time_s)

    def held_part(self, time_s: float) -> HeldWork | None:
        """What was held down from the last step, or part, until the present instant `time_s`,
        inside a step: the law of some replicas changes now."""
        self.totals_at(time_s, self._part_totals)
        return self._held_since(time_s)

    def _held_since(self, time_s: float) -> HeldWork | None:
        """What was held down since this was last asked, `totals_at` having been asked just now."""
        seconds = time_s - self._held_time_s
        self._held_time_s = time_s
        if self._held_rows is None:
            return None
        now = self._held_now()
        delta = now - self._held_totals
        self._held_totals = now
        rates = delta[5:] / seconds
        return HeldWork(
            seconds=seconds,
            prefill_tokens=delta[0],
            decode_tokens=delta[1],
            iterations=delta[2],
            compute_util=delta[3] / (self._peak_flops * seconds),
            memory_util=delta[4] / (self._peak_bytes * seconds),
            full_w=rates[0],
            free_w=rates[1],
            bound_w=rates[2],
            soft=rates[3],
            soft_bound=rates[4],
        )

    def begin_anew(self) -> None:
        """Rows were changed so that they tell another past: the next step counts from what they
        tell now."""
        self._totals = self.totals_at(self._time_s, self._totals)
        self._phase_totals = self._phase_now()
        self._held_time_s = self._time_s
        if self._held_rows is not None:
            self._held_totals = self._held_now()

    def _phase_now(self) -> FloatArray:
        """Sums so far of `PHASE`, shape (4, n), at the time `totals_at` was last asked about."""
        assert self._progress is not None
        ran_s = np.maximum(self._progress[1], 0.0)
        return self._all_columns[_PHASE_TOTALS] + ran_s * self._all_columns[_PHASE_RATES]

    def _held_now(self) -> FloatArray:
        """Sums so far of `HeldWork`'s columns, shape (10, n), at the time `totals_at` was last
        asked about."""
        assert self._held_rows is not None
        assert self._progress is not None
        x, tau, context = self._progress
        columns = self._all_columns
        held = self._held_rows.T.copy()
        early = tau < 0.0
        extra = np.where(early, held[1], held[0])
        scaled = extra * x
        decode = held[3] + scaled * columns[_BATCH]
        read = held[4] + extra * (context - columns[_CONTEXT])
        prefill = held[5:8] + np.maximum(x, 0.0) * extra * columns[_PREFILL_SPAN]
        out = np.empty((10, len(self)))
        out[0], out[1], out[2] = prefill[0], decode, held[2] + scaled
        out[3] = prefill[1] + self._decode_flops * decode + self._context_flops * read
        out[4] = prefill[2] + self._iteration_bytes * out[2] + self._decode_bytes * decode
        out[4] += self._context_bytes * read
        if self._expert_bytes is not None:
            shares = np.where(early, columns[_EXPERTS_LEAD], columns[_EXPERTS_SPAN])
            out[4] += self._expert_bytes * (held[8] + scaled * shares)
        rates = np.where(early, held[19:24], held[14:19])
        out[5:] = held[9:14] + tau * rates
        return out
