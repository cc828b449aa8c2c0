"""Held-out figures: each run judged by a pack that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.evaluate import evaluate
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.refine import refine
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.train import Example, Judged, Recipe, train
from dcsim.power.gru import GruPower
from dcsim.power.pack import Pack

TRAINED_SHARE = 0.6
"""Of a configuration's only run; the rest, later in time, is held out."""


@dataclass(frozen=True)
class HeldOut:
    """Figures of one run by a pack trained without it."""

    run: str
    key: str
    """`ReplicaConfig.key`."""
    how: str
    figures: Mapping[str, Mapping[str, float]]
    """By resolution, as `evaluate.judge` gives them."""
    losses: Sequence[tuple[int, float]]
    """Updates and loss on the run as training went."""


def held_out(
    runs: Sequence[MeasuredRun],
    catalogue: Catalogue,
    recipe: Recipe,
    start: Pack | None = None,
) -> Iterator[HeldOut]:
    """Train anew for each run, without it, and evaluate on it; with a pack to `start` from, refine
    that one.

    Where a configuration has one run only, its first part trains and its last part is judged.
    """
    for run in runs:
        config = run.series.config
        rest = [other for other in runs if other is not run]
        judged, how = run, "run left out"
        if all(other.series.config != config for other in rest):
            cut = int(TRAINED_SHARE * len(run.series))
            rest.append(part(run, 0, cut))
            judged = part(run, cut, len(run.series))
            how = f"last {100 * (1 - TRAINED_SHARE):.0f} % left out"
        if start is not None and any(run.name in one.source for one in start.configs.values()):
            how += f"; but {start.name} learned from it"
        watched = Judged(config.key, Example(judged.series, judged.power_w))
        if start is None:
            subjects = measured_subjects(rest)
            pack = train("held-out", subjects, catalogue, recipe, judged=[watched])
        else:
            pack = refine(start, "held-out", rest, catalogue, recipe, judged=[watched])
        figures = evaluate(GruPower(pack, catalogue), judged)
        yield HeldOut(run.name, config.key, how, figures, watched.losses)


def part(run: MeasuredRun, start: int, stop: int) -> MeasuredRun:
    """Some consecutive steps of a run."""
    return replace(
        run,
        edges_s=run.edges_s[start : stop + 1],
        series=run.series.part(start, stop),
        power_w=run.power_w[start:stop],
    )


def with_figures(pack: Pack, found: Sequence[HeldOut]) -> Pack:
    """The pack with the worst held-out figures of each configuration beside its table."""
    tables = dict(pack.configs)
    for key in {one.key for one in found}:
        rows = [one.figures["250ms"] for one in found if one.key == key]
        worst = {
            f"held_out_{name}": max(row[name] for row in rows)
            for name in ("energy_error_pct", "ks", "nrmse_mean", "p95_error_pct")
        }
        figures = {**tables[key].figures, **worst, "held_out_runs": float(len(rows))}
        tables[key] = replace(tables[key], figures=figures)
    return replace(pack, configs=tables)
