"""A study's workers: python -m benchmarks.studies [--workers N] [--runs R]

A sweep of 32 runs (24 servers, a simulated hour each, the GRU stepping live) by one worker and
by several, each with an empty folder, in turns; what to look for is the ratio of their times. The
start of the workers is told apart: it is paid once a study. Tables must be alike.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import pandas as pd

from benchmarks.sites import site
from dcsim.studies import Runner, sweep
from dcsim.studies.jobs import job

FACILITY = """
  - {name: site, kind: site}
  - {name: rack, kind: rack, parent: site, count: 6, rating: 27 kW}
  - {name: server, kind: server, parent: rack, count: 4, group: a100}
"""
DURATION_S = 3600.0
RATE_PER_S = 12.0


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    # One thread a worker, and for the one alone too: they are to differ in number only.
    os.environ["OMP_NUM_THREADS"] = "1"
    scenario = site("studies", DURATION_S, RATE_PER_S, FACILITY)
    over = {"power_step": ["250 ms"]}
    seeds = range(1, asked.runs + 1)
    tables: list[pd.DataFrame] = []
    crews = (1, asked.workers)
    best = dict.fromkeys(crews, float("inf"))
    for _ in range(asked.rounds):
        for workers in crews:
            with (
                tempfile.TemporaryDirectory() as folder,
                Runner(Path(folder), workers=workers) as runner,
            ):
                started = time.perf_counter()
                # Brings up the workers, and what they import, before the clock runs.
                runner.play([job(scenario, 1000 + i) for i in range(workers)], "start")
                start_s = time.perf_counter() - started
                started = time.perf_counter()
                answer = sweep(scenario, over, seeds=seeds, runner=runner)
                wall_s = time.perf_counter() - started
                played = runner.executed - workers
            assert played == asked.runs, f"{played} runs were played, not {asked.runs}"
            tables.append(answer.frame)
            best[workers] = min(best[workers], wall_s)
            print(
                f"{workers} worker{'s' * (workers > 1)}: start {start_s:5.1f} s, "
                f"{asked.runs} runs {wall_s:6.1f} s",
                flush=True,
            )
    assert all(table.equals(tables[0]) for table in tables), "workers change the table"
    print(f"{asked.workers} workers are {best[1] / best[asked.workers]:.2f} times as fast as one")


if __name__ == "__main__":
    main()
