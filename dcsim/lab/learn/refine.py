"""A pack refined with new runs: what it knew is kept, what they show is learned.

The shared network stays as it is, so every other configuration's answer stays the same to the bit.
The configuration of the runs gets a new table. It learns from the runs, and beyond what they show
from a teacher: the pack's own table of it, or for a configuration that the pack has none of, the
table that stands for all on its GPU. Where the runs show the teacher to be off, what it says
beyond them is moved in the same way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.evaluate import generate
from dcsim.lab.learn.imagined import imagine
from dcsim.lab.learn.measured import measured_subjects
from dcsim.lab.learn.runs import MeasuredRun
from dcsim.lab.learn.states import STATES, fit_mixture
from dcsim.lab.learn.train import MIXTURE_SEED, Example, Judged, Recipe, Subject, train
from dcsim.power.gru import GruPower
from dcsim.power.pack import Pack, any_key

MORE_STATES = 6
"""Beside the usual number, for levels that only the teacher knows."""
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
    judged: Sequence[Judged] = (),
) -> Pack:
    """The pack with tables of the runs' configurations. Deterministic; errors as `train`."""
    recipe = recipe or Recipe()
    subjects = [
        _taught(pack, subject, catalogue, recipe, row)
        for row, subject in enumerate(measured_subjects(runs))
    ]
    told = ", ".join(run.name for run in runs)
    notes = f"{pack.notes}; {pack.name} refined by `dcsim power train --from-pack` with {told}"
    return train(name, subjects, catalogue, recipe, progress, notes, pack, judged)


def _taught(
    pack: Pack, subject: Subject, catalogue: Catalogue, recipe: Recipe, row: int
) -> Subject:
    """The subject with a teacher's watts for made-up work, where the pack has a teacher."""
    first = subject.sequences[0].series
    config = first.config
    own = config.key in pack.configs
    if not own and any_key(config.gpu) not in pack.configs:
        return subject
    steps = max(recipe.imagined_steps, recipe.window_steps)
    work = imagine(config, catalogue, first.step_s, steps, recipe.seed + 1000 * row)
    teacher = GruPower(pack, catalogue, extrapolate=True)
    power_w = np.concatenate([one.power_w for one in subject.sequences])
    said_w = np.concatenate(
        [generate(teacher, one.series, 1, recipe.seed)[:, 0] for one in subject.sequences]
    )
    watts = _in_keeping(generate(teacher, work, 1, recipe.seed)[:, 0], said_w, power_w)
    rng = np.random.default_rng(recipe.seed)
    some = rng.choice(watts, int(TEACHER_SHARE * len(power_w)))
    before = f"its table before ({pack.configs[config.key].source})" if own else "the table `any`"
    return replace(
        subject,
        mixture=fit_mixture(np.concatenate([power_w, some]), MIXTURE_SEED, STATES + MORE_STATES),
        beyond=[Example(work, watts)],
        source=f"{subject.source}; beyond them, as {pack.name} had it by {before}",
    )


def _in_keeping(watts: FloatArray, said_w: FloatArray, measured_w: FloatArray) -> FloatArray:
    """The teacher's `watts`, moved as what it said of the runs' work must be moved to be what was
    measured: rank for rank within their range, by the ratio of the ends beyond it."""
    share = np.linspace(0.0, 1.0, QUANTILES)
    said, measured = np.quantile(said_w, share), np.quantile(measured_w, share)
    ends = [
        float(np.mean(each)) for each in (said[:END], measured[:END], said[-END:], measured[-END:])
    ]
    moved = np.interp(watts, said, measured)
    moved = np.where(watts < said[0], watts * ends[1] / ends[0], moved)
    found: FloatArray = np.where(watts > said[-1], watts * ends[3] / ends[2], moved)
    return found
