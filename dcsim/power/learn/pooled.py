"""What configurations of a GPU have in common: a subject that stands for those never measured.

Its states are ratios: watts over those of the linear ledger model at the same moment, a physical
prior. The head that weighs them sees only the work, in shares of the hardware. So a model that
nobody measured gets the linear model's watts, corrected as like work in others needed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dcsim.power.learn.states import Mixture, fit_mixture
from dcsim.power.learn.targets import ledger_watts
from dcsim.power.learn.train import Example, Recipe, Subject, with_beyond
from dcsim.power.pack import any_key
from dcsim.scenario.catalogue import Catalogue

STATES = 16
SAMPLES = 20_000
"""Drawn from each configuration alike to fit the states."""
BEYOND_SHARE = 0.25
"""Samples of work beyond the sequences, of those from the sequences being 1."""
BLUR = 1.0
"""See `Subject.blur`."""
HUNDREDTHS = 100.0
SHARE = 4.0
"""Of the training windows, one configuration's being 1."""


def pooled(
    gpu: str,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe,
    experts: bool = False,
) -> Subject:
    """The subject of all given configurations, which must be on that GPU; `experts` names it for
    models with experts, whose work the linear model misses in another way than dense ones'."""
    rng = np.random.default_rng(recipe.seed)
    sequences: list[Example] = []
    beyond: list[Example] = []
    watts = []
    for row, subject in enumerate(subjects):
        own = [_over_prior(one, catalogue) for one in subject.sequences]
        sequences += own
        more = with_beyond(subject, catalogue, recipe, row).beyond or ()
        beyond += [_over_prior(one, catalogue) for one in more]
        every = np.concatenate([one.power_w for one in own])
        far = np.concatenate([one.power_w for one in beyond[-len(more) :]])
        each = SAMPLES // len(subjects)
        watts += [rng.choice(every, each), rng.choice(far, int(BEYOND_SHARE * each))]
    return Subject(
        key=any_key(gpu, experts),
        mixture=_mixture(np.concatenate(watts), recipe.seed),
        sequences=sequences,
        beyond=beyond,
        evidence="extrapolated",
        source=f"what {len(subjects)} measured configurations on {gpu} have in common: "
        + ", ".join(sorted(subject.key for subject in subjects)),
        share=SHARE,
        blur=BLUR,
    )


def _over_prior(example: Example, catalogue: Catalogue) -> Example:
    return Example(example.series, example.power_w / ledger_watts(example.series, catalogue))


def _mixture(ratios: npt.NDArray[np.float64], seed: int) -> Mixture:
    """Fitted on hundredths, the scale of watts that `fit_mixture` is made for."""
    found = fit_mixture(HUNDREDTHS * ratios, seed, STATES)
    return Mixture(found.weight, found.mean_w / HUNDREDTHS, found.std_w / HUNDREDTHS)
