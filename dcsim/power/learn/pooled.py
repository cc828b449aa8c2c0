"""What configurations of a GPU have in common: a subject that stands for those never measured.

Its states are watts of one GPU, fitted to all configurations' watts together; the head that weighs
them sees only the work, in shares of the hardware. So a model that nobody measured gets the watts
that like work drew in others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dcsim.power.learn.states import fit_mixture, split_key
from dcsim.power.learn.train import Example, Recipe, Subject, beyond_of
from dcsim.power.pack import any_key
from dcsim.scenario.catalogue import Catalogue

STATES = 16
SAMPLES = 20_000
"""Drawn from each configuration alike to fit the states."""
SHARE = 4.0
"""Of the training windows, one configuration's being 1."""


def pooled(gpu: str, subjects: Sequence[Subject], catalogue: Catalogue, recipe: Recipe) -> Subject:
    """The subject of all configurations on one GPU. `subjects` must all be on it."""
    rng = np.random.default_rng(recipe.seed)
    sequences: list[Example] = []
    beyond: list[Example] = []
    watts = []
    for row, subject in enumerate(subjects):
        gpus = split_key(subject.key)[2]
        own = [Example(one.series, one.power_w / gpus) for one in subject.sequences]
        sequences += own
        beyond += [
            Example(one.series, one.power_w / gpus)
            for one in beyond_of(subject, catalogue, recipe, row)
        ]
        every = np.concatenate([one.power_w for one in own])
        watts.append(rng.choice(every, SAMPLES // len(subjects)))
    return Subject(
        key=any_key(gpu),
        mixture=fit_mixture(np.concatenate(watts), recipe.seed, STATES),
        sequences=sequences,
        beyond=beyond,
        evidence="extrapolated",
        source=f"what {len(subjects)} measured configurations on {gpu} have in common: "
        + ", ".join(sorted(subject.key for subject in subjects)),
        share=SHARE,
    )
