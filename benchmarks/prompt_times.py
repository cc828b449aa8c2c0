"""What first tokens add to an engine's log: python -m benchmarks.prompt_times   (seconds)

Measured runs are read with their requests' first tokens and without. Told: how closely the watts
of busy steps follow the prompt tokens computed in them (correlation), on meters that show moments.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from dcsim.power.learn.runs import MeasuredRun, read_run
from dcsim.power.meter import TRAILING_S
from dcsim.scenario.catalogue import load_catalogue


def follows(run: MeasuredRun) -> float:
    """Correlation of watts with prompt tokens over the steps with a request."""
    column = run.series.columns
    busy = column["running"] >= 1
    return float(np.corrcoef(column["prefill_tokens"][busy], run.power_w[busy])[0, 1])


def main() -> None:
    """A line for each run."""
    catalogue = load_catalogue()
    for folder in sorted((need_data() / "measured" / "vllm_runs").iterdir()):
        run = read_run(folder, catalogue)
        if run.series.config.gpu in TRAILING_S:
            continue
        with tempfile.TemporaryDirectory() as bare:
            copy = Path(bare) / folder.name
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("requests.csv"))
            without = read_run(copy, catalogue)
        print(
            f"{run.name}: by the counter {follows(without):.2f}, by first tokens {follows(run):.2f}"
        )


if __name__ == "__main__":
    main()
