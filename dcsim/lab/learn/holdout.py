"""Held-out figures: each run judged by a pack that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.evaluate import evaluate
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.refine import refine
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.subjects import Example
from dcsim.lab.learn.train import Holdout, Recipe, train
from dcsim.power.gru import GruPower
from dcsim.power.pack import Pack

TRAINED_SHARE = 0.6
"""Of a configuration's only run; the rest, later in time, is held out."""


@dataclass(frozen=True)
class HoldoutResult:
    """Figures of one run by a pack trained without it."""

    run: str
    key: str
    """`ReplicaConfig.key`."""
    split: str
    """What was left out."""
    figures: Mapping[str, Mapping[str, float]]
    """By resolution, as `evaluate.judge` gives them."""
    losses: Sequence[tuple[int, float]]
    """Updates and loss on the run as training went."""


def leave_one_out(
    runs: Sequence[MeasuredRun],
    catalogue: Catalogue,
    recipe: Recipe,
    start: Pack | None = None,
) -> Iterator[HoldoutResult]:
    """Train for each run without it, and evaluate on it; with a pack to `start` from, refine that
    one.

    Where a configuration has one run only, its first part is trained on and its last part is held
    out.
    """
    for run in runs:
        config = run.series.config
        rest = [other for other in runs if other is not run]
        unseen, split = run, "run left out"
        if all(other.series.config != config for other in rest):
            cut = int(TRAINED_SHARE * len(run.series))
            rest.append(section(run, 0, cut))
            unseen = section(run, cut, len(run.series))
            split = f"last {100 * (1 - TRAINED_SHARE):.0f} % left out"
        holdout = Holdout(config.key, Example(unseen.series, unseen.power_w))
        if start is None:
            subjects = measured_subjects(rest)
            pack = train("held-out", subjects, catalogue, recipe, holdouts=[holdout])
        else:
            if any(run.name in states.source for states in start.configs.values()):
                split += f"; but {start.name} learned from it"
            pack = refine(start, "held-out", rest, catalogue, recipe, holdouts=[holdout])
        figures = evaluate(GruPower(pack, catalogue), unseen)
        yield HoldoutResult(run.name, config.key, split, figures, holdout.losses)


def section(run: MeasuredRun, start: int, stop: int) -> MeasuredRun:
    """Consecutive steps of a run."""
    return replace(
        run,
        edges_s=run.edges_s[start : stop + 1],
        series=run.series.part(start, stop),
        power_w=run.power_w[start:stop],
    )


def with_figures(pack: Pack, results: Sequence[HoldoutResult]) -> Pack:
    """The pack with the worst held-out figures of each configuration beside its table."""
    tables = dict(pack.configs)
    for key in {result.key for result in results}:
        rows = [result.figures["250ms"] for result in results if result.key == key]
        worst = {
            f"held_out_{name}": max(row[name] for row in rows)
            for name in ("energy_error_pct", "ks", "nrmse_mean", "p95_error_pct")
        }
        figures = {**tables[key].figures, **worst, "held_out_runs": float(len(rows))}
        tables[key] = replace(tables[key], figures=figures)
    return replace(pack, configs=tables)
