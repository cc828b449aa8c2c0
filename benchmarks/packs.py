"""Makes the shipped power packs: python -m benchmarks.packs   (a few minutes on two cores)

Two kinds of configuration go into a pack.

- Qwen3, measured: watts and engine log of the runs in `measured/vllm_runs`; states are fitted to
  those watts, the network learns from the engine's own log.
- Llama 3, published mixture: states are the published mixture of measured watts; the sequence is
  constructed (see dcsim.power.learn.targets) on work simulated at the campaign's rates.

All also learn from made-up work beyond what was measured (see dcsim.power.learn.imagined).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from dcsim.engine.bench import campaign, configuration
from dcsim.power.learn.measured import measured_subjects
from dcsim.power.learn.runs import MeasuredRun, read_run
from dcsim.power.learn.states import read_published
from dcsim.power.learn.targets import Levels, carry_over
from dcsim.power.learn.train import Example, Recipe, Subject, train
from dcsim.power.pack import save
from dcsim.scenario.catalogue import Catalogue, load_catalogue

PACKS = Path(__file__).parents[1] / "dcsim" / "power" / "packs"
GPUS = {"a100": ("a100-sxm-80gb", "A100"), "h100": ("h100-sxm-80gb", "H100")}
PUBLISHED_MODELS = ("llama-3-8b", "llama-3-70b")
REPEATS = 2
PUBLISHED_SOURCE = (
    "states: powertrace-sim's published mixture of measured power ({name}, {points} samples, "
    "nvidia-smi); dynamics: its linear ledger model on simulated ShareGPT work"
)


def published_subjects(
    gpu: str, label: str, catalogue: Catalogue, data: Path, noise: float
) -> list[Subject]:
    """The configurations of a GPU of which the mixture is published."""
    subjects = []
    for model in PUBLISHED_MODELS:
        for parallel in (1, 2, 4, 8):
            name = f"{model}_{label}_tp{parallel}"
            file = data / "published" / "state_distributions" / f"{name}.json"
            if not file.is_file():
                continue
            points = json.loads(file.read_text())["num_train_points"]
            samples = "unstated number of" if points is None else f"{points:,}"
            mixture, phi = read_published(file)
            config = configuration(model, gpu, parallel, catalogue)
            work = campaign(config, catalogue, seed=parallel, repeats=REPEATS)
            levels = Levels.of_mixture(mixture)
            watts = carry_over(work, work, levels, catalogue, np.random.default_rng(parallel))
            subjects.append(
                Subject(
                    config=config,
                    mixture=mixture,
                    sequences=[Example(s, w) for s, w in zip(work, watts, strict=True)],
                    levels=levels,
                    evidence="fitted",
                    source=PUBLISHED_SOURCE.format(name=name, points=samples),
                    noise_correlation=noise if phi is None else phi,
                )
            )
    return subjects


def measured_runs(data: Path, catalogue: Catalogue, gpu: str) -> list[MeasuredRun]:
    """The measured runs on a GPU."""
    folders = sorted((data / "measured" / "vllm_runs").iterdir())
    runs = [read_run(folder, catalogue) for folder in folders]
    return [run for run in runs if run.series.config.gpu == gpu]


def report(update: int, loss: float) -> None:
    """A line now and then."""
    if update % 100 == 0:
        print(f"  update {update}: {loss:.4f}", flush=True)


def main() -> None:
    """Make the packs of one GPU or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gpu", nargs="*", choices=[*GPUS, []], default=[])
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    options = parser.parse_args()
    data, catalogue = need_data(), load_catalogue()
    for short in options.gpu or GPUS:
        gpu, label = GPUS[short]
        started = time.perf_counter()
        subjects = measured_subjects(measured_runs(data, catalogue, gpu))
        subjects += published_subjects(gpu, label, catalogue, data, noise=0.5)
        worked_s = time.perf_counter() - started
        print(f"{short}: {len(subjects)} configurations, work in {worked_s:.0f} s")
        pack = train(
            f"gru-{short}",
            subjects,
            catalogue,
            Recipe(updates=options.updates),
            progress=report,
            notes="made by `python -m benchmarks.packs`; a quarter of the training windows are "
            "made-up work beyond the campaigns (dcsim.power.learn.imagined)",
        )
        save(pack, PACKS / f"{pack.name}.h5")
        print(f"{short}: done in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
