"""Replicas on a bench: the serving room alone, without router, chassis or facility.

For power models, which are judged by what one replica does: `replay` plays given requests,
`campaign` the measuring campaign behind the published mixtures of power states: runs of 600 s of
Poisson ShareGPT requests at six rates (docs/reference/method.md, Measured campaigns).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.clock import Clock
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.kv import kv_capacity_blocks
from dcsim.hardware.roofline import IterationModel
from dcsim.lab.ledger_series import POWER_STEP_S, LedgerSeries, TimedRequest
from dcsim.ledger import ReplicaConfig
from dcsim.scenario.models import Engine
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.work import WorkTable
from dcsim.workload.tokens import fitted, load_fits

RATES_PER_S = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0)
RUN_S = 630.0
"""Published runs hold 2450 to 2630 samples of 0.25 s."""
ARRIVALS_S = 600.0


def campaign(
    config: ReplicaConfig, catalogue: Catalogue, seed: int, repeats: int
) -> list[LedgerSeries]:
    """Ledgers of `repeats` runs at each rate."""
    rng = np.random.default_rng(seed)
    draw = fitted(load_fits()["sharegpt"])
    runs = []
    for rate in RATES_PER_S:
        for _ in range(repeats):
            count = int(ARRIVALS_S * rate)
            arrival_s = np.cumsum(rng.exponential(1 / rate, count))
            prompt, output = draw(count, rng)
            columns = (arrival_s.tolist(), prompt.tolist(), output.tolist())
            runs.append([TimedRequest(*row) for row in zip(*columns, strict=True)])
    return replay(config, catalogue, runs, RUN_S, Engine())


def replay(
    config: ReplicaConfig,
    catalogue: Catalogue,
    runs: Sequence[Sequence[TimedRequest]],
    duration_s: float,
    engine: Engine,
) -> list[LedgerSeries]:
    """Ledgers of given runs, one replica each, from second 0 in steps of POWER_STEP_S."""
    gpu, model = catalogue.gpu(config.gpu), catalogue.model(config.model)
    clock = Clock()
    timing = IterationModel(model, gpu, config.tensor_parallel, engine.max_num_seqs)
    blocks = engine.num_gpu_blocks_override or kv_capacity_blocks(
        model, gpu.hbm_bytes, config.gpus, engine.gpu_memory_utilization, engine.block_tokens
    )
    count = len(runs)
    tokens = [blocks * engine.block_tokens] * count
    work = WorkTable([config] * count, [timing.costs] * count, tokens)
    for index, requests in enumerate(runs):
        replica = Replica(index, clock, timing, engine, blocks, work, lambda *_: None)
        for id_, (arrival_s, prompt, output) in enumerate(requests):
            request = Request(id_, 0, arrival_s, prompt, output)
            clock.set_alarm(clock.alarm(partial(_submit, replica, request)), arrival_s)
    rows: dict[str, list[FloatArray]] = {}
    for step in range(1, round(duration_s / POWER_STEP_S) + 1):
        clock.play(step * POWER_STEP_S)
        ledger = work.step(step * POWER_STEP_S)
        for name, values in ledger.columns().items():
            rows.setdefault(name, []).append(values.astype(np.float64))
    table = {name: np.array(values) for name, values in rows.items()}
    return [
        LedgerSeries(
            config, POWER_STEP_S, {name: values[:, i].copy() for name, values in table.items()}
        )
        for i in range(count)
    ]


def _submit(replica: Replica, request: Request, now: float) -> None:
    replica.submit(request, now)
