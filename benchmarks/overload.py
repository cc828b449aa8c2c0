"""Overload: python -m benchmarks.overload [--hours H]

24 servers (Llama 3 70B on 8 A100 each, Azure conversation lengths, 0.25 s power steps) at half,
once and twice what they can serve, with and without a limit to the queues. What to look for:
memory that grows with the queue only, and that half of twice the capacity is still served.

The capacity is measured first, as the rate of completions far above it, once the batches are
full.
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
from typing import Any

SERVERS = 24
LIMIT = 500
FACILITY = """
  - {name: site, kind: site, rating: 160 kW}
  - {name: rack, kind: rack, parent: site, count: 6, rating: 27 kW}
  - {name: server, kind: server, parent: rack, count: 4, group: a100}
"""


def play(rate_per_s: float, limit: int, duration_s: float) -> dict[str, Any]:
    """One run in this process; a limit of 0 is none. Its summary, wall time and peak memory."""
    from benchmarks.sites import site
    from dcsim.engine.simulation import Simulation
    from dcsim.plant import Plant

    engine = f"engine: {{queue_limit: {limit}}}" if limit else ""
    scenario = site("overload", duration_s, rate_per_s, FACILITY, group=engine)
    simulation = Simulation(Plant.build(scenario))
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        summary = simulation.run(Path(folder) / "overload.h5")
    return {
        **{key: summary[key] for key in ("requests", "latency")},
        "mean_w": summary["nodes"][0]["mean_w"],
        "wall_s": time.perf_counter() - started,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def in_own_process(rate_per_s: float, limit: int, duration_s: float) -> dict[str, Any]:
    """Run this module with `--child`, so that its peak memory is its own."""
    arguments = [str(rate_per_s), str(limit), str(duration_s)]
    command = [sys.executable, "-m", "benchmarks.overload", "--child", *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=1.0, help="simulated time of each run")
    parser.add_argument("--child", nargs=3, type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        rate_per_s, limit, duration_s = options.child
        print(json.dumps(play(rate_per_s, int(limit), duration_s)))
        return
    done = [
        in_own_process(40.0 * SERVERS, LIMIT, until_s)["requests"]["completed"]
        for until_s in (300.0, 900.0)
    ]
    capacity = (done[1] - done[0]) / 600.0
    print(f"capacity {capacity:.1f} requests/s ({capacity / SERVERS:.2f} a server)")
    print(
        f"{'load':>5} {'limit':>6} {'arrived':>9} {'completed':>9} {'waiting':>9} {'rejected':>9} "
        f"{'TTFT p50 s':>10} {'p99 s':>9} {'site kW':>8} {'wall s':>7} {'peak MB':>8}"
    )
    for load in (0.5, 1.0, 2.0):
        for limit in (0, LIMIT):
            row = in_own_process(load * capacity, limit, options.hours * 3600.0)
            counts, ttft = row["requests"], row["latency"]["ttft_s"]
            print(
                f"{load:5.1f} {limit or 'none':>6} {counts['arrived']:9,} "
                f"{counts['completed']:9,} {counts['waiting']:9,} {counts['rejected']:9,} "
                f"{ttft['p50']:10.2f} {ttft['p99']:9.2f} {row['mean_w'] / 1e3:8.1f} "
                f"{row['wall_s']:7.1f} {row['peak_mb']:8,.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
