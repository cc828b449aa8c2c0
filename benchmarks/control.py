"""Cost of policies in the power step: python -m benchmarks.control

2,400 servers of 8 A100 in 600 racks and 100 rows (the plain tree of benchmarks/facility.py), with
the facility's step and the control's together, without policies and with each kind of them on all
rows, at loads that keep every row near its limit, so that commands are given and obeyed all the
time. `throttle` is what clocks and caps add to the meter's step. Microseconds a step of 0.25 s:
the mean, which is what a run pays, and the 99th percentile, which has the steps that policies are
asked in. The aim is a mean under 500.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

import numpy as np

from benchmarks.sites import site
from dcsim.arrays import FloatArray
from dcsim.engine.simulation import Simulation
from dcsim.ledger import HeldWork, WorkLedger
from dcsim.plant import Plant

STEP_S = 0.25
FACILITY = """
  - {name: site, kind: site, rating: 9 MW}
  - {name: row, kind: row, parent: site, count: 100, rating: 90 kW, breaker: {}}
  - {name: rack, kind: rack, parent: row, count: 6, rating: 17.3 kW}
  - {name: server, kind: server, parent: rack, count: 4, rating: 6.5 kW, group: a100}
"""
POLICIES = {
    "none": "[]",
    "static-cap": "[{policy: static-cap, gpu_power: 250 W}]",
    "dual-threshold": "[{policy: dual-threshold}]",
    "row-budget": "[{policy: row-budget}]",
    "admission, batch and shed": "[{policy: admission-throttle}, {policy: batch-limit, "
    "max_batch: 16}, {policy: priority-shed}]",
    "all of these": "[{policy: static-cap, gpu_power: 250 W}, {policy: dual-threshold}, "
    "{policy: row-budget}, {policy: admission-throttle}, {policy: batch-limit, max_batch: 16}, "
    "{policy: priority-shed}]",
}


def busy(simulation: Simulation) -> WorkLedger:
    """Every replica decoding, at the load of a row near its limit."""
    ledger = simulation.fleet.work.step(STEP_S)
    ledger.busy_fraction[:] = 0.9
    ledger.compute_util[:] = 0.3
    ledger.memory_util[:] = 0.6
    return ledger


def held(replicas: int) -> HeldWork:
    """Half of the time a cap holds iterations down."""
    some = np.full(replicas, 0.01)
    watts = [np.full(replicas, watts) for watts in (1500.0, 700.0, 600.0)]
    soft = [np.full(replicas, share) for share in (0.6, 0.4)]
    return HeldWork(STEP_S, some, some, some, some, some, *watts, *soft)


def loads(server_w: float, servers: int) -> list[FloatArray]:
    """Loads of servers that tremble, and rows that rise and fall past their limit and back."""
    rng = np.random.default_rng(0)
    wave = 1.0 + 0.08 * np.sin(np.linspace(0.0, 2.0 * np.pi, 64, endpoint=False))
    return [rng.normal(server_w * share, 50.0, servers) for share in wave]


def time_us(control: str, steps: int) -> dict[str, float]:
    """Facility and control, and the throttle, of one site."""
    scenario = site("control", 60.0, 100.0, FACILITY, rest=f"control: {control}")
    simulation = Simulation(Plant.build(scenario))
    policies, electrical, throttle = (
        simulation.control,
        simulation.site,
        simulation.server_power.limits,
    )
    policies._flag = lambda event: None  # no file is open that would hold events
    drawn = loads(3600.0, len(simulation.plant.replicas))
    ledger = busy(simulation)
    full_w = np.full(len(simulation.plant.replicas), 2500.0)
    slowed_work = held(len(full_w))
    took, slowed = [], []
    for step in range(2, steps + 2):  # `busy` has told the first
        now_s = step * STEP_S
        simulation.fleet.work.step(now_s)
        begun = time.perf_counter()
        throttle.restate(ledger)
        if not throttle.idle:
            throttle._parts = [replace(part, held=slowed_work) for part in throttle._parts]
            throttle.limit(full_w, simulation.server_power.supplied)
        slowed.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        node_w, _ = electrical.step(now_s, STEP_S, drawn[step // 8 % len(drawn)])
        if policies.acts:
            policies.step(now_s, step, node_w)
        took.append(time.perf_counter() - begun)
    of = np.array(took[steps // 10 :]) * 1e6
    return {
        "mean_us": round(float(of.mean()), 1),
        "p99_us": round(float(np.percentile(of, 99)), 1),
        "throttle_us": round(float(np.mean(slowed[steps // 10 :])) * 1e6, 1),
        "commands": sum(simulation.control.account.commands.values()),
    }


def main() -> None:
    """Time all and print them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=4000)
    steps = parser.parse_args().steps
    found = {}
    for name, control in POLICIES.items():
        found[name] = row = time_us(control, steps)
        print(
            f"{name:>26} {row['mean_us']:7.1f} us a step, p99 {row['p99_us']:7.1f}, "
            f"throttle {row['throttle_us']:6.1f}, {row['commands']:,} commands",
            flush=True,
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
