"""Routers compared: python -m benchmarks.routers [--minutes M]

24 servers in two rows (Llama 3 70B on 8 A100 each, Azure conversation lengths, the linear power
model), one row rated lower than the other, at about three quarters of what they can serve. Each
policy with news of its replicas as they are, half a second old and five seconds old.

What to look for: how little a policy needs to know to be good, and how much worse than knowing
nothing it is to act on old news. `prefix-aware` is not among them: these prompts share nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.sites import site
from dcsim.engine.simulation import Simulation
from dcsim.plant import Plant
from dcsim.results import Results

POLICIES = ("random", "round-robin", "power-of-two", "least-outstanding", "power-aware")
DELAYS = ("0 s", "500 ms", "5 s")
RATE_PER_S = 110.0
FACILITY = """
  - {name: site, kind: site, rating: 120 kW}
  - {name: large, kind: row, parent: site, rating: 55 kW}
  - {name: small, kind: row, parent: site, rating: 45 kW}
  - {name: a, kind: server, parent: large, count: 12, group: a100}
  - {name: b, kind: server, parent: small, count: 12, group: a100}
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="simulated time of each run")
    minutes = parser.parse_args().minutes
    print(
        f"{'policy':>18} {'delay':>7} {'TTFT p50 s':>10} {'p99 s':>8} {'end p50 s':>9} "
        f"{'p99 s':>8} {'large kW':>8} {'small kW':>8} {'small max':>9}"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routers.h5"
        for policy in POLICIES:
            for delay in DELAYS if policy not in ("random", "round-robin") else DELAYS[:1]:
                scenario = site(
                    "routers",
                    60.0 * minutes,
                    RATE_PER_S,
                    FACILITY,
                    group="power: {model: ledger}",
                    rest=f"routing: {{policy: {policy}, signal_delay: {delay}}}",
                )
                summary = Simulation(Plant.build(scenario)).run(path)
                with Results.open(path, summary=summary) as results:
                    row_w = results.load_w("row").iloc[240:]
                    done = results.requests().query("status == 'completed' and arrival_s > 60")
                ttft_s = np.percentile(done["ttft_s"], (50, 99))
                e2e_s = np.percentile(done["end_s"] - done["arrival_s"], (50, 99))
                print(
                    f"{policy:>18} {delay:>7} {ttft_s[0]:10.3f} {ttft_s[1]:8.3f} "
                    f"{e2e_s[0]:9.2f} {e2e_s[1]:8.2f} {row_w['large'].mean() / 1e3:8.1f} "
                    f"{row_w['small'].mean() / 1e3:8.1f} {row_w['small'].max() / 1e3:9.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
