"""Makes the shipped power packs: python -m benchmarks.packs   (half an hour on one core)

One pack a GPU, with up to four kinds of tables.

- Qwen3, measured: watts and engine log of the runs in `measured/vllm_runs`; states are fitted to
  those watts, the network learns from the engine's own log.
- Every configuration of `published/state_distributions`: states are the published mixture of
  measured watts; the sequence is constructed (see dcsim.lab.learn.transfer) on work simulated at
  the campaign's rates.
- H100 and B200: every configuration of ML.ENERGY's leaderboard that has no such table; its levels
  under steady load are measured, all else is constructed (see benchmarks.level_law).
- `any`: what all of them have in common, for configurations that nobody measured (see
  dcsim.lab.learn.pooled), with the errors that it made on configurations left out.

All also learn from work beyond what was measured (see dcsim.lab.learn.synthetic), on the H100 and
the B200 with the measured levels of steady loads. The pack of the H200 is that of the H100: the
same chip and board limit, and nobody published watts of an H200's GPUs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.data import need_data
from benchmarks.pack_subjects import (
    alike,
    level_subjects,
    measured_runs,
    published_subjects,
    run_subjects,
    with_levels,
)
from benchmarks.steady_levels import Level, steady_levels
from dcsim.hardware.catalogue import Catalogue, load_catalogue
from dcsim.lab.learn.evaluate import evaluate, generate
from dcsim.lab.learn.measured import by_configuration
from dcsim.lab.learn.pooled import pooled
from dcsim.lab.learn.published import fit_to_campaign, read_published
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.subjects import Subject
from dcsim.lab.learn.train import Recipe, train
from dcsim.ledger import split_key
from dcsim.power.gru import GruPower
from dcsim.power.pack import ANY, ModelKind, Pack, any_key, model_kind, save

PACKS = Path(__file__).parents[1] / "dcsim" / "power" / "packs"
GPUS = {"a100": "a100-sxm-80gb", "h100": "h100-sxm-80gb", "b200": "b200-sxm-180gb"}
H200 = "h200-sxm-141gb"
JUDGING_SEED = 1001
"""Of the campaign that judges a configuration left out; none that taught has it."""
SETTLING_STEPS = 20


@dataclass(frozen=True)
class Evidence:
    """All that packs of one GPU may learn from."""

    gpu: str
    runs: Sequence[MeasuredRun]
    published: Sequence[Subject]
    levels: Sequence[Level]


def gather(gpu: str, catalogue: Catalogue, data: Path) -> Evidence:
    """What is known of a GPU."""
    levels = [] if gpu.startswith("a100") else steady_levels(data, catalogue, gpu)
    return Evidence(
        gpu,
        measured_runs(data, catalogue, gpu),
        published_subjects(gpu, catalogue, data),
        levels,
    )


def recipe_of(updates: int) -> Recipe:
    """How the shipped packs are trained."""
    return Recipe(updates=updates)


def make(
    name: str,
    evidence: Evidence,
    catalogue: Catalogue,
    recipe: Recipe,
    progress: Callable[[int, float], None] | None = None,
    leave_out: Collection[str] = (),
) -> Pack:
    """A pack of one GPU, taught by all that is known but for the models left out."""
    kept = [one for one in evidence.levels if one.series.config.model not in leave_out]
    subjects = [
        one
        for one in [*run_subjects(evidence.runs), *evidence.published]
        if split_key(one.key)[0] not in leave_out
    ]
    subjects = with_levels(subjects, kept, catalogue)
    if kept:
        subjects += level_subjects(kept, catalogue, [one.key for one in subjects])
    general: list[Subject] = []
    for kind in ANY:
        like = [one for one in subjects if alike(one) and _kind(one.key, catalogue) == kind]
        if like:
            general.append(pooled(evidence.gpu, like, catalogue, recipe, kind))
    notes = (
        "made by `python -m benchmarks.packs`; true watts, before any meter; a quarter of the "
        "training windows are work beyond the campaigns (dcsim.lab.learn.synthetic)"
    )
    # What answers for the unseen is fitted to a network that is done: trained along with it, the
    # few measured minutes that it leans on would be learned by heart.
    pack = train(name, subjects, catalogue, recipe, progress, notes)
    return train(name, general, catalogue, recipe, progress, notes, pack)


def unseen(
    evidence: Evidence, catalogue: Catalogue, recipe: Recipe, data: Path
) -> dict[str, tuple[float, float]]:
    """What `any` says of each configuration left out of training: signed error of the mean, in
    per cent, and KS distance (NaN where only levels are known), by key. All that is known of a
    model is left out together."""
    found: dict[str, tuple[float, float]] = {}
    measured = by_configuration(evidence.runs)
    published = {one.key for one in evidence.published}
    levels = {one.series.config.key for one in evidence.levels}
    keys = sorted(published.union(measured, levels))
    for model in sorted({split_key(key)[0] for key in keys}):
        rest = replace(
            evidence,
            runs=[one for one in evidence.runs if one.series.config.model != model],
        )
        pack = make("unseen", rest, catalogue, recipe, leave_out=[model])
        for key in (key for key in keys if split_key(key)[0] == model):
            # By the best that is known of it: a run, a distribution, or levels.
            if key in measured:
                found[key] = _on_runs(pack, measured[key], catalogue)
            elif key in published:
                found[key] = _on_campaign(pack, key, catalogue, data)
            else:
                own = [one for one in evidence.levels if one.series.config.key == key]
                bias = np.median([level_bias_pct(pack, one, catalogue) for one in own])
                found[key] = (float(bias), float("nan"))
            print(
                f"  unseen {key}: mean {found[key][0]:+.1f} %, KS {found[key][1]:.3f}", flush=True
            )
    return found


def _on_runs(pack: Pack, runs: Sequence[MeasuredRun], catalogue: Catalogue) -> tuple[float, float]:
    figures = [evaluate(GruPower(pack, catalogue, extrapolate=True), run)["250ms"] for run in runs]
    bias, ks = ([one[name] for one in figures] for name in ("energy_bias_pct", "ks"))
    return float(np.median(bias)), float(np.median(ks))


def _kind(key: str, catalogue: Catalogue) -> ModelKind:
    return model_kind(catalogue.models[split_key(key)[0]])


def _on_campaign(pack: Pack, key: str, catalogue: Catalogue, data: Path) -> tuple[float, float]:
    model, gpu, parallel = split_key(key)
    label = {full: short.upper() for short, full in GPUS.items()}[gpu]
    file = f"{model}_{label}_tp{parallel}.json"
    mixture, _ = read_published(data / "published" / "state_distributions" / file)
    config = catalogue.replica_config(model, gpu, parallel)
    power = GruPower(pack, catalogue, extrapolate=True)
    fit = fit_to_campaign(power, config, mixture, catalogue, JUDGING_SEED, 1)
    return fit.mean_bias_pct, fit.ks


def level_bias_pct(pack: Pack, level: Level, catalogue: Catalogue) -> float:
    """Signed error of the pack on a steady load, in per cent."""
    power = GruPower(pack, catalogue, extrapolate=True)
    watts = generate(power, level.series, 4)[SETTLING_STEPS:]
    return 100.0 * (float(watts.mean()) / level.power_w - 1.0)


def with_band(
    pack: Pack, gpu: str, errors: dict[str, tuple[float, float]], catalogue: Catalogue
) -> Pack:
    """The pack with the error bands of `any`, from the errors on configurations left out."""
    tables = dict(pack.configs)
    for kind in ANY:
        key = any_key(gpu, kind)
        rows = [row for name, row in errors.items() if _kind(name, catalogue) == kind]
        if key not in tables or not rows:
            continue
        biases = np.array([bias for bias, _ in rows])
        figures = {
            "unseen_configurations": float(len(rows)),
            "unseen_mean_error_pct_median": float(np.median(np.abs(biases))),
            "unseen_mean_bias_pct_p10": float(np.percentile(biases, 10)),
            "unseen_mean_bias_pct_p90": float(np.percentile(biases, 90)),
        }
        known = [ks for _, ks in rows if not np.isnan(ks)]
        if known:
            figures["unseen_ks_median"] = float(np.median(known))
        tables[key] = replace(tables[key], figures=figures)
    return replace(pack, configs=tables)


def as_h200(pack: Pack) -> Pack:
    """The pack of the H100 under the name of the H200, said to be borrowed."""
    h100 = GPUS["h100"]
    tables = {
        key.replace(h100, H200): replace(
            states,
            evidence="extrapolated",
            source=f"of the H100, the same chip under the same limit with slower memory; no GPU "
            f"watts of an H200 are published; {states.source}",
        )
        for key, states in pack.configs.items()
    }
    return replace(pack, name="gru-h200", configs=tables)


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
        started = time.perf_counter()
        evidence = gather(GPUS[short], catalogue, data)
        pack = make(f"gru-{short}", evidence, catalogue, recipe_of(options.updates), report)
        errors = unseen(evidence, catalogue, recipe_of(options.unseen_updates), data)
        pack = with_band(pack, evidence.gpu, errors, catalogue)
        save(pack, PACKS / f"{pack.name}.h5")
        if short == "h100":
            save(as_h200(pack), PACKS / "gru-h200.h5")
        print(f"{short}: {len(pack.configs)} tables in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
