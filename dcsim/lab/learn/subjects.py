"""What a training learns: configurations, their power states, and sequences that show them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dcsim.arrays import Float32Array, FloatArray
from dcsim.hardware.catalogue import Catalogue
from dcsim.lab.learn.states import Mixture, with_headroom
from dcsim.lab.learn.synthetic import synthetic_work
from dcsim.lab.learn.transfer import PowerQuantiles, Prior, rank_transfer
from dcsim.lab.ledger_series import LedgerSeries
from dcsim.power.features import FeatureMaker
from dcsim.power.model import Evidence


@dataclass(frozen=True)
class Example:
    """Work and watts of one replica over time."""

    series: LedgerSeries
    power_w: FloatArray
    weight: float = 1.0
    """Of a step of it, beside those of the subject's other sequences."""
    timed: bool = True
    """Whether the watts were measured in this order; constructed ones were not."""

    def features(self, catalogue: Catalogue) -> Float32Array:
        """The feature matrix of the work, shape (steps, features)."""
        series = self.series
        maker = FeatureMaker([series.config] * len(series), catalogue)
        return np.ascontiguousarray(maker(series.ledger()).T)


@dataclass(frozen=True)
class Subject:
    """A configuration to learn: its states and the sequences that show them.

    A subject may also stand for many configurations (`pooled`): then every sequence is of its own
    configuration, and its watts are ratios to the linear ledger model's.
    """

    key: str
    """`ReplicaConfig.key`, or what stands in its place."""
    mixture: Mixture
    sequences: Sequence[Example]
    evidence: Evidence
    source: str
    quantiles: PowerQuantiles | None = None
    """For work out of the sequences' range; None: as in the sequences."""
    state_correlation: float | None = None
    """None: estimated from the sequences."""
    noise_correlation: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    out_of_range: Sequence[Example] | None = None
    """Work out of the sequences' range; None: synthetic."""
    prior: Prior | None = None
    """What synthetic work should draw out of the sequences' range; None: by the linear ledger
    model."""
    measured_out_of_range: Sequence[Example] = ()
    """Measured work out of the sequences' range, learned from beside the synthetic."""
    share: float = 1.0
    """Of the training windows, beside the other subjects'."""
    campaign: str = ""
    """Whose measurements they are. Machines and engines of two campaigns differ more than two
    models of one, so what stands for unseen models (`pooled`) weighs campaigns alike."""
    weight_jitter: float = 0.0
    """Standard deviations by which a window's weight fraction is moved. That feature tells
    configurations apart; a subject that stands for unseen ones must not lean on it."""


def with_out_of_range(subject: Subject, catalogue: Catalogue, steps: int, seed: int) -> Subject:
    """The subject with work out of its sequences' range, and with states for what that draws.

    Where it has none, `steps` steps of synthetic work, with watts in keeping with the sequences.
    """
    if subject.out_of_range is not None:
        return subject
    seen = [example.series for example in subject.sequences]
    series = synthetic_work(seen[0].config, catalogue, seen[0].step_s, steps, seed)
    quantiles = subject.quantiles
    if quantiles is None:
        quantiles = PowerQuantiles.of_runs(seen, [example.power_w for example in subject.sequences])
    rng = np.random.default_rng(seed)
    watts = rank_transfer([series], seen, quantiles, catalogue, rng, subject.prior)[0]
    examples = [Example(series, watts), *subject.measured_out_of_range]
    drawn_w = np.concatenate([example.power_w for example in examples])
    mixture = with_headroom(subject.mixture, drawn_w)
    return replace(subject, out_of_range=examples, mixture=mixture)
