"""One replica on a bench: a small made-up GPU and model, so that tests need no catalogue."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from dcsim.clock import Clock
from dcsim.hardware.models import ServedModel
from dcsim.hardware.roofline import IterationModel
from dcsim.ledger import ReplicaConfig
from dcsim.records import Status
from dcsim.scenario.models import Engine
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.work import WorkTable
from dcsim.workload.stream import Prefix

MODEL = ServedModel(
    name="bench-8b",
    title="bench",
    family="bench",
    n_layers=32,
    d_model=4096,
    n_heads=32,
    n_kv_heads=8,
    head_dim=128,
    vocab_size=128256,
    transformer_params=6.98e9,
    head_params=0.525e9,
    source="test",
)
EXPERTS = MODEL.model_copy(
    update={
        "n_experts": 16,
        "experts_per_token": 2,
        "expert_params": 5e9,
    }
)
GPU: Any = SimpleNamespace(
    peak_flops=312e12,
    hbm_bandwidth_bytes_s=2e12,
    hbm_bytes=80e9,
    timing_evidence="fitted",
    timing_fit=None,
    timing=SimpleNamespace(
        eff_flops=0.72,
        eff_bandwidth=0.86,
        per_message_s={1: 5e-5},
        per_token_sample_s=1.1e-4,
        first_token_overhead_s=0.0,
        base_overhead_s=0.0,
    ),
)
CONFIG = ReplicaConfig("bench", "bench-8b", 1, 312e12, 2e12, 80e9, 400.0, MODEL.weight_bytes)


class FixedClock:
    """A governor by a clock limit alone, with watts unknown."""

    def __init__(self, clock: float) -> None:
        self.clock = clock

    def hold(
        self, seconds: float, flops: float, moved: float, prefill: int, decode: int
    ) -> tuple[float, float, float, float, bool]:
        return self.clock, 1.0, 0.0, 0.0, False

    def changes(self, at_s: float) -> None:
        pass


class Bench:
    """One replica, its clock, and what left it."""

    def __init__(
        self,
        engine: Engine,
        capacity_blocks: int,
        model: ServedModel = MODEL,
        pipeline_parallel: int = 1,
    ) -> None:
        self.clock = Clock()
        self.timing = IterationModel(model, GPU, 1, engine.max_num_seqs, pipeline_parallel)
        self.work = WorkTable(
            [CONFIG], [self.timing.costs], [capacity_blocks * engine.block_tokens]
        )
        self.ended: dict[int, tuple[Request, float, int]] = {}
        self.rejected: list[int] = []
        self.timed_out: list[int] = []
        self.replica = Replica(
            0, self.clock, self.timing, engine, capacity_blocks, self.work, self._end
        )

    def _end(
        self, request: Request, replica: Replica, end_s: float, status: Status, generated: int
    ) -> None:
        assert request.id not in self.ended, "completed twice"
        if status is Status.TIMED_OUT:
            self.timed_out.append(request.id)
            return
        self.ended[request.id] = (request, end_s, generated)

    def feed(
        self,
        arrivals: list[tuple[float, int, int]],
        priorities: list[int] | None = None,
        prefixes: list[Prefix | None] | None = None,
    ) -> None:
        """Let (arrival_s, prompt, output) requests arrive; their ids count from 0."""
        for id_, (arrival_s, prompt, output) in enumerate(arrivals):
            request = Request(id_, 0, arrival_s, prompt, output)
            request.priority = priorities[id_] if priorities else 0
            request.prefix = prefixes[id_] if prefixes else None

            def arrive(now: float, request: Request = request) -> None:
                if not self.replica.submit(request, now):
                    self.rejected.append(request.id)

            self.clock.set_alarm(self.clock.alarm(arrive), arrival_s)

    def set_clock(self, clock: float, now: float) -> None:
        """Hold the core clock at a share of its full clock from now on; 1 for no limit."""
        self.replica.govern(None if clock >= 1.0 else FixedClock(clock), now)

    def totals(self, time_s: float) -> np.ndarray:
        """Prefill tokens, decode tokens, iterations, busy s, FLOPs, bytes since the start."""
        return self.work.totals_at(time_s, np.zeros((6, 1)))[:, 0]
