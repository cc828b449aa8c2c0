"""How sure a figure is: intervals that hold whatever the distribution, and when to stop."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import scipy  # not scipy.stats, which takes 0.6 s and is loaded where it is first used

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
    exact = scipy.stats.binomtest(hits, trials).proportion_ci(confidence, "exact")
    return Interval(float(exact.low), float(exact.high))


def at_most(hits: int, trials: int, confidence: float = CONFIDENCE) -> float:
    """One-sided: the probability is at most this (Clopper and Pearson)."""
    if hits >= trials:
        return 1.0
    # In closed form: `binomtest` searches for it, and `trials_to_show` asks thousands of times.
    return float(scipy.stats.beta.ppf(confidence, hits + 1, trials - hits))


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
    sample = np.asarray(values, dtype=np.float64)
    if len(sample) < 2:
        return Interval(math.nan, math.nan)
    half = float(
        scipy.stats.t.ppf(0.5 + confidence / 2.0, len(sample) - 1)
        * sample.std(ddof=1)
        / math.sqrt(len(sample))
    )
    return Interval(float(sample.mean()) - half, float(sample.mean()) + half)


def share_mean_at_most(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> float:
    """One-sided: the mean of independent values in [0, 1], such as the SLO losses of runs, is at
    most this, whatever their distribution; 1 without any.

    A bet against each mean m: a capital of 1 is multiplied, value by value, by
    1 + b_i (m - x_i) / (1 - m), with b_i in [0, 1] chosen from the values before. If m is the mean,
    the capital is expected to stay 1, so that it ever reaches 1 / (1 - confidence) with a
    probability of at most 1 - confidence (Ville): means with which it does are left out
    (Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting", Journal of
    the Royal Statistical Society B 86, 2024). Two bets share the capital: most of it is staked
    whole, which is best for losses near 0 (eleven zeros give 0.24, as Clopper and Pearson's bound
    for a share), the rest as in the paper, by the variance so far. Looking after every value costs
    nothing.
    """
    sample = np.asarray(values, dtype=np.float64)
    if not len(sample):
        return 1.0
    if not (np.isfinite(sample).all() and sample.min() >= 0.0 and sample.max() <= 1.0):
        raise ValueError("values must lie between 0 and 1")
    target = 1.0 / (1.0 - confidence)
    count = np.arange(1, len(sample) + 1)
    # What was known before each value: a half and a quarter stand for one value seen before all.
    mean = np.concatenate([[0.5], (0.5 + np.cumsum(sample)) / (count + 1)])
    squares = 0.25 + np.cumsum((sample - mean[1:]) ** 2)
    variance = np.concatenate([[0.25], squares / (count + 1)])[:-1]
    size = np.sqrt(2.0 * math.log(target) / (variance * len(sample)))

    def reached(m: float) -> bool:
        """Whether the capital is ever that much."""
        edge = m - sample
        with np.errstate(over="ignore", invalid="ignore"):  # beyond all bounds is enough
            whole = np.cumprod(1.0 + edge / (1.0 - m))
            sized = np.cumprod(1.0 + np.minimum(size, MOST_STAKED / (1.0 - m)) * edge)
            return bool(np.nanmax(MOSTLY * whole + (1.0 - MOSTLY) * sized) >= target)

    low, high = float(sample.mean()), 1.0 - 1e-12
    if low >= high or not reached(high):
        return 1.0
    while high - low > 1e-6:
        middle = 0.5 * (low + high)
        if reached(middle):
            high = middle
        else:
            low = middle
    return high


def share_mean_interval(values: npt.ArrayLike, confidence: float = CONFIDENCE) -> Interval:
    """Two-sided, by `share_mean_at_most` from both ends; NaN where a value is unknown."""
    sample = np.asarray(values, dtype=np.float64)
    if not np.isfinite(sample).all():
        return Interval(math.nan, math.nan)
    side = 0.5 + confidence / 2.0
    return Interval(1.0 - share_mean_at_most(1.0 - sample, side), share_mean_at_most(sample, side))


MOSTLY = 0.95
"""Of the capital that is staked whole."""
MOST_STAKED = 0.75
"""Of what can be lost in one bet of the second kind."""


def peaks_sentence(runs: int) -> str:
    """What an interval of peaks over runs says, and what it does not: one more run is as likely as
    each of the others to be the highest of all."""
    return (
        f"Intervals are 95 % of the mean peak of {runs} runs (Student), no bound on one: a further "
        f"run is above the highest of them with a chance of 1 in {runs + 1}."
    )


def quantile_interval(
    values: npt.ArrayLike, quantile: float, confidence: float = CONFIDENCE
) -> Interval:
    """Two order statistics between which a quantile lies with at least this confidence, whatever
    the distribution; infinite on a side where there are too few values to tell.

    How many of n values fall below the quantile is binomial (David and Nagaraja, Order
    Statistics, 3rd ed., 7.1).
    """
    sample = np.asarray(values, dtype=np.float64)
    low, high = scipy.stats.quantile_test(sample, p=quantile).confidence_interval(confidence)
    return Interval(
        -math.inf if math.isnan(low) else float(low), math.inf if math.isnan(high) else float(high)
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
        """Number of failures that still pass; -1 where even none would not."""
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
