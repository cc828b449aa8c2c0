"""Makes the shipped power packs: python -m benchmarks.packs   (some five minutes on one core)

One pack a GPU, with three kinds of tables.

- Qwen3, measured: watts and engine log of the runs in `measured/vllm_runs`; states are fitted to
  those watts, the network learns from the engine's own log.
- Every configuration of `published/state_distributions`: states are the published mixture of
  measured watts; the sequence is constructed (see dcsim.power.learn.targets) on work simulated at
  the campaign's rates.
- `any`: what all of them have in common, for configurations that nobody measured (see
  dcsim.power.learn.pooled), with the errors that it made on configurations left out.

All also learn from made-up work beyond what was measured (see dcsim.power.learn.imagined).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from dcsim.engine.bench import campaign, configuration
from dcsim.power.gru import GruPower
from dcsim.power.learn.evaluate import shown_by
from dcsim.power.learn.measured import measured_subjects
from dcsim.power.learn.pooled import pooled
from dcsim.power.learn.runs import MeasuredRun, read_run
from dcsim.power.learn.states import (
    distance,
    fit_mixture,
    published_key,
    read_published,
    split_key,
)
from dcsim.power.learn.targets import Levels, carry_over, idle_share
from dcsim.power.learn.train import Example, Recipe, Subject, train
from dcsim.power.learn.true_power import true_watts
from dcsim.power.meter import TRAILING_S
from dcsim.power.pack import Pack, any_key, save
from dcsim.scenario.catalogue import Catalogue, load_catalogue

PACKS = Path(__file__).parents[1] / "dcsim" / "power" / "packs"
GPUS = {"a100": "a100-sxm-80gb", "h100": "h100-sxm-80gb"}
REPEATS = 2
MEASURED_SHARE = 4.0
"""Of the training windows, a published configuration's being 1: real series are worth more."""
ALIKE = 0.1
"""Where the simulated share of idle time differs by more from the published one, the mixture was
measured under another load than ours, and does not teach `any`."""
NOISE = 0.5
"""Within-state correlation where none was published."""
PUBLISHED_SOURCE = (
    "states: powertrace-sim's published mixture of measured power ({name}, {points} samples, "
    "nvidia-smi); dynamics: its linear ledger model on simulated ShareGPT work"
)
JUDGING_SEED = 1001
"""Of the campaign that judges a configuration left out; none that taught has it."""


def recipe_of(updates: int) -> Recipe:
    """How the shipped packs are trained."""
    return Recipe(updates=updates)


def published_subjects(gpu: str, catalogue: Catalogue, data: Path) -> list[Subject]:
    """The configurations of a GPU of which the mixture is published."""
    subjects = []
    for file in sorted((data / "published" / "state_distributions").glob("*.json")):
        key = published_key(file.stem)
        model, on, parallel = split_key(key)
        if on != gpu:
            continue
        points = json.loads(file.read_text())["num_train_points"]
        samples = "unstated number of" if points is None else f"{points:,}"
        mixture, phi = read_published(file)
        work = campaign(
            configuration(model, gpu, parallel, catalogue), catalogue, parallel, REPEATS
        )
        levels = Levels.of_mixture(mixture)
        watts = carry_over(work, work, levels, catalogue, np.random.default_rng(parallel))
        idle = float(mixture.weight[mixture.mean_w < 1.3 * mixture.mean_w[0]].sum())
        figures = {"idle_share_published": idle, "idle_share_simulated": idle_share(work)}
        source = PUBLISHED_SOURCE.format(name=file.stem, points=samples)
        if gpu in TRAILING_S:
            # The mixture is of what the meter showed; the states are of what made it show that.
            watts = true_watts(work, watts)
            mixture = fit_mixture(np.concatenate(watts)[::5], seed=42)
            source += "; states refitted to the true watts behind the meter's one-second mean"
        subjects.append(
            Subject(
                key=key,
                mixture=mixture,
                sequences=[Example(s, w) for s, w in zip(work, watts, strict=True)],
                levels=None if gpu in TRAILING_S else levels,
                evidence="fitted",
                source=source,
                noise_correlation=NOISE if phi is None or gpu in TRAILING_S else phi,
                figures=figures,
            )
        )
    return subjects


def alike(subject: Subject) -> bool:
    """Whether our campaign is the one that its mixture was measured under."""
    told = subject.figures
    if "idle_share_published" not in told:
        return True
    return abs(told["idle_share_published"] - told["idle_share_simulated"]) <= ALIKE


def measured_runs(data: Path, catalogue: Catalogue, gpu: str) -> list[MeasuredRun]:
    """The measured runs on a GPU."""
    folders = sorted((data / "measured" / "vllm_runs").iterdir())
    runs = [read_run(folder, catalogue) for folder in folders]
    return [run for run in runs if run.series.config.gpu == gpu]


def make(
    name: str,
    gpu: str,
    runs: Sequence[MeasuredRun],
    published: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe,
    progress: Callable[[int, float], None] | None = None,
    leave_out: Collection[str] = (),
) -> Pack:
    """A pack of one GPU, taught by these runs and mixtures but for the keys left out."""
    general: list[Subject] = []
    subjects = [replace(one, share=MEASURED_SHARE) for one in measured_subjects(runs)]
    subjects = [one for one in [*subjects, *published] if one.key not in leave_out]
    for experts in (False, True):
        like = [
            one
            for one in subjects
            if alike(one) and (catalogue.models[split_key(one.key)[0]].n_experts > 1) == experts
        ]
        if like:
            general.append(pooled(gpu, like, catalogue, recipe, experts))
    subjects += general
    notes = (
        "made by `python -m benchmarks.packs`; true watts, before any meter; a quarter of the "
        "training windows are made-up work beyond the campaigns (dcsim.power.learn.imagined)"
    )
    return train(name, subjects, catalogue, recipe, progress, notes)


def unseen(
    gpu: str,
    runs: Sequence[MeasuredRun],
    published: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe,
    data: Path,
) -> dict[str, tuple[float, float]]:
    """What `any` says of each configuration left out of training: signed error of the mean, in
    per cent, and KS distance, by key. Sizes of one model are left out together."""
    found = {}
    for model in sorted({split_key(one.key)[0] for one in published}):
        keys = [one.key for one in published if split_key(one.key)[0] == model]
        pack = make("unseen", gpu, runs, published, catalogue, recipe, leave_out=keys)
        for key in keys:
            parallel = split_key(key)[2]
            label = {full: short.upper() for short, full in GPUS.items()}[gpu]
            file = f"{model}_{label}_tp{parallel}.json"
            mixture, _ = read_published(data / "published" / "state_distributions" / file)
            config = configuration(model, gpu, parallel, catalogue)
            work = campaign(config, catalogue, JUDGING_SEED, 1)
            power = GruPower(pack, catalogue, extrapolate=True)
            watts = np.concatenate([shown_by(power, series, 1)[:, 0] for series in work])
            bias = 100.0 * (float(watts.mean()) / mixture.mean() - 1.0)
            found[key] = (bias, distance(watts, mixture))
            print(f"  unseen {key}: mean {bias:+.1f} %, KS {found[key][1]:.3f}", flush=True)
    return found


def with_band(
    pack: Pack, gpu: str, errors: dict[str, tuple[float, float]], catalogue: Catalogue
) -> Pack:
    """The pack with the error bands of `any`, from the errors on configurations left out."""
    tables = dict(pack.configs)
    for experts in (False, True):
        key = any_key(gpu, experts)
        rows = [
            row
            for name, row in errors.items()
            if (catalogue.models[split_key(name)[0]].n_experts > 1) == experts
        ]
        if key not in tables or not rows:
            continue
        biases = np.array([bias for bias, _ in rows])
        figures = {
            "unseen_configurations": float(len(rows)),
            "unseen_mean_error_pct_median": float(np.median(np.abs(biases))),
            "unseen_mean_bias_pct_p10": float(np.percentile(biases, 10)),
            "unseen_mean_bias_pct_p90": float(np.percentile(biases, 90)),
            "unseen_ks_median": float(np.median([ks for _, ks in rows])),
        }
        tables[key] = replace(tables[key], figures=figures)
    return replace(pack, configs=tables)


def report(update: int, loss: float) -> None:
    """A line now and then."""
    if update % 500 == 0:
        print(f"  update {update}: {loss:.4f}", flush=True)


def main() -> None:
    """Make the packs of one GPU or of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("gpu", nargs="*", choices=[*GPUS, []], default=[])
    parser.add_argument("--updates", type=int, default=Recipe.updates)
    parser.add_argument("--unseen-updates", type=int, default=Recipe.updates // 4)
    options = parser.parse_args()
    data, catalogue = need_data(), load_catalogue()
    for short in options.gpu or GPUS:
        gpu = GPUS[short]
        started = time.perf_counter()
        runs = measured_runs(data, catalogue, gpu)
        published = published_subjects(gpu, catalogue, data)
        recipe = recipe_of(options.updates)
        pack = make(f"gru-{short}", gpu, runs, published, catalogue, recipe, report)
        quick = recipe_of(options.unseen_updates)
        errors = unseen(gpu, runs, published, catalogue, quick, data)
        pack = with_band(pack, gpu, errors, catalogue)
        save(pack, PACKS / f"{pack.name}.h5")
        print(f"{short}: {len(pack.configs)} tables in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
