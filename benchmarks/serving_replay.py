"""A measured vLLM run, played again on the real scheduler.

`requests.csv` tells when each request came, its tokens and its TTFT, but not its end. The end is
read off the engine's own counter: from its first token on, a request gets one token an iteration
(these runs never preempt), so it ends when the iteration counter has risen by its other tokens.
The counter is sampled every 0.25 s and interpolated in between.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.timing_rows import GPUS
from dcsim.arrays import FloatArray, IntArray
from dcsim.clock import Clock
from dcsim.hardware.catalogue import Catalogue
from dcsim.hardware.roofline import IterationModel
from dcsim.ledger import ReplicaConfig
from dcsim.records import Status
from dcsim.scenario.models import Engine
from dcsim.serving.replica import Replica
from dcsim.serving.request import Request
from dcsim.serving.work import WorkTable
from dcsim.workload.stream import Prefix

BLOCK_TOKENS = 16


@dataclass(frozen=True, slots=True)
class Run:
    """One measured run. Arrays of shape (requests,), or (samples,) of the engine's log; seconds
    since the first request."""

    name: str
    gpu: str
    model: str
    tensor_parallel: int
    engine: Engine
    capacity_blocks: int
    arrival_s: FloatArray
    prompt_tokens: IntArray
    output_tokens: IntArray
    ttft_s: FloatArray
    e2e_s: FloatArray
    """Reconstructed; NaN where the log ends before the request."""
    sample_s: FloatArray
    running: FloatArray


@dataclass(frozen=True, slots=True)
class Played:
    """What the simulator made of a run; shapes as in `Run`."""

    ttft_s: FloatArray
    """Without the front end's overhead."""
    e2e_s: FloatArray
    running: FloatArray


@dataclass(frozen=True, slots=True)
class Errors:
    """How far a played run lies from the measured one; medians of absolute relative errors."""

    ttft: float
    tpot: float
    e2e: float
    ttft_bias: float
    """Median of played over measured, less 1."""
    tpot_bias: float
    running_correlation: float
    running_bias: float
    """Mean number running, played over measured, less 1."""


def read_run(folder: Path) -> Run:
    """Read a run's folder of the reference data."""
    manifest = json.loads((folder / "manifest.json").read_text())
    requests = pd.read_csv(folder / "requests.csv").sort_values("start", ignore_index=True)
    log = pd.read_csv(folder / "engine.csv")
    origin = float(requests["start"].iloc[0])
    start_s = requests["start"].to_numpy() - origin
    first_s = start_s + requests["ttft"].to_numpy()
    sample_s = log["epoch"].to_numpy() - origin
    iterations = log["iterations"].to_numpy(dtype=np.float64)
    outputs = requests["output_tokens"].to_numpy()
    server = manifest["server"]
    return Run(
        name=folder.name,
        gpu=GPUS[manifest["hardware"]],
        model=manifest["model"].split("/")[1].lower(),
        tensor_parallel=manifest["tp"],
        engine=Engine(
            max_num_seqs=server["max_num_seqs"],
            max_num_batched_tokens=server["max_num_batched_tokens"],
            max_model_len=server["max_model_len"],
            block_tokens=BLOCK_TOKENS,
        ),
        # vLLM 0.10 counts one block when idle.
        capacity_blocks=round(1.0 / float(log["kv"].iloc[0])),
        arrival_s=start_s,
        prompt_tokens=requests["input_tokens"].to_numpy(),
        output_tokens=outputs,
        ttft_s=requests["ttft"].to_numpy(),
        e2e_s=ends_s(sample_s, iterations, first_s, outputs) - start_s,
        sample_s=sample_s,
        running=log["running"].to_numpy(dtype=np.float64),
    )


def ends_s(
    sample_s: FloatArray, iterations: FloatArray, first_s: FloatArray, outputs: IntArray
) -> FloatArray:
    """When each request had its last token, from the sampled iteration counter (n,)."""
    at_first = np.interp(first_s, sample_s, iterations)
    goal = at_first + outputs - 1.0
    # Where the counter stands still (idle), the earliest moment of a count is the right one.
    _, earliest = np.unique(iterations, return_index=True)
    found = np.interp(goal, iterations[earliest], sample_s[earliest])
    return np.where(goal > iterations[-1], np.nan, np.maximum(found, first_s))


def play(run: Run, catalogue: Catalogue) -> Played:
    """The run's requests through one replica with the catalogue's timing."""
    return serve(
        catalogue,
        (run.gpu, run.model, run.tensor_parallel),
        run.engine,
        run.capacity_blocks,
        (run.arrival_s, run.prompt_tokens, run.output_tokens),
        run.sample_s,
    )


def serve(
    catalogue: Catalogue,
    configuration: tuple[str, str, int],
    engine: Engine,
    capacity_blocks: int,
    requests: tuple[FloatArray, IntArray, IntArray],
    sample_s: FloatArray,
    prefixes: Sequence[Prefix] | None = None,
) -> Played:
    """Requests (arrivals in seconds, prompt and output tokens; each of shape (n,)) through one
    replica of (GPU, model, tensor parallel size), to their end; requests running are counted at
    `sample_s` (samples,). `prefixes` (n,) says what prompts have in common."""
    gpu, model = catalogue.gpus[configuration[0]], catalogue.models[configuration[1]]
    parallel = configuration[2]
    timing = IterationModel(model, gpu, parallel, engine.max_num_seqs)
    config = ReplicaConfig(
        gpu.name,
        model.name,
        parallel,
        gpu.peak_flops,
        gpu.hbm_bandwidth_bytes_s,
        gpu.hbm_bytes,
        gpu.nameplate_w,
        model.weight_bytes,
    )
    count = len(requests[0])
    ttft_s, e2e_s = np.full(count, np.nan), np.full(count, np.nan)

    def end(request: Request, _: Replica, end_s: float, status: Status, __: int) -> None:
        if status == Status.COMPLETED:
            ttft_s[request.id] = request.first_token_s - request.arrival_s
            e2e_s[request.id] = end_s - request.arrival_s

    clock = Clock()
    work = WorkTable([config], [timing.costs], [capacity_blocks * engine.block_tokens])
    replica = Replica(0, clock, timing, engine, capacity_blocks, work, end)
    for id_, row in enumerate(zip(*(column.tolist() for column in requests), strict=True)):
        prefix = prefixes[id_] if prefixes is not None else None
        request = Request(id_, 0, *row, prefix=prefix)
        alarm = clock.alarm(lambda now, r=request: replica.submit(r, now))
        clock.set_alarm(alarm, request.arrival_s)
    running = np.zeros(len(sample_s))
    for i, at_s in enumerate(sample_s.tolist()):
        if at_s > 0.0:
            clock.play(at_s)
            running[i] = replica.running
    clock.play(float(requests[0][-1]) + 3600.0)
    return Played(ttft_s, e2e_s, running)


def compare(run: Run, played: Played, overhead_s: float) -> Errors:
    """Errors of a played run; requests of one token have no TPOT."""
    ttft_s, e2e_s = played.ttft_s + overhead_s, played.e2e_s + overhead_s
    many = (run.output_tokens > 1) & np.isfinite(run.e2e_s)
    rest = run.output_tokens[many] - 1
    real = (run.e2e_s - run.ttft_s)[many] / rest
    ours = (e2e_s - ttft_s)[many] / rest
    during = run.sample_s > 0.0
    measured, simulated = run.running[during], played.running[during]
    return Errors(
        ttft=_error(ttft_s, run.ttft_s),
        tpot=_error(ours, real),
        e2e=_error(e2e_s[many], run.e2e_s[many]),
        ttft_bias=float(np.median(ttft_s / run.ttft_s)) - 1.0,
        tpot_bias=float(np.nanmedian(ours / real)) - 1.0,
        running_correlation=float(np.corrcoef(measured, simulated)[0, 1]),
        running_bias=float(simulated.mean() / measured.mean()) - 1.0,
    )


def _error(ours: FloatArray, real: FloatArray) -> float:
    return float(np.nanmedian(np.abs(ours / real - 1.0)))
