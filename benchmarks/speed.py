"""Speed and memory of whole runs: python -m benchmarks.speed [--full]

Sites of 24, 240 and 2,400 servers (Llama 3 70B on 8 A100 each, Azure conversation lengths,
0.5 requests/s a server, 0.25 s power steps), each in a process of its own so that its peak
memory is its own; with the GRU stepping live, and with power off (events alone). `--full` also
plays scenarios/site-240.yaml for its whole day, at the same lengths and 0.5 requests/s a server in
the mean, which is the aim: under 150 s and 2 GB.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = {24: 3600.0, 240: 1800.0, 2400: 180.0}
"""Servers: simulated seconds."""
RATE_PER_SERVER = 0.5
YARDSTICK = (
    "workload.chat.arrivals.mean_rate=120 req/s",
    "workload.chat.tokens={kind: fit, name: azure-2023-conv}",
)
"""Load of site-240 when speed is measured, ten million requests a day: always the same, so that
figures of different times can be compared."""
FACILITY = """
  - {{name: site, kind: site, rating: {rating_kw} kW}}
  - {{name: row, kind: row, parent: site, count: {rows}, rating: 100 kW}}
  - {{name: rack, kind: rack, parent: row, count: 6, rating: 23 kW}}
  - {{name: server, kind: server, parent: rack, count: 4, group: a100}}
"""


def play(servers: int, duration_s: float, power: bool) -> dict[str, float]:
    """One run in this process."""
    from benchmarks.sites import site
    from dcsim.engine.simulation import Simulation
    from dcsim.plant import Plant

    facility = FACILITY.format(rating_kw=4.0 * servers, rows=servers // 24)
    scenario = site(f"speed-{servers}", duration_s, servers * RATE_PER_SERVER, facility)
    simulation = Simulation(Plant.build(scenario))
    return timed(simulation, power)


def play_file(path: str) -> dict[str, float]:
    """A scenario file in this process at the yardstick's load, power on."""
    from dcsim.engine.simulation import Simulation
    from dcsim.plant import Plant
    from dcsim.scenario.load import load

    return timed(Simulation(Plant.build(load(path, YARDSTICK))), power=True)


def timed(simulation, power: bool) -> dict[str, float]:  # type: ignore[no-untyped-def]
    """Play and measure."""
    from dcsim.seeds import branch
    from dcsim.workload import requests

    scenario = simulation.scenario
    started = time.perf_counter()
    if power:
        with tempfile.TemporaryDirectory() as folder:
            simulation.run(Path(folder) / "speed.h5")
            size = (Path(folder) / "speed.h5").stat().st_size
    else:
        simulation.fleet.feed(requests(scenario, branch(scenario.seed, "workload")))
        simulation.clock.play(scenario.duration_s)
        size = 0
    wall_s = time.perf_counter() - started
    return {
        "wall_s": wall_s,
        "requests_per_s": simulation.fleet.arrived / wall_s,
        "server_s_per_s": len(simulation.plant.servers) * scenario.duration_s / wall_s,
        "real_time": scenario.duration_s / wall_s,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "file_mb": size / 1e6,
    }


def in_own_process(*arguments: str) -> dict[str, float]:
    """Run this module with `--child`, and read what it prints."""
    command = [sys.executable, "-m", "benchmarks.speed", "--child", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def show(label: str, row: dict[str, float]) -> None:
    """One line of the table."""
    print(
        f"{label:24} {row['wall_s']:8.1f} {row['requests_per_s']:10,.0f} "
        f"{row['server_s_per_s']:12,.0f} {row['real_time']:9,.0f} {row['peak_mb']:8,.0f} "
        f"{row['file_mb']:8,.1f}",
        flush=True,
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="also play site-240 for its day")
    parser.add_argument("--child", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        kind, *rest = options.child
        found = (
            play_file(rest[0])
            if kind == "file"
            else play(int(rest[0]), float(rest[1]), kind == "on")
        )
        print(json.dumps(found))
        return
    print(
        f"{'servers, power':24} {'wall s':>8} {'requests/s':>10} {'server-s/s':>12} "
        f"{'x real':>9} {'peak MB':>8} {'file MB':>8}"
    )
    for servers, duration_s in SIZES.items():
        for power in ("off", "on"):
            row = in_own_process(power, str(servers), str(duration_s))
            show(f"{servers:,}, power {power}", row)
    if options.full:
        site = Path(__file__).parents[1] / "scenarios" / "site-240.yaml"
        show("site-240, 24 h", in_own_process("file", str(site)))


if __name__ == "__main__":
    main()
