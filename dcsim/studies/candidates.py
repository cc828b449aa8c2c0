"""Full simulation of the candidates that decide: does this many fit, and what is the most?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dcsim.scenario.models import Scenario
from dcsim.studies.answer import StudyError
from dcsim.studies.ask import load_rows, slo_loss
from dcsim.studies.crew import Crew
from dcsim.studies.jobs import job
from dcsim.studies.outcome import Outcome
from dcsim.studies.statistics import (
    CONFIDENCE,
    Interval,
    Plan,
    at_most,
    share_interval,
    share_mean_at_most,
)
from dcsim.studies.target import Target

FIRST_WAVE = 2
"""Runs of a candidate that are played before the first look; twice as many before each next. Fixed,
so that what is played does not depend on how many workers there are."""


@dataclass(frozen=True)
class Bounds:
    """What a planner will stand for."""

    max_trip: float
    """Probability that a run trips a breaker, or breaks the continuous rating."""
    max_slo_loss: float
    window_s: float
    """The continuous rating is held to means over this time."""


@dataclass(frozen=True)
class Candidate:
    """So many units, and what their runs showed."""

    count: int
    passes: bool
    why: str
    outcomes: tuple[Outcome, ...] = field(repr=False)
    tripped: int
    over: int
    """Runs above the continuous rating."""
    failed: int
    """Runs with either."""
    peak_w: float
    """Highest mean over the window of the nodes with the limit, mean over runs."""
    instant_w: float
    """Highest power step, mean over runs."""
    slo_loss: float
    slo_loss_at_most: float
    binding: str
    """The node nearest to its limit, of those asked about and above, W."""

    @property
    def runs(self) -> int:
        """Played."""
        return len(self.outcomes)

    @property
    def failing(self) -> Interval:
        """Where the probability of failing lies (Clopper and Pearson)."""
        return share_interval(self.failed, self.runs)

    @property
    def failing_at_most(self) -> float:
        """What is held to `Bounds.max_trip`: one-sided, so below the interval's upper end."""
        return at_most(self.failed, self.runs)


def try_count(
    target: Target,
    base: Scenario,
    count: int,
    seeds: Sequence[int],
    bounds: Bounds,
    traffic: str,
    crew: Crew,
) -> Candidate:
    """Play a candidate until it is certain whether it passes; see `statistics.Plan`.

    Seeds are played in their order and the verdict is that of the shortest list of them that is
    certain. Raises StudyError, RunFailed.
    """
    scenario = target.resized(base, count, traffic)
    plan = Plan(bounds.max_trip, len(seeds))
    windows_s = tuple(sorted({1.0, bounds.window_s}))
    outcomes: list[Outcome] = []
    failed: list[bool] = []
    sound: bool | None = None
    for wave in waves(len(seeds)):
        jobs = [job(scenario, seed, windows_s=windows_s) for seed in seeds[wave]]
        for outcome in crew.play(jobs, f"{count} {target.kind}s"):
            if sound is None:
                outcomes.append(outcome)
                failed.append(_tripped(outcome) or _over(outcome, target, bounds))
                sound = plan.verdict(failed)
        if sound is not None:
            break
    return _judged(target, count, outcomes, sum(failed), bool(sound), bounds)


def waves(count: int) -> Iterator[slice]:
    """Slices of 2, 4, 8, ... that cover `count`."""
    start, width = 0, FIRST_WAVE
    while start < count:
        yield slice(start, min(start + width, count))
        start, width = start + width, 2 * width


def most_that_passes(
    passes: Callable[[int], bool], guess: int, least: int, most: int, step: int
) -> int:
    """The largest multiple of `step` in [least, most] that passes, if all below a passing one
    pass; 0 if none does.

    From the guess on in strides that double, until one passes and one fails; then by bisection.
    A good guess costs two candidates.
    """
    low, high = 0, most + step  # known or taken to pass, and to fail
    at = min(max(guess // step * step, least), most // step * step)
    stride = step
    while True:
        if passes(at):
            low = at
            if at + step > most:
                return at
            if high <= most:
                break
            at = min(at + stride, most // step * step)
        else:
            high = at
            if low or at <= least:
                break
            at = max(at - stride, least)
        stride *= 2
    while high - low > step and high > least:
        middle = (low + high) // 2 // step * step
        if middle < least:
            break
        if passes(middle):
            low = middle
        else:
            high = middle
    return low


def _tripped(outcome: Outcome) -> bool:
    return bool(outcome.summary["events"]["trip"])


def _over(outcome: Outcome, target: Target, bounds: Bounds) -> bool:
    return _worst(outcome, target, bounds)[1] > 1.0


def _worst(outcome: Outcome, target: Target, bounds: Bounds) -> tuple[str, float]:
    """The node nearest to its rating, of the limit's and those above, and its load over it."""
    loads = load_rows(outcome, fitting_window_s(outcome, bounds.window_s))
    limits_w = {node["name"]: node["limit_w"] for node in outcome.summary["nodes"]}
    limits_w |= dict.fromkeys(target.watched, target.limit_w)
    shares = [
        (loads[name]["peak_w"] / limits_w[name], name)
        for name in target.watched_and_above
        if limits_w.get(name) and name in loads
    ]
    share, name = max(shares)
    return name, share


def fitting_window_s(outcome: Outcome, window_s: float) -> float:
    """The longest averaging time of a run's figures that is no longer than asked for."""
    return max(
        row["resolution_s"] for row in outcome.loads if row["resolution_s"] <= window_s + 1e-9
    )


def _judged(
    target: Target,
    count: int,
    outcomes: list[Outcome],
    failed: int,
    sound: bool,
    bounds: Bounds,
) -> Candidate:
    losses = [slo_loss(outcome.summary) for outcome in outcomes]
    if any(math.isnan(loss) for loss in losses):
        raise StudyError("no request ended in a run: its SLO loss is unknown; play a longer one")
    # A single run cannot show a bound on a mean; a passing candidate has played all of its runs.
    loss = float(np.mean(losses))
    at_most = share_mean_at_most(losses, CONFIDENCE)
    tripped = sum(map(_tripped, outcomes))
    over = sum(_over(outcome, target, bounds) for outcome in outcomes)
    if not sound:
        why = f"{tripped} of {len(outcomes)} runs tripped, {over} were above the continuous rating"
    elif at_most > bounds.max_slo_loss:
        why = (
            f"SLO loss {100 * loss:.2f} %, at most {100 * at_most:.2f} %: more than "
            f"{100 * bounds.max_slo_loss:.2f} %"
        )
    else:
        why = "passes"

    def peak_w(window_s: float) -> float:
        peaks_w = []
        for outcome in outcomes:
            loads = load_rows(outcome, fitting_window_s(outcome, window_s))
            peaks_w.append(max(loads[name]["peak_w"] for name in target.watched))
        return float(np.mean(peaks_w))

    return Candidate(
        count=count,
        passes=why == "passes",
        why=why,
        outcomes=tuple(outcomes),
        tripped=tripped,
        over=over,
        failed=failed,
        peak_w=peak_w(bounds.window_s),
        instant_w=peak_w(min(row["resolution_s"] for row in outcomes[0].loads)),
        slo_loss=loss,
        slo_loss_at_most=at_most,
        binding=max((_worst(o, target, bounds) for o in outcomes), key=lambda found: found[1])[0],
    )
