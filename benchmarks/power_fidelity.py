"""How near each power model comes to measured power: python -m benchmarks.power_fidelity

Every measured vLLM run is judged by a GRU trained without it (where its configuration has one
run only: on the run's later part), beside the linear ledger model, the mean and the nameplate.
The work comes from the engine's own log. Then the shipped pack on SIMULATED work: the same
requests replayed through our serving room, compared with the measured distribution and energy.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.campaign import replay
from benchmarks.data import need_data
from benchmarks.packs import GPUS, measured_runs, published_subjects
from dcsim.power.gru import GruPower
from dcsim.power.learn.evaluate import SEEDS, evaluate, generate
from dcsim.power.learn.holdout import held_out
from dcsim.power.learn.metrics import compare
from dcsim.power.learn.runs import MeasuredRun
from dcsim.power.learn.train import Recipe
from dcsim.power.linear_ledger import LinearLedger
from dcsim.power.nameplate import Nameplate
from dcsim.power.pack import find_pack
from dcsim.scenario.catalogue import Catalogue, load_catalogue
from dcsim.scenario.models import Engine

FIGURES = ("energy_error", "ks", "acf_r2", "acf_mae", "nrmse", "nrmse_1s", "p95_error", "p99_error")


def show(run: str, model: str, figures: Mapping[str, float], note: str = "") -> None:
    """One row of the table."""
    cells = " ".join(f"{figures[name]:>8.3f}" for name in FIGURES)
    print(f"{run:30} {model:10} {cells}  {note}", flush=True)


def simulated(run: MeasuredRun, folder: Path, catalogue: Catalogue, short: str) -> None:
    """The shipped pack on the run's requests, replayed."""
    rows = pd.read_csv(folder / "requests.csv")
    step_s = run.series.step_s
    wanted = run.series.columns["running"]
    requests = [
        (float(at_s) - run.start_s, int(prompt), int(output))
        for at_s, prompt, output in zip(
            rows["start"], rows["input_tokens"], rows["output_tokens"], strict=True
        )
    ]
    # The client sent its first request once before, as a warm-up that only the engine logged.
    warm_up_s = step_s * float(np.flatnonzero(wanted > 0)[0])
    if warm_up_s < requests[0][0] - 1.0:
        requests.insert(0, (warm_up_s, *requests[0][1:]))
    (series,) = replay(
        run.series.config,
        catalogue,
        [requests],
        len(run.series) * step_s,
        Engine(max_num_batched_tokens=8192),
    )
    measured_w = run.power_w
    model = GruPower(find_pack(f"gru-{short}", []), catalogue)
    rows_ = [compare(generate(model, series, seed), measured_w, series.step_s) for seed in SEEDS]
    figures = {name: float(np.median([row[name] for row in rows_])) for name in FIGURES}
    agree = np.corrcoef(wanted, series.columns["running"])[0, 1]
    show(run.name, "gru", figures, f"simulated work (running requests correlate {agree:.3f})")


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    options = parser.parse_args()
    data, catalogue = need_data(), load_catalogue()
    print(f"{'run':30} {'model':10} " + " ".join(f"{name[:8]:>8}" for name in FIGURES))
    for short, (gpu, label) in GPUS.items():
        runs = measured_runs(data, catalogue, gpu)
        others = published_subjects(gpu, label, catalogue, data, noise=0.5)
        for one in held_out(runs, catalogue, Recipe(updates=options.updates), others):
            show(one.run, "gru", one.figures, one.how)
        for run in runs:
            show(run.name, "ledger", evaluate(LinearLedger(catalogue), run, metered=True))
            show(run.name, "nameplate", evaluate(Nameplate(), run, metered=False))
            mean_w = np.full(len(run.power_w), run.power_w.mean())
            show(run.name, "mean", compare(mean_w, run.power_w, run.series.step_s), "its own mean")
        for run in runs:
            simulated(run, data / "measured" / "vllm_runs" / run.name, catalogue, short)


if __name__ == "__main__":
    main()
