"""What is uncertain of a load besides the spread over seeds: its level, and how days differ.

The level is one error for all runs: that of the power model, as its pack states it or as runs show
that were left out of training (docs/fidelity-power.md), and that of watts nobody measured. Errors
of one kind of evidence go together, those of different kinds do not. Days differ from each other:
each has a load of its own, lognormal about that of the runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri

from dcsim.studies.risk import Exposure
from dcsim.studies.statistics import CONFIDENCE

TO_DEVIATION = 1.0 / 0.6745
"""A median absolute error of a normal law, as a standard deviation."""
FITTED, EXTRAPOLATED = 0.023, 0.048
"""Median absolute errors of mean GPU watts where a model states none: of the packs on published
mixtures of power, and on models that they have not seen (docs/fidelity-power.md)."""
MEASURED = 0.01
"""Of GPUs whose watts were measured: a card repeats within 1 %."""
ASSUMED = 0.10
"""Standard deviation of assumed watts, as a share: servers with eight H100 were measured at 1.4 to
1.7 kW beside their GPUs at rest, which is 1.55 kW and a tenth more or less."""
DEVIATIONS = {
    "measured": MEASURED,
    "fitted": FITTED * TO_DEVIATION,
    "extrapolated": EXTRAPOLATED * TO_DEVIATION,
    "assumed": ASSUMED,
}
DAY_SPREAD = 0.024
"""Standard deviation of the logarithm of a day's load: of the requests in the busiest hours of the
five weekdays of 10 to 16 May 2024 in Azure's code trace (docs/paper-case.md). Loads vary less than
requests, other weeks of a year more."""
GRID = np.linspace(-6.0, 6.0, 481)
DAYS_APART = 16
"""Points of the grid between days for which bursts are counted."""
WEIGHTS = np.exp(-0.5 * GRID**2) / np.exp(-0.5 * GRID**2).sum()


@dataclass(frozen=True)
class LoadUncertainty:
    """How far loads may be from those of the runs."""

    level: float
    """All are higher by at most this share, with 95 % confidence."""
    day: float
    """Standard deviation of the logarithm of a day's load."""
    parts: tuple[str, ...] = ()
    """What the level is made of, in words; empty where it was given."""

    def exceeding(self, shares: npt.ArrayLike) -> float:
        """How likely a run of any day is above a limit, from runs' loads as shares of it, at the
        higher level."""
        over = np.log(np.asarray(shares, dtype=np.float64) * (1.0 + self.level))
        if self.day == 0.0:
            return float((over > 0.0).mean())
        return float(ndtr(over / self.day).mean())

    def trips_at_most(self, exposure: Exposure, factor: float = 1.0) -> float:
        """Bound on the trips in a run of any day, from 0 to 1, at the higher level: by what bounds
        those of the runs (`dcsim.studies.risk`), averaged over days. `factor`: of so many times
        the units, the runs' loads scaled."""
        days = GRID if self.day else np.zeros(1)
        weights = WEIGHTS if self.day else np.ones(1)
        levels = (1.0 + self.level) * np.exp(self.day * days)
        tail = np.array([exposure.by_tail(factor, float(level)) for level in levels])
        # Bursts of a day by those of one that is as busy or a little busier.
        few = levels[::-1][::DAYS_APART][::-1]
        bursts = np.array([exposure.by_bursts(factor, float(level)) for level in few])
        place = np.searchsorted(few, levels * (1.0 - 1e-12))
        return float(weights @ np.minimum(np.minimum(tail, bursts[place]), 1.0))


def _deviation(part: Mapping[str, Any]) -> float:
    """Standard deviation of a part's watts, as a share of them."""
    stated = part.get("error")
    return DEVIATIONS[part["evidence"]] if stated is None else stated * TO_DEVIATION


def uncertainty_of(
    summary: Mapping[str, Any], level_error: float | None = None, day_spread: float | None = None
) -> LoadUncertainty:
    """Of a site, by what its mean watts stand on (`summary["evidence"]`); what is given goes
    first."""
    day = DAY_SPREAD if day_spread is None else day_spread
    if level_error is not None:
        return LoadUncertainty(level_error, day)
    by_kind: dict[str, list[float]] = {}
    parts = (summary.get("evidence") or {}).get("parts") or []
    whole_w = sum(part["mean_w"] or 0.0 for part in parts)
    for part in parts:
        deviation = _deviation(part)
        share = (part["mean_w"] or 0.0) / whole_w if whole_w else 0.0
        row = by_kind.setdefault(part["evidence"], [0.0, 0.0])
        row[0] += share
        row[1] += share * deviation
    parts_in_words = tuple(
        f"{100 * share:.0f} % of the watts {kind}, off by {100 * error / share:.1f} %"
        for kind, (share, error) in by_kind.items()
        if share
    )
    deviation = math.sqrt(sum(error**2 for _, error in by_kind.values()))
    return LoadUncertainty(float(ndtri(CONFIDENCE)) * deviation, day, parts_in_words)


def change_deviation(
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    configurations: tuple[Mapping[str, str], Mapping[str, str]],
) -> float:
    """Standard deviation of a ratio of watts, after over before, as a share of it: of what the
    level's errors of two sites leave of each other.

    Watts that stand on the same thing in both (the same source, and for GPUs the same
    configuration) are off by the same share, and that cancels as far as they weigh the same. All
    else is off on its own: of each kind of evidence together, as in `uncertainty_of`.

    Parameters
    ----------
    before, after
        Summaries of a run of each.
    configurations
        Of each, by server group, a text for what its GPUs are and do.
    """
    errors: dict[tuple[str, ...], list[float]] = {}
    for at, (summary, of_group) in enumerate(zip((before, after), configurations, strict=True)):
        parts = (summary.get("evidence") or {}).get("parts") or []
        whole_w = sum(part["mean_w"] or 0.0 for part in parts)
        for part in parts if whole_w else []:
            of_gpus = part["what"] == "GPUs"
            what = of_group.get(part["group"], "") if of_gpus else ""
            key = (part["evidence"], part["what"], what, part["source"])
            share = (part["mean_w"] or 0.0) / whole_w
            errors.setdefault(key, [0.0, 0.0])[at] += share * _deviation(part)
    sums: dict[tuple[str, bool, bool], float] = {}
    for (evidence, *_), (old, new) in errors.items():
        kind = (evidence, bool(old), bool(new))
        sums[kind] = sums.get(kind, 0.0) + new - old
    return math.sqrt(sum(error**2 for error in sums.values()))


def change_band(change_share: float, deviation: float) -> tuple[float, float]:
    """Below and above what a change of watts, as a share, is with 95 % each; `deviation` as
    `change_deviation` gives it."""
    spread = float(ndtri(CONFIDENCE)) * deviation
    ratio = 1.0 + change_share
    return ratio * (1.0 - spread) - 1.0, ratio * (1.0 + spread) - 1.0


def scaled(peak_w: float, mean_w: float, factor: float) -> float:
    """A highest load with `factor` times as many units: the mean grows with them, what stands above
    it with the square root, as sums of independent loads do."""
    return mean_w * factor + (peak_w - mean_w) * math.sqrt(factor)


def level_sentence(uncertainty: LoadUncertainty) -> str:
    """Say what a band of the level alone stands on."""
    return (
        f"The level: all loads may be up to {100 * uncertainty.level:.1f} % higher, and as much "
        f"lower, 95 % sure each{_made(uncertainty)}."
    )


def _made(uncertainty: LoadUncertainty) -> str:
    return (
        f" ({'; '.join(uncertainty.parts)}; standard deviations)"
        if uncertainty.parts
        else " (as given)"
    )


def uncertainty_sentences(uncertainty: LoadUncertainty) -> tuple[str, ...]:
    """Say what an added band stands on."""
    return (
        f"Besides seeds: all loads may be up to {100 * uncertainty.level:.1f} % higher, 95 % "
        f"sure{_made(uncertainty)}; "
        f"days differ by {100 * uncertainty.day:.1f} %, the standard deviation of a day's load"
        + (
            " (the busiest hours of five weekdays in Azure's code trace of May 2024)."
            if uncertainty.day == DAY_SPREAD
            else "."
        ),
    )


def mean_band(mean: float, uncertainty: LoadUncertainty) -> tuple[float, float]:
    """Below and above what a mean over many days is with 95 % each, in its own unit: the error of
    the level alone, as days average out."""
    return mean * (1.0 - uncertainty.level), mean * (1.0 + uncertainty.level)


def peak_band_w(peak_w: float, uncertainty: LoadUncertainty) -> tuple[float, float]:
    """Below and above what a peak is with 95 % each, W: errors of level and day together."""
    level = uncertainty.level / float(ndtri(CONFIDENCE))
    both = float(ndtri(CONFIDENCE)) * math.hypot(level, uncertainty.day)
    return peak_w * (1.0 - both), peak_w * (1.0 + both)
