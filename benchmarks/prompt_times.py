"""What first tokens add to an engine's log: python -m benchmarks.prompt_times   (seconds)

Measured runs are read with their requests' first tokens and without. Told: how closely the watts
of busy steps follow the prompt tokens computed in them (correlation), on meters that show moments.

And how near any model can come that is told the engine's log and each prompt's time: watts are
fitted, in the run itself, to its counters and to the prompts of a window before each sample; of all
windows the best is told, with what it leaves (as NRMSE, of the range).
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.lab.learn.cleaning import unexplained
from dcsim.lab.learn.logs import read_logs, read_manifest
from dcsim.lab.learn.runs import MeasuredRun, logged_prompts, read_run
from dcsim.lab.sensor import TRAILING_S

WIDTHS_S = (0.02, 0.05, 0.1, 0.15, 0.2, 0.25)
BEFORE_S = (-0.05, -0.025, 0.0, 0.025, 0.05, 0.075, 0.1, 0.125)
"""Tried: so wide, and ending so long before the sample."""
KNEE_TOKENS_S = 6000.0
"""Watts rise with prompt tokens up to about here, and hardly beyond."""


def follows(run: MeasuredRun) -> float:
    """Correlation of watts with prompt tokens over the steps with a request."""
    column = run.series.columns
    busy = column["running"] >= 1
    return float(np.corrcoef(column["prefill_tokens"][busy], run.power_w[busy])[0, 1])


def best_window(folder: Path, run: MeasuredRun, catalogue: Catalogue) -> tuple[float, float, float]:
    """NRMSE that the best window leaves, its width and its end before the sample in s."""
    logs = read_logs(folder, read_manifest(folder), catalogue.gpus)
    config, column = run.series.config, run.series.columns
    assert logs.engine is not None and logs.first_tokens is not None
    prompts, told = logged_prompts(logs.engine, logs.first_tokens, config, catalogue)
    assert prompts is not None, told
    busy = column["running"] >= 1
    others = [busy, np.minimum(column["running"], 64.0) * busy]
    others += [column[name] for name in ("kv_fraction", "decode_tokens", "busy_fraction")]
    found = []
    for width_s in WIDTHS_S:
        for before_s in BEFORE_S:
            end_s = run.edges_s[1:] - before_s
            done = np.interp([end_s - width_s, end_s], prompts.at_s, prompts.total)
            rate = (done[1] - done[0]) / width_s
            left = unexplained(run.power_w, [*others, rate, np.minimum(rate, KNEE_TOKENS_S)], 1)
            found.append((float(np.sqrt(left)) / float(np.ptp(run.power_w)), width_s, before_s))
    return min(found)


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
        left, width_s, before_s = best_window(folder, run, catalogue)
        print(
            f"{run.name}: by the counter {follows(without):.2f}, by first tokens "
            f"{follows(run):.2f}; the best window, {width_s:g} s until {before_s:g} s before the "
            f"sample, leaves {left:.3f}"
        )


if __name__ == "__main__":
    main()
