"""Held-out figures: each run judged by a pack that has not seen it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from dcsim.power.gru import GruPower
from dcsim.power.learn.evaluate import evaluate
from dcsim.power.learn.measured import measured_subjects
from dcsim.power.learn.runs import MeasuredRun
from dcsim.power.learn.train import Recipe, Subject, train
from dcsim.scenario.catalogue import Catalogue

TRAINED_SHARE = 0.6
"""Of a configuration's only run; the rest, later in time, is held out."""


@dataclass(frozen=True)
class HeldOut:
    """Figures of one run by a pack trained without it."""

    run: str
    how: str
    figures: Mapping[str, Mapping[str, float]]
    """By resolution, as `evaluate.judge` gives them."""


def held_out(
    runs: Sequence[MeasuredRun],
    catalogue: Catalogue,
    recipe: Recipe,
    others: Sequence[Subject] = (),
) -> Iterator[HeldOut]:
    """Train anew for each run, without it, and evaluate on it.

    Where a configuration has one run only, its first part trains and its last part is judged.
    `others` are further subjects that share the network.
    """
    for run in runs:
        rest = [other for other in runs if other is not run]
        judged, how = run, "run left out"
        if all(other.series.config != run.series.config for other in rest):
            cut = int(TRAINED_SHARE * len(run.series))
            rest.append(part(run, 0, cut))
            judged = part(run, cut, len(run.series))
            how = f"last {1 - TRAINED_SHARE:.0%} left out"
        pack = train("held-out", [*measured_subjects(rest), *others], catalogue, recipe)
        yield HeldOut(run.name, how, evaluate(GruPower(pack, catalogue), judged))


def part(run: MeasuredRun, start: int, stop: int) -> MeasuredRun:
    """Some consecutive steps of a run."""
    columns = {name: values[start:stop] for name, values in run.series.columns.items()}
    return replace(
        run,
        start_s=run.start_s + start * run.series.step_s,
        series=replace(run.series, columns=columns),
        power_w=run.power_w[start:stop],
    )
