"""How sure a figure is: intervals that hold whatever the distribution, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

CONFIDENCE = 0.95


class Interval(NamedTuple):
    """A figure between two limits; NaN where nothing can be said."""

    low: float
    high: float


def share_interval(hits: int, trials: int, confidence: float = CONFIDENCE) -> Interval:
    """Clopper and Pearson's interval for a probability, from `hits` of independent `trials`.

    It holds at least as often as it says, for any probability. Raises ValueError for no trials.
    """
    if trials < 1 or not 0 <= hits <= trials:
        raise ValueError("a share needs one trial or more, and no more hits than trials")
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if hits == 0 else float(stats.beta.ppf(tail, hits, trials - hits + 1))
    high = 1.0 if hits == trials else float(stats.beta.ppf(1.0 - tail, hits + 1, trials - hits))
    return Interval(low, high)


def at_most(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided: the probability is at most this (Clopper and Pearson)."""
    if hits >= trials:
        return 1.0
    return float(stats.beta.ppf(confidence, hits + 1, trials - hits))


def trials_to_show(bound: float, hits: int = 0, confidence: float = CONFIDENCE) -> int:
    """Fewest trials that, with so many hits, show a probability of at most `bound`.

    Without hits: log(1 - confidence) / log(1 - bound). Raises ValueError unless 0 < bound < 1.
    """
    if not 0.0 < bound < 1.0:
        raise ValueError("no number of trials shows a bound of 0 or less, and 1 needs none")
    trials = max(hits + 1, math.ceil(math.log(1.0 - confidence) / math.log(1.0 - bound) - 1e-9))
    while at_most(hits, trials, confidence) > bound:
        trials += 1
    return trials


def mean_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Student's interval for a mean; NaN with fewer than two values. Exact for normal ones."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return Interval(math.nan, math.nan)
    half = float(
        stats.t.ppf(0.5 + confidence / 2.0, len(found) - 1)
        * found.std(ddof=1)
        / math.sqrt(len(found))
    )
    return Interval(float(found.mean()) - half, float(found.mean()) + half)


def mean_at_most(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> float:
    """One-sided: the mean is at most this (Student); of a single value, infinity."""
    found = np.asarray(values, dtype=np.float64)
    if len(found) < 2:
        return math.inf
    spread = float(found.std(ddof=1)) / math.sqrt(len(found))
    return float(found.mean()) + float(stats.t.ppf(confidence, len(found) - 1)) * spread


def quantile_interval(
    values: npt.ArrayLike, quantile: float, confidence: float = CONFIDENCE
) -> Interval:
    """Two order statistics between which a quantile lies with at least this confidence, whatever
    the distribution; infinite on a side where there are too few values to tell.

    How many of n values fall below the quantile is binomial (David and Nagaraja, Order
    Statistics, 3rd ed., 7.1).
    """
    found = np.sort(np.asarray(values, dtype=np.float64))
    count = len(found)
    tail = (1.0 - confidence) / 2.0
    # P(X_(r) > q) = P(Bin < r) <= tail, and P(X_(s) < q) = P(Bin >= s) <= tail.
    below = int(stats.binom.ppf(tail, count, quantile))
    if stats.binom.cdf(below - 1, count, quantile) > tail:
        below -= 1
    above = int(stats.binom.ppf(1.0 - tail, count, quantile)) + 1
    return Interval(
        float(found[below - 1]) if below >= 1 else -math.inf,
        float(found[above - 1]) if above <= count else math.inf,
    )


@dataclass(frozen=True)
class Plan:
    """A test of one candidate by at most `trials` runs.

    It passes where no more than `allowed` of them fail: then the probability of failing is at
    most `bound`, with the confidence asked for. Sampling stops as soon as the end is certain (a
    curtailed single sampling plan): what is decided is what all runs would have decided, so
    stopping early costs no confidence.
    """

    bound: float
    trials: int
    confidence: float = CONFIDENCE

    @property
    def allowed(self) -> int:
        """Failures that still pass; -1 where even none would not."""
        hits = -1
        while hits + 1 < self.trials and self._shown(hits + 1):
            hits += 1
        return hits

    def _shown(self, hits: int) -> bool:
        return at_most(hits, self.trials, self.confidence) <= self.bound

    def verdict(self, failed: list[bool]) -> bool | None:
        """Whether it passes, from the runs so far in their order; None where that is open."""
        allowed = self.allowed
        hits = sum(failed)
        if hits > allowed:
            return False
        if hits + self.trials - len(failed) <= allowed:
            return True
        return None
