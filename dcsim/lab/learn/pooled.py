"""What configurations of a GPU have in common: a subject that stands for those never measured.

Its states are ratios: watts over those of the linear ledger model at the same moment, a physical
prior. The head that weighs them sees only the work, in shares of the hardware. So a model that
nobody measured gets the linear model's watts, corrected as like work in others needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dcsim.arrays import FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.runs import ledger_watts
from dcsim.lab.learn.states import Mixture, fit_mixture
from dcsim.lab.learn.train import Example, Recipe, Subject, with_beyond
from dcsim.power.pack import Kind, any_key

STATES = 16
SAMPLES = 20_000
"""Drawn to fit the states, from each campaign alike."""
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
    kind: Kind = "dense",
) -> Subject:
    """The subject of all given configurations, which must be on that GPU and of that kind."""
    rng = np.random.default_rng(recipe.seed)
    sequences: list[Example] = []
    beyond: list[Example] = []
    watts = []
    members = Counter(subject.campaign for subject in subjects)
    for row, subject in enumerate(subjects):
        share = 1.0 / (len(members) * members[subject.campaign])
        more = with_beyond(subject, catalogue, recipe, row).beyond or ()
        own = _over_prior(subject.sequences, share, catalogue)
        far = _over_prior(more, share, catalogue)
        sequences += own
        beyond += far
        each = int(SAMPLES * share)
        watts += [
            rng.choice(np.concatenate([one.power_w for one in own]), each),
            rng.choice(np.concatenate([one.power_w for one in far]), int(BEYOND_SHARE * each)),
        ]
    return Subject(
        key=any_key(gpu, kind),
        mixture=_mixture(np.concatenate(watts), recipe.seed),
        sequences=sequences,
        beyond=beyond,
        evidence="extrapolated",
        source=f"what {len(subjects)} measured configurations on {gpu} have in common: "
        + ", ".join(sorted(subject.key for subject in subjects)),
        share=SHARE,
        blur=BLUR,
    )


def _over_prior(examples: Sequence[Example], share: float, catalogue: Catalogue) -> list[Example]:
    """As ratios, all together weighing as much as the share, however long they are: or else a
    short measured run would be lost among long constructed ones."""
    steps = sum(len(one.series) for one in examples)
    return [
        replace(
            one, power_w=one.power_w / ledger_watts(one.series, catalogue), weight=share / steps
        )
        for one in examples
    ]


def _mixture(ratios: FloatArray, seed: int) -> Mixture:
    """Fitted on hundredths, the scale of watts that `fit_mixture` is made for."""
    found = fit_mixture(HUNDREDTHS * ratios, seed, STATES)
    return Mixture(found.weight, found.mean_w / HUNDREDTHS, found.std_w / HUNDREDTHS)
