"""What a step of the GRU costs: python -m benchmarks.power_cost

Microseconds of `GruPower.step` on one core, for 1, 240 and 2,400 replicas
of one configuration, and for 240 and 2,400 of eight. Time of the thread, not of the wall; the best
and the median of 60 rounds: on a machine that others use, too, the best is nearest to what the step
itself takes. Also the bytes
that a step leaves behind, which should not grow with steps.
"""

from __future__ import annotations

import statistics
import time
import tracemalloc

import numpy as np

from dcsim.hardware.catalogue import load_catalogue
from dcsim.ledger import GpuState, ReplicaConfig, WorkLedger
from dcsim.power.gru import GruPower
from dcsim.power.pack import load, shipped

ROUNDS = 60
STEPS = 100
GPU = "h100-sxm-80gb"
MIX = (
    ("llama-3-8b", 1),
    ("llama-3-8b", 4),
    ("llama-3-8b", 8),
    ("llama-3-70b", 8),
    ("llama-3-405b", 8),
    ("gpt-oss-20b", 2),
    ("gpt-oss-120b", 4),
    ("gpt-oss-120b", 8),
)


def ledger(count: int, seed: int) -> WorkLedger:
    """A plausible step of `count` replicas."""
    rng = np.random.default_rng(seed)
    busy = rng.uniform(0, 1, count)
    return WorkLedger(
        step_s=0.25,
        running=np.rint(rng.uniform(0, 30, count)),
        waiting=np.zeros(count),
        prefill_tokens=rng.uniform(0, 500, count) * busy,
        decode_tokens=rng.uniform(0, 300, count) * busy,
        iterations=10 * busy,
        busy_fraction=busy,
        kv_fraction=rng.uniform(0, 0.5, count),
        compute_util=rng.uniform(0, 0.4, count) * busy,
        memory_util=rng.uniform(0, 0.8, count) * busy,
        state=np.full(count, int(GpuState.DECODE)),
    )


def cost(model: GruPower, configs: list[ReplicaConfig]) -> tuple[float, float, float]:
    """Best and median microseconds of a step, and bytes kept a step."""
    model.reset(configs, 0.25, np.random.SeedSequence(1))
    steps = [ledger(len(configs), seed) for seed in range(8)]
    for one in steps:
        model.step(one)
    found = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        for index in range(STEPS):
            model.step(steps[index % 8])
        found.append(1e6 * (time.thread_time() - started) / STEPS)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for index in range(STEPS):
        model.step(steps[index % 8])
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return min(found), statistics.median(found), (after - before) / STEPS


def main() -> None:
    """Measure and print."""
    catalogue = load_catalogue()
    model = GruPower(load(shipped()["gru-h100"]), catalogue)
    mix = [catalogue.replica_config(name, GPU, parallel) for name, parallel in MIX]
    print("replicas  configurations   best us  median us  bytes kept a step")
    for count, kinds in ((1, 1), (240, 1), (240, 8), (2400, 1), (2400, 8)):
        configs = [mix[(3 + index) % 8 if kinds > 1 else 3] for index in range(count)]
        best, median, kept = cost(model, configs)
        print(f"{count:8d}  {kinds:14d}  {best:8.1f}  {median:9.1f}  {kept:17.1f}")


if __name__ == "__main__":
    main()
