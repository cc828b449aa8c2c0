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
from dcsim.lab.learn.states import Mixture, fit_mixture
from dcsim.lab.learn.subjects import Example, Subject
from dcsim.lab.learn.train import Recipe
from dcsim.power.pack import ModelKind, any_key

STATES = 16
SAMPLES = 20_000
"""Drawn to fit the states, from each campaign alike."""
OUT_OF_RANGE_SHARE = 0.25
"""Samples of work out of the sequences' range, of those from the sequences being 1."""
WEIGHT_JITTER = 1.0
"""See `Subject.weight_jitter`."""
HUNDREDTHS = 100.0
SHARE = 4.0
"""Of the training windows, one configuration's being 1."""


def pooled(
    gpu: str,
    subjects: Sequence[Subject],
    catalogue: Catalogue,
    recipe: Recipe,
    kind: ModelKind = "dense",
) -> Subject:
    """The subject of all given configurations, which must be on that GPU and of that kind."""
    rng = np.random.default_rng(recipe.seed)
    sequences: list[Example] = []
    out_of_range: list[Example] = []
    watts = []
    members = Counter(subject.campaign for subject in subjects)
    for row, subject in enumerate(subjects):
        share = 1.0 / (len(members) * members[subject.campaign])
        whole = recipe.out_of_range(subject, catalogue, row)
        within = _over_prior(whole.sequences, share, catalogue)
        outside = _over_prior(whole.out_of_range or (), share, catalogue)
        sequences += within
        out_of_range += outside
        count = int(SAMPLES * share)
        watts += [
            rng.choice(np.concatenate([e.power_w for e in within]), count),
            rng.choice(
                np.concatenate([e.power_w for e in outside]), int(OUT_OF_RANGE_SHARE * count)
            ),
        ]
    return Subject(
        key=any_key(gpu, kind),
        mixture=_mixture(np.concatenate(watts), recipe.seed),
        sequences=sequences,
        out_of_range=out_of_range,
        evidence="extrapolated",
        source=f"what {len(subjects)} measured configurations on {gpu} have in common: "
        + ", ".join(sorted(subject.key for subject in subjects)),
        share=SHARE,
        weight_jitter=WEIGHT_JITTER,
    )


def _over_prior(examples: Sequence[Example], share: float, catalogue: Catalogue) -> list[Example]:
    """As ratios, all together weighing as much as the share, however long they are: or else a
    short measured run would be lost among long constructed ones."""
    steps = sum(len(example.series) for example in examples)
    return [
        replace(
            example,
            power_w=example.power_w / example.series.linear_watts(catalogue),
            weight=share / steps,
        )
        for example in examples
    ]


def _mixture(ratios: FloatArray, seed: int) -> Mixture:
    """Fitted on hundredths, the scale of watts that `fit_mixture` is made for."""
    scaled = fit_mixture(HUNDREDTHS * ratios, STATES, seed)
    return Mixture(scaled.weight, scaled.mean_w / HUNDREDTHS, scaled.std_w / HUNDREDTHS)
