"""A pack refined with new runs: what it knew is kept, what they show is learned.

The shared network stays as it is, so every other configuration's watts stay the same to the bit.
The configuration of the runs gets a new table. It learns from the runs, and out of their range from
a teacher: the pack's own table of it, or for a configuration that the pack has none of, the table
that stands for all on its GPU. Where the runs show the teacher to be off, what it says out of their
range is moved in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.evaluate import generate
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.states import STATES, fit_mixture
from dcsim.lab.learn.subjects import Example, Subject
from dcsim.lab.learn.synthetic import synthetic_work
from dcsim.lab.learn.train import Holdout, Recipe, train
from dcsim.power.gru import GruPower
from dcsim.power.pack import Pack, any_key

MORE_STATES = 6
"""Beside the usual number, for watts that only the teacher knows."""
QUANTILES = 101
END = 5
"""Quantiles at each end whose mean ratio holds beyond it."""
TEACHER_SHARE = 0.5
"""Samples of the teacher's watts among which states are found, of the runs' being 1."""


def refine(
    pack: Pack,
    name: str,
    runs: Sequence[MeasuredRun],
    catalogue: Catalogue,
    recipe: Recipe | None = None,
    progress: Callable[[int, float], None] | None = None,
    holdouts: Sequence[Holdout] = (),
) -> Pack:
    """The pack with tables of the runs' configurations. Deterministic; errors as `train`."""
    recipe = recipe or Recipe()
    subjects = [
        _taught(pack, subject, catalogue, recipe, row)
        for row, subject in enumerate(measured_subjects(runs))
    ]
    names = ", ".join(run.name for run in runs)
    notes = f"{pack.notes}; {pack.name} refined by `dcsim power train --from-pack` with {names}"
    return train(name, subjects, catalogue, recipe, progress, notes, pack, holdouts)


def _taught(
    pack: Pack, subject: Subject, catalogue: Catalogue, recipe: Recipe, row: int
) -> Subject:
    """The subject with a teacher's watts for synthetic work, where the pack has a teacher."""
    first = subject.sequences[0].series
    config = first.config
    known = config.key in pack.configs
    if not known and any_key(config.gpu) not in pack.configs:
        return subject
    work = synthetic_work(
        config, catalogue, first.step_s, recipe.out_of_range_steps, recipe.out_of_range_seed(row)
    )
    teacher = GruPower(pack, catalogue, extrapolate=True)
    power_w = np.concatenate([example.power_w for example in subject.sequences])
    taught_w = np.concatenate(
        [generate(teacher, e.series, 1, recipe.seed)[:, 0] for e in subject.sequences]
    )
    watts = _corrected(generate(teacher, work, 1, recipe.seed)[:, 0], taught_w, power_w)
    rng = np.random.default_rng(recipe.seed)
    sample = rng.choice(watts, int(TEACHER_SHARE * len(power_w)))
    before = f"its table before ({pack.configs[config.key].source})" if known else "the table `any`"
    return replace(
        subject,
        mixture=fit_mixture(np.concatenate([power_w, sample]), STATES + MORE_STATES),
        out_of_range=[Example(work, watts)],
        source=f"{subject.source}; beyond them, as {pack.name} had it by {before}",
    )


def _corrected(watts: FloatArray, taught_w: FloatArray, measured_w: FloatArray) -> FloatArray:
    """The teacher's `watts`, moved as `taught_w`, what it said of the runs' work, must be moved to
    become `measured_w`: rank for rank within their range, by the ratio of the ends beyond it."""
    share = np.linspace(0.0, 1.0, QUANTILES)
    taught, measured = np.quantile(taught_w, share), np.quantile(measured_w, share)
    below_w = watts * measured[:END].mean() / taught[:END].mean()
    above_w = watts * measured[-END:].mean() / taught[-END:].mean()
    moved = np.where(watts < taught[0], below_w, np.interp(watts, taught, measured))
    corrected: FloatArray = np.where(watts > taught[-1], above_w, moved)
    return corrected
